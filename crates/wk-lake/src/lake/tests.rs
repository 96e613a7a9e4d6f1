mod damage;
mod faults;
mod power;

use std::fs;
use std::path::Path;

use wk_types::{Severity, UtcMs};

use super::*;
use crate::testing::{DAY, FailingIo, TestClock, files, fill, line, log, open, open_with, rows};
use crate::{LogQuery, LogRow, SearchLimits};

const MINUTE: DurationMs = DurationMs::from_mins(1);

fn all(lake: &Lake) -> Vec<LogRow> {
    rows(lake, &LogQuery { limit: 10_000, newest_first: false, ..LogQuery::default() })
}

fn numbers(lake: &Lake) -> Vec<u64> {
    all(lake).iter().map(|row| row.seq.0 - 1).collect()
}

fn parquet(dir: &Path) -> Vec<String> {
    files(dir).into_iter().filter(|name| name.ends_with(".parquet")).collect()
}

#[test]
fn rows_are_found_before_and_after_they_are_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    let buffered = all(&lake);
    assert_eq!(buffered.len(), 10);
    lake.flush().unwrap();
    fill(&lake, 10..20);
    assert_eq!(numbers(&lake), (0..20).collect::<Vec<_>>());
    assert_eq!(all(&lake)[..10], buffered);
    let (reopened, report) = open(dir.path());
    assert_eq!((report.cursor, report.rows, report.problems.len()), (Seq(10), 10, 0));
    assert_eq!(all(&reopened), buffered);
}

#[test]
fn everything_a_record_says_survives() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    let mut record = log(UtcMs(-7), "bridge-1", "", Severity::Critical, "çok 🚢\nzwei\u{0}drei");
    record.attributes =
        [("facility", "daemon"), ("quoted \"key\"", "a\\b\n")].map(|(k, v)| (k.into(), v.into())).into();
    lake.append(Seq(3), DAY, &[record.clone()]).unwrap();
    let check = |row: &LogRow| {
        assert_eq!((row.seq, row.time, &row.asset), (Seq(3), record.time, &record.asset));
        assert_eq!((&row.app, row.severity, &row.message), (&record.app, record.severity, &record.message));
        assert_eq!((&row.attributes, &row.template), (&record.attributes, &None));
    };
    check(&all(&lake)[0]);
    lake.flush().unwrap();
    check(&all(&lake)[0]);
}

#[test]
fn a_record_told_twice_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..5);
    assert_eq!(lake.append(Seq(5), DAY, &[line(4)]).unwrap(), Appended { stored: 0, duplicate: 1 });
    lake.flush().unwrap();
    assert_eq!(lake.append(Seq(2), DAY, &[line(1)]).unwrap().duplicate, 1);
    let (reopened, _) = open(dir.path());
    fill(&reopened, 0..7);
    assert_eq!(numbers(&reopened), (0..7).collect::<Vec<_>>());
    assert_eq!(reopened.stats().duplicate, 5);
}

#[test]
fn the_cursor_never_passes_a_row_that_is_only_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    lake.append(Seq(4), DAY, &[]).unwrap();
    assert_eq!(lake.cursor(), Seq(4));
    lake.append(Seq(5), DAY, &[]).unwrap();
    lake.append(Seq(7), DAY, &[line(0)]).unwrap();
    lake.append(Seq(9), DAY, &[]).unwrap();
    assert_eq!(lake.cursor(), Seq(6));
    lake.flush().unwrap();
    assert_eq!(lake.cursor(), Seq(9));
    assert_eq!(open(dir.path()).1.cursor, Seq(9));
}

#[test]
fn the_buffer_is_written_when_full_or_old() {
    let dir = tempfile::tempdir().unwrap();
    let options = LakeOptions { buffer_rows_max: 10, ..TestClock::default().options() };
    let (lake, _) = open_with(dir.path(), options);
    fill(&lake, 0..25);
    assert_eq!((lake.stats().flushes, lake.stats().buffered_rows), (2, 5));
    assert_eq!(lake.maintain(line(20).time + MINUTE).unwrap().rows_written, 0);
    assert_eq!(lake.maintain(line(20).time + DurationMs::from_mins(5)).unwrap().rows_written, 5);
    fill(&lake, 25..27);
    assert_eq!(lake.maintain(DAY - DurationMs::from_hours(30)).unwrap().rows_written, 2, "the clock went back");
    assert_eq!(lake.stats().buffered_bytes, 0);
}

