//! Metrics kept outside: nothing is lost or doubled whatever happens to the store there or to the node, and queries
//! follow.

mod server;
mod store;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, Read, until};
use crate::remote_write::{body, now_ms};
use server::Receiver;
use store::{Kind, Store};

/// Longest wait for samples to arrive; a store that was away is looked for every 30 s at least.
const ARRIVE_MAX: Duration = Duration::from_secs(90);
const METRIC: &str = "outgrown_probe";

/// Sends one sample of the probe and answers the status.
fn write(node: &Node, number: u64, time: i64) -> u16 {
    let labels = [("__name__", METRIC), ("instance", "localhost:1"), ("job", "outgrown")];
    let body = body(&[(&labels, &[(number as f64, time)])]);
    node.request("POST", "/api/v1/write").body(body).send().unwrap().status().as_u16()
}

/// What the pipeline page says of the store outside.
fn outside(node: &Node) -> Value {
    node.cli_json(&["pipeline"])["outside"]["metrics"].clone()
}

fn queries_follow(test: &'static str, kind: Kind) {
    let Some(store) = Store::start(test, kind) else { return };
    let read = Read::new(Node::start(&store.config("")));
    let begin = now_ms() / 1_000 * 1_000 - 600_000;
    for step in 0..40 {
        let time = begin + step * 15_000;
        let one = |zone| [("__name__", METRIC), ("instance", "localhost:1"), ("job", "outgrown"), ("zone", zone)];
        let (first, second) = (one("1"), one("2"));
        // The second series ends half way, with a marker that says so.
        let value = if step == 20 { f64::from_bits(0x7ff0_0000_0000_0002) } else { step as f64 };
        let all: &[crate::remote_write::Series<'_>] = &[(&first, &[(step as f64, time)]), (&second, &[(value, time)])];
        let sent = read.node.request("POST", "/api/v1/write").body(body(if step > 20 { &all[..1] } else { all }));
        assert_eq!(sent.send().unwrap().status().as_u16(), 204);
    }
    until(ARRIVE_MAX, "all samples are outside", || (store.times(METRIC).len() == 60).then_some(()));
    let at = |seconds: i64| (begin / 1_000 + seconds).to_string();
    let (start, half, end) = (at(0), at(310), at(585));
    for (path, parameters) in [
        ("query", vec![("query", METRIC), ("time", &end)]),
        ("query", vec![("query", "sum by (zone) (rate(outgrown_probe[2m]))"), ("time", &half)]),
        ("query_range", vec![("query", METRIC), ("start", &start), ("end", &end), ("step", "15")]),
        ("series", vec![("match[]", METRIC), ("start", &start), ("end", &end)]),
        ("labels", vec![("match[]", METRIC), ("start", &start), ("end", &end)]),
        ("label/zone/values", vec![("match[]", METRIC), ("start", &start), ("end", &end)]),
    ] {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&parameters).finish();
        let ours = read.get(&format!("/api/v1/{path}?{query}"));
        assert_eq!(ours["data"], store.ask(path, &parameters).unwrap(), "{path} {parameters:?}");
        assert!(!ours["data"]["result"].as_array().is_some_and(Vec::is_empty), "{path} {parameters:?}");
    }
    let series = read.get(&format!("/api/v1/query?query={METRIC}&time={end}"))["data"]["result"].clone();
    assert_eq!(series.as_array().unwrap().len(), 1, "the stale marker has ended the other one: {series}");
    let (status, wrong) = read.ask("GET", "/api/v1/query?query=sum(", &Value::Null);
    assert!(matches!(status, 400 | 422) && wrong["status"] == "error", "{status} {wrong}");
    let (status, refused) = read.ask("POST", "/api/v1/sql", &json!({"query": "select * from metrics_5m"}));
    let told = refused["error"].as_str().unwrap();
    assert!(status == 400 && told.contains("kept outside") && told.contains("PromQL"), "{status} {told}");
    let shown = outside(&read.node);
    assert_eq!((&shown["url"], &shown["lag_seconds"]), (&json!(store.url()), &json!(0.0)), "{shown}");
    assert!(shown["sent"].as_u64().unwrap() >= 61 && shown["last_error"].is_null(), "{shown}");
}

