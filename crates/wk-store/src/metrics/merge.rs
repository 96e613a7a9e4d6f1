//! Joining the files of one window into one block, and the blocks of a day.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use hashbrown::HashSet as NumberSet;
use wk_block::{BlockError, SeriesReader};
use wk_types::{DurationMs, ErrorKind, Sample, UtcMs};

use super::cache::Loaded;
use super::file::{BlockFile, Kind, set_aside};
use super::query::in_order;
use super::upkeep::{Numbered, encoding};
use super::{Maintained, MetricError, Shared, Upkeep};

/// Files of a window that is still open are joined when there are so many.
const OPEN_FILES_MAX: usize = 48;
/// A merge reads at most so many bytes; a busier window stays several blocks.
const MERGE_BYTES_MAX: u64 = 512 << 20;
/// A merge reads at most so many samples.
const MERGE_SAMPLES_MAX: u64 = 512 << 20;
/// Files of late samples are joined when there are so many next to each other.
const LATE_FILES_MAX: usize = 12;
/// A file of late samples that is larger is joined with no other.
const LATE_BYTES_MAX: u64 = 4 << 20;

type Run = Vec<Arc<BlockFile>>;

/// Takes a series and its samples.
type Take<'a> = &'a mut dyn FnMut(&Numbered, &[Sample]) -> Result<(), MetricError>;

/// The next files to join: neighbours in the order of records, of one window, that window closed by a later file. Of
/// several spans the shortest comes first. `blocked` says which runs cannot be joined.
fn next_run(
    blocks: &[Arc<BlockFile>],
    spans: &[DurationMs],
    blocked: &dyn Fn(&[Arc<BlockFile>]) -> bool,
) -> Option<Run> {
    let normal: Run = blocks.iter().filter(|block| block.kind == Kind::Normal).cloned().collect();
    spans.iter().find_map(|span| next_run_of(&normal, *span, blocked))
}

fn next_run_of(
    blocks: &[Arc<BlockFile>],
    span: DurationMs,
    blocked: &dyn Fn(&[Arc<BlockFile>]) -> bool,
) -> Option<Run> {
    let mut start = 0;
    while start < blocks.len() {
        let (mut end, mut bytes, mut samples) = (start, 0, 0);
        let (mut window, mut closed) = (None, false);
        while let Some(block) = blocks.get(end) {
            bytes += block.bytes;
            samples += block.samples;
            // A file without samples belongs wherever it stands.
            let own = (block.samples > 0).then(|| block.last.0.div_euclid(span.0.max(1)));
            let fits = bytes <= MERGE_BYTES_MAX && samples <= MERGE_SAMPLES_MAX;
            if end > start && (!fits || (own.is_some() && window.is_some() && own != window)) {
                closed = true;
                break;
            }
            window = window.or(own);
            end += 1;
        }
        let run = &blocks[start..end];
        if run.len() >= 2 && (closed || run.len() >= OPEN_FILES_MAX) && !blocked(run) {
            return Some(run.to_vec());
        }
        start = end;
    }
    None
}

/// The next small files of late samples to join.
fn next_late_run(blocks: &[Arc<BlockFile>], blocked: &dyn Fn(&[Arc<BlockFile>]) -> bool) -> Option<Run> {
    let late: Run = blocks.iter().filter(|block| matches!(block.kind, Kind::Late | Kind::Lates)).cloned().collect();
    let mut runs = late.split(|block| block.bytes > LATE_BYTES_MAX);
    runs.find(|run| run.len() >= LATE_FILES_MAX && !blocked(run)).map(<[_]>::to_vec)
}

