//! Every change of the disk fails in turn: nothing is lost, nothing comes twice, and all goes on when it is mended.

use wk_store::io::crash::CrashIo;
use wk_store::io::faulty::{Fault, FaultKind, FaultyIo};

use super::*;

fn open_on(io: Arc<dyn Io>) -> (Lake, OpenReport) {
    Lake::open(io, Path::new("/logs"), TestClock::default().options()).unwrap()
}

/// Writes six files of ten lines, so that the next but one begins a merge.
fn prepared(lake: &Lake) {
    (0..6).for_each(|file| {
        fill(lake, file * 10..file * 10 + 10);
        lake.flush().unwrap();
    });
}

/// Takes the lines up to `number`, each ten followed by a flush and a round of upkeep; answers what failed.
fn work(lake: &Lake, numbers: std::ops::Range<i64>) -> Vec<LakeError> {
    let mut errors = Vec::new();
    for number in numbers {
        fill(lake, number..number + 1);
        if number % 10 == 9 {
            errors.extend(lake.flush().err());
            errors.extend(lake.maintain(DAY + MINUTE).err());
        }
    }
    errors
}

#[test]
fn any_failing_change_loses_and_doubles_nothing() {
    for kind in FaultKind::ALL {
        for count in [1, u64::MAX] {
            for after in 0.. {
                let label = format!("{kind:?}, {count} from {after}");
                let disk = CrashIo::new(1);
                let io = FaultyIo::new(Arc::new(disk.clone()));
                let (lake, _) = open_on(Arc::new(io.clone()));
                prepared(&lake);
                io.set(Fault { kind, after, count });
                let errors = work(&lake, 60..90);
                let promised = lake.cursor();
                let failed = io.mend();
                assert_eq!(numbers(&lake), (0..90).collect::<Vec<_>>(), "{label}");
                assert!(failed == 0 || !errors.is_empty(), "{label} was not told");
                assert!(errors.iter().all(LakeError::is_retryable), "{label}: {errors:?}");
                if promised > Seq(0) {
                    let (found, report) = open_on(Arc::new(disk.restart()));
                    assert!(report.cursor >= promised, "{label}: {promised} is promised, {} is there", report.cursor);
                    fill(&found, i64::try_from(report.cursor.0).unwrap()..90);
                    assert_eq!(numbers(&found), (0..90).collect::<Vec<_>>(), "{label}, started again at once");
                }
                if failed == 0 {
                    assert!(after >= 8, "{kind:?} met only {after} operations");
                    break;
                }
            }
        }
    }
}

#[test]
fn after_any_failing_change_a_mended_disk_is_written_and_tidied() {
    for kind in FaultKind::ALL {
        for count in [1, u64::MAX] {
            for after in 0.. {
                let label = format!("{kind:?}, {count} from {after}");
                let disk = CrashIo::new(1);
                let io = FaultyIo::new(Arc::new(disk.clone()));
                let (lake, _) = open_on(Arc::new(io.clone()));
                prepared(&lake);
                io.set(Fault { kind, after, count });
                work(&lake, 60..80);
                let failed = io.mend();
                let errors = work(&lake, 80..90);
                assert!(errors.is_empty(), "{label} goes on failing: {errors:?}");
                lake.maintain(DAY + MINUTE).unwrap();
                assert_eq!((lake.cursor(), numbers(&lake)), (Seq(90), (0..90).collect()), "{label}");
                let disk = disk.restart();
                let (lake, report) = open_on(Arc::new(disk.clone()));
                assert_eq!((report.cursor, numbers(&lake)), (Seq(90), (0..90).collect()), "{label}");
                // A file whose name was not known to be durable may lie beside the one that holds its rows until now.
                assert!(report.covered <= 1 && report.unfinished == 0, "{label}: {report:?}");
                assert_eq!((report.problems.len(), disk.files().len()), (0, report.files), "{label}");
                if failed == 0 {
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
            {
                let (lake, _) = open_on(Arc::new(disk.clone()));
                prepared(&lake);
            }
            let io = FaultyIo::new(Arc::new(disk.clone()));
            io.set(Fault { kind, after, count: u64::MAX });
            let opened = Lake::open(Arc::new(io.clone()), Path::new("/logs"), TestClock::default().options());
            let failed = io.mend();
            match opened {
                Ok((lake, _)) => assert_eq!(numbers(&lake), (0..60).collect::<Vec<_>>(), "{kind:?} {after}"),
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
            assert_eq!(numbers(&open_on(Arc::new(disk)).0), (0..60).collect::<Vec<_>>(), "{kind:?} {after}");
            if failed == 0 {
                break;
            }
        }
    }
}
