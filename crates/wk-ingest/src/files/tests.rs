use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::contract::Refused;
use crate::delivery::TOO_LARGE;
use crate::testing::{RecordingIntake, context};

/// A folder with log files, and a source that is passed over them by hand.
struct Bench {
    folder: TempDir,
    files: Files,
    intake: Arc<RecordingIntake>,
}

fn settings(folder: &Path) -> FileSettings {
    FileSettings {
        globs: vec![format!("{}/*.log", folder.display())],
        interval: Duration::from_millis(5),
        ..FileSettings::new(folder.join("positions.json"), "bridge-pc", TimeZone::UTC)
    }
}

fn files(folder: &Path) -> (Files, Arc<RecordingIntake>) {
    let (context, intake) = context("files");
    let settings = settings(folder);
    let positions = Positions::load(&settings.positions).unwrap();
    let tailer = Some(Tailer::new(settings.globs.clone(), &positions));
    (Files { context, settings, cancel: CancellationToken::new(), positions, tailer }, intake)
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (files, intake) = files(folder.path());
        Self { folder, files, intake }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Passes as often as it takes to see everything, also files that appeared.
    async fn settle(&mut self) {
        for _ in 0..12 {
            while self.files.pass().await {}
        }
    }

    fn messages(&self) -> Vec<String> {
        self.intake.logs().iter().map(|log| log.message.to_string()).collect()
    }

    /// Ends the source and starts it again; `clean` says whether positions were saved.
    async fn restart(&mut self, clean: bool) {
        if clean {
            self.files.save().await;
        }
        (self.files, self.intake) = files(self.folder.path());
    }
}

#[tokio::test]
async fn only_whole_lines_written_since_the_start_are_read() {
    let mut bench = Bench::new();
    bench.append("a.log", "old\nbegun ");
    bench.settle().await;
    bench.append("a.log", "before\nnew\npart");
    bench.settle().await;
    assert_eq!(bench.messages(), ["begun before", "new"]);
    bench.append("a.log", "ial\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["begun before", "new", "partial"]);
}

#[tokio::test]
async fn a_file_that_appears_is_read_from_its_start() {
    let mut bench = Bench::new();
    bench.settle().await;
    bench.append("late.log", "first\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["first"]);
}

#[tokio::test]
async fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.append("a.log", "1\n");
    fs::rename(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", "2\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["1", "2"]);
}

#[tokio::test]
async fn what_a_slow_writer_adds_to_a_rotated_file_still_arrives() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    fs::rename(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", "new\n");
    bench.settle().await;
    bench.append("a.log.1", "late\nlast without end");
    bench.settle().await;
    assert_eq!(bench.messages(), ["new", "late"]);
    for _ in 0..tail::DRAIN_PASSES {
        bench.files.pass().await;
    }
    assert_eq!(bench.messages(), ["new", "late", "last without end"]);
}

#[tokio::test]
async fn an_emptied_file_is_read_from_its_start_even_when_it_has_grown_past_the_place() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    fs::write(bench.path("a.log"), "a much longer first line\nsecond\n").unwrap();
    bench.settle().await;
    assert_eq!(bench.messages(), ["a much longer first line", "second"]);
    fs::write(bench.path("a.log"), "x\n").unwrap();
    bench.settle().await;
    assert_eq!(bench.messages().last().unwrap(), "x");
    assert_eq!(bench.files.context.stats.snapshot().flagged["log file was emptied"].count, 2);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_ended() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.append("a.log", "1\n");
    bench.settle().await;
    bench.restart(true).await;
    bench.append("a.log", "2\n");
    bench.append("b.log", "new file\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["2", "new file"]);
}

#[tokio::test]
async fn lines_whose_position_was_not_saved_are_delivered_again() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.files.save().await;
    bench.append("a.log", "1\n");
    bench.settle().await;
    bench.restart(false).await;
    bench.settle().await;
    assert_eq!(bench.messages(), ["1"]);
}

#[tokio::test]
async fn what_was_rotated_away_during_a_stop_is_still_read() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.restart(true).await;
    bench.append("a.log", "1\n");
    fs::rename(bench.path("a.log"), bench.path("a.log.1")).unwrap();
    bench.append("a.log", "2\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["1", "2"]);
}

