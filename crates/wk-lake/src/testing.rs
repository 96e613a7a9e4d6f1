//! What the tests of this crate share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wk_store::io::SystemIo;
use wk_types::{AssetId, DurationMs, LogRecord, Seq, Severity, UtcMs};

use crate::{Lake, LakeOptions, OpenReport};

/// 2026-11-24T00:00:00Z.
pub(crate) const DAY: UtcMs = UtcMs(1_795_478_400_000);

/// A monotonic clock that tests move on.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn advance(&self, span: DurationMs) {
        self.0.fetch_add(span.0.unsigned_abs(), Ordering::Relaxed);
    }

    pub(crate) fn options(&self) -> LakeOptions {
        let millis = Arc::clone(&self.0);
        let monotonic = Arc::new(move || Duration::from_millis(millis.load(Ordering::Relaxed)));
        LakeOptions { monotonic, ..LakeOptions::default() }
    }
}

pub(crate) fn open(dir: &Path) -> (Lake, OpenReport) {
    open_with(dir, TestClock::default().options())
}

pub(crate) fn open_with(dir: &Path, options: LakeOptions) -> (Lake, OpenReport) {
    Lake::open(Arc::new(SystemIo), dir, options).unwrap()
}

pub(crate) fn log(time: UtcMs, asset: &str, app: &str, severity: Severity, message: &str) -> LogRecord {
    LogRecord {
        time,
        asset: AssetId::from(asset),
        app: app.into(),
        severity,
        message: message.into(),
        attributes: BTreeMap::new(),
    }
}

/// A plain line a second after the other.
pub(crate) fn line(number: i64) -> LogRecord {
    let severity = Severity::ALL[(number % 4).unsigned_abs() as usize];
    let (asset, app) = (format!("host-{}", number % 3), format!("app-{}", number % 5));
    log(
        DAY + DurationMs::from_secs(number),
        &asset,
        &app,
        severity,
        &format!("request {number} took {} ms", number * 7),
    )
}

/// Appends lines `range`, each as its own record whose seq is the number and 1.
pub(crate) fn fill(lake: &Lake, range: std::ops::Range<i64>) {
    for number in range {
        lake.append(Seq(number.unsigned_abs() + 1), line(number).time, &[line(number)]).unwrap();
    }
}

pub(crate) fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
