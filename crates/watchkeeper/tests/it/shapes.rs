//! The shapes that users' scripts rely on. Values that differ from run to run are replaced by what they are; later
//! versions may add to a shape, and never take away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, Read, incident_in_state, until, watched};
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

/// Whether a word is made as ids are: what it is, a hyphen, and hexadecimal digits; or the number of a record.
fn is_id(word: &str) -> bool {
    if word.strip_prefix('r').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())) {
        return true;
    }
    word.split_once('-').is_some_and(|(_, random)| random.len() >= 12 && random.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// As [`typed`], with what people read left out of some fields, for the wording is not part of the shape.
fn typed_without_wording(value: &Value, fields: &[&str]) -> Value {
    fn leave_out(value: &mut Value, field: &str) -> usize {
        match value {
            Value::Array(items) => items.iter_mut().map(|item| leave_out(item, field)).sum(),
            Value::Object(inner) => {
                let told = inner.get_mut(field).filter(|text| text.as_str().is_some_and(|text| !text.is_empty()));
                let here = usize::from(told.map(|text| *text = json!("<text>")).is_some());
                here + inner.values_mut().map(|value| leave_out(value, field)).sum::<usize>()
            }
            _ => 0,
        }
    }
    let mut typed = typed(value);
    for field in fields {
        assert!(leave_out(&mut typed, field) > 0, "{field} is missing in {value}");
    }
    typed
}

/// Every path to a value, with `[]` for the items of a list.
fn paths(value: &Value) -> BTreeSet<String> {
    fn walk(value: &Value, at: &str, all: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| walk(field, &format!("{at}.{name}"), all));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().for_each(|item| walk(item, &format!("{at}[]"), all));
            }
            _ => drop(all.insert(at.trim_start_matches('.').to_owned())),
        }
    }
    let mut all = BTreeSet::new();
    walk(value, "", &mut all);
    all
}

/// The paths to every value, a line for each field of the answer.
fn outline(value: &Value) -> String {
    let mut lines = BTreeMap::<String, Vec<String>>::new();
    for path in paths(value) {
        let (first, rest) = path.split_once('.').unwrap_or((&path, "-"));
        lines.entry(first.to_owned()).or_default().push(rest.to_owned());
    }
    lines.iter().map(|(first, rest)| format!("{first}: {}", rest.join(" "))).collect::<Vec<_>>().join("\n")
}

