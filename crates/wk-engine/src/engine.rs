//! The engine: one ordered input in, facts out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_types::digest::{Place, Remembered};
use wk_types::{
    AssetId, Body, Command, CommandId, DurationMs, ErrorKind, Fact, FactBody, Incident, IntakeRecord, LogRecord,
    SeaModeState, Seq, Series, SeriesId, SeriesSamples, SourceName, Verb,
};

use crate::clock::Clock;
use crate::correlate::{CorrelationOptions, Correlator};
use crate::detect::{Detection, family_for};
use crate::families::Family;
use crate::outbox::Outbox;
use crate::rules::{DEFAULT_RULES, DEFAULT_RULES_FILE, RuleHealth, Rules, Surroundings};
use crate::sea_mode::{Says, SeaModes};
use crate::silence::{Silences, SpeakerKey};
use crate::window::Window;

/// The number of the format that [`Engine::save`] writes.
pub const FORMAT: u32 = 1;

/// How many commands are remembered, so that one sent again changes nothing.
const COMMANDS_MAX: usize = 10_000;
/// How many instances are known with their assets.
const INSTANCES_MAX: usize = 10_000;
/// How often the window is looked through for what has grown old.
const SWEEP_EVERY: DurationMs = DurationMs::from_mins(5);

/// The engine's bounds and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// How signals are joined, and when incidents end.
    pub correlation: CorrelationOptions,
    /// How many series the detector follows; samples of more are counted and not looked at.
    pub series_max: usize,
    /// How many samples the rules' window holds.
    pub window_samples_max: usize,
    /// How many job instances and log sources are expected to speak.
    pub speakers_max: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            correlation: CorrelationOptions::default(),
            series_max: 50_000,
            window_samples_max: 2_000_000,
            speakers_max: 10_000,
        }
    }
}

/// Why a saved engine could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The bytes are no saved engine.
    #[error("could not read the saved engine")]
    Read(#[source] serde_json::Error),
    /// A newer node saved it.
    #[error("the saved engine has format {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The format found.
        found: u32,
    },
}

impl EngineError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(_) => ErrorKind::Corrupt,
            Self::Newer { .. } => ErrorKind::Conflict,
        }
    }
}

/// How full the engine is, and what it had to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct EngineStats {
    /// The last record worked on.
    pub cursor: Seq,
    /// Series that the detector follows.
    pub series: usize,
    /// Samples not looked at because the bound on series was reached.
    pub series_refused: u64,
    /// Samples in the rules' window.
    pub window_samples: usize,
    /// Samples left out because the window was full.
    pub window_refused: u64,
    /// Who is expected to speak.
    pub speakers: usize,
    /// Arrivals of speakers beyond the bound.
    pub speakers_refused: u64,
    /// Rules in force.
    pub rules: usize,
    /// Signals that hold.
    pub signals_open: usize,
    /// Signals not raised because the bound was reached.
    pub signals_refused: u64,
    /// Incidents that are not resolved.
    pub incidents_open: usize,
    /// Incidents not opened because the bound was reached.
    pub incidents_refused: u64,
    /// What the vessel is doing.
    pub sea_mode: SeaModeState,
}

/// The pure core: detection, rules, silence and correlation over one ordered stream.
#[derive(Debug, Clone)]
pub struct Engine {
    options: EngineOptions,
    state: State,
    /// What happens to a series' samples; derived from labels and rules, so it is not saved.
    routes: Remembered<SeriesId, Route>,
}

#[derive(Debug, Clone, Copy)]
struct Route {
    family: Option<&'static Family>,
    keep: Option<DurationMs>,
    /// What it says about the sea mode.
    says: Option<Says>,
    /// Where the labels `job` and `instance` stand.
    job: Option<u32>,
    instance: Option<u32>,
}

impl Route {
    fn new(series: &Series, window: &Window) -> Self {
        let place = |wanted: &str| series.labels.pairs().binary_search_by(|(name, _)| (**name).cmp(wanted)).ok();
        let place = |wanted| place(wanted).and_then(|at| u32::try_from(at).ok());
        Self {
            family: family_for(series),
            keep: window.keeps(&series.labels),
            says: Says::of(series),
            job: place("job"),
            instance: place("instance"),
        }
    }

    /// Job and instance of a series; without either it is its source's, by asset.
    fn speaker<'a>(&self, source: &'a SourceName, series: &'a Series) -> (&'a str, &'a str) {
        let label = |at: Option<u32>| series.labels.pairs().get(at? as usize).map(|(_, value)| &**value);
        match (label(self.job), label(self.instance)) {
            (None, None) => (source.as_str(), series.asset.as_str()),
            (job, instance) => (job.unwrap_or_default(), instance.unwrap_or_default()),
        }
    }
}

