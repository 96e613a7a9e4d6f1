//! What each stage of the pipeline has done, for the pipeline page and the node's own metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use wk_engine::{EngineStats, RuleHealth};
use wk_types::{Seq, UtcMs};

/// Counters of the stages behind the intake log, since the node started.
#[derive(Debug, Default)]
pub struct Stages {
    facts: AtomicU64,
    step_micros: AtomicU64,
    engine: Mutex<(EngineStats, Vec<RuleHealth>)>,
    reached: Mutex<BTreeMap<&'static str, Seq>>,
}

/// The counters at one instant.
#[derive(Debug, Clone, Serialize)]
pub struct StageCounts {
    /// Facts that the engine concluded.
    pub facts: u64,
    /// Time spent in the engine, in seconds.
    pub step_seconds_total: f64,
}

impl Stages {
    /// Counts facts written to the journal.
    pub fn facts(&self, count: usize) {
        self.facts.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts the engine's time and keeps its figures.
    pub fn stepped(&self, took: Duration, stats: EngineStats, rules: Vec<RuleHealth>) {
        self.step_micros.fetch_add(took.as_micros() as u64, Ordering::Relaxed);
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = (stats, rules);
    }

    /// Notes how far a reader has read.
    pub fn reached(&self, reader: &'static str, seq: Seq) {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).insert(reader, seq);
    }

    /// How far each reader has read.
    pub fn all_reached(&self) -> BTreeMap<&'static str, Seq> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine's figures after its last step.
    pub fn engine(&self) -> EngineStats {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// How the evaluation of each rule goes.
    pub fn rules(&self) -> Vec<RuleHealth> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// The counters now.
    pub fn counts(&self) -> StageCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StageCounts { facts: read(&self.facts), step_seconds_total: read(&self.step_micros) as f64 / 1e6 }
    }
}

/// What ails a part of the node.
#[derive(Debug, Clone, Serialize)]
pub struct Ailment {
    /// The part, such as `metrics` or `engine`.
    pub part: &'static str,
    /// What went wrong last.
    pub what: String,
    /// Since when.
    pub since: UtcMs,
}

/// Which parts of the node are failing now.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<&'static str, Ailment>>);

impl Health {
    /// Notes that a part failed; logged when it begins.
    pub fn ill(&self, part: &'static str, what: String, now: UtcMs) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match parts.get_mut(part) {
            Some(ailment) => ailment.what = what,
            None => {
                tracing::error!(part, %what, "a part of the node is failing; it tries again");
                parts.insert(part, Ailment { part, what, since: now });
            }
        }
    }

    /// Notes that a part works.
    pub fn well(&self, part: &'static str) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part).is_some() {
            tracing::info!(part, "a part of the node works again");
        }
    }

    /// Tells whether one of these parts is failing now.
    pub fn is_ill(&self, parts: &[&str]) -> bool {
        let ill = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().any(|part| ill.contains_key(part))
    }

    /// The parts that are failing now.
    pub fn ailments(&self) -> Vec<Ailment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