#[test]
fn queries_follow_to_a_real_victoriametrics() {
    queries_follow("queries_follow_to_a_real_victoriametrics", Kind::VictoriaMetrics);
}

#[test]
fn queries_follow_to_a_real_prometheus() {
    queries_follow("queries_follow_to_a_real_prometheus", Kind::Prometheus);
}

fn survives_a_kill_of_the_store(test: &'static str, kind: Kind) {
    let Some(mut store) = Store::start(test, kind) else { return };
    let node = Node::start(&store.config(""));
    let begin = now_ms() - 600_000;
    for number in 0..300_u64 {
        match number {
            100 => store.kill(),
            200 => {
                let shown = until(ARRIVE_MAX, "the failure is told", || {
                    Some(outside(&node)).filter(|shown| shown["failing_since"].is_number())
                });
                assert!(shown["last_error"]["what"].is_string() && shown["lag_records"].as_u64() > Some(50), "{shown}");
                let found = String::from_utf8_lossy(&node.cli(&["doctor"]).stdout).into_owned();
                assert!(found.contains(&store.url()) && found.contains("has taken nothing"), "{found}");
                assert_eq!(node.get_status("/readyz"), Some(200), "the node takes in all the same");
                let token = node.token("viewer");
                let asked = node.request("GET", "/api/v1/query?query=up").bearer_auth(token).send().unwrap();
                assert_eq!(asked.status().as_u16(), 502);
                let told = asked.json::<Value>().unwrap()["error"].to_string();
                assert!(told.contains("does not answer") && told.contains("watchkeeper doctor"), "{told}");
                store.launch();
            }
            _ => {}
        }
        assert_eq!(write(&node, number, begin + number as i64 * 1_000), 204, "sample {number}");
    }
    let expected: Vec<i64> = (0..300).map(|number| begin + number * 1_000).collect();
    until(ARRIVE_MAX, "all samples are outside", || (store.times(METRIC).len() >= 300).then_some(()));
    assert_eq!(store.times(METRIC), expected, "each once");
    until(ARRIVE_MAX, "the node is well again", || outside(&node)["failing_since"].is_null().then_some(()));
    assert_eq!(outside(&node)["refused"], json!({}));
}

#[test]
fn a_victoriametrics_that_is_killed_gets_everything_once() {
    survives_a_kill_of_the_store("a_victoriametrics_that_is_killed", Kind::VictoriaMetrics);
}

#[test]
fn a_prometheus_that_is_killed_gets_everything_once() {
    survives_a_kill_of_the_store("a_prometheus_that_is_killed", Kind::Prometheus);
}

#[test]
fn a_node_that_is_killed_between_sending_and_noting_it_does_no_harm() {
    let test = "a_node_that_is_killed_between_sending_and_noting_it";
    for kind in [Kind::VictoriaMetrics, Kind::Prometheus] {
        let Some(store) = Store::start(test, kind) else { continue };
        let mut node = Node::prepare(&store.config(""));
        let begin = now_ms() - 600_000;
        let mut number = 0;
        for round in 0..4 {
            node.launch();
            node.wait_ready();
            // Up to the kill the newest are sent within milliseconds; the cursor is saved once a second.
            for _ in 0..60 + round * 13 {
                assert_eq!(write(&node, number, begin + number as i64 * 1_000), 204);
                number += 1;
            }
            node.kill();
        }
        node.launch();
        node.wait_ready();
        let expected: Vec<i64> = (0..number as i64).map(|number| begin + number * 1_000).collect();
        until(ARRIVE_MAX, "all samples are outside", || (store.times(METRIC).len() >= expected.len()).then_some(()));
        assert_eq!(store.times(METRIC), expected, "{kind:?}: each once");
    }
}