/// Tells whether two speakers are the same one; those of one target most often share their texts.
fn is_same(one: (&str, &str), other: (&str, &str)) -> bool {
    let same = |a: &str, b: &str| std::ptr::eq(a, b) || a == b;
    same(one.0, other.0) && same(one.1, other.1)
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct State {
    cursor: Seq,
    clock: Clock,
    swept: DurationMs,
    commands: VecDeque<CommandId>,
    instances: BTreeMap<Arc<str>, AssetId>,
    detection: Detection,
    silences: Silences,
    window: Window,
    rules: Rules,
    correlator: Correlator,
    /// Engines saved by nodes that knew no sea mode lack it.
    #[serde(default)]
    sea_modes: SeaModes,
}

impl State {
    /// Sets what is not saved.
    fn configure(&mut self, options: &EngineOptions) {
        self.correlator.configure(options.correlation);
        self.detection.configure(options.series_max);
        self.silences.configure(options.speakers_max);
        self.window.configure(options.window_samples_max);
    }
}

#[derive(Serialize)]
struct Saved<'a> {
    format: u32,
    state: &'a State,
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

#[derive(Deserialize)]
struct Loaded {
    state: State,
}

impl Engine {
    /// Makes an engine that has seen nothing, with [`DEFAULT_RULES`] in force until [`Verb::SetRules`] puts others in
    /// their place.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        let mut state = State::default();
        state.configure(&options);
        let files = [(DEFAULT_RULES_FILE.to_owned(), DEFAULT_RULES.to_owned())];
        let mut nobody = Outbox::new(Seq(0), wk_types::UtcMs(0), DurationMs(0));
        state
            .rules
            .set(&files, &mut state.window, &mut state.correlator, &mut nobody)
            .expect("the shipped rules load, which a test shows");
        Self { routes: Remembered::new(options.series_max), options, state }
    }

    /// Works on the next record and returns what was concluded.
    ///
    /// A record that is not after the last one changes nothing.
    pub fn step(&mut self, record: &IntakeRecord) -> Vec<Fact> {
        if record.seq <= self.state.cursor {
            return Vec::new();
        }
        self.state.cursor = record.seq;
        let mut out = Outbox::new(record.seq, record.received, self.state.clock.steady());
        match &record.body {
            Body::Samples(series) => self.samples(&record.source, series, &mut out),
            Body::Logs(logs) => self.logs(&record.source, logs, &mut out),
            Body::Tick => {
                let step = self.state.clock.tick(record.received);
                out = Outbox::new(record.seq, record.received, self.state.clock.steady());
                self.tick(step.gap, step.settled, &mut out);
            }
            Body::Command(command) => self.command(command, &mut out),
        }
        out.into_facts()
    }

    /// The last record worked on.
    #[must_use]
    pub const fn cursor(&self) -> Seq {
        self.state.cursor
    }

    /// Every rule with how its evaluation goes.
    #[must_use]
    pub fn rule_health(&self) -> Vec<RuleHealth> {
        self.state.rules.health()
    }

    /// The incidents that are open or were resolved within the reopen window, in the order they were opened.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.state.correlator.incidents()
    }

    /// How full the engine is.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        let state = &self.state;
        let (signals_refused, incidents_refused) = state.correlator.refused();
        EngineStats {
            cursor: state.cursor,
            series: state.detection.series(),
            series_refused: state.detection.refused(),
            window_samples: state.window.samples(),
            window_refused: state.window.refused(),
            speakers: state.silences.speakers(),
            speakers_refused: state.silences.refused(),
            rules: state.rules.count(),
            signals_open: state.correlator.open_signals(),
            signals_refused,
            incidents_open: state.correlator.open_incidents(),
            incidents_refused,
            sea_mode: state.sea_modes.state(),
        }
    }

    /// The engine's whole state in format [`FORMAT`]; loading it goes on byte for byte.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        serde_json::to_vec(&Saved { format: FORMAT, state: &self.state })
            .expect("the state has only texts, integers and maps with text keys")
    }

    /// Loads a saved engine.
    ///
    /// # Errors
    /// Bytes that are no saved engine, or a newer format.
    pub fn load(bytes: &[u8], options: EngineOptions) -> Result<Self, EngineError> {
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(EngineError::Read)?;
        if format > FORMAT {
            return Err(EngineError::Newer { found: format });
        }
        let Loaded { mut state } = serde_json::from_slice(bytes).map_err(EngineError::Read)?;
        state.configure(&options);
        state.rules.restore(&mut state.window);
        Ok(Self { routes: Remembered::new(options.series_max), options, state })
    }

    fn samples(&mut self, source: &SourceName, series: &[SeriesSamples], out: &mut Outbox) {
        let (mut spoken, mut place) = (None, Place::default());
        for one in series {
            let route = self.route(one, &mut place);
            let (job, instance) = route.speaker(source, &one.series);
            if spoken.is_none_or(|before| !is_same(before, (job, instance))) {
                spoken = Some((job, instance));
                self.note_instance(one);
                let key = SpeakerKey::Metrics { job: job.into(), instance: instance.into() };
                let state = &mut self.state;
                state.silences.hear(key, &one.series.asset, &mut state.correlator, out);
            }
            let state = &mut self.state;
            if let Some(keep) = route.keep {
                state.window.push(one, keep, out.at());
            }
            if let Some(says) = route.says {
                state.sea_modes.hear(says, one, out.steady());
            }
            if let Some(family) = route.family {
                state.detection.step(one, family, &mut state.correlator, out);
            }
        }
    }

    fn route(&mut self, one: &SeriesSamples, place: &mut Place) -> Route {
        let id = one.series.id;
        if let Some((route, fading)) = self.routes.get_after(id, place) {
            let route = *route;
            if fading {
                self.routes.keep(id);
            }
            return route;
        }
        let route = Route::new(&one.series, &self.state.window);
        self.routes.insert(id, route);
        route
    }

    fn note_instance(&mut self, one: &SeriesSamples) {
        let instances = &mut self.state.instances;
        let Some(instance) = one.series.labels.get("instance") else { return };
        let room = instances.len() < INSTANCES_MAX;
        match instances.get_mut(instance) {
            Some(asset) if *asset == one.series.asset => {}
            Some(asset) => asset.clone_from(&one.series.asset),
            None if room => {
                instances.insert(instance.into(), one.series.asset.clone());
            }
            None => {}
        }
    }

    fn logs(&mut self, source: &SourceName, logs: &[LogRecord], out: &mut Outbox) {
        let mut assets: Vec<&AssetId> = logs.iter().map(|log| &log.asset).collect();
        // Most often they share their texts: the places tell faster than the texts which are the same.
        assets.sort_unstable_by_key(|asset| asset.as_str().as_ptr());
        assets.dedup_by_key(|asset| asset.as_str().as_ptr());
        let (assets, unknown) = (assets.into_iter().collect::<BTreeSet<_>>(), AssetId::unknown());
        for asset in assets.into_iter().filter(|asset| **asset != unknown) {
            let key = SpeakerKey::Logs { source: source.as_str().into(), asset: asset.clone() };
            let state = &mut self.state;
            state.silences.hear(key, asset, &mut state.correlator, out);
        }
    }

    fn tick(&mut self, gap: DurationMs, settled: bool, out: &mut Outbox) {
        let state = &mut self.state;
        if settled {
            state.silences.tick(&mut state.correlator, out);
            state.detection.tick(&mut state.correlator, out);
            let (window, instances) = (&state.window, &state.instances);
            state.rules.tick(&mut Surroundings { window, instances, correlator: &mut state.correlator, out });
        }
        state.sea_modes.tick(out);
        state.correlator.tick(gap, out);
        if out.steady().0 - state.swept.0 >= SWEEP_EVERY.0 {
            state.swept = out.steady();
            state.window.sweep(out.at());
        }
    }

    fn command(&mut self, command: &Command, out: &mut Outbox) {
        let state = &mut self.state;
        if state.commands.contains(&command.id) {
            return;
        }
        if state.commands.len() == COMMANDS_MAX {
            state.commands.pop_front();
        }
        state.commands.push_back(command.id.clone());
        if let Err(reason) = self.carry_out(command, out) {
            out.push(FactBody::CommandRejected { command: command.id.clone(), reason });
        }
    }

    fn carry_out(&mut self, command: &Command, out: &mut Outbox) -> Result<(), String> {
        let state = &mut self.state;
        match &command.verb {
            Verb::Acknowledge { incident } => state.correlator.acknowledge(incident, command, out),
            Verb::Resolve { incident } => state.correlator.resolve(incident, &command.id, out),
            Verb::Comment { incident, text } => {
                state.correlator.comment(incident, text, (&command.id, command.by.as_ref()), out)
            }
            Verb::SetRules { files } => {
                let rules = state
                    .rules
                    .set(files, &mut state.window, &mut state.correlator, out)
                    .map_err(|error| error.in_full())?;
                self.routes = Remembered::new(self.options.series_max);
                out.push(FactBody::RulesLoaded { rules, command: command.id.clone() });
                Ok(())
            }
            Verb::SetTopology { topology } => {
                let edges = topology.edges.len();
                state.correlator.set_topology(topology.clone());
                out.push(FactBody::TopologyLoaded { edges, command: command.id.clone() });
                Ok(())
            }
            Verb::SetSeaMode { mode, until } => state.sea_modes.set((*mode, *until), command, out),
        }
    }
}

#[cfg(test)]
mod tests;
