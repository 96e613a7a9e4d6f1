use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;
use wk_types::{Severity, UtcMs};

use super::*;
use crate::contract::Refused;
use crate::delivery::TOO_LARGE;
use crate::testing::{NOW, RecordingIntake, context};

const ENTRY: &str = r#"{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"1780315199250000","_HOSTNAME":"bridge-pc","PRIORITY":"3","SYSLOG_IDENTIFIER":"gpsd","_PID":"41","_SYSTEMD_UNIT":"gpsd.service","SYSLOG_FACILITY":"3","_TRANSPORT":"journal","MESSAGE":"no fix"}"#;

/// A folder with a program that stands in for `journalctl`: it notes its arguments and runs the given script.
struct Bench {
    folder: TempDir,
    settings: JournalSettings,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
}

impl Bench {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("journalctl");
        let arguments = folder.path().join("arguments");
        fs::write(&program, format!("#!/bin/sh\necho \"$*\" >> {}\n{script}\n", arguments.display())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = JournalSettings { program, ..JournalSettings::new(folder.path().join("cursor"), "bridge-pc") };
        let (context, intake) = context("journald");
        Self { folder, settings, context, intake }
    }

    fn journal(&self) -> Journal {
        Journal {
            context: self.context.clone(),
            settings: self.settings.clone(),
            cancel: CancellationToken::new(),
            cursor: None,
            saved: Instant::now(),
            unsaved: false,
        }
    }

    fn arguments(&self) -> String {
        fs::read_to_string(self.folder.path().join("arguments")).unwrap()
    }
}

#[tokio::test]
async fn entries_become_records_and_the_cursor_is_saved_at_the_end() {
    let bench = Bench::new(&format!("echo '{ENTRY}'\nexec sleep 60"));
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(bench.context.clone(), bench.settings.clone(), cancel.clone()));
    bench.intake.until(|intake| intake.logs().len() == 1).await;
    cancel.cancel();
    task.await.unwrap();
    let log = &bench.intake.logs()[0];
    assert_eq!((log.asset.as_str(), &*log.app, &*log.message), ("bridge-pc", "gpsd", "no fix"));
    assert_eq!((log.severity, log.time), (Severity::Major, UtcMs(NOW.0 - 750)));
    insta::assert_json_snapshot!(log.attributes, @r#"
    {
      "facility": "daemon",
      "level": "err",
      "pid": "41",
      "transport": "journal",
      "unit": "gpsd.service"
    }
    "#);
    assert_eq!(fs::read_to_string(&bench.settings.cursor).unwrap(), "c1");
    assert!(bench.arguments().contains("--lines=0"));
}

#[tokio::test]
async fn a_saved_cursor_is_where_reading_goes_on() {
    let bench = Bench::new("exec sleep 60");
    fs::write(&bench.settings.cursor, "c7\n").unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(bench.context.clone(), bench.settings.clone(), cancel.clone()));
    while !fs::read_to_string(bench.folder.path().join("arguments")).is_ok_and(|text| text.ends_with('\n')) {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    task.await.unwrap();
    assert!(bench.arguments().contains("--no-tail --after-cursor c7"), "{}", bench.arguments());
}

#[tokio::test]
async fn a_program_that_ends_is_an_error_and_a_lost_cursor_is_dropped() {
    let bench = Bench::new("echo 'Failed to seek to cursor: gone' >&2; exit 1");
    let mut journal = bench.journal();
    journal.cursor = Some("c7".to_owned());
    let error = journal.follow().await.unwrap_err();
    assert!(error.to_string().contains("Failed to seek to cursor: gone"), "{error}");
    assert_eq!(journal.cursor, None);
    assert_eq!(bench.context.stats.snapshot().lost.len(), 1);
}

#[tokio::test]
async fn a_missing_program_is_an_error() {
    let mut bench = Bench::new("");
    bench.settings.program = "/nonexistent/journalctl".into();
    assert!(bench.journal().follow().await.is_err());
}

