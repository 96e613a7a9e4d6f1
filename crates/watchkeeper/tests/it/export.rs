//! Metrics as Parquet and back, and logs as Parquet, with a node that runs and one that is down.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Node, until};
use crate::remote_write::{self, now_ms};

/// How many samples there are, by series; values as text, so that NaN is like itself.
fn samples(node: &Node) -> Value {
    node.cli_json(&["query", "promql", "{__name__=~\"probe_.*\"}[6h]"])["data"]["result"].clone()
}

fn count(answer: &Value) -> usize {
    answer.as_array().unwrap().iter().map(|series| series["values"].as_array().unwrap().len()).sum()
}

/// Sends three series, one of them with values that only a careful format keeps.
fn fill(node: &Node) {
    let begin = now_ms() - 3_600_000;
    let plain: Vec<(f64, i64)> = (0..200).map(|at| (at as f64 / 8.0, begin + at * 15_000)).collect();
    let odd: Vec<(f64, i64)> = [f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 0.1, -1e300, f64::NEG_INFINITY]
        .into_iter()
        .zip((0..).map(|at| begin + at * 1_000))
        .collect();
    let one = [("__name__", "probe_plain"), ("instance", "localhost:1"), ("job", "export")];
    let two = [("__name__", "probe_plain"), ("deck", "3"), ("instance", "localhost:2"), ("job", "export")];
    let three = [("__name__", "probe_odd"), ("time", "noon")];
    let body = remote_write::body(&[(&one, &plain), (&two, &plain), (&three, &odd)]);
    let answer = node.request("POST", "/api/v1/write").body(body).send().unwrap();
    assert!(answer.status().is_success());
    until(Duration::from_secs(10), "the samples are stored", || (count(&samples(node)) == 406).then_some(()));
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn metrics_come_back_from_parquet_as_they_went() {
    let mut node = Node::start("");
    fill(&node);
    let before = samples(&node);
    let out = node.dir().join("running");
    let told =
        node.cli_json(&["export", "metrics", "--out", out.to_str().unwrap(), "--match", "{__name__=~\"probe_.*\"}"]);
    let written = files(&out);
    assert_eq!(told["files"].as_array().unwrap().len(), written.len());
    assert!(written.iter().all(|file| file.extension().unwrap() == "parquet"), "{written:?}");
    let again = node.cli(&["export", "metrics", "--out", out.to_str().unwrap()]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists; name another folder"), "it replaces nothing");

    node.terminate();
    let offline = node.dir().join("down");
    node.cli_json(&["export", "metrics", "--out", offline.to_str().unwrap(), "--match", "{__name__=~\"probe_.*\"}"]);
    for (a, b) in written.iter().zip(files(&offline)) {
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap(), "a node that is down exports the same");
    }

    let other = Node::start("");
    let names: Vec<&str> = written.iter().map(|file| file.to_str().unwrap()).collect();
    for _ in 0..2 {
        let told = other.cli_json(&[&["import", "metrics"], &names[..]].concat());
        let stored: u64 =
            told["files"].as_array().unwrap().iter().map(|one| one["answer"]["stored"].as_u64().unwrap()).sum();
        assert_eq!(stored, 406);
        until(Duration::from_secs(10), "the samples are stored", || (count(&samples(&other)) == 406).then_some(()));
        assert_eq!(samples(&other), before, "a second import changes nothing");
    }
    assert_eq!(other.source("import")["accepted"], 812);
}

#[test]
fn what_cannot_be_imported_is_refused_and_said() {
    let mut node = Node::start("");
    let file = node.dir().join("no.parquet");
    std::fs::write(&file, "no Parquet").unwrap();
    let import = |node: &Node| node.cli(&["import", "metrics", file.to_str().unwrap()]);
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let refused = import(&node);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("could not read metrics from Parquet"), "{}", said(&refused));
    let nothing = node.cli(&["export", "metrics", "--out", node.dir().to_str().unwrap(), "--match", "nope"]);
    assert!(!nothing.status.success());
    assert!(said(&nothing).contains("there is nothing to export"), "{}", said(&nothing));
    node.terminate();
    let down = import(&node);
    assert!(!down.status.success());
    assert!(said(&down).contains("needs the running node"), "{}", said(&down));
}

#[test]
fn logs_are_exported_whole_or_as_far_as_they_are_wanted() {
    let mut node = Node::start("");
    let body: String = (0..500)
        .map(|at| format!("{{\"message\":\"line {at}\",\"app\":\"app-{}\",\"pid\":\"{at}\"}}\n", at % 5))
        .collect();
    assert_eq!(node.send_logs(&body).0, 200);
    until(Duration::from_secs(10), "the lines are stored", || {
        (node.count("select count(*) from logs where app like 'app-%'") == 500).then_some(())
    });
    let (all, some) = (node.dir().join("all"), node.dir().join("some"));
    node.cli_json(&["export", "logs", "--out", all.to_str().unwrap()]);
    node.terminate();
    node.cli_json(&["export", "logs", "--out", some.to_str().unwrap(), "--app", "app-3", "--regex", "line [0-9]3$"]);
    let size = |dir: &Path| files(dir).iter().map(|file| file.metadata().unwrap().len()).sum::<u64>();
    assert!(size(&some) < size(&all), "{} {}", size(&some), size(&all));
    for file in files(&all).iter().chain(&files(&some)) {
        let bytes = std::fs::read(file).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{}", file.display());
    }
}
