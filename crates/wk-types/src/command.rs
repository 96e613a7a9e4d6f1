//! Commands: what people and the configuration tell the engine. They enter through the intake log, so that
//! the engine has one ordered input and a replay honours them.

use serde::{Deserialize, Serialize};

use crate::asset::Topology;
use crate::id::{CommandId, IncidentId, PersonRef};
use crate::sea_mode::SeaMode;
use crate::time::UtcMs;

/// One instruction to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Chosen by the sender; a second command of the same id changes nothing.
    pub id: CommandId,
    /// Who gave it; `None` for the configuration.
    pub by: Option<PersonRef>,
    /// What to do.
    pub verb: Verb,
}

/// What a command does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Verb {
    /// Somebody takes the incident.
    Acknowledge {
        /// Which one.
        incident: IncidentId,
    },
    /// Somebody closes the incident by hand.
    Resolve {
        /// Which one.
        incident: IncidentId,
    },
    /// A remark for the timeline.
    Comment {
        /// Which incident.
        incident: IncidentId,
        /// The remark.
        text: String,
    },
    /// The alerting rules in force from here on.
    SetRules {
        /// Prometheus rule files as text, each with its name.
        files: Vec<(String, String)>,
    },
    /// The topology in force from here on.
    SetTopology {
        /// The whole graph.
        topology: Topology,
    },
    /// Somebody says what the vessel is doing.
    SetSeaMode {
        /// The mode; `None` gives it back to what speed and position say.
        mode: Option<SeaMode>,
        /// Until when it holds; until it is taken back where it is missing.
        until: Option<UtcMs>,
    },
}