#[tokio::test]
async fn damaged_and_oversized_lines_reject_only_themselves() {
    let bench = Bench::new("");
    let long = "x".repeat(ENTRY_BYTES_MAX + 10);
    let output = format!("{ENTRY}\nnot json\n{long}\n\n{ENTRY}\n");
    let mut journal = bench.journal();
    journal.take_entries(&mut Lines::new(output.as_bytes())).await.unwrap();
    let stats = bench.context.stats.snapshot();
    assert_eq!((bench.intake.logs().len(), stats.received), (2, 4));
    assert_eq!((stats.rejected["not a journal entry"].count, stats.rejected["entry longer than 1 MiB"].count), (1, 1));
}

#[tokio::test]
async fn long_entries_are_split_by_bytes() {
    let bench = Bench::new("");
    let long = ENTRY.replace("no fix", &"x".repeat(64 * 1024));
    let output = format!("{long}\n").repeat(200);
    bench.journal().take_entries(&mut Lines::new(output.as_bytes())).await.unwrap();
    let records = bench.intake.records();
    assert_eq!(records.iter().map(|record| record.body.items()).sum::<usize>(), 200);
    for record in &records {
        let Body::Logs(logs) = &record.body else { panic!("logs are expected") };
        assert!(logs.iter().map(log_bytes).sum::<usize>() < RECORD_BYTES_AIM + 128 * 1024);
    }
    assert!(records.len() >= 4);
}

#[tokio::test]
async fn reading_goes_on_behind_entries_that_the_log_never_takes() {
    let bench = Bench::new("");
    bench.intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    let mut journal = bench.journal();
    journal.take_entries(&mut Lines::new(format!("{ENTRY}\n").as_bytes())).await.unwrap();
    assert_eq!((journal.cursor.as_deref(), bench.intake.offered()), (Some("c1"), 1));
    assert_eq!(bench.context.stats.snapshot().rejected[TOO_LARGE].count, 1);
}

#[tokio::test]
async fn the_cursor_stays_behind_what_is_not_acknowledged() {
    let bench = Bench::new("");
    bench.intake.set_busy(true);
    let mut journal = bench.journal();
    journal.cancel.cancel();
    let mut gathered = Gathered::default();
    journal.take(ENTRY.as_bytes(), &mut gathered);
    journal.deliver(&mut gathered).await;
    assert_eq!(journal.cursor, None);
}

#[tokio::test]
async fn bytes_and_repeated_fields_are_read_as_text() {
    let bench = Bench::new("");
    let mut gathered = Gathered::default();
    let entry = r#"{"MESSAGE":[99,97,102,233],"_COMM":["first","second"],"PRIORITY":"9","_PID":7}"#;
    bench.journal().take(entry.as_bytes(), &mut gathered);
    let log = &gathered.logs[0];
    assert_eq!((&*log.message, &*log.app, log.severity, log.time), ("caf\u{fffd}", "first", Severity::Info, NOW));
    assert_eq!(&*log.attributes["pid"], "7");
}

#[test]
fn journald_is_present_where_program_and_journal_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bin");
    let search = format!("/nonexistent:{}", path.display());
    assert!(!is_present(folder.path(), &search));
    fs::create_dir_all(folder.path().join("var/log/journal")).unwrap();
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("journalctl"), "").unwrap();
    assert!(!is_present(folder.path(), &search), "an empty folder is no journal");
    fs::create_dir(folder.path().join("var/log/journal/0a1b")).unwrap();
    assert!(is_present(folder.path(), &search));
    assert!(!is_present(folder.path(), "/nonexistent"));
}

proptest! {
    #[test]
    fn hostile_entries_are_answered(text in "([\\[\\]{},:]|\"[A-Z_]{0,8}\"|\"MESSAGE\":|\"PRIORITY\":|[0-9]{1,3}|null){0,40}") {
        let bench = context("journald").0;
        if let Some(entry) = entry::read(text.as_bytes()) {
            let _ = entry.record(&bench, &JournalSettings::new("c".into(), "bridge-pc"), NOW);
        }
    }
}