#[test]
fn a_full_buffer_that_cannot_be_written_refuses_and_keeps_all() {
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    let options = LakeOptions { buffer_rows_max: 3, ..TestClock::default().options() };
    let (lake, _) = open_with(&logs, options);
    fill(&lake, 0..3);
    fs::rename(&logs, dir.path().join("gone")).unwrap();
    let error = lake.append(Seq(4), DAY, &[line(3)]).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!((lake.cursor(), numbers(&lake)), (Seq(0), vec![0, 1, 2]));
    fs::rename(dir.path().join("gone"), &logs).unwrap();
    lake.append(Seq(4), DAY, &[line(3)]).unwrap();
    assert_eq!((lake.cursor(), numbers(&lake)), (Seq(3), vec![0, 1, 2, 3]));
}

#[test]
fn small_files_are_merged_and_nothing_changes_for_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for round in 0..9 {
        fill(&lake, round * 10..round * 10 + 10);
        lake.flush().unwrap();
    }
    let before = all(&lake);
    assert_eq!(lake.maintain(DAY + MINUTE).unwrap().files_merged, 9);
    assert_eq!((parquet(dir.path()).len(), lake.stats().files), (1, 1));
    assert_eq!(all(&lake), before);
    let (reopened, report) = open(dir.path());
    assert_eq!((report.cursor, report.rows), (Seq(90), 90));
    assert_eq!(all(&reopened), before);
}

#[test]
fn a_query_under_way_keeps_the_files_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for round in 0..8 {
        fill(&lake, round..round + 1);
        lake.flush().unwrap();
    }
    let snapshot = lake.snapshot();
    lake.maintain(DAY + MINUTE).unwrap();
    assert_eq!(parquet(dir.path()).len(), 9);
    let opened = snapshot.open(&snapshot.files[0]).unwrap().unwrap();
    assert_eq!(opened.footer.groups()[0].rows, 1);
    drop((opened, snapshot));
    lake.maintain(DAY + MINUTE).unwrap();
    assert_eq!(parquet(dir.path()).len(), 1);
}

/// The folder as a crash between writing a merged file and removing its inputs leaves it.
fn crashed_while_merging(dir: &Path) -> String {
    let (lake, _) = open(dir);
    for round in 0..8 {
        fill(&lake, round * 10..round * 10 + 10);
        lake.flush().unwrap();
    }
    let snapshot = lake.snapshot();
    lake.maintain(DAY + MINUTE).unwrap();
    let kept: Vec<String> = snapshot.files.iter().map(|file| file.name.to_string()).collect();
    drop(snapshot);
    parquet(dir).into_iter().find(|name| !kept.contains(name)).unwrap()
}

#[test]
fn a_crash_while_merging_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().unwrap();
    crashed_while_merging(dir.path());
    assert_eq!(parquet(dir.path()).len(), 9);
    fs::write(dir.path().join("20261124T000000.000Z_half.tmp"), "half").unwrap();
    let (lake, report) = open(dir.path());
    assert_eq!((report.covered, report.unfinished, report.cursor), (8, 1, Seq(80)));
    assert_eq!(numbers(&lake), (0..80).collect::<Vec<_>>());
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_damaged_merged_file_does_not_take_its_inputs_along() {
    let dir = tempfile::tempdir().unwrap();
    let merged = dir.path().join(crashed_while_merging(dir.path()));
    let mut bytes = fs::read(&merged).unwrap();
    let place = bytes.len() - 20;
    bytes[place] ^= 1;
    fs::write(&merged, bytes).unwrap();
    let (lake, report) = open(dir.path());
    assert_eq!((report.covered, report.problems.len(), report.files), (0, 1, 8));
    assert_eq!(numbers(&lake), (0..80).collect::<Vec<_>>());
}

#[test]
fn a_truncated_newest_file_is_set_aside_and_its_records_are_wanted_again() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    lake.flush().unwrap();
    fill(&lake, 10..20);
    lake.flush().unwrap();
    drop(lake);
    let newest = dir.path().join(parquet(dir.path()).last().unwrap());
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let (lake, report) = open(dir.path());
    assert_eq!(report.cursor, Seq(10));
    let problem = &report.problems[0];
    assert_eq!((problem.records, problem.rows, problem.is_damaged), ((Seq(11), Seq(20)), 10, true));
    assert_eq!(problem.times, (line(10).time, line(19).time));
    fill(&lake, 0..20);
    assert_eq!(numbers(&lake), (0..20).collect::<Vec<_>>());
    assert!(files(dir.path()).iter().any(|name| name.ends_with(".parquet.damaged")));
}

