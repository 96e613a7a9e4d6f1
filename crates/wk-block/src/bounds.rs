//! What a block may hold at most. A writer refuses more, a reader takes a block that claims more for damaged.

/// Series in a block.
pub const SERIES_MAX: usize = 1 << 19;
/// Labels of all series of a block together.
pub const LABELS_MAX: usize = 1 << 22;
/// Samples of one series.
pub const SERIES_SAMPLES_MAX: usize = 1 << 22;
/// Bytes of the dictionary or of the layout once decompressed.
pub const DIRECTORY_BYTES_MAX: usize = 1 << 27;
/// Bytes of one stream of a value chunk once decompressed.
pub const STREAM_BYTES_MAX: usize = 1 << 23;
/// Bytes of a time chunk once decompressed.
pub const TIME_CHUNK_BYTES_MAX: usize = 1 << 26;
/// Bytes of one stored part.
pub const PART_BYTES_MAX: usize = 1 << 27;

/// Samples after which a writer begins a new value chunk or time chunk.
pub const CHUNK_SAMPLES: usize = 1 << 16;
/// Series after which a writer begins a new value chunk.
pub const CHUNK_SERIES: usize = 1 << 10;
