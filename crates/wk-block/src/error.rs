//! Why a block could not be written or read.

use std::io;

use wk_types::ErrorKind;

use crate::header::FORMAT;

/// Why a block could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The bytes do not begin as a block does.
    #[error("this is not a metric block")]
    NotABlock,
    /// A newer node wrote this.
    #[error("the block has format {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The format found.
        found: u32,
    },
    /// A checksum does not fit the bytes.
    #[error("the checksum of the block's {part} does not fit")]
    Checksum {
        /// Which part.
        part: &'static str,
    },
    /// The bytes contradict themselves.
    #[error("the block's {part} is damaged: {what}")]
    Corrupt {
        /// Which part.
        part: &'static str,
        /// What does not fit.
        what: &'static str,
    },
    /// More than a block may hold.
    #[error("a block cannot hold more than {max} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// What is to be written is not in order.
    #[error("{what} must be written in ascending order, each once")]
    Unsorted {
        /// What is out of order.
        what: &'static str,
    },
    /// The compressor failed.
    #[error("could not compress a part of the block")]
    Compress(#[source] io::Error),
    /// The sink took no more bytes.
    #[error("could not write a part of the block")]
    Write(#[source] io::Error),
    /// The bytes could not be had.
    #[error("could not read the block's {part}")]
    Read {
        /// Which part.
        part: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl BlockError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotABlock | Self::Checksum { .. } | Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Conflict,
            Self::TooLarge { .. } | Self::Unsorted { .. } => ErrorKind::InvalidInput,
            Self::Compress(_) | Self::Write(_) | Self::Read { .. } => ErrorKind::Unavailable,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    pub(crate) const fn corrupt(part: &'static str, what: &'static str) -> Self {
        Self::Corrupt { part, what }
    }
}
