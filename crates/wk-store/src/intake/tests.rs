use std::sync::atomic::AtomicI64;
use std::sync::mpsc;

use proptest::prelude::*;
use wk_types::{Command, ErrorKind, IntakeRecord, LogRecord, Severity, Verb};

use super::*;
use crate::io::SystemIo;
use crate::io::crash::{CrashIo, Dice, Faults};

mod crash;
mod damage;
mod faults;
mod speed;

pub(super) const DIR: &str = "/data/intake";

pub(super) fn dir() -> &'static Path {
    Path::new(DIR)
}

/// A log record whose text can be told from all others.
pub(super) fn record(text: &str) -> NewRecord {
    record_at(text, 1_700_000_000_000)
}

pub(super) fn record_at(text: &str, received: i64) -> NewRecord {
    let log = LogRecord {
        time: UtcMs(received),
        asset: "bridge-pc".into(),
        app: "test".into(),
        severity: Severity::Info,
        message: text.into(),
        attributes: wk_types::Attributes::new(),
    };
    NewRecord { received: UtcMs(received), source: "test".into(), body: Body::Logs([log].into()) }
}

/// Text that zstd cannot make smaller than about half.
pub(super) fn noise(dice: &mut Dice, bytes: usize) -> String {
    (0..bytes).map(|_| char::from(b'!' + dice.below(90) as u8)).collect()
}

pub(super) fn text_of(record: &IntakeRecord) -> &str {
    match &record.body {
        Body::Logs(logs) => &logs[0].message,
        other => panic!("{other:?} is no log record"),
    }
}

pub(super) fn options() -> IntakeOptions {
    let now = AtomicI64::new(1_800_000_000_000);
    // What is read comes from disk, unless a test says otherwise.
    let recent_bytes_max = 0;
    IntakeOptions {
        recent_bytes_max,
        ..IntakeOptions::new(Arc::new(move || UtcMs(now.fetch_add(1, Ordering::Relaxed))))
    }
}

pub(super) fn small_segments() -> IntakeOptions {
    IntakeOptions { segment_bytes_max: 2_000, read_bytes_max: 0, ..options() }
}

pub(super) fn open(io: &CrashIo, options: IntakeOptions) -> (IntakeLog, OpenReport) {
    IntakeLog::open(Arc::new(io.clone()), dir(), options).unwrap()
}

/// Everything after `after`, by as many reads as it takes.
pub(super) fn read_all(log: &IntakeLog, after: Seq) -> (Vec<Arc<IntakeRecord>>, Vec<Damage>) {
    let (mut records, mut damage, mut next) = (Vec::new(), Vec::new(), after);
    loop {
        let batch = log.read(next, 4_000).unwrap();
        if batch.next == next {
            return (records, damage);
        }
        next = batch.next;
        records.extend(batch.records);
        damage.extend(batch.damage);
    }
}

fn texts(log: &IntakeLog, after: Seq) -> Vec<String> {
    read_all(log, after).0.iter().map(|record| text_of(record).to_owned()).collect()
}

/// Writes records one by one until the log has more than `count` segments; returns the last seq.
fn fill_segments(log: &IntakeLog, count: usize) -> Seq {
    let mut dice = Dice::new(7);
    loop {
        let seq = log.append(record(&noise(&mut dice, 300))).unwrap();
        if log.stats().segments > count {
            return seq;
        }
    }
}

#[test]
fn what_was_acknowledged_is_read_back_in_order_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let open = || IntakeLog::open(Arc::new(SystemIo), root.path(), small_segments()).unwrap();
    let (log, report) = open();
    assert_eq!((report.last, report.segments, report.first), (Seq(0), 0, None));
    let written: Vec<String> = (0..50).map(|n| format!("{n} {}", noise(&mut Dice::new(n), 200))).collect();
    for (text, expected) in written.iter().zip(1..) {
        assert_eq!(log.append(record(text)).unwrap(), Seq(expected));
    }
    assert_eq!(texts(&log, Seq(0)), written);
    log.close();

    let (log, report) = open();
    assert_eq!((report.first, report.last, report.scanned), (Some(Seq(1)), Seq(50), 1));
    assert!(report.segments > 3 && report.damage.is_empty());
    assert_eq!(texts(&log, Seq(0)), written);
    assert_eq!(texts(&log, Seq(48)), written[48..]);
    assert_eq!(log.append(record("next")).unwrap(), Seq(51));
}

