//! Bodies, headers and bytes that nobody should send: refused with a reason that is counted, beside neighbours that
//! notice nothing.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, until};

/// Every interface that takes a JSON body, with one that is right.
fn json_routes() -> Vec<(&'static str, Value)> {
    vec![
        ("/api/v1/sql", json!({"query": "select 1 from logs"})),
        ("/api/v1/ask", json!({"question": "what is open?"})),
        ("/api/v1/tokens", json!({"role": "viewer", "label": "test"})),
        ("/api/v1/session", json!({"name": "eto", "password": "a long enough password"})),
        ("/api/v1/setup", json!({"token": "t", "name": "eto", "password": "a long enough password"})),
        ("/api/v1/incidents/inc-0000000000000000/comment", json!({"text": "looking into it"})),
    ]
}

/// Interfaces that take a form.
const FORM_ROUTES: [&str; 4] = ["/api/v1/query", "/api/v1/query_range", "/api/v1/labels", "/api/v1/series"];

/// What is wrong with an answer that should be a refusal in JSON; `None` where nothing is.
fn not_refused(response: reqwest::blocking::Response) -> Option<String> {
    let status = response.status();
    let text = response.text().unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let is_told = answer["error"].as_str().is_some_and(|error| !error.is_empty());
    (!status.is_client_error() || !is_told).then(|| format!("{status} {text:?}"))
}

/// Posts each body to its path and fails with every answer that is no refusal in JSON.
fn assert_all_refused<'a>(node: &Node, requests: impl IntoIterator<Item = (&'a str, Option<&'a str>, Vec<u8>)>) {
    let token = node.token("admin");
    let wrong: Vec<String> = requests
        .into_iter()
        .filter_map(|(path, content_type, body)| {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let mut request = node.request("POST", path).bearer_auth(&token).body(body);
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let wrong = not_refused(request.send().unwrap())?;
            Some(format!("{path} ({}) {shown:?}: {wrong}", content_type.unwrap_or("no content type")))
        })
        .collect();
    assert!(wrong.is_empty(), "not refused with an error in JSON:\n{}", wrong.join("\n"));
}

const JSON: Option<&str> = Some("application/json");

#[test]
fn a_malformed_json_body_is_refused_in_json() {
    let node = Node::start("");
    let bodies: [&[u8]; 7] =
        [b"", b"{", b"null", b"[]", b"{\"query\":7,\"question\":7,\"role\":7}", b"\xff\xfe{}", b"{}{}"];
    let routes = json_routes();
    assert_all_refused(
        &node,
        routes.iter().flat_map(|(path, _)| bodies.iter().map(move |body| (*path, JSON, body.to_vec()))),
    );
}

#[test]
fn an_unknown_field_of_a_json_body_is_refused() {
    let node = Node::start("");
    let routes = json_routes();
    let misspelt = |body: &Value| {
        let mut body = body.clone();
        body["nonsense"] = json!(1);
        body.to_string().into_bytes()
    };
    assert_all_refused(&node, routes.iter().map(|(path, body)| (*path, JSON, misspelt(body))));
}

#[test]
fn a_json_body_of_another_content_type_is_refused() {
    let node = Node::start("");
    let routes = json_routes();
    let types = [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("nonsense")];
    assert_all_refused(
        &node,
        routes.iter().flat_map(|(path, body)| {
            types.iter().map(move |content_type| (*path, *content_type, body.to_string().into_bytes()))
        }),
    );
}

#[test]
fn a_form_that_is_none_is_refused_in_json() {
    let node = Node::start("");
    let requests = FORM_ROUTES.iter().flat_map(|path| {
        [
            (*path, Some("application/x-www-form-urlencoded"), b"query=rate(&start=x&match[]=%7B".to_vec()),
            (*path, JSON, b"{\"query\":\"1\"}".to_vec()),
        ]
    });
    // Without parameters all labels are listed, as Prometheus does.
    let requests = requests.filter(|(path, content_type, _)| !(path.ends_with("labels") && *content_type == JSON));
    assert_all_refused(&node, requests);
}

