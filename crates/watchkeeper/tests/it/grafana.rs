//! Contract: every dashboard has what Grafana requires, and every panel's query answers with data. Grafana itself is
//! not part of the test: variables and macros are put in here as its sources have them.
//!
//! Host metrics are this machine's own. What a plain machine does not have (links, switches, a dish, sensors) is sent by
//! remote write under the label `simulated="yes"`.

mod clickhouse;
mod simulated;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use wk_types::UtcMs;

use crate::harness::{Read, incident_in_state, until, watched_with};
use crate::postgres::{self, Driver, Postgres};
use crate::remote_write::now_ms;

/// The panels that a plain Grafana has and that are used here.
const PANELS: [&str; 7] = ["timeseries", "stat", "bargauge", "table", "logs", "barchart", "row"];
/// Columns of a dashboard's grid.
const GRID_WIDTH: u64 = 24;
/// Four times the interval at which sources are scraped, as Grafana makes it of the data source's `timeInterval`.
const RATE_INTERVAL: &str = "1m0s";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grafana")
}

/// The dashboards of one case by file name, those of metrics and those of the case.
fn dashboards(case: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for dir in ["dashboards".to_owned(), format!("{case}/dashboards")] {
        for entry in std::fs::read_dir(folder().join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            all.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), serde_json::from_str(&text).unwrap());
        }
    }
    assert!(all.len() >= 6, "{:?}", all.keys());
    all
}

fn provisioning(case: &str, kind: &str) -> Value {
    let path = folder().join(case).join("provisioning").join(kind).join("watchkeeper.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "panels").iter().filter(|panel| panel["type"] != "row")
}

#[test]
fn contract_every_dashboard_has_the_fields_that_grafana_requires() {
    for case in ["embedded", "outgrown"] {
        let sources = provisioning(case, "datasources");
        let mut uids = BTreeSet::new();
        for (name, dashboard) in dashboards(case) {
            let uid = dashboard["uid"].as_str().unwrap();
            assert!(uid.len() <= 40 && uids.insert(uid.to_owned()), "{name}: {uid}");
            assert!(dashboard["id"].is_null(), "{name}: a provisioned dashboard has no id of its own");
            assert!(dashboard["title"].as_str().is_some_and(|title| !title.is_empty()), "{name}");
            assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 36), "{name}");
            for (field, kind) in
                [("time", "object"), ("templating", "object"), ("tags", "array"), ("version", "number")]
            {
                let fits = match kind {
                    "object" => dashboard[field].is_object(),
                    "array" => dashboard[field].is_array(),
                    _ => dashboard[field].is_number(),
                };
                assert!(fits, "{name}: {field} is no {kind}");
            }
            check_panels(&name, &dashboard, &sources);
            check_variables(&name, &dashboard, &sources);
        }
    }
}

