//! Clients that connect and then hardly say anything.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::{Node, until};

/// How many clients dawdle at once.
const SLOW: usize = 200;
/// How long one good request may take beside them.
const REQUEST_MAX: Duration = Duration::from_secs(2);

/// Clients that stop in the middle of what they have to say.
fn slow_clients(address: SocketAddr, count: usize, beginnings: &[&str]) -> Vec<TcpStream> {
    (0..count)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(beginnings[number % beginnings.len()].as_bytes()).unwrap();
            stream
        })
        .collect()
}

/// One more byte from each of them.
fn dawdle(clients: &mut [TcpStream]) {
    for client in clients {
        // Those that the node has hung up on are no matter.
        let _ = client.write_all(b"x");
    }
}

const HTTP: [&str; 4] = [
    "",
    "POST /api/v1/lo",
    "POST /api/v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    "POST /api/v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{\"message\":\"",
];
const SYSLOG: [&str; 3] =
    ["", "<14>1 2026-11-24T02:14:02Z localhost slow - - - ", "1000 <14>1 2026-11-24T02:14:02Z loc"];

#[test]
fn two_hundred_slow_http_clients_do_not_stop_ingest() {
    let mut node = Node::start("");
    let mut slow = slow_clients(node.http, SLOW, &HTTP);
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        dawdle(&mut slow);
        let began = Instant::now();
        let (status, answer) = node.send_logs(&format!(r#"{{"message":"good {number}","app":"good"}}"#));
        slowest = slowest.max(began.elapsed());
        assert_eq!(status, 200, "{answer}");
    }
    println!("slowest of 20 requests beside {SLOW} slow clients: {slowest:?}");
    assert!(slowest < REQUEST_MAX, "{slowest:?}");
    assert_eq!(node.count("select count(*) from logs where app = 'good'"), 20);
    assert!(node.terminate() < Duration::from_secs(5), "they do not hold up the end either");
}

#[test]
fn two_hundred_slow_syslog_clients_do_not_stop_their_neighbours() {
    let mut node = Node::start("");
    let mut before = TcpStream::connect(node.syslog).unwrap();
    let mut slow = slow_clients(node.syslog, SLOW, &SYSLOG);
    let mut after = TcpStream::connect(node.syslog).unwrap();
    for number in 0..20 {
        dawdle(&mut slow);
        writeln!(before, "<14>1 2026-11-24T02:14:02Z localhost before - - - {number}").unwrap();
        // Where the node has hung up on it, the count below tells.
        let _ = writeln!(after, "<14>1 2026-11-24T02:14:02Z localhost after - - - {number}");
    }
    let count = |app: &str| node.count(&format!("select count(*) from logs where app = '{app}'"));
    until(Duration::from_secs(10), "one that was there before", || (count("before") == 20).then_some(()));
    until(Duration::from_secs(10), "one that came after", || (count("after") == 20).then_some(()));
    assert!(node.terminate() < Duration::from_secs(5), "they do not hold up the end either");
}
