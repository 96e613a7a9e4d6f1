//! A node that is down, opened for reading: the same answers from the same code, without sources and without an
//! engine.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, header};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use wk_config::Config;
use wk_types::Body as RecordBody;

use crate::error::NodeError;
use crate::folder::DataFolder;
use crate::http::server::Peer;
use crate::node::Node;
use crate::outside_logs;
use crate::pipeline::readers::{LOGS, METRICS};
use crate::ship::{Purpose, open_node};

/// How much of the log is decoded at once.
const READ_BYTES: usize = 1 << 20;
/// Largest answer handed out.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// The stores of a node that is down.
pub struct OfflineNode {
    router: Router,
    node: Arc<Node>,
}

impl OfflineNode {
    /// Opens the folder, which must not be in use, and reads what its stores had not yet written into files.
    ///
    /// # Errors
    /// A folder that is in use, newer, or cannot be opened.
    pub async fn open(data: &Path) -> Result<Self, NodeError> {
        let data = data.to_owned();
        let opened = tokio::task::spawn_blocking(move || {
            let folder = DataFolder::open(&data)?;
            let (node, _, _) = open_node(Config::default(), folder, CancellationToken::new(), Purpose::Read)?;
            catch_up(&node)?;
            Ok(Arc::new(node))
        });
        let node =
            opened.await.map_err(|error| NodeError::Store { store: "data folder", source: Box::new(error) })??;
        Ok(Self { router: crate::http::router(&node), node })
    }

    /// Answers a call as the running node would, to whoever can read the folder.
    ///
    /// # Errors
    /// An answer that is too large.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<(u16, Vec<u8>), axum::Error> {
        let content = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .extension(Peer::Local)
            .body(content)
            .map_err(axum::Error::new)?;
        let response = self.router.clone().oneshot(request).await.map_err(axum::Error::new)?;
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX).await?;
        Ok((status, bytes.to_vec()))
    }
}

impl Drop for OfflineNode {
    fn drop(&mut self) {
        self.node.intake.close();
    }
}

/// Takes into memory what the intake log holds beyond the stores' own files.
fn catch_up(node: &Node) -> Result<(), NodeError> {
    // Logs that go to a store outside are on their way there, not into the node's own.
    let are_logs_outside = outside_logs::is_outside(node.folder.root())?;
    let mut at = if are_logs_outside { node.metrics.cursor() } else { node.metrics.cursor().min(node.lake.cursor()) };
    while node.intake.durable() > at {
        let batch = node
            .intake
            .read(at, READ_BYTES)
            .map_err(|source| NodeError::Store { store: "intake log", source: Box::new(source) })?;
        for record in &batch.records {
            match &record.body {
                RecordBody::Samples(series) => {
                    node.metrics
                        .append(record.seq, record.received, series)
                        .map_err(|source| NodeError::Store { store: "metric store", source: Box::new(source) })?;
                }
                RecordBody::Logs(logs) if !are_logs_outside => {
                    node.lake
                        .append(record.seq, record.received, logs)
                        .map_err(|source| NodeError::Store { store: "log store", source: Box::new(source) })?;
                }
                RecordBody::Logs(_) | RecordBody::Tick | RecordBody::Command(_) => {}
            }
        }
        at = batch.next;
    }
    node.stages.reached(METRICS, at);
    node.stages.reached(LOGS, at);
    Ok(())
}
