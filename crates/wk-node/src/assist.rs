//! What the assistant may ask of the node.

use wk_store::state::IncidentFilter;
use wk_types::{DurationMs, Incident, IncidentState, Labels, UtcMs};

use crate::clock::now;
use crate::gauges;
use crate::node::Node;
use crate::story;

/// Most incidents or entries handed to the assistant.
const ITEMS_MAX: usize = 200;

/// The node as the assistant sees it: read-only.
pub struct NodeShip<'a>(pub &'a Node);

impl wk_assist::Ship for NodeShip<'_> {
    fn now(&self) -> UtcMs {
        now()
    }

    fn promql(&self, query: &str) -> Result<Vec<(Labels, f64)>, String> {
        gauges::vector(self.0, query)
    }

    fn open_incidents(&self) -> Result<Vec<Incident>, String> {
        let states = vec![IncidentState::Open, IncidentState::Acknowledged];
        let filter = IncidentFilter { states, limit: ITEMS_MAX, ..IncidentFilter::default() };
        self.0.state.incidents(&filter).map_err(|error| error.to_string())
    }

    fn changes_since(&self, span: DurationMs) -> Result<Vec<wk_assist::Change>, String> {
        let entries = self.0.state.journal_latest(None, Some(now() - span), ITEMS_MAX).map_err(|error| error.to_string())?;
        Ok(entries
            .into_iter()
            .map(|entry| wk_assist::Change {
                at: entry.recorded,
                text: story::line(&entry.kind, &entry.body),
                evidence: format!("journal entry {}", entry.entry),
            })
            .collect())
    }

    fn sources(&self) -> Result<Vec<wk_assist::SourceState>, String> {
        Ok(self.0.sources.states(now()))
    }
}
