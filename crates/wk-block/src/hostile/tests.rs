use proptest::prelude::*;

use super::*;

#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_of_the_fuzz_targets_are_answered() {
    replay::replay("block_whole", whole);
    replay::replay("block_part", part);
    replay::replay("block_round_trip", round_trip);
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

/// The most memory this process has had resident so far.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

#[test]
fn a_number_that_lies_costs_no_memory() {
    /// Varints of 2^21 - 1, 2^27 - 1 and 2^63.
    const LIES: [&[u8]; 3] =
        [&[0xff, 0xff, 0x7f], &[0xff, 0xff, 0xff, 0x3f], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]];
    let block = sample_block();
    let sound = Parts::of(&block);
    let lengths: Vec<usize> =
        [&sound.dictionary, &sound.layout].into_iter().chain(&sound.chunks).map(Vec::len).collect();
    let before = peak_bytes();
    for (which, length) in lengths.into_iter().enumerate() {
        for (at, lie) in (0..length).flat_map(|at| LIES.map(|lie| (at, lie))) {
            let mut parts = sound.clone();
            let target = match which {
                0 => &mut parts.dictionary,
                1 => &mut parts.layout,
                chunk => &mut parts.chunks[chunk - 2],
            };
            target.splice(at..=at, lie.iter().copied());
            if which > 1 {
                parts.mend_layout(&block);
            }
            read_everything(&parts.assemble());
        }
    }
    let grown = peak_bytes() - before;
    assert!(grown < 32 << 20, "{grown} bytes for a block of {}", block.len());
}

#[test]
fn a_header_that_lies_costs_no_memory() {
    let before = peak_bytes();
    let block = sample_block();
    let header = block.len() - HEADER_BYTES;
    for at in 0..HEADER_BYTES - 7 {
        let mut lying = block.clone();
        lying[header + at..header + at + 4].copy_from_slice(&0x07ff_ffff_u32.to_le_bytes());
        let checksum = crc32c::crc32c(&lying[header..header + HEADER_BYTES - 4]);
        lying[header + HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        read_everything(&lying);
    }
    assert!(peak_bytes() - before < 32 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_as_a_part_are_an_error_or_readable_but_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200)
    ) {
        part(&bytes);
        whole(&bytes);
    }

    #[test]
    fn series_made_of_any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        round_trip(&bytes);
    }

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
        let header = block.len() - HEADER_BYTES;
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
