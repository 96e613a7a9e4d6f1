//! The readers of the intake log: metric store or what has taken over from it, log lake and engine, each a thread with its
//! own durable cursor.

mod outside;
mod outside_logs;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wk_config::{Config, MetricsStore};
use wk_engine::Engine;
use wk_lake::Lake;
use wk_store::intake::{Damage, IntakeLog, ReadBatch};
use wk_store::metrics::MetricStore;
use wk_store::state::{NewEvent, State, StateError};
use wk_types::{Body, DurationMs, Fact, IntakeRecord, Kinds, Seq, UtcMs};

use crate::clock::now;
use crate::http::chain;
use crate::node::Node;
use crate::pipeline::stages::Stages;
use outside::OutsideReader;

/// The metric store's name as a reader.
pub const METRICS: &str = "metrics";
/// The name of the metric store outside as a reader.
pub const METRICS_OUTSIDE: &str = "metrics-outside";
/// The log lake's name as a reader.
pub const LOGS: &str = "logs";
/// The engine's name as a reader.
pub const ENGINE: &str = "engine";

/// How much of the log is decoded at once.
const READ_BYTES: usize = 1 << 20;
/// How long a reader waits for something new before it looks after its store.
const WAIT: Duration = Duration::from_millis(500);
/// How often the engine's state is saved; a start replays at most this much.
const SNAPSHOT_EVERY: DurationMs = DurationMs::from_mins(5);
/// How long a reader goes on reading once the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// How long a reader waits after its store failed.
const RETRY: Duration = Duration::from_secs(1);

/// One reader: what it does with a batch, and how it looks after its store.
trait Reader: Send {
    /// The name under which the intake log knows it.
    fn name(&self) -> &'static str;

    /// Which records it takes in.
    fn kinds(&self) -> Kinds;

    /// Tells whether it takes anything in now; called before the log is read. What it has to do first it does here, a
    /// little at a time.
    fn prepare(&mut self) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Where it has to be given records from once more, where what it had taken may be lost.
    fn rewound(&mut self) -> Option<Seq> {
        None
    }

    /// What ails it although it goes on.
    fn ailment(&self) -> Option<String> {
        None
    }

    /// Takes in records of these kinds and notes that there are no others up to `next`; called again with the same
    /// records after an error.
    fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure>;

    /// Looks after the store; answers up to where the intake log may be freed.
    fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure>;

    /// Makes everything taken in durable, at the end.
    fn finish(&mut self, now: UtcMs) -> Result<Seq, Failure>;
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The names of the readers that a node with this configuration has: nothing is freed before all have read it.
pub fn names(config: &Config) -> [&'static str; 3] {
    let metrics = if config.storage.metrics == MetricsStore::Embedded { METRICS } else { METRICS_OUTSIDE };
    [metrics, LOGS, ENGINE]
}

/// Starts the readers; they end, their stores flushed, after `stop`.
///
/// # Errors
/// A thread that cannot be started, a cursor that cannot be read.
pub fn start(
    node: &Arc<Node>,
    engine: Engine,
    engine_at: Seq,
    stop: &CancellationToken,
) -> std::io::Result<Vec<std::thread::JoinHandle<()>>> {
    let metrics: (Box<dyn Reader>, Seq) = match &node.outside_metrics {
        None => (Box::new(MetricReader(node.metrics.clone())), node.metrics.cursor()),
        Some(outside) => {
            let mut reader = OutsideReader::new(node, outside, stop).map_err(std::io::Error::other)?;
            let at = reader.cursor();
            (Box::new(reader), at)
        }
    };
    let logs =
        outside_logs::reader(node).unwrap_or_else(|| (Box::new(LogReader(node.lake.clone())), node.lake.cursor()));
    let readers: [(Box<dyn Reader>, Seq); 3] =
        [metrics, logs, (Box::new(EngineReader::new(Arc::clone(node), engine, engine_at)), engine_at)];
    let courses = readers.map(|(reader, at)| {
        let state = node.state.clone();
        let told: Told = Box::new(move |damage| Ok(report_damage(&state, damage)?));
        let backlog = Some(node.caught_up).filter(|end| at < *end);
        let course =
            Course { intake: node.intake.clone(), stages: Arc::clone(&node.stages), reader, at, backlog, told };
        if let Some(gap) = course.enter()
            && let Err(error) = (course.told)(&[gap])
        {
            node.health.ill(course.reader.name(), chain(error.as_ref()), now());
        }
        course
    });
    courses
        .into_iter()
        .map(|course| {
            let (node, stop) = (Arc::clone(node), stop.clone());
            std::thread::Builder::new()
                .name(format!("reader-{}", course.reader.name()))
                .spawn(move || run(&node, course, &stop))
        })
        .collect()
}

/// Ends the node when a reader's thread ends by a bug: a watch that looks well and sees nothing is the worst.
struct EndsTheNode<'a>(&'a Node, &'static str);

impl Drop for EndsTheNode<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(self.1);
        }
    }
}

