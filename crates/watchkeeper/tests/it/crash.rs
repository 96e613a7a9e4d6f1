//! `kill -9` at random moments under load from many writers, while parts and files are written and joined: nothing that
//! was acknowledged is lost, nothing is there twice, and every start is quick.
//!
//! Rounds: `WATCHKEEPER_ROUNDS` (8 where missing; `cargo xtask kill-rounds` runs 200).

use std::collections::{BTreeMap, BTreeSet};
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

/// Lines of one large body of logs.
const BULK_LINES: u64 = 4_000;
/// Series and samples of each of them in one large write: ten of these fill a part, two parts are joined.
const BULK_SERIES: u64 = 200;
const BULK_SAMPLES: u64 = 500;
/// Most large bodies of each sort in one round, so that a fast machine does not fill its disk.
const BULK_BODIES_MAX: u64 = 12;

/// What was acknowledged over all rounds.
#[derive(Default)]
struct Acknowledged {
    logs: Mutex<BTreeSet<u64>>,
    samples: Mutex<BTreeSet<u64>>,
    /// Round and number of large bodies.
    bulk_logs: Mutex<BTreeSet<(u64, u64)>>,
    bulk_samples: Mutex<BTreeSet<(u64, u64)>>,
    next: AtomicU64,
    /// Milliseconds; each sample has its own.
    clock: AtomicU64,
}

/// A large body of logs, all lines of one batch.
fn bulk_logs(round: u64, number: u64) -> String {
    (0..BULK_LINES)
        .map(|line| format!("{{\"message\":\"line {line}\",\"app\":\"bulk-{round}\",\"batch\":\"{number}\"}}\n"))
        .collect()
}

/// A large write; the times of all rounds and numbers differ.
fn bulk_samples(begin: i64, round: u64, number: u64) -> Vec<u8> {
    let first = begin + ((round * BULK_BODIES_MAX + number) * BULK_SAMPLES) as i64;
    let samples: Vec<(f64, i64)> = (0..BULK_SAMPLES).map(|at| (at as f64, first + at as i64)).collect();
    let names: Vec<String> = (0..BULK_SERIES).map(|series| format!("{series:03}")).collect();
    let labels: Vec<_> =
        names.iter().map(|name| [("__name__", "bulk_probe"), ("instance", "localhost:1"), ("series", name)]).collect();
    let series: Vec<remote_write::Series<'_>> = labels.iter().map(|labels| (&labels[..], &samples[..])).collect();
    remote_write::body(&series)
}

/// Sends large bodies until the node is gone.
fn bulk_load(
    node: &Node,
    (round, begin): (u64, i64),
    acknowledged: &Arc<Acknowledged>,
    stop: &Arc<AtomicBool>,
) -> Vec<std::thread::JoinHandle<()>> {
    let http = node.http;
    [false, true]
        .map(|metrics| {
            let (acknowledged, stop) = (Arc::clone(acknowledged), Arc::clone(stop));
            std::thread::spawn(move || {
                let client = crate::harness::client();
                for number in (0..BULK_BODIES_MAX).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let (request, kept) = if metrics {
                        let body = bulk_samples(begin, round, number);
                        (client.post(format!("http://{http}/api/v1/write")).body(body), &acknowledged.bulk_samples)
                    } else {
                        let body = bulk_logs(round, number);
                        (client.post(format!("http://{http}/api/v1/logs")).body(body), &acknowledged.bulk_logs)
                    };
                    match request.send() {
                        Ok(answer) if answer.status().is_success() => {
                            kept.lock().unwrap().insert((round, number));
                        }
                        Ok(answer) => assert!(answer.status().is_server_error(), "{}", answer.status()),
                        Err(_) => break,
                    }
                }
            })
        })
        .into()
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

/// Checks the large bodies of logs: each that was acknowledged is there, and each that is there, is there once.
fn check_bulk_logs(node: &Node, acknowledged: &BTreeSet<(u64, u64)>, rounds: u64) {
    for round in 0..rounds {
        let app = format!("bulk-{round}");
        let answer = node.cli_json(&["query", "logs", "--app", &app, "--top", "attributes.batch", "--limit", "1000"]);
        let counts: BTreeMap<u64, u64> = answer["top"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["values"][0].as_str().unwrap().parse().unwrap(), one["count"].as_u64().unwrap()))
            .collect();
        for (number, count) in &counts {
            assert_eq!(*count, BULK_LINES, "batch {number} of round {round}");
        }
        for (_, number) in acknowledged.range((round, 0)..(round + 1, 0)) {
            assert!(counts.contains_key(number), "batch {number} of round {round} is lost");
        }
    }
}

