use std::io;
use std::sync::atomic::AtomicBool;

use wk_store::io::crash::CrashIo;
use wk_store::io::{ReadFile, WriteFile};

use super::*;

/// A disk whose folders cannot be synced while `is_broken`: what is renamed is there, but may not stay.
#[derive(Debug, Clone)]
struct Folderless {
    io: CrashIo,
    is_broken: Arc<AtomicBool>,
}

impl Folderless {
    fn new() -> Self {
        Self { io: CrashIo::new(1), is_broken: Arc::default() }
    }

    fn set_broken(&self, is_broken: bool) {
        self.is_broken.store(is_broken, Ordering::Relaxed);
    }

    fn open(&self) -> (Lake, OpenReport) {
        Lake::open(Arc::new(self.clone()), Path::new("/logs"), TestClock::default().options()).unwrap()
    }
}

impl Io for Folderless {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.io.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.io.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.io.create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.io.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.io.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.io.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(io::Error::other("the folder could not be synced"));
        }
        self.io.sync_dir(dir)
    }
}

/// Lines `range` as a file of their own.
fn file(lake: &Lake, range: std::ops::Range<i64>) {
    fill(lake, range);
    lake.flush().unwrap();
}

#[test]
fn a_file_counts_only_once_a_loss_of_power_cannot_take_its_name_away() {
    let disk = Folderless::new();
    let (lake, _) = disk.open();
    fill(&lake, 0..5);
    disk.set_broken(true);
    lake.flush().unwrap_err();
    drop(lake);
    assert!(Lake::open(Arc::new(disk.clone()), Path::new("/logs"), LakeOptions::default()).is_err());
    disk.set_broken(false);
    assert_eq!(disk.open().1.cursor, Seq(5));
    let after_cut = Folderless { io: disk.io.restart(), ..disk };
    let (lake, report) = after_cut.open();
    assert_eq!((report.cursor, numbers(&lake)), (Seq(5), (0..5).collect()));
}

#[test]
fn a_merge_that_failed_at_its_end_leaves_no_row_twice() {
    let disk = Folderless::new();
    let (lake, _) = disk.open();
    file(&lake, 0..600);
    (0..7).for_each(|number| file(&lake, 600 + number * 10..610 + number * 10));
    disk.set_broken(true);
    lake.maintain(DAY).unwrap_err();
    disk.set_broken(false);
    // With one more small file these are merged among themselves, without the large one.
    file(&lake, 670..680);
    assert_eq!(lake.maintain(DAY).unwrap().files_merged, 8);
    for lake in [lake, disk.open().0] {
        assert_eq!(numbers(&lake), (0..680).collect::<Vec<_>>());
    }
}

#[test]
fn a_merge_that_failed_at_its_end_may_be_found_by_the_next_start() {
    let disk = Folderless::new();
    let (lake, _) = disk.open();
    (0..8).for_each(|number| file(&lake, number * 10..number * 10 + 10));
    disk.set_broken(true);
    lake.maintain(DAY).unwrap_err();
    drop(lake);
    disk.set_broken(false);
    let (lake, report) = disk.open();
    assert_eq!((report.files, report.covered, numbers(&lake)), (1, 8, (0..80).collect()));
}