#[test]
fn records_that_wait_together_share_one_sync() {
    let (log, _) = open(&CrashIo::new(1), options());
    let (sender, receiver) = mpsc::channel();
    for n in 0..500 {
        let sender = sender.clone();
        log.submit(record(&format!("{n}")), move |seq| sender.send(seq.unwrap()).unwrap()).unwrap();
    }
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (1..=500).map(Seq).collect::<Vec<_>>());
    log.close();
    let stats = log.stats();
    assert_eq!(stats.written_records, 500);
    assert!(stats.syncs < 500, "{stats:?}");
}

#[test]
fn large_batches_are_cut_into_frames_and_large_records_refused() {
    let (log, _) = open(&CrashIo::new(1), options());
    let text = noise(&mut Dice::new(3), 700_000);
    for _ in 0..4 {
        log.submit(record(&text), |_| {}).unwrap();
    }
    let error = log.append(record(&"x".repeat(RECORD_BYTES_MAX))).unwrap_err();
    assert!(matches!(error, IntakeError::TooLarge { .. }));
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    log.close();
    assert!(log.read(Seq(0), 1).unwrap().records.len() < 4);
    assert_eq!(texts(&log, Seq(0)).len(), 4);
    assert!(log.stats().written_frames >= 2);
}

#[test]
fn a_reader_that_keeps_up_is_handed_the_records_that_were_written() {
    let (log, _) = open(&CrashIo::new(1), IntakeOptions { recent_bytes_max: 1 << 20, ..options() });
    let first = log.append(record("one")).unwrap();
    let batch = || log.read(Seq(0), 1 << 20).unwrap();
    assert_eq!((batch().records.len(), batch().next), (1, first));
    assert!(Arc::ptr_eq(&batch().records[0], &batch().records[0]));
    let last = log.append(record("two")).unwrap();
    assert_eq!(texts(&log, Seq(0)), ["one", "two"]);
    assert_eq!((texts(&log, first).len(), log.read(last, 1).unwrap().records.len()), (1, 0));
}

#[test]
fn records_of_other_kinds_are_passed_over_on_disk_and_in_memory() {
    for recent_bytes_max in [0, 1 << 20] {
        let (log, _) = open(&CrashIo::new(1), IntakeOptions { recent_bytes_max, ..options() });
        let tick = || NewRecord { received: UtcMs(5), source: "node".into(), body: Body::Tick };
        for _ in 0..3 {
            log.append(record("text")).unwrap();
            log.append(tick()).unwrap();
        }
        let batch = log.read_kinds(Seq(0), 1 << 20, Kinds::LOGS).unwrap();
        assert_eq!(batch.records.iter().map(|record| record.seq.0).collect::<Vec<_>>(), [1, 3, 5]);
        assert_eq!((batch.next, batch.damage.len()), (Seq(6), 0));
        let batch = log.read_kinds(Seq(0), 1 << 20, Kinds::SAMPLES).unwrap();
        assert_eq!((batch.records.len(), batch.next), (0, Seq(6)));
    }
}

#[test]
fn a_read_gives_whole_frames_up_to_the_bound_and_says_where_to_go_on() {
    let (log, _) = open(&CrashIo::new(1), small_segments());
    fill_segments(&log, 3);
    let mut next = Seq(0);
    let mut seen = Vec::new();
    loop {
        let batch = log.read(next, 1).unwrap();
        if batch.records.is_empty() {
            break;
        }
        assert_eq!(batch.records.len(), 1);
        assert_eq!(batch.next, batch.records[0].seq);
        seen.push(batch.next.0);
        next = batch.next;
    }
    assert_eq!(seen, (1..=log.durable().0).collect::<Vec<_>>());
    assert_eq!(log.read(next, 1_000_000).unwrap(), ReadBatch { records: vec![], next, damage: vec![] });
}

