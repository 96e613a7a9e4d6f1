//! A ship's log lines: 25 shapes from 257 hosts, drawn by Zipf's law, some 58 a second.
//!
//! What stands in a line hangs together: a host keeps its address and its users, its readings wander, its counters count.

mod shapes;

use std::fmt::Write as _;

use wk_types::UtcMs;

use crate::random::{Random, Zipf};

/// How many hosts there are.
pub const HOSTS: usize = 257;
/// Lines a second, on average over a day; the rate wanders.
pub const LINES_PER_SECOND: f64 = 58.0;
/// A text that stands in one line of [`NEEDLE_ONE_IN`], and in no other.
pub const NEEDLE: &str = "bearing 4711 seized";
/// How rare [`NEEDLE`] is.
pub const NEEDLE_ONE_IN: u64 = 1_000_000;
/// Where it stands the first time.
const NEEDLE_AT: u64 = 33_333;

/// Syslog's words for the severities.
const WORDS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// Syslog's number of the facility of all lines.
const FACILITY_DAEMON: u8 = 3;

/// One line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogLine {
    /// When it was said.
    pub time: UtcMs,
    /// By which host.
    pub host: String,
    /// By which program.
    pub app: &'static str,
    /// The program's process id.
    pub pid: u32,
    /// Syslog's number of the severity, 0 to 7.
    pub severity: u8,
    /// What was said.
    pub message: String,
}

impl LogLine {
    /// Writes the line as RFC 5424 has it, with a line feed at the end.
    pub fn write_rfc5424(&self, out: &mut String) {
        let priority = FACILITY_DAEMON * 8 + self.severity;
        let Self { time, host, app, pid, message, .. } = self;
        let _ = writeln!(out, "<{priority}>1 {time} {host} {app} {pid} - - {message}");
    }

    /// Writes time in milliseconds, host, program, severity and message, separated by tabs, with a line feed at the end.
    pub fn write_tsv(&self, out: &mut String) {
        let Self { time, host, app, severity, message, .. } = self;
        let _ = writeln!(out, "{}\t{host}\t{app}\t{severity}\t{message}", time.0);
    }

    /// Writes the line as a JSON object, with a line feed at the end.
    pub fn write_json(&self, out: &mut String) {
        let Self { time, host, app, message, .. } = self;
        let severity = WORDS[usize::from(self.severity & 7)];
        let _ = writeln!(
            out,
            r#"{{"timestamp":"{time}","host":"{host}","app":"{app}","severity":"{severity}","message":{message:?}}}"#
        );
    }
}

/// What a host remembers between its lines.
#[derive(Debug, Clone)]
struct Host {
    name: String,
    pids: [u32; shapes::APPS],
    address: [u8; 2],
    /// Wanders about 0.
    reading: f64,
    /// Counts its lines.
    count: u64,
}

/// A stream of lines that never ends.
#[derive(Debug, Clone)]
pub struct SyslogWorkload {
    random: Random,
    hosts: Vec<Host>,
    host_ranks: Zipf,
    shape_ranks: Zipf,
    clock_ms: f64,
    /// The logarithm of how busy the ship is.
    busy: f64,
    number: u64,
    line: LogLine,
}

impl SyslogWorkload {
    /// Begins a stream at a time.
    #[must_use]
    pub fn new(seed: u64, start: UtcMs) -> Self {
        let mut random = Random::new(seed);
        let hosts = (0..HOSTS).map(|number| Host::new(number, &mut random)).collect();
        Self {
            random,
            hosts,
            host_ranks: Zipf::new(HOSTS),
            shape_ranks: Zipf::new(shapes::SHAPES),
            clock_ms: start.0 as f64,
            busy: 0.0,
            number: 0,
            line: LogLine::default(),
        }
    }

    /// The names of all hosts, the most talkative first.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| &*host.name)
    }

    /// The next line.
    pub fn next_line(&mut self) -> &LogLine {
        let random = &mut self.random;
        self.busy = 0.999 * self.busy + 0.02 * random.normal();
        let gap = -random.unit().max(1e-12).ln() * 1_000.0 / LINES_PER_SECOND;
        self.clock_ms += gap * (-self.busy).exp() * GAP_SCALE;
        let host = &mut self.hosts[self.host_ranks.draw(random)];
        let shape = self.shape_ranks.draw(random);
        host.count += 1;
        host.reading = 0.98 * host.reading + 0.1 * random.normal();
        let line = &mut self.line;
        line.time = UtcMs(self.clock_ms as i64);
        line.host.clear();
        line.host.push_str(&host.name);
        line.message.clear();
        let (app, severity) = shapes::write(shape, host, random, &mut line.message);
        (line.app, line.severity) = (shapes::NAMES[app], severity);
        line.pid = host.pids[app];
        if self.number % NEEDLE_ONE_IN == NEEDLE_AT {
            line.message.clear();
            let _ = write!(line.message, "main engine monitor: {NEEDLE}, oil pressure {:.2} bar", 3.0 + host.reading);
        }
        self.number += 1;
        &self.line
    }
}

/// Makes up for the wandering: the mean of the exponential of a normal number is above 1.
const GAP_SCALE: f64 = 0.904;

impl Host {
    fn new(number: usize, random: &mut Random) -> Self {
        let kind = *random.pick(&["bridge", "engine", "crew-ap", "core-sw", "nav", "galley", "cctv", "vsat"]);
        Self {
            name: format!("{kind}-{number:03}"),
            pids: std::array::from_fn(|_| 300 + random.below(30_000) as u32),
            address: [random.below(250) as u8 + 1, random.below(250) as u8 + 1],
            reading: 0.0,
            count: random.below(1_000_000),
        }
    }
}

#[cfg(test)]
mod tests;
