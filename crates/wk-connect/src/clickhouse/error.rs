//! What can fail between the node and ClickHouse.

use std::io;
use std::path::PathBuf;

use wk_lake::LakeError;
use wk_types::{DurationMs, ErrorKind};

/// Codes with which ClickHouse refuses what rows say, whoever sends them again: incorrect data, a string that is too
/// large, a value out of its type's range, a decimal overflow, a violated constraint, an unknown element of an enum.
const OF_CONTENT: [u32; 6] = [117, 131, 321, 407, 469, 691];
/// More rows, groups or bytes than a question may have.
const TOO_MUCH: [u32; 4] = [158, 241, 307, 396];
/// The question took too long.
const TOO_LONG: [u32; 2] = [159, 160];
/// Characters kept of what ClickHouse says; it repeats the statement.
const TEXT_CHARS_MAX: usize = 1_000;
/// An expression that RE2 does not take.
const NO_EXPRESSION: u32 = 427;

/// A failure between the node and ClickHouse.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClickHouseError {
    /// A file that the configuration names cannot be read.
    #[error("could not read {}", path.display())]
    ReadFile {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The authority's file cannot be used.
    #[error("could not use the authority file {}: {what}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The server is too old.
    #[error("ClickHouse at {url} is version {found}, {}.{} or newer is needed", super::VERSION_MIN.0, super::VERSION_MIN.1)]
    TooOld {
        /// The server.
        url: String,
        /// Its version.
        found: String,
    },
    /// A newer version of this program made the tables.
    #[error(
        "the tables in database {database} have schema {found}, newer than {}; use a newer watchkeeper",
        super::SCHEMA
    )]
    Newer {
        /// The database.
        database: String,
        /// The schema found.
        found: u32,
    },
    /// The table is not the one that this program makes.
    #[error("the table logs in database {database} is not ours: {what}; rename it, or choose another database")]
    Foreign {
        /// The database.
        database: String,
        /// What differs.
        what: String,
    },
    /// The server answered with an exception.
    #[error("ClickHouse at {url} refused: {text}")]
    Refused {
        /// The server.
        url: String,
        /// ClickHouse's code of the exception.
        code: u32,
        /// What it said.
        text: String,
    },
    /// The server cannot be reached, or what stands before it answered.
    #[error("could not reach ClickHouse at {url}")]
    Unreachable {
        /// The server.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A question took too long.
    #[error("ClickHouse at {url} did not answer within {limit}")]
    TimeLimit {
        /// The server.
        url: String,
        /// The limit.
        limit: DurationMs,
    },
    /// A question was called off.
    #[error("the query was cancelled")]
    Cancelled,
}

impl ClickHouseError {
    /// Reads an answer other than the one that was asked for: ClickHouse's own, or that of whatever stands before it.
    pub(super) fn answered(url: &str, status: u16, text: &str) -> Self {
        let (url, text) = (url.to_owned(), text.trim());
        let text = text.chars().take(TEXT_CHARS_MAX).collect::<String>();
        match exception_code(&text) {
            Some(code) => Self::Refused { url, code, text },
            None => Self::Unreachable { url, source: format!("HTTP status {status}: {text}").into() },
        }
    }

    /// The failure of a connection.
    pub(super) fn unreachable(url: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreachable { url: url.to_owned(), source: source.into() }
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::ReadFile { .. } | Self::Authority { .. } => ErrorKind::InvalidInput,
            Self::TooOld { .. } | Self::Newer { .. } | Self::Foreign { .. } => ErrorKind::Conflict,
            Self::Refused { code, .. } if TOO_MUCH.contains(code) || *code == NO_EXPRESSION => ErrorKind::InvalidInput,
            Self::Refused { .. } | Self::Unreachable { .. } | Self::TimeLimit { .. } | Self::Cancelled => {
                ErrorKind::Unavailable
            }
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    /// Tells whether the store refuses these very rows, so that sending them again is of no use. What a person can mend
    /// there, such as rights or a table that is gone, is no such refusal.
    #[must_use]
    pub fn is_of_content(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if OF_CONTENT.contains(code))
    }

    /// The failure as the answer to a question about logs.
    pub(crate) fn into_lake(self, limit: DurationMs) -> LakeError {
        match self {
            Self::Cancelled => LakeError::Cancelled,
            Self::TimeLimit { .. } => LakeError::TimeLimit { limit },
            Self::Refused { code, .. } if TOO_LONG.contains(&code) => LakeError::TimeLimit { limit },
            Self::Refused { code, text, .. } if code == NO_EXPRESSION => {
                LakeError::Query { what: format!("ClickHouse cannot read the regular expression: {text}") }
            }
            Self::Refused { code, text, .. } if TOO_MUCH.contains(&code) => LakeError::TooLarge {
                what: format!(
                    "the question needs more than ClickHouse allows; narrow it by time, asset or app: {text}"
                ),
            },
            other => LakeError::Outside { store: "ClickHouse".to_owned(), kind: other.kind(), source: Box::new(other) },
        }
    }
}

/// The code in `Code: 60. DB::Exception: …`; `None` where the text is none of ClickHouse.
fn exception_code(text: &str) -> Option<u32> {
    let rest = text.split_once("Code: ")?.1;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_told_from_a_proxy_in_the_way() {
        let refused = |text: &str| ClickHouseError::answered("http://x", 500, text);
        let gone = refused("Code: 60. DB::Exception: Table ship.logs does not exist. (UNKNOWN_TABLE)");
        assert!(matches!(gone, ClickHouseError::Refused { code: 60, .. }));
        assert!(gone.is_retryable() && !gone.is_of_content());
        let content = refused("Code: 469. DB::Exception: Constraint is violated");
        assert!(content.is_of_content());
        let proxy = refused("502 Bad Gateway");
        assert!(matches!(proxy, ClickHouseError::Unreachable { .. }) && proxy.is_retryable());
    }
}
