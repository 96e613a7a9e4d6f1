//! The Prometheus HTTP API beside a real Prometheus: the same keys, types, statuses and kinds of error.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ended, Node, Read, client, free_port, peer, until};
use crate::remote_write::{self, now_ms};

/// A rule that always holds, and one that never does.
const RULES: &str = r#"
groups:
- name: shapes
  interval: 5s
  rules:
  - alert: Always
    expr: node_load1 >= 0
    labels: {severity: major, deck: "7"}
    annotations: {summary: "load is known"}
  - alert: Never
    expr: node_load1 < 0
    for: 1m
"#;

/// Maps whose keys are data, not shape.
const MAPS: [&str; 4] = ["labels", "annotations", "metric", "target"];

/// Every path to a value with the type that stands there; items of lists and entries of maps count as one.
fn outline(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: &str, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                all.insert(format!("{at}: object"));
                let is_map = MAPS.iter().any(|map| at.ends_with(&format!(".{map}")));
                for (name, field) in fields.iter().filter(|_| !is_map) {
                    walk(field, &format!("{at}.{name}"), all);
                }
            }
            Value::Array(items) => {
                all.insert(format!("{at}: array"));
                items.iter().for_each(|item| walk(item, &format!("{at}[]"), all));
            }
            Value::String(_) => drop(all.insert(format!("{at}: string"))),
            Value::Number(_) => drop(all.insert(format!("{at}: number"))),
            Value::Bool(_) => drop(all.insert(format!("{at}: boolean"))),
            Value::Null => drop(all.insert(format!("{at}: null"))),
        }
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

/// A real Prometheus and our node, which scrape the same exporter, the same dead target, and have the same rules.
struct Both {
    read: Read,
    port: u16,
    _peers: [Ended; 2],
}

impl Both {
    fn start(test: &str) -> Option<Self> {
        let mut exporter = peer(test, "usr/bin/prometheus-node-exporter")?;
        let mut prometheus = peer(test, "usr/bin/prometheus")?;
        let (exporter_port, port) = (free_port(), free_port());
        let dead = free_port();
        let scrape = |job: &str, port| {
            format!(
                "[[scrape]]\njob = \"{job}\"\nurl = \"http://127.0.0.1:{port}/metrics\"\ninterval_s = 1\ntimeout_s = 1\n"
            )
        };
        let mut node = Node::prepare(&format!(
            "[rules]\ndefaults = false\nfiles = [\"rules.yaml\"]\n{}{}",
            scrape("node", exporter_port),
            scrape("dead", dead)
        ));
        let dir = node.dir().to_owned();
        std::fs::write(dir.join("rules.yaml"), RULES).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yaml]\nscrape_configs:\n\
             - job_name: node\n  static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]\n\
             - job_name: dead\n  static_configs: [{{targets: ['127.0.0.1:{dead}']}}]\n"
        );
        std::fs::write(dir.join("prometheus.yml"), config).unwrap();
        let exporter = exporter.arg(format!("--web.listen-address=127.0.0.1:{exporter_port}"));
        let exporter = Ended(exporter.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let log = std::fs::File::create(dir.join("prometheus.log")).unwrap();
        let prometheus = prometheus
            .current_dir(&dir)
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=tsdb")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let prometheus = Ended(prometheus.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        node.launch();
        node.wait_ready();
        let both = Self { read: Read::new(node), port, _peers: [exporter, prometheus] };
        both.settle();
        Some(both)
    }

    /// Waits until both have scraped, evaluated and fire.
    fn settle(&self) {
        let firing = |answer: &Value| answer["data"]["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
        let health = |answer: &Value| {
            let targets = answer["data"]["activeTargets"].as_array()?;
            let mut words: Vec<&str> = targets.iter().filter_map(|target| target["health"].as_str()).collect();
            words.sort_unstable();
            Some(words == ["down", "up"])
        };
        until(Duration::from_secs(60), "both fire and have scraped", || {
            let theirs = self.theirs("alerts")?.1;
            let ours = self.ours("alerts").1;
            let scraped = health(&self.theirs("targets")?.1)? && health(&self.ours("targets").1)?;
            (firing(&theirs) && firing(&ours) && scraped).then_some(())
        });
    }

    fn theirs(&self, path: &str) -> Option<(u16, Value)> {
        let response = client().get(format!("http://127.0.0.1:{}/api/v1/{path}", self.port)).send().ok()?;
        Some((response.status().as_u16(), response.json().ok()?))
    }

    fn ours(&self, path: &str) -> (u16, Value) {
        self.read.ask("GET", &format!("/api/v1/{path}"), &Value::Null)
    }

    fn ours_as_admin(&self, path: &str) -> (u16, Value) {
        let admin = self.read.node.token("admin");
        let response = self.read.node.request("GET", &format!("/api/v1/{path}")).bearer_auth(admin).send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }
}

