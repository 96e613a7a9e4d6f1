//! Why a configuration was refused.

use std::path::PathBuf;

use wk_types::ErrorKind;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("could not read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The text is no TOML, or a value has the wrong type.
    #[error("could not understand the configuration: {message}")]
    Parse {
        /// Where and what, with the line.
        message: String,
    },
    /// A key that does not exist.
    #[error("the key {key:?} does not exist{}{}", place(line), hint(nearest))]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The nearest key that exists at this place.
        nearest: Option<String>,
        /// The line it stands on.
        line: Option<usize>,
    },
    /// A file of a newer format.
    #[error("the configuration has format {found}, this version reads {}; use a newer watchkeeper", crate::FORMAT)]
    Newer {
        /// The format found.
        found: u32,
    },
    /// Values that do not go together.
    #[error("{key}: {what}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong and what to write.
        what: String,
    },
}

impl ConfigError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::NotFound,
            Self::Newer { .. } => ErrorKind::Conflict,
            _ => ErrorKind::InvalidInput,
        }
    }
}

fn place(line: &Option<usize>) -> String {
    line.map(|line| format!(" (line {line})")).unwrap_or_default()
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!("; did you mean {key:?}?")).unwrap_or_default()
}