#[test]
fn waiting_ends_when_a_record_is_on_disk_and_when_the_time_is_up() {
    let (log, _) = open(&CrashIo::new(1), options());
    assert_eq!(log.wait_beyond(Seq(0), Duration::from_millis(1)), Seq(0));
    let waiting = log.clone();
    let waiter = thread::spawn(move || waiting.wait_beyond(Seq(0), Duration::from_secs(60)));
    log.append(record("one")).unwrap();
    assert_eq!(waiter.join().unwrap(), Seq(1));
}

#[test]
fn the_time_of_writing_is_known_for_each_record_on_disk() {
    let (log, _) = open(&CrashIo::new(1), small_segments());
    let last = fill_segments(&log, 3);
    let times: Vec<UtcMs> = (1..=last.0).map(|seq| log.written_at(Seq(seq)).unwrap()).collect();
    assert!(times.is_sorted() && times[0] < times[times.len() - 1]);
    assert_eq!((log.written_at(Seq(0)), log.written_at(last.next())), (None, None));
}

#[test]
fn a_segment_is_freed_once_all_readers_have_passed_it() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, small_segments());
    let last = fill_segments(&log, 6);
    log.register_reader("metrics", Seq(0));
    log.register_reader("engine", Seq(0));
    log.advance("metrics", last);
    assert_eq!(log.stats().freed_segments, 0);
    log.advance("engine", Seq(last.0 / 2));
    let stats = log.stats();
    assert!(stats.freed_segments > 0 && stats.first.unwrap() > Seq(1) && stats.first.unwrap() <= Seq(last.0 / 2 + 1));
    assert!(texts(&log, Seq(last.0 / 2)).len() as u64 >= last.0 - last.0 / 2);
    assert_eq!(io.files().len(), 2 * stats.segments - 1, "segments and index files are gone");

    log.advance("engine", last);
    assert_eq!(log.stats().segments, 1, "the newest one stays");
    let batch = log.read(Seq(0), 1).unwrap();
    assert!(batch.damage.is_empty(), "what was freed is not lost");
    log.close();
    let (log, report) = open(&io.restart(), small_segments());
    assert_eq!(report.last, last);
    assert_eq!(log.append(record("next")).unwrap(), last.next());
}

#[test]
fn nothing_is_freed_before_the_required_readers_are_there() {
    let required = IntakeOptions { readers_required: vec!["lake".into(), "engine".into()], ..small_segments() };
    let (log, _) = open(&CrashIo::new(1), required);
    let last = fill_segments(&log, 4);
    log.advance("engine", last);
    assert_eq!(log.stats().freed_segments, 0);
    log.register_reader("lake", Seq(0));
    log.advance("engine", last);
    assert_eq!(log.stats().freed_segments, 0);
    log.advance("lake", last);
    assert!(log.stats().freed_segments > 0);
}

#[test]
fn read_segments_are_kept_up_to_their_bound_and_age() {
    let keep = IntakeOptions { read_bytes_max: 5_000, ..small_segments() };
    let (log, _) = open(&CrashIo::new(1), keep);
    let last = fill_segments(&log, 10);
    log.advance("engine", last);
    let stats = log.stats();
    assert!(stats.segments > 1 && stats.bytes < 5_000 + 2 * 2_500, "{stats:?}");

    let young = IntakeOptions { read_bytes_max: u64::MAX, age_max: DurationMs(10), ..small_segments() };
    let (log, _) = open(&CrashIo::new(1), young);
    let last = fill_segments(&log, 10);
    log.advance("engine", Seq(1));
    assert_eq!(log.stats().freed_segments, 0, "age never overrides an unread cursor");
    log.advance("engine", last);
    let oldest = log.written_at(log.stats().first.unwrap()).unwrap();
    assert!(log.written_at(last).unwrap().since(oldest) < DurationMs(40));
}

