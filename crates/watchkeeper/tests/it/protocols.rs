//! Telemetry in the protocols of others: real senders where they can be had, bodies as they write them else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ended, Node, free_port, peer, until};

const SENDERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/senders.py");

/// Runs one of the senders in Python; false where they are not there.
fn send(test: &str, kind: &str, address: SocketAddr) -> bool {
    let Some(mut python) = peer(test, "senders/bin/python") else { return false };
    let sent = python.env_remove("LD_LIBRARY_PATH").arg(SENDERS).args([kind, &address.to_string()]).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    true
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// What a query answers: labels that tell series apart, and values.
fn values(node: &Node, query: &str) -> Vec<(String, String)> {
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
    let request = node.request("GET", &format!("/api/v1/query?{form}")).bearer_auth(node.token("viewer"));
    let answer: Value = request.send().and_then(|response| response.json()).unwrap();
    let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let each = |row: &Value| {
        let labels = ["job", "instance", "direction", "le"].iter().filter_map(|name| row["metric"][*name].as_str());
        (labels.collect::<Vec<_>>().join(" "), row["value"][1].as_str().unwrap().to_owned())
    };
    let mut values: Vec<_> = rows.iter().map(each).collect();
    values.sort();
    values
}

#[test]
fn opentelemetrys_exporters_write_to_us_over_grpc_and_http() {
    let name = "opentelemetrys_exporters_write_to_us";
    let (grpc, http) = (loopback(), loopback());
    let node = Node::start(&format!("[otlp]\ngrpc_listen = \"{grpc}\"\nhttp_listen = \"{http}\"\n"));
    if !(send(name, "grpc", grpc) && send(name, "http", http) && send(name, "http", node.http)) {
        return;
    }
    let rows = node.sql("select app, severity, message from logs order by app");
    let expected = json!([
        ["vsat-grpc", "minor", "rain fade"],
        ["vsat-http", "minor", "rain fade"],
        ["vsat-http", "minor", "rain fade"]
    ]);
    assert_eq!(json!(rows), expected);
    let own = gethostname();
    assert_eq!(node.sql("select distinct asset from logs")[0][0], own);
    until(Duration::from_secs(20), "the metrics can be asked for", || {
        (values(&node, "link_bytes_total").len() == 2).then_some(())
    });
    let pairs =
        |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
    assert_eq!(values(&node, "link_bytes_total"), pairs(&[("vsat-grpc 1 up", "1200"), ("vsat-http 1 up", "1200")]));
    let buckets = pairs(&[("vsat-grpc 1 +Inf", "3"), ("vsat-grpc 1 0.5", "1"), ("vsat-grpc 1 1", "2")]);
    assert_eq!(values(&node, "link_wait_seconds_bucket{job=\"vsat-grpc\"}"), buckets);
}

fn gethostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim().to_owned()
}

#[test]
fn otlp_says_what_it_did_not_take_and_why() {
    let node = Node::start("");
    let post = |path: &str, kind: &str, body: &str| {
        let response = node.request("POST", path).header("content-type", kind).body(body.to_owned()).send().unwrap();
        (response.status().as_u16(), response.text().unwrap())
    };
    let delta = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"a","sum":{"aggregationTemporality":1,"dataPoints":[{"asInt":"1","timeUnixNano":"1780315200000000000"}]}}]}]}]}"#;
    let (status, said) = post("/v1/metrics", "application/json", delta);
    assert_eq!(status, 200);
    let said: Value = serde_json::from_str(&said).unwrap();
    let why = "temporality is not cumulative; set the sender to cumulative (1, such as a)";
    assert_eq!(said, json!({"partialSuccess": {"rejectedDataPoints": "1", "errorMessage": why}}));
    for (kind, body, status) in [("application/json", "{", 400), ("text/plain", "x", 415)] {
        let (found, said) = post("/v1/logs", kind, body);
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((found, &said["code"]), (status, &json!(3)), "{said}");
    }
    assert_eq!(post("/v1/logs", "application/x-protobuf", "").0, 200);
}