#[test]
fn every_endpoint_has_the_keys_and_types_of_a_real_prometheus() {
    let Some(both) = Both::start("every_endpoint_has_the_keys_and_types_of_a_real_prometheus") else { return };
    let at = now_ms() / 1_000;
    let range = format!("start={}&end={at}&step=1", at - 5);
    let span = format!("start={}&end={at}", at - 60);
    for path in [
        "query?query=up".to_owned(),
        "query?query=up[5s]".to_owned(),
        "query?query=1".to_owned(),
        "query?query=\"word\"".to_owned(),
        format!("query_range?query=up&{range}"),
        format!("query_exemplars?query=up&{span}"),
        "format_query?query=foo/bar".to_owned(),
        format!("series?match[]=up&{span}"),
        format!("labels?{span}"),
        format!("label/job/values?{span}"),
        "metadata?metric=node_load1".to_owned(),
        "metadata?metric=no_such_metric".to_owned(),
        "targets".to_owned(),
        "targets?state=dropped".to_owned(),
        "targets/metadata?metric=node_load1".to_owned(),
        "rules".to_owned(),
        "rules?type=alert".to_owned(),
        "alerts".to_owned(),
        "alertmanagers".to_owned(),
        "status/buildinfo".to_owned(),
        "status/runtimeinfo".to_owned(),
        "status/config".to_owned(),
        "status/tsdb".to_owned(),
    ] {
        let (their_status, theirs) = both.theirs(&path).unwrap_or_else(|| panic!("{path}: Prometheus does not answer"));
        let (status, ours) = if path == "status/config" { both.ours_as_admin(&path) } else { both.ours(&path) };
        assert_eq!(status, their_status, "{path}: {ours}");
        let (expected, found) = (outline(&theirs), outline(&ours));
        let missing: Vec<&String> = expected.difference(&found).collect();
        assert!(missing.is_empty(), "{path}: {missing:?} are missing\n theirs: {theirs}\n ours: {ours}");
    }
    // As Prometheus 3, which leaves out groups of which nothing is wanted.
    assert_eq!(both.ours("rules?type=record").1["data"], json!({"groups": []}));
    let flags = both.ours("status/flags").1;
    for (flag, value) in flags["data"].as_object().unwrap() {
        assert!(both.theirs("status/flags").unwrap().1["data"][flag].is_string(), "{flag} is no flag of Prometheus");
        assert!(value.is_string(), "{flag}: {value}");
    }
}

