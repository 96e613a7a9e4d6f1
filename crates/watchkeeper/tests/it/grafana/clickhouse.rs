//! The log dashboard of the outgrown case, asked of ClickHouse's engine.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::{Variables, dashboards, filled, list, panels};
use crate::harness::peer;
use crate::remote_write::now_ms;

/// The table as a node makes it, as far as dashboards use it.
const TABLE: &str = "CREATE TABLE logs (time DateTime64(3, 'UTC'), asset LowCardinality(String), \
    app LowCardinality(String), severity Enum8('info' = 1, 'minor' = 2, 'major' = 3, 'critical' = 4), \
    message String, template String, attributes Map(LowCardinality(String), String)) \
    ENGINE = MergeTree ORDER BY (app, asset, time)";

/// A query of the ClickHouse data source with its macros put in.
fn expanded(query: &str) -> String {
    let (from, to) = (now_ms() - 3_600_000, now_ms() + 60_000);
    let within = format!("time >= fromUnixTimestamp64Milli({from}) AND time <= fromUnixTimestamp64Milli({to})");
    let query = query
        .replace("$__timeFilter_ms(time)", &within)
        .replace("$__timeInterval(time)", "toStartOfInterval(toDateTime(time), INTERVAL 20 second)");
    assert!(!query.contains("$__"), "a macro is not known here: {query}");
    query
}

/// Runs statements in the engine; answers how many rows each gave, or its error.
fn run(python: &mut std::process::Command, statements: &[String]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/grafana/clickhouse.py");
    let mut child = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(statements).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn contract_every_panel_of_logs_in_clickhouse_answers_with_data() {
    let Some(mut python) = peer("contract_every_panel_of_logs_in_clickhouse", "chdb/bin/python") else { return };
    let dashboard = dashboards("outgrown")["logs.json"].clone();
    let variables = |search: &str| -> Variables {
        [("asset", "'bridge-pc'"), ("app", "'modem','dhcpd'"), ("search", search)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let mut statements = vec![
        TABLE.to_owned(),
        "INSERT INTO logs VALUES (now64(3) - 60, 'bridge-pc', 'modem', 'major', 'carrier LOST', '', {'port': '1'}), \
         (now64(3) - 30, 'bridge-pc', 'dhcpd', 'info', 'carrier locked', '', {})"
            .to_owned(),
    ];
    let prepared = statements.len();
    let queries = list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query");
    statements.extend(queries.map(|variable| expanded(variable["definition"].as_str().unwrap())));
    for target in panels(&dashboard).flat_map(|panel| list(panel, "targets")) {
        for search in ["''", "'Carrier'"] {
            statements.push(expanded(&filled(target["rawSql"].as_str().unwrap(), &variables(search))));
        }
    }
    let answers = run(&mut python, &statements);
    assert!(answers.len() == statements.len() && answers.len() >= prepared + 12, "{} answers", answers.len());
    for (statement, rows) in statements.iter().zip(&answers).skip(prepared) {
        assert!(!statement.contains('$'), "a variable is left in {statement}");
        assert!(rows.as_u64().is_some_and(|rows| rows > 0), "{statement}\n  {rows}");
    }
}
