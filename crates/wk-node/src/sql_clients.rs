//! Counters of clients that speak PostgreSQL's protocol.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters of clients that speak PostgreSQL's protocol.
#[derive(Debug, Default)]
pub struct SqlClients {
    connected: AtomicU64,
    refused: AtomicU64,
    statements: AtomicU64,
    failed: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SqlClientCounts {
    /// Clients that are connected now.
    pub connected: u64,
    /// Clients refused since start: for a wrong token, no TLS, too slow, or one too many.
    pub refused: u64,
    /// Statements asked since start.
    pub statements: u64,
    /// Of those, statements that failed.
    pub failed: u64,
}

impl SqlClients {
    /// Counts a client that has signed in.
    pub fn connect(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a client that has left.
    pub fn leave(&self) {
        self.connected.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a client that was refused.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a statement.
    pub fn ask(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a statement that failed.
    pub fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// The counters as they stand.
    #[must_use]
    pub fn counts(&self) -> SqlClientCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SqlClientCounts {
            connected: read(&self.connected),
            refused: read(&self.refused),
            statements: read(&self.statements),
            failed: read(&self.failed),
        }
    }
}
