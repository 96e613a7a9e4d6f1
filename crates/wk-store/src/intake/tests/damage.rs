//! Truncated files, flipped bits and missing middles: what is lost is named, the rest is read.

use super::*;
use crate::intake::segment::{index_path, segment_path};

const RECEIVED: i64 = 1_700_000_000_000;

/// A closed or crashed log of `count` records, one frame each, received one second apart.
fn written(count: usize, segment_bytes_max: u64, closed: bool) -> (CrashIo, Vec<NewRecord>) {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, IntakeOptions { segment_bytes_max, ..options() });
    let mut dice = Dice::new(9);
    let records: Vec<NewRecord> =
        (0..count).map(|n| record_at(&format!("{n} {}", noise(&mut dice, 150)), RECEIVED + n as i64 * 1_000)).collect();
    records.iter().for_each(|record| assert!(log.append(record.clone()).is_ok()));
    if closed {
        log.close();
        (io, records)
    } else {
        io.power_off();
        (io.restart(), records)
    }
}

fn one_segment(count: usize, closed: bool) -> (CrashIo, Vec<NewRecord>, PathBuf) {
    let (io, records) = written(count, u64::MAX, closed);
    (io, records, segment_path(dir(), 1))
}

fn lost(damage: &[Damage]) -> Vec<(u64, u64)> {
    damage.iter().filter_map(|damage| damage.records).map(|(first, last)| (first.0, last.0)).collect()
}

fn frames(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut rest, mut ranges) = (bytes, Vec::new());
    while !rest.is_empty() {
        let from = bytes.len() - rest.len();
        frame::read(&mut rest).unwrap().unwrap();
        ranges.push(from..bytes.len() - rest.len());
    }
    ranges
}

#[test]
fn a_torn_newest_segment_costs_its_last_frame_and_says_which() {
    let (io, records, path) = one_segment(20, false);
    io.damage(&path, |bytes| bytes.truncate(bytes.len() - 10));
    let (log, report) = open(&io, options());
    assert_eq!(report.last, Seq(19));
    assert_eq!(lost(&report.damage), [(20, 20)]);
    let received = UtcMs(RECEIVED + 19_000);
    assert_eq!(report.damage[0].received, Some((received, received)));
    assert_eq!(texts(&log, Seq(0)).len(), 19);
    assert_eq!(log.stats().damaged_records, 1);

    let next = log.append(record("next")).unwrap();
    assert!(next > Seq(20), "the lost record's seq is not used again");
    let (again, damage) = read_all(&log, Seq(0));
    assert_eq!((again.len(), damage), (20, vec![]));
    assert_eq!(again[5].body, records[5].body);
}

#[test]
fn after_a_clean_end_even_frames_cut_off_without_a_trace_are_counted() {
    let (io, _, path) = one_segment(20, true);
    let whole = io.content(&path).unwrap();
    let cut = frames(&whole)[12].start;
    io.damage(&path, |bytes| bytes.truncate(cut));
    let (log, report) = open(&io, options());
    assert_eq!(lost(&report.damage), [(13, 20)]);
    let (from, to) = report.damage[0].received.unwrap();
    assert_eq!((from, to), (UtcMs(RECEIVED + 11_000), UtcMs(RECEIVED + 19_000)));
    assert!(log.append(record("next")).unwrap() > Seq(20));
    log.close();
    let (_, report) = open(&io, options());
    assert_eq!(report.damage, [], "what was reported and is gone is not reported again");
}

#[test]
fn a_newest_segment_cut_to_nothing_does_not_make_seqs_repeat() {
    let (io, _, path) = one_segment(20, false);
    io.damage(&path, Vec::clear);
    for _ in 0..2 {
        let (log, report) = open(&io, options());
        assert_eq!(report.last, Seq(0));
        log.close();
    }
    let (log, _) = open(&io, options());
    let missing = log.register_reader("engine", Seq(18)).unwrap();
    assert_eq!(missing.records, Some((Seq(1), Seq(18))));
    assert!(log.append(record("next")).unwrap() > Seq(20));
    assert_eq!(log.register_reader("lake", Seq(18)), None);
}

