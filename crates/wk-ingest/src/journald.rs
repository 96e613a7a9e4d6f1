//! systemd's journal, read from `journalctl --follow`: entries in order, at least once, by a cursor saved behind the
//! acknowledgement.

pub(crate) mod entry;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::{AssetId, Body, LogRecord, NewRecord};

use crate::contract::SourceContext;
use crate::delivery::{Delivered, deliver};
use crate::files::write_whole;
use crate::records::{RECORD_BYTES_AIM, log_bytes};

/// How many bytes one entry of `journalctl` may have; longer ones are rejected.
const ENTRY_BYTES_MAX: usize = 1024 * 1024;
/// How many entries one record holds.
const BATCH_ENTRIES_MAX: usize = 1_000;
/// How long a record waits for further entries.
const BATCH_WAIT: Duration = Duration::from_millis(50);
/// How often the cursor is written while entries come in.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// The first and the longest pause before `journalctl` is started again.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long `journalctl` must have run for the next pause to be the first again.
const STEADY_AFTER: Duration = Duration::from_secs(60);
/// How many bytes of what `journalctl` complains are kept.
const COMPLAINT_BYTES_MAX: u64 = 4 * 1024;

/// How the journal is read.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// The program to run.
    pub program: PathBuf,
    /// The file in the data folder that keeps the cursor.
    pub cursor: PathBuf,
    /// This machine's host name: whose entries are that name no host.
    pub host: String,
    /// The asset that all entries belong to, where the configuration says so.
    pub asset: Option<AssetId>,
}

impl JournalSettings {
    /// The shipped defaults: `journalctl` as found in the search path.
    #[must_use]
    pub fn new(cursor: PathBuf, host: &str) -> Self {
        Self { program: "journalctl".into(), cursor, host: host.to_owned(), asset: None }
    }
}

/// Tells whether journald keeps a journal on this machine and `journalctl` is in `search_path` (the form of `PATH`).
#[must_use]
pub fn is_present(root: &Path, search_path: &str) -> bool {
    let keeps = |folder: &str| {
        let entries = std::fs::read_dir(root.join(folder));
        entries.is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
    };
    let has_program = search_path.split(':').any(|folder| Path::new(folder).join("journalctl").is_file());
    has_program && (keeps("run/log/journal") || keeps("var/log/journal"))
}