/// What the node answers to a body of so many bytes. One byte over the bound is read to its end, so that no connection
/// is reset before its answer is read.
fn post_bytes(node: &Node, path: &str, token: &str, bytes: usize) -> (String, Value) {
    let mut stream = TcpStream::connect(node.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {bytes}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&vec![b' '; bytes]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn a_body_over_the_bound_of_every_interface_gets_413_in_json() {
    let mut node = Node::prepare("");
    let file = node.dir().join("watchkeeper.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("[http]\n", "[http]\nbody_bytes_max = 65536\n")).unwrap();
    node.launch();
    node.wait_ready();
    let (admin, ingest) = (node.token("admin"), node.token("ingest"));
    for (path, _) in json_routes() {
        let (status, answer) = post_bytes(&node, path, &admin, (1 << 20) + 1);
        assert!(status.contains(" 413 ") && answer["error"].is_string(), "{path}: {status} {answer}");
    }
    for (path, source) in [("/api/v1/logs", "json-logs"), ("/api/v1/write", "remote-write")] {
        let (status, answer) = post_bytes(&node, path, &ingest, (1 << 16) + 1);
        assert!(status.contains(" 413 ") && answer["error"].is_string(), "{path}: {status} {answer}");
        assert_eq!(node.rejected(source), 1, "{path}");
    }
}

/// Whether a body was refused, and what it did to the counter of its source.
fn ingest(node: &Node, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Option<String>, u64) {
    let source = if path == "/api/v1/write" { "remote-write" } else { "json-logs" };
    let before = node.rejected(source);
    let mut request = node.request("POST", path).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().unwrap();
    let status = response.status().as_u16();
    (status, not_refused(response), node.rejected(source) - before)
}

#[test]
fn what_remote_write_cannot_take_is_refused_and_counted() {
    let node = Node::start("");
    let good =
        crate::remote_write::body(&[(&[("__name__", "good"), ("job", "j")], &[(1.0, crate::remote_write::now_ms())])]);
    // A length of 4 GiB in front of nothing.
    let bomb = vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let broken = snap::raw::Encoder::new().compress_vec(b"\x0a\xff\xff\xff\xff\x0fnonsense").unwrap();
    let mut wrong = Vec::new();
    for (what, headers, body) in [
        ("nonsense", &[][..], b"nonsense".to_vec()),
        ("nothing", &[], Vec::new()),
        ("no message", &[], broken),
        ("a bomb", &[], bomb),
        ("cut", &[], good[..good.len() / 2].to_vec()),
        ("json", &[("content-type", "application/json")], good.clone()),
        ("version 2", &[("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")], good.clone()),
        ("gzip", &[("content-encoding", "gzip")], good.clone()),
    ] {
        let (status, not_refused, counted) = ingest(&node, "/api/v1/write", headers, body);
        if not_refused.is_some() || counted == 0 {
            wrong.push(format!("{what}: {status}, counted {counted}, {not_refused:?}"));
        }
    }
    let accepted = node.request("POST", "/api/v1/write").body(good).send().unwrap().status();
    assert_eq!(accepted, 204, "neighbours live");
    assert!(wrong.is_empty(), "not refused in JSON, or not counted:\n{}", wrong.join("\n"));
}

#[test]
fn what_the_log_interface_cannot_take_is_refused_and_counted() {
    let node = Node::start("");
    let good = br#"{"message":"good"}"#;
    let mut wrong = Vec::new();
    for (what, headers, body) in [
        ("nonsense", &[][..], b"nonsense".to_vec()),
        ("half an object", &[], b"{\"message\":\"x".to_vec()),
        ("half a list", &[], b"[{\"message\":\"x\"}".to_vec()[..10].to_vec()),
        ("bytes", &[], b"\xff\xfe\x00\x01".to_vec()),
        ("a number", &[], b"42".to_vec()),
        ("no gzip", &[("content-encoding", "gzip")], good.to_vec()),
        ("an encoding nobody knows", &[("content-encoding", "nonsense")], good.to_vec()),
    ] {
        let (status, not_refused, counted) = ingest(&node, "/api/v1/logs", headers, body);
        if not_refused.is_some() || counted == 0 {
            wrong.push(format!("{what}: {status}, counted {counted}, {not_refused:?}"));
        }
    }
    assert_eq!(node.send_logs(r#"{"message":"good"}"#).0, 200, "neighbours live");
    assert!(wrong.is_empty(), "not refused in JSON, or not counted:\n{}", wrong.join("\n"));
}

/// What a shell command writes.
fn written(script: &str) -> Vec<u8> {
    Command::new("sh").args(["-c", script]).stdin(Stdio::null()).output().unwrap().stdout
}

/// The most memory that a process ever had, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[test]
fn a_body_that_is_small_until_it_is_unpacked_gets_413() {
    let node = Node::start("");
    let bomb = written(r#"yes '{"message":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}' | head -c 400000000 | gzip -6"#);
    assert!((1..4 << 20).contains(&bomb.len()), "{} bytes", bomb.len());
    let before = peak_mib(node.pid());
    let (status, not_refused, counted) = ingest(&node, "/api/v1/logs", &[("content-encoding", "gzip")], bomb);
    let grown = peak_mib(node.pid()) - before;
    println!("a body of 400 MB in gzip: {status}, the node grew by {grown} MiB");
    assert_eq!(status, 413);
    assert!(grown < 256, "{grown} MiB");
    let good = written(r#"printf '{"message":"packed"}' | gzip"#);
    let unpacked = node.request("POST", "/api/v1/logs").header("content-encoding", "gzip").body(good).send().unwrap();
    assert_eq!(unpacked.status(), 200, "neighbours live");
    assert_eq!(node.sql("select message from logs"), [json!(["packed"])], "nothing of it is stored");
    assert_eq!((not_refused, counted > 0), (None, true), "told in JSON, and counted");
}

/// Bytes without meaning, the same in every run.
fn bytes_without_meaning(count: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// What nobody should send to a syslog port.
fn hostile() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\n\n\n"[..],
        b"\0\0\0\0\n",
        b"<",
        b"<>\n",
        b"<999999999999>1 - - - - - -\n",
        b"<-1>x\n",
        b"<13>1 9999-99-99T99:99:99Z h a - - - x\n",
        b"<13>1 2026-11-24T02:14:02Z h a - - [x y=\"\\\n",
        b"<13>Nov 99 99:99:99 h a: x\n",
        b"0 <",
        b"5 <13>",
        b"99999999 <13>1 - - - - - - never sent",
        b"999999999999999999999999 <13>x\n",
        b"-5 <13>x\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"<13>1 2026-11-24T02:14:02Z \xff\xfe \xc0\x80 - - - \xed\xa0\x80\n",
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    all.push(vec![b'x'; 4 << 20]);
    all.push([b"<13>".to_vec(), vec![b'['; 200_000], b"\n".to_vec()].concat());
    all.push(bytes_without_meaning(1 << 20));
    all
}

#[test]
fn hostile_bytes_on_the_syslog_port_never_stop_its_neighbours() {
    let node = Node::start("");
    let mut neighbour = TcpStream::connect(node.syslog).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    let mut say = |stream: &mut TcpStream| {
        sent += 1;
        writeln!(stream, "<14>1 2026-11-24T02:14:02Z localhost neighbour - - - tcp {sent:03}").unwrap();
        let datagram = format!("<14>1 2026-11-24T02:14:02Z localhost neighbour - - - udp {sent:03}");
        udp.send_to(datagram.as_bytes(), node.syslog).unwrap();
    };
    for bytes in hostile() {
        say(&mut neighbour);
        let mut stranger = TcpStream::connect(node.syslog).unwrap();
        // A node that hangs up on it is right to do so.
        let _ = stranger.write_all(&bytes);
        drop(stranger);
        for piece in bytes.chunks(60_000).take(4) {
            let _ = udp.send_to(piece, node.syslog);
        }
        let _ = udp.send_to(b"", node.syslog);
    }
    say(&mut neighbour);
    let expected = 2 * (hostile().len() as u64 + 1);
    until(Duration::from_secs(20), "every message of the neighbours", || {
        (node.count("select count(*) from logs where app = 'neighbour'") == expected).then_some(())
    });
    let names = node.count("select count(distinct message) from logs where app = 'neighbour'");
    assert_eq!(names, expected, "each once");
    let odd: Vec<String> = ["syslog-tcp", "syslog-udp"]
        .iter()
        .map(|name| node.source(name))
        .map(|source| format!("{}: rejected {}, flagged {}", source["name"], source["rejected"], source["flagged"]))
        .collect();
    println!("{}", odd.join("\n"));
    assert!(node.rejected("syslog-udp") > 0, "empty datagrams are counted");
    for name in ["syslog-tcp", "syslog-udp"] {
        let source = node.source(name);
        let listed = |field: &str| source[field].as_array().map_or(0, Vec::len);
        assert!(listed("rejected") + listed("flagged") > 0, "what was odd is counted: {source}");
    }
    let (status, _) = node.send_logs(r#"{"message":"still here"}"#);
    assert_eq!(status, 200);
}