#[test]
fn seqs_go_on_behind_every_cursor() {
    let (log, _) = open(&CrashIo::new(1), options());
    log.append(record("one")).unwrap();
    assert!(log.register_reader("engine", Seq(5_000_000)).is_some());
    assert_eq!(log.append(record("two")).unwrap(), Seq(5_000_001));
    assert_eq!(texts(&log, Seq(0)), ["one", "two"]);
}

#[test]
fn a_flipped_bit_in_a_payload_costs_that_frame() {
    let (io, _, path) = one_segment(20, true);
    let middle = frames(&io.content(&path).unwrap())[6].clone();
    io.damage(&path, |bytes| bytes[middle.end - 5] ^= 4);
    let (log, report) = open(&io, options());
    assert_eq!(lost(&report.damage), [(7, 7)]);
    let (records, damage) = read_all(&log, Seq(0));
    assert_eq!(records.len(), 19);
    assert_eq!(damage.len(), 1);
    assert_eq!(lost(&damage), [(7, 7)]);
    assert_eq!(damage[0].received, Some((UtcMs(RECEIVED + 6_000), UtcMs(RECEIVED + 6_000))));
    assert_eq!(read_all(&log, Seq(7)).1, [], "a reader that is past it hears nothing of it");
    assert_eq!((log.stats().damaged_frames, log.stats().damaged_records), (1, 1), "counted once");
}

#[test]
fn a_flipped_bit_in_a_header_costs_that_frame_and_its_neighbours_tell_when() {
    let (io, _, path) = one_segment(20, true);
    let middle = frames(&io.content(&path).unwrap())[6].clone();
    io.damage(&path, |bytes| bytes[middle.start + 9] ^= 4);
    let (log, _) = open(&io, options());
    let (records, damage) = read_all(&log, Seq(0));
    assert_eq!(records.len(), 19);
    assert_eq!(lost(&damage), [(7, 7)]);
    assert_eq!(damage[0].received, Some((UtcMs(RECEIVED + 5_000), UtcMs(RECEIVED + 7_000))));
}

#[test]
fn an_older_segment_that_lost_its_middle_is_read_around() {
    let (io, records) = written(60, 4_000, true);
    let path = segment_path(dir(), 1);
    let ranges = frames(&io.content(&path).unwrap());
    assert!(ranges.len() > 8 && io.files().len() > 4);
    // From the midst of the third frame to the midst of the sixth.
    io.damage(&path, |bytes| drop(bytes.drain(ranges[2].end - 40..ranges[5].end - 20)));
    for remove_index in [false, true] {
        let io = io.restart();
        if remove_index {
            Io::remove(&io, &index_path(dir(), 1)).unwrap();
        }
        let (log, report) = open(&io, options());
        assert_eq!(lost(&report.damage), [(3, 3), (4, 6)], "{remove_index} {:?}", report.damage);
        let (found, damage) = read_all(&log, Seq(0));
        assert_eq!(lost(&damage), [(3, 3), (4, 6)]);
        assert_eq!(found.len(), records.len() - 4);
    }
}

#[test]
fn a_missing_segment_and_a_lost_tail_before_it_are_found_by_the_next_frame() {
    let (io, _) = written(60, 4_000, false);
    let bases: Vec<u64> = io
        .files()
        .iter()
        .filter_map(|path| segment::base_of(path.file_name().unwrap().to_str().unwrap(), "seg"))
        .collect();
    assert!(bases.len() > 3);
    Io::remove(&io, &segment_path(dir(), bases[1])).unwrap();
    Io::remove(&io, &index_path(dir(), bases[1])).unwrap();
    let (log, report) = open(&io, options());
    assert_eq!(lost(&report.damage), [(bases[1], bases[2] - 1)]);
    assert_eq!(lost(&read_all(&log, Seq(0)).1), [(bases[1], bases[2] - 1)]);
    assert_eq!(log.stats().damaged_records, bases[2] - bases[1]);
}

#[test]
fn a_segment_that_vanishes_while_it_is_read_is_reported() {
    let (io, _) = written(60, 4_000, true);
    let (log, _) = open(&io, options());
    Io::remove(&io, &segment_path(dir(), 1)).unwrap();
    let (records, damage) = read_all(&log, Seq(0));
    let (first, last) = damage[0].records.unwrap();
    assert_eq!((first, last.next(), damage.len()), (Seq(1), records[0].seq, 1));
}

