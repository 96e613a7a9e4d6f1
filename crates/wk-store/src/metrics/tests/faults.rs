//! Every change of the disk fails in turn: nothing is lost, nothing comes twice, and all goes on when it is mended.

use super::*;
use crate::io::faulty::{Fault, FaultKind, FaultyIo};

/// Opens the ship's store anew through `io`, and replays.
fn through(ship: &mut Ship, io: &FaultyIo) {
    let (store, report) =
        MetricStore::open(Arc::new(io.clone()), Path::new("/data/metrics"), ship.options.clone()).unwrap();
    ship.store = store;
    for at in report.cursor.0 as usize..ship.records.len() {
        let (received, record) = &ship.records[at];
        ship.store.append(Seq(at as u64 + 1), *received, &body(record)).unwrap();
    }
}

fn fail_everywhere(prepare: impl Fn() -> Ship, work: impl Fn(&Ship) -> Vec<MetricError>) {
    for kind in FaultKind::ALL {
        for count in [1, u64::MAX] {
            let mut after = 0;
            loop {
                let mut ship = prepare();
                let io = FaultyIo::new(Arc::new(ship.disk.clone()));
                through(&mut ship, &io);
                io.set(Fault { kind, after, count });
                let errors = work(&ship);
                let failed = io.mend();
                ship.check_all();
                assert!(failed == 0 || !errors.is_empty(), "{kind:?} at {after} was not told");
                assert!(errors.iter().all(MetricError::is_retryable), "{errors:?}");
                assert!(work(&ship).is_empty(), "{kind:?} at {after} goes on failing");
                ship.check_all();
                assert_eq!(ship.store.cursor(), Seq(ship.records.len() as u64));
                ship.reopen(ship.disk.after_cut());
                ship.check_all();
                assert_eq!(ship.disk.names().len(), ship.files(), "{:?}", ship.disk.names());
                if failed == 0 {
                    break;
                }
                after += 1;
            }
            assert!(after >= 2, "{kind:?} hit only {after} operations");
        }
    }
}

#[test]
fn any_failing_change_while_parts_are_written_loses_nothing() {
    let prepare = || {
        let mut ship = sailed(MetricOptions::default(), 2);
        let now = START + 5 * HOUR;
        ship.append(now, vec![("a", vec![(now, 5.0), (START + 3, 7.0)])]);
        ship
    };
    fail_everywhere(prepare, |ship| ship.store.flush().err().into_iter().collect());
}

#[test]
fn any_failing_change_during_upkeep_loses_nothing() {
    let options = MetricOptions { day_span: DurationMs::from_hours(6), ..MetricOptions::default() };
    let ship = rollups::voyage(options, 12);
    let work = |ship: &Ship| (0..12).filter_map(|_| ship.store.maintain(UtcMs(START + 12 * HOUR)).err()).collect();
    fail_everywhere(
        || ship.copy(),
        |ship| {
            let errors = work(ship);
            rollups::check(ship);
            errors
        },
    );
}
