//! Tokens, the set-up token, the journal and the mail ledger.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wk_store::state::{Head, MessageFilter, MessageState, NewEvent, Role, TokenId};

use crate::clock::now;
use crate::folder::{setup_token_path, write_private};
use crate::http::auth::{Admin, Operator, Viewer};
use crate::http::extract::{Form, Query};
use crate::http::incidents::describe_message;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// Entries listed where the caller names no number.
const ENTRIES_DEFAULT: usize = 50;

/// A token to make.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// `ingest`, `viewer`, `operator`, `approver` or `admin`.
    role: String,
    /// What it is for.
    #[serde(default)]
    label: String,
}

/// Makes a token; its secret is answered this once and kept only as a hash.
#[utoipa::path(post, path = "/api/v1/tokens", tag = "tokens", request_body = NewToken, responses((status = 201, body = Object)))]
pub async fn create(
    Shared(node): Shared<Arc<Node>>,
    Admin(principal): Admin,
    Form(form): Form<NewToken>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let role: Role = form.role.parse()?;
    blocking(&node, move |node| -> Result<_, Problem> {
        let person = principal.person(node)?;
        let (id, secret) = node.state.create_token(role, &form.label, Some(&person), now())?;
        let answer = json!({"id": id, "role": role.as_str(), "label": form.label, "secret": secret.expose()});
        Ok((StatusCode::CREATED, Json(answer)))
    })
    .await
}

/// Lists tokens, without their secrets.
#[utoipa::path(get, path = "/api/v1/tokens", tag = "tokens", responses((status = 200, body = Object)))]
pub async fn list(Shared(node): Shared<Arc<Node>>, _: Admin) -> Result<Json<Value>, Problem> {
    let tokens = blocking(&node, |node| node.state.tokens()).await?;
    Ok(Json(json!({ "tokens": tokens })))
}

/// Revokes a token.
#[utoipa::path(delete, path = "/api/v1/tokens/{id}", tag = "tokens", params(("id" = String, Path)), responses((status = 204), (status = 404, body = Object)))]
pub async fn revoke(
    Shared(node): Shared<Arc<Node>>,
    Admin(principal): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> {
        let person = principal.person(node)?;
        node.state.revoke_token(&TokenId::from(id.as_str()), Some(&person), now())?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Makes a new one-time set-up token in place of the one before, while no account exists.
#[utoipa::path(post, path = "/api/v1/setup-token", tag = "tokens", responses((status = 200, body = Object), (status = 409, body = Object)))]
pub async fn issue_setup_token(Shared(node): Shared<Arc<Node>>, _: Admin) -> Result<Json<Value>, Problem> {
    blocking(&node, |node| -> Result<_, Problem> {
        let token = renew_setup_token(node)?
            .ok_or_else(|| Problem::new(StatusCode::CONFLICT, "the node is set up already; sign in with an account"))?;
        Ok(Json(json!({"token": token, "file": setup_token_path(node.folder.root())})))
    })
    .await
}

/// Issues a set-up token and writes it to its file, readable by its owner alone; `None` once an account exists.
///
/// # Errors
/// A state database or folder that cannot be written.
pub fn renew_setup_token(node: &Node) -> Result<Option<String>, Problem> {
    let Some(token) = node.state.issue_setup_token(now())? else { return Ok(None) };
    let line = format!("{}\n", token.expose());
    write_private(&setup_token_path(node.folder.root()), line.as_bytes())
        .map_err(|error| Problem::of(wk_types::ErrorKind::Unavailable, &error))?;
    Ok(Some(token.expose().to_owned()))
}

/// Which mails.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct MailQuery {
    /// `queued`, `delivered`, `dead` or `superseded`; all where missing.
    state: Option<String>,
}

/// Lists mails and what became of them, newest first.
#[utoipa::path(get, path = "/api/v1/mails", tag = "mail", params(MailQuery), responses((status = 200, body = Object)))]
pub async fn mails(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Query(query): Query<MailQuery>,
) -> Result<Json<Value>, Problem> {
    let states = [MessageState::Queued, MessageState::Delivered, MessageState::Dead, MessageState::Superseded];
    let state = match query.state.as_deref() {
        None => None,
        Some(word) => Some(states.into_iter().find(|state| state.as_str() == word).ok_or_else(|| {
            Problem::bad_request(format!("{word:?} is no state; use queued, delivered, dead or superseded"))
        })?),
    };
    let messages =
        blocking(&node, move |node| node.state.messages(&MessageFilter { state, ..MessageFilter::default() })).await?;
    Ok(Json(json!({"messages": messages.iter().map(describe_message).collect::<Vec<_>>()})))
}

/// Which entries of the journal.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct JournalQuery {
    /// Only those of this kind.
    kind: Option<String>,
    /// The last so many; 50 where missing.
    limit: Option<usize>,
}

/// Lists the journal's last entries, oldest first.
#[utoipa::path(get, path = "/api/v1/journal", tag = "journal", params(JournalQuery), responses((status = 200, body = Object)))]
pub async fn journal(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Query(query): Query<JournalQuery>,
) -> Result<Json<Value>, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> {
        let limit = query.limit.unwrap_or(ENTRIES_DEFAULT);
        let mut entries = node.state.journal_latest(query.kind.as_deref(), None, limit)?;
        entries.reverse();
        let entries: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let text = crate::story::line(&entry.kind, &entry.body);
                json!({"entry": entry.entry, "recorded": entry.recorded, "kind": entry.kind, "text": text, "body": entry.body})
            })
            .collect();
        Ok(Json(json!({ "entries": entries })))
    })
    .await
}

/// The journal's signed head, to keep elsewhere as a witness.
#[utoipa::path(get, path = "/api/v1/journal/head", tag = "journal", responses((status = 200, body = Object)))]
pub async fn journal_head(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Result<Json<Head>, Problem> {
    blocking(&node, |node| node.state.head()).await.map(Json)
}

/// Confirms that the clock is right, after a jump held back deletion by age.
#[utoipa::path(post, path = "/api/v1/clock/confirm", tag = "node", responses((status = 200, body = Object)))]
pub async fn confirm_clock(
    Shared(node): Shared<Arc<Node>>,
    Operator(principal): Operator,
) -> Result<Json<Value>, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> {
        let person = principal.person(node)?;
        let time = now();
        node.metrics.confirm_clock(time);
        node.lake.confirm_clock();
        let key = format!("clock/{}", time.0);
        let event = NewEvent { kind: "clock_confirmed", key: &key, by: Some(&person), body: &json!({"time": time}) };
        node.state.record_event(&event, time)?;
        Ok(Json(json!({"time": time.to_string()})))
    })
    .await
}
