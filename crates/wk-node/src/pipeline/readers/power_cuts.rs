//! Power cuts, failing syncs and full disks under intake log, metric store and log lake together: all on one disk, moved
//! by the node's own readers. Nothing acknowledged may be lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;

use wk_lake::{LakeOptions, LogQuery, SearchLimits};
use wk_store::intake::{IntakeError, IntakeOptions};
use wk_store::io::crash::{CrashIo, Dice, Faults};
use wk_store::metrics::MetricOptions;
use wk_types::{
    Attributes, Labels, LogRecord, MatchOp, Matcher, NewRecord, Sample, Series, SeriesSamples, SeriesSource as _,
    Severity,
};

use super::*;

const ROUNDS: u64 = 200;
/// Power cuts that one disk goes through before a new one is taken.
const ROUNDS_PER_DISK: u64 = 25;
/// Two hours before midnight, so that the lake meets a change of day.
const START: UtcMs = UtcMs(1_795_478_400_000 - 7_200_000);
/// As many rows as one search may answer.
const ROWS_MAX: usize = 10_000;
const SERIES: u64 = 8;
const METRIC: &str = "engine_speed";

#[derive(Clone)]
struct TestClock(Arc<AtomicI64>);

impl TestClock {
    fn now(&self) -> UtcMs {
        UtcMs(self.0.load(Ordering::Relaxed))
    }

    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms as i64, Ordering::Relaxed);
    }
}

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Tally {
    /// Starts that succeeded.
    starts: u64,
    failed_starts: u64,
    kills: u64,
    clean_stops: u64,
    acknowledged_records: usize,
    acknowledged_samples: usize,
    acknowledged_logs: usize,
    failed_records: u64,
    freed_segments: u64,
    metric_files_merged: u64,
    lake_flushes: u64,
    lake_files_merged: u64,
}

/// The storage side of a node.
struct Stores {
    intake: IntakeLog,
    metrics: MetricStore,
    lake: Lake,
    courses: [Course; 2],
    clock: TestClock,
}

impl Stores {
    /// Opens all three as a node does at its start.
    fn open(io: &CrashIo, clock: &TestClock) -> Result<Self, Failure> {
        let io = Arc::new(io.clone());
        let wall = clock.clone();
        let options = IntakeOptions {
            segment_bytes_max: 3_000,
            read_bytes_max: 0,
            readers_required: [METRICS, LOGS].map(str::to_owned).to_vec(),
            ..IntakeOptions::new(Arc::new(move || wall.now()))
        };
        let (intake, _) = IntakeLog::open(io.clone(), Path::new("/data/intake"), options)?;
        let options = MetricOptions {
            part_every: DurationMs::from_secs(30),
            block_span: DurationMs::from_mins(5),
            day_span: DurationMs::from_mins(20),
            late_window: DurationMs::from_mins(4),
            ..MetricOptions::default()
        };
        let (metrics, report) = MetricStore::open(io.clone(), Path::new("/data/metrics"), options)?;
        assert_eq!(report.damaged, [], "a block that counts is whole");
        let wall = clock.clone();
        let options = LakeOptions {
            buffer_rows_max: 60,
            flush_after: DurationMs::from_secs(30),
            monotonic: Arc::new(move || Duration::from_millis(wall.now().since(START).0.unsigned_abs())),
            ..LakeOptions::default()
        };
        let (lake, report) = Lake::open(io, Path::new("/data/logs"), options)?;
        // A file that the power goes away under cannot be read, which is no damage.
        assert!(!report.problems.iter().any(|problem| problem.is_damaged), "a log file that counts is whole");
        let stages: Arc<Stages> = Arc::default();
        let readers: [(Box<dyn Reader>, Seq); 2] = [
            (Box::new(MetricReader(metrics.clone())), metrics.cursor()),
            (Box::new(LogReader(lake.clone())), lake.cursor()),
        ];
        let courses = readers.map(|(reader, at)| {
            let backlog = Some(intake.durable()).filter(|end| at < *end);
            let told: Told = Box::new(|_| Ok(()));
            let course = Course { intake: intake.clone(), stages: Arc::clone(&stages), reader, at, backlog, told };
            course.enter();
            course
        });
        Ok(Self { intake, metrics, lake, courses, clock: clock.clone() })
    }

