//! Processes by service: the systemd unit where there is one, else the command's name, with process-exporter's names.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::Readings;
use super::procfs::TICKS_A_SECOND;

/// How many groups are shown by name; the rest stands under [`OTHER`].
pub const GROUPS_MAX: usize = 150;
/// The group of everything that is not shown by name.
pub const OTHER: &str = "other";
/// The group of the kernel's own threads.
const KERNEL: &str = "kernel";
/// How many processes are looked at.
const PROCESSES_MAX: usize = 20_000;
/// For how many rounds the counters of a group without processes are kept, so that a service that comes back goes on
/// counting.
const IDLE_ROUNDS_MAX: u32 = 40;
/// How much of the last rounds' processor use counts.
const RECENT: f64 = 0.8;
/// By how much an unnamed group must be busier to take a named one's place.
const BUSIER: f64 = 2.0;
/// `PF_KTHREAD` of the kernel's `sched.h`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// How many characters of a command's name the kernel keeps.
const COMM_CHARS: usize = 15;

/// What is remembered of the processes.
#[derive(Debug)]
pub struct Processes {
    services: Vec<String>,
    known: HashMap<u32, Known>,
    groups: BTreeMap<String, Group>,
    groups_max: usize,
    page_bytes: f64,
}

/// One process.
#[derive(Debug, Clone)]
struct Known {
    started: u64,
    command: String,
    group: String,
    user: u64,
    system: u64,
}

/// Counters of one group, and what it has now.
#[derive(Debug, Default, Clone)]
struct Group {
    user: u64,
    system: u64,
    recent: f64,
    idle_rounds: u32,
    now: Sum,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    processes: u32,
    user: u64,
    system: u64,
    pages: u64,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    command: String,
    flags: u64,
    user: u64,
    system: u64,
    started: u64,
    pages: u64,
}

impl Processes {
    /// Starts with nothing known; `services` are shown always.
    pub fn new(services: &[String]) -> Self {
        Self {
            services: services.iter().map(|name| short(name).to_owned()).collect(),
            known: HashMap::new(),
            groups: BTreeMap::new(),
            groups_max: GROUPS_MAX,
            page_bytes: rustix::param::page_size() as f64,
        }
    }

    /// Reads all processes and adds the groups.
    pub fn read(&mut self, proc: &Path, readings: &mut Readings) {
        let entries = match std::fs::read_dir(proc) {
            Ok(entries) => entries,
            Err(error) => return readings.missing("could not list processes", error.to_string()),
        };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let mut known = HashMap::with_capacity(self.known.len());
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for id in ids.take(PROCESSES_MAX) {
            let folder = proc.join(id.to_string());
            // A process may end at any time between listing and reading.
            let Some(stat) = read_text(&folder.join("stat")).and_then(|text| stat(&text)) else { continue };
            let process = self.process(id, &stat, &folder);
            let before = self.known.get(&id).filter(|before| before.started == stat.started);
            let sum = sums.entry(process.group.clone()).or_default();
            sum.processes += 1;
            sum.pages += stat.pages;
            sum.user += stat.user.saturating_sub(before.map_or(0, |before| before.user));
            sum.system += stat.system.saturating_sub(before.map_or(0, |before| before.system));
            known.insert(id, process);
        }
        self.known = known;
        self.take(sums);
        self.show(readings);
    }

    fn process(&self, id: u32, stat: &Stat, folder: &Path) -> Known {
        let before = self.known.get(&id).filter(|one| one.started == stat.started && one.command == stat.command);
        let group = match before {
            Some(before) => before.group.clone(),
            None if stat.flags & KERNEL_THREAD != 0 => KERNEL.to_owned(),
            None => self.group_of(&stat.command, read_text(&folder.join("cgroup")).as_deref().unwrap_or("")),
        };
        Known { started: stat.started, command: stat.command.clone(), group, user: stat.user, system: stat.system }
    }

    fn group_of(&self, command: &str, cgroup: &str) -> String {
        if let Some(unit) = unit(cgroup) {
            return unit.to_owned();
        }
        let cut = |name: &str| name.chars().take(COMM_CHARS).collect::<String>();
        let service = self.services.iter().find(|service| service.as_str() == command || cut(service) == command);
        service.map_or_else(|| command.to_owned(), Clone::clone)
    }

