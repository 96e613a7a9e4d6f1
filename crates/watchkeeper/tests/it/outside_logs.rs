//! A node whose logs are in ClickHouse: its engine (chdb) behind the HTTP interface of the tests of `wk-connect`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ended, Node, Read, free_port, peer, until};

/// How long a store may take to start, and lines to reach it.
const WITHIN: Duration = Duration::from_secs(90);

/// The engine on loopback; it ends with the test.
pub struct ClickHouse {
    test: &'static str,
    process: Option<Ended>,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl ClickHouse {
    /// Starts the engine; `None`, and noted as skipped, where it cannot be had.
    pub fn start(test: &'static str) -> Option<Self> {
        peer(test, "chdb/bin/python")?;
        let mut engine = Self { test, process: None, folder: tempfile::tempdir().unwrap(), port: free_port() };
        engine.launch();
        Some(engine)
    }

    /// Starts the process, on the folder of before.
    pub fn launch(&mut self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wk-connect/tests/it/clickhouse/serve.py");
        let mut python = peer(self.test, "chdb/bin/python").unwrap();
        python.arg(script).arg(self.folder.path()).arg(self.port.to_string()).stdin(Stdio::piped());
        self.process = Some(Ended(python.spawn().unwrap()));
        until(WITHIN, "the engine answers", || TcpStream::connect(("127.0.0.1", self.port)).ok());
    }

    /// Ends the process as a power cut would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks the engine itself; answers its rows as text, or what it says is wrong.
    pub fn ask(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).map_err(|error| error.to_string())?;
        let length = sql.len();
        let head = format!(
            "POST /?database={database} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), sql.as_bytes()].concat()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        if head.starts_with("HTTP/1.1 200") { Ok(body.to_owned()) } else { Err(body.to_owned()) }
    }

    /// The lines of configuration for a node that keeps its logs here.
    pub fn configuration(&self) -> String {
        format!(
            "[storage]\nlogs = \"clickhouse\"\n[storage.outside_logs]\nurl = \"http://127.0.0.1:{}\"\ndatabase = \"ship\"\n\
             ttl_days = 90\n",
            self.port
        )
    }

    /// How many lines it has; 0 where it has no table yet.
    fn count(&self) -> u64 {
        let count = self.ask("ship", "SELECT count() FROM logs");
        count.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

fn lines(range: std::ops::Range<u32>) -> String {
    let line = |at| {
        json!({
            "timestamp": format!("2026-11-24T12:{:02}:{:02}Z", at / 60, at % 60), "app": if at % 2 == 0 { "dhcpd" } else { "modem" },
            "severity": if at % 5 == 0 { "err" } else { "info" }, "message": format!("lease {at} given"), "host": "localhost",
            "port": at,
        })
        .to_string()
    };
    range.map(line).collect::<Vec<_>>().join("\n")
}

fn send(node: &Node, range: std::ops::Range<u32>) {
    assert_eq!(node.send_logs(&lines(range)).0, 200);
}

fn wait_for(store: &ClickHouse, count: u64) {
    until(WITHIN, "the lines are in the store", || (store.count() >= count).then_some(()));
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn every_question_about_logs_is_answered_from_clickhouse() {
    let Some(store) = ClickHouse::start("outside_logs: every_question_about_logs") else { return };
    let read = Read::new(Node::start(&store.configuration()));
    send(&read.node, 0..100);
    wait_for(&store, 100);
    assert_eq!(read.node.count("select count(*) from logs where app = 'modem' and message like '%9 given'"), 10);
    let found = read.get("/api/v1/logs/query?text=LEASE+4&severity_min=major&order=oldest");
    let messages: Vec<&str> =
        found["rows"].as_array().unwrap().iter().map(|row| row["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["lease 40 given", "lease 45 given"]);
    let bins = read.get("/api/v1/logs/histogram?step=1m&app=dhcpd");
    assert_eq!(bins["bins"].as_array().unwrap().len(), 2, "{bins}");
    let top = read.get("/api/v1/logs/top?field=app&field=severity");
    assert_eq!((top["rows"].as_u64(), top["distinct"].as_u64()), (Some(100), Some(4)), "{top}");
    let joined = read
        .node
        .sql("select a.id, count(*) from logs l join assets a on a.id = l.asset where l.severity = 'major' group by 1");
    assert_eq!(joined.len(), 1);
    assert_eq!(joined[0][1], 20);
    let pipeline = read.node.cli_json(&["pipeline"]);
    let outside = &pipeline["outside_logs"];
    assert_eq!((&outside["kind"], &outside["sent_rows"]), (&json!("clickhouse"), &json!(100)), "{outside}");
    assert!(outside["last_error"].is_null(), "{outside}");
    let own = read.node.data().join("logs");
    assert!(std::fs::read_dir(own).unwrap().flatten().all(|file| !file.path().to_string_lossy().ends_with(".parquet")));
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_store_that_is_away_costs_no_line_and_no_readiness() {
    let Some(mut store) = ClickHouse::start("outside_logs: a_store_that_is_away") else { return };
    let mut node = Node::start(&store.configuration());
    send(&node, 0..10);
    wait_for(&store, 10);
    store.kill();
    send(&node, 10..20);
    until(WITHIN, "the store is told to be away", || {
        let outside = node.cli_json(&["pipeline"])["outside_logs"].clone();
        outside["last_error"].as_str().is_some_and(|text| text.contains("could not reach ClickHouse")).then_some(())
    });
    assert_eq!(node.get_status("/readyz"), Some(200), "what comes in is still taken in");
    let read = Read { token: node.token("viewer"), node };
    let (status, answer) = read.ask("GET", "/api/v1/logs/query", &Value::Null);
    assert_eq!(status, 503, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("ClickHouse"), "{answer}");
    node = read.node;
    // The node is killed as well, and comes back before the store does.
    node.kill();
    node.launch();
    node.wait_ready();
    send(&node, 20..30);
    store.launch();
    wait_for(&store, 30);
    let ports = node.sql("select json_extract(attributes, '$.port') from logs order by time");
    let ports: Vec<String> = ports.iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
    assert_eq!(ports, (0..30).map(|at| at.to_string()).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn what_the_node_kept_itself_is_moved_and_found_beside_what_comes_after() {
    let Some(store) = ClickHouse::start("outside_logs: what_the_node_kept_itself") else { return };
    let mut node = Node::start("");
    send(&node, 0..50);
    until(WITHIN, "the lines are in the lake", || (node.count("select count(*) from logs") == 50).then_some(()));
    node.terminate();
    let file = node.dir().join("watchkeeper.toml");
    let text = std::fs::read_to_string(&file).unwrap() + &store.configuration();
    std::fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap().to_owned();
    let moved = node.cli_json(&["migrate", "logs", "--config", &config]);
    assert_eq!((&moved["files_done"], &moved["rows_sent"]), (&json!(1), &json!(50)), "{moved}");
    let again = node.cli_json(&["migrate", "logs", "--config", &config]);
    assert_eq!((&again["files_done"], &again["rows_sent"]), (&json!(1), &json!(0)), "{again}");
    node.launch();
    node.wait_ready();
    send(&node, 50..60);
    wait_for(&store, 60);
    assert_eq!(node.count("select count(distinct message) from logs"), 60);
    assert_eq!(store.count(), 60);
    let running = node.cli(&["migrate", "logs", "--config", &config]);
    assert!(!running.status.success() && String::from_utf8_lossy(&running.stderr).contains("in use"));
}
