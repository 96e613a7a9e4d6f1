//! How bad something is, and the one table that maps other scales onto ours.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How bad something is, least first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth keeping, nobody is told.
    #[default]
    Info,
    /// Look when there is time.
    Minor,
    /// Look today: something is failing.
    Major,
    /// Look now: something the ship needs has failed.
    Critical,
}

impl Severity {
    /// All severities, least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Minor, Self::Major, Self::Critical];

    /// The severity's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Minor => "minor",
            Self::Major => "major",
            Self::Critical => "critical",
        }
    }

    /// Maps a syslog severity code (0 emergency to 7 debug, RFC 5424 section 6.2.1); larger codes are info.
    #[must_use]
    pub const fn from_syslog(code: u8) -> Self {
        match code {
            0..=2 => Self::Critical,
            3 => Self::Major,
            4 => Self::Minor,
            _ => Self::Info,
        }
    }

    /// Maps a word as logs, Alertmanager and SNMP trap profiles write it, in any case; `None` where it is no level.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "emerg" | "emergency" | "panic" | "alert" | "crit" | "critical" | "fatal" => Self::Critical,
            "err" | "error" | "major" | "severe" | "page" => Self::Major,
            "warn" | "warning" | "minor" => Self::Minor,
            "notice" | "info" | "informational" | "information" | "debug" | "trace" | "verbose" | "none"
            | "cleared" | "normal" => Self::Info,
            _ => return None,
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The word names no severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no severity; use info, minor, major or critical")]
pub struct ParseSeverityError(String);

impl FromStr for Severity {
    type Err = ParseSeverityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == text)
            .ok_or_else(|| ParseSeverityError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syslog_codes_and_words_agree() {
        let words = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
        for (code, word) in words.into_iter().enumerate() {
            assert_eq!(Severity::from_word(word), Some(Severity::from_syslog(code as u8)), "{word}");
        }
        assert_eq!(Severity::from_word("purple"), None);
    }
}
