//! A store that is away, slow, refuses, or answers into the void: nothing is lost and nothing doubled.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wk_connect::clickhouse::{ClickHouse, LogOutbox, OutboxError, OutboxOptions, Refused};
use wk_lake::LogSource as _;
use wk_store::io::SystemIo;
use wk_types::{IntakeRecord, Seq, Severity, UtcMs};

use super::engine::{Engine, Fault, Proxy};
use super::{DAY, lines, log, options, record, record_of, runtime, seqs};

/// How long sending may take to succeed once nothing stands in its way.
const SENT_WITHIN: Duration = Duration::from_secs(90);

/// An outbox in a folder, with what its surroundings know.
struct Sender {
    outbox: LogOutbox,
    pressed: Arc<AtomicBool>,
    refused: Arc<Mutex<Vec<Refused>>>,
}

impl Sender {
    fn open(dir: &Path, store: &ClickHouse, has_spill: bool) -> Self {
        let (pressed, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (is_pressed, told) = (Arc::clone(&pressed), Arc::clone(&refused));
        let options = OutboxOptions {
            is_pressed: Box::new(move || is_pressed.load(Ordering::SeqCst)),
            spill: has_spill.then(|| (dir.join("spill"), 1 << 30)),
            told: Box::new(move |one| {
                told.lock().unwrap().push(one.clone());
                Ok(())
            }),
            start: Seq(0),
        };
        let outbox = LogOutbox::open(Arc::new(SystemIo), dir, store.clone(), options).unwrap();
        Self { outbox, pressed, refused }
    }

    /// Takes in what lies beyond the cursor and sends until all of it is safe.
    fn send_all(&mut self, records: &[Arc<IntakeRecord>]) {
        let last = records.last().unwrap().seq;
        let deadline = Instant::now() + SENT_WITHIN;
        loop {
            let sent = self.outbox.take(records, last).and_then(|()| self.outbox.finish());
            match sent {
                Ok(cursor) if cursor >= last && self.outbox.stats().read().spill_rows == 0 => return,
                Ok(_) => drop(self.outbox.maintain()),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

fn some(range: std::ops::RangeInclusive<u64>) -> Vec<Arc<IntakeRecord>> {
    range.map(record).collect()
}

fn range(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_batch_sent_again_after_a_lost_answer_is_stored_once() {
    let Some(engine) = Engine::shared("clickhouse: a_batch_sent_again") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let proxy = Proxy::before(engine.port);
    let store = ClickHouse::new(options(proxy.port, "lost_answer"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    let direct = ClickHouse::new(options(engine.port, "lost_answer"), runtime.handle().clone()).unwrap();
    let mut sender = Sender::open(dir.path(), &store, false);

    proxy.set(Fault::AnswerLost);
    let records = some(1..=20);
    let failed = sender.outbox.take(&records, Seq(20)).and_then(|()| sender.outbox.finish()).unwrap_err();
    assert!(matches!(failed, OutboxError::Send(_)), "{failed}");
    assert!(proxy.lost.load(Ordering::SeqCst) > 0);
    assert_eq!(seqs(&direct), range(20), "the store has it, and the sender does not know");
    drop(sender);

    // The node is killed before it hears of it, and started again with more to send.
    proxy.set(Fault::None);
    let mut sender = Sender::open(dir.path(), &store, false);
    assert_eq!(sender.outbox.cursor(), Seq(0));
    sender.send_all(&some(1..=50));
    assert_eq!(seqs(&direct), range(50));
    assert_eq!(sender.outbox.stats().read().sent_batches, 2, "the batch of before was sent as it was");
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn while_the_store_is_away_nothing_is_taken_beyond_one_batch_and_nothing_is_lost() {
    let Some(engine) = Engine::shared("clickhouse: while_the_store_is_away") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let proxy = Proxy::before(engine.port);
    let store = ClickHouse::new(options(proxy.port, "away"), runtime.handle().clone()).unwrap();
    let mut sender = Sender::open(dir.path(), &store, false);
    for fault in [Fault::Closed, Fault::Unavailable] {
        proxy.set(fault);
        let failed = sender.outbox.take(&some(1..=5), Seq(5)).and_then(|()| sender.outbox.finish());
        assert!(failed.is_err(), "{fault:?}");
        assert_eq!(sender.outbox.cursor(), Seq(0));
    }
    assert!(sender.outbox.take(&some(6..=9), Seq(9)).is_err(), "the batch under way comes first");
    let stats = sender.outbox.stats().read();
    assert_eq!((stats.waiting_rows, stats.sent_rows), (5, 0));
    assert!(stats.last_error.as_ref().is_some_and(|text| text.contains("could not reach ClickHouse")), "{stats:?}");
    assert_eq!(store.newest().seq, Seq(0));

    proxy.set(Fault::None);
    sender.send_all(&some(1..=30));
    assert_eq!(seqs(&store), range(30));
    assert_eq!(store.newest().seq, Seq(30));
    assert_eq!(sender.outbox.stats().read().last_error, None);
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_store_that_is_killed_and_started_again_has_every_line_once() {
    let Some(mut engine) = Engine::start("clickhouse: a_store_that_is_killed", &[]) else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let store = ClickHouse::new(options(engine.port, "killed"), runtime.handle().clone()).unwrap();
    let mut sender = Sender::open(dir.path(), &store, false);
    sender.send_all(&some(1..=100));
    engine.kill();
    let failed = sender.outbox.take(&some(101..=150), Seq(150)).and_then(|()| sender.outbox.finish());
    assert!(failed.is_err());
    engine.restart();
    sender.send_all(&some(101..=200));
    // Both are ended without a word, and what was sent last is sent once more.
    engine.kill();
    drop(sender);
    engine.restart();
    let again: Vec<Arc<IntakeRecord>> = some(1..=100);
    for record in &again {
        store.insert(record.received, &lines(record)).unwrap();
    }
    let stored = seqs(&store);
    assert_eq!(stored.len(), 300, "these batches were others, so the store takes them");
    store.insert(again[7].received, &lines(&again[7])).unwrap();
    assert_eq!(seqs(&store).len(), 300, "this one it knows, also after it was killed");
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn too_much_that_waits_goes_to_the_spill_and_from_there_to_the_store() {
    let Some(engine) = Engine::shared("clickhouse: too_much_that_waits") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let proxy = Proxy::before(engine.port);
    let store = ClickHouse::new(options(proxy.port, "spill"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    let mut sender = Sender::open(dir.path(), &store, true);
    // The first batch is stored, and only its answer is lost: it goes to the spill all the same.
    proxy.set(Fault::AnswerLost);
    assert!(sender.outbox.take(&some(1..=10), Seq(10)).and_then(|()| sender.outbox.finish()).is_err());
    proxy.set(Fault::Closed);
    sender.pressed.store(true, Ordering::SeqCst);
    assert_eq!(sender.outbox.finish().unwrap(), Seq(10), "the intake log may let go of it");
    for from in [11, 21, 31] {
        sender.outbox.take(&some(from..=from + 9), Seq(from + 9)).unwrap();
        assert_eq!(sender.outbox.finish().unwrap(), Seq(from + 9));
    }
    let stats = sender.outbox.stats().read();
    assert_eq!((stats.spilled_rows, stats.spill_rows, stats.sent_rows), (40, 40, 0));
    assert_eq!(store.newest().seq, Seq(0), "the store cannot be asked for what lies in the spill");
    drop(sender);

    let mut sender = Sender::open(dir.path(), &store, true);
    assert_eq!(sender.outbox.cursor(), Seq(40));
    assert_eq!(sender.outbox.stats().read().spill_rows, 40);
    proxy.set(Fault::None);
    sender.send_all(&some(41..=60));
    assert_eq!(seqs(&store), range(60));
    assert_eq!(store.newest().seq, Seq(60));
    let left = std::fs::read_dir(dir.path().join("spill")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().ends_with(".parquet")));
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn lines_that_the_store_refuses_for_good_are_told_and_the_others_stored() {
    let Some(engine) = Engine::shared("clickhouse: lines_that_the_store_refuses") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let store = ClickHouse::new(options(engine.port, "refused"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    engine.ask("refused", "ALTER TABLE logs ADD CONSTRAINT good CHECK NOT startsWith(message, 'bad')");
    let records: Vec<Arc<IntakeRecord>> = (1..=40)
        .map(|seq| {
            let message = if seq % 13 == 0 { "bad line" } else { "good line" };
            record_of(seq, vec![log(UtcMs(DAY.0), "radar", "kernel", Severity::Info, message)])
        })
        .collect();
    let mut sender = Sender::open(dir.path(), &store, false);
    sender.send_all(&records);
    let refused = sender.refused.lock().unwrap().clone();
    assert_eq!(refused.iter().map(|one| one.records.0.0).collect::<Vec<_>>(), [13, 26, 39]);
    assert!(refused.iter().all(|one| one.rows == 1 && one.what.contains("469")), "{refused:?}");
    assert_eq!(seqs(&store), range(40).into_iter().filter(|seq| seq % 13 != 0).collect::<Vec<_>>());
    let stats = sender.outbox.stats().read();
    assert_eq!((stats.sent_rows, stats.refused_rows), (37, 3));
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_table_that_is_gone_is_waited_for() {
    let Some(engine) = Engine::shared("clickhouse: a_table_that_is_gone") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let store = ClickHouse::new(options(engine.port, "gone"), runtime.handle().clone()).unwrap();
    let mut sender = Sender::open(dir.path(), &store, false);
    sender.send_all(&some(1..=3));
    engine.ask("gone", "RENAME TABLE logs TO kept");
    assert!(sender.outbox.take(&some(4..=6), Seq(6)).and_then(|()| sender.outbox.finish()).is_err());
    engine.ask("gone", "RENAME TABLE kept TO logs");
    sender.send_all(&some(4..=6));
    assert_eq!(seqs(&store), range(6));
    assert!(sender.refused.lock().unwrap().is_empty());
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_question_to_a_silent_store_ends_in_time() {
    let Some(engine) = Engine::shared("clickhouse: a_question_to_a_silent_store") else { return };
    let runtime = runtime();
    let proxy = Proxy::before(engine.port);
    let store = ClickHouse::new(options(proxy.port, "silent"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    proxy.set(Fault::Silent);
    let limits = wk_lake::SearchLimits { time_max: wk_types::DurationMs(1_500), ..wk_lake::SearchLimits::default() };
    let began = Instant::now();
    let failed = store.search(&wk_lake::LogQuery::default(), &limits).unwrap_err();
    assert!(matches!(failed, wk_lake::LakeError::TimeLimit { .. }), "{failed}");
    assert!(began.elapsed() < Duration::from_secs(5));
    let cancel = limits.cancel.clone();
    let waiting = std::thread::spawn(move || {
        store.search(
            &wk_lake::LogQuery::default(),
            &wk_lake::SearchLimits { time_max: wk_types::DurationMs::from_secs(60), ..limits },
        )
    });
    cancel.cancel();
    assert!(matches!(waiting.join().unwrap(), Err(wk_lake::LakeError::Cancelled)));
}