#[test]
fn a_flipped_bit_in_the_rows_is_found_when_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    lake.flush().unwrap();
    fill(&lake, 10..20);
    lake.flush().unwrap();
    let oldest = dir.path().join(&parquet(dir.path())[0]);
    let mut bytes = fs::read(&oldest).unwrap();
    bytes[60] ^= 4;
    fs::write(&oldest, bytes).unwrap();
    let (lake, report) = open(dir.path());
    assert_eq!(report.problems.len(), 0, "only footers are read at the start");
    assert_eq!(numbers(&lake), (10..20).collect::<Vec<_>>());
    let stats = lake.stats();
    assert_eq!((stats.files, stats.problems.len(), stats.problems[0].rows), (1, 1, 10));
    assert!(stats.problems[0].what.contains("checksum"), "{}", stats.problems[0].what);
}

#[test]
fn damaged_files_lie_aside_in_bounded_number() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40 {
        fs::write(dir.path().join(format!("2026112{}T{number}.parquet.damaged", number / 10)), "bad").unwrap();
    }
    let (lake, _) = open(dir.path());
    assert_eq!((lake.stats().damaged_files, lake.stats().damaged_bytes), (40, 120));
    lake.maintain(DAY).unwrap();
    let stats = lake.stats();
    assert_eq!((stats.damaged_files, stats.damaged_deleted, files(dir.path()).len()), (32, 8, 32));
    assert!(files(dir.path()).iter().all(|name| !name.starts_with("20261120T0")), "the oldest went");
}

#[test]
fn a_day_gone_by_becomes_one_file_and_nothing_changes_for_the_reader() {
    let dir = tempfile::tempdir().unwrap();
    let options = LakeOptions { buffer_rows_max: 40_000, ..TestClock::default().options() };
    let (lake, _) = open_with(dir.path(), options);
    for seq in 1..=130_u64 {
        let first = (seq as i64 - 1) * 1_000;
        let logs: Vec<_> = (first..first + 1_000).map(|number| line(number % 80_000)).collect();
        lake.append(Seq(seq), DAY, &logs).unwrap();
    }
    lake.flush().unwrap();
    let before = (numbers(&lake), lake.stats());
    assert_eq!(before.1.files, 4);
    let tomorrow = DAY + DurationMs::from_hours(24);
    while lake.maintain(tomorrow).unwrap().files_merged > 0 {}
    let after = (numbers(&lake), lake.stats());
    assert_eq!((after.1.files, after.1.rows, after.1.cursor), (1, before.1.rows, before.1.cursor));
    assert_eq!(after.0, before.0);
    let (reopened, report) = open(dir.path());
    assert_eq!((report.rows, report.problems.len(), numbers(&reopened)), (130_000, 0, before.0));
    let counted =
        reopened.top_values(&LogQuery::default(), &[crate::LogField::App], 9, &SearchLimits::default()).unwrap();
    assert_eq!(counted.rows, 130_000);
}

#[test]
fn files_of_the_first_format_are_joined_with_newer_ones() {
    let dir = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1");
    for name in files(&fixtures) {
        fs::copy(fixtures.join(&name), dir.path().join(&name)).unwrap();
    }
    let (lake, _) = open(dir.path());
    for seq in 21..=60_u64 {
        lake.append(Seq(seq), line(30).time, &(0..1_000).map(line).collect::<Vec<_>>()).unwrap();
    }
    lake.flush().unwrap();
    let before = all(&lake).iter().map(|row| (row.time, row.message.clone())).collect::<Vec<_>>();
    while lake.maintain(DAY + DurationMs::from_hours(24)).unwrap().files_merged > 0 {}
    assert_eq!((lake.stats().files, lake.stats().rows), (1, 40_020));
    assert_eq!(all(&lake).iter().map(|row| (row.time, row.message.clone())).collect::<Vec<_>>(), before);
}