#[test]
fn refusals_for_good_are_told_and_everything_else_is_tried_again() {
    let receiver = Receiver::start(|number, body| {
        let is_bad = String::from_utf8_lossy(body).contains("bad_probe");
        match number {
            0 => (500, ""),
            1 => (429, "Retry-After: 2\r\n"),
            2 => (503, ""),
            3 => (403, ""),
            _ if is_bad => (400, ""),
            _ => (204, ""),
        }
    });
    let node = Node::start(&format!(
        "[storage]\nmetrics = \"victoriametrics\"\n[storage.outside_metrics]\nurl = \"{}\"\n",
        receiver.url
    ));
    let time = now_ms() - 60_000;
    for number in 0..50 {
        let name = if number % 10 == 3 { "bad_probe" } else { METRIC };
        let text = format!("number-{number}");
        let labels = [("__name__", name), ("instance", "localhost:1"), ("job", "outgrown"), ("number", &*text)];
        let sent = node.request("POST", "/api/v1/write").body(body(&[(&labels, &[(1.0, time + number)])]));
        assert_eq!(sent.send().unwrap().status().as_u16(), 204);
    }
    until(ARRIVE_MAX, "all good samples were taken", || (receiver.numbers("number-").0.len() == 45).then_some(()));
    let shown = until(ARRIVE_MAX, "the bad ones are counted", || {
        Some(outside(&node)).filter(|shown| shown["refused"]["refused"]["samples"] == 5)
    });
    assert_eq!(receiver.numbers("number-").1, 45, "each once");
    assert_eq!(shown["failures"], 4, "{shown}");
    assert_eq!(shown["refused"]["refused"]["said"], "told");
    let journal = until(Duration::from_secs(30), "the journal is told", || {
        let entries = node.cli_json(&["journal", "list", "--kind", "metrics_refused"]);
        entries["entries"].as_array().filter(|entries| !entries.is_empty()).cloned()
    });
    assert!(journal[0]["text"].as_str().unwrap().contains("refused"), "{journal:?}");
    let found = String::from_utf8_lossy(&node.cli(&["doctor"]).stdout).into_owned();
    assert!(found.contains("refused 5 samples for good"), "{found}");
    let refused = receiver.refused();
    let requests = receiver.requests();
    // The node's own metrics come every 15 s; with them it is seen that nothing refused is sent again.
    until(Duration::from_secs(40), "something else is sent", || (receiver.requests() > requests).then_some(()));
    assert_eq!(receiver.refused(), refused, "what was refused for good is not tried again");
}

/// A body that does not compress, so that a small intake log is soon full.
fn noise(node: &Node, number: &mut u64) -> u16 {
    let mut message = String::with_capacity(NOISE_BYTES);
    while message.len() < NOISE_BYTES {
        *number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        message += &format!("{:016x}", *number ^ (*number >> 29));
    }
    node.send_logs(&format!("{{\"message\":\"{message}\",\"app\":\"noise\"}}")).0
}

/// Written in hexadecimal digits, of which half is left on disk.
const NOISE_BYTES: usize = 120 << 10;
/// Room for some 130 bodies of noise: less than a node frees before the engine's state is saved, every 5 min.
const SMALL: &str = "intake_bytes_max = 8000000";

#[test]
fn while_the_store_is_away_samples_spill_and_come_back_by_themselves() {
    let test = "while_the_store_is_away_samples_spill";
    let Some(mut store) = Store::prepare(test, Kind::VictoriaMetrics) else { return };
    let node = Node::start(&(store.config(SMALL) + "spill = true\n"));
    let begin = now_ms() - 3_600_000;
    let mut seed = 1;
    for number in 0..100_u64 {
        assert_eq!(write(&node, number, begin + number as i64 * 1_000), 204, "sample {number}");
        assert_eq!(noise(&node, &mut seed), 200, "body {number}");
    }
    let shown = until(ARRIVE_MAX, "the spill was used", || {
        Some(outside(&node)).filter(|shown| shown["spill"]["samples"].as_u64() > Some(50))
    });
    assert!(shown["failing_since"].is_number() && shown["spilled"].as_u64() > Some(50), "{shown}");
    store.launch();
    let expected: Vec<i64> = (0..100).map(|number| begin + number * 1_000).collect();
    until(ARRIVE_MAX, "all samples are outside", || (store.times(METRIC).len() >= expected.len()).then_some(()));
    assert_eq!(store.times(METRIC), expected, "each once");
    let shown =
        until(ARRIVE_MAX, "the spill is empty", || Some(outside(&node)).filter(|shown| shown["spill"]["samples"] == 0));
    assert!(shown["returned"].as_u64() >= shown["spilled"].as_u64(), "{shown}");
    assert_eq!(shown["refused"], json!({}));
}