/// Checks the large writes, as [`check_bulk_logs`] does, on the first series, one in the middle and the last.
fn check_bulk_samples(node: &Node, acknowledged: &BTreeSet<(u64, u64)>, begin: i64) {
    for series in [0, BULK_SERIES / 2, BULK_SERIES - 1] {
        let query = format!("bulk_probe{{series=\"{series:03}\"}}[6h]");
        let answer = node.cli_json(&["query", "promql", &query]);
        let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
        let times: Vec<i64> =
            values.iter().map(|pair| (pair[0].as_f64().unwrap() * 1_000.0).round() as i64 - begin).collect();
        assert!(times.is_sorted_by(|a, b| a < b), "series {series} has a time twice");
        let mut found: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for time in times {
            let body = time as u64 / BULK_SAMPLES;
            *found.entry((body / BULK_BODIES_MAX, body % BULK_BODIES_MAX)).or_default() += 1;
        }
        assert!(found.values().all(|count| *count == BULK_SAMPLES), "series {series}: {found:?}");
        let lost: Vec<_> = acknowledged.iter().filter(|body| !found.contains_key(body)).collect();
        assert!(lost.is_empty(), "series {series} lost {lost:?}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_kill_9() {
    let rounds: u64 = std::env::var("WATCHKEEPER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let acknowledged = Arc::new(Acknowledged::default());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    acknowledged.clock.store(now - 600_000, Ordering::Relaxed);
    // Within one window of two hours that is over, whose parts are joined as soon as there are two.
    let begin = (now - now % 7_200_000 - 7_200_000) as i64;
    assert!(rounds * BULK_BODIES_MAX * BULK_SAMPLES < 7_200_000, "the times of {rounds} rounds fit into the window");
    let mut node = Node::prepare("");
    let (mut slowest, mut joined) = (Duration::ZERO, 0);
    for round in 0..rounds {
        let began = Instant::now();
        node.launch();
        node.wait_ready();
        slowest = slowest.max(began.elapsed());
        let stop = Arc::new(AtomicBool::new(false));
        let mut senders = load(&node, &acknowledged, &stop);
        senders.extend(bulk_load(&node, (round, begin), &acknowledged, &stop));
        // Moments spread over some two seconds without a pattern, the same in every run.
        std::thread::park_timeout(Duration::from_millis(150 + round.wrapping_mul(7_919) % 2_000));
        node.kill();
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().unwrap();
        }
        let blocks = std::fs::read_dir(node.data().join("metrics")).unwrap();
        joined += blocks.filter(|file| spans_records(&file.as_ref().unwrap().file_name().to_string_lossy())).count();
    }
    node.launch();
    node.wait_ready();
    let logs = acknowledged.logs.lock().unwrap();
    let samples = acknowledged.samples.lock().unwrap();
    let (bulk_logs, bulk_samples) = (acknowledged.bulk_logs.lock().unwrap(), acknowledged.bulk_samples.lock().unwrap());
    println!(
        "{rounds} rounds of kill -9: {} log records and {} samples acknowledged one by one, {} lines and {} samples in \
         large bodies, {joined} metric blocks seen, slowest start {slowest:?}",
        logs.len(),
        samples.len(),
        bulk_logs.len() as u64 * BULK_LINES,
        bulk_samples.len() as u64 * BULK_SERIES * BULK_SAMPLES,
    );
    assert!(logs.len() as u64 > rounds && samples.len() as u64 > rounds, "there was load");
    assert_eq!(missing_logs(&node, &logs), [0_u64; 0], "log records lost");
    assert_eq!(missing_samples(&node, &samples), [0_u64; 0], "samples lost");
    let doubled = node.count(
        "select count(*) from (select message from logs where app = 'crash' group by message having count(*) > 1)",
    );
    assert_eq!(doubled, 0, "log records are there twice");
    check_bulk_logs(&node, &bulk_logs, rounds);
    check_bulk_samples(&node, &bulk_samples, begin);
    assert!(joined > 0, "metric blocks were written while the node was killed");
    assert!(node.cli(&["journal", "verify"]).status.success(), "the journal holds");
    assert!(slowest <= START_MAX, "the slowest start took {slowest:?}");
}

/// Tells whether a file is a metric block of more than one record, by its name.
fn spans_records(name: &str) -> bool {
    let records = name.strip_suffix(".wkb").and_then(|stem| stem.split('_').next()?.split_once('-'));
    records.is_some_and(|(first, last)| first != last)
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
