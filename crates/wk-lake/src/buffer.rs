//! Rows not yet in a file.

use std::sync::Arc;

use wk_types::{LogRecord, Seq, UtcMs};

use crate::row::Row;

/// Rows not yet in a file, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) rows: Vec<Arc<Row>>,
    pub(crate) bytes: usize,
    /// When each record that brought rows was received, with the number of rows it brought.
    received: Vec<(UtcMs, usize)>,
    /// The latest record taken, with or without logs.
    pub(crate) seen: Seq,
}

impl Buffer {
    /// Takes a record's logs; tells whether it was new.
    pub(crate) fn append(&mut self, seq: Seq, received: UtcMs, logs: &[LogRecord]) -> bool {
        if seq <= self.seen {
            return false;
        }
        self.seen = seq;
        if !logs.is_empty() {
            self.received.push((received, logs.len()));
        }
        for log in logs {
            let row = Row::new(seq, log);
            self.bytes += row.bytes();
            self.rows.push(Arc::new(row));
        }
        true
    }

    /// When the oldest buffered row was received.
    pub(crate) fn oldest(&self) -> Option<UtcMs> {
        self.received.first().map(|(received, _)| *received)
    }

    /// When the newest buffered row was received.
    pub(crate) fn newest(&self) -> Option<UtcMs> {
        self.received.last().map(|(received, _)| *received)
    }

    /// Every record up to this one has no row in the buffer.
    pub(crate) fn clear_upto(&self) -> Seq {
        self.rows.first().map_or(self.seen, |row| Seq(row.seq.0.saturating_sub(1)))
    }

    /// Forgets the first `count` rows, which are whole records.
    pub(crate) fn forget(&mut self, count: usize) {
        let bytes: usize = self.rows.drain(..count).map(|row| row.bytes()).sum();
        self.bytes -= bytes;
        let mut left = count;
        self.received.retain(|(_, rows)| {
            let is_gone = left >= *rows;
            left -= if is_gone { *rows } else { 0 };
            !is_gone
        });
    }
}
