//! Pure: the metric block codec, one format for disk and for the link.
//!
//! A block is one self-contained, immutable file. Format 1, all integers little-endian or LEB128:
//!
//! ```text
//! front       12 bytes: magic, format
//! chunks      as they became full, each with a checksum in the layout:
//!   time chunk  zstd: time vectors, each shared by all series that have exactly these times (one per scrape target)
//!   value chunk one segment of time of a group of series, in streams of like content; zstd each
//! dictionary  zstd: every text once, label-name shapes, per shape and label one column of text references, assets
//! layout      zstd: time vectors (count, first, last, length), the vector of each series, groups and chunks
//! header      64 bytes: counts, time range, sizes and checksums of dictionary and layout, own checksum
//! ```
//!
//! The header of a later format must not pass for one of this format: its checksum is to cover the format number, so that
//! a newer block can be told from a damaged one.
//!
//! A writer needs no more than the open chunks in memory, and appends only. Series stand in label order; neighbours form
//! a group, and a series longer than [`bounds::SEGMENT_SAMPLES`] is cut into segments, each in a chunk of its own, so
//! that a short range of a long block is read alone.
//!
//! Values become integers: over a power of ten, times a power of two, or by the order of the bits of a single- or
//! double-precision number; those that do not fit are patched in where they are few (a stale marker at the end). Of the
//! integers the residuals of the cheapest prediction are kept: a fixed value or step, or a running mean of either; where
//! that is cheaper, of the difference to the series before (the next bucket of a histogram). Low bits of residuals are
//! packed as they are, what is above goes with that of all series of like spread. Every f64 bit pattern and every i64
//! time comes back as it went in.
//!
//! Foreign bytes lead to an error, never to a panic; what they can make a reader allocate is bounded by the constants
//! of [`bounds`].

pub mod bounds;
mod bytes;
mod dictionary;
mod error;
mod header;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod layout;
mod reader;
mod scale;
mod times;
mod values;
mod writer;

pub use dictionary::decode_dictionary;
pub use error::BlockError;
pub use header::{FORMAT, HEADER_BYTES, Header, Part, PartSource};
pub use layout::{Layout, SeriesSpan};
pub use reader::{Block, SeriesEntry, SeriesReader, verify};
pub use writer::{BlockSeries, Writer, encode};
