//! Entry points for bytes that were not written by us: whatever a sender sends is taken in or counted as refused.
//!
//! Fuzz targets call these, and so does the test run with the targets' seeds.
#![allow(clippy::unwrap_used, reason = "a defect shows as a panic")]

use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::TimeZone;
use wk_types::{Body, NewRecord};

use crate::journald::{JournalSettings, entry};
use crate::prometheus_text::{self as text, Format};
use crate::remote_write::{self, RemoteWrite};
use crate::series_cache::SeriesCache;
use crate::syslog::{MESSAGE_BYTES_MAX, SyslogSettings, frames::Decoder, message, record::Batch};
use crate::testing::{NOW, context};
use crate::times::Zone;
use crate::{json_logs as json, series};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Takes `bytes` for a syslog connection: the first byte says in pieces of which length they come.
pub fn syslog(bytes: &[u8]) {
    let [piece, stream @ ..] = bytes else { return };
    let (context, _) = context("syslog");
    let zone = Zone::new(TimeZone::UTC);
    let settings = SyslogSettings::new((PEER, 0).into(), TimeZone::UTC);
    let (mut decoder, mut batch) = (Decoder::default(), Batch::new(context, settings));
    let (mut framed, mut messages) = (0, 0);
    let mut take = |frame: crate::syslog::frames::Frame<'_>| {
        assert!(frame.bytes.len() <= MESSAGE_BYTES_MAX);
        framed += frame.bytes.len();
        messages += 1;
        batch.add(&frame, PEER);
        if let Ok(line) = std::str::from_utf8(frame.bytes) {
            let _ = (message::parse_file_line(line, NOW, &zone), message::leading_time(line, &zone));
        }
    };
    for part in stream.chunks(usize::from(*piece).max(1)) {
        decoder.extend(part);
        while let Some(frame) = decoder.next_frame() {
            take(frame);
        }
    }
    if let Some(frame) = decoder.last_frame() {
        take(frame);
    }
    assert!(framed <= stream.len());
    assert_eq!(batch.take().map_or(0, |record| record.body.items()), messages);
}

/// Takes `bytes` for an entry of the systemd journal.
pub fn journald(bytes: &[u8]) {
    if let Some(entry) = entry::read(bytes) {
        let _ = entry.record(&context("journald").0, &JournalSettings::new("cursor".into(), "bridge-pc"), NOW);
    }
}

/// Takes `bytes` for a body of JSON logs.
pub fn json_logs(bytes: &[u8]) {
    let parsed = json::parse(bytes);
    let taken = parsed.records.len();
    let records = json::records(&context("json-logs").0, parsed, Some(PEER));
    assert_eq!(items(&records), taken);
}

/// Takes `bytes` for a scraped page, in both text formats.
pub fn prometheus_text(bytes: &[u8]) {
    let Ok(page) = std::str::from_utf8(bytes) else { return };
    for format in [Format::Text, Format::OpenMetrics] {
        for line in text::parse(page, format).lines {
            let Ok(pairs) = text::labels(line.series) else { continue };
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
            let _ = series::check(&pairs);
        }
    }
}

/// Takes `bytes` for a remote write 1.0 request, compressed and not.
pub fn remote_write_v1(bytes: &[u8]) {
    remote_write(bytes, None);
}

/// Takes `bytes` for a remote write 2.0 request, compressed and not.
pub fn remote_write_v2(bytes: &[u8]) {
    remote_write(bytes, Some("application/x-protobuf;proto=io.prometheus.write.v2.Request"));
}

fn remote_write(bytes: &[u8], content_type: Option<&str>) {
    let (context, _) = context("remote-write");
    let cache = SeriesCache::default();
    let compressed = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let read = |body: &[u8]| remote_write::parse(body, content_type, None, cache.request(&context, Some(PEER)));
    let _ = read(bytes);
    let Ok(first) = read(&compressed) else { return };
    // Series that came before are the same ones.
    let again = read(&compressed).unwrap();
    assert_eq!(shape(&first), shape(&again));
    let samples = first.samples();
    assert_eq!(items(&remote_write::records(&context, first)), samples);
}

/// What a request holds, with values as bits, because NaN is unlike itself.
fn shape(parsed: &RemoteWrite) -> Vec<(String, Vec<(i64, u64)>)> {
    let samples = |one: &wk_types::SeriesSamples| {
        one.samples.iter().map(|sample| (sample.time.0, sample.value.to_bits())).collect()
    };
    parsed.series.iter().map(|one| (one.series.labels.to_string(), samples(one))).collect()
}

fn items(records: &[NewRecord]) -> usize {
    assert!(records.iter().all(|record| matches!(record.body, Body::Samples(_) | Body::Logs(_))));
    records.iter().map(|record| record.body.items()).sum()
}

#[cfg(test)]
mod tests;
