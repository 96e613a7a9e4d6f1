//! Alerting rules in the Prometheus rule file format.
//!
//! Rules are parsed and checked when they are loaded: an error names file, group and rule, and what to do. They are
//! evaluated at ticks, when their group's interval has passed, over the engine's own window of samples. A rule whose
//! evaluation fails keeps its alerts as they are and shows in [`Engine::rule_health`](crate::Engine::rule_health).

mod alerts;
mod file;
mod humanize;
mod template;

use std::collections::BTreeMap;

use serde::Serialize;
use wk_promql::QueryError;
use wk_types::{DurationMs, ErrorKind, Severity, UtcMs};

pub(crate) use self::alerts::{Rules, Surroundings};

/// The rules for a host that are in force until others are set.
pub const DEFAULT_RULES: &str = include_str!("../rules/host.yaml");
/// The file name under which [`DEFAULT_RULES`] stand.
pub const DEFAULT_RULES_FILE: &str = "host.yaml";

/// The largest rule file that is read.
pub const FILE_BYTES_MAX: usize = 4 * 1_024 * 1_024;
/// The most rules that are in force at once.
pub const RULES_MAX: usize = 2_000;
/// How far back a rule may look.
pub const LOOKBACK_MAX: DurationMs = DurationMs::from_hours(24);

/// What one alerting rule says, as shown to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSummary {
    /// Its group.
    pub group: String,
    /// How often its group is evaluated.
    pub interval: DurationMs,
    /// Its name.
    pub alert: String,
    /// Its condition.
    pub expr: String,
    /// How long the condition must hold.
    pub hold: DurationMs,
    /// How long the alert goes on after the condition last held.
    pub keep_firing: DurationMs,
    /// The severity of its signals.
    pub severity: Severity,
    /// The labels of its alerts, as they are written.
    pub labels: BTreeMap<String, String>,
    /// The annotations of its alerts, as they are written.
    pub annotations: BTreeMap<String, String>,
}

/// How a rule's evaluation goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RuleState {
    /// It has not been evaluated yet.
    Waiting,
    /// Its last evaluation succeeded.
    Evaluated {
        /// How many alerts are pending.
        pending: usize,
        /// How many alerts are firing.
        firing: usize,
    },
    /// Its last evaluation failed; its alerts stay as they were.
    Failing {
        /// Why.
        reason: String,
    },
    /// Its file can no longer be read by this version.
    Unreadable {
        /// Why.
        reason: String,
    },
}

/// The health of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleHealth {
    /// Its file.
    pub file: String,
    /// Its group; empty where the whole file is meant.
    pub group: String,
    /// Its name; empty where the whole file is meant.
    pub alert: String,
    /// How it goes.
    pub state: RuleState,
    /// When it was last evaluated.
    pub evaluated: Option<UtcMs>,
    /// How often its evaluation has failed.
    pub failures: u64,
}

/// Where in the rule files something stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The group.
    pub group: String,
    /// The rule, by name, else by its position in the group.
    pub rule: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "file {:?}, group {:?}, rule {:?}", self.file, self.group, self.rule)
    }
}

/// Why rules were not loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuleError {
    /// The file is too large.
    #[error("rule file {file:?} has {bytes} bytes, at most {FILE_BYTES_MAX} are read; split it")]
    FileSize {
        /// The file.
        file: String,
        /// Its size.
        bytes: usize,
    },
    /// The file is no rule file.
    #[error("could not read rule file {file:?}: {reason}; mend the YAML there")]
    ReadFile {
        /// The file.
        file: String,
        /// What is wrong and where.
        reason: String,
    },
    /// Two groups of a file have one name.
    #[error("rule file {file:?} has two groups named {group:?}; rename one")]
    SameGroup {
        /// The file.
        file: String,
        /// The group.
        group: String,
    },
    /// More rules than can be in force.
    #[error("the rule files have more than {RULES_MAX} rules; leave some out")]
    TooMany,
    /// A recording rule.
    #[error("{place}: recording rules are not evaluated; put the expression into the alerting rules that use it")]
    Recording {
        /// Where.
        place: Place,
    },
    /// A field is missing or cannot be read.
    #[error("{place}: {field} {problem}")]
    ReadField {
        /// Where.
        place: Box<Place>,
        /// Which field.
        field: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The condition is no PromQL, or uses what is not supported.
    #[error("{place}: could not read expr")]
    ReadExpression {
        /// Where.
        place: Place,
        /// What is wrong.
        #[source]
        source: Box<QueryError>,
    },
    /// The condition looks back too far.
    #[error("{place}: expr looks back {lookback}, the engine keeps {LOOKBACK_MAX}; shorten the range or the offset")]
    LooksBack {
        /// Where.
        place: Place,
        /// How far it looks back.
        lookback: DurationMs,
    },
    /// The condition reads at a fixed time.
    #[error("{place}: expr reads at a fixed time with @, for which the engine keeps no samples; take the @ away")]
    FixedTime {
        /// Where.
        place: Place,
    },
    /// The conditions' patterns could not be compiled together.
    #[error("could not compile what the rules select")]
    Select(#[source] wk_types::series::SourceError),
}

impl RuleError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// The error and its causes as one sentence.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Checks one rule file and says what is in it.
///
/// # Errors
/// Text that is no rule file, or a rule that could not be loaded.
pub fn check_rules(text: &str) -> Result<Vec<RuleSummary>, RuleError> {
    check_rule_file("rules", text)
}

/// Checks one rule file, under the name errors give it, and says what is in it.
///
/// # Errors
/// As [`check_rules`].
pub fn check_rule_file(name: &str, text: &str) -> Result<Vec<RuleSummary>, RuleError> {
    let groups = file::parse(name, text)?;
    Ok(groups.iter().flat_map(|group| group.rules.iter().map(|rule| rule.summary(group))).collect())
}

#[cfg(test)]
mod tests;
