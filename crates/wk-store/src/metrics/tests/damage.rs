use super::*;

#[test]
fn a_block_with_a_broken_header_is_set_aside_at_start() {
    let mut ship = sailed(MetricOptions::default(), 3);
    let names = ship.disk.names();
    ship.disk.edit(&names[1], |bytes| *bytes.last_mut().unwrap() ^= 1);
    let report = ship.reopen(ship.disk.clone());
    assert_eq!((report.blocks, report.cursor), (2, Seq(3)));
    assert_eq!(
        report.damaged,
        [DamagedBlock {
            file: names[1].clone(),
            seqs: (Seq(2), Seq(2)),
            times: (UtcMs(START + 5 * MINUTE), UtcMs(START + 8 * MINUTE + 7)),
            what: "the checksum of the block's header does not fit".to_owned(),
        }]
    );
    assert!(ship.disk.names().contains(&format!("{}.damaged", names[1])));
    ship.records[1].1.clear();
    ship.check_all();
    assert_eq!(ship.reopen(ship.disk.clone()).damaged, []);
}

#[test]
fn the_newest_block_lost_is_read_again_from_the_intake_log() {
    let mut ship = sailed(MetricOptions::default(), 3);
    let names = ship.disk.names();
    ship.disk.edit(&names[2], |bytes| bytes.truncate(bytes.len() / 2));
    let report = ship.reopen(ship.disk.clone());
    assert_eq!((report.cursor, report.damaged.len()), (Seq(2), 1));
    ship.check_all();
    ship.store.flush().unwrap();
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(3));
    ship.check_all();
}

#[test]
fn a_block_whose_directory_is_damaged_is_set_aside_when_it_is_read() {
    let mut ship = sailed(MetricOptions::default(), 3);
    let names = ship.disk.names();
    ship.disk.edit(&names[0], |bytes| {
        let layout = bytes.len() - wk_block::HEADER_BYTES - 1;
        bytes[layout] ^= 1;
    });
    ship.reopen(ship.disk.clone());
    ship.records[0].1.clear();
    ship.check_all();
    assert_eq!((ship.store.stats().blocks, ship.store.stats().blocks_damaged), (2, 1));
    let done = ship.store.maintain(UtcMs(START)).unwrap();
    assert_eq!(done.damaged.iter().map(|block| &block.file).collect::<Vec<_>>(), [&names[0]]);
    assert!(ship.disk.names().contains(&format!("{}.damaged", names[0])));
}

#[test]
fn a_damaged_chunk_costs_no_more_than_its_series() {
    let mut ship = sailed(MetricOptions::default(), 14);
    let names = ship.disk.names();
    ship.disk.edit(&names[2], |bytes| bytes[20] ^= 1);
    ship.records[2].1.clear();
    ship.check_all();
    assert_eq!(ship.store.stats().chunks_damaged, 1);
    // A merge carries on what can be read, and keeps the damaged file.
    assert_eq!(ship.store.maintain(UtcMs(START + 2 * HOUR)).unwrap().files_merged, 12);
    ship.check_all();
    assert!(ship.disk.names().contains(&format!("{}.damaged", names[2])));
    ship.reopen(ship.disk.clone());
    ship.check_all();
}

#[test]
fn a_block_of_a_newer_format_stops_the_start_and_stays() {
    let ship = sailed(MetricOptions::default(), 2);
    let names = ship.disk.names();
    ship.disk.edit(&names[0], |bytes| {
        bytes[8] = 2;
        // Its header is another one, too.
        *bytes.last_mut().unwrap() ^= 1;
    });
    let error = open(&ship.disk, &ship.options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), format!("could not open metric block {}", names[0]));
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "the block has format 2, this version reads up to 1; use a newer watchkeeper");
    assert_eq!(ship.disk.names(), names);
}

#[test]
fn other_files_are_left_alone() {
    let mut ship = sailed(MetricOptions::default(), 1);
    let path = Path::new("/data/metrics/README");
    crate::io::write_whole(&ship.disk, path, b"kept by somebody").unwrap();
    assert_eq!(ship.reopen(ship.disk.clone()).blocks, 1);
    assert!(ship.disk.names().contains(&"README".to_owned()));
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip,
    Truncate,
    /// As where a block of the disk is lost.
    Zero,
}

impl Harm {
    fn apply(self, bytes: &mut Vec<u8>, at: usize) {
        match self {
            Self::Flip => bytes[at] ^= 1 << (at % 8),
            Self::Truncate => bytes.truncate(at),
            Self::Zero => {
                let end = bytes.len().min(at + 64);
                bytes[at..end].fill(0);
            }
        }
    }
}

#[test]
fn damage_at_any_place_costs_no_more_than_its_block_and_is_counted() {
    let mut ship = sailed(MetricOptions::default(), 3);
    // A file of late samples, and rollups beside the blocks.
    ship.append(START + 20 * MINUTE, vec![("a", vec![(START - 5 * HOUR, 5.0)])]);
    ship.store.flush().unwrap();
    let sound = ship.disk.names();
    let expected = ship.expected(i64::MIN, i64::MAX);
    for name in &sound {
        let size = ship.disk.content(name).len();
        let own: Vec<i64> = own_times(&ship, name);
        for (at, harm) in (0..size).flat_map(|at| [Harm::Flip, Harm::Truncate, Harm::Zero].map(|harm| (at, harm))) {
            let label = format!("{harm:?} at {at} of {size}, {name}");
            let mut damaged = ship.copy();
            damaged.disk.edit(name, |bytes| harm.apply(bytes, at));
            damaged.reopen(damaged.disk.clone());
            let found = answers(&damaged.store, &[], i64::MIN, i64::MAX);
            let mut missing = 0;
            for (labels, samples) in &expected {
                let kept = found.get(labels).map_or(&[][..], Vec::as_slice);
                assert!(kept.iter().all(|sample| samples.contains(sample)), "{label}: something else is answered");
                let lost: Vec<_> = samples.iter().filter(|sample| !kept.contains(sample)).collect();
                assert!(lost.iter().all(|(time, _)| own.contains(time)), "{label}: {lost:?} of {labels}");
                missing += lost.len();
            }
            let stats = damaged.store.stats();
            assert!(missing == 0 || stats.blocks_damaged + stats.chunks_damaged > 0, "{label}: {missing} are missing");
            damaged.append(START + 25 * MINUTE, vec![("z", vec![(START + 25 * MINUTE, 1.0)])]);
            damaged.store.maintain(UtcMs(START + 25 * MINUTE)).unwrap();
            damaged.store.flush().unwrap();
        }
    }
}

/// The times of the samples that stand in a file.
fn own_times(ship: &Ship, name: &str) -> Vec<i64> {
    let block = wk_block::Block::open(ship.disk.content(name)).unwrap();
    (0..block.series().len()).flat_map(|at| block.samples(at).unwrap()).map(|sample| sample.time.0).collect()
}
