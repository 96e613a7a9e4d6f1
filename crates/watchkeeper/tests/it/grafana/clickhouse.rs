//! The log dashboard of the outgrown case, asked of ClickHouse's engine about lines that a node has sent there.

use std::time::Duration;

use serde_json::json;

use super::{Variables, dashboards, filled, list, panels};
use crate::harness::{Node, until};
use crate::outside_logs::ClickHouse;
use crate::remote_write::now_ms;

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

/// Sends two lines and waits until the store has them.
fn send(node: &Node, store: &ClickHouse) {
    let line = |ago: i64, app: &str, severity: &str, message: &str| {
        let time = wk_types::UtcMs(now_ms() - ago).to_string();
        json!({"timestamp": time, "host": "localhost", "app": app, "severity": severity, "message": message, "port": 1})
            .to_string()
    };
    let lines = [line(60_000, "modem", "err", "carrier LOST"), line(30_000, "dhcpd", "info", "carrier locked")];
    assert_eq!(node.send_logs(&lines.join("\n")).0, 200);
    until(Duration::from_secs(60), "the lines are in the store", || {
        store.ask("ship", "SELECT count() FROM logs").is_ok_and(|count| count == "2\n").then_some(())
    });
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn contract_every_panel_of_logs_in_clickhouse_answers_with_data() {
    let Some(store) = ClickHouse::start("contract_every_panel_of_logs_in_clickhouse") else { return };
    let node = Node::start(&store.configuration());
    send(&node, &store);
    let asset = format!("'{}'", node.sql("select distinct asset from logs")[0][0].as_str().unwrap());
    let dashboard = dashboards("outgrown")["logs.json"].clone();
    let variables = |search: &str| -> Variables {
        [("asset", asset.as_str()), ("app", "'modem','dhcpd'"), ("search", search)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let mut statements = Vec::new();
    let queries = list(&dashboard["templating"], "list").iter().filter(|variable| variable["type"] == "query");
    statements.extend(queries.map(|variable| expanded(variable["definition"].as_str().unwrap())));
    for target in panels(&dashboard).flat_map(|panel| list(panel, "targets")) {
        for search in ["''", "'Carrier'"] {
            statements.push(expanded(&filled(target["rawSql"].as_str().unwrap(), &variables(search))));
        }
    }
    assert!(statements.len() >= 12, "{} statements", statements.len());
    for statement in statements {
        assert!(!statement.contains('$'), "a variable is left in {statement}");
        let rows = store.ask("ship", &statement);
        assert!(rows.as_ref().is_ok_and(|rows| !rows.is_empty()), "{statement}\n  {rows:?}");
    }
}
