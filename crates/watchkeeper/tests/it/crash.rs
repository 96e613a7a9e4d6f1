//! `kill -9` at random moments under load: nothing that was acknowledged is lost, and every start is quick.
//!
//! Rounds: `WATCHKEEPER_ROUNDS` (8 where missing; `cargo xtask kill-rounds` runs 200).

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::Node;
use crate::remote_write;

/// A start that takes longer than this hangs. How long it takes on an idle machine, where the target is 2 s, stands in
/// docs/measurements.md: a busy test machine proves nothing about it.
const START_MAX: Duration = Duration::from_secs(10);

/// One sample of the probe as a remote write body.
fn write_body(number: u64, timestamp: i64) -> Vec<u8> {
    let labels = [("__name__", "crash_probe"), ("instance", "localhost:1"), ("job", "crash")];
    remote_write::body(&[(&labels, &[(number as f64, timestamp)])])
}

/// What was acknowledged over all rounds.
#[derive(Default)]
struct Acknowledged {
    logs: Mutex<BTreeSet<u64>>,
    samples: Mutex<BTreeSet<u64>>,
    next: AtomicU64,
    /// Milliseconds; each sample has its own.
    clock: AtomicU64,
}

/// Sends over all three ways until the node is gone.
fn load(node: &Node, acknowledged: &Arc<Acknowledged>, stop: &Arc<AtomicBool>) -> Vec<std::thread::JoinHandle<()>> {
    let (http, syslog) = (node.http, node.syslog);
    let mut senders = Vec::new();
    for sender in 0..4 {
        let (acknowledged, stop) = (Arc::clone(acknowledged), Arc::clone(stop));
        senders.push(std::thread::spawn(move || {
            let client = crate::harness::client();
            while !stop.load(Ordering::Relaxed) {
                let number = acknowledged.next.fetch_add(1, Ordering::Relaxed);
                let (request, kept) = if sender % 2 == 0 {
                    let body = format!("{{\"message\":\"log-{number}\",\"app\":\"crash\"}}");
                    (client.post(format!("http://{http}/api/v1/logs")).body(body), &acknowledged.logs)
                } else {
                    let timestamp = acknowledged.clock.fetch_add(1, Ordering::Relaxed) as i64;
                    let body = write_body(number, timestamp);
                    (client.post(format!("http://{http}/api/v1/write")).body(body), &acknowledged.samples)
                };
                match request.send() {
                    Ok(answer) if answer.status().is_success() => drop(kept.lock().unwrap().insert(number)),
                    Ok(answer) => assert!(answer.status().is_server_error(), "{}", answer.status()),
                    Err(_) => break,
                }
            }
        }));
    }
    // Plain syslog over TCP acknowledges nothing; it is here as load, and must not disturb what is acknowledged.
    let stop = Arc::clone(stop);
    senders.push(std::thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(syslog) else { return };
        while !stop.load(Ordering::Relaxed) {
            if writeln!(stream, "<14>1 2026-11-24T02:14:02Z localhost noise - - - wave").is_err() {
                return;
            }
        }
    }));
    senders
}

/// The acknowledged logs that the node does not have.
fn missing_logs(node: &Node, acknowledged: &BTreeSet<u64>) -> Vec<u64> {
    let all: Vec<u64> = acknowledged.iter().copied().collect();
    let mut missing = Vec::new();
    for chunk in all.chunks(2_000) {
        let names: Vec<String> = chunk.iter().map(|number| format!("'log-{number}'")).collect();
        let query =
            format!("select distinct message from logs where app = 'crash' and message in ({})", names.join(","));
        let found: BTreeSet<String> = node.sql(&query).iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
        missing.extend(chunk.iter().filter(|number| !found.contains(&format!("log-{number}"))));
    }
    missing
}

/// The acknowledged samples that the node does not have.
fn missing_samples(node: &Node, acknowledged: &BTreeSet<u64>) -> Vec<u64> {
    let answer = node.cli_json(&["query", "promql", "crash_probe[2h]"]);
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let found: BTreeSet<u64> = values.iter().map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect();
    acknowledged.difference(&found).copied().collect()
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let rounds: u64 = std::env::var("WATCHKEEPER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let acknowledged = Arc::new(Acknowledged::default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    acknowledged.clock.store(now.as_millis() as u64 - 600_000, Ordering::Relaxed);
    let mut node = Node::prepare("");
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let began = Instant::now();
        node.launch();
        node.wait_ready();
        slowest = slowest.max(began.elapsed());
        let stop = Arc::new(AtomicBool::new(false));
        let senders = load(&node, &acknowledged, &stop);
        // Moments spread over a second without a pattern, the same in every run.
        std::thread::park_timeout(Duration::from_millis(150 + round.wrapping_mul(7_919) % 1_000));
        node.kill();
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().unwrap();
        }
    }
    node.launch();
    node.wait_ready();
    let logs = acknowledged.logs.lock().unwrap();
    let samples = acknowledged.samples.lock().unwrap();
    println!(
        "{rounds} rounds of kill -9: {} log records and {} samples acknowledged, slowest start {slowest:?}",
        logs.len(),
        samples.len()
    );
    assert!(logs.len() as u64 > rounds && samples.len() as u64 > rounds, "there was load");
    assert_eq!(missing_logs(&node, &logs), [0_u64; 0], "log records lost");
    assert_eq!(missing_samples(&node, &samples), [0_u64; 0], "samples lost");
    assert!(node.cli(&["journal", "verify"]).status.success(), "the journal holds");
    assert!(slowest <= START_MAX, "the slowest start took {slowest:?}");
}

#[test]
fn a_cut_or_flipped_segment_costs_its_frames_and_is_reported() {
    for damage in ["cut", "flip"] {
        let mut node = Node::start("");
        for number in 0..40 {
            let body = format!("{{\"message\":\"log-{number}\",\"app\":\"crash\"}}");
            assert!(node.request("POST", "/api/v1/logs").body(body).send().unwrap().status().is_success());
        }
        node.kill();
        let intake = node.data().join("intake");
        let newest = std::fs::read_dir(&intake)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.metadata().unwrap().len() > 2_000)
            .max()
            .unwrap();
        let mut bytes = std::fs::read(&newest).unwrap();
        match damage {
            // Within the last frame: a whole frame cut off an unclean end is known to nobody but its sender.
            "cut" => bytes.truncate(bytes.len() - 10),
            _ => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
        }
        std::fs::write(&newest, bytes).unwrap();
        node.launch();
        node.wait_ready();
        let kept = crate::harness::until(Duration::from_secs(5), "the rest is there", || {
            let count = node.count("select count(*) from logs where app = 'crash'");
            (count >= 38).then_some(count)
        });
        assert!(kept <= 40, "{damage}: {kept} of 40 kept");
        let told = String::from_utf8_lossy(&node.cli(&["doctor"]).stdout).into_owned();
        assert!(told.contains("damage"), "{damage}: {told}");
    }
}