fn check_panels(name: &str, dashboard: &Value, sources: &Value) {
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(dashboard, "panels") {
        let title = panel["title"].as_str().unwrap();
        let at = format!("{name}: {title}");
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{at}: the id is there twice");
        let kind = panel["type"].as_str().unwrap();
        assert!(PANELS.contains(&kind), "{at}: {kind} is no panel of a plain Grafana");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(w > 0 && h > 0 && x + w <= GRID_WIDTH, "{at}: {}", panel["gridPos"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{at}: it lies on another panel");
        }
        if kind == "row" {
            continue;
        }
        check_source(&at, &panel["datasource"], sources);
        assert!(panel["fieldConfig"]["defaults"].is_object() && panel["fieldConfig"]["overrides"].is_array(), "{at}");
        assert!(panel["options"].is_object(), "{at}");
        let targets = list(panel, "targets");
        assert!(!targets.is_empty(), "{at}: nothing is asked");
        let references: BTreeSet<&str> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert_eq!(references.len(), targets.len(), "{at}: a refId is there twice");
        for target in targets {
            assert_eq!(target["datasource"], panel["datasource"], "{at}");
            let is_prometheus = target["datasource"]["type"] == "prometheus";
            let query = if is_prometheus { &target["expr"] } else { &target["rawSql"] };
            assert!(query.as_str().is_some_and(|query| !query.is_empty()), "{at}");
            assert!(!is_prometheus || target["range"].is_boolean() && target["instant"].is_boolean(), "{at}");
        }
    }
}

fn check_variables(name: &str, dashboard: &Value, sources: &Value) {
    for variable in list(&dashboard["templating"], "list") {
        let at = format!("{name}: ${}", variable["name"].as_str().unwrap());
        match variable["type"].as_str().unwrap() {
            "textbox" => assert!(variable["query"].is_string(), "{at}"),
            "query" => {
                check_source(&at, &variable["datasource"], sources);
                assert!(variable["refresh"].is_number() && variable["definition"].is_string(), "{at}");
            }
            other => panic!("{at}: {other} is not known here"),
        }
    }
}

/// A data source that the case provides, of the type that it has there.
fn check_source(at: &str, used: &Value, sources: &Value) {
    let provided = list(sources, "datasources").iter().find(|source| source["uid"] == used["uid"]);
    assert_eq!(provided.map(|source| &source["type"]), Some(&used["type"]), "{at}: {used}");
}

#[test]
fn contract_the_provisioning_files_have_the_fields_that_grafana_requires() {
    for case in ["embedded", "outgrown"] {
        let sources = provisioning(case, "datasources");
        assert_eq!(sources["apiVersion"], 1);
        for source in list(&sources, "datasources") {
            for field in ["name", "uid", "type", "access"] {
                assert!(source[field].as_str().is_some_and(|text| !text.is_empty()), "{case}: {field}: {source}");
            }
            let text = source.to_string().to_lowercase();
            let secret = source["secureJsonData"].as_object().into_iter().flatten();
            assert!(
                secret.into_iter().all(|(_, value)| value.as_str().unwrap().contains('$')),
                "{case}: no secret stands here"
            );
            assert!(!text.contains("wk_"), "{case}: a token");
        }
        let defaults = list(&sources, "datasources").iter().filter(|source| source["isDefault"] == true).count();
        assert_eq!(defaults, 1, "{case}");
        let providers = provisioning(case, "dashboards");
        assert_eq!(providers["apiVersion"], 1);
        for provider in list(&providers, "providers") {
            assert_eq!(provider["type"], "file");
            let path = provider["options"]["path"].as_str().unwrap();
            let relative = path.strip_prefix("$WATCHKEEPER_GRAFANA/").unwrap();
            assert!(folder().join(relative).is_dir(), "{case}: {path}");
        }
    }
}

/// A node as both of Grafana's data sources reach it.
struct Supplied {
    read: Read,
    sql: Driver,
}

/// A node with this machine's metrics, an incident, log lines, something refused, and simulated links and switches.
fn supplied() -> Supplied {
    let (lines, port) = postgres::configured();
    let node = watched_with(&lines);
    incident_in_state(&node, "open");
    let lines: Vec<String> = ["err", "info", "warning", "crit"]
        .iter()
        .map(|severity| json!({"message": format!("a line of severity {severity}"), "severity": severity, "app": "grafana-test", "host": "localhost"}).to_string())
        .collect();
    assert_eq!(node.send_logs(&format!("{}\nnot JSON\n", lines.join("\n"))).0, 200);
    let read = Read::new(node);
    until(Duration::from_secs(90), "the node has stored its own metrics three times", || {
        let stored = read.get("/api/v1/query?query=count_over_time(watchkeeper_source_rejected_items_total[2m])");
        let stored: u64 = stored["data"]["result"][0]["value"][1].as_str()?.parse().ok()?;
        (stored >= 3).then_some(())
    });
    simulated::send(&read);
    let sql = Postgres { port, token: read.token.clone() }.connect();
    Supplied { read, sql }
}

#[test]
fn contract_every_panel_of_the_embedded_case_answers_with_data() {
    let supplied = supplied();
    let (mut failures, mut rendered) = (Vec::new(), 0);
    for (name, dashboard) in dashboards("embedded") {
        for variables in chosen(&supplied, &name, &dashboard) {
            for panel in panels(&dashboard) {
                for target in list(panel, "targets") {
                    rendered += 1;
                    if let Err(failure) = render(&supplied, target, &variables) {
                        failures.push(format!("{name}: {}: {failure}", panel["title"].as_str().unwrap()));
                    }
                }
            }
        }
    }
    println!("{rendered} queries rendered");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(rendered > 80, "{rendered} queries");
}

type Variables = BTreeMap<String, String>;

/// The values that a person could choose: all and one of each variable, as they are put into queries.
fn chosen(supplied: &Supplied, name: &str, dashboard: &Value) -> Vec<Variables> {
    let (mut all, mut one) = (Variables::new(), Variables::new());
    for variable in list(&dashboard["templating"], "list") {
        let called = variable["name"].as_str().unwrap().to_owned();
        if variable["type"] == "textbox" {
            all.insert(called.clone(), String::new());
            one.insert(called, "line of".to_owned());
            continue;
        }
        let values = values_of(supplied, variable);
        assert!(!values.is_empty(), "{name}: ${called} has no value");
        let of_sql = variable["datasource"]["type"] != "prometheus";
        let quoted = |values: &[String]| {
            let quote =
                |value: &String| if of_sql { format!("'{}'", value.replace('\'', "''")) } else { value.clone() };
            values.iter().map(quote).collect::<Vec<_>>().join(if of_sql { "," } else { "|" })
        };
        let whole = variable["allValue"].as_str().filter(|_| variable["includeAll"] == true).map(str::to_owned);
        all.insert(called.clone(), whole.unwrap_or_else(|| quoted(&values)));
        let own = values.iter().find(|value| *value == "grafana-test").unwrap_or(&values[0]).clone();
        one.insert(called, quoted(&[own]));
    }
    if all == one { vec![all] } else { vec![all, one] }
}

fn values_of(supplied: &Supplied, variable: &Value) -> Vec<String> {
    let query = variable["definition"].as_str().unwrap();
    if variable["datasource"]["type"] != "prometheus" {
        let rows = supplied.sql.simple(&expanded(query)).unwrap();
        return rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect();
    }
    let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
    let (metric, label) = inside.rsplit_once(',').unwrap();
    let matched = form_urlencoded::Serializer::new(String::new()).append_pair("match[]", metric.trim()).finish();
    let answer = supplied.read.get(&format!("/api/v1/label/{}/values?{matched}", label.trim()));
    list(&answer, "data").iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Asks what a panel asks; says what is wrong with the answer.
fn render(supplied: &Supplied, target: &Value, variables: &Variables) -> Result<(), String> {
    if target["datasource"]["type"] != "prometheus" {
        let query = expanded(&filled(target["rawSql"].as_str().unwrap(), variables));
        // Grafana's back end has asked by the simple protocol, and by the extended one with binary values since 12.
        let rows = supplied.sql.simple(&query).map_err(|error| format!("{query}\n  {error:?}"))?;
        let prepared = supplied.sql.prepared(&query, &[]).map_err(|error| format!("{query}\n  {error:?}"))?;
        let has_data = rows.iter().flatten().any(Option::is_some) && prepared.len() == rows.len();
        return if has_data { Ok(()) } else { Err(format!("{query}\n  {rows:?}")) };
    }
    let read = &supplied.read;
    let query = filled(target["expr"].as_str().unwrap(), variables)
        .replace("$__rate_interval", RATE_INTERVAL)
        .replace("$__range", "300s")
        .replace("$__interval", "15s");
    assert!(!query.contains('$'), "a variable is left in {query}");
    let now = now_ms() / 1_000;
    let (start, end) = ((now - 300).to_string(), now.to_string());
    let (path, times) = if target["instant"] == true {
        ("query", vec![("time", end.as_str())])
    } else {
        ("query_range", vec![("start", start.as_str()), ("end", end.as_str()), ("step", "15")])
    };
    let form =
        form_urlencoded::Serializer::new(String::new()).append_pair("query", &query).extend_pairs(times).finish();
    let request = read.node.request("POST", &format!("/api/v1/{path}")).bearer_auth(&read.token);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Value = request.send().unwrap().json().unwrap();
    if answer["status"] != "success" {
        return Err(format!("{query}\n  {answer}"));
    }
    let result = &answer["data"]["result"];
    let rows = result.as_array().map_or(&[][..], Vec::as_slice);
    let points = rows.iter().flat_map(|row| list(row, "values").iter().chain(std::iter::once(&row["value"])));
    let is_number =
        |point: &Value| point[1].as_str().and_then(|text| text.parse::<f64>().ok()).is_some_and(f64::is_finite);
    if points.into_iter().any(is_number) { Ok(()) } else { Err(format!("{query}\n  no data: {answer}")) }
}

/// A query with the variables put in.
fn filled(query: &str, variables: &Variables) -> String {
    let mut query = query.to_owned();
    for (name, value) in variables {
        let text = format!("'{}'", value.replace('\'', "''"));
        query = query
            .replace(&format!("${{{name}:sqlstring}}"), &text)
            .replace(&format!("${{{name}:singlequote}}"), value)
            .replace(&format!("${name}"), value);
    }
    query
}

/// A query of the PostgreSQL data source with its macros put in.
fn expanded(query: &str) -> String {
    let [from, to] = [-3_600_000, 60_000].map(|span| UtcMs(now_ms() + span));
    let query = query.replace("$__timeFilter(time)", &format!("time BETWEEN '{from}' AND '{to}'"));
    assert!(!query.contains("$__"), "a macro is not known here: {query}");
    query
}
