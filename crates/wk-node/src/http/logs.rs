//! Questions about logs that need no SQL: rows page by page, counts over time, most frequent values, and the live tail.

mod ask;
pub mod tail;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State as Shared;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wk_lake::{Cancel, LogField, LogQuery, SearchLimits};
use wk_types::{DurationMs, Severity};

use crate::http::auth::Viewer;
use crate::http::params::{Params, read_span};
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// Longest time a question may take.
const QUESTION_MAX: DurationMs = DurationMs::from_secs(30);
/// Most questions worked on at once; further ones wait.
const QUESTIONS_MAX: usize = 4;
/// Values listed where the caller names no number.
const VALUES_DEFAULT: usize = 10;
/// Most values listed at once.
const VALUES_MAX: usize = 1_000;

static SLOTS: Semaphore = Semaphore::const_new(QUESTIONS_MAX);

/// The routes; each takes its parameters in the address, or by POST as a form. The live tail is no call and stands in
/// [`tail`].
pub fn routes() -> Router<Arc<Node>> {
    Router::new()
        .route("/api/v1/logs/query", get(query).post(query))
        .route("/api/v1/logs/histogram", get(histogram).post(histogram))
        .route("/api/v1/logs/top", get(top).post(top))
}

/// The paths that also take their parameters as a form by POST.
pub const FORM_PATHS: [&str; 3] = ["/api/v1/logs/query", "/api/v1/logs/histogram", "/api/v1/logs/top"];

/// Which lines are wanted; all that is given must hold. Beside these, every field can be asked for by its name
/// (`asset`, `app`, `severity`, `message`, `template`, `attributes.<name>`): `app=dhcpd` is exactly that, several times
/// one of them; `app!=dhcpd` is anything else; `app~=^dhcp` matches a regular expression; `app!~=^dhcp` does not.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters, which are read one by one")]
pub struct Wanted {
    /// Seconds since 1970 or RFC 3339; without it, from the beginning.
    start: Option<String>,
    /// Seconds since 1970 or RFC 3339; without it, to the end.
    end: Option<String>,
    /// How far back from now, in seconds or as `30m`, in place of `start`.
    since: Option<String>,
    /// As bad as this, or worse: `info`, `minor`, `major`, `critical`.
    severity_min: Option<String>,
    /// Messages that hold this text, in any ASCII case; `text!` for those that do not.
    text: Option<String>,
    /// Messages that match this regular expression; `regex!` for those that do not.
    regex: Option<String>,
}

/// How the rows are answered.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters, which are read one by one")]
pub struct Paging {
    /// At most so many rows; 100 where missing, up to 10,000.
    limit: Option<usize>,
    /// `newest` first, or `oldest`.
    order: Option<String>,
    /// `next` of the answer before, to go on from there.
    cursor: Option<String>,
}

/// Lists log lines in the order of time, page by page.
#[utoipa::path(get, path = "/api/v1/logs/query", tag = "logs", params(Wanted, Paging), responses((status = 200, body = Object), (status = 400, body = Object), (status = 503, body = Object)))]
pub async fn query(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let query = ask::read(&params, ask::PAGING)?;
    answered(&node, move |node, limits| Ok(json!(node.logs.search(&query, limits)?))).await
}

/// Counts log lines by severity per step of time.
#[utoipa::path(get, path = "/api/v1/logs/histogram", tag = "logs", params(Wanted, ("step" = String, Query, description = "Seconds, or a span such as 5m.")), responses((status = 200, body = Object), (status = 400, body = Object), (status = 503, body = Object)))]
pub async fn histogram(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let query = ask::read(&params, &["step"])?;
    let step = params.first("step").ok_or_else(|| Problem::bad_request("step is missing; give a span such as 5m"))?;
    let step = read_span(step).map_err(|wrong| Problem::bad_request(format!("step: {wrong}")))?;
    answered(&node, move |node, limits| {
        let mut answer = json!(node.logs.histogram(&query, step, limits)?);
        let severities = [Severity::Info, Severity::Minor, Severity::Major, Severity::Critical];
        answer["severities"] = json!(severities.map(Severity::as_str));
        answer["step"] = json!(step);
        Ok(answer)
    })
    .await
}

/// Lists the most frequent values of one field, or the most frequent combinations of several.
#[utoipa::path(get, path = "/api/v1/logs/top", tag = "logs", params(Wanted, ("field" = Vec<String>, Query, description = "asset, app, severity, message, template or attributes.<name>; up to four."), ("limit" = Option<usize>, Query, description = "At most so many; 10 where missing, up to 1,000.")), responses((status = 200, body = Object), (status = 400, body = Object), (status = 503, body = Object)))]
pub async fn top(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Result<Json<Value>, Problem> {
    let query: LogQuery = ask::read(&params, &["field", "limit"])?;
    let fields = params.all("field").map(ask::field).collect::<Result<Vec<LogField>, _>>()?;
    let limit = ask::limit(&params, VALUES_DEFAULT, VALUES_MAX)?;
    answered(&node, move |node, limits| {
        let mut answer = json!(node.logs.top_values(&query, &fields, limit, limits)?);
        answer["fields"] = json!(fields.iter().map(ToString::to_string).collect::<Vec<_>>());
        Ok(answer)
    })
    .await
}

/// Calls a question off when the client no longer waits for its answer.
struct Waiting(Cancel);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Answers once there is a slot, until the time is over or the client has gone.
async fn answered(
    node: &Arc<Node>,
    work: impl FnOnce(&Node, &SearchLimits) -> Result<Value, Problem> + Send + 'static,
) -> Result<Json<Value>, Problem> {
    let Ok(Ok(slot)) = tokio::time::timeout(QUESTION_MAX.to_std(), SLOTS.acquire()).await else {
        let busy = "the node works on too many questions about logs; try again in a moment";
        return Err(Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, busy));
    };
    let client = Waiting(Cancel::default());
    let limits = SearchLimits { time_max: QUESTION_MAX, cancel: client.0.clone(), ..SearchLimits::default() };
    blocking(node, move |node| {
        let _slot = slot;
        work(node, &limits)
    })
    .await
    .map(Json)
}
