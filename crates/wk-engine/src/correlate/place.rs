//! Where a signal belongs, and the reasons.

use std::collections::{BTreeMap, BTreeSet};

use wk_types::{AssetId, Because, DurationMs, Edge, EdgeKind, Severity, Signal, Topology};

use super::{Correlator, INFO_SIGNALS_MAX, Kept, subject_of};

/// Where a signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placement {
    /// It opens its own incident.
    Own(Because),
    /// It joins the open incident of this number.
    Join(u64, Because),
    /// It brings back the resolved incident of this number.
    Reopen(u64, Because),
    /// It is kept without an incident.
    Alone,
}

/// The topology by asset.
#[derive(Debug, Clone, Default)]
pub(super) struct Neighbours(BTreeMap<AssetId, BTreeMap<AssetId, Edge>>);

impl Neighbours {
    pub(super) fn of(topology: &Topology) -> Self {
        let mut all: BTreeMap<AssetId, BTreeMap<AssetId, Edge>> = BTreeMap::new();
        for edge in &topology.edges {
            let mut put = |from: &AssetId, to: &AssetId| {
                all.entry(from.clone()).or_default().entry(to.clone()).or_insert_with(|| edge.clone());
            };
            put(&edge.from, &edge.to);
            put(&edge.to, &edge.from);
        }
        Self(all)
    }

    fn edge(&self, a: &AssetId, b: &AssetId) -> Option<&Edge> {
        self.0.get(a)?.get(b)
    }

    fn within_two_edges(&self, root: &AssetId, asset: &AssetId) -> bool {
        let Some(near) = self.0.get(root) else { return root == asset };
        root == asset
            || near.contains_key(asset)
            || near.keys().any(|between| self.0.get(between).is_some_and(|next| next.contains_key(asset)))
    }
}

const fn verb_of(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Powers => "powers",
        EdgeKind::Connects => "is linked with",
        EdgeKind::Hosts => "runs",
        EdgeKind::DependsOn => "needs",
        EdgeKind::RoutesVia => "reaches others through",
    }
}

/// Tells whether two signals are about one asset; unknown assets are told apart by `instance`.
pub(super) fn same_asset(a: &Signal, b: &Signal) -> bool {
    a.asset == b.asset && (a.asset != AssetId::unknown() || a.labels.get("instance") == b.labels.get("instance"))
}

fn because(rule: &str, text: String, against: &str) -> Because {
    Because { rule: rule.to_owned(), text, against: against.to_owned() }
}

/// Why a signal that held before the incident was opened is attached to it.
pub(super) fn already_there(signal: &Signal, first: &Signal) -> Because {
    let earlier = first.started.since(signal.started);
    let text = if earlier.0 > 0 {
        format!(
            "It began {earlier} before the incident's first signal on the same asset {} and still holds.",
            signal.asset
        )
    } else {
        format!("It already holds on the same asset {}.", signal.asset)
    };
    because("same-asset", text, "It is of severity info and may have nothing to do with the incident.")
}

fn after(lag: DurationMs, title: &str) -> String {
    if lag < DurationMs::from_secs(1) {
        format!("at the same time as \"{title}\"")
    } else {
        format!("{lag} after \"{title}\"")
    }
}

impl Correlator {
    /// Finds where a signal belongs.
    pub(super) fn place(&self, signal: &Signal, steady: DurationMs) -> Placement {
        let subject = subject_of(signal);
        let known = |resolved: bool| {
            self.incidents
                .iter()
                .rev()
                .find(|(_, kept)| kept.is_resolved() == resolved && kept.subjects.contains(&subject))
        };
        if signal.severity > Severity::Info {
            if let Some((number, _)) = known(false).filter(|(_, kept)| self.takes(kept, signal)) {
                let text = "The same signal belonged to this incident before.".to_owned();
                return Placement::Join(*number, because("same-asset", text, ""));
            }
            if let Some((number, kept)) = known(true).filter(|(_, kept)| self.takes(kept, signal)) {
                return Placement::Reopen(*number, relapse(kept, steady));
            }
        }
        if let Some((number, kept)) = self.on_same_asset(signal, steady) {
            return Placement::Join(number, joined_by_asset(kept, signal, steady));
        }
        if signal.severity == Severity::Info {
            return Placement::Alone;
        }
        if let Some((number, why)) = self.on_neighbour(signal, steady) {
            return Placement::Join(number, why);
        }
        let text = format!(
            "No open incident on {} or its neighbours took a signal in the last {}.",
            signal.asset, self.options.window
        );
        Placement::Own(because("first-signal", text, ""))
    }