#[test]
fn loki_lines_come_out_as_they_went_in() {
    let node = Node::start("");
    let body = json!({"streams": [{"stream": {"app": "vsat", "host": "localhost"}, "values": [["1795486441500000000", "rain fade", {"level": "error"}]]}]});
    let response = node.request("POST", "/loki/api/v1/push").json(&body).send().unwrap();
    assert_eq!(response.status(), 204);
    let rows = node.sql("select app, severity, message from logs");
    assert_eq!(json!(rows), json!([["vsat", "major", "rain fade"]]));
}

#[test]
fn bulk_documents_have_a_status_each_and_probes_are_answered() {
    let listen = loopback();
    let node = Node::start(&format!("[elasticsearch]\nlisten = \"{listen}\"\n"));
    let body = "{\"create\":{\"_index\":\"beats\"}}\n{\"message\":\"good\"}\n{\"create\":{}}\nbad\n";
    let at = |base: String, method: &str, path: &str| {
        reqwest::blocking::Client::new()
            .request(method.parse().unwrap(), format!("http://{base}{path}"))
            .body(body)
            .send()
            .unwrap()
    };
    for base in [format!("{listen}"), format!("{}/elasticsearch", node.http)] {
        let response = at(base.clone(), "POST", "/_bulk");
        assert_eq!(response.headers()["x-elastic-product"], "Elasticsearch");
        let answer: Value = response.json().unwrap();
        assert_eq!(
            (&answer["items"][0]["create"]["status"], &answer["items"][1]["create"]["status"]),
            (&json!(201), &json!(400))
        );
        for (method, path) in
            [("GET", "/"), ("HEAD", "/"), ("GET", "/_license"), ("HEAD", "/_template/x"), ("PUT", "/_template/x")]
        {
            let path = if path == "/" && base.contains("elastic") { "" } else { path };
            assert_eq!(at(base.clone(), method, path).status(), 200, "{method} {base}{path}");
        }
        let refused: Value = at(base, "POST", "/beats/_bulk?pretty").json().unwrap();
        assert_eq!(refused["items"][0]["create"]["_index"], "beats");
    }
    assert_eq!(node.count("select count(*) from logs"), 4);
}

#[test]
fn fluentds_client_writes_to_us() {
    let listen = loopback();
    let node = Node::start(&format!("[forward]\nlisten = \"{listen}\"\n"));
    if !send("fluentds_client_writes_to_us", "forward", listen) {
        return;
    }
    let count = "select count(*) from logs where app = 'vsat.modem' and severity = 'major'";
    until(Duration::from_secs(20), "all lines are there", || (node.count(count) == 100).then_some(()));
}

#[test]
fn a_chunk_over_forward_is_acknowledged_and_kept() {
    let listen = loopback();
    let node = Node::start(&format!("[forward]\nlisten = \"{listen}\"\n"));
    let mut stream = TcpStream::connect(listen).unwrap();
    stream.write_all(b"\x93\xa4vsat\x91\x92\x01\x81\xa3log\xa4fade\x81\xa5chunk\xa2id").unwrap();
    let mut ack = [0; 8];
    stream.read_exact(&mut ack).unwrap();
    assert_eq!(&ack, b"\x81\xa3ack\xa2id");
    assert_eq!(node.sql("select app, message from logs")[0], json!(["vsat", "fade"]));
}