    /// Adds a round to the counters. What a group counts while it is not shown by name goes to [`OTHER`], so that no
    /// counter is told twice or runs backwards.
    fn take(&mut self, mut sums: BTreeMap<String, Sum>) {
        for group in self.groups.values_mut() {
            group.now = Sum::default();
            group.idle_rounds += 1;
        }
        self.choose(&sums);
        let mut rest = sums.remove(OTHER).unwrap_or_default();
        for (name, sum) in sums {
            match self.groups.get_mut(&name) {
                Some(group) => group.add(sum),
                None => {
                    rest.processes += sum.processes;
                    rest.pages += sum.pages;
                    rest.user += sum.user;
                    rest.system += sum.system;
                }
            }
        }
        if rest.processes > 0 || self.groups.contains_key(OTHER) {
            self.groups.entry(OTHER.to_owned()).or_default().add(rest);
        }
    }

    /// Decides which groups are shown by name: those that are stay, free places go to the busiest, then the largest;
    /// once there is none left, a much busier group takes the place of the least busy one.
    fn choose(&mut self, sums: &BTreeMap<String, Sum>) {
        let services = &self.services;
        self.groups.retain(|name, group| {
            group.idle_rounds <= IDLE_ROUNDS_MAX || name == OTHER || services.contains(name) || sums.contains_key(name)
        });
        for service in &self.services {
            self.groups.entry(service.clone()).or_default();
        }
        let mut waiting: Vec<(&String, &Sum)> =
            sums.iter().filter(|(name, _)| *name != OTHER && !self.groups.contains_key(*name)).collect();
        waiting.sort_by(|(a_name, a), (b_name, b)| {
            (b.user + b.system, b.pages).cmp(&(a.user + a.system, a.pages)).then_with(|| a_name.cmp(b_name))
        });
        let taken = self.groups.keys().filter(|name| *name != OTHER).count();
        let free = self.groups_max.saturating_sub(taken);
        let mut waiting = waiting.into_iter();
        for (name, _) in waiting.by_ref().take(free) {
            self.groups.insert(name.clone(), Group::default());
        }
        if free == 0
            && let Some((name, sum)) = waiting.next()
        {
            self.exchange(name, (sum.user + sum.system) as f64);
        }
    }

    fn exchange(&mut self, name: &str, ticks: f64) {
        let least = self
            .groups
            .iter()
            .filter(|(name, _)| *name != OTHER && !self.services.contains(name))
            .min_by(|(_, a), (_, b)| a.recent.total_cmp(&b.recent))
            .map(|(name, group)| (name.clone(), group.recent));
        if let Some((least, recent)) = least
            && ticks > recent * BUSIER
        {
            self.groups.remove(&least);
            self.groups.insert(name.to_owned(), Group::default());
        }
    }

    fn show(&self, readings: &mut Readings) {
        for (name, group) in &self.groups {
            let is_service = self.services.contains(name);
            if group.now.processes == 0 && !is_service {
                continue;
            }
            let label = ("groupname", name.as_str());
            readings.push("namedprocess_namegroup_num_procs", &[label], f64::from(group.now.processes));
            for (mode, ticks) in [("user", group.user), ("system", group.system)] {
                let seconds = ticks as f64 / TICKS_A_SECOND;
                readings.push("namedprocess_namegroup_cpu_seconds_total", &[label, ("mode", mode)], seconds);
            }
            let bytes = group.now.pages as f64 * self.page_bytes;
            readings.push("namedprocess_namegroup_memory_bytes", &[label, ("memtype", "resident")], bytes);
        }
    }
}

impl Group {
    fn add(&mut self, sum: Sum) {
        self.user += sum.user;
        self.system += sum.system;
        self.recent = self.recent * RECENT + (sum.user + sum.system) as f64 * (1.0 - RECENT);
        if sum.processes > 0 {
            self.idle_rounds = 0;
        }
        self.now = sum;
    }
}

fn read_text(path: &Path) -> Option<String> {
    std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The innermost service in a process' control group path, without its suffix; sessions and containers have none.
fn unit(cgroup: &str) -> Option<&str> {
    let path = cgroup
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            (controllers.is_empty() || controllers == "name=systemd").then_some(path)
        })
        .find(|path| *path != "/")?;
    let last = path.rsplit('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
    last.strip_suffix(".service")
}

fn short(service: &str) -> &str {
    service.strip_suffix(".service").unwrap_or(service)
}

/// Reads `/proc/PID/stat`; the command stands in parentheses and may hold any character.
fn stat(text: &str) -> Option<Stat> {
    let (command, rest) = (text.find('(')?, text.rfind(')')?);
    let fields: Vec<&str> = text.get(rest + 1..)?.split_ascii_whitespace().collect();
    // The first field here is the third of proc(5).
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        command: text.get(command + 1..rest)?.to_owned(),
        flags: number(9)?,
        user: number(14)?,
        system: number(15)?,
        started: number(22)?,
        pages: number(24)?,
    })
}

#[cfg(test)]
mod tests;