    fn round(&mut self, which: usize) {
        // A node goes on after an error; so do the rounds.
        let _ = self.courses[which].round(Duration::ZERO, &|| self.clock.now());
    }

    /// Replays what is not yet in the stores.
    fn catch_up(&mut self, io: &CrashIo) {
        for which in 0..self.courses.len() {
            while !io.is_off() && self.courses[which].at < self.intake.durable() {
                self.round(which);
            }
        }
    }

    fn count(&self, tally: &mut Tally) {
        let (intake, lake) = (self.intake.stats(), self.lake.stats());
        tally.failed_records += intake.failed_records;
        tally.freed_segments += intake.freed_segments;
        tally.metric_files_merged += self.metrics.stats().files_merged;
        tally.lake_flushes += lake.flushes;
        tally.lake_files_merged += lake.files_merged;
    }

    /// Ends as a node does that is told to stop.
    fn stop(mut self) {
        for course in &mut self.courses {
            let _ = course.finish(&|| self.clock.now());
        }
        self.intake.close();
    }
}

/// What the senders remember.
#[derive(Default)]
struct Truth {
    acknowledged: BTreeMap<Seq, Body>,
    /// Every sample ever handed in, by series and time.
    samples: BTreeMap<(u64, UtcMs), f64>,
    /// Every log record ever handed in, by its message.
    logs: BTreeMap<Arc<str>, LogRecord>,
}

impl Truth {
    fn samples(&mut self, dice: &mut Dice, now: UtcMs) -> Body {
        let first = dice.below(SERIES);
        let series = (first..SERIES.min(first + 1 + dice.below(3))).map(|series| {
            let mut samples = Vec::new();
            for _ in 0..=dice.below(4) {
                let back = if dice.chance(200) { 600_000 } else { 2_000 };
                let sample = Sample::new(now - DurationMs(dice.below(back) as i64), dice.below(1_000_000) as f64);
                // Of two values at one time the first one stays, which here might be one that was not acknowledged.
                if self.samples.contains_key(&(series, sample.time)) {
                    continue;
                }
                self.samples.insert((series, sample.time), sample.value);
                samples.push(sample);
            }
            let labels = Labels::metric(METRIC, &[("engine", &series.to_string())]);
            SeriesSamples { series: Arc::new(Series::new(labels, "bridge".into())), samples }
        });
        Body::Samples(series.collect())
    }

    fn log(&mut self, dice: &mut Dice, now: UtcMs) -> LogRecord {
        let noise: Vec<String> = (0..dice.below(12)).map(|_| format!("{:x}", dice.roll())).collect();
        let record = LogRecord {
            time: now - DurationMs(dice.below(5_000) as i64),
            asset: format!("host-{}", dice.below(3)).as_str().into(),
            app: format!("app-{}", dice.below(3)).into(),
            severity: Severity::ALL[dice.below(4) as usize],
            message: format!("line {} {}", self.logs.len(), noise.join(" ")).into(),
            attributes: Attributes::from([("pid".into(), dice.below(9_999).to_string().into())]),
        };
        self.logs.insert(Arc::clone(&record.message), record.clone());
        record
    }

    fn body(&mut self, dice: &mut Dice, now: UtcMs) -> Body {
        match dice.below(10) {
            0..5 => self.samples(dice, now),
            5..9 => Body::Logs((0..=dice.below(5)).map(|_| self.log(dice, now)).collect()),
            _ => Body::Tick,
        }
    }

