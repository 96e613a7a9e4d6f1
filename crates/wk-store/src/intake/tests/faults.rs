//! Every change of the disk fails in turn: what was acknowledged is there, once, and all goes on when it is mended.

use super::*;
use crate::io::faulty::{Fault, FaultKind, FaultyIo};
use std::collections::BTreeMap;

/// Records of one run; with [`small_segments`] they fill several segments.
const RECORDS: u64 = 24;

fn text(number: u64) -> String {
    format!("{number} {}", noise(&mut Dice::new(number), 300))
}

/// Hands records in one by one, with a reader that follows at some distance, so that segments are ended and freed.
fn run(log: &IntakeLog, numbers: std::ops::Range<u64>) -> Vec<(u64, Result<Seq, IntakeError>)> {
    numbers
        .map(|number| {
            let written = log.append(record(&text(number)));
            log.advance("reader", Seq(log.durable().0.saturating_sub(9)));
            (number, written)
        })
        .collect()
}

/// Every acknowledged record that the reader has not passed is there, at its place; none is there twice.
fn check(log: &IntakeLog, answers: &[(u64, Result<Seq, IntakeError>)], label: &str) {
    let (records, damage) = read_all(log, Seq(0));
    assert_eq!(damage, [], "{label}");
    assert!(records.is_sorted_by(|a, b| a.seq < b.seq), "{label}");
    let mut found: BTreeMap<&str, Seq> = BTreeMap::new();
    for record in &records {
        assert_eq!(found.insert(text_of(record), record.seq), None, "{label}: {} is there twice", record.seq);
    }
    let passed = log.stats().readers.first().map_or(Seq(0), |reader| reader.cursor);
    for (number, answer) in answers {
        match answer {
            Ok(seq) if *seq > passed => {
                assert_eq!(found.get(&*text(*number)), Some(seq), "{label}: {number} was acknowledged");
            }
            Ok(_) => {}
            Err(error) => assert!(error.kind() == ErrorKind::Unavailable, "{label}: {error}"),
        }
    }
}

fn opened(io: Arc<dyn Io>) -> IntakeLog {
    let (log, _) = IntakeLog::open(io, dir(), small_segments()).unwrap();
    log.register_reader("reader", Seq(0));
    log
}

#[test]
fn any_failing_change_loses_and_doubles_nothing_acknowledged() {
    for kind in FaultKind::ALL {
        for count in [1, 3, u64::MAX] {
            for after in 0.. {
                let label = format!("{kind:?}, {count} from {after}");
                let disk = CrashIo::new(1);
                let io = FaultyIo::new(Arc::new(disk.clone()));
                let log = opened(Arc::new(io.clone()));
                let mut answers = run(&log, 0..4);
                io.set(Fault { kind, after, count });
                answers.extend(run(&log, 4..RECORDS));
                let failed = io.mend();
                check(&log, &answers, &label);
                if kind == FaultKind::DiskFull {
                    let errors = answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
                    errors.for_each(|error| assert!(matches!(error, IntakeError::Full { .. }), "{label}: {error}"));
                }
                if count == u64::MAX && failed > 0 {
                    assert!(answers.iter().any(|(_, answer)| answer.is_err()) || after > 0, "{label} was not told");
                }
                let further = run(&log, RECORDS..RECORDS + 4);
                assert!(further.iter().all(|(_, answer)| answer.is_ok()), "{label} goes on failing: {further:?}");
                answers.extend(further);
                check(&log, &answers, &label);
                let passed = log.stats().readers[0].cursor;
                log.close();

                let log = opened(Arc::new(disk.restart()));
                log.register_reader("reader", passed);
                check(&log, &answers, &format!("{label}, started again"));
                assert!(log.append(record("after the start")).is_ok(), "{label}");
                if failed == 0 {
                    assert!(after > 20, "{kind:?} met only {after} operations");
                    break;
                }
            }
        }
    }
}

#[test]
fn a_start_on_a_failing_disk_is_told_or_works() {
    for kind in FaultKind::ALL {
        for after in 0.. {
            let disk = CrashIo::new(1);
            let log = opened(Arc::new(disk.clone()));
            let answers = run(&log, 0..12);
            // Without a clean end there is something to write at the start.
            disk.power_off();
            drop(log);
            let disk = disk.restart();
            let io = FaultyIo::new(Arc::new(disk.clone()));
            io.set(Fault { kind, after, count: u64::MAX });
            match IntakeLog::open(Arc::new(io.clone()), dir(), small_segments()) {
                Ok((log, _)) => {
                    log.register_reader("reader", Seq(3));
                    check(&log, &answers, &format!("{kind:?} from {after}, started"));
                }
                Err(error) => assert!(error.kind() == ErrorKind::Unavailable, "{error}"),
            }
            let failed = io.mend();
            let log = opened(Arc::new(disk));
            log.register_reader("reader", Seq(3));
            check(&log, &answers, &format!("{kind:?} from {after}, mended"));
            assert!(log.append(record("after the start")).is_ok());
            if failed == 0 {
                break;
            }
        }
    }
}
