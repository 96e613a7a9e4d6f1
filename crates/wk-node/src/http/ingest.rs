//! Telemetry over HTTP: Prometheus remote write, and JSON logs. An answer with success means "it is on disk".

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wk_ingest::remote_write::{self, RemoteWrite, Version};
use wk_ingest::{Refused, SourceContext, json_logs};
use wk_types::{NewRecord, Seq};

use crate::http::auth::Ingest;
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::node::Node;
use crate::sources::{self, JSON_LOGS, REMOTE_WRITE};

/// Names the records that a write became, for `watchkeeper trace`.
const RECORDS_HEADER: &str = "x-watchkeeper-records";

/// Takes Prometheus remote write 1.0, and 2.0 under its content type, whose answers say how much was written.
#[utoipa::path(post, path = "/api/v1/write", tag = "ingest", request_body(content = Vec<u8>, content_type = "application/x-protobuf"), responses((status = 204), (status = 400, body = Object), (status = 413, body = Object), (status = 415, body = Object), (status = 503, body = Object)))]
pub async fn write(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let context = sources::context(&node, REMOTE_WRITE, false);
    let body = counted(&context, body)?;
    let (records, written) = blocking(&node, move |node| -> Result<_, Problem> {
        let context = sources::context(node, REMOTE_WRITE, false);
        let mut parsed = remote_write::parse(
            &body,
            text(&headers, &header::CONTENT_TYPE),
            text(&headers, &header::CONTENT_ENCODING),
            node.series.request(&context, ingest.peer),
        )
        .map_err(|error| {
            context.stats.rejected("not remote write", 1, &chain(&error));
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            Problem::new(status, chain(&error))
        })?;
        node.metadata.note(std::mem::take(&mut parsed.metadata));
        let written = Written::of(&parsed);
        Ok((remote_write::records(&context, parsed), written))
    })
    .await?;
    let stored = store(&context, records).await?;
    let names: Vec<String> = stored.iter().map(ToString::to_string).collect();
    Ok((([(RECORDS_HEADER, names.join(","))]), written).into_response())
}

/// What the sender is told once everything good is on disk.
enum Written {
    /// Remote write 1.0: nothing.
    One,
    /// Remote write 2.0: how many samples were written, and why others were not.
    Two { samples: usize, refusal: Option<String> },
}

impl Written {
    fn of(parsed: &RemoteWrite) -> Self {
        if parsed.version == Version::One {
            return Self::One;
        }
        let reasons: Vec<String> = parsed
            .rejected
            .iter()
            .map(|one| format!("{} ({} times, such as {})", one.reason, one.count, one.example.trim_end()))
            .collect();
        let refusal = (!reasons.is_empty()).then(|| format!("not everything was written: {}", reasons.join("; ")));
        Self::Two { samples: parsed.samples(), refusal }
    }
}

impl IntoResponse for Written {
    fn into_response(self) -> Response {
        let Self::Two { samples, refusal } = self else { return StatusCode::NO_CONTENT.into_response() };
        let counts = [
            ("x-prometheus-remote-write-samples-written", samples.to_string()),
            ("x-prometheus-remote-write-histograms-written", "0".to_owned()),
            ("x-prometheus-remote-write-exemplars-written", "0".to_owned()),
        ];
        match refusal {
            None => (StatusCode::NO_CONTENT, counts).into_response(),
            Some(refusal) => (counts, Problem::bad_request(refusal)).into_response(),
        }
    }
}

/// Takes JSON lines or a JSON array, as Vector's `http` sink and Fluent Bit's `http` output send them.
#[utoipa::path(post, path = "/api/v1/logs", tag = "ingest", request_body(content = String, content_type = "application/x-ndjson"), responses((status = 200, body = Object), (status = 400, body = Object), (status = 413, body = Object), (status = 503, body = Object)))]
pub async fn logs(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let context = sources::context(&node, JSON_LOGS, false);
    let body = counted(&context, body)?;
    let (rejected, rejected_count, records) = blocking(&node, move |node| -> Result<_, Problem> {
        let context = sources::context(node, JSON_LOGS, false);
        let parsed = json_logs::parse(&body);
        let rejected: Vec<Value> = parsed
            .rejected
            .iter()
            .map(|one| json!({"line": one.line, "reason": one.reason, "example": one.example}))
            .collect();
        let count = parsed.rejected_count;
        Ok((rejected, count, json_logs::records(&context, parsed, ingest.peer)))
    })
    .await?;
    let accepted: usize = records.iter().map(|record| record.body.items()).sum();
    let stored = store(&context, records).await?;
    let status = if accepted == 0 && rejected_count > 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let mut answer = json!({
        "accepted": accepted, "rejected": rejected_count, "rejections": rejected,
        "records": stored.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    if status == StatusCode::BAD_REQUEST {
        answer["error"] = json!("no line could be taken; rejections says why");
    }
    Ok((status, Json(answer)))
}

/// The body, or its refusal, which is counted: too large, cut off, or not what its encoding says.
pub(super) fn counted(context: &SourceContext, body: Result<Bytes, BytesRejection>) -> Result<Bytes, Problem> {
    body.map_err(|rejection| {
        let too_large = rejection.status() == StatusCode::PAYLOAD_TOO_LARGE;
        let reason = if too_large { "body too large" } else { "body cannot be read" };
        context.stats.rejected(reason, 1, &rejection.body_text());
        let hint = if too_large { "; send smaller batches" } else { "" };
        Problem::new(rejection.status(), format!("{}{hint}", rejection.body_text()))
    })
}

/// Counts a body in an encoding that is not taken, which is refused before it reaches the handler of a source.
pub(super) async fn count_encoding_of(
    Shared((node, source)): Shared<(Arc<Node>, &'static str)>,
    response: Response,
) -> Response {
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && !response.headers().contains_key(header::CONTENT_TYPE)
    {
        sources::context(&node, source, false).stats.rejected("content encoding is not taken", 1, "");
    }
    response
}

/// A header's value, where it is text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Stores records in order; answers once all are on disk.
pub(super) async fn store(context: &SourceContext, records: Vec<NewRecord>) -> Result<Vec<Seq>, Problem> {
    let queued: Vec<_> =
        records.into_iter().map(|record| (record.body.items() as u64, context.intake.append(record))).collect();
    let mut stored = Vec::with_capacity(queued.len());
    let mut refused: Option<Refused> = None;
    for (items, ack) in queued {
        match ack.await {
            Ok(seq) => {
                context.stats.accepted(items);
                stored.push(seq);
            }
            Err(error) => refused = Some(error),
        }
    }
    refused.map_or(Ok(stored), |error| Err(error.into()))
}