#[test]
fn sql_answers_columns_rows_and_whether_it_was_cut() {
    let read = Read::new(Node::start(""));
    assert_eq!(read.node.send_logs(r#"{"message":"link down","app":"vsat"}"#).0, 200);
    let answer = read.post("/api/v1/sql", &json!({"query": "select app, message, 1 as one, null as none from logs"}));
    insta::assert_json_snapshot!(answer, @r#"
    {
      "columns": [
        "app",
        "message",
        "one",
        "none"
      ],
      "rows": [
        [
          "vsat",
          "link down",
          1,
          null
        ]
      ],
      "truncated": false
    }
    "#);
}

#[test]
fn the_tables_of_sql_have_these_columns() {
    let read = Read::new(Node::start(""));
    let columns = |table: &str| {
        read.post("/api/v1/sql", &json!({"query": format!("select * from {table} limit 0")}))["columns"].clone()
    };
    let tables: Vec<String> =
        ["logs", "incidents", "signals", "assets"].iter().map(|table| format!("{table}: {}", columns(table))).collect();
    insta::assert_snapshot!(tables.join("\n"), @r#"
    logs: ["time","asset","app","severity","message","template","attributes"]
    incidents: ["id","state","severity","title","opened","acknowledged","resolved","assets"]
    signals: ["id","incident","asset","rule","kind","metric","severity","title","score","started","raised","ended"]
    assets: ["id","role","identifiers"]
    "#);
}

#[test]
fn incidents_are_listed_in_this_shape() {
    let node = watched();
    incident_in_state(&node, "open");
    let read = Read::new(node);
    insta::assert_json_snapshot!(typed(&read.get("/api/v1/incidents")), @r#"
    {
      "incidents": [
        {
          "acknowledged": null,
          "acknowledged_by": null,
          "acknowledged_by_name": null,
          "assets": [
            "<host>"
          ],
          "id": "<id>",
          "number": "<number>",
          "opened": "<number>",
          "reopened_count": "<number>",
          "resolved": null,
          "severity": "major",
          "signals": [
            "<id>"
          ],
          "state": "open",
          "title": "load on <host> is known"
        }
      ]
    }
    "#);
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
    insta::assert_snapshot!(outline(&shown), @r"
    because[]: because.against because.rule because.text signal
    incident: acknowledged acknowledged_by acknowledged_by_name assets[] id number opened reopened_count resolved severity signals[] state title
    messages[]: attempts delivered id last_error next_attempt queued receipt recipient state subject
    signals[]: asset direction ended evidence.detail evidence.expected evidence.observed evidence.query evidence.recent[].time evidence.recent[].value evidence.unit id input labels.alertname labels.instance labels.job labels.severity metric raised rule.kind rule.name score severity started title
    timeline[]: at by entry kind recorded text
    ");
}

#[test]
fn a_question_that_is_answered_has_this_shape() {
    let node = watched();
    incident_in_state(&node, "open");
    let read = Read::new(node);
    let answer = read.post("/api/v1/ask", &json!({"question": "what is open?"}));
    insta::assert_json_snapshot!(typed_without_wording(&answer, &["text"]), @r#"
    {
      "data": [
        {
          "assets": [
            "<host>"
          ],
          "id": "<id>",
          "number": "<number>",
          "opened": "<time>",
          "severity": "major",
          "state": "open",
          "title": "load on <host> is known"
        }
      ],
      "evidence": [
        "<id>"
      ],
      "query": "SELECT id, state, severity, title, opened, assets FROM incidents WHERE state <> 'resolved' ORDER BY opened",
      "status": "answered",
      "text": "<text>"
    }
    "#);
}

#[test]
fn a_question_that_is_understood_in_part_or_not_has_this_shape() {
    let read = Read::new(Node::start(""));
    let clarify = read.post("/api/v1/ask", &json!({"question": "how full is it?"}));
    insta::assert_json_snapshot!(typed_without_wording(&clarify, &["text"]), @r#"
    {
      "data": {
        "options": [
          "how full are the disks?"
        ]
      },
      "evidence": [],
      "query": null,
      "status": "clarify",
      "text": "<text>"
    }
    "#);
    let refused = read.post("/api/v1/ask", &json!({"question": "please reboot the router"}));
    assert!(refused["text"].as_str().unwrap().starts_with("I cannot answer that yet"), "{refused}");
    insta::assert_json_snapshot!(typed_without_wording(&refused, &["text"]), @r#"
    {
      "data": {
        "can": [
          "how full are the disks?",
          "what is open?",
          "what changed in the last hour?",
          "which source is silent?",
          "how busy is the cpu?"
        ]
      },
      "evidence": [],
      "query": null,
      "status": "refused",
      "text": "<text>"
    }
    "#);
}

#[test]
fn the_pipeline_has_these_keys() {
    let node = watched();
    incident_in_state(&node, "open");
    node.send_logs("nonsense");
    node.send_logs(r#"{"message":"who am I","host":"stranger","time":"1970-01-01T00:00:00Z"}"#);
    let read = Read::new(node);
    let pipeline = until(Duration::from_secs(20), "the unknown sender is listed", || {
        let pipeline = read.get("/api/v1/pipeline");
        pipeline["unknown_senders"].as_array().is_some_and(|list| !list.is_empty()).then_some(pipeline)
    });
    insta::assert_snapshot!(outline(&pipeline), @r"
    ailments: -
    engine: facts incidents_open refused.incidents refused.series refused.signals refused.speakers refused.window rules series signals_open step_seconds_total
    intake: bytes bytes_max damaged_records failed first fsync_errors fsyncs last queued queued_bytes readers[].cursor readers[].lag_records readers[].name readers[].reached readers[].unwritten_records refused segments
    journal: entries sealed
    logs: bytes files rows_buffered stored
    metrics: blocks bytes duplicate future late over_limit samples_head series stored too_old
    notify: dead delivered queued superseded untold
    sources[]: accepted bytes flagged flagged[].count flagged[].example flagged[].reason lag_ms last_received late lost name received rejected rejected[].count rejected[].example rejected[].reason
    unknown_senders[]: count first last reason sender source
    ");
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
fn the_prometheus_api_answers_vectors_and_matrices_as_prometheus_does() {
    let (read, first) = probed();
    let last = first + 120;
    let instant = read.get(&format!("/api/v1/query?query=probe&time={first}"));
    insta::assert_json_snapshot!(typed(&instant), @r#"
    {
      "data": {
        "result": [
          {
            "metric": {
              "__name__": "probe",
              "instance": "localhost:1",
              "job": "shape"
            },
            "value": [
              "<number>",
              "1"
            ]
          }
        ],
        "resultType": "vector"
      },
      "status": "success"
    }
    "#);
    let matrix = read.get(&format!("/api/v1/query?query=probe[5m]&time={last}"));
    insta::assert_json_snapshot!(typed(&matrix), @r#"
    {
      "data": {
        "result": [
          {
            "metric": {
              "__name__": "probe",
              "instance": "localhost:1",
              "job": "shape"
            },
            "values": [
              [
                "<number>",
                "1"
              ],
              [
                "<number>",
                "2.5"
              ],
              [
                "<number>",
                "+Inf"
              ]
            ]
          }
        ],
        "resultType": "matrix"
      },
      "status": "success"
    }
    "#);
}

#[test]
fn the_prometheus_api_answers_scalars_strings_and_ranges_as_prometheus_does() {
    let (read, first) = probed();
    let last = first + 120;
    let scalar = read.get(&format!("/api/v1/query?query=1.5&time={last}"));
    insta::assert_json_snapshot!(typed(&scalar), @r#"
    {
      "data": {
        "result": [
          "<number>",
          "1.5"
        ],
        "resultType": "scalar"
      },
      "status": "success"
    }
    "#);
    let string = read.get(&format!("/api/v1/query?query=%22word%22&time={last}"));
    insta::assert_json_snapshot!(typed(&string), @r#"
    {
      "data": {
        "result": [
          "<number>",
          "word"
        ],
        "resultType": "string"
      },
      "status": "success"
    }
    "#);
    let range = read.get(&format!("/api/v1/query_range?query=probe&start={first}&end={}&step=60", first + 60));
    insta::assert_json_snapshot!(typed(&range), @r#"
    {
      "data": {
        "result": [
          {
            "metric": {
              "__name__": "probe",
              "instance": "localhost:1",
              "job": "shape"
            },
            "values": [
              [
                "<number>",
                "1"
              ],
              [
                "<number>",
                "2.5"
              ]
            ]
          }
        ],
        "resultType": "matrix"
      },
      "status": "success"
    }
    "#);
}

#[test]
fn labels_their_values_and_series_are_listed_as_prometheus_does() {
    let (read, _) = probed();
    insta::assert_json_snapshot!(read.get("/api/v1/labels?match[]=probe"), @r#"
    {
      "data": [
        "__name__",
        "instance",
        "job"
      ],
      "status": "success"
    }
    "#);
    insta::assert_json_snapshot!(read.get("/api/v1/label/job/values?match[]=probe"), @r#"
    {
      "data": [
        "shape"
      ],
      "status": "success"
    }
    "#);
    insta::assert_json_snapshot!(read.get("/api/v1/series?match[]=probe"), @r#"
    {
      "data": [
        {
          "__name__": "probe",
          "instance": "localhost:1",
          "job": "shape"
        }
      ],
      "status": "success"
    }
    "#);
    insta::assert_json_snapshot!(read.get("/api/v1/series?match[]=nothing_of_this_name"), @r#"
    {
      "data": [],
      "status": "success"
    }
    "#);
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
    insta::assert_json_snapshot!(typed_without_wording(&answer, &["reason"]), @r#"
    {
      "accepted": "<number>",
      "records": [
        "<id>"
      ],
      "rejected": "<number>",
      "rejections": [
        {
          "example": "nonsense",
          "line": "<number>",
          "reason": "<text>"
        }
      ]
    }
    "#);
    let (status, answer) = node.send_logs("nonsense\n");
    assert_eq!(status, 400);
    insta::assert_json_snapshot!(typed_without_wording(&answer, &["error", "reason"]), @r#"
    {
      "accepted": "<number>",
      "error": "<text>",
      "records": [],
      "rejected": "<number>",
      "rejections": [
        {
          "example": "nonsense",
          "line": "<number>",
          "reason": "<text>"
        }
      ]
    }
    "#);
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
    insta::assert_snapshot!(names.into_iter().collect::<Vec<_>>().join("\n"), @r"
    vessel_sea_mode gauge
    watchkeeper_engine_open_incidents gauge
    watchkeeper_engine_open_signals gauge
    watchkeeper_engine_refused_total counter
    watchkeeper_engine_series gauge
    watchkeeper_engine_step_seconds_total counter
    watchkeeper_intake_damaged_records_total counter
    watchkeeper_intake_failed_records_total counter
    watchkeeper_intake_fsync_errors_total counter
    watchkeeper_intake_fsyncs_total counter
    watchkeeper_intake_queued_records gauge
    watchkeeper_intake_records_total counter
    watchkeeper_intake_refused_records_total counter
    watchkeeper_intake_size_bytes gauge
    watchkeeper_journal_entries_total counter
    watchkeeper_logs_size_bytes gauge
    watchkeeper_logs_stored_records_total counter
    watchkeeper_mail_dead_messages gauge
    watchkeeper_mail_delivered_messages_total counter
    watchkeeper_mail_queued_messages gauge
    watchkeeper_metrics_late_samples_total counter
    watchkeeper_metrics_refused_samples_total counter
    watchkeeper_metrics_series gauge
    watchkeeper_metrics_size_bytes gauge
    watchkeeper_metrics_stored_samples_total counter
    watchkeeper_node_build_info gauge
    watchkeeper_node_cpu_seconds_total counter
    watchkeeper_node_failing_parts gauge
    watchkeeper_node_resident_memory_bytes gauge
    watchkeeper_node_uptime_seconds gauge
    watchkeeper_reader_lag_records gauge
    watchkeeper_source_accepted_items_total counter
    watchkeeper_source_received_bytes_total counter
    watchkeeper_source_received_items_total counter
    watchkeeper_source_rejected_items_total counter
    ");
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
    insta::assert_snapshot!(table.join("\n"), @r"
    no token: 401 error
    wrong token: 401 error
    not signed in: 401 error setup_needed
    not the role: 403 error
    no such incident: 404 error
    no such interface: 404 error
    wrong method: 405 error
    wrong parameter: 400 error
    wrong number: 400 error
    no sql: 400 error
    sql that writes: 400 error
    no json: 400 error
    no question: 422 error
    from a page: 403 error
    no remote write: 400 error
    ");
}

#[test]
#[allow(clippy::too_many_lines, reason = "the list has a line for every interface")]
fn the_description_names_these_interfaces() {
    let node = Node::start("");
    let description: Value = node.request("GET", "/openapi.json").send().unwrap().json().unwrap();
    let mut all = Vec::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        all.extend(operations.as_object().unwrap().keys().map(|method| format!("{path} {method}")));
    }
    all.sort();
    insta::assert_snapshot!(all.join("\n"), @r"
    /api/v1/alertmanagers get
    /api/v1/alerts get
    /api/v1/ask post
    /api/v1/clock/confirm post
    /api/v1/doctor get
    /api/v1/events get
    /api/v1/format_query get
    /api/v1/format_query post
    /api/v1/incidents get
    /api/v1/incidents/{id} get
    /api/v1/incidents/{id}/acknowledge post
    /api/v1/incidents/{id}/comment post
    /api/v1/incidents/{id}/resolve post
    /api/v1/journal get
    /api/v1/journal/head get
    /api/v1/label/{name}/values get
    /api/v1/labels get
    /api/v1/labels post
    /api/v1/logs post
    /api/v1/logs/histogram get
    /api/v1/logs/histogram post
    /api/v1/logs/query get
    /api/v1/logs/query post
    /api/v1/logs/tail get
    /api/v1/logs/top get
    /api/v1/logs/top post
    /api/v1/mails get
    /api/v1/metadata get
    /api/v1/pipeline get
    /api/v1/query get
    /api/v1/query post
    /api/v1/query_exemplars get
    /api/v1/query_exemplars post
    /api/v1/query_range get
    /api/v1/query_range post
    /api/v1/recording get
    /api/v1/rules get
    /api/v1/sea-mode get
    /api/v1/sea-mode post
    /api/v1/series get
    /api/v1/series post
    /api/v1/session delete
    /api/v1/session get
    /api/v1/session post
    /api/v1/setup post
    /api/v1/setup-token post
    /api/v1/sql post
    /api/v1/status get
    /api/v1/status/buildinfo get
    /api/v1/status/config get
    /api/v1/status/flags get
    /api/v1/status/runtimeinfo get
    /api/v1/status/tsdb get
    /api/v1/targets get
    /api/v1/targets/metadata get
    /api/v1/tokens get
    /api/v1/tokens post
    /api/v1/tokens/{id} delete
    /api/v1/trace/{id} get
    /api/v1/write post
    /healthz get
    /metrics get
    /readyz get
    ");
}

#[test]
fn life_and_readiness_are_told_without_a_token() {
    let node = Node::start("");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(node.get_status(path), Some(200), "{path}");
    }
}
