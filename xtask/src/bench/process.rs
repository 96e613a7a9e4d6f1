//! Processes that are measured: started here, ended here by their pid.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal};

/// How long a process may take to be ready.
const READY_MAX: Duration = Duration::from_secs(120);
/// How long it may take to end after it was asked to.
const END_MAX: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running process.
pub struct Process {
    child: Child,
    started: Instant,
    log: PathBuf,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time in seconds, that of ended children included.
    pub cpu_seconds: f64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// The most there ever was of it.
    pub resident_peak: u64,
}

impl Process {
    /// Starts a command; what it says goes to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("could not start {command:?}"))?;
        Ok(Self { child, started: Instant::now(), log: log.to_owned() })
    }

    /// Waits until `url` answers with success; returns how long after the start that was.
    pub fn wait_ready(&mut self, client: &reqwest::blocking::Client, url: &str) -> Result<Duration> {
        loop {
            if client.get(url).send().is_ok_and(|answer| answer.status().is_success()) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}:\n{}", self.said());
            }
            ensure!(self.started.elapsed() < READY_MAX, "not ready within {READY_MAX:?}:\n{}", self.said());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// The end of what it said.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
        text[from..].to_owned()
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        usage(self.child.id())
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits; returns how long it took.
    pub fn terminate(&mut self) -> Result<Duration> {
        let began = Instant::now();
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        while self.child.try_wait()?.is_none() {
            ensure!(began.elapsed() < END_MAX, "it did not end within {END_MAX:?}");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(began.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn usage(pid: u32) -> Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; the numbers follow its end.
    let (_, numbers) = stat.rsplit_once(") ").context("/proc/<pid>/stat has no name")?;
    let times = numbers.split(' ').skip(11).take(4).map(str::parse::<u64>);
    let ticks: u64 = times.collect::<Result<Vec<_>, _>>()?.iter().sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Usage {
        cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        resident: kib("VmRSS:") * 1_024,
        resident_peak: kib("VmHWM:") * 1_024,
    })
}

/// The bytes that a folder's files hold.
pub fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(0) };
    for entry in entries {
        let entry = entry?;
        // Files may go while they are counted.
        let Ok(meta) = entry.metadata() else { continue };
        sum += if meta.is_dir() { folder_bytes(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// How busy the machine was over the last minutes: a measurement says so.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
