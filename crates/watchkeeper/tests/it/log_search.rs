//! Log search without SQL: pages, counts, frequent values, the live tail, and the verb of the command line.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Ended, Node, Read, client_builder, until};

/// Six lines a minute apart from 12:00:00 on, of two programs.
const LINES: [(&str, &str, &str); 6] = [
    ("dhcpd", "err", "no free leases on eth0"),
    ("dhcpd", "info", "lease given to bridge-pc"),
    ("modem", "crit", "carrier lost"),
    ("modem", "warning", "rain fade 3 dB"),
    ("modem", "info", "carrier locked"),
    ("dhcpd", "info", "lease given to galley-tv"),
];

fn send(node: &Node) {
    let lines: Vec<String> = LINES
        .iter()
        .enumerate()
        .map(|(at, (app, severity, message))| {
            let time = format!("2026-11-24T12:0{at}:00Z");
            json!({"timestamp": time, "app": app, "severity": severity, "message": message, "host": "localhost", "port": at})
                .to_string()
        })
        .collect();
    assert_eq!(node.send_logs(&lines.join("\n")).0, 200);
    until(Duration::from_secs(10), "the lines are there", || {
        (node.count("select count(*) from logs") == LINES.len() as u64).then_some(())
    });
}

fn searched() -> Read {
    let read = Read::new(Node::start(""));
    send(&read.node);
    read
}

