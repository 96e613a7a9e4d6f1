//! The live stream: what changed, as server-sent events; the console fetches what it needs again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use serde_json::{Value, json};

use crate::http::auth::Viewer;
use crate::node::Node;

/// How often a status event is sent, so that gauges stay fresh.
const STATUS_EVERY: Duration = Duration::from_secs(15);
/// Most journal entries looked at for one wake-up.
const ENTRIES_MAX: usize = 200;

/// Streams `incident`, `journal` and `status` events until the client goes.
#[utoipa::path(get, path = "/api/v1/events", tag = "console", responses((status = 200, content_type = "text/event-stream")))]
pub async fn stream(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let watch = node.watch_journal();
    let at = *watch.borrow();
    let beat = tokio::time::interval(STATUS_EVERY);
    let start = Live { node, watch, at, beat, queued: Vec::new() };
    let events = futures::stream::unfold(start, |mut live| async move {
        let event = live.next().await?;
        Some((Ok(event), live))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(STATUS_EVERY))
}

struct Live {
    node: Arc<Node>,
    watch: tokio::sync::watch::Receiver<u64>,
    at: u64,
    beat: tokio::time::Interval,
    queued: Vec<Event>,
}

impl Live {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if !self.queued.is_empty() {
                let event = self.queued.remove(0);
                return Some(event);
            }
            tokio::select! {
                () = self.node.stop.cancelled() => return None,
                _ = self.beat.tick() => self.queued.push(Event::default().event("status").data("{}")),
                changed = self.watch.changed() => {
                    changed.ok()?;
                    while self.collect().await == ENTRIES_MAX {}
                }
            }
        }
    }

    /// Queues what the next entries mean; answers how many there were.
    async fn collect(&mut self) -> usize {
        let (node, after) = (Arc::clone(&self.node), self.at);
        let read = tokio::task::spawn_blocking(move || node.state.journal_after(after, ENTRIES_MAX)).await;
        let Ok(Ok(entries)) = read else { return 0 };
        for entry in &entries {
            if let Some(id) = incident_of(&entry.body) {
                let data = json!({"id": id, "kind": entry.kind}).to_string();
                self.queued.push(Event::default().event("incident").data(data));
            }
        }
        if let Some(last) = entries.last() {
            self.at = last.entry;
            self.queued.push(Event::default().event("journal").data(json!({"entry": last.entry}).to_string()));
        }
        entries.len()
    }
}

/// The incident that a journal entry is about.
fn incident_of(body: &Value) -> Option<&str> {
    let incident = body.pointer("/body/incident").or_else(|| body.get("incident"))?;
    incident.as_str().or_else(|| incident["id"].as_str())
}