#[test]
fn a_reader_that_lags_sees_how_far_and_catches_up_without_a_gap() {
    let (log, _) = open(&CrashIo::new(1), small_segments());
    log.register_reader("engine", Seq(0));
    log.register_reader("lake", Seq(0));
    let last = fill_segments(&log, 5);
    log.advance("engine", last);
    let lag = |log: &IntakeLog| log.stats().readers.iter().map(|reader| reader.lag_records).collect::<Vec<_>>();
    assert_eq!(lag(&log), [0, last.0]);
    let mut cursor = Seq(0);
    while cursor < last {
        let batch = log.read(cursor, 600).unwrap();
        assert_eq!(batch.records[0].seq, cursor.next());
        cursor = batch.next;
        log.advance("lake", cursor);
        assert_eq!(lag(&log)[1], last.0 - cursor.0);
    }
}

#[test]
fn a_full_log_refuses_telemetry_and_takes_it_again_when_readers_move() {
    let tight = IntakeOptions { bytes_max: 10_000, ..small_segments() };
    let (log, _) = open(&CrashIo::new(1), tight);
    log.register_reader("engine", Seq(0));
    let mut dice = Dice::new(5);
    let refused = loop {
        if let Err(error) = log.append(record(&noise(&mut dice, 300))) {
            break error;
        }
    };
    assert!(matches!(refused, IntakeError::Busy { bound: Bound::Bytes }), "{refused}");
    assert!(refused.kind().is_retryable());
    let tick = NewRecord { received: UtcMs(1), source: "node".into(), body: Body::Tick };
    log.append(tick.clone()).expect("ticks have a reserve");
    let reserve_ends = (0..1_000).any(|_| log.append(tick.clone()).is_err());
    assert!(reserve_ends, "the reserve has a bound too");
    let stats = log.stats();
    assert!(stats.refused_records >= 2 && stats.bytes < 12_000, "{stats:?}");

    log.advance("engine", Seq(log.durable().0 - 3));
    log.append(record("again")).unwrap();
}

#[test]
fn a_full_queue_refuses_at_once() {
    let options = IntakeOptions { queue_records_max: 2, ..options() };
    let (log, _) = open(&CrashIo::new(1), options);
    let (release, held) = mpsc::channel::<()>();
    let (entered, waiting) = mpsc::channel();
    let hold = move |_| {
        entered.send(()).unwrap();
        held.recv().unwrap();
    };
    log.submit(record("holds the writer"), hold).unwrap();
    waiting.recv().unwrap();
    log.submit(record("1"), |_| {}).unwrap();
    log.submit(record("2"), |_| {}).unwrap();
    let refused = log.submit(record("3"), |_| {}).unwrap_err();
    assert!(matches!(refused, IntakeError::Busy { bound: Bound::Queue }));
    release.send(()).unwrap();
    log.close();
    assert_eq!(texts(&log, Seq(0)), ["holds the writer", "1", "2"]);
}

#[test]
fn a_full_disk_is_named_and_work_goes_on_once_there_is_space() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, options());
    let mut dice = Dice::new(5);
    log.append(record("before")).unwrap();
    io.set_faults(Faults { bytes_max: Some(3_000), ..Faults::default() });
    let error = (0..20).find_map(|_| log.append(record(&noise(&mut dice, 900))).err()).unwrap();
    assert!(matches!(&error, IntakeError::Full { dir } if dir == Path::new(DIR)), "{error}");
    assert!(log.append(record(&noise(&mut dice, 900))).is_err());
    let files_when_full = io.files().len();
    assert!(log.append(record(&noise(&mut dice, 900))).is_err());
    assert_eq!(io.files().len(), files_when_full, "failed attempts leave nothing behind");
    let acknowledged = read_all(&log, Seq(0)).0;

    io.set_faults(Faults::default());
    let after = log.append(record("after")).unwrap();
    assert!(after > acknowledged.last().unwrap().seq);
    log.close();
    let (log, report) = open(&io.restart(), options());
    assert_eq!(report.damage, []);
    let (records, damage) = read_all(&log, Seq(0));
    assert_eq!(damage, []);
    assert_eq!(records[..acknowledged.len()], acknowledged);
    assert_eq!(text_of(records.last().unwrap()), "after");
    assert_eq!(records.len(), acknowledged.len() + 1);
}

