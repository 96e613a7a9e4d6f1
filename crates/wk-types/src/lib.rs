//! The vocabulary of Watchkeeper. Pure: no I/O, no clock, no threads, no globals.
//!
//! Every other crate speaks in these types; `docs/architecture.md` has the glossary they follow.

pub mod asset;
pub mod attributes;
pub mod command;
pub mod digest;
pub mod error;
pub mod fact;
pub mod id;
pub mod incident;
pub mod intake;
pub mod labels;
pub mod log;
pub mod neighbour;
mod number;
pub mod rollup;
pub mod series;
pub mod severity;
pub mod signal;
pub mod time;
pub mod wire;

pub use asset::{Asset, Edge, EdgeKind, Topology};
pub use attributes::Attributes;
pub use command::{Command, Verb};
pub use error::ErrorKind;
pub use fact::{Fact, FactBody};
pub use id::{AssetId, CommandId, IncidentId, PersonRef, Seq, SignalId, SourceName, VesselId};
pub use incident::{Because, Incident, IncidentState};
pub use intake::{Body, IntakeRecord, Kinds, NewRecord};
pub use labels::{Labels, SeriesId};
pub use log::LogRecord;
pub use neighbour::{Neighbour, NeighbourProtocol};
pub use rollup::{Resolution, RollupRow, RollupSource, Rollups, SeriesRollup};
pub use series::{MatchOp, Matcher, Sample, Series, SeriesData, SeriesSamples, SeriesSource};
pub use severity::Severity;
pub use signal::{Direction, Evidence, RuleKind, RuleRef, Signal};
pub use time::{DurationMs, UtcMs};