#[test]
fn a_newer_file_is_refused_kept_and_counted_in_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    lake.flush().unwrap();
    drop(lake);
    let name = parquet(dir.path())[0].clone();
    make_newer(&dir.path().join(&name));
    let (lake, report) = open(dir.path());
    assert_eq!((report.cursor, report.files, report.problems.len()), (Seq(10), 0, 1));
    assert!(!report.problems[0].is_damaged && report.problems[0].what.contains("newer"), "{:?}", report.problems[0]);
    assert_eq!((all(&lake).len(), parquet(dir.path()).len()), (0, 1));
}

/// Turns the format number of a file into 9, with a footer and a name that agree.
fn make_newer(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let key = crate::write::KEY_FORMAT.as_bytes();
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len();
    let value = at + bytes[at..].iter().position(|byte| byte.is_ascii_digit()).unwrap();
    bytes[value] = b'9';
    let old: FileName = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let check = xxhash_rust::xxh3::xxh3_64(crate::write::footer_of(&bytes).unwrap());
    fs::remove_file(path).unwrap();
    fs::write(path.with_file_name(FileName { check, ..old }.to_string()), bytes).unwrap();
}

#[test]
fn a_folder_that_cannot_be_changed_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    crashed_while_merging(dir.path());
    fs::write(dir.path().join("half.tmp"), "half").unwrap();
    // Names are synced at the start, which a file system mounted read-only allows; nothing else is.
    let (lake, report) = Lake::open(FailingIo::new(1), dir.path(), TestClock::default().options()).unwrap();
    assert_eq!((report.covered, report.unfinished, report.files), (0, 0, 1));
    assert_eq!(numbers(&lake), (0..80).collect::<Vec<_>>());
}

#[test]
fn files_of_others_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("export.parquet"), "PAR1").unwrap();
    fs::write(dir.path().join("README"), "").unwrap();
    let (_, report) = open(dir.path());
    assert_eq!(report.foreign, ["export.parquet"]);
    assert_eq!(files(dir.path()).len(), 2);
}

fn written_a_day_apart(dir: &Path, clock: &TestClock, days: i64) -> Lake {
    let (lake, _) = open_with(dir, clock.options());
    for day in 0..days {
        let now = DAY + DurationMs::from_hours(24 * day);
        let seq = Seq(day.unsigned_abs() + 1);
        lake.append(seq, now, &[log(now, "host", "app", Severity::Info, "beat")]).unwrap();
        lake.flush().unwrap();
        lake.maintain(now).unwrap();
        clock.advance(DurationMs::from_hours(24));
    }
    lake
}

#[test]
fn files_older_than_the_bound_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let lake = written_a_day_apart(dir.path(), &clock, 40);
    assert_eq!(lake.stats().rows, 31);
    let done = lake.maintain(DAY + DurationMs::from_hours(24 * 40)).unwrap();
    assert_eq!((done.files_deleted, done.rows_deleted, done.is_age_paused), (1, 1, false));
    assert_eq!(parquet(dir.path()).len(), 30);
}

#[test]
fn a_clock_that_jumps_a_year_deletes_nothing_until_it_is_confirmed() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::default();
    let lake = written_a_day_apart(dir.path(), &clock, 3);
    let future = DAY + DurationMs::from_hours(24 * 365);
    lake.append(Seq(9), future, &[line(0)]).unwrap();
    lake.flush().unwrap();
    assert!(lake.maintain(future).unwrap().is_age_paused);
    assert_eq!((lake.stats().files, lake.stats().is_age_paused), (4, true));
    drop(lake);
    // After a restart, a file received under the wrong clock does not vouch for it.
    let (lake, _) = open_with(dir.path(), clock.options());
    assert!(lake.maintain(future + MINUTE).unwrap().is_age_paused);
    assert_eq!(lake.stats().files, 4);
    lake.confirm_clock();
    let done = lake.maintain(future + MINUTE).unwrap();
    assert_eq!((done.files_deleted, done.is_age_paused), (3, false));
    assert!(!dir.path().join("clock.held").exists());
}

#[test]
fn the_oldest_files_go_where_space_is_short() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for round in 0..5 {
        fill(&lake, round * 10..round * 10 + 10);
        lake.flush().unwrap();
    }
    let bytes = lake.stats().bytes;
    drop(lake);
    let options = LakeOptions { bytes_max: bytes * 3 / 5, ..TestClock::default().options() };
    let (lake, _) = open_with(dir.path(), options);
    assert_eq!(lake.maintain(DAY + MINUTE).unwrap().files_deleted, 2);
    assert_eq!(numbers(&lake), (20..50).collect::<Vec<_>>());
}

