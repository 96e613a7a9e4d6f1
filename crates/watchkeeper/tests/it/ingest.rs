//! What goes in comes out: JSON logs, syslog, remote write, and what is refused.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, until};

/// Sends a body to the log interface and answers status and body.
fn send_logs(node: &Node, body: &str) -> (u16, Value) {
    let response = node.request("POST", "/api/v1/logs").body(body.to_owned()).send().unwrap();
    (response.status().as_u16(), response.json().unwrap())
}

#[test]
fn json_logs_come_out_as_they_went_in() {
    let node = Node::start("");
    let vector = r#"{"timestamp":"2026-11-24T02:14:00Z","message":"link down","host":"localhost","app":"vsat","severity":"err","port":{"id":7}}"#;
    let fluent_bit =
        r#"[{"date":1795486441.5,"log":"rain fade","hostname":"core-switch","service":"modem","level":"warning"}]"#;
    assert_eq!(send_logs(&node, &format!("{vector}\nnot json\n")).1["rejected"], 1);
    assert_eq!(send_logs(&node, fluent_bit).0, 200);
    let rows = node.sql("select time, app, severity, message, attributes from logs order by time");
    let mut shown = json!(rows);
    // What the node adds of its own about an unknown sender is looked at below.
    shown[1][4] = json!("");
    insta::assert_json_snapshot!(shown, @r#"
    [
      [
        "2026-11-24 02:14:00.000",
        "vsat",
        "major",
        "link down",
        "{\"host\":\"localhost\",\"level\":\"err\",\"port.id\":\"7\"}"
      ],
      [
        "2026-11-24 02:14:01.500",
        "modem",
        "minor",
        "rain fade",
        ""
      ]
    ]
    "#);
    assert_eq!(node.sql("select asset from logs where app = 'modem'")[0][0], "unknown");
    let unknown = until(Duration::from_secs(20), "the unknown sender is listed", || {
        node.cli_json(&["pipeline"])["unknown_senders"].as_array().filter(|list| !list.is_empty()).cloned()
    });
    assert_eq!(unknown[0]["sender"], "core-switch");
}

#[test]
fn a_body_without_a_single_good_line_is_refused_with_reasons() {
    let node = Node::start("");
    let (status, answer) = send_logs(&node, "nonsense\n42\n");
    assert_eq!(status, 400);
    assert_eq!(answer["rejections"].as_array().unwrap().len(), 2, "{answer}");
}

#[test]
fn a_body_over_the_bound_gets_413_and_its_neighbours_live() {
    let node = Node::start("");
    let large = format!("{{\"message\":\"{}\"}}", "x".repeat(33 << 20));
    let status = node.request("POST", "/api/v1/logs").body(large).send().map(|response| response.status().as_u16());
    // The node may answer and close before all has been sent; either way nothing of it is stored.
    assert!(status.is_err() || status.is_ok_and(|status| status == 413));
    assert_eq!(send_logs(&node, r#"{"message":"still here"}"#).0, 200);
    assert_eq!(node.count("select count(*) from logs"), 1);
}

#[test]
fn syslog_keeps_severity_over_udp_and_both_tcp_framings() {
    let node = Node::start("");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"<11>Nov 24 02:14:00 localhost dhcpd[7]: no free leases", node.syslog).unwrap();
    let mut tcp = TcpStream::connect(node.syslog).unwrap();
    let counted = "<10>1 2026-11-24T02:14:01Z localhost ups 1 ID1 [b@1 v=\"3\"] on battery";
    write!(tcp, "{} {counted}", counted.len()).unwrap();
    writeln!(tcp, "<14>1 2026-11-24T02:14:02Z localhost ups - - - on line").unwrap();
    drop(tcp);
    let rows = until(Duration::from_secs(10), "three messages", || {
        let rows = node.sql("select app, severity, message from logs order by message");
        (rows.len() == 3).then_some(rows)
    });
    insta::assert_json_snapshot!(rows, @r#"
    [
      [
        "dhcpd",
        "major",
        "no free leases"
      ],
      [
        "ups",
        "critical",
        "on battery"
      ],
      [
        "ups",
        "info",
        "on line"
      ]
    ]
    "#);
}

#[test]
fn every_interface_of_the_description_answers() {
    let node = Node::start("");
    let description: Value = node.request("GET", "/openapi.json").send().unwrap().json().unwrap();
    for path in [
        "/api/v1/write",
        "/api/v1/logs",
        "/api/v1/query",
        "/api/v1/query_range",
        "/api/v1/sql",
        "/api/v1/incidents",
        "/api/v1/pipeline",
        "/api/v1/ask",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        assert!(description["paths"][path].is_object(), "{path} is not described");
    }
    let token = node.cli_json(&["token", "create", "--role", "viewer"])["secret"].as_str().unwrap().to_owned();
    for (path, operations) in description["paths"].as_object().unwrap() {
        let streams = path.ends_with("/events") || path.ends_with("/tail") || path.contains('{');
        let needs_admin = path.ends_with("/tokens") || path.ends_with("/status/config");
        if operations.get("get").is_none() || streams || path.ends_with("/recording") || needs_admin {
            continue;
        }
        let needs = match path.as_str() {
            "/api/v1/logs/query" => "",
            "/api/v1/logs/histogram" => "?step=60",
            "/api/v1/logs/top" => "?field=app",
            _ => "?query=1&start=0&end=60&step=60&match[]=up",
        };
        let status = node.request("GET", &format!("{path}{needs}")).bearer_auth(&token).send().unwrap().status();
        assert!(status.is_success(), "{path} answered {status}");
    }
}

#[test]
fn the_nodes_own_metrics_are_exposed_and_stored() {
    let node = Node::start("");
    let token = node.cli_json(&["token", "create", "--role", "viewer"])["secret"].as_str().unwrap().to_owned();
    let text = node.request("GET", "/metrics").bearer_auth(token).send().unwrap().text().unwrap();
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|rest| rest.split(' ').next())
        .collect();
    names.dedup();
    assert!(names.len() >= 25 && names.iter().all(|name| name.starts_with("watchkeeper_")), "{names:?}");
    until(Duration::from_secs(20), "the node's own series are stored", || {
        let answer = node.cli_json(&["query", "promql", "watchkeeper_node_uptime_seconds"]);
        answer["data"]["result"].as_array().filter(|rows| !rows.is_empty()).map(|_| ())
    });
}
