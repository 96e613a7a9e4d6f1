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
    ship.disk.edit(&names[0], |bytes| bytes[8] = 2);
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