/// Parameters as a form.
fn form(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn ask(read: &Read, kind: &str, parameters: &[(&str, &str)]) -> Value {
    read.get(&format!("/api/v1/logs/{kind}?{}", form(parameters)))
}

/// The numbers of the lines answered.
fn numbers(answer: &Value) -> Vec<usize> {
    let rows = answer["rows"].as_array().unwrap();
    rows.iter().map(|row| row["attributes"]["port"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn lines_are_found_by_every_kind_of_condition() {
    let read = searched();
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [usize]);
    let cases: [Case<'_>; 14] = [
        (&[], &[5, 4, 3, 2, 1, 0]),
        (&[("order", "oldest"), ("limit", "2")], &[0, 1]),
        (&[("text", "LEASE")], &[5, 1, 0]),
        (&[("text", "lease"), ("text!", "free")], &[5, 1]),
        (&[("regex", "(lost|locked)$")], &[4, 2]),
        (&[("regex!", "lease|carrier")], &[3]),
        (&[("app", "modem")], &[4, 3, 2]),
        (&[("app", "modem"), ("app", "dhcpd"), ("severity_min", "major")], &[2, 0]),
        (&[("app!", "modem"), ("severity", "info")], &[5, 1]),
        (&[("app~", "^dh")], &[5, 1, 0]),
        (&[("app!~", "^dh"), ("severity!", "info")], &[3, 2]),
        (&[("attributes.port", "3"), ("attributes.port", "4")], &[4, 3]),
        (&[("start", "2026-11-24T12:02:00Z"), ("end", "2026-11-24T12:03:00Z")], &[3, 2]),
        (&[("asset", "nowhere")], &[]),
    ];
    for (parameters, expected) in cases {
        assert_eq!(numbers(&ask(&read, "query", parameters)), expected, "{parameters:?}");
        let posted = read.node.request("POST", "/api/v1/logs/query").bearer_auth(&read.token);
        let posted = posted.header("content-type", "application/x-www-form-urlencoded").body(form(parameters));
        assert_eq!(numbers(&posted.send().unwrap().json().unwrap()), expected, "by form: {parameters:?}");
    }
}

#[test]
fn a_row_and_a_page_have_this_shape() {
    let read = searched();
    let mut page = ask(&read, "query", &[("limit", "1"), ("app", "modem")]);
    assert!(page["next"].as_str().is_some_and(|next| next.ends_with("_4")), "{page}");
    for measured in ["next", "scanned"] {
        page[measured] = json!("");
    }
    for measured in ["asset", "seq", "attributes"] {
        assert!(!page["rows"][0][measured].is_null(), "{page}");
        page["rows"][0][measured] = json!("");
    }
    insta::assert_json_snapshot!(page, @r#"
    {
      "next": "",
      "rows": [
        {
          "app": "modem",
          "asset": "",
          "attributes": "",
          "line": 4,
          "message": "carrier locked",
          "seq": "",
          "severity": "info",
          "template": null,
          "time": 1795521840000
        }
      ],
      "scanned": ""
    }
    "#);
}

#[test]
fn pages_give_every_line_once() {
    let read = searched();
    for order in ["newest", "oldest"] {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        for _ in 0..LINES.len() {
            let mut parameters = vec![("limit", "2"), ("order", order)];
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = ask(&read, "query", &parameters);
            all.extend(numbers(&page));
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.to_owned()),
                None => break,
            }
        }
        if order == "newest" {
            all.reverse();
        }
        assert_eq!(all, [0, 1, 2, 3, 4, 5], "{order}");
    }
}

#[test]
fn lines_are_counted_over_time_and_by_value() {
    let read = searched();
    let counted = ask(&read, "histogram", &[("step", "3m"), ("app~", ".")]);
    assert_eq!(counted["severities"], json!(["info", "minor", "major", "critical"]));
    let bins: Vec<&Value> = counted["bins"].as_array().unwrap().iter().map(|bin| &bin["counts"]).collect();
    assert_eq!(bins, [&json!([1, 0, 1, 1]), &json!([2, 1, 0, 0])]);
    let top = ask(&read, "top", &[("field", "app"), ("field", "severity"), ("limit", "1")]);
    assert_eq!(top["fields"], json!(["app", "severity"]));
    assert_eq!(top["top"], json!([{"values": ["dhcpd", "info"], "count": 2}]));
    assert_eq!((&top["distinct"], &top["rows"]), (&json!(5), &json!(6)));
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let read = Read::new(Node::start(""));
    for (path, about) in [
        ("query?ap=dhcpd", "ap"),
        ("query?regex=(", "regular expression"),
        ("query?limit=100000", "10000"),
        ("query?cursor=here", "cursor"),
        ("query?severity_min=purple", "purple"),
        ("histogram", "step"),
        ("histogram?step=0", "step"),
        ("histogram?step=5m&limit=3", "limit"),
        ("top", "field"),
        ("top?field=colour", "field"),
        ("top?field=app&limit=100000", "limit"),
        ("tail?limit=100000", "limit"),
        ("tail?after=here", "after"),
    ] {
        let (status, refused) = read.ask("GET", &format!("/api/v1/logs/{path}"), &Value::Null);
        let told = refused["error"].as_str().unwrap();
        assert!(status == 400 && told.contains(about), "{path}: {status} {refused}");
    }
    for path in ["query", "histogram?step=1", "top?field=app", "tail"] {
        assert_eq!(read.node.get_status(&format!("/api/v1/logs/{path}")), Some(401), "{path}");
    }
}

/// An open stream of events.
struct Events(BufReader<reqwest::blocking::Response>);

impl Events {
    fn open(read: &Read, parameters: &str, seen: Option<&str>) -> Self {
        let url = format!("http://{}/api/v1/logs/tail?{parameters}", read.node.http);
        let client = client_builder().build().unwrap();
        let mut request = client.get(url).bearer_auth(&read.token);
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(BufReader::new(response))
    }

    /// Id and message of the next event.
    fn next(&mut self) -> (String, String) {
        let (mut id, mut line) = (String::new(), String::new());
        loop {
            line.clear();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream has ended");
            if let Some(found) = line.strip_prefix("id: ") {
                id = found.trim().to_owned();
            }
            if let Some(data) = line.strip_prefix("data: ") {
                let row: Value = serde_json::from_str(data).unwrap();
                return (id, row["message"].as_str().unwrap().to_owned());
            }
        }
    }
}

#[test]
fn the_tail_shows_the_last_lines_and_then_what_comes_in() {
    let read = searched();
    let mut events = Events::open(&read, "limit=2&app=modem&app=ups", None);
    assert_eq!(events.next().1, "rain fade 3 dB");
    let (seen, message) = events.next();
    assert_eq!(message, "carrier locked");
    // Also a line whose own time lies far back is one that comes in.
    let late = r#"{"app":"ups","message":"on battery","timestamp":"2026-11-01T00:00:00Z"}"#;
    read.node.send_logs(&format!("{{\"app\":\"dhcpd\",\"message\":\"not asked for\"}}\n{late}"));
    assert_eq!(events.next().1, "on battery");
    read.node.send_logs(r#"{"app":"modem","message":"carrier lost again"}"#);
    assert_eq!(events.next().1, "carrier lost again");
    let mut again = Events::open(&read, "app=modem&app=ups", Some(&seen));
    assert_eq!([again.next().1, again.next().1], ["on battery", "carrier lost again"], "after what was seen");
}

#[test]
fn the_command_line_searches_counts_and_follows() {
    let read = searched();
    let node = &read.node;
    let found = node.cli_json(&["query", "logs", "lease", "--app", "dhcpd", "--severity", "major"]);
    assert_eq!(numbers(&found), [0]);
    let found = node.cli_json(&["query", "logs", "--where", "app!=dhcpd", "--where", "message~=^carrier", "--oldest"]);
    assert_eq!(numbers(&found), [2, 4]);
    assert_eq!(numbers(&node.cli_json(&["query", "logs", "--since", "1s"])), [0_usize; 0]);
    let counted = node.cli_json(&["query", "logs", "--histogram", "1h"]);
    assert_eq!(counted["bins"][0]["counts"], json!([3, 1, 1, 1]));
    let values = node.cli(&["query", "logs", "--top", "app"]);
    assert_eq!(String::from_utf8(values.stdout).unwrap(), "lines  app\n3      dhcpd\n3      modem\n");
    let page = node.cli(&["query", "logs", "--limit", "1"]);
    let line = String::from_utf8(page.stdout).unwrap();
    assert!(line.starts_with("2026-11-24T12:05:00.000Z info ") && line.ends_with("dhcpd: lease given to galley-tv\n"));
    assert!(String::from_utf8(page.stderr).unwrap().contains("--cursor "));
    let mut following = node.command();
    following.arg("--data").arg(node.own_data()).args(["query", "logs", "--follow", "--limit", "1", "--json"]);
    let mut following = Ended(following.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(following.0.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap()["message"].clone();
    assert_eq!(next(), "lease given to galley-tv");
    node.send_logs(r#"{"message":"who is there"}"#);
    assert_eq!(next(), "who is there");
}
