use wk_block::BlockSeries;

use super::*;
use crate::io::crash::CrashIo;

/// Cuts the power after each number of changes that `work` makes, starts anew, and checks that nothing is lost.
fn cut_everywhere(prepare: impl Fn() -> Ship, work: impl Fn(&mut Ship)) {
    let mut cuts = 0;
    loop {
        let mut ship = prepare();
        ship.disk.cut_after(cuts);
        work(&mut ship);
        let finished = !ship.disk.is_cut();
        ship.check_all();
        ship.reopen(ship.disk.after_cut());
        ship.check_all();
        // Whatever was left half done is done now, and leaves nothing behind.
        work(&mut ship);
        ship.check_all();
        assert!(ship.disk.names().iter().all(|name| name.ends_with(".wkb")), "{:?}", ship.disk.names());
        assert_eq!(ship.disk.names().len(), ship.files());
        ship.reopen(ship.disk.after_cut());
        ship.check_all();
        if finished {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 4, "the power was cut only {cuts} times");
}

#[test]
fn a_power_cut_while_a_part_is_written_loses_nothing() {
    let prepare = || {
        let mut ship = sailed(MetricOptions::default(), 2);
        ship.append(START + 20 * MINUTE, vec![("a", vec![(START + 20 * MINUTE, 5.0), (START + 3, 7.0)])]);
        ship
    };
    cut_everywhere(prepare, |ship| drop(ship.store.flush()));
}

#[test]
fn a_power_cut_while_parts_are_merged_loses_nothing() {
    cut_everywhere(|| sailed(MetricOptions::default(), 14), |ship| drop(ship.store.maintain(UtcMs(START + 2 * HOUR))));
}

#[test]
fn a_power_cut_while_late_samples_are_written_or_joined_loses_nothing() {
    let prepare = || {
        let mut ship = sailed(MetricOptions::default(), 2);
        ship.append(START + 5 * HOUR, vec![("a", vec![(START + 5 * HOUR, 5.0), (START + 3, 7.0)])]);
        ship
    };
    cut_everywhere(prepare, |ship| drop(ship.store.flush()));
    let prepare = || {
        let mut ship = Ship::new(MetricOptions::default());
        for at in 0..12 {
            ship.append(START + DAY + at, vec![("a", vec![(START + at * HOUR, 5.0), (START + DAY + at, 7.0)])]);
            ship.store.flush().unwrap();
        }
        ship
    };
    cut_everywhere(prepare, |ship| drop(ship.store.maintain(UtcMs(START + DAY))));
}

#[test]
fn a_power_cut_while_days_are_joined_or_rolled_up_loses_nothing() {
    let options = MetricOptions { day_span: DurationMs::from_hours(6), ..MetricOptions::default() };
    let ship = rollups::voyage(options, 12);
    cut_everywhere(
        || ship.copy(),
        |ship| {
            for _ in 0..8 {
                drop(ship.store.maintain(UtcMs(START + 12 * HOUR)));
            }
            rollups::check(ship);
        },
    );
}

#[test]
fn what_a_finished_merge_left_is_deleted_at_start() {
    let mut ship = sailed(MetricOptions::default(), 14);
    // The merged file takes five changes to write; the power goes when the parts are to be deleted.
    ship.disk.cut_after(5);
    assert!(matches!(ship.store.maintain(UtcMs(START + 2 * HOUR)).unwrap_err(), MetricError::Remove { .. }));
    ship.check_all();
    let report = ship.reopen(ship.disk.after_cut());
    assert_eq!((report.superseded, report.blocks, report.cursor), (12, 3, Seq(14)));
    ship.check_all();
}

#[test]
fn a_merged_file_that_is_damaged_does_not_replace_its_parts() {
    let mut ship = sailed(MetricOptions::default(), 14);
    ship.disk.cut_after(5);
    ship.store.maintain(UtcMs(START + 2 * HOUR)).unwrap_err();
    let disk = ship.disk.after_cut();
    let names = disk.names();
    let merged = names.iter().find(|name| name.starts_with("0000000000000001-000000000000000c")).unwrap();
    disk.edit(merged, |bytes| *bytes.last_mut().unwrap() ^= 1);
    let report = ship.reopen(disk);
    assert_eq!((report.superseded, report.blocks, report.damaged.len()), (0, 14, 1));
    ship.check_all();
}

#[test]
fn a_block_counts_only_once_a_loss_of_power_cannot_take_its_name_away() {
    let (dir, file) = (Path::new("/metrics"), "0000000000000001-0000000000000007_5_6.wkb");
    let block = wk_block::encode(&[BlockSeries {
        series: series("a", &[]).series,
        samples: vec![Sample::new(UtcMs(5), 1.0), Sample::new(UtcMs(6), 2.0)],
    }]);
    let io = CrashIo::new(1);
    io.create_dir_all(dir).unwrap();
    let mut left = io.create(&dir.join(file)).unwrap();
    left.write_all(&block.unwrap()).unwrap();
    left.sync().unwrap();
    let open = |io: CrashIo| MetricStore::open(Arc::new(io), dir, MetricOptions::default()).unwrap().1;
    assert_eq!(open(io.clone()).cursor, Seq(7));
    let report = open(io.restart());
    assert_eq!((report.cursor, report.blocks), (Seq(7), 1));
}
