//! Rows not yet in a file.

use std::sync::Arc;

use wk_types::{LogRecord, Seq, UtcMs};

use crate::chunk::{Chunk, ChunkBuilder};
use crate::query::TailCursor;

/// Rows in a chunk; the last, open one is copied by every look at the buffer.
const CHUNK_ROWS: usize = 2_048;

/// Rows not yet in a file, in the order they came.
#[derive(Debug)]
pub(crate) struct Buffer {
    chunks: Vec<Arc<Chunk>>,
    open: ChunkBuilder,
    /// Rows and bytes of the closed chunks.
    closed: (usize, usize),
    /// The latest record taken, with or without logs.
    pub(crate) seen: Seq,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { chunks: Vec::new(), open: ChunkBuilder::new(CHUNK_ROWS), closed: (0, 0), seen: Seq::default() }
    }
}

impl Buffer {
    /// Takes a record's logs; tells whether it was new.
    pub(crate) fn append(&mut self, seq: Seq, received: UtcMs, logs: &[LogRecord]) -> bool {
        if seq <= self.seen {
            return false;
        }
        self.seen = seq;
        for (line, log) in (0..).zip(logs) {
            self.open.push(TailCursor { seq, line }, received, log);
            if self.open.rows() >= CHUNK_ROWS {
                self.close_chunk();
            }
        }
        true
    }

    fn close_chunk(&mut self) {
        let open = std::mem::replace(&mut self.open, ChunkBuilder::new(CHUNK_ROWS));
        if let Some(chunk) = open.finish() {
            self.closed = (self.closed.0 + chunk.block.rows(), self.closed.1 + chunk.bytes);
            self.chunks.push(Arc::new(chunk));
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.closed.0 + self.open.rows()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.closed.1 + self.open.bytes()
    }

    /// When the oldest buffered row was received.
    pub(crate) fn oldest(&self) -> Option<UtcMs> {
        self.chunks.first().map(|chunk| chunk.received.0).or_else(|| self.open.oldest())
    }

    /// Every record up to this one has no row in the buffer.
    pub(crate) fn clear_upto(&self) -> Seq {
        let first = self.chunks.first().map(|chunk| chunk.first.seq).or_else(|| self.open.first());
        first.map_or(self.seen, |seq| Seq(seq.0.saturating_sub(1)))
    }

    /// All rows, or only those in chunks that end behind a place.
    pub(crate) fn look(&self, after: TailCursor) -> Vec<Arc<Chunk>> {
        let start = self.chunks.partition_point(|chunk| chunk.last <= after);
        self.chunks[start..].iter().cloned().chain(self.open.chunk().map(Arc::new)).collect()
    }

    /// All rows, for writing them to a file; they stay until they are forgotten.
    pub(crate) fn close(&mut self) -> Vec<Arc<Chunk>> {
        self.close_chunk();
        self.chunks.clone()
    }

    /// Forgets the first chunks.
    pub(crate) fn forget(&mut self, count: usize) {
        for chunk in self.chunks.drain(..count) {
            self.closed = (self.closed.0 - chunk.block.rows(), self.closed.1 - chunk.bytes);
        }
    }
}
