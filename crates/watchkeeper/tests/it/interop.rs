//! Real peers on loopback: Prometheus with node exporter, and rsyslog.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Ended, Node, free_port, peer, until};

/// Ten queries that must answer the same on both sides. Between them: selectors, matchers, functions over ranges,
/// aggregations, arithmetic between vectors, comparison, ranking.
const QUERIES: [&str; 10] = [
    "node_load1",
    r#"sum by (mode) (rate(node_cpu_seconds_total{job="node"}[30s]))"#,
    "avg_over_time(node_load5[20s])",
    r#"max by (device) (node_filesystem_size_bytes{fstype!="proc"})"#,
    r#"count({job="node", __name__=~"node_.*"})"#,
    "increase(node_context_switches_total[30s])",
    r#"topk(3, node_cpu_seconds_total{mode="idle"})"#,
    "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "quantile(0.5, rate(node_cpu_seconds_total[25s]))",
    r#"stddev(node_cpu_seconds_total{mode=~"user|system"}) > 0"#,
];

/// Labels as text to values.
fn vector(answer: &Value) -> BTreeMap<String, f64> {
    let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| (row["metric"].to_string(), row["value"][1].as_str().unwrap().parse().unwrap())).collect()
}

fn agree(theirs: &BTreeMap<String, f64>, ours: &BTreeMap<String, f64>) -> bool {
    theirs.len() == ours.len()
        && theirs.iter().all(|(labels, value)| {
            ours.get(labels).is_some_and(|own| (own - value).abs() <= 1e-9 * value.abs().max(1e-300))
        })
}

/// How long Prometheus writes before the answers are compared: `WATCHKEEPER_PROMETHEUS_SECONDS`, 45 where missing.
fn seconds() -> u64 {
    std::env::var("WATCHKEEPER_PROMETHEUS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(45)
}

#[test]
fn a_real_prometheus_writes_to_us_and_ten_queries_answer_the_same() {
    let name = "a_real_prometheus_writes_to_us";
    let (Some(mut exporter), Some(mut prometheus)) =
        (peer(name, "usr/bin/prometheus-node-exporter"), peer(name, "usr/bin/prometheus"))
    else {
        return;
    };
    let node = Node::start("");
    let (exporter_port, port) = (free_port(), free_port());
    let quiet = || Stdio::null();
    let _exporter = Ended(
        exporter
            .arg(format!("--web.listen-address=127.0.0.1:{exporter_port}"))
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .unwrap(),
    );
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]\n\
         remote_write:\n- url: http://{}/api/v1/write\n",
        node.http
    );
    let file = node.dir().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(node.dir().join("prometheus.log")).unwrap();
    let _prometheus = Ended(
        prometheus
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", node.dir().join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(quiet())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let client = crate::harness::client();
    let ask_them = |query: &str, at: f64| -> Option<Value> {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("query", query)
            .append_pair("time", &at.to_string())
            .finish();
        client.get(format!("http://127.0.0.1:{port}/api/v1/query?{form}")).send().ok()?.json().ok()
    };
    let ask_us = |query: &str, at: f64| node.cli_json(&["query", "promql", query, "--time", &at.to_string()]);
    let newest = until(Duration::from_secs(30 + seconds()), "Prometheus has written long enough", || {
        let first = ask_them("min_over_time(timestamp(up{job='node'})[1h:1s])", now())?;
        let first: f64 = first["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
        let last = ask_them("timestamp(up{job='node'})", now())?;
        let last: f64 = last["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
        (last - first >= seconds() as f64).then_some(last)
    });
    // Half a scrape interval after a scrape, and five scrapes back: no sample lies on the border of a range, where
    // Prometheus 2 and 3 differ, and everything up to there has been written to us.
    let at = newest - 4.5;
    until(Duration::from_secs(30), "the samples up to that instant have arrived", || {
        let ours = ask_us("timestamp(up{job='node'})", at);
        let last: f64 = ours["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
        (at - last < 1.0).then_some(())
    });
    for query in QUERIES {
        let theirs = vector(&ask_them(query, at).unwrap());
        let ours = vector(&ask_us(query, at));
        assert!(!theirs.is_empty(), "{query} answers nothing");
        assert!(agree(&theirs, &ours), "{query}\n theirs: {theirs:?}\n ours: {ours:?}");
        println!("{query}: {} rows, the same on both sides", ours.len());
    }
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn a_real_rsyslog_forwards_100_000_lines_and_all_are_there() {
    const LINES: u64 = 100_000;
    let Some(mut rsyslog) = peer("a_real_rsyslog_forwards", "usr/sbin/rsyslogd") else { return };
    let node = Node::start("");
    let dir = node.dir();
    let lines: String =
        (0..LINES).map(|number| format!("<14>Nov 24 02:14:00 localhost flood: line {number}\n")).collect();
    let input = dir.join("input.log");
    std::fs::write(&input, lines).unwrap();
    let modules = std::path::PathBuf::from(std::env::var_os("WATCHKEEPER_PEERS").unwrap());
    let config = format!(
        "global(workDirectory=\"{0}\")\nmodule(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\n\
         input(type=\"imfile\" file=\"{1}\" tag=\"flood:\" readMode=\"0\")\n\
         template(name=\"line\" type=\"string\" string=\"<14>1 %timegenerated:::date-rfc3339% localhost flood - - - %msg%\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{2}\" protocol=\"tcp\" template=\"line\" queue.type=\"linkedList\" queue.size=\"200000\" action.resumeRetryCount=\"-1\")\n",
        dir.display(),
        input.display(),
        node.syslog.port()
    );
    let file = dir.join("rsyslog.conf");
    std::fs::write(&file, config).unwrap();
    let log = std::fs::File::create(dir.join("rsyslog.log")).unwrap();
    let _rsyslog = Ended(
        rsyslog
            .args(["-n", "-iNONE", "-f"])
            .arg(&file)
            .arg("-M")
            .arg(modules.join("usr/lib/x86_64-linux-gnu/rsyslog"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    until(Duration::from_secs(120), "all lines are there", || {
        let count = node.count("select count(*) from logs where app = 'flood'");
        assert!(count <= LINES, "{count} lines, more than were sent");
        (count == LINES).then_some(())
    });
    let distinct = "select count(distinct message) from logs where app = 'flood'";
    assert_eq!(node.count(distinct), LINES, "each line once");
}
