//! File systems: which are mounted, and how full they are.
//!
//! `statvfs` blocks for as long as a dead file server or disk likes, so every mount point is asked on a thread of its
//! own; one that does not answer in time is left alone until it has.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Readings;

/// How long a mount point may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How many file systems are shown.
const MOUNTS_MAX: usize = 128;
const NO_ANSWER: &str = "file system does not answer";
/// Types that hold no data of their own.
const PSEUDO: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
];
/// Types that are always full.
const READ_ONLY: [&str; 4] = ["iso9660", "squashfs", "erofs", "udf"];

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub device: String,
    pub kind: String,
    pub point: String,
    pub read_only: bool,
}

/// Sizes of a file system in bytes, and its inodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub size: f64,
    pub free: f64,
    pub available: f64,
    pub files: f64,
    pub files_free: f64,
    pub read_only: bool,
}

type Ask = Arc<dyn Fn(&Path) -> std::io::Result<Usage> + Send + Sync>;
type Answer = oneshot::Receiver<std::io::Result<Usage>>;

/// The file systems of this machine.
pub struct FileSystems {
    proc: PathBuf,
    ask: Ask,
    answer_within: Duration,
    /// Mount points that have not answered yet.
    silent: HashMap<String, Answer>,
}

impl FileSystems {
    /// Asks the system.
    pub fn new(proc: PathBuf) -> Self {
        Self::asking(proc, Arc::new(statvfs), ANSWER_WITHIN)
    }

    fn asking(proc: PathBuf, ask: Ask, answer_within: Duration) -> Self {
        Self { proc, ask, answer_within, silent: HashMap::new() }
    }

    /// The sizes of all file systems that answer in time.
    pub async fn read(&mut self) -> Readings {
        let mut readings = Readings::default();
        // A mountinfo of some other process would show its mounts; ours are what this machine's programs see.
        let path = self.proc.join("self/mountinfo");
        let text = tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await;
        let mounts = match text {
            Ok(Ok(text)) => mounts(&text),
            Ok(Err(error)) => {
                readings.missing("could not read /proc/self/mountinfo", error.to_string());
                return readings;
            }
            Err(error) => {
                readings.missing("could not read /proc/self/mountinfo", error.to_string());
                return readings;
            }
        };
        self.silent.retain(|_, answer| matches!(answer.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        let deadline = Instant::now() + self.answer_within;
        let mut asked = Vec::new();
        for mount in mounts {
            if self.silent.contains_key(&mount.point) {
                readings.missing(NO_ANSWER, &mount.point);
            } else if let Some(answer) = self.start(&mount.point, &mut readings) {
                asked.push((mount, answer));
            }
        }
        for (mount, mut answer) in asked {
            match tokio::time::timeout_at(deadline, &mut answer).await {
                Ok(Ok(Ok(usage))) => show(&mount, usage, &mut readings),
                Ok(Ok(Err(error))) => {
                    readings.missing("file system cannot be asked", format!("{}: {error}", mount.point));
                }
                Ok(Err(_)) => readings.missing("file system cannot be asked", &mount.point),
                Err(_) => {
                    readings.missing(NO_ANSWER, &mount.point);
                    self.silent.insert(mount.point, answer);
                }
            }
        }
        readings
    }

    fn start(&self, point: &str, readings: &mut Readings) -> Option<Answer> {
        let (sender, answer) = oneshot::channel();
        let (ask, path) = (Arc::clone(&self.ask), PathBuf::from(point));
        let thread = std::thread::Builder::new().name("wk-statvfs".to_owned()).spawn(move || {
            // Nobody waits any more where the time was up.
            let _ = sender.send(ask(&path));
        });
        match thread {
            Ok(_) => Some(answer),
            Err(error) => {
                readings.missing("file system cannot be asked", error.to_string());
                None
            }
        }
    }
}

fn statvfs(path: &Path) -> std::io::Result<Usage> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks as f64 * stat.f_frsize as f64;
    Ok(Usage {
        size: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
        read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
    })
}

fn show(mount: &Mount, usage: Usage, readings: &mut Readings) {
    if usage.size <= 0.0 {
        return;
    }
    let labels =
        [("device", mount.device.as_str()), ("fstype", mount.kind.as_str()), ("mountpoint", mount.point.as_str())];
    let values = [
        ("node_filesystem_size_bytes", usage.size),
        ("node_filesystem_free_bytes", usage.free),
        ("node_filesystem_avail_bytes", usage.available),
        ("node_filesystem_files", usage.files),
        ("node_filesystem_files_free", usage.files_free),
        ("node_filesystem_readonly", f64::from(u8::from(usage.read_only || mount.read_only))),
    ];
    for (name, value) in values {
        readings.push(name, &labels, value);
    }
}

/// Reads `mountinfo`: pseudo file systems are left out, mounts of one device collapse to the shortest mount point, of
/// those on one point the last is what programs see.
fn mounts(text: &str) -> Vec<Mount> {
    let mut by_point: BTreeMap<String, (String, Mount)> = BTreeMap::new();
    for line in text.lines() {
        if let Some((number, mount)) = mount_line(line) {
            by_point.insert(mount.point.clone(), (number, mount));
        }
    }
    let mut by_device: BTreeMap<String, Mount> = BTreeMap::new();
    for (number, mount) in by_point.into_values().filter(|(_, mount)| is_shown(mount)) {
        let known = by_device.entry(number).or_insert_with(|| mount.clone());
        if mount.point.len() < known.point.len() {
            *known = mount;
        }
    }
    let mut mounts: Vec<Mount> = by_device.into_values().collect();
    mounts.sort_by(|a, b| a.point.cmp(&b.point));
    mounts.truncate(MOUNTS_MAX);
    mounts
}

fn is_shown(mount: &Mount) -> bool {
    let kind = mount.kind.as_str();
    let under =
        |folder: &str| mount.point.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if PSEUDO.contains(&kind) || READ_ONLY.contains(&kind) || under("/proc") || under("/sys") {
        return false;
    }
    match kind {
        "overlay" => mount.point == "/",
        // Device nodes and systemd's credentials are small and never fill.
        "tmpfs" => mount.point != "/dev" && !under("/run/credentials"),
        _ => true,
    }
}

/// Reads `36 35 98:0 /root /mount/point rw,noatime shared:1 - ext3 /dev/root rw` (proc(5)).
fn mount_line(line: &str) -> Option<(String, Mount)> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    let (kind, device, options) = (right.next()?, right.next()?, right.next().unwrap_or(""));
    let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
    let mount = Mount {
        device: plain(device),
        kind: kind.to_owned(),
        point: plain(left.get(4)?),
        read_only: is_read_only(left.get(5)?) || is_read_only(options),
    };
    Some(((*left.get(2)?).to_owned(), mount))
}

/// Resolves `\040` and the like.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        let code = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *byte == b'\\') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &behind[3..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests;