    /// Hands a few records in and waits for the answers.
    fn hand_in(&mut self, intake: &IntakeLog, dice: &mut Dice, now: UtcMs) {
        let (sender, answers) = mpsc::channel();
        for _ in 0..=dice.below(5) {
            let record = NewRecord { received: now, source: "test".into(), body: self.body(dice, now) };
            let (sender, body) = (sender.clone(), record.body.clone());
            let done = move |written: Result<Seq, IntakeError>| {
                if let Ok(seq) = written {
                    sender.send((seq, body)).unwrap();
                }
            };
            intake.submit(record, done).unwrap();
        }
        drop(sender);
        for (seq, body) in answers {
            assert!(self.acknowledged.insert(seq, body).is_none(), "{seq} was given out twice");
        }
    }

    /// Everything acknowledged is found, as it was; every log once; nothing is found that was never handed in.
    fn check(&self, stores: &Stores, label: &str) {
        let samples = self.found_samples(stores, label);
        let logs = self.found_logs(stores, label);
        for (seq, body) in &self.acknowledged {
            match body {
                Body::Samples(series) => {
                    for one in series.iter() {
                        let number = number_of(&one.series.labels);
                        let lost = one.samples.iter().find(|sample| !samples.contains_key(&(number, sample.time)));
                        assert_eq!(lost, None, "{label}: {seq} was acknowledged, series {number}");
                    }
                }
                Body::Logs(records) => {
                    for record in records.iter() {
                        assert_eq!(logs.get(&record.message), Some(seq), "{label}: acknowledged {:?}", record.message);
                    }
                }
                Body::Tick | Body::Command(_) => {}
            }
        }
    }

    fn found_samples(&self, stores: &Stores, label: &str) -> BTreeMap<(u64, UtcMs), f64> {
        let matchers = [Matcher::new("__name__", MatchOp::Equal, METRIC)];
        let mut found = BTreeMap::new();
        for data in stores.metrics.select(&matchers, UtcMs::MIN, UtcMs::MAX, usize::MAX).unwrap() {
            let number = number_of(&data.labels);
            for sample in data.samples.iter() {
                let key = (number, sample.time);
                assert_eq!(self.samples.get(&key), Some(&sample.value), "{label}: {key:?}");
                assert!(found.insert(key, sample.value).is_none(), "{label}: {key:?} is there twice");
            }
        }
        found
    }

    fn found_logs(&self, stores: &Stores, label: &str) -> BTreeMap<Arc<str>, Seq> {
        let rows = stores
            .lake
            .search(&LogQuery { limit: ROWS_MAX, ..LogQuery::default() }, &SearchLimits::default())
            .unwrap()
            .rows;
        assert!(rows.len() < ROWS_MAX, "{label}: more rows than one search answers");
        let mut found = BTreeMap::new();
        for row in rows {
            let seq = row.seq;
            let record = LogRecord {
                time: row.time,
                asset: row.asset,
                app: row.app,
                severity: row.severity,
                message: Arc::clone(&row.message),
                attributes: row.attributes,
            };
            assert_eq!(self.logs.get(&row.message), Some(&record), "{label}: {seq}");
            assert!(found.insert(row.message, seq).is_none(), "{label}: {seq} is there twice");
        }
        found
    }
}

fn number_of(labels: &Labels) -> u64 {
    labels.get("engine").unwrap().parse().unwrap()
}

fn faults(io: &CrashIo, dice: &mut Dice) -> Faults {
    let used: usize = io.files().iter().filter_map(|path| io.content(path)).map(|bytes| bytes.len()).sum();
    let power_off_within = 8 << dice.below(8);
    Faults {
        sync_errors_per_mille: if dice.chance(400) { dice.below(200) } else { 0 },
        leftovers: dice.chance(500),
        bytes_max: dice.chance(100).then(|| used as u64 + dice.below(50_000)),
        power_off_after: Some(dice.below(power_off_within)),
    }
}

