//! Finding the blocks of a folder at start, and tidying up what a crash left.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use wk_block::{BlockError, Header, verify};
use wk_types::{Resolution, Seq, UtcMs};

use super::file::{BlockFile, FileSource, Kind, parse_name, set_aside};
use super::{DamagedBlock, MetricError, OpenReport};
use crate::io::Io;

/// Files of rollups, by the beginning of the stretch they sum up.
type Rollups = BTreeMap<(Resolution, UtcMs), Arc<BlockFile>>;

/// The blocks of `dir` in the order of the records they hold, and its rollups.
pub(super) fn scan(io: &dyn Io, dir: &Path) -> Result<(Vec<Arc<BlockFile>>, Rollups, OpenReport), MetricError> {
    let failed = |source| MetricError::Open { dir: dir.to_owned(), source };
    io.create_dir_all(dir).map_err(failed)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        io.sync_dir(parent).map_err(failed)?;
    }
    // The last run may have ended between a rename and its sync. The intake log lets go of what a block stands for, so
    // no name may count that a loss of power could still take away.
    io.sync_dir(dir).map_err(failed)?;
    let mut blocks = Vec::new();
    let mut damaged = Vec::new();
    for name in io.list(dir).map_err(failed)? {
        if name.ends_with(".tmp") {
            io.remove(&dir.join(&name)).map_err(failed)?;
            continue;
        }
        let Some(parsed) = parse_name(&name) else { continue };
        let (seqs, times) = (parsed.seqs, parsed.times);
        match read_header(io, &dir.join(&name)) {
            Ok(header) => blocks.push(BlockFile { name, ..BlockFile::named(parsed, &header) }),
            Err(source @ BlockError::Newer { .. }) => return Err(MetricError::Newer { file: name, source }),
            Err(BlockError::Read { source, .. }) => return Err(failed(source)),
            Err(error) => damaged.push(DamagedBlock { file: name, seqs, times, what: error.to_string() }),
        }
    }
    let superseded = find_superseded(io, dir, &mut blocks, &mut damaged).map_err(failed)?;
    for name in &superseded {
        io.remove(&dir.join(name)).map_err(failed)?;
    }
    if !superseded.is_empty() {
        io.sync_dir(dir).map_err(failed)?;
    }
    for block in &damaged {
        tracing::error!(file = %block.file, first = %block.times.0, last = %block.times.1, what = %block.what, "metric block is damaged and set aside");
        set_aside(io, dir, &block.file).map_err(failed)?;
    }
    let (mut blocks, rollups): (Vec<_>, Vec<_>) = blocks.into_iter().map(Arc::new).partition(|block| block.is_raw());
    blocks.sort_by_key(|block| (block.seqs, block.kind));
    let rollups: Rollups = rollups.into_iter().filter_map(|file| Some((file.stretch()?, file))).collect();
    let cursor = blocks.iter().filter(|block| block.kind == Kind::Normal).map(|block| block.seqs.1).max();
    let report = OpenReport {
        cursor: cursor.unwrap_or(Seq(0)),
        blocks: blocks.len(),
        rollups: rollups.len(),
        damaged,
        superseded: superseded.len(),
    };
    Ok((blocks, rollups, report))
}

fn read_header(io: &dyn Io, path: &Path) -> Result<Header, BlockError> {
    let source = FileSource::open(io, path).map_err(|source| BlockError::Read { part: "file", source })?;
    Header::read(&source)
}

/// Takes the files out of `blocks` that a merge has replaced, and returns their names. A merged file is read whole
/// before what it replaces is given up.
fn find_superseded(
    io: &dyn Io,
    dir: &Path,
    blocks: &mut Vec<BlockFile>,
    damaged: &mut Vec<DamagedBlock>,
) -> io::Result<Vec<String>> {
    let mut unsound: Vec<String> = Vec::new();
    for block in blocks.iter().filter(|block| blocks.iter().any(|other| block.covers(other))) {
        match FileSource::open(io, &dir.join(&block.name)).map(|source| verify(&source))? {
            Ok(_) => {}
            Err(BlockError::Read { source, .. }) => return Err(source),
            Err(error) => {
                unsound.push(block.name.clone());
                let (seqs, times) = (block.seqs, (block.first, block.last));
                damaged.push(DamagedBlock { file: block.name.clone(), seqs, times, what: error.to_string() });
            }
        }
    }
    blocks.retain(|block| !unsound.contains(&block.name));
    let covered = |block: &BlockFile| blocks.iter().any(|other| other.covers(block));
    let superseded: Vec<String> =
        blocks.iter().filter(|block| covered(block)).map(|block| block.name.clone()).collect();
    blocks.retain(|block| !superseded.contains(&block.name));
    Ok(superseded)
}