#[test]
fn damaged_index_files_cost_a_scan_and_nothing_else() {
    let (io, records) = written(60, 4_000, true);
    for path in io.files() {
        if path.extension().is_some_and(|extension| extension == "idx") {
            io.damage(&path, |bytes| bytes[20] ^= 1);
        }
    }
    let (log, report) = open(&io, options());
    assert_eq!((report.scanned, report.last, report.damage), (report.segments, Seq(60), vec![]));
    assert_eq!(texts(&log, Seq(0)).len(), records.len());
    log.close();
    let (_, report) = open(&io, options());
    assert_eq!(report.scanned, 1, "they were written anew");
}

/// One way of damaging a file.
#[derive(Debug, Clone)]
enum Harm {
    Flip { at: usize, bit: u8 },
    Truncate { at: usize },
    Cut { at: usize, length: usize },
    Overwrite { at: usize, bytes: Vec<u8> },
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<usize>(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        any::<usize>().prop_map(|at| Harm::Truncate { at }),
        (any::<usize>(), 1_usize..900).prop_map(|(at, length)| Harm::Cut { at, length }),
        (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..300))
            .prop_map(|(at, bytes)| Harm::Overwrite { at, bytes }),
    ]
}

impl Harm {
    /// Damages the bytes and returns the range of them that it touched.
    fn apply(&self, bytes: &mut Vec<u8>) -> std::ops::Range<usize> {
        let length = bytes.len();
        match self {
            Self::Flip { at, bit } => {
                bytes[at % length] ^= 1 << bit;
                at % length..at % length + 1
            }
            Self::Truncate { at } => {
                bytes.truncate(at % length);
                at % length..length
            }
            Self::Cut { at, length: cut } => {
                let range = at % length..length.min(at % length + cut);
                bytes.drain(range.clone());
                range
            }
            Self::Overwrite { at, bytes: written } => {
                let range = at % length..length.min(at % length + written.len());
                bytes[range.clone()].copy_from_slice(&written[..range.len()]);
                range
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Exactly the frames that were touched are lost, each of them is reported, and the log goes on.
    #[test]
    fn arbitrary_damage_costs_the_frames_it_touches_and_is_reported(
        harm in any_harm(), closed in any::<bool>(), newest in any::<bool>(),
    ) {
        let (io, records) = written(40, 3_000, closed);
        let mut paths: Vec<PathBuf> =
            io.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
        let path = if newest { paths.pop().unwrap() } else { paths.remove(1) };
        let before = io.content(&path).unwrap();
        let base = segment::base_of(path.file_name().unwrap().to_str().unwrap(), "seg").unwrap();
        let ranges = frames(&before);
        let mut touched = 0..0;
        io.damage(&path, |bytes| touched = harm.apply(bytes));
        let hit = |range: &std::ops::Range<usize>| range.start < touched.end && touched.start < range.end;
        let expected: Vec<u64> =
            (base..).zip(&ranges).filter(|(_, range)| hit(range)).map(|(seq, _)| seq).collect();

        let (log, report) = open(&io, options());
        let next = log.append(record("next")).unwrap();
        prop_assert!(next.0 > records.len() as u64);
        let (found, damage) = read_all(&log, Seq(0));
        let missing: Vec<u64> =
            (1..=40).filter(|seq| !found.iter().any(|record| record.seq == Seq(*seq))).collect();
        prop_assert!(missing.iter().all(|seq| expected.contains(seq)), "{missing:?} of {expected:?}");
        let reported: Vec<(u64, u64)> = lost(&report.damage).into_iter().chain(lost(&damage)).collect();
        for seq in &missing {
            let named = reported.iter().any(|(first, last)| (first..=last).contains(&seq));
            // After a crash nobody can know of frames that were cut off whole at the very end.
            let unknowable = newest && !closed && *seq > log.read(Seq(0), usize::MAX).unwrap().records
                .iter().rev().nth(1).map_or(0, |record| record.seq.0);
            prop_assert!(named || unknowable, "{seq} is missing without a report: {report:?} {damage:?}");
        }
        for (first, last) in reported {
            prop_assert!((first..=last).all(|seq| missing.contains(&seq)), "{first}..={last} {missing:?}");
        }
        for found in found.iter().filter(|record| record.seq.0 <= 40) {
            prop_assert_eq!(&found.body, &records[found.seq.0 as usize - 1].body);
        }
    }
}