#[test]
fn without_a_spill_senders_are_told_to_wait_and_nothing_is_lost() {
    let test = "without_a_spill_senders_are_told_to_wait";
    let Some(mut store) = Store::prepare(test, Kind::VictoriaMetrics) else { return };
    let mut node = Node::start(&store.config(SMALL));
    let begin = now_ms() - 3_600_000;
    let (mut seed, mut taken) = (1, Vec::new());
    for number in 0..300 {
        let time = begin + number * 1_000;
        match write(&node, number as u64, time) {
            204 => taken.push(time),
            503 => break,
            other => panic!("{other}"),
        }
        noise(&node, &mut seed);
    }
    assert!((20..300).contains(&taken.len()), "{} samples were taken before senders had to wait", taken.len());
    store.launch();
    until(ARRIVE_MAX, "what was taken is outside", || (store.times(METRIC).len() >= taken.len()).then_some(()));
    assert_eq!(store.times(METRIC), taken, "each once");
    // An end in order saves the engine's state, which else holds the log for up to 5 min.
    node.terminate();
    node.launch();
    node.wait_ready();
    until(ARRIVE_MAX, "the node takes more", || (write(&node, 1, begin + 900_000) == 204).then_some(()));
    taken.push(begin + 900_000);
    until(ARRIVE_MAX, "and sends it", || (store.times(METRIC).len() >= taken.len()).then_some(()));
    assert_eq!(store.times(METRIC), taken, "each once");
}

#[test]
fn what_the_node_held_before_is_migrated_once_however_often_that_is_asked_for() {
    let Some(store) = Store::start("what_the_node_held_before_is_migrated", Kind::VictoriaMetrics) else { return };
    let mut node = Node::start("");
    let begin = now_ms() - 7_200_000;
    for number in 0..100 {
        assert_eq!(write(&node, number as u64, begin + number * 60_000), 204);
    }
    until(Duration::from_secs(20), "they are stored", || {
        let answer = node.cli_json(&["query", "promql", &format!("count_over_time({METRIC}[3h])")]);
        (answer["data"]["result"][0]["value"][1] == "100").then_some(())
    });
    let refused = node.cli(&["migrate", "metrics"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("storage.outside_metrics"), "{refused:?}");
    node.terminate();
    let file = node.dir().join("watchkeeper.toml");
    let config = std::fs::read_to_string(&file).unwrap() + &store.config("");
    std::fs::write(&file, config).unwrap();
    node.launch();
    node.wait_ready();
    let first = node.cli_json(&["migrate", "metrics"]);
    assert!(first["done"] == true && first["samples"].as_u64() >= Some(100) && first["refused"] == 0, "{first}");
    let expected: Vec<i64> = (0..100).map(|number| begin + number * 60_000).collect();
    until(ARRIVE_MAX, "they are outside", || (store.times(METRIC) == expected).then_some(()));
    let blocks = |node: &Node| node.cli_json(&["pipeline"])["metrics"]["blocks"].as_u64().unwrap();
    assert!(blocks(&node) > 0, "the blocks stay");
    let second = node.cli_json(&["migrate", "metrics", "--drop"]);
    assert_eq!((&second["samples"], &second["done"]), (&first["samples"], &json!(true)), "nothing is sent twice");
    assert_eq!((blocks(&node), store.times(METRIC) == expected), (0, true), "{second}");
    node.terminate();
    let told = node.cli(&["query", "promql", METRIC]);
    assert!(String::from_utf8_lossy(&told.stderr).contains("kept outside"), "{told:?}");
}
