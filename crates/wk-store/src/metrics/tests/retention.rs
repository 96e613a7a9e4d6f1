use std::io;
use std::sync::Mutex;

use super::*;
use crate::io::{ReadFile, Space, WriteFile};

const TEN_YEARS: i64 = 3_650 * DAY;

/// Lets `days` pass in steps of 6 h, each with one sample and one round of upkeep.
fn sail(ship: &mut Ship, from: i64, days: i64) -> i64 {
    let mut now = from;
    for step in 0..days * 4 {
        for tick in 0..6 {
            now = from + step * 6 * HOUR + tick * HOUR;
            ship.append(now, vec![("a", vec![(now, step as f64)])]);
            ship.store.maintain(UtcMs(now)).unwrap();
        }
    }
    now
}

#[test]
fn what_is_older_than_the_age_is_deleted() {
    let mut ship = Ship::new(MetricOptions::default());
    let now = sail(&mut ship, START, 40);
    let oldest = ship.store.stats().oldest.unwrap().0;
    assert!((30 * DAY..31 * DAY + 3 * HOUR).contains(&(now - oldest)), "{}", (now - oldest) / HOUR);
    ship.check(oldest, now);
    assert_eq!(ship.disk.names().len(), ship.files());
    assert!(ship.store.stats().rollups > 40 * 5 - 3, "rollups outlive the samples");
}

#[test]
fn the_oldest_blocks_go_when_all_together_take_too_much() {
    let mut ship = sailed(MetricOptions::default(), 10);
    let all = ship.store.stats();
    ship.options.bytes_max = all.bytes / 2;
    ship.reopen(ship.disk.clone());
    let done = ship.store.maintain(UtcMs(START + HOUR)).unwrap();
    // A twentieth of the quota is kept free.
    assert_eq!((done.deleted_by_bytes, done.deleted_by_age), (6, 0));
    assert!(ship.store.stats().bytes <= ship.options.bytes_max / 20 * 19);
    ship.check(START + 30 * MINUTE, i64::MAX);
    assert_eq!(answers(&ship.store, &[], i64::MIN, START + 30 * MINUTE - 1).len(), 0);
}

#[test]
fn the_last_block_stays_whatever_its_age() {
    let mut ship = sailed(MetricOptions { bytes_max: 0, ..MetricOptions::default() }, 3);
    ship.store.maintain(UtcMs(START)).unwrap();
    assert_eq!(ship.store.stats().blocks, 1);
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(3));
}

#[test]
fn a_clock_ten_years_ahead_and_back_deletes_nothing() {
    let mut ship = Ship::new(MetricOptions::default());
    let mut now = sail(&mut ship, START, 3);
    for _ in 0..30 {
        now += 10 * MINUTE;
        ship.append(now + TEN_YEARS, vec![("a", vec![(now + TEN_YEARS, 1.0)])]);
        let done = ship.store.maintain(UtcMs(now + TEN_YEARS)).unwrap();
        assert_eq!((done.deleted_by_age, done.retention_held), (0, true));
    }
    ship.check_all();
    // The node starts anew while the clock is still wrong, and once more when it is right again.
    ship.reopen(ship.disk.clone());
    assert_eq!(ship.store.maintain(UtcMs(now + TEN_YEARS)).unwrap().deleted_by_age, 0);
    ship.check_all();
    ship.reopen(ship.disk.clone());
    assert_eq!(ship.store.maintain(UtcMs(now + 10 * MINUTE)).unwrap().deleted_by_age, 0);
    ship.check_all();
}

#[test]
fn samples_with_the_right_time_are_kept_while_the_clock_is_ahead() {
    let mut ship = sailed(MetricOptions::default(), 2);
    ship.store.maintain(UtcMs(START + 10 * MINUTE)).unwrap();
    ship.store.maintain(UtcMs(START + TEN_YEARS)).unwrap();
    let right = START + 11 * MINUTE;
    assert_eq!(ship.append(START + TEN_YEARS, vec![("a", vec![(right, 1.0)])]).stored, 1);
    ship.check_all();
}

#[test]
fn after_days_in_port_without_power_deletion_catches_up_once_the_clock_is_confirmed() {
    let mut ship = Ship::new(MetricOptions::default());
    let left = sail(&mut ship, START, 2);
    ship.store.flush().unwrap();
    ship.reopen(ship.disk.clone());
    let back = left + 30 * DAY;
    let done = ship.store.maintain(UtcMs(back)).unwrap();
    assert_eq!((done.deleted_by_age, done.retention_held), (0, true));
    ship.store.confirm_clock(UtcMs(back));
    let done = ship.store.maintain(UtcMs(back)).unwrap();
    assert!(done.deleted_by_age > 0 && !done.retention_held);
    // What is not rolled up yet waits.
    assert!(ship.store.stats().oldest.unwrap() >= UtcMs(back - 30 * DAY - 10 * HOUR));
}

/// A disk that has as much room as it is told.
#[derive(Debug)]
struct Roomy(Disk, Arc<Mutex<Space>>);

impl Io for Roomy {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.0.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.0.open(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        Ok(*self.1.lock().unwrap())
    }
}

#[test]
fn for_want_of_room_what_is_rolled_up_goes_first_and_rollups_before_the_rest() {
    let ship = rollups::voyage(MetricOptions::default(), 34);
    for _ in 0..40 {
        ship.store.maintain(UtcMs(START + 34 * HOUR)).unwrap();
    }
    let before = ship.store.stats();
    assert!(before.rollups >= 5 && before.blocks > 3, "{before:?}");
    let space = Arc::new(Mutex::new(Space { total: 100 * before.bytes, free: 50 * before.bytes }));
    let io = Arc::new(Roomy(ship.disk.clone(), Arc::clone(&space)));
    let options = MetricOptions { disk_percent_max: 2, ..MetricOptions::default() };
    let (store, _) = MetricStore::open(io, Path::new("/data/metrics"), options).unwrap();
    let mut now = START + 34 * HOUR;
    let mut maintain = |free| {
        space.lock().unwrap().free = free;
        now += MINUTE;
        store.maintain(UtcMs(now)).unwrap();
        store.stats()
    };
    let plenty = maintain(50 * before.bytes);
    assert_eq!((plenty.blocks, plenty.rollups, plenty.deleted_by_bytes), (before.blocks, before.rollups, 0));
    assert_eq!(plenty.bytes_max, 2 * before.bytes - 2 * before.bytes / 20);
    // The file system lacks room: only what is rolled up goes, however little that helps.
    let tight = maintain(0);
    assert!(tight.blocks < before.blocks && tight.deleted_by_bytes > 0, "{tight:?}");
    assert_eq!(tight.rollups, before.rollups);
    let tight = maintain(0);
    let answers = |store: &MetricStore| store.select(&[], UtcMs(START + 28 * HOUR), UtcMs::MAX, usize::MAX).unwrap();
    assert_eq!(answers(&store), answers(&ship.store), "what is not rolled up stays: {tight:?}");
    // The quota shrinks: then rollups go as well, those of five minutes first.
    space.lock().unwrap().total = 50 * before.bytes_rollups / 2;
    maintain(50 * before.bytes);
    let small = maintain(50 * before.bytes);
    assert!(small.rollups < before.rollups && small.bytes <= small.bytes_max, "{small:?}");
}
