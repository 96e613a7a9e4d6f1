//! Incidents: signals that belong together.

use serde::{Deserialize, Serialize};

use crate::id::{AssetId, IncidentId, PersonRef, SignalId};
use crate::severity::Severity;
use crate::time::UtcMs;

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Nobody has taken it yet.
    Open,
    /// Somebody has taken it.
    Acknowledged,
    /// All its signals have ended, or a person closed it.
    Resolved,
}

impl IncidentState {
    /// The state's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }
}

/// Why a signal belongs to an incident, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Because {
    /// The rule of correlation: `first-signal`, `same-asset` or `neighbour`.
    pub rule: String,
    /// The reason in plain words, with the path and the lag.
    pub text: String,
    /// What speaks against it; empty where nothing does.
    pub against: String,
}

/// Signals that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Incident {
    /// Derived from its first signal.
    pub id: IncidentId,
    /// Its number on this ship, counted from 1.
    pub number: u64,
    /// Headline in plain words.
    pub title: String,
    /// Where it stands.
    pub state: IncidentState,
    /// The worst severity its signals have had.
    pub severity: Severity,
    /// When it was opened.
    pub opened: UtcMs,
    /// When somebody took it.
    pub acknowledged: Option<UtcMs>,
    /// Who took it.
    pub acknowledged_by: Option<PersonRef>,
    /// When it was resolved.
    pub resolved: Option<UtcMs>,
    /// How often it came back after being resolved.
    pub reopened_count: u32,
    /// The assets it touches, sorted.
    pub assets: Vec<AssetId>,
    /// Its signals, in the order they joined.
    pub signals: Vec<SignalId>,
}
