//! How much one record holds: what came in at once is split by number and by bytes, because the intake log never takes
//! a record above its bound, however often it is offered.

use std::sync::Arc;

use wk_types::{Body, LogRecord, NewRecord, SeriesSamples, UtcMs};

use crate::contract::SourceContext;

/// How many bytes one record aims at, a quarter of what the intake log takes.
pub const RECORD_BYTES_AIM: usize = 4 * 1024 * 1024;
/// How many log messages one record holds at most.
pub const LOGS_PER_RECORD_MAX: usize = 5_000;
/// How many series one record holds at most.
pub const SERIES_PER_RECORD_MAX: usize = 10_000;
/// How many samples of one series stand together; with the largest label set they stay below [`RECORD_BYTES_AIM`].
const SAMPLES_TOGETHER_MAX: usize = 100_000;
/// What one item takes beside its texts, rounded up.
const ITEM_BYTES: usize = 96;
/// What one label or attribute takes beside its texts.
const PAIR_BYTES: usize = 32;
/// What one sample takes.
const SAMPLE_BYTES: usize = 18;

/// About how many bytes a log message takes in a record, never less than it does.
#[must_use]
pub fn log_bytes(log: &LogRecord) -> usize {
    let texts = log.asset.as_str().len() + log.app.len() + log.message.len();
    ITEM_BYTES + texts + pairs_bytes(log.attributes.iter())
}

/// About how many bytes a series and its samples take in a record, never less than they do.
fn series_bytes(one: &SeriesSamples) -> usize {
    let labels = pairs_bytes(one.series.labels.iter());
    ITEM_BYTES + one.series.asset.as_str().len() + labels + SAMPLE_BYTES * one.samples.len()
}

fn pairs_bytes<'a>(pairs: impl Iterator<Item = (&'a Arc<str>, &'a Arc<str>)>) -> usize {
    pairs.map(|(name, value)| PAIR_BYTES + name.len() + value.len()).sum()
}

/// Makes records of log messages, in their order.
#[must_use]
pub fn of_logs(context: &SourceContext, received: UtcMs, logs: impl IntoIterator<Item = LogRecord>) -> Vec<NewRecord> {
    let parts = split(logs.into_iter().collect(), LOGS_PER_RECORD_MAX, log_bytes);
    parts.into_iter().map(|logs| record(context, received, Body::Logs(logs.into()))).collect()
}

/// Makes records of series, in their order; a series with very many samples comes in several parts.
#[must_use]
pub fn of_series(
    context: &SourceContext,
    received: UtcMs,
    series: impl IntoIterator<Item = SeriesSamples>,
) -> Vec<NewRecord> {
    let mut series: Vec<SeriesSamples> = series.into_iter().collect();
    if series.iter().any(|one| one.samples.len() > SAMPLES_TOGETHER_MAX) {
        series = series.into_iter().flat_map(parts).collect();
    }
    let parts = split(series, SERIES_PER_RECORD_MAX, series_bytes);
    parts.into_iter().map(|series| record(context, received, Body::Samples(series.into()))).collect()
}

fn record(context: &SourceContext, received: UtcMs, body: Body) -> NewRecord {
    NewRecord { received, source: context.name.clone(), body }
}

/// A series in parts of at most [`SAMPLES_TOGETHER_MAX`] samples.
fn parts(mut one: SeriesSamples) -> Vec<SeriesSamples> {
    let mut parts = Vec::with_capacity(1);
    while one.samples.len() > SAMPLES_TOGETHER_MAX {
        let rest = one.samples.split_off(SAMPLES_TOGETHER_MAX);
        let samples = std::mem::replace(&mut one.samples, rest);
        parts.push(SeriesSamples { series: Arc::clone(&one.series), samples });
    }
    parts.push(one);
    parts
}

/// Splits items into runs within both bounds; an item that alone exceeds the bytes stands alone.
fn split<T>(mut items: Vec<T>, items_max: usize, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut ends = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        let more = bytes_of(item);
        if at - begin >= items_max || (at > begin && bytes + more > RECORD_BYTES_AIM) {
            ends.push(at);
            (begin, bytes) = (at, 0);
        }
        bytes += more;
    }
    let mut runs: Vec<Vec<T>> = ends.into_iter().rev().map(|end| items.split_off(end)).collect();
    if !items.is_empty() {
        runs.push(items);
    }
    runs.reverse();
    runs
}

#[cfg(test)]
mod tests;
