//! As much of Elasticsearch's interface as senders of logs use. An answer with success means "it is on disk".

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Shared};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_http::decompression::RequestDecompressionLayer;
use wk_ingest::bulk;

use crate::http::auth::Ingest;
use crate::http::ingest::{count_encoding_of, counted, store};
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::node::Node;
use crate::sources::{self, ELASTICSEARCH};

/// The version that senders are told: the oldest one that all of today's take, so that none expects more than there is.
const VERSION: &str = "7.17.0";
/// Where the interface stands on the node's own address, whose root is the console.
pub const PREFIX: &str = "/elasticsearch";

/// The paths that senders to Elasticsearch use, from the root of an address kept for them.
pub fn routes(node: &Arc<Node>) -> Router<Arc<Node>> {
    let bulk = Router::new()
        .route("/_bulk", post(all).put(all))
        .route("/{index}/_bulk", post(one).put(one))
        .route("/{index}/{kind}/_bulk", post(one_of_kind).put(one_of_kind))
        .layer(DefaultBodyLimit::max(node.config.http.body_bytes_max.min(bulk::BODY_BYTES_MAX)))
        .layer(RequestDecompressionLayer::new())
        .layer(axum::middleware::map_response_with_state((Arc::clone(node), ELASTICSEARCH), count_encoding_of));
    // What senders ask for before they send, and set up for searches that are made elsewhere here.
    let probes = Router::new()
        .route("/", get(about))
        .route("/_license", get(license))
        .route("/_xpack", get(license))
        .route("/_cluster/health", get(health))
        .route("/_nodes/http", get(nodes))
        .route("/_cat/{*rest}", get(async || StatusCode::OK))
        .route("/_template/{name}", any(set_up))
        .route("/_index_template/{name}", any(set_up))
        .route("/_component_template/{name}", any(set_up))
        .route("/_ilm/policy/{name}", any(set_up))
        .route("/_ingest/pipeline/{name}", any(set_up))
        .route("/_alias/{name}", any(set_up))
        .route("/_data_stream/{name}", any(set_up))
        .route("/{index}", any(set_up))
        .layer(DefaultBodyLimit::max(super::FORM_BYTES_MAX));
    bulk.merge(probes).layer(axum::middleware::from_fn(as_elasticsearch))
}

/// Takes documents as Beats, Logstash, Fluent Bit, Vector and rsyslog send them; each has a status of its own.
#[utoipa::path(post, path = "/elasticsearch/_bulk", tag = "ingest", request_body(content = String, content_type = "application/x-ndjson"), responses((status = 200, body = Object), (status = 400, body = Object), (status = 413, body = Object), (status = 429, body = Object)))]
pub async fn all(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    take(node, ingest, body, None).await
}

async fn one(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    Path(index): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    take(node, ingest, body, Some(index)).await
}

async fn one_of_kind(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    Path((index, _kind)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    take(node, ingest, body, Some(index)).await
}

async fn take(
    node: Arc<Node>,
    ingest: Ingest,
    body: Result<Bytes, BytesRejection>,
    index: Option<String>,
) -> Result<Json<Value>, Problem> {
    let begun = Instant::now();
    let context = sources::context(&node, ELASTICSEARCH, false);
    let body = counted(&context, body)?;
    let mut parsed = blocking(&node, move |node| -> Result<_, Problem> {
        let context = sources::context(node, ELASTICSEARCH, false);
        bulk::parse(&context, &body, index.as_deref(), ingest.peer).map_err(|error| {
            context.stats.rejected("not a bulk request", 1, &chain(&error));
            Problem::new(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), chain(&error))
        })
    })
    .await?;
    let stored = store(&context, std::mem::take(&mut parsed.records)).await;
    stored.map_err(|problem| match problem.status {
        // Senders to Elasticsearch wait and try again after 429; some give up after 503.
        StatusCode::SERVICE_UNAVAILABLE => Problem { status: StatusCode::TOO_MANY_REQUESTS, ..problem },
        _ => problem,
    })?;
    let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(parsed.answer(took)))
}

async fn about(Shared(node): Shared<Arc<Node>>, _: Ingest) -> Json<Value> {
    Json(json!({
        "name": node.own_asset.as_str(), "cluster_name": "watchkeeper", "cluster_uuid": node.vessel.to_string(),
        "version": {
            "number": VERSION, "build_flavor": "default", "build_type": "tar", "build_hash": "unknown",
            "build_date": "2022-01-28T08:36:04.875279988Z", "build_snapshot": false, "lucene_version": "8.11.1",
            "minimum_wire_compatibility_version": "6.8.0", "minimum_index_compatibility_version": "6.0.0-beta1",
        },
        "tagline": "You Know, for Search",
    }))
}

async fn license(_: Ingest) -> Json<Value> {
    Json(json!({
        "license": {"status": "active", "uid": "watchkeeper", "type": "basic", "mode": "basic"},
        "features": {"ilm": {"available": false, "enabled": false}},
    }))
}

async fn health(_: Ingest) -> Json<Value> {
    Json(json!({"cluster_name": "watchkeeper", "status": "green", "number_of_nodes": 1, "timed_out": false}))
}

async fn nodes(_: Ingest) -> Json<Value> {
    Json(json!({"_nodes": {"total": 1, "successful": 1, "failed": 0}, "cluster_name": "watchkeeper", "nodes": {}}))
}

/// Templates, policies and aliases: there is nothing to set up, so they are said to be there already and are taken
/// without effect.
async fn set_up(method: Method, _: Ingest) -> Response {
    match method {
        Method::HEAD => StatusCode::OK.into_response(),
        Method::GET => Json(json!({})).into_response(),
        Method::PUT | Method::POST => Json(json!({"acknowledged": true})).into_response(),
        _ => Problem::new(StatusCode::METHOD_NOT_ALLOWED, "logs are neither changed nor deleted").into_response(),
    }
}

/// Gives answers what clients of Elasticsearch look for: the header with which it names itself, and its form of errors.
async fn as_elasticsearch(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = in_its_form(response).await;
    }
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

async fn in_its_form(response: Response) -> Response {
    use http_body_util::BodyExt as _;
    let (parts, body) = response.into_parts();
    let said = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let problem: Value = serde_json::from_slice(&said).unwrap_or_default();
    let reason = problem["error"].as_str().map_or_else(|| String::from_utf8_lossy(&said).into_owned(), str::to_owned);
    let kind = match parts.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::TOO_MANY_REQUESTS => "es_rejected_execution_exception",
        _ => "illegal_argument_exception",
    };
    let error = json!({"type": kind, "reason": reason, "root_cause": [{"type": kind, "reason": reason}]});
    let answer = Json(json!({"error": error, "status": parts.status.as_u16()}));
    (parts.status, answer).into_response()
}
