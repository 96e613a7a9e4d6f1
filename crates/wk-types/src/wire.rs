//! Versioned stored and sent forms of the intake log's records.
//!
//! A batch of format 1, in the order of its bytes; numbers are in base 128 with the least digit first and the top bit
//! set on every byte but the last, differences have their sign in the lowest bit, positions count from 0:
//!
//! 1. The format, the number of records, of texts and of labels.
//! 2. The texts: the length of each, then all of them behind each other, UTF-8.
//! 3. The labels: the positions of the names, then those of the values.
//! 4. The records, each with a byte for its kind (1 samples, 2 logs, 3 tick, 4 command), the differences of its seq and
//!    of its time of receipt from those of the record before (0 before the first), the position of its source, and:
//!    - samples: the number of series and of samples; of each series the position of its asset, the number of labels and
//!      of samples; of each series a number whose bit n says that its label n is not that of the series before, and the
//!      position of each such label, and of every label from the 64th on; of each sample the difference of its time from
//!      the one before (the time of receipt before the first); of all values the lowest byte, the second lowest and so on;
//!    - logs: their number and that of all attributes; of each the difference of its time from the one before, the
//!      position of its asset, of its application, its severity as a byte, its number of attributes; of each attribute
//!      the position of its name, then of its value; the messages as in 2;
//!    - command: its length and its JSON text.
//!
//! Whatever holds a batch checks it by a checksum; a batch needs no other one to be read.

mod bytes;
mod decode;
mod encode;
#[cfg(any(test, fuzzing))]
pub mod hostile;

use crate::error::ErrorKind;

pub use decode::Decoder;
pub use encode::encode;

/// The number of the format that [`encode`] writes.
pub const FORMAT: u32 = 1;
/// How many labels the series of a batch have together at most, each series counted with all of its labels.
pub const LABELS_MAX: usize = 1 << 22;

/// The kinds of records.
mod kind {
    pub(super) const SAMPLES: u8 = 1;
    pub(super) const LOGS: u8 = 2;
    pub(super) const TICK: u8 = 3;
    pub(super) const COMMAND: u8 = 4;
}

/// Labels at and behind this place are written for every series.
const SHARED_LABELS_MAX: usize = 64;

/// Why stored bytes could not be read as records.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The bytes are no batch of this format.
    #[error("the batch is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
    /// A newer node wrote this.
    #[error("the batch has format {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// A command's text could not be read.
    #[error("could not decode a command")]
    Command(#[source] serde_json::Error),
}

impl WireError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } => ErrorKind::Conflict,
            _ => ErrorKind::Corrupt,
        }
    }
}

#[cfg(test)]
mod tests;
