//! Start-up: learning what the log holds without reading it.

use std::collections::VecDeque;
use std::path::Path;

use wk_types::Seq;

use super::scan::Look;
use super::segment::{self, SEQS_MAX, Segment, base_of, index_path, segment_path};
use super::{Damage, IntakeError, OpenReport};
use crate::io::Io;

/// What a start finds.
pub(super) struct Opened {
    pub(super) segments: VecDeque<Segment>,
    pub(super) next: u64,
    pub(super) report: OpenReport,
}

/// Lists the segments and learns from each what it holds. Only the newest is read as a whole, and what has no index
/// file is walked through by its headers.
pub(super) fn open(io: &dyn Io, dir: &Path) -> Result<Opened, IntakeError> {
    io.create_dir_all(dir).map_err(|source| IntakeError::open(dir, source))?;
    let names = io.list(dir).map_err(|source| IntakeError::open(dir, source))?;
    let bases: Vec<u64> = names.iter().filter_map(|name| base_of(name, "seg")).collect();
    remove_leftovers(io, dir, &names, &bases);

    let mut segments = VecDeque::with_capacity(bases.len());
    let mut damage: Vec<Damage> = Vec::new();
    let (mut next, mut scanned) = (1, 0);
    let mut before = Seq(bases.first().map_or(0, |base| base.saturating_sub(1)));
    for base in &bases {
        let newest = Some(base) == bases.last();
        let look = if newest { Look::ALL } else { Look::Headers };
        let loaded = segment::load(io, dir, *base, before, look)?;
        let mut segment = loaded.segment;
        if newest && loaded.unclean {
            // Nobody knows whether more was written here: the seqs go on behind all that it may have used.
            segment.next = segment.next.max(base.saturating_add(SEQS_MAX));
        }
        if !segment.sealed && segment.seal(io, dir).is_err() {
            tracing::warn!(segment = segment.base, "could not write a segment's index file");
        }
        next = next.max(segment.next);
        before = loaded.seen;
        scanned += usize::from(loaded.scanned);
        damage.extend(loaded.damage);
        segments.push_back(segment);
    }
    let report = OpenReport {
        first: segments.iter().find_map(Segment::first),
        last: segments.iter().map(|segment| segment.last).max().unwrap_or_default(),
        segments: segments.len(),
        scanned,
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        damage,
    };
    Ok(Opened { segments, next, report })
}

/// Removes index files without a segment, and half-written ones. What cannot be removed does no harm.
fn remove_leftovers(io: &dyn Io, dir: &Path, names: &[String], bases: &[u64]) {
    for name in names {
        let orphan = base_of(name, "idx").is_some_and(|base| bases.binary_search(&base).is_err());
        if orphan || base_of(name, "tmp").is_some() {
            let _ = io.remove(&dir.join(name));
        }
    }
}

/// Removes a freed segment's files, so that after a crash those of a later one are not gone before.
pub(super) fn remove_segment(io: &dyn Io, dir: &Path, base: u64) {
    for path in [segment_path(dir, base), index_path(dir, base)] {
        if let Err(error) = io.remove(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "could not remove a freed segment's file");
        }
    }
    if let Err(error) = io.sync_dir(dir) {
        tracing::warn!(dir = %dir.display(), %error, "could not sync the intake log's folder");
    }
}

#[cfg(test)]
mod tests;
