//! Bytes that were not written by us: every part is mutated below its checksum, so that the decoders behind it see it.

use proptest::prelude::*;
use wk_types::{AssetId, Labels};

use super::*;
use crate::bounds::DIRECTORY_BYTES_MAX;
use crate::bytes::unpack;
use crate::header::Part;
use crate::writer::{BlockSeries, encode};

/// A block taken apart; put together again, every checksum fits.
#[derive(Clone)]
struct Parts {
    header: Header,
    dictionary: Vec<u8>,
    layout: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

fn sample_block() -> Vec<u8> {
    let series: Vec<BlockSeries> = (0..12_i32)
        .map(|at| {
            let labels = Labels::metric("power_watts", &[("unit", &format!("{at:02}")), ("deck", "3")]);
            let samples = (0..30_i64).map(|step| {
                let value = match at % 4 {
                    0 => 7.5,
                    1 => (step * step * 17 % 23) as f64,
                    2 => step as f64 * 1_000.0 + (step % 7) as f64 / 10.0,
                    _ => 1.0 / (step + 3) as f64,
                };
                let value = if step == 29 && at % 3 == 0 { f64::NAN } else { value };
                Sample::new(UtcMs(1_000_000 + step * 15_000 + i64::from(at % 2)), value)
            });
            BlockSeries { series: Arc::new(Series::new(labels, AssetId::from("pump"))), samples: samples.collect() }
        })
        .collect();
    encode(&series).unwrap()
}

impl Parts {
    fn of(block: &[u8]) -> Self {
        let header = Header::read(block).unwrap();
        let layout = Layout::read(&header, block).unwrap();
        let plain =
            |part: &Part| unpack(&part.read(block).unwrap(), part.plain as usize, DIRECTORY_BYTES_MAX, "part").unwrap();
        let mut chunks: Vec<&Part> = layout.time_chunks.iter().chain(&layout.value_chunks).collect();
        chunks.sort_by_key(|part| part.offset);
        Self {
            dictionary: plain(&header.dictionary),
            layout: plain(&header.layout),
            chunks: chunks.iter().map(|part| part.read(block).unwrap().into_owned()).collect(),
            header,
        }
    }

    /// Puts the block together, its directory uncompressed.
    fn assemble(mut self) -> Vec<u8> {
        let describe = |bytes: &[u8]| Part {
            name: "part",
            offset: 0,
            bytes: bytes.len() as u32,
            plain: bytes.len() as u32,
            checksum: crc32c::crc32c(bytes),
        };
        self.header.dictionary = describe(&self.dictionary);
        self.header.layout = describe(&self.layout);
        let mut block = crate::header::front().to_vec();
        self.chunks.into_iter().chain([self.dictionary, self.layout]).for_each(|part| block.extend(part));
        self.header.file_bytes = (block.len() + crate::header::HEADER_BYTES) as u64;
        block.extend(self.header.encode());
        block
    }

    /// Writes the layout anew so that it fits the chunks as they now are.
    fn mend_layout(&mut self, block: &[u8]) {
        let mut layout = Layout::read(&self.header, block).unwrap();
        let mut parts: Vec<&mut Part> = layout.time_chunks.iter_mut().chain(&mut layout.value_chunks).collect();
        parts.sort_by_key(|part| part.offset);
        for (part, bytes) in parts.into_iter().zip(&self.chunks) {
            (part.bytes, part.checksum) = (bytes.len() as u32, crc32c::crc32c(bytes));
        }
        self.layout = layout.encode();
    }
}

/// Reads everything; tells whether all of it could be read.
fn read_everything(block: &[u8]) -> bool {
    let Ok(block) = Block::open(block) else { return false };
    let mut whole = true;
    for (position, entry) in block.series().iter().enumerate() {
        match block.samples(position) {
            Ok(samples) => assert_eq!(samples.len(), entry.count as usize),
            Err(_) => whole = false,
        }
    }
    whole
}

fn mutate(bytes: &mut Vec<u8>, at: usize, with: u8, cut: bool) {
    if bytes.is_empty() {
        return;
    }
    let at = at % bytes.len();
    if cut { bytes.truncate(at) } else { bytes[at] = with }
}

#[test]
fn a_block_taken_apart_and_put_together_reads_the_same() {
    let block = sample_block();
    let mut parts = Parts::of(&block);
    parts.mend_layout(&block);
    let again = Block::open(parts.assemble()).unwrap();
    let first = Block::open(block).unwrap();
    assert_eq!(again.series(), first.series());
    for position in 0..first.series().len() {
        let bits = |samples: Vec<Sample>| samples.into_iter().map(|s| (s.time, s.value.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(again.samples(position).unwrap()), bits(first.samples(position).unwrap()));
    }
}

#[test]
fn every_flipped_bit_of_a_block_is_found() {
    let block = sample_block();
    for at in 0..block.len() {
        let mut flipped = block.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(!read_everything(&flipped), "byte {at}");
        assert!(verify(&flipped[..]).is_err(), "byte {at}");
    }
}

#[test]
fn every_cut_of_a_block_is_found() {
    let block = sample_block();
    for length in 0..block.len() {
        assert!(verify(&block[..length]).is_err(), "length {length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_mutated_directory_is_an_error_or_readable_but_never_a_panic(
        in_layout: bool, cut: bool, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut parts = Parts::of(&sample_block());
        let target = if in_layout { &mut parts.layout } else { &mut parts.dictionary };
        for (at, with) in changes {
            mutate(target, at, with, cut);
        }
        read_everything(&parts.assemble());
    }

    #[test]
    fn a_mutated_chunk_is_an_error_or_readable_but_never_a_panic(
        chunk: usize, cut: bool, changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let block = sample_block();
        let mut parts = Parts::of(&block);
        let chunk = chunk % parts.chunks.len();
        for (at, with) in changes {
            mutate(&mut parts.chunks[chunk], at, with, cut);
        }
        parts.mend_layout(&block);
        read_everything(&parts.assemble());
    }

    #[test]
    fn a_mutated_header_is_an_error_or_readable_but_never_a_panic(at in 0_usize..60, with: u8) {
        let mut block = sample_block();
        let header = block.len() - crate::header::HEADER_BYTES;
        block[header + at] = with;
        let checksum = crc32c::crc32c(&block[header..header + 60]);
        block[header + 60..].copy_from_slice(&checksum.to_le_bytes());
        read_everything(&block);
    }

    #[test]
    fn random_bytes_are_no_block(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Block::open(bytes).is_err());
    }
}
