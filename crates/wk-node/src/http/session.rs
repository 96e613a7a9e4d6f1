//! Set-up, sign-in and sign-out.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use wk_store::state::{Account, Secret};

use crate::clock::now;
use crate::folder::setup_token_path;
use crate::http::auth::{SESSION_COOKIE, Viewer, session_secret};
use crate::http::extract::Form;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::node::Node;

/// How long a browser keeps the cookie; the node ends idle sessions earlier.
const COOKIE_MAX_AGE_S: u32 = 30 * 86_400;

/// Name and password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    name: String,
    password: String,
}

/// The one-time token and the first account.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    token: String,
    name: String,
    password: String,
}

/// Answers who is signed in, or that the node waits to be set up.
#[utoipa::path(get, path = "/api/v1/session", tag = "session", responses((status = 200, body = Object), (status = 401, body = Object)))]
pub async fn show(Shared(node): Shared<Arc<Node>>, viewer: Result<Viewer, Problem>) -> Result<Json<Value>, Problem> {
    match viewer {
        Ok(Viewer(principal)) => Ok(Json(json!({
            "name": principal.name,
            "role": principal.role.as_str(),
            "vessel": {"id": node.vessel.as_str(), "name": node.config.name},
        }))),
        Err(mut problem) => {
            problem.extra = json!({"setup_needed": node.state.accounts()?.is_empty()});
            Err(problem)
        }
    }
}

/// Makes the first account with the one-time token and signs it in.
#[utoipa::path(post, path = "/api/v1/setup", tag = "session", request_body = SetUp, responses((status = 200, body = Object), (status = 403, body = Object)))]
pub async fn set_up(
    Shared(node): Shared<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    Form(form): Form<SetUp>,
) -> Result<Response, Problem> {
    let _slot = slot()?;
    let begun = blocking(&node, move |node| -> Result<_, Problem> {
        node.state.set_up(&form.token, &form.name, &form.password, now())?;
        begin(node, &form.name, &form.password)
    })
    .await?;
    let _ = std::fs::remove_file(setup_token_path(node.folder.root()));
    tracing::info!("the first account was made");
    begun.answer(&node, peer)
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/session", tag = "session", request_body = SignIn, responses((status = 200, body = Object), (status = 403, body = Object)))]
pub async fn sign_in(
    Shared(node): Shared<Arc<Node>>,
    Extension(peer): Extension<Peer>,
    Form(form): Form<SignIn>,
) -> Result<Response, Problem> {
    let _slot = slot()?;
    let begun = blocking(&node, move |node| begin(node, &form.name, &form.password)).await.map_err(|mut problem| {
        // Who is not who they say is not yet anybody who may or may not do something.
        if problem.status == StatusCode::FORBIDDEN {
            problem.status = StatusCode::UNAUTHORIZED;
        }
        problem
    })?;
    begun.answer(&node, peer)
}

/// Signs out.
#[utoipa::path(delete, path = "/api/v1/session", tag = "session", responses((status = 204)))]
pub async fn sign_out(Shared(node): Shared<Arc<Node>>, headers: HeaderMap, _: Viewer) -> Result<Response, Problem> {
    if let Some(secret) = session_secret(&headers) {
        node.state.sign_out(secret)?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie("", 0, false)?);
    Ok(response)
}

/// Hashing a password takes a processor core for a moment; more than this at once are told to come again, so that
/// nobody without an account can make telemetry wait.
static HASHING: Semaphore = Semaphore::const_new(2);

fn slot() -> Result<SemaphorePermit<'static>, Problem> {
    HASHING.try_acquire().map_err(|_| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many are signing in at once; try again in a second")
    })
}

struct Begun {
    secret: Secret,
    account: Account,
}

fn begin(node: &Node, name: &str, password: &str) -> Result<Begun, Problem> {
    let secret = node.state.sign_in(name, password, now())?;
    let account = node
        .state
        .session(secret.expose(), now())?
        .ok_or_else(|| Problem::unauthorized("the session could not be begun; sign in again"))?;
    Ok(Begun { secret, account })
}

impl Begun {
    fn answer(&self, node: &Node, peer: Peer) -> Result<Response, Problem> {
        let tls = matches!(peer, Peer::Tcp { tls: true, .. });
        let body = json!({
            "name": self.account.name,
            "role": self.account.role.as_str(),
            "vessel": {"id": node.vessel.as_str(), "name": node.config.name},
        });
        let mut response = Json(body).into_response();
        response.headers_mut().insert(header::SET_COOKIE, cookie(self.secret.expose(), COOKIE_MAX_AGE_S, tls)?);
        Ok(response)
    }
}

fn cookie(secret: &str, max_age_s: u32, tls: bool) -> Result<HeaderValue, Problem> {
    let secure = if tls { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{SESSION_COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age_s}{secure}"
    ))
    .map_err(|error| Problem::of(wk_types::ErrorKind::Bug, &error))
}

/// Runs what takes long, such as hashing a password or a query, beside the event loop.
pub async fn blocking<T, E, F>(node: &Arc<Node>, work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    E: Into<Problem> + Send + 'static,
    F: FnOnce(&Node) -> Result<T, E> + Send + 'static,
{
    let node = Arc::clone(node);
    match tokio::task::spawn_blocking(move || work(&node)).await {
        Ok(result) => result.map_err(Into::into),
        Err(error) => Err(Problem::of(wk_types::ErrorKind::Bug, &error)),
    }
}