#[test]
fn statsd_values_become_series() {
    let listen = loopback();
    let node = Node::start(&format!("[statsd]\nlisten = \"{listen}\"\ninterval_s = 1\n"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"link.errors:3|c|#direction:up\nlink.errors:4|c|#direction:up", listen).unwrap();
    let values = until(Duration::from_secs(20), "the counter is there", || {
        Some(values(&node, "link_errors")).filter(|values| !values.is_empty())
    });
    assert_eq!(values, [("statsd 127.0.0.1 up".to_owned(), "7".to_owned())]);
}

/// Starts rsyslog on a file of lines, with a way of sending them.
fn rsyslog(test: &str, node: &Node, lines: usize, action: &str) -> Option<Ended> {
    let mut rsyslog = peer(test, "usr/sbin/rsyslogd")?;
    let dir = node.dir();
    let text: String = (0..lines).map(|number| format!("line {number}\n")).collect();
    std::fs::write(dir.join("input.log"), text).unwrap();
    let config = format!(
        "global(workDirectory=\"{0}\")\nmodule(load=\"imfile\" mode=\"polling\" pollingInterval=\"1\")\n\
         input(type=\"imfile\" file=\"{0}/input.log\" tag=\"flood:\" readMode=\"0\")\n{action}\n",
        dir.display(),
    );
    std::fs::write(dir.join("rsyslog.conf"), config).unwrap();
    let log = std::fs::File::create(dir.join("rsyslog.log")).unwrap();
    let modules = PathBuf::from(std::env::var_os("WATCHKEEPER_PEERS").unwrap());
    rsyslog.args(["-n", "-iNONE", "-f"]).arg(dir.join("rsyslog.conf")).arg("-M");
    rsyslog.arg(modules.join("usr/lib/x86_64-linux-gnu/rsyslog"));
    Some(Ended(rsyslog.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()))
}

#[test]
fn a_real_rsyslog_forwards_over_tls() {
    let name = "a_real_rsyslog_forwards_over_tls";
    if peer(name, "usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_ossl.so").is_none() {
        return;
    }
    let listen = loopback();
    let node = Node::start_in_syslog(&format!("tls_listen = \"{listen}\"\n"));
    let action = format!(
        "global(defaultNetstreamDriverCAFile=\"{}/tls/authority.pem\")\n\
         template(name=\"line\" type=\"string\" string=\"<11>1 %timegenerated:::date-rfc3339% localhost flood - - - %msg%\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{}\" protocol=\"tcp\" template=\"line\" TCP_Framing=\"octet-counted\" \
         StreamDriver=\"ossl\" StreamDriverMode=\"1\" StreamDriverAuthMode=\"x509/certvalid\")",
        node.data().display(),
        listen.port()
    );
    let Some(_rsyslog) = rsyslog(name, &node, 1_000, &action) else { return };
    until(Duration::from_secs(60), "all lines are there", || {
        let count = "select count(*) from logs where app = 'flood' and severity = 'major'";
        (node.count(count) == 1_000).then_some(())
    });
}

#[test]
fn a_real_rsyslog_writes_to_us_as_to_elasticsearch() {
    let name = "a_real_rsyslog_writes_to_us_as_to_elasticsearch";
    if peer(name, "usr/lib/x86_64-linux-gnu/rsyslog/omelasticsearch.so").is_none() {
        return;
    }
    let listen = loopback();
    let node = Node::start(&format!("[elasticsearch]\nlisten = \"{listen}\"\n"));
    let action = format!(
        "module(load=\"omelasticsearch\")\n\
         template(name=\"document\" type=\"string\" string=\"{{\\\"message\\\":\\\"%msg:::json%\\\",\\\"app\\\":\\\"flood\\\",\\\"host\\\":\\\"localhost\\\"}}\")\n\
         action(type=\"omelasticsearch\" server=\"127.0.0.1\" serverport=\"{}\" template=\"document\" searchIndex=\"ship\" searchType=\"\" \
         bulkmode=\"on\" maxbytes=\"1m\" queue.type=\"linkedList\" queue.dequeuebatchsize=\"200\" action.resumeRetryCount=\"-1\")",
        listen.port()
    );
    let Some(_rsyslog) = rsyslog(name, &node, 1_000, &action) else { return };
    until(Duration::from_secs(60), "all lines are there", || {
        let count = "select count(distinct message) from logs where app = 'flood'";
        (node.count(count) == 1_000).then_some(())
    });
}
