//! Recordings: the engine's input and where it started from, in one file, so that a night at sea can be gone through
//! again ashore, byte for byte.
//!
//! The file holds frames as the intake log does: one with the engine's options and state, then the records after it,
//! then the facts that the node drew from them.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wk_engine::{CorrelationOptions, Engine, EngineOptions};
use wk_store::intake::frame::{self, Frame, FrameError, FrameKind, FrameMeta};
use wk_types::wire::Decoder;
use wk_types::{DurationMs, ErrorKind, Fact, Incident, Kinds, Seq};

use crate::clock::now;
use crate::node::Node;

/// How much of the log is decoded at once.
const READ_BYTES: usize = 1 << 20;
/// Journal entries read at once.
const ENTRIES_MAX: usize = 1_000;
/// Facts written in one frame.
const FACTS_PER_FRAME: usize = 10_000;
/// How long to wait for a new record.
const WAIT: Duration = Duration::from_millis(500);

/// Why a recording could not be written or replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file cannot be read.
    #[error("could not open the recording {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A frame cannot be read or written.
    #[error("could not go through the recording")]
    Frame(#[from] FrameError),
    /// The node's stores cannot be read.
    #[error("could not record: {0}")]
    Store(String),
    /// The content of a frame cannot be read.
    #[error("the recording is not usable: {0}")]
    Content(String),
}

impl RecordingError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Open { .. } | Self::Store(_) => ErrorKind::Unavailable,
            Self::Frame(error) => error.kind(),
            Self::Content(_) => ErrorKind::Corrupt,
        }
    }
}

fn content(error: impl std::fmt::Display) -> RecordingError {
    RecordingError::Content(error.to_string())
}

fn store(error: impl std::fmt::Display) -> RecordingError {
    RecordingError::Store(error.to_string())
}

/// What the engine ran with; stands as one line before its state.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedOptions {
    resolve_hold: DurationMs,
}

/// The engine's options where incidents end after `resolve_hold` without a signal.
pub(crate) fn engine_options(resolve_hold: DurationMs) -> EngineOptions {
    let correlation = CorrelationOptions { resolve_hold, ..CorrelationOptions::default() };
    EngineOptions { correlation, ..EngineOptions::default() }
}

/// Writes what the node holds since its engine was last saved, and what comes within `span`, into `out`.
///
/// # Errors
/// Stores that cannot be read, or whatever `out` reports.
pub fn write(node: &Node, span: Duration, out: &mut impl Write) -> Result<(), RecordingError> {
    let until = Instant::now() + span;
    let resolve_hold = DurationMs::from_secs(node.config.incident.hold_s.into());
    let options = serde_json::to_vec(&RecordedOptions { resolve_hold }).map_err(store)?;
    let (from, state) = match node.state.snapshot().map_err(store)? {
        Some((seq, bytes)) => (seq, bytes),
        None => (Seq::default(), Vec::new()),
    };
    frame::write(out, &meta(FrameKind::Snapshot, from), &[&options, &b"\n"[..], &state].concat())?;
    let last = write_records(node, from, until, out)?;
    write_facts(node, from, last, out)
}

fn meta(kind: FrameKind, from: Seq) -> FrameMeta {
    let time = now();
    let holds = Kinds::NONE;
    FrameMeta { kind, holds, count: 0, first: from.next(), previous: from, received: (time, time), written_at: time }
}

fn write_records(node: &Node, from: Seq, until: Instant, out: &mut impl Write) -> Result<Seq, RecordingError> {
    let (mut at, mut end) = (from, None);
    loop {
        // Once time is up, what is on disk by then is the end, however much more comes in.
        if end.is_none() && (Instant::now() >= until || node.stop.is_cancelled()) {
            end = Some(node.intake.durable());
        }
        if end.is_some_and(|end| at >= end) {
            return Ok(at);
        }
        let batch = node.intake.read(at, READ_BYTES).map_err(store)?;
        if !batch.records.is_empty() {
            // A frame's records follow each other without a gap; a crash or a failed write leaves gaps between frames.
            for run in batch.records.chunk_by(|one, other| other.seq == one.seq.next()) {
                frame::write(out, &FrameMeta::of_records(run, at, now()), &wk_types::wire::encode(run))?;
                at = run.last().map_or(at, |record| record.seq);
            }
            at = batch.next;
        } else if end.is_some() {
            return Ok(at);
        } else {
            let _ = node.intake.wait_beyond(at, WAIT);
        }
    }
}