/// One run of the node, until the power goes off or somebody ends it.
fn live(mut stores: Stores, io: &CrashIo, dice: &mut Dice, truth: &mut Truth, tally: &mut Tally) {
    let steps = 5 + dice.below(60);
    if dice.chance(300) {
        live_in_threads(&mut stores, io, dice, truth, steps);
    } else {
        for _ in 0..steps {
            stores.clock.advance(dice.below(20_000));
            match dice.below(4) {
                0 => stores.round(0),
                1 => stores.round(1),
                _ => truth.hand_in(&stores.intake, dice, stores.clock.now()),
            }
            if io.is_off() {
                break;
            }
        }
    }
    stores.count(tally);
    if io.is_off() {
        return;
    }
    if dice.chance(500) {
        tally.clean_stops += 1;
        stores.stop();
    } else {
        tally.kills += 1;
    }
}

/// As the node does it: each reader in a thread of its own, while records come in.
fn live_in_threads(stores: &mut Stores, io: &CrashIo, dice: &mut Dice, truth: &mut Truth, steps: u64) {
    let stop = CancellationToken::new();
    let Stores { intake, courses, clock, .. } = stores;
    std::thread::scope(|scope| {
        let _guard = stop.clone().drop_guard();
        for course in courses {
            let (stop, clock) = (&stop, &*clock);
            scope.spawn(move || {
                while !stop.is_cancelled() {
                    let _ = course.round(Duration::from_millis(1), &|| clock.now());
                }
            });
        }
        for _ in 0..steps {
            clock.advance(dice.below(10_000));
            truth.hand_in(intake, dice, clock.now());
            if io.is_off() {
                break;
            }
        }
    });
}

/// Goes through power cuts on one disk.
fn sail(seed: u64, rounds: u64, tally: &mut Tally) {
    let mut dice = Dice::new(seed);
    let mut io = CrashIo::new(seed);
    let mut truth = Truth::default();
    let clock = TestClock(Arc::new(AtomicI64::new(START.0)));
    for round in 0..=rounds {
        let label = format!("seed {seed} round {round}");
        let mut stores = Stores::open(&io, &clock).unwrap();
        stores.catch_up(&io);
        truth.check(&stores, &label);
        if round == rounds {
            break;
        }
        tally.starts += 1;
        io.set_faults(faults(&io, &mut dice));
        live(stores, &io, &mut dice, &mut truth, tally);
        while !io.is_off() {
            let Ok(mut stores) = Stores::open(&io, &clock) else {
                tally.failed_starts += 1;
                continue;
            };
            tally.starts += 1;
            stores.catch_up(&io);
            if !io.is_off() {
                truth.check(&stores, &format!("{label}, restarted under power"));
            }
            live(stores, &io, &mut dice, &mut truth, tally);
        }
        io = io.restart();
    }
    for body in truth.acknowledged.values() {
        match body {
            Body::Samples(_) => tally.acknowledged_samples += body.items(),
            Body::Logs(_) => tally.acknowledged_logs += body.items(),
            Body::Tick | Body::Command(_) => {}
        }
    }
    tally.acknowledged_records += truth.acknowledged.len();
}

#[test]
fn power_cuts_lose_nothing_acknowledged() {
    let rounds = std::env::var("WATCHKEEPER_POWER_CUTS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let began = Instant::now();
    let mut tally = Tally::default();
    for disk in 0..rounds.div_ceil(ROUNDS_PER_DISK) {
        sail(disk, ROUNDS_PER_DISK.min(rounds - disk * ROUNDS_PER_DISK), &mut tally);
    }
    println!("{rounds} power cuts in {:.1} s, nothing acknowledged lost: {tally:#?}", began.elapsed().as_secs_f64());
    // Otherwise the rounds would show nothing.
    assert!(tally.acknowledged_samples as u64 > 10 * rounds && tally.acknowledged_logs as u64 > 10 * rounds);
    assert!(tally.freed_segments > rounds && tally.lake_flushes > rounds, "{tally:?}");
    assert!(tally.metric_files_merged > rounds && tally.lake_files_merged > rounds, "{tally:?}");
}
