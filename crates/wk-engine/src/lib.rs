//! Pure detection, rules and correlation: one ordered input in, facts out.
//!
//! [`Engine::step`] takes the records of the intake log one by one and returns what each led to. There is no clock, no
//! I/O, no randomness and no iteration in hash order, so the same records give the same facts, byte for byte, whether
//! they are worked on live, replayed, or continued from [`Engine::save`] at any record.
//!
//! What can raise a signal:
//! - the *detector* ([`families`]): values of a few declared metric families that leave their own past,
//! - *rules* ([`check_rules`], [`DEFAULT_RULES`]): Prometheus alerting rules over the engine's own window of samples,
//! - *silence*: a job's instance or a log source that spoke regularly and no longer does.
//!
//! Signals of severity minor and above become incidents; see [`CorrelationOptions`].

mod clock;
mod correlate;
mod detect;
mod engine;
mod exact;
pub mod families;
mod outbox;
mod rules;
mod sea_mode;
mod silence;
#[cfg(test)]
mod testing;
mod window;

pub use correlate::CorrelationOptions;
pub use detect::DETECTOR_NAME;
pub use engine::{Engine, EngineError, EngineOptions, EngineStats, FORMAT};
pub use rules::{
    DEFAULT_RULES, DEFAULT_RULES_FILE, FILE_BYTES_MAX, LOOKBACK_MAX, Place, RULES_MAX, RuleError, RuleHealth,
    RuleState, RuleSummary, check_rule_file, check_rules,
};
pub use silence::SILENCE_NAME;
