//! Which files are too old or too many, and whether the clock may be believed about it.

use std::time::Duration;

use wk_types::{DurationMs, UtcMs};

/// A clock that runs ahead of the monotonic one by more than this has jumped.
const JUMP_MIN: DurationMs = DurationMs::from_hours(1);

/// A time that deletion by age may trust.
///
/// After a forward jump of more than an hour nothing is believed until a person or time synchronisation confirms it,
/// the clock goes back, or the clock has run on beside the monotonic one for as long as it jumped: a jump of a day is
/// believed after a day, one of ten years practically never.
#[derive(Debug)]
pub(crate) struct RetentionClock {
    /// The newest time believed.
    believed: UtcMs,
    /// The wall and the monotonic clock at the last look.
    last: Option<(UtcMs, Duration)>,
    held: Option<Hold>,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    jump: DurationMs,
    progress: DurationMs,
}

impl RetentionClock {
    /// Starts from the newest time known to be right; `None` where nothing is stored yet.
    pub(crate) fn new(believed: Option<UtcMs>) -> Self {
        // With nothing stored there is nothing that a wrong clock could delete.
        Self { believed: believed.unwrap_or(UtcMs::MAX), last: None, held: None }
    }

    /// Looks at the clocks; answers the time that deletion by age may count from, `None` while it pauses.
    pub(crate) fn observe(&mut self, now: UtcMs, monotonic: Duration) -> Option<UtcMs> {
        let progress = self.last.map_or(DurationMs(0), |(_, last)| {
            DurationMs(i64::try_from(monotonic.saturating_sub(last).as_millis()).unwrap_or(i64::MAX))
        });
        let before = self.last.map_or(self.believed, |(wall, _)| wall);
        self.last = Some((now, monotonic));
        let jump = now.since(before + progress);
        self.held = match self.held {
            Some(_) if now.since(self.believed + progress) <= JUMP_MIN => None,
            Some(hold) => {
                let more = if jump > JUMP_MIN { jump } else { DurationMs(0) };
                let hold = Hold {
                    jump: DurationMs(hold.jump.0.saturating_add(more.0)),
                    progress: DurationMs(hold.progress.0.saturating_add(progress.0)),
                };
                (hold.progress < hold.jump).then_some(hold)
            }
            None => (jump > JUMP_MIN).then_some(Hold { jump, progress: DurationMs(0) }),
        };
        if self.held.is_some() {
            self.believed += progress;
            return None;
        }
        self.believed = now;
        Some(now)
    }

    /// Believes the clock as it was last seen.
    pub(crate) fn confirm(&mut self) {
        self.held = None;
        if let Some((wall, _)) = self.last {
            self.believed = wall;
        }
    }

    /// The newest time believed, while the clock is not; `None` while it is.
    pub(crate) const fn held_at(&self) -> Option<UtcMs> {
        if self.held.is_some() { Some(self.believed) } else { None }
    }
}

/// What retention looks at in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aged {
    pub(crate) received: UtcMs,
    pub(crate) bytes: u64,
}

/// How many of the files, which come oldest first, have to go. The newest always stays: its name is the cursor.
pub(crate) fn expired(files: &[Aged], older_than: Option<UtcMs>, bytes_max: u64) -> usize {
    let by_age = older_than.map_or(0, |limit| files.iter().take_while(|file| file.received < limit).count());
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let by_bytes = files
        .iter()
        .take_while(|file| {
            let is_over = bytes > bytes_max;
            bytes -= file.bytes;
            is_over
        })
        .count();
    by_age.max(by_bytes).min(files.len().saturating_sub(1))
}

#[cfg(test)]
mod tests;
