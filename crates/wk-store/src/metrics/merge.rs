//! Joining the files of one window into one block.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashSet as NumberSet;
use wk_block::{BlockError, SeriesReader, Writer};
use wk_types::{DurationMs, ErrorKind, Sample};

use super::cache::Loaded;
use super::file::{BlockFile, set_aside};
use super::query::in_order;
use super::upkeep::{Numbered, named};
use super::{Maintained, MetricError, Shared, Upkeep};
use crate::io::write_whole;

/// Files of a window that is still open are joined when there are so many.
const OPEN_FILES_MAX: usize = 48;
/// A merge reads at most so many bytes; a busier window stays several blocks.
const MERGE_BYTES_MAX: u64 = 64 << 20;
/// A merge reads at most so many samples.
const MERGE_SAMPLES_MAX: u64 = 64 << 20;

/// The next files to join: neighbours in the order of records, of one window, that window closed by a later file.
fn next_run(blocks: &[Arc<BlockFile>], span: DurationMs, unmergeable: &HashSet<String>) -> Option<Range<usize>> {
    let window = |block: &BlockFile| block.last.0.div_euclid(span.0.max(1));
    let mut start = 0;
    while start < blocks.len() {
        let (mut end, mut bytes, mut samples) = (start, 0, 0);
        let mut closed = false;
        while let Some(block) = blocks.get(end) {
            bytes += block.bytes;
            samples += block.samples;
            let fits = bytes <= MERGE_BYTES_MAX && samples <= MERGE_SAMPLES_MAX;
            if end > start && (!fits || window(block) != window(&blocks[start])) {
                closed = true;
                break;
            }
            end += 1;
        }
        let files = end - start;
        if files >= 2 && (closed || files >= OPEN_FILES_MAX) && !unmergeable.contains(&blocks[start].name) {
            return Some(start..end);
        }
        start = end;
    }
    None
}

impl Shared {
    /// Joins one run of files, if one is due. The joined file is whole on disk before the others are deleted, and its
    /// name covers theirs, so that a crash in between leaves nothing to repair but their deletion.
    pub(super) fn merge(&self, upkeep: &mut Upkeep, done: &mut Maintained) -> Result<(), MetricError> {
        let run = {
            let state = self.read();
            let Some(run) = next_run(&state.blocks, self.options.block_span, &upkeep.unmergeable) else {
                return Ok(());
            };
            state.blocks[run].to_vec()
        };
        let mut inputs = Vec::with_capacity(run.len());
        for block in &run {
            match self.load(block) {
                Ok(loaded) => inputs.push(loaded),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.doubt(block, &error);
                    return Ok(());
                }
                Err(source) => return Err(MetricError::Read { file: block.name.clone(), source }),
            }
        }
        let (block, bytes, damaged) = match self.join(&inputs) {
            Ok(joined) => joined,
            Err(MetricError::Encode { source: BlockError::TooLarge { .. }, .. }) => {
                upkeep.unmergeable.insert(run[0].name.clone());
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        write_whole(&*self.io, &self.dir.join(&block.name), &bytes)
            .map_err(|source| MetricError::Write { file: block.name.clone(), source })?;
        self.install(block, &run);
        done.files_merged += run.len();
        self.keep_damaged(&run, &damaged)?;
        self.remove(run.iter().filter(|block| !damaged.contains(&block.name)))
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
    fn join(&self, inputs: &[Arc<Loaded>]) -> Result<(BlockFile, Vec<u8>, HashSet<String>), MetricError> {
        let series = self.union(inputs);
        let mut damaged: HashSet<(usize, usize)> = HashSet::new();
        let mut sources: Vec<_> =
            inputs.iter().map(|input| (SeriesReader::new(&input.layout, &input.source), 0_usize)).collect();
        let total: u64 = inputs.iter().map(|input| input.file.samples).sum();
        let encoding = |source| MetricError::Encode { samples: total as usize, source };
        let mut writer = Writer::new().map_err(encoding)?;
        let mut samples: Vec<Sample> = Vec::new();
        for (one, number) in &series {
            samples.clear();
            for (which, (input, (reader, next))) in inputs.iter().zip(&mut sources).enumerate() {
                if input.dictionary.numbers.get(*next) != Some(number) {
                    continue;
                }
                match reader.samples(*next) {
                    Ok(more) => samples.extend(more),
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        if damaged.insert((which, reader.chunk_of(*next))) {
                            self.note_damaged_chunk(&input.file, &error);
                        }
                    }
                    Err(source) => return Err(MetricError::Read { file: input.file.name.clone(), source }),
                }
                *next += 1;
            }
            in_order(&mut samples);
            writer.push(one, &samples).map_err(encoding)?;
        }
        let all_read = inputs.iter().zip(&sources).all(|(input, (_, next))| *next == input.dictionary.numbers.len());
        assert!(all_read, "label order is the same in every input");
        let first = inputs.iter().map(|input| input.file.seqs.0).min().unwrap_or_default();
        let last = inputs.iter().map(|input| input.file.seqs.1).max().unwrap_or_default();
        let (block, bytes) = named((first, last), writer.finish()).map_err(encoding)?;
        let damaged = damaged.into_iter().map(|(which, _)| inputs[which].file.name.clone()).collect();
        Ok((block, bytes, damaged))
    }

    /// All series of `inputs` in label order.
    fn union(&self, inputs: &[Arc<Loaded>]) -> Vec<Numbered> {
        let numbers: NumberSet<u32> = inputs.iter().flat_map(|input| &input.dictionary.numbers).copied().collect();
        let state = self.read();
        let known = |number| state.index.series(number).expect("a series of a loaded directory is in the index");
        let mut series: Vec<Numbered> = numbers.into_iter().map(|number| (Arc::clone(known(number)), number)).collect();
        drop(state);
        series.sort_unstable_by(|a, b| a.0.labels.cmp(&b.0.labels));
        series
    }
}

#[cfg(test)]
mod tests {
    use wk_types::{Seq, UtcMs};

    use super::*;

    fn run(lasts: &[i64]) -> Option<Range<usize>> {
        let header = wk_block::Header::read(&wk_block::encode(&[]).unwrap()[..]).unwrap();
        let blocks: Vec<Arc<BlockFile>> = lasts
            .iter()
            .enumerate()
            .map(|(at, last)| {
                let seqs = (Seq(at as u64 * 10 + 1), Seq(at as u64 * 10 + 10));
                Arc::new(BlockFile { last: UtcMs(*last), ..BlockFile::new(seqs, &header) })
            })
            .collect();
        next_run(&blocks, DurationMs(100), &HashSet::new())
    }

    #[test]
    fn only_neighbours_of_a_closed_window_are_joined() {
        assert_eq!(run(&[]), None);
        assert_eq!(run(&[10, 20, 30]), None);
        assert_eq!(run(&[10, 20, 30, 110]), Some(0..3));
        assert_eq!(run(&[10, 110, 120, 210]), Some(1..3));
        assert_eq!(run(&[10, 110, 20, 120]), None);
        assert_eq!(run(&[-10, -20, 10]), Some(0..2));
    }

    #[test]
    fn an_open_window_of_many_files_is_joined() {
        assert_eq!(run(&[5; OPEN_FILES_MAX - 1]), None);
        assert_eq!(run(&[5; OPEN_FILES_MAX]), Some(0..OPEN_FILES_MAX));
    }
}