/// Follows the journal until cancelled; starts `journalctl` again when it ends.
pub async fn run(context: SourceContext, settings: JournalSettings, cancel: CancellationToken) {
    let cursor = std::fs::read_to_string(&settings.cursor).ok().map(|text| text.trim().to_owned());
    let mut journal = Journal {
        cursor: cursor.filter(|cursor| !cursor.is_empty()),
        context,
        settings,
        cancel,
        saved: Instant::now(),
        unsaved: false,
    };
    let mut pause = PAUSE_FIRST;
    while !journal.cancel.is_cancelled() {
        let started = Instant::now();
        if let Err(error) = journal.follow().await {
            journal.context.stats.flagged("journalctl failed", 1, &error.to_string());
            tracing::warn!(%error, "the journal is not being read");
        }
        journal.save().await;
        pause = if started.elapsed() >= STEADY_AFTER { PAUSE_FIRST } else { (pause * 2).min(PAUSE_MAX) };
        tokio::select! {
            () = journal.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Journal {
    context: SourceContext,
    settings: JournalSettings,
    cancel: CancellationToken,
    /// Behind the last acknowledged entry.
    cursor: Option<String>,
    saved: Instant,
    unsaved: bool,
}

/// Entries gathered for one record.
#[derive(Default)]
struct Gathered {
    logs: Vec<LogRecord>,
    bytes: usize,
    cursor: Option<String>,
}

impl Gathered {
    fn add(&mut self, log: LogRecord, cursor: Option<String>) {
        self.bytes += log_bytes(&log);
        self.logs.push(log);
        self.cursor = cursor.or(self.cursor.take());
    }

    fn is_full(&self) -> bool {
        self.logs.len() >= BATCH_ENTRIES_MAX || self.bytes >= RECORD_BYTES_AIM
    }
}

impl Journal {
    /// Runs `journalctl` once and takes its entries until it ends or the source does.
    async fn follow(&mut self) -> io::Result<()> {
        let mut child = self.start()?;
        let (Some(output), Some(complaints)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("journalctl has no output"));
        };
        let complaints = tokio::spawn(async move {
            let mut text = String::new();
            let _ = complaints.take(COMPLAINT_BYTES_MAX).read_to_string(&mut text).await;
            text
        });
        let mut lines = Lines::new(output);
        let ended = self.take_entries(&mut lines).await;
        if self.cancel.is_cancelled() {
            return child.kill().await;
        }
        let _ = child.start_kill();
        let status = child.wait().await?;
        let complaint = complaints.await.unwrap_or_default();
        if self.cursor.is_some() && complaint.contains("cursor") {
            // The cursor's entry has been removed: going on from now loses less than not going on at all.
            self.context.stats.lost("journal entries behind a lost cursor", 1);
            self.cursor = None;
        }
        ended.and(Err(io::Error::other(format!("journalctl ended with {status}: {}", complaint.trim()))))
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.settings.program);
        command.args(["--follow", "--output=json", "--all", "--no-pager", "--quiet"]);
        match &self.cursor {
            Some(cursor) => command.args(["--no-tail", "--after-cursor", cursor]),
            None => command.arg("--lines=0"),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
    }

    async fn take_entries<R: AsyncRead + Unpin>(&mut self, lines: &mut Lines<R>) -> io::Result<()> {
        let mut gathered = Gathered::default();
        let mut due = None;
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => break,
                () = crate::syslog::wait_until(due) => {
                    due = None;
                    self.deliver(&mut gathered).await;
                }
                line = lines.next() => match line? {
                    Line::End => break,
                    Line::TooLong => self.reject("entry longer than 1 MiB", ""),
                    Line::Whole(bytes) => {
                        self.take(&bytes, &mut gathered);
                        if gathered.is_full() {
                            due = None;
                            self.deliver(&mut gathered).await;
                        } else if due.is_none() {
                            due = Some(Instant::now() + BATCH_WAIT);
                        }
                    }
                },
            }
        }
        self.deliver(&mut gathered).await;
        Ok(())
    }

    fn reject(&self, reason: &str, example: &str) {
        self.context.stats.received(1, 0, self.context.now());
        self.context.stats.rejected(reason, 1, example);
    }

    fn take(&self, bytes: &[u8], gathered: &mut Gathered) {
        if bytes.is_empty() {
            return;
        }
        let Some(entry) = entry::read(bytes) else {
            return self.reject("not a journal entry", &String::from_utf8_lossy(bytes));
        };
        let received = self.context.now();
        self.context.stats.received(1, bytes.len() as u64, received);
        gathered.add(entry.record(&self.context, &self.settings, received), entry.cursor);
    }

    async fn deliver(&mut self, gathered: &mut Gathered) {
        let Gathered { logs, cursor, .. } = std::mem::take(gathered);
        if logs.is_empty() {
            return;
        }
        let record = NewRecord {
            received: self.context.now(),
            source: self.context.name.clone(),
            body: Body::Logs(logs.into()),
        };
        // What is not delivered before the end is read again from the saved cursor.
        if deliver(&self.context, record, &self.cancel).await == Delivered::Ended {
            return;
        }
        self.cursor = cursor.or(self.cursor.take());
        self.unsaved = true;
        if self.saved.elapsed() >= SAVE_EVERY {
            self.save().await;
        }
    }

    async fn save(&mut self) {
        let Some(cursor) = self.cursor.clone().filter(|_| self.unsaved) else { return };
        let path = self.settings.cursor.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&path, &cursor)).await;
        self.saved = Instant::now();
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => self.unsaved = false,
            Err(error) => {
                self.context.stats.flagged("cursor could not be written", 1, &error.to_string());
                tracing::warn!(%error, path = %self.settings.cursor.display(), "the journal's cursor could not be written");
            }
        }
    }
}

/// One line of output.
enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// Lines of bounded length. The future of [`Lines::next`] may be dropped without losing anything.
struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), skipping: false }
    }

    async fn next(&mut self) -> io::Result<Line> {
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(Line::End);
            }
            let end = memchr::memchr(b'\n', available);
            let taken = end.unwrap_or(available.len());
            if !self.skipping {
                self.line.extend_from_slice(&available[..taken]);
            }
            self.reader.consume(end.map_or(taken, |end| end + 1));
            let was_skipping = self.skipping;
            self.skipping = (was_skipping || self.line.len() > ENTRY_BYTES_MAX) && end.is_none();
            let too_long = was_skipping || self.line.len() > ENTRY_BYTES_MAX;
            if too_long {
                self.line.clear();
            }
            match (end, too_long) {
                (Some(_), true) => return Ok(Line::TooLong),
                (Some(_), false) => return Ok(Line::Whole(std::mem::take(&mut self.line))),
                (None, _) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
