//! The metric store: a head in memory, immutable blocks on disk, one index over both.
