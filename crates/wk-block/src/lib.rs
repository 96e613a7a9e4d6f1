//! Pure: the metric block codec, one format for disk and for the link.
//!
//! A block is one self-contained, immutable file. Format 1, all integers little-endian or LEB128:
//!
//! ```text
//! header      76 bytes: magic, format, counts, time range, sizes and checksums of the next two parts, own checksum
//! dictionary  zstd: every text once, label-name shapes, per shape and label one column of text references, assets
//! layout      zstd: time vectors (count, first, last, length), the vector of each series, the chunks with checksums
//! time chunks zstd: time vectors, each shared by all series that have exactly these times (one per scrape target)
//! value chunks  streams of many series side by side: descriptors, first values, patches, byte planes; zstd each
//! ```
//!
//! Series stand in label order. The values of a series are the cheapest of constant, value, delta and delta-of-delta
//! over integers scaled by a power of ten, its residuals centred, zig-zagged and split into byte planes; values that do
//! not scale exactly are patched in where they are few (a stale marker at the end), else the whole series goes as the
//! XOR with its predecessor or as raw bits. Every f64 bit pattern and every i64 time comes back as it went in.
//!
//! Foreign bytes lead to an error, never to a panic; what they can make a reader allocate is bounded by the constants
//! of [`bounds`].

pub mod bounds;
mod bytes;
mod dictionary;
mod error;
mod header;
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
