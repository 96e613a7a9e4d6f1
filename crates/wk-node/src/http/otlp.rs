//! OpenTelemetry over HTTP and gRPC. An answer with success means "it is on disk"; what cannot be taken is said in it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tower_http::decompression::RequestDecompressionLayer;
use wk_ingest::otlp::{self, BODY_BYTES_MAX, Encoding, OtlpError, Telemetry};
use wk_types::NewRecord;

use crate::http::auth::Ingest;
use crate::http::grpc::{self, Code};
use crate::http::ingest::{count_encoding_of, counted, store, text};
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::node::Node;
use crate::sources::{self, OTLP};

/// The paths of the OTLP specification, on the node's own address and on the one kept for OTLP.
pub fn routes(node: &Arc<Node>) -> Router<Arc<Node>> {
    Router::new()
        .route("/v1/logs", post(logs))
        .route("/v1/metrics", post(metrics))
        .layer(DefaultBodyLimit::max(node.config.http.body_bytes_max.min(BODY_BYTES_MAX)))
        .layer(RequestDecompressionLayer::new())
        .layer(axum::middleware::map_response_with_state((Arc::clone(node), OTLP), count_encoding_of))
}

/// The two calls of gRPC.
pub fn grpc_routes(node: &Arc<Node>) -> Router<Arc<Node>> {
    let prefix = "/opentelemetry.proto.collector";
    let call = async |Shared(node): Shared<Arc<Node>>, ingest: Ingest, headers: HeaderMap, body| {
        export(node, ingest, headers, body, Telemetry::Logs).await
    };
    let metrics = async |Shared(node): Shared<Arc<Node>>, ingest: Ingest, headers: HeaderMap, body| {
        export(node, ingest, headers, body, Telemetry::Metrics).await
    };
    Router::new()
        .route(&format!("{prefix}.logs.v1.LogsService/Export"), post(call))
        .route(&format!("{prefix}.metrics.v1.MetricsService/Export"), post(metrics))
        .fallback(async || grpc::refused(Code::Unimplemented, "only the Export of logs and metrics is served here"))
        .layer(DefaultBodyLimit::max(node.config.http.body_bytes_max.min(BODY_BYTES_MAX) + grpc::PREFIX_BYTES))
}

/// Takes log records over OTLP, in protobuf or JSON; the answer's `partialSuccess` says what was not taken.
#[utoipa::path(post, path = "/v1/logs", tag = "ingest", request_body(content = Vec<u8>, content_type = "application/x-protobuf"), responses((status = 200), (status = 400), (status = 413), (status = 415), (status = 503)))]
pub async fn logs(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(node, ingest, &headers, body, Telemetry::Logs).await
}

/// Takes metrics over OTLP, in protobuf or JSON; they are named as Prometheus names them. Sums and histograms have to be
/// cumulative; the answer's `partialSuccess` says what was not taken.
#[utoipa::path(post, path = "/v1/metrics", tag = "ingest", request_body(content = Vec<u8>, content_type = "application/x-protobuf"), responses((status = 200), (status = 400), (status = 413), (status = 415), (status = 503)))]
pub async fn metrics(
    Shared(node): Shared<Arc<Node>>,
    ingest: Ingest,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    take(node, ingest, &headers, body, Telemetry::Metrics).await
}

async fn take(
    node: Arc<Node>,
    ingest: Ingest,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    telemetry: Telemetry,
) -> Response {
    let context = sources::context(&node, OTLP, false);
    let encoding = match Encoding::of(text(headers, &header::CONTENT_TYPE)) {
        Ok(encoding) => encoding,
        Err(error) => {
            context.stats.rejected("not OTLP", 1, &chain(&error));
            return refusal(Encoding::Json, &problem(&error));
        }
    };
    let answer = match counted(&context, body) {
        Ok(body) => receive(&node, body, encoding, telemetry, ingest.peer).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(answer) => ([(header::CONTENT_TYPE, encoding.content_type())], answer).into_response(),
        Err(problem) => refusal(encoding, &problem),
    }
}

/// Reads, stores and answers a request of either transport.
async fn receive(
    node: &Arc<Node>,
    body: Bytes,
    encoding: Encoding,
    telemetry: Telemetry,
    peer: Option<IpAddr>,
) -> Result<Vec<u8>, Problem> {
    let (records, answer) = blocking(node, move |node| -> Result<_, Problem> {
        read(node, &body, encoding, telemetry, peer).map_err(|error| {
            sources::context(node, OTLP, false).stats.rejected("not OTLP", 1, &chain(&error));
            problem(&error)
        })
    })
    .await?;
    store(&sources::context(node, OTLP, false), records).await?;
    Ok(answer)
}

/// The records of a request, and its answer once they are on disk.
fn read(
    node: &Node,
    body: &[u8],
    encoding: Encoding,
    telemetry: Telemetry,
    peer: Option<IpAddr>,
) -> Result<(Vec<NewRecord>, Vec<u8>), OtlpError> {
    let context = sources::context(node, OTLP, false);
    match telemetry {
        Telemetry::Logs => {
            let parsed = otlp::logs::parse(&context, body, encoding, peer)?;
            let answer = otlp::answer(telemetry, encoding, &parsed.rejected);
            Ok((parsed.records, answer))
        }
        Telemetry::Metrics => {
            let series = node.series.request(&context, peer);
            let mut parsed = otlp::metrics::parse(body, encoding, series, &node.starts)?;
            node.metadata.note(std::mem::take(&mut parsed.metadata));
            let answer = otlp::answer(telemetry, encoding, &parsed.rejected);
            Ok((otlp::metrics::records(&context, parsed), answer))
        }
    }
}

async fn export(
    node: Arc<Node>,
    ingest: Ingest,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
    telemetry: Telemetry,
) -> Response {
    let context = sources::context(&node, OTLP, false);
    let message = match counted(&context, body) {
        Ok(body) => grpc::message(&body, text(&headers, &grpc::ENCODING), BODY_BYTES_MAX).inspect_err(|problem| {
            context.stats.rejected("not a gRPC message", 1, &problem.message);
        }),
        Err(problem) => Err(problem),
    };
    let answer = match message {
        Ok(message) => receive(&node, message, Encoding::Protobuf, telemetry, ingest.peer).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(answer) => grpc::answered(&answer),
        Err(problem) => grpc::refused(Code::of(problem.status), &problem.message),
    }
}

fn problem(error: &OtlpError) -> Problem {
    Problem::new(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), chain(error))
}

/// A refusal as the specification has it: a `Status` in the encoding of the request.
fn refusal(encoding: Encoding, problem: &Problem) -> Response {
    let body = otlp::refusal(encoding, Code::of(problem.status) as u16, &problem.message);
    let mut response = (problem.status, [(header::CONTENT_TYPE, encoding.content_type())], body).into_response();
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}
