//! How much of their room the metrics take, and which bound of their retention bites first.

use wk_store::metrics::MetricStats;
use wk_types::DurationMs;

use super::{Finding, Grade};
use crate::node::Node;

/// Less than this says nothing of how fast the metrics grow.
const SPAN_MIN: DurationMs = DurationMs::from_hours(1);
const DAY_MS: f64 = 86_400_000.0;

/// Which bound of their retention metrics reach first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// Their age: with so many bytes by then.
    Age { bytes: f64 },
    /// Their bytes, when they are so many days old.
    Bytes { days: f64 },
}

/// The bound that bites first where `bytes` came in `span`; `None` where that is too short to tell.
fn first_bound(bytes: u64, span: DurationMs, bytes_max: u64, days_max: u32) -> Option<Bound> {
    if span < SPAN_MIN || bytes == 0 {
        return None;
    }
    let by_day = bytes as f64 / (span.0 as f64 / DAY_MS);
    let days = bytes_max as f64 / by_day;
    Some(if days < f64::from(days_max) {
        Bound::Bytes { days }
    } else {
        Bound::Age { bytes: by_day * f64::from(days_max) }
    })
}

/// Tells how much of their room the metrics take, and what will be deleted first, and why.
pub(super) fn examine(node: &Node, findings: &mut Vec<Finding>) {
    let storage = &node.config.storage;
    let stats = node.metrics.stats();
    let quota = if stats.bytes_max < storage.metrics_bytes_max - storage.metrics_bytes_max / 20 {
        format!("{} % of the disk, storage.metrics_disk_percent_max", storage.metrics_disk_percent_max)
    } else {
        "storage.metrics_bytes_max".to_owned()
    };
    let room = format!("metrics take {} MB of the {} MB they may ({quota})", stats.bytes >> 20, stats.bytes_max >> 20);
    let days_max = storage.metrics_days;
    if stats.deleted_by_bytes > 0 {
        let deleted = stats.deleted_by_bytes;
        findings.push(Finding::new(
            Grade::Warning,
            format!("{room}: {deleted} files were deleted for want of room before they were {days_max} days old"),
            "give them more room, or keep them for fewer days: storage.metrics_bytes_max, storage.metrics_days",
        ));
        return;
    }
    match first_bound(stats.bytes, span(&stats), stats.bytes_max, days_max) {
        Some(Bound::Bytes { days }) => findings.push(Finding::new(
            Grade::Warning,
            format!(
                "{room}: as they grow, that is full after {days:.1} days, before storage.metrics_days = {days_max}"
            ),
            "give them more room, or set storage.metrics_days to what fits",
        )),
        Some(Bound::Age { bytes }) => findings.push(Finding::new(
            Grade::Notice,
            format!(
                "{room}: as they grow, age bites first: {days_max} days (storage.metrics_days) take {:.0} MB",
                bytes / f64::from(1 << 20)
            ),
            "nothing needs to be done",
        )),
        None => {}
    }
}

fn span(stats: &MetricStats) -> DurationMs {
    match (stats.oldest, stats.newest) {
        (Some(oldest), Some(newest)) => newest.since(oldest),
        _ => DurationMs(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_that_is_reached_sooner_bites_first() {
        let day = DurationMs::from_hours(24);
        assert_eq!(first_bound(100, day, 1_000, 30), Some(Bound::Bytes { days: 10.0 }));
        assert_eq!(first_bound(10, day, 1_000, 30), Some(Bound::Age { bytes: 300.0 }));
        assert_eq!(first_bound(10, DurationMs::from_mins(30), 1_000, 30), None);
        assert_eq!(first_bound(0, day, 1_000, 30), None);
    }
}