fn run(node: &Node, mut course: Course, stop: &CancellationToken) {
    let name = course.reader.name();
    let _guard = EndsTheNode(node, name);
    while !stop.is_cancelled() {
        match course.round(WAIT, &now) {
            Ok(()) => match course.reader.ailment() {
                None => node.health.well(name),
                Some(what) => node.health.ill(name, what, now()),
            },
            // What was under way was broken off.
            Err(_) if stop.is_cancelled() => {}
            Err(error) => {
                node.health.ill(name, chain(error.as_ref()), now());
                std::thread::park_timeout(RETRY);
            }
        }
    }
    if let Err(error) = course.finish(&now) {
        tracing::warn!(
            reader = name,
            error = chain(error.as_ref()),
            "the last flush failed; the next start reads again"
        );
    }
}

/// A reader's way through the intake log.
struct Course {
    intake: IntakeLog,
    stages: Arc<Stages>,
    reader: Box<dyn Reader>,
    /// Everything up to here has been taken in.
    at: Seq,
    /// What was on disk at the start; `None` once all of it has been taken in and made durable.
    backlog: Option<Seq>,
    /// Is told of damage that was skipped. All readers meet the same; the journal takes it once.
    told: Told,
}

type Told = Box<dyn Fn(&[Damage]) -> Result<(), Failure> + Send>;

impl Course {
    /// Enters the reader into the intake log; answers what is missing where it has seen more than the log holds.
    fn enter(&self) -> Option<Damage> {
        let missing = self.intake.register_reader(self.reader.name(), self.at);
        self.stages.reached(self.reader.name(), self.at);
        missing
    }

    /// Takes one batch where there is one, and looks after the store. After an error the same records come again.
    fn round(&mut self, wait: Duration, now: &dyn Fn() -> UtcMs) -> Result<(), Failure> {
        let taken = match self.reader.prepare() {
            Ok(true) if self.intake.wait_beyond(self.at, wait) > self.at => self.take_batch(),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Some(at) = self.reader.rewound() {
            self.at = self.at.min(at);
        }
        // Also after a failure: a store that is full is mended by being looked after.
        self.intake.advance(self.reader.name(), self.reader.maintain(now())?);
        taken?;
        self.settle(now)
    }

    /// Makes the backlog durable once it is taken in, so that a node that is killed again and again, always soon,
    /// does not read more and more at each start.
    fn settle(&mut self, now: &dyn Fn() -> UtcMs) -> Result<(), Failure> {
        if self.backlog.is_some_and(|end| self.at >= end) {
            self.intake.advance(self.reader.name(), self.reader.finish(now())?);
            self.backlog = None;
        }
        Ok(())
    }

    fn take_batch(&mut self) -> Result<(), Failure> {
        let ReadBatch { records, next, damage } = self.intake.read_kinds(self.at, READ_BYTES, self.reader.kinds())?;
        (self.told)(&damage)?;
        self.reader.take(&records, next)?;
        self.at = next;
        self.stages.reached(self.reader.name(), next);
        Ok(())
    }

    /// Takes in what was accepted up to here, as far as there is time (it is on disk anyway), and makes it durable.
    fn finish(&mut self, now: &dyn Fn() -> UtcMs) -> Result<(), Failure> {
        let until = Instant::now() + DRAIN_MAX;
        while Instant::now() < until && self.intake.durable() > self.at && self.take_batch().is_ok() {}
        self.intake.advance(self.reader.name(), self.reader.finish(now())?);
        Ok(())
    }
}

/// Damaged frames lose what they held: told once, in the journal and to the operator.
pub fn report_damage(state: &State, damage: &[Damage]) -> Result<(), StateError> {
    for one in damage {
        let Some((first, last)) = one.records else {
            tracing::info!(segment = one.segment, what = %one.what, "a write was cut short, nothing acknowledged is lost");
            continue;
        };
        let key = format!("damage/{}/{}/{}", one.segment, first.0, last.0);
        let body = serde_json::json!({
            "segment": one.segment, "first": first, "last": last, "records": one.records_lost(), "what": one.what,
            "received": one.received.map(|(from, to)| [from.to_string(), to.to_string()]),
        });
        tracing::error!(%first, %last, what = %one.what, "records of the intake log are damaged");
        let event = NewEvent { kind: "intake_damaged", key: &key, by: None, body: &body };
        state.record_event(&event, now())?;
    }
    Ok(())
}

struct MetricReader(MetricStore);

impl Reader for MetricReader {
    fn name(&self) -> &'static str {
        METRICS
    }

