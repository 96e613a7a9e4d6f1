//! Tailing log files: every line written after the watch began is delivered at least once, across rotation, truncation
//! and restarts.
//!
//! A file is known by device, inode and a hash of its beginning, so that a rotated file is read to its end under its new
//! name and a file that was emptied and filled again is read from its start. What a file held before it was first seen
//! is not read; a file that appears later is read from its start.

mod find;
mod line;
mod positions;
mod tail;

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use wk_types::AssetId;

use crate::contract::SourceContext;
use crate::delivery::{Delivered, deliver};
use crate::records;
use crate::times::Zone;
use positions::Positions;
pub(crate) use positions::write as write_whole;
use tail::{Chunk, Move, Tailer};

/// How many bytes of one line are kept; the rest is cut off and counted.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// How many files are followed at once.
pub const FILES_MAX: usize = 256;
/// How often positions are written while lines come in.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// The log files that are followed where the configuration names none.
pub const DEFAULT_GLOBS: [&str; 7] = [
    "/var/log/syslog",
    "/var/log/messages",
    "/var/log/*.log",
    "/var/log/apt/history.log",
    "/var/log/nginx/*.log",
    "/var/log/apache2/*.log",
    "/var/log/postgresql/*.log",
];

/// Which files are followed, and how.
#[derive(Debug, Clone)]
pub struct FileSettings {
    /// Paths in which `*` stands for any characters but `/` and `?` for one.
    pub globs: Vec<String>,
    /// The file in the data folder that keeps the positions.
    pub positions: PathBuf,
    /// This machine's host name: whose lines are that name no host.
    pub host: String,
    /// The asset that all lines belong to, where the configuration says so.
    pub asset: Option<AssetId>,
    /// The zone of times that do not name theirs.
    pub zone: Zone,
    /// How often files are looked at.
    pub interval: Duration,
}

impl FileSettings {
    /// The shipped defaults: the text logs under `/var/log`, looked at every second.
    #[must_use]
    pub fn new(positions: PathBuf, host: &str, zone: TimeZone) -> Self {
        Self {
            globs: DEFAULT_GLOBS.map(str::to_owned).to_vec(),
            positions,
            host: host.to_owned(),
            asset: None,
            zone: Zone::new(zone),
            interval: Duration::from_secs(1),
        }
    }
}

/// Follows the files until cancelled.
pub async fn run(context: SourceContext, settings: FileSettings, cancel: CancellationToken) {
    let positions = Positions::load(&settings.positions).unwrap_or_else(|error| {
        context.stats.flagged("positions could not be read", 1, &error.to_string());
        tracing::warn!(%error, path = %settings.positions.display(), "positions could not be read, files are followed from now on");
        Positions::default()
    });
    let mut files =
        Files { tailer: Some(Tailer::new(settings.globs.clone(), &positions)), settings, positions, context, cancel };
    files.follow().await;
}

struct Files {
    context: SourceContext,
    settings: FileSettings,
    cancel: CancellationToken,
    positions: Positions,
    /// Not there while a blocking call reads with it.
    tailer: Option<Tailer>,
}

impl Files {
    async fn follow(&mut self) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut saved = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => break,
                _ = ticks.tick() => {}
            }
            // A chunk ends a pass only once nothing more is there, so that a long backlog does not wait for ticks.
            while self.pass().await {}
            if saved.elapsed() >= SAVE_EVERY {
                self.save().await;
                saved = tokio::time::Instant::now();
            }
        }
        self.save().await;
    }

    /// Reads and delivers at most one chunk of every file; answers whether there may be more.
    async fn pass(&mut self) -> bool {
        let Some(mut tailer) = self.tailer.take() else { return false };
        let read = tokio::task::spawn_blocking(move || (tailer.read(), tailer)).await;
        let (chunks, tailer) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "reading log files ended early");
                self.tailer = Some(Tailer::new(self.settings.globs.clone(), &self.positions));
                return false;
            }
        };
        self.tailer = Some(tailer);
        let mut more = false;
        for chunk in chunks {
            more |= chunk.more;
            if !self.take(chunk).await {
                // What was not delivered is read again from the saved positions after the next start.
                return false;
            }
        }
        more && !self.cancel.is_cancelled()
    }

    /// Delivers a chunk, then moves its file's position.
    async fn take(&mut self, chunk: Chunk) -> bool {
        for (reason, count, example) in &chunk.flags {
            self.context.stats.flagged(reason, *count, example);
        }
        if !chunk.lines.is_empty() {
            let received = self.context.now();
            let bytes = chunk.lines.iter().map(Vec::len).sum::<usize>() as u64;
            self.context.stats.received(chunk.lines.len() as u64, bytes, received);
            let read = |bytes: &Vec<u8>| line::record(&self.context, &self.settings, &chunk.path, bytes, received);
            for record in records::of_logs(&self.context, received, chunk.lines.iter().map(read)) {
                if deliver(&self.context, record, &self.cancel).await == Delivered::Ended {
                    return false;
                }
            }
        }
        match chunk.position {
            Move::To(position) => self.positions.set(&chunk.path, position),
            Move::Forget => self.positions.remove(&chunk.path),
            Move::Stay => {}
        }
        true
    }

    async fn save(&mut self) {
        let Some((path, text)) = self.positions.changed_text().map(|text| (self.settings.positions.clone(), text))
        else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || positions::write(&path, &text)).await;
        match written.map_err(std::io::Error::other).flatten() {
            Ok(()) => self.positions.saved(),
            Err(error) => {
                self.context.stats.flagged("positions could not be written", 1, &error.to_string());
                tracing::warn!(%error, path = %self.settings.positions.display(), "positions could not be written");
            }
        }
    }
}

#[cfg(test)]
mod tests;
