//! Moving what the node holds to a store outside.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use wk_store::state::NewEvent;

use crate::clock::now;
use crate::http::auth::{Admin, Viewer};
use crate::http::extract::Form;
use crate::http::problem::{Problem, chain};
use crate::http::session::blocking;
use crate::migrate::{self, MigrationError, MigrationStatus};
use crate::node::Node;

/// How the metrics are to be moved.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MigrateMetrics {
    /// Whether the node's own blocks are given up once all has been sent and nothing was refused.
    #[serde(default)]
    drop: bool,
}

impl From<MigrationError> for Problem {
    fn from(error: MigrationError) -> Self {
        let status = match &error {
            MigrationError::NowhereToGo => StatusCode::BAD_REQUEST,
            MigrationError::Running => StatusCode::CONFLICT,
            MigrationError::Progress(_) | MigrationError::Start(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, chain(&error))
    }
}

/// Begins to send what the node's own metric store holds to the one outside, or goes on with it.
#[utoipa::path(post, path = "/api/v1/migrate/metrics", tag = "node", request_body = MigrateMetrics, responses((status = 202, body = Object), (status = 400, body = Object), (status = 409, body = Object)))]
pub async fn begin_metrics(
    Shared(node): Shared<Arc<Node>>,
    Admin(principal): Admin,
    Form(MigrateMetrics { drop }): Form<MigrateMetrics>,
) -> Result<(StatusCode, Json<MigrationStatus>), Problem> {
    let shared = Arc::clone(&node);
    blocking(&node, move |node| -> Result<_, Problem> {
        let person = principal.person(node)?;
        migrate::begin(&shared, drop)?;
        let time = now();
        let key = format!("migrate-metrics/{}", time.0);
        let body = json!({"drop": drop});
        let event = NewEvent { kind: "metrics_migration_begun", key: &key, by: Some(&person), body: &body };
        node.state.record_event(&event, time)?;
        Ok((StatusCode::ACCEPTED, Json(node.migration.status())))
    })
    .await
}

/// Tells how far the metrics have come on their way outside.
#[utoipa::path(get, path = "/api/v1/migrate/metrics", tag = "node", responses((status = 200, body = Object)))]
pub async fn show_metrics(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Json<Value> {
    Json(json!(node.migration.status()))
}
