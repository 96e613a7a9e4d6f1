//! A wall clock that jumps under a running node. The node asks a small library, loaded before the system's own, which
//! adds to the time what stands in a file; steady time stays as it is, as when somebody sets the clock of a machine.
//!
//! That each store and the engine keep to their rules at every kind of jump is tested beside them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Node, skip, until};
use crate::remote_write::{self, now_ms};

/// Adds the seconds in the mapped file to the wall clock.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long long *shift;

__attribute__((constructor)) static void map_shift(void) {
    const char *path = getenv("CLOCK_SHIFT");
    int file = path ? open(path, O_RDONLY) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof(long long), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) shift = page;
    if (file >= 0) close(file);
}

static time_t seconds(void) { return shift ? (time_t)*shift : 0; }

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, at);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += seconds();
    return result;
}

int gettimeofday(struct timeval *at, void *zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"#;

const DAY_S: i64 = 86_400;

/// A rule on what the test itself sends.
const RULES: &str = "groups:\n- name: test\n  interval: 5s\n  rules:\n  - alert: ProbeHigh\n    expr: probe > 5\n    labels: {severity: major}\n    annotations: {summary: \"the probe is high\"}\n";

/// A node whose clock the test sets; `None`, and noted as skipped, where there is no compiler.
fn node_with_a_clock(test: &str) -> Option<Node> {
    let mut node = Node::prepare(
        "[storage]\nlogs_days = 1\nmetrics_days = 1\n[rules]\ndefaults = false\nfiles = [\"probe.yaml\"]\n\
         [incident]\nhold_s = 5\n",
    );
    std::fs::write(node.dir().join("probe.yaml"), RULES).unwrap();
    let (source, library) = (node.dir().join("shift.c"), node.dir().join("shift.so"));
    std::fs::write(&source, SHIFT).unwrap();
    let made =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).args([&library, &source]).arg("-ldl").status();
    if !made.is_ok_and(|status| status.success()) {
        skip(test, "there is no C compiler to make the clock with");
        return None;
    }
    let file = node.dir().join("shift");
    set(&file, 0);
    node.set_environment("LD_PRELOAD", &library);
    node.set_environment("CLOCK_SHIFT", &file);
    node.launch();
    node.wait_ready();
    Some(node)
}

/// Sets what is added to the clock, in place, for the file is mapped.
fn set(file: &Path, seconds: i64) {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create(true).write(true).truncate(false).open(file).unwrap();
    file.write_all(&seconds.to_ne_bytes()).unwrap();
}

/// The node's own time, in seconds from ours.
fn offset_s(node: &Node) -> i64 {
    let answer = node.cli_json(&["query", "promql", "time()"]);
    let seconds = answer["data"]["result"][1].as_str().unwrap().parse::<f64>().unwrap();
    (seconds - now_ms() as f64 / 1_000.0).round() as i64
}

fn send_probe(node: &Node, value: f64, shift_s: i64) {
    let labels = [("__name__", "probe"), ("instance", "localhost:1"), ("job", "clock")];
    let body = remote_write::body(&[(&labels, &[(value, now_ms() + shift_s * 1_000)])]);
    assert_eq!(node.request("POST", "/api/v1/write").body(body).send().unwrap().status(), 204);
}

