//! Incidents: the list, one of them with everything that belongs to it, and what people do with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wk_store::state::{IncidentFilter, JournalEntry, Message, MessageFilter, MessageState};
use wk_types::{Body, Command, CommandId, Incident, IncidentId, IncidentState, NewRecord, PersonRef, Verb};

use crate::clock::now;
use crate::http::auth::{Operator, Viewer};
use crate::http::extract::{Form, Query};
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// Incidents listed where the caller names no number.
const LIMIT_DEFAULT: usize = 50;
/// Most incidents listed at once.
const LIMIT_MAX: usize = 1_000;
/// Longest remark taken, in bytes.
const COMMENT_BYTES_MAX: usize = 4_096;

/// Which incidents.
#[derive(Deserialize, utoipa::IntoParams)]
pub struct ListQuery {
    /// States, joined with commas: `open,acknowledged,resolved`; all where missing.
    state: Option<String>,
    /// At most so many; 50 where missing.
    limit: Option<usize>,
}

/// Lists incidents, the latest first. Times here and everywhere in this interface are milliseconds since 1970, except
/// in the answers to questions (`/api/v1/ask`) and to SQL, which have texts.
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(ListQuery), responses((status = 200, body = Object)))]
pub async fn list(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Query(query): Query<ListQuery>,
) -> Result<Json<Value>, Problem> {
    let states = query.state.as_deref().map(read_states).transpose()?.unwrap_or_default();
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX);
    blocking(&node, move |node| -> Result<_, Problem> {
        let incidents = node.state.incidents(&IncidentFilter { states, limit, ..IncidentFilter::default() })?;
        let incidents = incidents.iter().map(|one| describe(node, one)).collect::<Result<Vec<_>, _>>()?;
        Ok(Json(json!({ "incidents": incidents })))
    })
    .await
}

fn read_states(text: &str) -> Result<Vec<IncidentState>, Problem> {
    text.split(',')
        .filter(|word| !word.is_empty())
        .map(|word| {
            [IncidentState::Open, IncidentState::Acknowledged, IncidentState::Resolved]
                .into_iter()
                .find(|state| state.as_str() == word.trim())
                .ok_or_else(|| {
                    Problem::bad_request(format!("{word:?} is no state; use open, acknowledged or resolved"))
                })
        })
        .collect()
}

/// The incident as JSON, with the name of who took it.
pub fn describe(node: &Node, incident: &Incident) -> Result<Value, Problem> {
    let mut value = serde_json::to_value(incident).map_err(|error| Problem::of(wk_types::ErrorKind::Bug, &error))?;
    value["acknowledged_by_name"] = json!(name_of(node, incident.acknowledged_by.as_ref())?);
    Ok(value)
}

fn name_of(node: &Node, person: Option<&PersonRef>) -> Result<Option<String>, Problem> {
    let Some(person) = person else { return Ok(None) };
    Ok(Some(node.state.person_name(person)?.unwrap_or_else(|| "(erased)".to_owned())))
}

/// Shows one incident with signals, reasons, timeline and messages.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents", params(("id" = String, Path)), responses((status = 200, body = Object), (status = 404, body = Object)))]
pub async fn show(Shared(node): Shared<Arc<Node>>, _: Viewer, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> {
        let id = IncidentId::from(id);
        let detail = node.state.incident(&id)?.ok_or_else(|| {
            Problem::not_found(format!("there is no incident {id}; watchkeeper incidents lists them"))
        })?;
        let because: Vec<Value> =
            detail.because.iter().map(|(signal, because)| json!({"signal": signal, "because": because})).collect();
        let timeline = detail.timeline.iter().map(|entry| tell(node, entry)).collect::<Result<Vec<_>, _>>()?;
        let messages = node.state.messages(&MessageFilter { incident: Some(id), ..MessageFilter::default() })?;
        Ok(Json(json!({
            "incident": describe(node, &detail.incident)?,
            "signals": detail.signals,
            "because": because,
            "timeline": timeline,
            "messages": messages.iter().map(describe_message).collect::<Vec<_>>(),
        })))
    })
    .await
}

/// A message of the spool without its text.
pub fn describe_message(message: &Message) -> Value {
    let delivered = message.finished.filter(|_| message.state == MessageState::Delivered);
    json!({
        "id": message.id, "recipient": message.recipient, "subject": message.subject, "state": message.state,
        "queued": message.created, "attempts": message.attempts, "last_error": message.error,
        "next_attempt": message.next_attempt, "delivered": delivered, "receipt": message.receipt,
    })
}

/// One line of the timeline.
fn tell(node: &Node, entry: &JournalEntry) -> Result<Value, Problem> {
    let body = &entry.body;
    Ok(json!({
        "entry": entry.entry,
        "recorded": entry.recorded,
        "at": body.get("at").unwrap_or(&json!(entry.recorded)),
        "kind": entry.kind,
        "text": crate::story::line(&entry.kind, body),
        "by": name_of(node, entry.by.as_ref())?,
    }))
}

/// A remark.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    text: String,
}

/// Takes an incident.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/acknowledge", tag = "incidents", params(("id" = String, Path)), responses((status = 202, body = Object)))]
pub async fn acknowledge(
    Shared(node): Shared<Arc<Node>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    command(&node, operator, id, |incident| Verb::Acknowledge { incident }).await
}

/// Closes an incident by hand.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolve", tag = "incidents", params(("id" = String, Path)), responses((status = 202, body = Object)))]
pub async fn resolve(
    Shared(node): Shared<Arc<Node>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    command(&node, operator, id, |incident| Verb::Resolve { incident }).await
}

/// Adds a remark to an incident's timeline.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/comment", tag = "incidents", params(("id" = String, Path)), request_body = Comment, responses((status = 202, body = Object)))]
pub async fn comment(
    Shared(node): Shared<Arc<Node>>,
    operator: Operator,
    Path(id): Path<String>,
    Form(Comment { text }): Form<Comment>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.len() > COMMENT_BYTES_MAX {
        return Err(Problem::bad_request(format!(
            "a remark has 1 to {COMMENT_BYTES_MAX} bytes, this one has {}",
            text.len()
        )));
    }
    command(&node, operator, id, |incident| Verb::Comment { incident, text }).await
}

/// Puts a command into the intake log; the engine carries it out, in order with everything else.
async fn command(
    node: &Arc<Node>,
    Operator(principal): Operator,
    id: String,
    verb: impl FnOnce(IncidentId) -> Verb,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let incident = IncidentId::from(id);
    let looked_up = incident.clone();
    let person = blocking(node, move |node| -> Result<_, Problem> {
        if node.state.incident(&looked_up)?.is_none() {
            return Err(Problem::not_found(format!(
                "there is no incident {looked_up}; watchkeeper incidents lists them"
            )));
        }
        principal.person(node)
    })
    .await?;
    let id = send(node, Some(person), verb(incident)).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"command": id.as_str()}))))
}

/// Appends a command to the intake log and answers its id once it is on disk.
pub async fn send(node: &Node, by: Option<PersonRef>, verb: Verb) -> Result<CommandId, Problem> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let id = CommandId::from(format!("cmd-{}", hex::encode(random)));
    let command = Command { id: id.clone(), by, verb };
    let record = NewRecord { received: now(), source: "commands".into(), body: Body::Command(Box::new(command)) };
    node.append(record).await?;
    Ok(id)
}
