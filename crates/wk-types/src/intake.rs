//! What the intake log holds: everything observed and every command, in one order.

use std::sync::Arc;

use crate::command::Command;
use crate::id::{Seq, SourceName};
use crate::log::LogRecord;
use crate::series::SeriesSamples;
use crate::time::UtcMs;

/// What a record carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Metric samples; a copy shares them.
    Samples(Arc<[SeriesSamples]>),
    /// Log messages; a copy shares them.
    Logs(Arc<[LogRecord]>),
    /// A beat of the node's scheduler: the engine's only notion of time passing.
    Tick,
    /// Something a person or the configuration tells the engine.
    Command(Box<Command>),
}

impl Body {
    /// Of which kind the body is.
    #[must_use]
    pub const fn kind(&self) -> Kinds {
        match self {
            Self::Samples(_) => Kinds::SAMPLES,
            Self::Logs(_) => Kinds::LOGS,
            Self::Tick => Kinds::TICKS,
            Self::Command(_) => Kinds::COMMANDS,
        }
    }

    /// How many samples, log messages, ticks or commands the body holds.
    #[must_use]
    pub fn items(&self) -> usize {
        match self {
            Self::Samples(series) => series.iter().map(|one| one.samples.len()).sum(),
            Self::Logs(logs) => logs.len(),
            Self::Tick | Self::Command(_) => 1,
        }
    }
}

/// Kinds of bodies, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(pub u16);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);
    /// Metric samples.
    pub const SAMPLES: Self = Self(1);
    /// Log messages.
    pub const LOGS: Self = Self(2);
    /// Ticks.
    pub const TICKS: Self = Self(4);
    /// Commands.
    pub const COMMANDS: Self = Self(8);
    /// Every kind, those of later versions included.
    pub const ALL: Self = Self(u16::MAX);

    /// The kinds of either set.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Tells whether a kind is in both sets.
    #[must_use]
    pub const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// A record on its way into the intake log.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRecord {
    /// When the node received it.
    pub received: UtcMs,
    /// Which source took it in.
    pub source: SourceName,
    /// What it carries.
    pub body: Body,
}

/// A record of the intake log.
#[derive(Debug, Clone, PartialEq)]
pub struct IntakeRecord {
    /// Its position.
    pub seq: Seq,
    /// When the node received it.
    pub received: UtcMs,
    /// Which source took it in.
    pub source: SourceName,
    /// What it carries.
    pub body: Body,
}