/// Writes the facts whose input lies after `from` and not after `last`, once the engine has come that far.
fn write_facts(node: &Node, from: Seq, last: Seq, out: &mut impl Write) -> Result<(), RecordingError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let engine = || node.stages.all_reached().get(crate::pipeline::readers::ENGINE).copied();
    while engine().is_some_and(|at| at < last) {
        if Instant::now() >= deadline {
            return Err(store("the engine has not come this far yet; record again in a minute"));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let (mut lines, mut after) = (Vec::new(), 0);
    loop {
        let entries = node.state.journal_after(after, ENTRIES_MAX).map_err(store)?;
        let Some(end) = entries.last() else { break };
        after = end.entry;
        for entry in &entries {
            if let Some(fact) = entry.fact().map_err(store)?
                && fact.input > from
                && fact.input <= last
            {
                lines.push(serde_json::to_string(&fact).map_err(store)?);
            }
        }
    }
    for chunk in lines.chunks(FACTS_PER_FRAME) {
        frame::write(out, &meta(FrameKind::Facts, last), chunk.join("\n").as_bytes())?;
    }
    Ok(())
}

/// What going through a recording again gave.
#[derive(Debug)]
pub struct Replay {
    /// How many records were stepped over.
    pub records: u64,
    /// The facts, as the journal would hold them.
    pub facts: Vec<String>,
    /// The facts as they were recorded.
    pub recorded: Vec<String>,
    /// The incidents as they stand at the end, in the order they were opened.
    pub incidents: Vec<Incident>,
}

impl Replay {
    /// Tells whether the replay gave the recorded facts, byte for byte.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.facts == self.recorded
    }

    /// The first fact that differs: its number, as recorded, as replayed.
    #[must_use]
    pub fn first_difference(&self) -> Option<(usize, &str, &str)> {
        let missing = "(none)";
        (0..self.facts.len().max(self.recorded.len())).find_map(|at| {
            let recorded = self.recorded.get(at).map_or(missing, String::as_str);
            let replayed = self.facts.get(at).map_or(missing, String::as_str);
            (recorded != replayed).then_some((at, recorded, replayed))
        })
    }
}

/// Goes through a recording again.
///
/// # Errors
/// A file that cannot be read, damaged frames, or a newer format.
pub fn replay(path: &Path) -> Result<Replay, RecordingError> {
    let file = File::open(path).map_err(|source| RecordingError::Open { path: path.to_owned(), source })?;
    let mut input = BufReader::new(file);
    let first = frame::read(&mut input)?.ok_or_else(|| content("it is empty"))?;
    let mut engine = restore(&first)?;
    let mut replay = Replay { records: 0, facts: Vec::new(), recorded: Vec::new(), incidents: Vec::new() };
    let mut decoder = Decoder::new();
    while let Some(next) = frame::read(&mut input)? {
        match next.meta.kind {
            FrameKind::Records => {
                for record in next.records(&mut decoder)? {
                    replay.records += 1;
                    for fact in engine.step(&record) {
                        keep(&mut replay.incidents, &fact);
                        replay.facts.push(serde_json::to_string(&fact).map_err(content)?);
                    }
                }
            }
            FrameKind::Facts => {
                let text = String::from_utf8(next.content).map_err(content)?;
                replay.recorded.extend(text.lines().map(str::to_owned));
            }
            FrameKind::Snapshot => return Err(content("it holds a second snapshot")),
        }
    }
    Ok(replay)
}

fn restore(first: &Frame) -> Result<Engine, RecordingError> {
    if first.meta.kind != FrameKind::Snapshot {
        return Err(content("it does not begin with the engine's state"));
    }
    let end = first.content.iter().position(|byte| *byte == b'\n').ok_or_else(|| content("the options are cut off"))?;
    let recorded: RecordedOptions = serde_json::from_slice(&first.content[..end]).map_err(content)?;
    let options = engine_options(recorded.resolve_hold);
    match &first.content[end + 1..] {
        [] => Ok(Engine::new(options)),
        state => Engine::load(state, options).map_err(content),
    }
}

/// Keeps the latest form of each incident.
fn keep(incidents: &mut Vec<Incident>, fact: &Fact) {
    let Some(incident) = fact.body.incident() else { return };
    match incidents.iter_mut().find(|known| known.id == incident.id) {
        Some(known) => *known = incident.clone(),
        None => incidents.push(incident.clone()),
    }
}