/// Appends a hundred lines with upkeep in between, until an operation fails.
fn run_until_failure(lake: &Lake) -> Result<(), LakeError> {
    for number in 0..100_i64 {
        lake.append(Seq(number.unsigned_abs() + 1), line(number).time, &[line(number)])?;
        if number % 10 == 9 {
            lake.flush()?;
            lake.maintain(DAY + MINUTE)?;
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_at_any_operation_loses_and_doubles_nothing() {
    for operations in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let io = FailingIo::new(operations);
        let Ok((lake, _)) = Lake::open(io.clone(), dir.path(), TestClock::default().options()) else {
            assert_eq!(operations, 0, "a start fails only where names cannot be made durable");
            continue;
        };
        let done = run_until_failure(&lake);
        let promised = lake.cursor();
        drop(lake);
        let (lake, report) = open(dir.path());
        assert!(report.cursor >= promised, "{operations}: {} is promised, {} is there", promised, report.cursor);
        assert_eq!(report.problems, [], "{operations}");
        // The intake log still has what comes after the cursor, and gives it again.
        fill(&lake, i64::try_from(report.cursor.0).unwrap()..100);
        assert_eq!(numbers(&lake), (0..100).collect::<Vec<_>>(), "{operations}");
        if !io.has_failed() {
            done.unwrap();
            assert!(operations > 60, "the merge was reached");
            break;
        }
    }
}

#[test]
fn a_power_cut_while_large_files_are_joined_loses_and_doubles_nothing() {
    let large = tempfile::tempdir().unwrap();
    let (lake, _) = open(large.path());
    for seq in 1..=2 {
        lake.append(Seq(seq), DAY, &(0..33_000).map(line).collect::<Vec<_>>()).unwrap();
        lake.flush().unwrap();
    }
    drop(lake);
    let tomorrow = DAY + DurationMs::from_hours(24);
    for operations in 1.. {
        let dir = tempfile::tempdir().unwrap();
        files(large.path())
            .iter()
            .for_each(|name| assert!(fs::copy(large.path().join(name), dir.path().join(name)).unwrap() > 0));
        let io = FailingIo::new(operations);
        let (lake, _) = Lake::open(io.clone(), dir.path(), TestClock::default().options()).unwrap();
        let done = lake.maintain(tomorrow);
        drop(lake);
        let (lake, report) = open(dir.path());
        assert_eq!((report.rows, report.cursor, report.problems.len()), (66_000, Seq(2), 0), "{operations}");
        let top = lake.top_values(&LogQuery::default(), &[crate::LogField::App], 9, &SearchLimits::default()).unwrap();
        assert_eq!(top.rows, 66_000, "{operations}");
        if !io.has_failed() {
            assert_eq!((done.unwrap().files_merged, report.files), (2, 1));
            assert!(operations > 6, "the merge was reached");
            break;
        }
    }
}

#[test]
fn upkeep_goes_on_after_a_failed_write() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = Lake::open(FailingIo::new(1), dir.path(), TestClock::default().options()).unwrap();
    fill(&lake, 0..3);
    assert!(lake.maintain(line(0).time + DurationMs::from_mins(6)).unwrap_err().is_retryable());
    assert_eq!((lake.cursor(), numbers(&lake)), (Seq(0), vec![0, 1, 2]));
}

#[test]
fn readers_and_writer_agree_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let options = LakeOptions { buffer_rows_max: 50, ..TestClock::default().options() };
    let (lake, _) = open_with(dir.path(), options);
    let reader = lake.clone();
    std::thread::scope(|scope| {
        let searching = scope.spawn(move || {
            let mut known = 0;
            while known < 900 {
                let found = numbers(&reader);
                assert_eq!(found, (0..found.len() as u64).collect::<Vec<_>>());
                assert!(found.len() >= known);
                known = found.len();
            }
        });
        for number in 0..900 {
            fill(&lake, number..number + 1);
            if number % 100 == 99 {
                lake.maintain(DAY + MINUTE).unwrap();
            }
        }
        searching.join().unwrap();
    });
}
