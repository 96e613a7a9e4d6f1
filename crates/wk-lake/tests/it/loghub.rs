//! Bytes a line and lines a second of real logs: the 2,000-line samples of loghub, found through `WATCHKEEPER_DATA`.

use std::path::{Path, PathBuf};

use wk_lake::{Condition, LakeOptions, LogField, LogQuery, SearchLimits};
use wk_types::{AssetId, DurationMs, LogRecord, Seq, Severity, UtcMs};

use crate::{cpu_seconds, open};

const START: UtcMs = UtcMs(1_795_478_400_000);

fn samples(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(data.join("loghub"))
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with("_2k.log"))
        .collect();
    found.sort();
    found
}

fn records(path: &Path) -> Vec<LogRecord> {
    let name = path.file_stem().unwrap().to_string_lossy().replace("_2k", "");
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let record = |(number, line): (usize, &str)| LogRecord {
        time: START + DurationMs::from_secs(number as i64),
        asset: AssetId::from("recorder"),
        app: name.as_str().into(),
        severity: Severity::ALL[usize::from(line.to_ascii_lowercase().contains("error"))],
        message: line.into(),
        attributes: wk_types::Attributes::new(),
    };
    text.lines().enumerate().map(record).collect()
}

#[test]
fn real_logs_are_stored_whole_and_small() {
    let Some(data) = std::env::var_os("WATCHKEEPER_DATA") else {
        println!("skipped: WATCHKEEPER_DATA is not set");
        return;
    };
    let mut all = Vec::new();
    for path in samples(Path::new(&data)) {
        let logs = records(&path);
        report(&path.file_stem().unwrap().to_string_lossy(), &logs);
        all.extend(logs);
    }
    assert!(!all.is_empty(), "WATCHKEEPER_DATA has no loghub samples");
    report("all", &all);
}

fn report(name: &str, logs: &[LogRecord]) {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path(), LakeOptions::default());
    let before = cpu_seconds();
    for (seq, log) in (1..).map(Seq).zip(logs) {
        lake.append(seq, log.time, std::slice::from_ref(log)).unwrap();
    }
    lake.flush().unwrap();
    let seconds = cpu_seconds() - before;
    let lines = logs.len() as f64;
    let raw: usize = logs.iter().map(|log| log.message.len() + 1).sum();
    println!(
        "{name:<16} {:>6.1} bytes a line raw, {:>5.1} stored ({:.1}x), {:>7.0} lines a CPU-second",
        raw as f64 / lines,
        lake.stats().bytes as f64 / lines,
        raw as f64 / lake.stats().bytes as f64,
        lines / seconds,
    );
    let wanted = LogQuery { limit: 10_000, newest_first: false, ..LogQuery::default() };
    let wanted = wanted.with(Condition::is(LogField::App, logs[0].app.clone()));
    let found = lake.search(&wanted, &SearchLimits::default()).unwrap().rows;
    let expected = logs.iter().filter(|log| log.app == logs[0].app);
    assert!(found.iter().map(|row| &row.message).eq(expected.map(|log| &log.message)), "{name} comes back as it was");
}