#[test]
fn a_full_disk_takes_the_room_of_what_has_been_read() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, IntakeOptions { read_bytes_max: u64::MAX, ..small_segments() });
    log.register_reader("engine", Seq(0));
    let mut dice = Dice::new(5);
    io.set_faults(Faults { bytes_max: Some(20_000), ..Faults::default() });
    for _ in 0..200 {
        let seq = log.append(record(&noise(&mut dice, 300))).unwrap();
        log.advance("engine", seq);
    }
    assert!(log.stats().freed_segments > 0);
}

#[test]
fn after_a_failed_sync_the_batch_fails_and_a_new_segment_is_begun() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, options());
    let first = log.append(record("first")).unwrap();
    io.set_faults(Faults { sync_errors_per_mille: 1_000, ..Faults::default() });
    let error = log.append(record("failed")).unwrap_err();
    assert!(matches!(error, IntakeError::Write { .. }) && error.kind().is_retryable());
    io.set_faults(Faults::default());
    let second = log.append(record("second")).unwrap();
    assert_eq!(log.durable(), second);
    assert_eq!(texts(&log, Seq(0)), ["first", "second"]);
    let stats = log.stats();
    assert_eq!((stats.segments, stats.failed_records, stats.sync_errors), (2, 1, 1));
    assert_eq!(stats.readers, []);

    log.close();
    let (log, report) = open(&io, options());
    assert!(report.damage.is_empty() && second > first.next());
    assert_eq!(texts(&log, Seq(0)), ["first", "second"], "the failed record does not come back");
}

#[test]
fn closing_writes_what_waits_and_refuses_what_comes_later() {
    let (log, _) = open(&CrashIo::new(1), options());
    for n in 0..100 {
        log.submit(record(&format!("{n}")), |written| assert!(written.is_ok())).unwrap();
    }
    log.close();
    assert_eq!(texts(&log, Seq(0)).len(), 100);
    assert!(matches!(log.append(record("late")), Err(IntakeError::Closed)));
    assert_eq!(log.wait_beyond(Seq(100), Duration::from_secs(60)), Seq(100));
}

#[test]
fn commands_are_taken_as_they_are() {
    let (log, _) = open(&CrashIo::new(1), options());
    let verb = Verb::Acknowledge { incident: "inc-1".into() };
    let body = Body::Command(Box::new(Command { id: "cmd-1".into(), by: None, verb }));
    let seq = log.append(NewRecord { received: UtcMs(5), source: "console".into(), body: body.clone() }).unwrap();
    let read = log.read(Seq(0), 1).unwrap().records;
    assert_eq!(*read[0], IntakeRecord { seq, received: UtcMs(5), source: "console".into(), body });
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_kept() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, options());
    log.append(record("one")).unwrap();
    log.close();
    let path = segment::segment_path(dir(), 1);
    let original = io.content(&path).unwrap();
    io.damage(&path, |bytes| {
        bytes[4] = frame::FORMAT + 1;
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[64..68].copy_from_slice(&crc.to_le_bytes());
    });
    let newer = io.content(&path).unwrap();
    let error = IntakeLog::open(Arc::new(io.clone()), dir(), options()).unwrap_err();
    assert!(matches!(error, IntakeError::Newer { found: 2, .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(io.content(&path).unwrap(), newer);
    io.damage(&path, |bytes| *bytes = original);
    assert_eq!(texts(&open(&io, options()).0, Seq(0)), ["one"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_batches_survive_a_crash_whole(
        batches in proptest::collection::vec(proptest::collection::vec("\\PC{0,40}", 1..12), 1..12),
        segment_bytes_max in 200_u64..4_000,
    ) {
        let io = CrashIo::new(1);
        let options = || IntakeOptions { segment_bytes_max, ..options() };
        let (log, _) = open(&io, options());
        for batch in &batches {
            let (sender, receiver) = mpsc::channel();
            for text in batch {
                let sender = sender.clone();
                log.submit(record(text), move |written| sender.send(written.unwrap()).unwrap()).unwrap();
            }
            drop(sender);
            prop_assert_eq!(receiver.iter().count(), batch.len());
        }
        let io = io.restart();
        let (log, report) = open(&io, options());
        prop_assert_eq!(report.damage, vec![]);
        prop_assert_eq!(texts(&log, Seq(0)), batches.concat());
    }
}
