//! What the vessel is doing, as far as it changes baselines, windows and permissions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::UtcMs;

/// What the vessel is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeaMode {
    /// Moored or at anchor.
    InPort,
    /// Under way at low speed: pilotage, berthing, drifting.
    Manoeuvring,
    /// On passage.
    AtSea,
    /// Out of the water or laid up for work; never derived, only set by hand.
    DryDock,
}

/// A word that is no sea mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no sea mode; use in_port, manoeuvring, at_sea or dry_dock")]
pub struct UnknownSeaMode(String);

impl SeaMode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::InPort, Self::Manoeuvring, Self::AtSea, Self::DryDock];

    /// The mode's name, as configuration, API and series write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InPort => "in_port",
            Self::Manoeuvring => "manoeuvring",
            Self::AtSea => "at_sea",
            Self::DryDock => "dry_dock",
        }
    }
}

impl fmt::Display for SeaMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InPort => "in port",
            Self::Manoeuvring => "manoeuvring",
            Self::AtSea => "at sea",
            Self::DryDock => "in dry dock",
        })
    }
}

impl FromStr for SeaMode {
    type Err = UnknownSeaMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        let found = Self::ALL.into_iter().find(|mode| mode.as_str() == word);
        found.ok_or_else(|| UnknownSeaMode(text.to_owned()))
    }
}

/// The mode in force, and on what it rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SeaModeState {
    /// The mode in force; `None` while nobody knows.
    pub mode: Option<SeaMode>,
    /// Since when.
    pub since: Option<UtcMs>,
    /// Whether a person set it.
    pub by_hand: bool,
    /// Until when that holds; until it is taken back where it is missing.
    pub until: Option<UtcMs>,
    /// What speed and position say, whatever a person set.
    pub derived: Option<SeaMode>,
}
