//! What the assistant may ask of the node.

use wk_assist::SilentSource;
use wk_store::state::{IncidentFilter, JournalEntry, SignalFilter};
use wk_types::{AssetId, DurationMs, FactBody, Incident, IncidentState, Labels, RuleKind, UtcMs};

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
        let entries =
            self.0.state.journal_latest(None, Some(now() - span), ITEMS_MAX).map_err(|error| error.to_string())?;
        Ok(entries
            .into_iter()
            .map(|entry| wk_assist::Change {
                at: entry.recorded,
                text: story::line(&entry.kind, &entry.body),
                assets: assets_of(&entry),
                evidence: format!("journal entry {}", entry.entry),
            })
            .collect())
    }

    /// Periodic sources that stopped, and whoever the engine misses.
    fn silent_sources(&self) -> Result<Vec<SilentSource>, String> {
        let mut silent = self.0.sources.silent_sources(now());
        let filter = SignalFilter { holding: true, limit: ITEMS_MAX, ..SignalFilter::default() };
        let signals = self.0.state.signals(&filter).map_err(|error| error.to_string())?;
        silent.extend(signals.into_iter().filter(|signal| signal.rule.kind == RuleKind::Silence).map(|signal| {
            SilentSource { name: signal.metric, asset: Some(signal.asset), last_heard: Some(signal.started) }
        }));
        Ok(silent)
    }
}

/// The assets that a journal entry touches.
fn assets_of(entry: &JournalEntry) -> Vec<AssetId> {
    let Ok(Some(fact)) = entry.fact() else { return Vec::new() };
    match fact.body {
        FactBody::SignalRaised { signal } | FactBody::SignalWorsened { signal } => vec![signal.asset],
        body => body.incident().map(|incident| incident.assets.clone()).unwrap_or_default(),
    }
}