#[test]
fn what_is_known_of_scraped_metrics_is_what_a_real_prometheus_knows() {
    let Some(both) = Both::start("what_is_known_of_scraped_metrics") else { return };
    let (theirs, ours) = (both.theirs("metadata").unwrap().1, both.ours("metadata").1);
    let families = theirs["data"].as_object().unwrap();
    assert!(families.len() > 100, "{} families", families.len());
    for (family, variants) in families {
        assert_eq!(&ours["data"][family], variants, "{family}");
    }
    let series = "series?match[]={__name__=~\"node_disk.*|node_filesystem.*|up\"}";
    let sorted = |answer: &Value| -> BTreeSet<String> {
        answer["data"].as_array().unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(sorted(&both.ours(series).1), sorted(&both.theirs(series).unwrap().1));
    let labels = "label/__name__/values?match[]={__name__=~\"(go|node|process|promhttp)_.*\"}";
    assert_eq!(sorted(&both.ours(labels).1), sorted(&both.theirs(labels).unwrap().1));
    let rule = |answer: &Value| {
        let mut rule = answer["data"]["groups"][0]["rules"][0].clone();
        for measured in ["lastEvaluation", "evaluationTime", "alerts", "annotations"] {
            rule[measured] = Value::Null;
        }
        rule
    };
    assert_eq!(rule(&both.ours("rules").1), rule(&both.theirs("rules").unwrap().1));
    for query in ["foo/bar", "sum(rate(a[5m]))by(job)", "a{b=\"c\"}offset 5m", "-1^2", "topk(3,a)", "(a or b) and c"] {
        let path = format!("format_query?{}", form(&[("query", query)]));
        assert_eq!(both.ours(&path), both.theirs(&path).unwrap(), "{query}");
    }
}

#[test]
fn what_a_real_prometheus_refuses_is_refused_with_the_same_status_and_kind() {
    let Some(both) = Both::start("what_a_real_prometheus_refuses") else { return };
    let twice = "node_cpu_seconds_total * on(job) node_cpu_seconds_total";
    let same = "label_replace(node_cpu_seconds_total, \"cpu\", \"\", \"cpu\", \".*\") + 1";
    for (path, parameters) in [
        ("query", vec![("query", "rate(")]),
        ("query", vec![]),
        ("query", vec![("query", "up"), ("time", "noon")]),
        ("query", vec![("query", "up"), ("timeout", "soon")]),
        ("query", vec![("query", twice)]),
        ("query", vec![("query", same)]),
        ("query_range", vec![("query", "up"), ("start", "10"), ("end", "1"), ("step", "1")]),
        ("query_range", vec![("query", "up"), ("start", "1"), ("end", "2"), ("step", "0")]),
        ("query_range", vec![("query", "up"), ("start", "1"), ("end", "200000"), ("step", "1")]),
        ("query_range", vec![("query", "up[5m]"), ("start", "1"), ("end", "2"), ("step", "1")]),
        ("query_range", vec![("query", "up"), ("start", "1"), ("end", "2")]),
        ("series", vec![]),
        ("series", vec![("match[]", "{}")]),
        ("series", vec![("match[]", "up[5m]")]),
        ("labels", vec![("match[]", "{")]),
        ("labels", vec![("start", "noon")]),
        ("metadata", vec![("limit", "many")]),
        ("rules", vec![("type", "wishes")]),
        ("format_query", vec![("query", "sum(")]),
        ("format_query", vec![]),
        ("query_exemplars", vec![("query", "sum(")]),
    ] {
        let path = format!("{path}?{}", form(&parameters));
        let (their_status, theirs) = both.theirs(&path).unwrap();
        let (status, ours) = both.ours(&path);
        assert_eq!((status, &ours["errorType"]), (their_status, &theirs["errorType"]), "{path}: {ours}");
        assert_eq!(outline(&ours), outline(&theirs), "{path}");
    }
}

/// Parameters as a form.
fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A node with 30 series of a minute ago.
fn thirty() -> Read {
    let read = Read::new(Node::start(""));
    let names: Vec<String> = (10..40).map(|at| format!("s{at}")).collect();
    let at = now_ms() - 60_000;
    let series: Vec<_> = names.iter().map(|name| [("__name__", "probe"), ("name", name.as_str())]).collect();
    let samples = [(1.0, at)];
    let series: Vec<remote_write::Series<'_>> = series.iter().map(|labels| (&labels[..], &samples[..])).collect();
    let response = read.node.request("POST", "/api/v1/write").body(remote_write::body(&series)).send().unwrap();
    assert_eq!(response.status().as_u16(), 204);
    until(Duration::from_secs(10), "the series are there", || {
        let count = read.get("/api/v1/query?query=count(probe)");
        (count["data"]["result"][0]["value"][1] == "30").then_some(())
    });
    read
}

#[test]
fn a_limit_cuts_and_says_so() {
    let read = thirty();
    let at = now_ms() / 1_000;
    let length = |answer: &Value| {
        let data = &answer["data"];
        data["result"].as_array().or_else(|| data.as_array()).unwrap().len()
    };
    for path in [
        "query?query=probe".to_owned(),
        format!("query_range?query=probe&start={}&end={at}&step=15", at - 60),
        "series?match[]=probe".to_owned(),
        "label/name/values?match[]=probe".to_owned(),
    ] {
        let whole = read.get(&format!("/api/v1/{path}"));
        assert_eq!((length(&whole), whole.get("warnings")), (30, None), "{path}");
        for limit in ["0", "30"] {
            let whole = read.get(&format!("/api/v1/{path}&limit={limit}"));
            assert_eq!((length(&whole), whole.get("warnings")), (30, None), "{path} {limit}");
        }
        let cut = read.get(&format!("/api/v1/{path}&limit=7"));
        assert_eq!(length(&cut), 7, "{path}");
        assert_eq!(cut["warnings"], json!(["results truncated due to limit"]), "{path}");
        let (status, refused) = read.ask("GET", &format!("/api/v1/{path}&limit=-1"), &Value::Null);
        assert_eq!((status, &refused["errorType"]), (400, &json!("bad_data")), "{path}");
    }
}

#[test]
fn a_query_that_takes_longer_than_its_timeout_ends() {
    let read = thirty();
    let nested = "count_over_time(avg_over_time(avg_over_time(probe[6h:1s])[6h:1s])[6h:1s])";
    let path = format!("/api/v1/query?{}", form(&[("query", nested), ("timeout", "1ms")]));
    let (status, refused) = read.ask("GET", &path, &Value::Null);
    assert_eq!((status, &refused["errorType"]), (503, &json!("timeout")), "{refused}");
    let path = format!("/api/v1/query?{}", form(&[("query", "probe"), ("lookback_delta", "1m")]));
    let (status, refused) = read.ask("GET", &path, &Value::Null);
    assert_eq!(status, 400, "a bound that is not kept is refused, not passed over: {refused}");
}

#[test]
fn the_configuration_shows_no_password_and_not_to_everyone() {
    let scrape = "[[scrape]]\njob = \"modem\"\nurl = \"http://reader:open-sesame@127.0.0.1:9/metrics\"\n";
    let read = Read::new(Node::start(scrape));
    assert_eq!(read.ask("GET", "/api/v1/status/config", &Value::Null).0, 403, "a viewer");
    let admin = read.node.token("admin");
    let shown = read.node.request("GET", "/api/v1/status/config").bearer_auth(admin).send().unwrap().text().unwrap();
    assert!(shown.contains("http://reader:xxxxx@127.0.0.1:9/metrics") && !shown.contains("open-sesame"), "{shown}");
    let targets = read.get("/api/v1/targets");
    assert_eq!(targets["data"]["activeTargets"][0]["scrapeUrl"], "http://reader:xxxxx@127.0.0.1:9/metrics");
    assert!(!targets.to_string().contains("open-sesame"));
}
