//! What the tests of this crate share.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wk_store::io::{Io, ReadFile, SystemIo, WriteFile};
use wk_types::{AssetId, DurationMs, LogRecord, Seq, Severity, UtcMs};

use crate::{Lake, LakeOptions, LogQuery, LogRow, OpenReport, SearchLimits};

/// File operations of which one, counted from 0, fails together with all that change something after it, as when the
/// power goes; what was done before stays.
#[derive(Debug)]
pub(crate) struct FailingIo {
    left: AtomicU64,
}

impl FailingIo {
    pub(crate) fn new(operations: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(operations) })
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    fn step(&self) -> io::Result<()> {
        match self.left.load(Ordering::Relaxed) {
            0 => Err(io::Error::other("the power is gone")),
            left => {
                self.left.store(left - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

struct FailingFile {
    file: Box<dyn WriteFile>,
    can_sync: bool,
    is_cut: bool,
}

impl WriteFile for FailingFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = if self.is_cut { bytes.len() / 2 } else { bytes.len() };
        self.file.write_all(&bytes[..length])
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.can_sync { self.file.sync() } else { Err(io::Error::other("the power is gone")) }
    }
}

impl Io for FailingIo {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        SystemIo.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        SystemIo.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.step()?;
        let is_cut = self.step().is_err();
        let can_sync = self.step().is_ok();
        Ok(Box::new(FailingFile { file: SystemIo.create(path)?, can_sync, is_cut }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        SystemIo.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        SystemIo.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        SystemIo.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        SystemIo.sync_dir(dir)
    }
}

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
        attributes: wk_types::Attributes::new(),
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

/// A page's rows.
pub(crate) fn rows(lake: &Lake, query: &LogQuery) -> Vec<LogRow> {
    lake.search(query, &SearchLimits::default()).unwrap().rows
}
