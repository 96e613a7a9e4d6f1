//! The sea mode: what the vessel is doing, and setting it by hand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wk_types::{SeaMode, SeaModeState, UtcMs, Verb};

use crate::clock::now;
use crate::http::auth::{Operator, Viewer};
use crate::http::extract::Form;
use crate::http::incidents::send;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// The longest time for which a mode is set by hand with an end, in seconds.
const FOR_MAX: u32 = 366 * 86_400;

/// What the vessel is doing, on what that rests, and what speed and position say.
#[utoipa::path(get, path = "/api/v1/sea-mode", tag = "console", responses((status = 200, body = Object)))]
pub async fn show(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Json<Value> {
    Json(describe(node.stages.engine().sea_mode))
}

/// The mode as JSON; a mode that nobody knows is `unknown`.
pub fn describe(state: SeaModeState) -> Value {
    let name = |mode: Option<SeaMode>| mode.map_or("unknown", SeaMode::as_str);
    json!({
        "mode": name(state.mode), "since": state.since, "by_hand": state.by_hand, "until": state.until,
        "derived": name(state.derived),
    })
}

/// What the vessel is doing.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSeaMode {
    /// `in_port`, `manoeuvring`, `at_sea` or `dry_dock`; `auto` gives it back to what speed and position say.
    mode: String,
    /// Seconds for which it holds; until it is given back where they are missing.
    for_s: Option<u32>,
}

/// Sets the sea mode by hand, or gives it back to what speed and position say.
#[utoipa::path(post, path = "/api/v1/sea-mode", tag = "console", request_body = SetSeaMode, responses((status = 202, body = Object), (status = 400, body = Object)))]
pub async fn set(
    Shared(node): Shared<Arc<Node>>,
    Operator(principal): Operator,
    Form(wanted): Form<SetSeaMode>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let mode = match wanted.mode.as_str() {
        "auto" => None,
        word => Some(word.parse::<SeaMode>().map_err(|error| Problem::bad_request(format!("{error}, or auto")))?),
    };
    if mode.is_none() && wanted.for_s.is_some() {
        return Err(Problem::bad_request("auto takes no time: what is derived holds by itself".to_owned()));
    }
    if wanted.for_s.is_some_and(|seconds| !(1..=FOR_MAX).contains(&seconds)) {
        return Err(Problem::bad_request(format!("for_s must be from 1 to {FOR_MAX}")));
    }
    let until = wanted.for_s.map(|seconds| UtcMs(now().0 + i64::from(seconds) * 1_000));
    let person = blocking(&node, move |node| principal.person(node)).await?;
    let id = send(&node, Some(person), Verb::SetSeaMode { mode, until }).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"command": id.as_str(), "until": until}))))
}
