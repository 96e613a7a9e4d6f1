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

/// Samples of one series that are coded together; a longer series is cut, so that a short range of it is read alone.
pub const SEGMENT_SAMPLES: usize = 512;
/// Samples after which a writer begins a new time chunk, and of first segments after which it begins a new group.
pub const CHUNK_SAMPLES: usize = 1 << 16;
/// Series after which a writer begins a new group.
pub const GROUP_SERIES: usize = 1 << 12;
/// Samples of all segments after which a writer begins a new group.
pub const GROUP_SAMPLES: usize = 1 << 20;
/// Bytes of time vectors among which a writer looks for an equal one.
pub const SHARED_TIME_BYTES: usize = 1 << 24;
/// Times that a reader keeps decoded.
pub const DECODED_TIMES: usize = 1 << 20;
