//! Questions in plain words, answered with the query and the figures behind them.
//!
//! Deterministic, without a model: a question is understood only where every one of its words is known, so that what
//! is asked is never guessed. Everything else is refused, saying what can be asked.

mod question;
mod reply;
mod vocabulary;

use serde::Serialize;
use wk_types::{AssetId, DurationMs, Incident, Labels, UtcMs};

/// Where answers come from.
pub trait Ship {
    /// Evaluates a PromQL query now.
    ///
    /// # Errors
    /// Why it could not be evaluated, in plain words.
    fn promql(&self, query: &str) -> Result<Vec<(Labels, f64)>, String>;

    /// Every incident that is not resolved.
    ///
    /// # Errors
    /// Why they could not be read, in plain words.
    fn open_incidents(&self) -> Result<Vec<Incident>, String>;

    /// What was concluded, decided or done in the span up to now.
    ///
    /// # Errors
    /// Why it could not be read, in plain words.
    fn changes_since(&self, span: DurationMs) -> Result<Vec<Change>, String>;

    /// Every source that should send and does not.
    ///
    /// # Errors
    /// Why they could not be read, in plain words.
    fn silent_sources(&self) -> Result<Vec<SilentSource>, String>;

    /// The present time.
    fn now(&self) -> UtcMs;
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: UtcMs,
    /// What, in plain words and without a full stop, such as `incident 3 opened: disk / is filling`.
    pub text: String,
    /// The assets it touches; empty where it touches none.
    pub assets: Vec<AssetId>,
    /// Where it is written, such as the key of its journal entry.
    pub evidence: String,
}

/// One source that should send and does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentSource {
    /// The source, such as `host` or `scrape node bridge-pc:9100`.
    pub name: String,
    /// Whose data it brings, where that is known.
    pub asset: Option<AssetId>,
    /// When it was last heard; `None` where it never was.
    pub last_heard: Option<UtcMs>,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was understood and answered.
    Answered,
    /// It was understood in part; the text says what to add.
    Clarify,
    /// It was not understood, or the answer could not be read.
    Refused,
}

/// An answer, in the shape of `POST /api/v1/ask`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What became of the question.
    pub status: Status,
    /// One plain sentence, with figures and units.
    pub text: String,
    /// The rows behind the text; for a question that was not answered, `{"can": […]}` or `{"options": […]}`.
    pub data: serde_json::Value,
    /// What was read, as it could be asked again.
    pub query: Option<String>,
    /// What each figure rests on.
    pub evidence: Vec<String>,
}

/// The questions that can be answered, one wording each.
pub const QUESTIONS: [&str; 5] = [
    "how full are the disks?",
    "what is open?",
    "what changed in the last hour?",
    "which source is silent?",
    "how busy is the cpu?",
];

/// Answers a question.
pub fn answer(question: &str, ship: &dyn Ship) -> Answer {
    match question::understand(question) {
        question::Understood::Asked(asked) => reply::answer(&asked, ship),
        question::Understood::Unclear { text, options } => reply::clarify(text, &options),
        question::Understood::Unknown => reply::refuse(),
    }
}

#[cfg(test)]
mod tests;
