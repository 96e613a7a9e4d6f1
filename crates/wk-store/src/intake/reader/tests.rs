use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::intake::IntakeLog;
use crate::intake::tests::{dir, noise, options, read_all, record};
use crate::io::crash::{CrashIo, Dice};
use crate::io::{Io, WriteFile};

/// A disk of which one block cannot be read once it has gone bad.
#[derive(Debug, Clone)]
struct BadSector {
    disk: CrashIo,
    bad: Arc<AtomicBool>,
    /// Whether everything else fails too.
    all: Arc<AtomicBool>,
}

const BAD_BLOCK: std::ops::Range<u64> = 8_192..12_288;

struct BadFile(Box<dyn ReadFile>, BadSector);

impl ReadFile for BadFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let touches = offset < BAD_BLOCK.end && offset + buffer.len() as u64 > BAD_BLOCK.start;
        if self.1.all.load(Ordering::Relaxed) || touches && self.1.bad.load(Ordering::Relaxed) {
            return Err(io::Error::other("bad sector"));
        }
        self.0.read_at(offset, buffer)
    }
}

impl Io for BadSector {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.disk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let file = self.disk.open(path)?;
        let segment = path.extension().is_some_and(|extension| extension == "seg");
        Ok(if segment { Box::new(BadFile(file, self.clone())) } else { file })
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

impl fmt::Display for BadSector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bad sector")
    }
}

fn disk_with_log() -> (BadSector, IntakeLog) {
    let disk = BadSector { disk: CrashIo::new(1), bad: Arc::default(), all: Arc::default() };
    let (log, _) = IntakeLog::open(Arc::new(disk.clone()), dir(), options()).unwrap();
    let mut dice = Dice::new(4);
    for _ in 0..40 {
        log.append(record(&noise(&mut dice, 600))).unwrap();
    }
    (disk, log)
}

#[test]
fn a_bad_sector_costs_the_frames_on_it_after_some_attempts() {
    let (disk, log) = disk_with_log();
    disk.bad.store(true, Ordering::Relaxed);
    let mut next = Seq(0);
    let (mut read, mut failures) = (0, 0);
    while next < Seq(40) {
        match log.read(next, usize::MAX) {
            Ok(batch) => {
                read += batch.records.len();
                next = batch.next;
            }
            Err(error) => {
                assert!(matches!(error, IntakeError::Read { .. }));
                failures += 1;
                assert!(failures < 100, "no progress beyond {next}");
            }
        }
    }
    assert!(failures > 0 && (30..40).contains(&read), "{failures} failures, {read} records");
    assert_eq!(log.stats().damaged_records, 40 - read as u64);
    log.close();

    let (log, report) = IntakeLog::open(Arc::new(disk.clone()), dir(), options()).unwrap();
    assert_eq!(report.damage.iter().map(crate::intake::Damage::records_lost).sum::<u64>(), 40 - read as u64);
    log.close();
    disk.bad.store(false, Ordering::Relaxed);
    let (log, report) = IntakeLog::open(Arc::new(disk), dir(), options()).unwrap();
    assert_eq!(report.damage, [], "what can be read again is there again");
    assert_eq!(read_all(&log, Seq(0)).0.len(), 40);
}

#[test]
fn a_disk_that_cannot_be_read_for_a_while_loses_nothing() {
    let (disk, log) = disk_with_log();
    disk.all.store(true, Ordering::Relaxed);
    for _ in 1..ATTEMPTS_MAX {
        assert!(log.read(Seq(0), usize::MAX).is_err());
    }
    disk.all.store(false, Ordering::Relaxed);
    assert_eq!(read_all(&log, Seq(0)).0.len(), 40);
}
