//! Prometheus remote write 1.0 and 2.0: the body of `POST /api/v1/write`.
//!
//! *Source*: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `prompb/{remote,types}.proto`,
//! <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/> and `io/prometheus/write/v2/types.proto`. The message is
//! walked with prost's decoding functions instead of generated types: labels are borrowed from the body, and no count in
//! it makes anything grow beyond the bounds below.

mod v2;
mod walk;

use std::collections::BTreeMap;

use wk_types::{ErrorKind, NewRecord, SeriesSamples};

use crate::contract::SourceContext;
use crate::metadata::{FAMILIES_MAX, Metadata};
use crate::protobuf::BadMessage;
use crate::records;
use crate::series_cache::SeriesRequest;
use crate::stats::{EXAMPLE_BYTES_MAX, LATE_AFTER, shortened};

/// How many bytes a body may have once it is decompressed.
pub const DECOMPRESSED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How many series one request holds at most.
pub const SERIES_MAX: usize = 200_000;
/// How many samples one request holds at most.
pub const SAMPLES_MAX: usize = 2_000_000;

/// Samples that were rejected, with the last example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
    /// The labels of the last one.
    pub example: String,
}

/// Which of the two messages a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    #[default]
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RemoteWrite {
    /// Which message it was.
    pub version: Version,
    /// What can be stored, in the order it was sent.
    pub series: Vec<SeriesSamples>,
    /// What cannot, one entry for each reason.
    pub rejected: Vec<Rejected>,
    /// What is said about metric families; of several descriptions of one, the first.
    pub metadata: BTreeMap<String, Metadata>,
    /// How many exemplars there are (2.0), which are not kept.
    pub exemplars: u64,
    /// How many series or samples say when they began to count (2.0), which is not kept.
    pub starts: u64,
    /// How many bytes the body had once decompressed.
    pub bytes: usize,
}

impl RemoteWrite {
    /// How many samples can be stored.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.iter().map(|one| one.samples.len()).sum()
    }

    /// How many samples cannot be stored.
    #[must_use]
    pub fn samples_rejected(&self) -> u64 {
        self.rejected.iter().map(|one| one.count).sum()
    }

    fn describe(&mut self, family: &str, metadata: Metadata) {
        if !family.is_empty() && !metadata.is_empty() && self.metadata.len() < FAMILIES_MAX {
            self.metadata.entry(family.to_owned()).or_insert(metadata);
        }
    }

    fn reject(&mut self, reason: &'static str, count: u64, example: &str) {
        if count == 0 {
            return;
        }
        let example = shortened(example, EXAMPLE_BYTES_MAX).to_owned();
        match self.rejected.iter_mut().find(|known| known.reason == reason) {
            Some(known) => (known.count, known.example) = (known.count + count, example),
            None => self.rejected.push(Rejected { reason, count, example }),
        }
    }
}

/// Why a body as a whole is refused.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// The body is of another kind.
    #[error("content type {found:?} is not taken; send remote write 1.0 or 2.0 (application/x-protobuf)")]
    ContentType {
        /// The content type as sent.
        found: String,
    },
    /// The body is compressed in another way.
    #[error("content encoding {found:?} is not taken; send snappy")]
    Encoding {
        /// The content encoding as sent.
        found: String,
    },
    /// The body is no snappy block.
    #[error("could not decompress the body as a snappy block")]
    Snappy(#[source] snap::Error),
    /// The body is too large.
    #[error("the body has {found} {unit}, more than the {max} that are taken at once; send smaller batches")]
    TooLarge {
        /// What was counted.
        unit: &'static str,
        /// How many there are, at least.
        found: usize,
        /// The bound.
        max: usize,
    },
    /// The decompressed body is no write request.
    #[error("could not decode the body as a write request")]
    Protobuf(#[source] BadMessage),
}

impl RemoteWriteError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }

    /// The HTTP status that tells the sender; none of them makes it try again.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::ContentType { .. } | Self::Encoding { .. } => 415,
            Self::TooLarge { .. } => 413,
            Self::Snappy(_) | Self::Protobuf(_) => 400,
        }
    }
}

/// Reads a body, whose series are attributed by their `instance` label, else by where they came from; series and samples
/// that cannot be stored are listed, the others are returned.
///
/// # Errors
/// A body that as a whole is not remote write or exceeds a bound.
pub fn parse(
    body: &[u8],
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    mut series: SeriesRequest<'_>,
) -> Result<RemoteWrite, RemoteWriteError> {
    let version = version_of(content_type)?;
    if let Some(found) = content_encoding.filter(|found| !found.trim().eq_ignore_ascii_case("snappy")) {
        return Err(RemoteWriteError::Encoding { found: shortened(found, EXAMPLE_BYTES_MAX).to_owned() });
    }
    let length = snap::raw::decompress_len(body).map_err(RemoteWriteError::Snappy)?;
    if length > DECOMPRESSED_BYTES_MAX {
        return Err(RemoteWriteError::TooLarge { unit: "bytes", found: length, max: DECOMPRESSED_BYTES_MAX });
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(RemoteWriteError::Snappy)?;
    let mut parsed = RemoteWrite { version, bytes: plain.len(), ..RemoteWrite::default() };
    match version {
        Version::One => walk::request(&plain, &mut parsed, &mut series)?,
        Version::Two => v2::request(&plain, &mut parsed, &mut series)?,
    }
    series.finish();
    Ok(parsed)
}

/// The message that a content type names: `application/x-protobuf` alone, and no content type at all, is 1.0.
fn version_of(content_type: Option<&str>) -> Result<Version, RemoteWriteError> {
    let Some(found) = content_type else { return Ok(Version::One) };
    let refuse = || RemoteWriteError::ContentType { found: shortened(found, EXAMPLE_BYTES_MAX).to_owned() };
    let mut parts = found.split(';').map(str::trim);
    if !parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/x-protobuf")) {
        return Err(refuse());
    }
    let parameters = parts.filter_map(|part| part.split_once('='));
    let mut protos = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("proto"));
    match protos.next().map(|(_, proto)| proto.trim().trim_matches('"')) {
        None | Some("prometheus.WriteRequest") => Ok(Version::One),
        Some("io.prometheus.write.v2.Request") => Ok(Version::Two),
        Some(_) => Err(refuse()),
    }
}

/// Counts what a body holds, and makes the records.
#[must_use]
pub fn records(context: &SourceContext, parsed: RemoteWrite) -> Vec<NewRecord> {
    let received = context.now();
    let stats = &context.stats;
    stats.received(parsed.samples() as u64 + parsed.samples_rejected(), parsed.bytes as u64, received);
    for rejected in &parsed.rejected {
        stats.rejected(rejected.reason, rejected.count, &rejected.example);
    }
    for (what, count) in [("exemplar not kept", parsed.exemplars), ("start time not kept", parsed.starts)] {
        if count > 0 {
            stats.flagged(what, count, "");
        }
    }
    let samples = parsed.series.iter().flat_map(|one| &one.samples);
    stats.late(samples.filter(|sample| received.since(sample.time) > LATE_AFTER).count() as u64);
    records::of_series(context, received, parsed.series)
}

#[cfg(test)]
mod tests;