    fn kinds(&self) -> Kinds {
        Kinds::SAMPLES
    }

    fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        for record in records {
            if let Body::Samples(series) = &record.body {
                self.0.append(record.seq, record.received, series)?;
            }
        }
        self.0.append(next, UtcMs::default(), &[])?;
        Ok(())
    }

    fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        self.0.maintain(now)?;
        Ok(self.0.cursor())
    }

    fn finish(&mut self, _now: UtcMs) -> Result<Seq, Failure> {
        self.0.flush()?;
        Ok(self.0.cursor())
    }
}

struct LogReader(Lake);

impl Reader for LogReader {
    fn name(&self) -> &'static str {
        LOGS
    }

    fn kinds(&self) -> Kinds {
        Kinds::LOGS
    }

    fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        for record in records {
            if let Body::Logs(logs) = &record.body {
                self.0.append(record.seq, record.received, logs)?;
            }
        }
        self.0.append(next, UtcMs::default(), &[])?;
        Ok(())
    }

    fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        self.0.maintain(now)?;
        Ok(self.0.cursor())
    }

    fn finish(&mut self, _now: UtcMs) -> Result<Seq, Failure> {
        self.0.flush()?;
        Ok(self.0.cursor())
    }
}

/// Steps the engine over the log. The facts of a batch reach the journal in one transaction; the engine's state is
/// saved now and then, and a start goes on from the last save: facts told again are skipped by their keys.
struct EngineReader {
    node: Arc<Node>,
    engine: Engine,
    at: Seq,
    saved: Seq,
    saved_at: UtcMs,
    /// Facts of records already stepped over that the journal has not taken yet.
    pending: Vec<Fact>,
}

impl EngineReader {
    fn new(node: Arc<Node>, engine: Engine, at: Seq) -> Self {
        Self { node, engine, at, saved: at, saved_at: now(), pending: Vec::new() }
    }

    fn write_facts(&mut self) -> Result<(), Failure> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.node.state.record_facts(&self.pending, self.at, now())?;
        self.node.stages.facts(self.pending.len());
        self.pending.clear();
        Ok(())
    }

    fn save(&mut self, now: UtcMs) -> Result<(), Failure> {
        self.write_facts()?;
        self.node.state.save_snapshot(self.at, &self.engine.save())?;
        (self.saved, self.saved_at) = (self.at, now);
        Ok(())
    }
}

impl Reader for EngineReader {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn kinds(&self) -> Kinds {
        Kinds::ALL
    }

    fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        let began = Instant::now();
        let from = self.at;
        for record in records.iter().filter(|record| record.seq > from) {
            self.pending.extend(self.engine.step(record));
            self.at = record.seq;
        }
        self.at = self.at.max(next);
        self.node.stages.stepped(began.elapsed(), self.engine.stats(), self.engine.rule_health());
        self.write_facts()
    }

    fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        self.write_facts()?;
        let since = now.since(self.saved_at);
        if self.at > self.saved && (since >= SNAPSHOT_EVERY || since < DurationMs(0)) {
            self.save(now)?;
        }
        Ok(self.saved)
    }

    fn finish(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        self.save(now)?;
        Ok(self.saved)
    }
}

#[cfg(test)]
mod power_cuts;