fn send_log(node: &Node, message: &str) {
    let (status, answer) = node.send_logs(&format!(r#"{{"message":"{message}","app":"clock"}}"#));
    assert_eq!(status, 200, "{answer}");
}

fn messages(node: &Node) -> Vec<String> {
    let rows = node.sql("select message from logs where app = 'clock' order by message");
    rows.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect()
}

/// How many samples of the probe there are, wherever they lie in time.
fn probes(node: &Node) -> usize {
    let answer =
        node.cli_json(&["query", "promql", "--time", &format!("{}", now_ms() / 1_000 + 2 * DAY_S), "probe[5d]"]);
    answer["data"]["result"][0]["values"].as_array().map_or(0, Vec::len)
}

fn states(node: &Node) -> Vec<Value> {
    let incidents = node.cli_json(&["incidents"]);
    incidents["incidents"].as_array().unwrap().iter().map(|incident| incident["state"].clone()).collect()
}

#[test]
fn a_clock_that_jumps_a_day_and_back_loses_nothing_and_the_watch_goes_on() {
    let Some(mut node) = node_with_a_clock("a_clock_that_jumps_a_day_and_back_loses_nothing_and_the_watch_goes_on")
    else {
        return;
    };
    let file = node.dir().join("shift");
    assert_eq!(offset_s(&node) / 60, 0, "the clock is right at first");
    send_log(&node, "1 before");
    until(Duration::from_secs(30), "an incident opens", || {
        send_probe(&node, 9.0, 0);
        (states(&node) == ["open"]).then_some(())
    });
    // A day and an hour: everything so far is now older than what is kept.
    let jump = DAY_S + 3_600;
    set(&file, jump);
    until(Duration::from_secs(5), "the clock has jumped", || (offset_s(&node) / 60 == jump / 60).then_some(()));
    send_log(&node, "2 ahead");
    send_probe(&node, 8.0, jump);
    until(Duration::from_secs(30), "the jump is told", || {
        node.cli_json(&["doctor"]).to_string().contains("confirm-clock").then_some(())
    });
    let own = "timestamp(watchkeeper_node_uptime_seconds)";
    until(Duration::from_secs(30), "the node's own beats come from ahead", || {
        let answer = node.cli_json(&["query", "promql", own]);
        let at = answer["data"]["result"][0]["value"][1].as_str()?.parse::<f64>().ok()?;
        (at > now_ms() as f64 / 1_000.0 + DAY_S as f64).then_some(())
    });
    assert_eq!(messages(&node), ["1 before", "2 ahead"], "nothing is deleted by a clock that nobody confirmed");
    assert_eq!(states(&node), ["open"], "a jump alone ends no incident");
    set(&file, 0);
    until(Duration::from_secs(5), "the clock is right again", || (offset_s(&node) / 60 == 0).then_some(()));
    send_log(&node, "3 after");
    // The engine concludes nothing for a minute after a jump.
    until(Duration::from_secs(100), "the incident resolves under the right clock", || {
        send_probe(&node, 3.0, 0);
        (states(&node) == ["resolved"]).then_some(())
    });
    until(Duration::from_secs(30), "the watch goes on", || {
        send_probe(&node, 10.0, 0);
        states(&node).contains(&"open".into()).then_some(())
    });
    let all = ["1 before", "2 ahead", "3 after"];
    assert_eq!(messages(&node), all);
    assert!(probes(&node) >= 4, "every sample is there: {}", probes(&node));
    node.kill();
    node.launch();
    node.wait_ready();
    assert_eq!(messages(&node), all, "after a restart");
    assert!(probes(&node) >= 4, "after a restart: {}", probes(&node));
    assert!(node.cli(&["journal", "verify"]).status.success(), "the journal holds");
    assert!(node.terminate() < Duration::from_secs(5));
}

#[test]
fn a_sample_from_the_future_is_rejected_and_counted_and_its_neighbours_live() {
    let node = Node::start("");
    let now = now_ms();
    let labels = |name: &'static str| [("__name__", name), ("instance", "localhost:1"), ("job", "clock")];
    let (ahead, behind, good) = (labels("ahead"), labels("behind"), labels("good"));
    let body = remote_write::body(&[
        (&ahead, &[(1.0, now - 1_000), (2.0, now + 3_600_000), (3.0, now + DAY_S * 1_000)]),
        (&behind, &[(1.0, now - DAY_S * 1_000), (2.0, now - 2_000)]),
        (&good, &[(1.0, now - 1_000), (2.0, now + 300_000)]),
    ]);
    assert_eq!(node.request("POST", "/api/v1/write").body(body).send().unwrap().status(), 204);
    let counts = until(Duration::from_secs(10), "the samples are counted", || {
        let metrics = node.cli_json(&["pipeline"])["metrics"].clone();
        (metrics["future"].as_u64()? > 0).then_some(metrics)
    });
    assert_eq!(counts["future"], 2, "{counts}");
    let stored = |name: &str| {
        let time = format!("{}", now / 1_000 + 2 * DAY_S);
        let answer = node.cli_json(&["query", "promql", "--time", &time, &format!("{name}[5d]")]);
        answer["data"]["result"][0]["values"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((stored("ahead"), stored("behind"), stored("good")), (1, 2, 2));
    let pipeline = node.request("GET", "/metrics").bearer_auth(node.token("viewer")).send().unwrap().text().unwrap();
    assert!(
        pipeline.lines().any(|line| line.contains("future") && line.ends_with(" 2")),
        "the node's own metrics tell rejected samples"
    );
}