impl Shared {
    /// Joins one run of files, if one is due. The joined file is whole on disk before the others are deleted, and its
    /// name covers theirs, so that a crash in between leaves nothing to repair but their deletion.
    ///
    /// A block with samples of a stretch whose rollups are older than it waits: its name tells that they are.
    pub(super) fn merge(&self, upkeep: &mut Upkeep, done: &mut Maintained) -> Result<(), MetricError> {
        let run = {
            let state = self.read();
            let blocked = |run: &[Arc<BlockFile>]| {
                upkeep.unmergeable.contains(&run_name(run))
                    || run.iter().any(|block| block.seqs.1 > state.persisted || upkeep.unrolled.contains(&block.name))
            };
            let spans = [self.options.block_span, self.options.day_span];
            next_run(&state.blocks, &spans, &blocked).or_else(|| next_late_run(&state.blocks, &blocked))
        };
        let Some(run) = run else { return Ok(()) };
        let Some(inputs) = self.load_inputs(&run)? else { return Ok(()) };
        let (block, damaged) = match self.join(&inputs) {
            Ok(joined) => joined,
            Err(MetricError::Encode { source: BlockError::TooLarge { .. } }) => {
                upkeep.unmergeable.insert(run_name(&run));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.install(block, &run);
        done.files_merged += run.len();
        self.keep_damaged(&run, &damaged)?;
        self.remove(run.iter().filter(|block| !damaged.contains(&block.name)))
    }

    /// The directories of `blocks`; `None` where one was found damaged, which the next round sets aside.
    pub(super) fn load_inputs(&self, blocks: &[Arc<BlockFile>]) -> Result<Option<Vec<Arc<Loaded>>>, MetricError> {
        let mut inputs = Vec::with_capacity(blocks.len());
        for block in blocks {
            match self.load(block) {
                Ok(loaded) => inputs.push(loaded),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.doubt(block, &error);
                    return Ok(None);
                }
                Err(source) => return Err(MetricError::Read { file: block.name.clone(), source }),
            }
        }
        Ok(Some(inputs))
    }

    /// Sets inputs aside of which a part was lost in the merge.
    fn keep_damaged(&self, run: &[Arc<BlockFile>], damaged: &HashSet<String>) -> Result<(), MetricError> {
        for block in run.iter().filter(|block| damaged.contains(&block.name)) {
            self.cache.forget(&block.name);
            match set_aside(&*self.io, &self.dir, &block.name) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(MetricError::Remove { file: block.name.clone(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Joins `inputs`, given in the order of their records, and names those that had damaged chunks.
    fn join(&self, inputs: &[Arc<Loaded>]) -> Result<(BlockFile, HashSet<String>), MetricError> {
        let series = self.union(inputs, &[]);
        let first = inputs.iter().map(|input| input.file.seqs.0).min().unwrap_or_default();
        let last = inputs.iter().map(|input| input.file.seqs.1).max().unwrap_or_default();
        let late = inputs.iter().any(|input| input.file.kind != Kind::Normal);
        let kind = if late { Kind::Lates } else { Kind::Normal };
        let mut damaged = HashSet::new();
        let block = self.write_block(
            |writer| {
                damaged = self.gather(inputs, &series, (UtcMs::MIN, UtcMs::MAX), &mut |(one, _), samples| {
                    writer.push(one, samples).map_err(encoding)
                })?;
                Ok(())
            },
            |header| BlockFile::new(kind, (first, last), header),
        )?;
        Ok((block, damaged))
    }

    /// Passes the samples that `inputs`, given in the order of their records, have in `from..=to` of each of `series`,
    /// all of theirs in label order, to `take`; names the files that had damaged chunks.
    ///
    /// *Limits*: holds the samples of one series, and what reading one series takes in each of `inputs`.
    pub(super) fn gather(
        &self,
        inputs: &[Arc<Loaded>],
        series: &[Numbered],
        (from, to): (UtcMs, UtcMs),
        take: Take<'_>,
    ) -> Result<HashSet<String>, MetricError> {
        let mut damaged: HashSet<(usize, usize)> = HashSet::new();
        let mut sources: Vec<_> =
            inputs.iter().map(|input| (SeriesReader::new(&input.layout, &input.source), 0_usize)).collect();
        let mut samples: Vec<Sample> = Vec::new();
        for one in series {
            samples.clear();
            for (which, (input, (reader, next))) in inputs.iter().zip(&mut sources).enumerate() {
                if input.dictionary.numbers.get(*next) != Some(&one.1) {
                    continue;
                }
                let position = *next;
                *next += 1;
                if !input.layout.span(position).meets(from, to) {
                    continue;
                }
                let before = samples.len();
                match reader.append(position, from, to, &mut samples) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        samples.truncate(before);
                        if damaged.insert((which, reader.chunk_of(position))) {
                            self.note_damaged_chunk(&input.file, &error);
                        }
                    }
                    Err(source) => return Err(MetricError::Read { file: input.file.name.clone(), source }),
                }
            }
            in_order(&mut samples);
            take(one, &samples)?;
        }
        let all_read = inputs.iter().zip(&sources).all(|(input, (_, next))| *next == input.dictionary.numbers.len());
        assert!(all_read, "label order is the same in every input");
        Ok(damaged.into_iter().map(|(which, _)| inputs[which].file.name.clone()).collect())
    }

    /// All series of `inputs`, and those of `others`, in label order.
    pub(super) fn union(&self, inputs: &[Arc<Loaded>], others: &[u32]) -> Vec<Numbered> {
        let numbers = inputs.iter().flat_map(|input| &input.dictionary.numbers).chain(others);
        let numbers: NumberSet<u32> = numbers.copied().collect();
        let state = self.read();
        let known = |number| state.index.series(number).expect("a series of a loaded directory is in the index");
        let mut series: Vec<Numbered> = numbers.into_iter().map(|number| (Arc::clone(known(number)), number)).collect();
        drop(state);
        series.sort_unstable_by(|a, b| a.0.labels.cmp(&b.0.labels));
        series
    }
}

/// What tells one run from another: a run of a longer span begins with the same file, and ends with another.
fn run_name(run: &[Arc<BlockFile>]) -> String {
    let name = |block: Option<&Arc<BlockFile>>| block.map_or(String::new(), |block| block.name.clone());
    name(run.first()) + &name(run.last())
}

#[cfg(test)]
mod tests {
    use wk_types::{Seq, UtcMs};

    use super::*;

    fn blocks(lasts: &[Option<i64>], kind: Kind) -> Vec<Arc<BlockFile>> {
        let header = wk_block::Header::read(&wk_block::encode(&[]).unwrap()[..]).unwrap();
        let block = |(at, last): (usize, &Option<i64>)| {
            let seqs = (Seq(at as u64 * 10 + 1), Seq(at as u64 * 10 + 10));
            let (last, samples) = (UtcMs(last.unwrap_or(i64::MIN)), u64::from(last.is_some()));
            Arc::new(BlockFile { last, samples, ..BlockFile::new(kind, seqs, &header) })
        };
        lasts.iter().enumerate().map(block).collect()
    }

    fn run(lasts: &[i64]) -> Option<Vec<i64>> {
        let blocks = blocks(&lasts.iter().map(|last| Some(*last)).collect::<Vec<_>>(), Kind::Normal);
        let run = next_run(&blocks, &[DurationMs(100), DurationMs(1_000)], &|_| false)?;
        Some(run.iter().map(|block| block.last.0).collect())
    }

    #[test]
    fn only_neighbours_of_a_closed_window_are_joined() {
        assert_eq!(run(&[]), None);
        assert_eq!(run(&[10, 20, 30]), None);
        assert_eq!(run(&[10, 20, 30, 110]), Some(vec![10, 20, 30]));
        assert_eq!(run(&[10, 110, 120, 210]), Some(vec![110, 120]));
        assert_eq!(run(&[10, 110, 20, 120]), None);
        assert_eq!(run(&[-10, -20, 10]), Some(vec![-10, -20]));
    }

    #[test]
    fn the_blocks_of_a_closed_day_are_joined_once_its_windows_are() {
        assert_eq!(run(&[10, 110, 910]), None);
        assert_eq!(run(&[10, 110, 910, 1_010]), Some(vec![10, 110, 910]));
        assert_eq!(run(&[10, 110, 120, 910, 1_010]), Some(vec![110, 120]));
        assert_eq!(run(&[910, 1_010, 1_110]), None);
    }

    #[test]
    fn an_open_window_of_many_files_is_joined() {
        assert_eq!(run(&[5; OPEN_FILES_MAX - 1]), None);
        assert_eq!(run(&[5; OPEN_FILES_MAX]), Some(vec![5; OPEN_FILES_MAX]));
    }

    #[test]
    fn a_file_without_samples_belongs_to_its_neighbours() {
        let blocks = blocks(&[None, Some(10), None, Some(20), None, Some(110)], Kind::Normal);
        let run = next_run(&blocks, &[DurationMs(100)], &|_| false).unwrap();
        assert_eq!(run.len(), 5);
    }

    #[test]
    fn small_late_files_are_joined_when_there_are_many() {
        let few = blocks(&[Some(1); LATE_FILES_MAX - 1], Kind::Late);
        assert!(next_late_run(&few, &|_| false).is_none());
        let many = blocks(&[Some(1); LATE_FILES_MAX], Kind::Late);
        assert_eq!(next_late_run(&many, &|_| false).unwrap().len(), LATE_FILES_MAX);
        assert!(next_late_run(&many, &|_| true).is_none());
        assert!(next_run(&many, &[DurationMs(1)], &|_| false).is_none());
    }
}
