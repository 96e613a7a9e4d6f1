//! Facts: what the engine concluded. The journal keeps them; every effect reads them there.

use serde::{Deserialize, Serialize};

use crate::id::{CommandId, IncidentId, PersonRef, Seq, SignalId};
use crate::incident::{Because, Incident};
use crate::sea_mode::SeaModeState;
use crate::severity::Severity;
use crate::signal::Signal;
use crate::time::UtcMs;

/// One conclusion of the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The intake record that led to it.
    pub input: Seq,
    /// Its place among the facts of that record, counted from 0.
    pub ordinal: u32,
    /// The engine's time when it concluded.
    pub at: UtcMs,
    /// What it concluded.
    pub body: FactBody,
}

impl Fact {
    /// The key under which the journal takes the fact at most once.
    #[must_use]
    pub fn key(&self) -> String {
        format!("fact/{}/{}", self.input.0, self.ordinal)
    }
}

/// What the engine concluded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum FactBody {
    /// A signal began.
    SignalRaised {
        /// The signal as it stands.
        signal: Box<Signal>,
    },
    /// A signal became worse or surer.
    SignalWorsened {
        /// The signal as it stands.
        signal: Box<Signal>,
    },
    /// A signal ended.
    SignalCleared {
        /// Which one.
        signal: SignalId,
        /// When it ended.
        ended: UtcMs,
        /// Why, in plain words.
        reason: String,
    },
    /// An incident began.
    IncidentOpened {
        /// The incident as it stands, its first signal in it.
        incident: Box<Incident>,
        /// Why it stands on its own.
        because: Because,
    },
    /// A further signal belongs to an incident.
    IncidentJoined {
        /// The incident as it stands, the signal in it.
        incident: Box<Incident>,
        /// The signal that joined.
        signal: SignalId,
        /// Why it belongs there.
        because: Because,
    },
    /// An incident became worse.
    IncidentEscalated {
        /// Which one.
        incident: IncidentId,
        /// The severity before.
        from: Severity,
        /// The severity now.
        to: Severity,
    },
    /// Somebody took an incident.
    IncidentAcknowledged {
        /// The incident as it stands.
        incident: Box<Incident>,
        /// The command that did it.
        command: CommandId,
    },
    /// A remark was made.
    IncidentCommented {
        /// Which one.
        incident: IncidentId,
        /// Who said it.
        by: Option<PersonRef>,
        /// The remark.
        text: String,
        /// The command that did it.
        command: CommandId,
    },
    /// An incident ended.
    IncidentResolved {
        /// The incident as it stands.
        incident: Box<Incident>,
        /// Why, in plain words.
        reason: String,
        /// The command that did it; `None` where it healed by itself.
        command: Option<CommandId>,
    },
    /// An incident came back.
    IncidentReopened {
        /// The incident as it stands, the signal in it.
        incident: Box<Incident>,
        /// The signal that brought it back.
        signal: SignalId,
        /// Why the signal belongs there.
        because: Because,
    },
    /// New rules are in force.
    RulesLoaded {
        /// How many alerting rules.
        rules: usize,
        /// The command that did it.
        command: CommandId,
    },
    /// A new topology is in force.
    TopologyLoaded {
        /// How many edges.
        edges: usize,
        /// The command that did it.
        command: CommandId,
    },
    /// The vessel's sea mode is another one, or rests on something else.
    SeaModeChanged {
        /// The mode as it stands.
        state: SeaModeState,
        /// Why, in plain words.
        reason: String,
        /// Who set it; `None` where it was derived.
        by: Option<PersonRef>,
        /// The command that did it; `None` where it was derived.
        command: Option<CommandId>,
    },
    /// A command could not be carried out.
    CommandRejected {
        /// Which one.
        command: CommandId,
        /// Why, in plain words.
        reason: String,
    },
}

impl FactBody {
    /// The fact's name as the journal's `kind`, such as `incident_opened`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SignalRaised { .. } => "signal_raised",
            Self::SignalWorsened { .. } => "signal_worsened",
            Self::SignalCleared { .. } => "signal_cleared",
            Self::IncidentOpened { .. } => "incident_opened",
            Self::IncidentJoined { .. } => "incident_joined",
            Self::IncidentEscalated { .. } => "incident_escalated",
            Self::IncidentAcknowledged { .. } => "incident_acknowledged",
            Self::IncidentCommented { .. } => "incident_commented",
            Self::IncidentResolved { .. } => "incident_resolved",
            Self::IncidentReopened { .. } => "incident_reopened",
            Self::RulesLoaded { .. } => "rules_loaded",
            Self::TopologyLoaded { .. } => "topology_loaded",
            Self::SeaModeChanged { .. } => "sea_mode_changed",
            Self::CommandRejected { .. } => "command_rejected",
        }
    }

    /// The incident as it stands after this fact, where the fact carries it whole.
    #[must_use]
    pub fn incident(&self) -> Option<&Incident> {
        match self {
            Self::IncidentOpened { incident, .. }
            | Self::IncidentJoined { incident, .. }
            | Self::IncidentAcknowledged { incident, .. }
            | Self::IncidentResolved { incident, .. }
            | Self::IncidentReopened { incident, .. } => Some(incident),
            _ => None,
        }
    }

    /// The command this fact answers, where it answers one.
    #[must_use]
    pub const fn answers(&self) -> Option<&CommandId> {
        match self {
            Self::IncidentAcknowledged { command, .. }
            | Self::IncidentCommented { command, .. }
            | Self::RulesLoaded { command, .. }
            | Self::TopologyLoaded { command, .. }
            | Self::CommandRejected { command, .. } => Some(command),
            Self::IncidentResolved { command, .. } | Self::SeaModeChanged { command, .. } => command.as_ref(),
            _ => None,
        }
    }
}