#[tokio::test]
async fn what_was_deleted_during_a_stop_is_counted() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.restart(true).await;
    fs::rename(bench.path("a.log"), bench.path("moved-away")).unwrap();
    bench.append("a.log", "2\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["2"]);
    assert_eq!(bench.files.context.stats.snapshot().flagged["rest of a rotated file is gone"].count, 1);
}

#[tokio::test]
async fn long_lines_are_cut_and_their_neighbours_whole() {
    let mut bench = Bench::new();
    bench.append("a.log", "");
    bench.settle().await;
    bench.append("a.log", &format!("{}\nnext\n", "x".repeat(LINE_BYTES_MAX * 20)));
    bench.settle().await;
    let lengths: Vec<usize> = bench.messages().iter().map(String::len).collect();
    assert_eq!(lengths, [LINE_BYTES_MAX, 4]);
    assert_eq!(bench.files.context.stats.snapshot().flagged["line cut at 64 KiB"].count, 1);
}

#[tokio::test]
async fn a_position_moves_only_once_the_lines_are_acknowledged() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    bench.intake.set_busy(true);
    bench.files.cancel.cancel();
    bench.append("a.log", "1\n");
    while bench.files.pass().await {}
    bench.restart(true).await;
    bench.settle().await;
    assert_eq!(bench.messages(), ["1"]);
}

#[tokio::test]
async fn reading_goes_on_behind_lines_that_the_log_never_takes() {
    let mut bench = Bench::new();
    bench.settle().await;
    bench.intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    bench.append("a.log", "large\n");
    bench.settle().await;
    bench.append("a.log", "small\n");
    bench.settle().await;
    assert_eq!(bench.messages(), ["small"]);
    assert_eq!(bench.files.context.stats.snapshot().rejected[TOO_LARGE].count, 1);
}

#[tokio::test]
async fn a_file_that_is_removed_is_forgotten() {
    let mut bench = Bench::new();
    bench.append("a.log", "0\n");
    bench.settle().await;
    fs::remove_file(bench.path("a.log")).unwrap();
    bench.settle().await;
    assert!(bench.files.positions.is_empty());
}

#[tokio::test]
async fn the_source_follows_by_itself_and_saves_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("a.log");
    fs::write(&log, "0\n").unwrap();
    let settings = settings(folder.path());
    fs::write(&settings.positions, "damaged").unwrap();
    let (context, intake) = context("files");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(run(context.clone(), settings.clone(), cancel.clone()));
    let mut number = 0;
    while intake.logs().is_empty() {
        number += 1;
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        writeln!(file, "line {number}").unwrap();
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    task.await.unwrap();
    assert_eq!(context.stats.snapshot().flagged["positions could not be read"].count, 1);
    let saved = Positions::load(&settings.positions).unwrap();
    assert!(saved.get(&log).unwrap().offset > 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is written in whatever pieces, rotated in between and read across restarts: every line arrives, in order.
    #[test]
    fn every_line_arrives_in_order(steps in proptest::collection::vec((0_u8..5, "[a-z]{1,6}"), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new();
            bench.append("a.log", "");
            bench.settle().await;
            let (mut written, mut arrived, mut rotations) = (Vec::new(), Vec::new(), 0);
            for (number, (step, text)) in steps.iter().enumerate() {
                match step {
                    0 => {
                        bench.settle().await;
                        arrived.extend(bench.messages());
                        bench.restart(true).await;
                    }
                    1 => {
                        rotations += 1;
                        bench.settle().await;
                        fs::rename(bench.path("a.log"), bench.path(&format!("a.log.{rotations}"))).unwrap();
                        bench.append("a.log", "");
                    }
                    2 => bench.settle().await,
                    _ => {
                        let line = format!("{number} {text}");
                        bench.append("a.log", &format!("{line}\n"));
                        written.push(line);
                    }
                }
            }
            bench.settle().await;
            arrived.extend(bench.messages());
            assert_eq!(arrived, written);
        });
    }
}
