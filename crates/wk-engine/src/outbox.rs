//! Where facts are collected while one record is worked on.

use wk_types::{DurationMs, Fact, FactBody, Seq, UtcMs};

/// The present record's place and time, and the facts it has led to.
#[derive(Debug)]
pub(crate) struct Outbox {
    seq: Seq,
    at: UtcMs,
    steady: DurationMs,
    facts: Vec<Fact>,
}

impl Outbox {
    pub(crate) const fn new(seq: Seq, at: UtcMs, steady: DurationMs) -> Self {
        Self { seq, at, steady, facts: Vec::new() }
    }

    /// The present record.
    pub(crate) const fn seq(&self) -> Seq {
        self.seq
    }

    /// When the present record was received.
    pub(crate) const fn at(&self) -> UtcMs {
        self.at
    }

    /// The time that the node has been watching; see [`Clock`](crate::clock::Clock).
    pub(crate) const fn steady(&self) -> DurationMs {
        self.steady
    }

    pub(crate) fn push(&mut self, body: FactBody) {
        let ordinal = u32::try_from(self.facts.len()).expect("one record leads to fewer than 2^32 facts");
        self.facts.push(Fact { input: self.seq, ordinal, at: self.at, body });
    }

    pub(crate) fn into_facts(self) -> Vec<Fact> {
        self.facts
    }
}
