//! Relabelling rules, under Prometheus' names.

use serde::{Deserialize, Serialize};

/// One relabelling rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RelabelConfig {
    /// Labels whose values are looked at.
    pub source_labels: Vec<String>,
    /// What stands between these values.
    pub separator: String,
    /// The pattern that all of it has to match.
    pub regex: String,
    /// Divisor of `hashmod`.
    pub modulus: u64,
    /// The label that is written.
    pub target_label: String,
    /// What is written, `$1` and so on for parts of the pattern.
    pub replacement: String,
    /// What is done.
    pub action: RelabelAction,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        Self {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: RelabelAction::Replace,
        }
    }
}

/// What a relabelling rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelabelAction {
    /// Writes a label.
    #[default]
    Replace,
    /// Keeps what matches.
    Keep,
    /// Drops what matches.
    Drop,
    /// Keeps what has the value in the target label.
    KeepEqual,
    /// Drops what has the value in the target label.
    DropEqual,
    /// Writes the remainder of a digest.
    HashMod,
    /// Writes labels under other names.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Writes the values in lower case.
    Lowercase,
    /// Writes the values in upper case.
    Uppercase,
}

impl RelabelAction {
    /// The action's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }
}
