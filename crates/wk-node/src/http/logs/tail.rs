//! The live tail: log lines as they come in, as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::Stream;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use wk_lake::{LogQuery, SearchLimits, Tail, TailCursor};

use super::ask;
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;

/// Most followers at once.
const FOLLOWERS_MAX: usize = 32;
/// How often it is looked whether something has come in.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Lines shown before the new ones, where the caller names no number.
const BEFORE_DEFAULT: usize = 10;
/// Most lines shown before the new ones.
const BEFORE_MAX: usize = 1_000;
/// Most lines taken up at once.
const ROUND_ROWS: usize = 500;
/// Most bytes of lines taken up at once.
const ROUND_BYTES: usize = 1 << 20;
/// How often a silent stream shows that it lives.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// The header in which a client that comes again says what it has seen.
const SEEN_HEADER: &str = "last-event-id";

static FOLLOWERS: Semaphore = Semaphore::const_new(FOLLOWERS_MAX);

/// Streams log lines in the order of their arrival as `log` events until the client goes: first the newest ones there
/// are, or, with `after` (or the header `Last-Event-ID`), everything that came behind that place. The id of each event
/// is its place.
#[utoipa::path(get, path = "/api/v1/logs/tail", tag = "logs", params(super::Wanted, ("limit" = Option<usize>, Query, description = "Lines shown before the new ones; 10 where missing, up to 1,000."), ("after" = Option<String>, Query, description = "The id of the last event seen.")), responses((status = 200, content_type = "text/event-stream"), (status = 400, body = Object), (status = 429, body = Object)))]
pub async fn stream(
    Shared(node): Shared<Arc<Node>>,
    _: Viewer,
    headers: HeaderMap,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let mut query = ask::read(&params, &["limit", "after"])?;
    query.limit = ask::limit(&params, BEFORE_DEFAULT, BEFORE_MAX)?;
    let seen = headers.get(SEEN_HEADER).and_then(|value| value.to_str().ok());
    let after = seen
        .or_else(|| params.first("after"))
        .map(|text| text.parse().map_err(|error| Problem::bad_request(format!("after: {error}"))))
        .transpose()?;
    let slot = FOLLOWERS.try_acquire().map_err(|_| {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many follow the logs already; end another one")
    })?;
    let mut live = Live { node, query, at: after, queued: VecDeque::new(), _slot: slot };
    live.look().await?;
    live.query.limit = ROUND_ROWS;
    let events = futures::stream::unfold(live, |mut live| async move {
        let event = live.next().await?;
        Some((Ok(event), live))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)))
}

/// One follower.
struct Live {
    node: Arc<Node>,
    query: LogQuery,
    /// Everything before has been looked at; `None` before the first look.
    at: Option<TailCursor>,
    queued: VecDeque<Event>,
    _slot: SemaphorePermit<'static>,
}

impl Live {
    /// The next event; `None` once the node stops or the logs cannot be read.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.queued.pop_front() {
                return Some(event);
            }
            if self.at.is_some_and(|at| self.node.logs.newest() > at) {
                if let Err(problem) = self.look().await {
                    tracing::warn!(error = problem.message, "a follower of the logs is left");
                    return None;
                }
                continue;
            }
            tokio::select! {
                () = self.node.stop.cancelled() => return None,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Queues what has come in.
    async fn look(&mut self) -> Result<(), Problem> {
        let (query, at) = (self.query.clone(), self.at);
        let limits = SearchLimits { bytes_max: ROUND_BYTES, ..SearchLimits::default() };
        let Tail { rows, next, .. } = blocking(&self.node, move |node| node.logs.tail(&query, at, &limits)).await?;
        for row in &rows {
            self.queued
                .push_back(Event::default().id(row.arrival().to_string()).event("log").data(json!(row).to_string()));
        }
        self.at = Some(next);
        Ok(())
    }
}
