//! What the intake log holds: everything observed and every command, in one order.

use crate::command::Command;
use crate::id::{Seq, SourceName};
use crate::log::LogRecord;
use crate::series::SeriesSamples;
use crate::time::UtcMs;

/// What a record carries.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Metric samples.
    Samples(Vec<SeriesSamples>),
    /// Log messages.
    Logs(Vec<LogRecord>),
    /// A beat of the node's scheduler: the engine's only notion of time passing.
    Tick,
    /// Something a person or the configuration tells the engine.
    Command(Box<Command>),
}

impl Body {
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