    fn takes(&self, kept: &Kept, signal: &Signal) -> bool {
        let room = kept.incident.signals.len() < self.options.incident_signals_max;
        room && (signal.severity > Severity::Info || kept.infos < INFO_SIGNALS_MAX)
    }

    /// The open incident on the signal's asset that took a signal last, within the window.
    fn on_same_asset(&self, signal: &Signal, steady: DurationMs) -> Option<(u64, &Kept)> {
        let unknown = signal.asset == AssetId::unknown();
        let instance = signal.labels.get("instance").unwrap_or_default();
        self.incidents
            .iter()
            .filter(|(_, kept)| {
                !kept.is_resolved()
                    && steady.0 - kept.joined.0 <= self.options.window.0
                    && kept.incident.assets.binary_search(&signal.asset).is_ok()
                    && (!unknown || kept.instance == instance)
                    && self.takes(kept, signal)
            })
            .max_by_key(|(number, kept)| (kept.joined, **number))
            .map(|(number, kept)| (*number, kept))
    }

    /// The open incident on a neighbour of the signal's asset that took a signal last, within the lag.
    fn on_neighbour(&self, signal: &Signal, steady: DurationMs) -> Option<(u64, Because)> {
        let near: BTreeSet<&AssetId> = self.neighbours.0.get(&signal.asset)?.keys().collect();
        let (number, kept) = self
            .incidents
            .iter()
            .filter(|(_, kept)| {
                !kept.is_resolved()
                    && steady.0 - kept.joined.0 <= self.options.neighbour_lag.0
                    && kept.incident.assets.iter().any(|asset| near.contains(asset))
                    && self.neighbours.within_two_edges(&kept.root, &signal.asset)
                    && self.takes(kept, signal)
            })
            .max_by_key(|(number, kept)| (kept.joined, **number))?;
        let edge = kept.incident.assets.iter().find_map(|asset| self.neighbours.edge(&signal.asset, asset))?;
        let lag = DurationMs(steady.0 - kept.joined.0);
        let text =
            format!("{} {} {}; raised {}.", edge.from, verb_of(edge.kind), edge.to, after(lag, &kept.last_title));
        let against = "The two assets are only joined by the declared topology; nothing measured shows that one \
                       troubles the other.";
        Some((*number, because("neighbour", text, against)))
    }
}

fn relapse(kept: &Kept, steady: DurationMs) -> Because {
    let quiet = kept.resolved.map_or(DurationMs(0), |resolved| DurationMs(steady.0 - resolved.0));
    let text = format!("The same signal came back {quiet} after the incident was resolved.");
    because("same-asset", text, "")
}

fn joined_by_asset(kept: &Kept, signal: &Signal, steady: DurationMs) -> Because {
    let lag = DurationMs(steady.0 - kept.joined.0);
    let text = format!("Same asset {}, raised {}.", signal.asset, after(lag, &kept.last_title));
    let against = if signal.severity == Severity::Info {
        "It is of severity info and may have nothing to do with the incident.".to_owned()
    } else if signal.metric == kept.last_metric {
        String::new()
    } else {
        format!("{} and {} are different metrics and may have separate causes.", kept.last_metric, signal.metric)
    };
    because("same-asset", text, &against)
}
