//! Questions: SQL and plain words.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use serde::Deserialize;
use wk_lake::{SqlAnswer, SqlLimits, SqlSources};
use wk_types::DurationMs;

use crate::assist::NodeShip;
use crate::http::auth::Viewer;
use crate::http::extract::Form;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// Most rows answered.
const ROWS_MAX: usize = 10_000;
/// Longest time a query may take.
const QUERY_MAX: DurationMs = DurationMs::from_secs(30);

/// A query in SQLite's dialect over `logs`, `incidents`, `signals`, `assets`, `metrics_5m` and `metrics_1h`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    query: String,
}

/// Answers SQL. Times are texts such as `2026-11-24 02:14:00.000`, in UTC.
#[utoipa::path(post, path = "/api/v1/sql", tag = "query", request_body = SqlQuery, responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn sql(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Form(SqlQuery { query }): Form<SqlQuery>,
) -> Result<Json<SqlAnswer>, Problem> {
    let limits = SqlLimits { rows_max: ROWS_MAX, time_max: QUERY_MAX, ..SqlLimits::default() };
    let ask = move |node: &Node| {
        let sources = SqlSources { state_db: &node.state.path(), rollups: Some(Arc::new(node.metrics.clone())) };
        node.logs.sql(&sources, &query, &limits)
    };
    blocking(&node, ask).await.map(Json)
}

/// A question in plain words.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Question {
    question: String,
}

/// Answers a question, showing the query it ran. Times in `data`, such as an incident's `opened`, are RFC 3339 texts, where
/// `/api/v1/incidents` has milliseconds since 1970.
#[utoipa::path(post, path = "/api/v1/ask", tag = "query", request_body = Question, responses((status = 200, body = Object)))]
pub async fn ask(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    Form(Question { question }): Form<Question>,
) -> Result<Json<wk_assist::Answer>, Problem> {
    blocking(&node, move |node| -> Result<_, Problem> { Ok(wk_assist::answer(&question, &NodeShip(node))) })
        .await
        .map(Json)
}
