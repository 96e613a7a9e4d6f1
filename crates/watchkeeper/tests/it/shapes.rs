//! The shapes that users' scripts rely on. Values that differ from run to run are replaced by what they are; later
//! versions may add to a shape, and never take away.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, incident_in_state, until, watched};
use crate::remote_write::{self, now_ms};

/// A value with numbers, times, ids and this machine's name replaced by what they are.
fn typed(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) => json!("<number>"),
        Value::String(text) => json!(typed_text(text)),
        Value::Array(items) => items.iter().map(typed).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), typed(field))).collect(),
    }
}

fn typed_text(text: &str) -> String {
    let bytes = text.as_bytes();
    if bytes.len() >= 19 && bytes[4] == b'-' && bytes[13] == b':' && matches!(bytes[10], b'T' | b' ') {
        return "<time>".to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let word = |word: &str| match word {
        word if word == host.trim() => "<host>".to_owned(),
        word if is_id(word) => "<id>".to_owned(),
        word => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Whether a word is made as ids are: what it is, a hyphen, and hexadecimal digits.
fn is_id(word: &str) -> bool {
    word.split_once('-').is_some_and(|(_, random)| random.len() >= 12 && random.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// As [`typed`], with what people read left out of some fields, for the wording is not part of the shape.
fn typed_without_wording(value: &Value, fields: &[&str]) -> Value {
    let mut value = typed(value);
    for field in fields {
        assert!(value[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {value}");
        value[field] = json!("<text>");
    }
    value
}

/// Every path to a value, with `[]` for the items of a list.
fn paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: &str, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, field)| walk(field, &format!("{at}.{name}"), all)),
            Value::Array(items) if !items.is_empty() => {
                items.iter().for_each(|item| walk(item, &format!("{at}[]"), all))
            }
            _ => drop(all.insert(at.trim_start_matches('.').to_owned())),
        }
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

/// A node and a token to read it with.
struct Read {
    node: Node,
    token: String,
}

impl Read {
    fn new(node: Node) -> Self {
        let token = node.token("viewer");
        Self { node, token }
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.node.request(method, path).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }

    fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

#[test]
fn sql_answers_columns_rows_and_whether_it_was_cut() {
    let read = Read::new(Node::start(""));
    assert_eq!(read.node.send_logs(r#"{"message":"link down","app":"vsat"}"#).0, 200);
    let answer = read.post("/api/v1/sql", &json!({"query": "select app, message, 1 as one, null as none from logs"}));
    insta::assert_json_snapshot!(answer, @"");
}

#[test]
fn the_tables_of_sql_have_these_columns() {
    let read = Read::new(Node::start(""));
    let columns = |table: &str| {
        read.post("/api/v1/sql", &json!({"query": format!("select * from {table} limit 0")}))["columns"].clone()
    };
    let tables: Vec<String> =
        ["logs", "incidents", "signals", "assets"].iter().map(|table| format!("{table}: {}", columns(table))).collect();
    insta::assert_snapshot!(tables.join("\n"), @"");
}

#[test]
fn incidents_are_listed_in_this_shape() {
    let node = watched();
    incident_in_state(&node, "open");
    let read = Read::new(node);
    insta::assert_json_snapshot!(typed(&read.get("/api/v1/incidents")), @"");
}

#[test]
fn an_incident_is_shown_in_this_shape() {
    let node = watched();
    let id = incident_in_state(&node, "open")["id"].as_str().unwrap().to_owned();
    let read = Read::new(node);
    let shown = until(Duration::from_secs(20), "the mail is in the ledger", || {
        let shown = read.get(&format!("/api/v1/incidents/{id}"));
        shown["messages"].as_array().is_some_and(|messages| !messages.is_empty()).then_some(shown)
    });
    insta::assert_snapshot!(paths(&shown).into_iter().collect::<Vec<_>>().join("\n"), @"");
}

#[test]
fn a_question_that_is_answered_has_this_shape() {
    let node = watched();
    incident_in_state(&node, "open");
    let read = Read::new(node);
    let answer = read.post("/api/v1/ask", &json!({"question": "what is open?"}));
    insta::assert_json_snapshot!(typed_without_wording(&answer, &["text"]), @"");
}

#[test]
fn a_question_that_is_understood_in_part_or_not_has_this_shape() {
    let read = Read::new(Node::start(""));
    let clarify = read.post("/api/v1/ask", &json!({"question": "how full is it?"}));
    insta::assert_json_snapshot!(typed_without_wording(&clarify, &["text"]), @"");
    let refused = read.post("/api/v1/ask", &json!({"question": "please reboot the router"}));
    assert!(refused["text"].as_str().unwrap().starts_with("I cannot answer that yet"), "{refused}");
    insta::assert_json_snapshot!(typed_without_wording(&refused, &["text"]), @"");
}

#[test]
fn the_pipeline_has_these_keys() {
    let node = watched();
    incident_in_state(&node, "open");
    node.send_logs("nonsense");
    node.send_logs(r#"{"message":"who am I","host":"stranger","time":"1970-01-01T00:00:00Z"}"#);
    let read = Read::new(node);
    let pipeline = until(Duration::from_secs(20), "the unknown sender and the rule are listed", || {
        let pipeline = read.get("/api/v1/pipeline");
        let filled = |part: &Value| part.as_array().is_some_and(|list| !list.is_empty());
        (filled(&pipeline["unknown_senders"]) && filled(&pipeline["engine"]["rules"])).then_some(pipeline)
    });
    insta::assert_snapshot!(paths(&pipeline).into_iter().collect::<Vec<_>>().join("\n"), @"");
}

/// A node that has three samples, a minute apart, of a series of its own; answers the time of the first.
fn probed() -> (Read, i64) {
    let read = Read::new(Node::start(""));
    let first = now_ms() / 1_000 - 150;
    let labels = [("__name__", "probe"), ("instance", "localhost:1"), ("job", "shape")];
    let samples = [(1.0, first * 1_000), (2.5, (first + 60) * 1_000), (f64::INFINITY, (first + 120) * 1_000)];
    let body = remote_write::body(&[(&labels, &samples)]);
    let response = read.node.request("POST", "/api/v1/write").body(body).send().unwrap();
    assert_eq!((response.status().as_u16(), response.text().unwrap().as_str()), (204, ""));
    until(Duration::from_secs(10), "the probe is stored", || {
        let stored = read.get(&format!("/api/v1/query?query=count_over_time(probe[1h])&time={}", first + 120));
        (stored["data"]["result"][0]["value"][1] == "3").then_some(())
    });
    (read, first)
}

#[test]
fn the_prometheus_api_answers_as_prometheus_does() {
    let (read, first) = probed();
    let last = first + 120;
    let instant = read.get(&format!("/api/v1/query?query=probe&time={first}"));
    insta::assert_json_snapshot!(typed(&instant), @"");
    let matrix = read.get(&format!("/api/v1/query?query=probe[5m]&time={last}"));
    insta::assert_json_snapshot!(typed(&matrix), @"");
    let scalar = read.get(&format!("/api/v1/query?query=1.5&time={last}"));
    insta::assert_json_snapshot!(typed(&scalar), @"");
    let string = read.get(&format!("/api/v1/query?query=%22word%22&time={last}"));
    insta::assert_json_snapshot!(typed(&string), @"");
    let range = read.get(&format!("/api/v1/query_range?query=probe&start={first}&end={}&step=60", first + 60));
    insta::assert_json_snapshot!(typed(&range), @"");
}

#[test]
fn labels_their_values_and_series_are_listed_as_prometheus_does() {
    let (read, _) = probed();
    insta::assert_json_snapshot!(read.get("/api/v1/labels?match[]=probe"), @"");
    insta::assert_json_snapshot!(read.get("/api/v1/label/job/values?match[]=probe"), @"");
    insta::assert_json_snapshot!(read.get("/api/v1/series?match[]=probe"), @"");
    insta::assert_json_snapshot!(read.get("/api/v1/series?match[]=nothing_of_this_name"), @"");
}

#[test]
fn an_error_of_the_prometheus_api_has_prometheus_own_form() {
    let read = Read::new(Node::start(""));
    for path in [
        "query?query=rate(",
        "query",
        "query?query=up&time=noon",
        "query_range?query=up&start=0&end=60&step=0",
        "query_range?query=up&start=60&end=0&step=1",
        "series",
        "labels?match[]=%7B",
    ] {
        let (status, answer) = read.ask("GET", &format!("/api/v1/{path}"), &Value::Null);
        assert_eq!(status, 400, "{path}: {answer}");
        let shape = typed_without_wording(&answer, &["error"]);
        assert_eq!(shape, json!({"status": "error", "errorType": "bad_data", "error": "<text>"}), "{path}");
    }
    let posted = read.node.request("POST", "/api/v1/query").bearer_auth(&read.token);
    let posted = posted.header("content-type", "application/x-www-form-urlencoded").body("query=1").send().unwrap();
    assert_eq!(posted.json::<Value>().unwrap()["data"]["resultType"], "scalar", "a form works as well as an address");
}

#[test]
fn json_logs_are_answered_in_this_shape() {
    let node = Node::start("");
    let (status, answer) = node.send_logs("{\"message\":\"good\"}\nnonsense\n{\"message\":\"good too\"}\n");
    assert_eq!(status, 200);
    insta::assert_json_snapshot!(typed(&answer), @"");
    let (status, answer) = node.send_logs("nonsense\n");
    assert_eq!(status, 400);
    insta::assert_json_snapshot!(typed_without_wording(&answer, &["error"]), @"");
}

#[test]
fn the_nodes_own_metrics_have_these_names() {
    let node = watched();
    incident_in_state(&node, "open");
    node.send_logs("nonsense");
    let token = node.token("viewer");
    let response = node.request("GET", "/metrics").bearer_auth(token).send().unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = response.text().unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    insta::assert_snapshot!(names.into_iter().collect::<Vec<_>>().join("\n"), @"");
}

#[test]
fn a_refusal_is_an_error_in_words() {
    let read = Read::new(Node::start(""));
    let node = &read.node;
    let refused = |request: reqwest::blocking::RequestBuilder| {
        let response = request.send().unwrap();
        let status = response.status().as_u16();
        let text = response.text().unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({"not JSON": text}));
        format!("{status} {}", typed(&answer).as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" "))
    };
    let viewer = |method: &str, path: &str| node.request(method, path).bearer_auth(&read.token);
    let all = [
        ("no token", node.request("GET", "/api/v1/incidents")),
        ("wrong token", node.request("GET", "/api/v1/incidents").bearer_auth("nobody's")),
        ("not signed in", node.request("GET", "/api/v1/session")),
        ("not the role", viewer("POST", "/api/v1/tokens").json(&json!({"role": "admin"}))),
        ("no such incident", viewer("GET", "/api/v1/incidents/inc-0000000000000000")),
        ("no such interface", viewer("GET", "/api/v1/nothing-of-this-name")),
        ("wrong method", viewer("DELETE", "/api/v1/sql")),
        ("wrong parameter", viewer("GET", "/api/v1/incidents?state=sleeping")),
        ("wrong number", viewer("GET", "/api/v1/incidents?limit=many")),
        ("no sql", viewer("POST", "/api/v1/sql").json(&json!({"query": "selekt"}))),
        ("sql that writes", viewer("POST", "/api/v1/sql").json(&json!({"query": "delete from logs"}))),
        ("no json", viewer("POST", "/api/v1/sql").header("content-type", "application/json").body("{")),
        ("no question", viewer("POST", "/api/v1/ask").json(&json!({}))),
        ("from a page", node.request("POST", "/api/v1/logs").header("origin", "http://evil.example").body("{}")),
        ("no remote write", node.request("POST", "/api/v1/write").body("nonsense")),
    ];
    let table: Vec<String> = all.into_iter().map(|(what, request)| format!("{what}: {}", refused(request))).collect();
    insta::assert_snapshot!(table.join("\n"), @"");
}

#[test]
fn the_description_names_these_interfaces() {
    let node = Node::start("");
    let description: Value = node.request("GET", "/openapi.json").send().unwrap().json().unwrap();
    let mut all = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        all.extend(operations.as_object().unwrap().keys().map(|method| format!("{path} {method}")));
    }
    all.sort();
    insta::assert_snapshot!(all.join("\n"), @"");
}

#[test]
fn life_and_readiness_are_told_without_a_token() {
    let node = Node::start("");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(node.get_status(path), Some(200), "{path}");
    }
}
