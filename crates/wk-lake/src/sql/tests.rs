use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use wk_types::series::SourceError;
use wk_types::{ErrorKind, Labels, Matcher, RollupRow, Rollups, Seq, Series, SeriesRollup, Severity, UtcMs};

use super::*;
use crate::testing::{DAY, fill, line, log, open};

/// Two gauges of two assets and a counter, twelve steps each.
struct MadeRollups;

impl RollupSource for MadeRollups {
    fn rollups(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        resolution: Resolution,
    ) -> Result<Rollups, SourceError> {
        let made = [("load", "host-0"), ("load", "host-1"), ("bytes_total", "host-0")].map(|(name, asset)| {
            let series = Arc::new(Series::new(Labels::metric(name, &[("instance", asset)]), asset.into()));
            let steps = (0..12).map(|step| (step, DAY + DurationMs(step * resolution.step().0)));
            let row = |(step, time): (i64, UtcMs)| RollupRow {
                time,
                avg: (name == "load").then_some(step as f64),
                min: (name == "load").then_some(step as f64 - 0.5),
                max: (name == "load").then_some(step as f64 + 0.5),
                last: step as f64,
                count: 20,
                increase: (name != "load").then_some(100.0),
            };
            let rows: Vec<_> = steps.filter(|(_, time)| (from..=to).contains(time)).map(row).collect();
            SeriesRollup { series, rows }
        });
        let is_wanted = |rollup: &SeriesRollup| {
            !rollup.rows.is_empty()
                && matchers.iter().all(|matcher| rollup.series.labels.get(&matcher.name) == Some(&*matcher.value))
        };
        let found: Vec<_> = made.into_iter().filter(is_wanted).map(Ok).collect();
        Ok(Box::new(found.into_iter()))
    }
}

struct Ship {
    dir: tempfile::TempDir,
    lake: Lake,
    state: PathBuf,
}

impl Ship {
    /// A lake with a hundred lines, half of them in a file, and a state database with secrets.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (lake, _) = open(&dir.path().join("logs"));
        fill(&lake, 0..50);
        lake.flush().unwrap();
        fill(&lake, 50..100);
        let state = dir.path().join("state.db");
        Connection::open(&state).unwrap().execute_batch(STATE).unwrap();
        Self { dir, lake, state }
    }

    fn sources(&self) -> SqlSources<'_> {
        SqlSources { state_db: &self.state, rollups: Ok(Arc::new(MadeRollups)) }
    }

    fn ask(&self, query: &str) -> Result<SqlAnswer, LakeError> {
        self.lake.sql(&self.sources(), query, &SqlLimits::default())
    }

    fn rows(&self, query: &str) -> serde_json::Value {
        self.ask(query).map_or_else(|error| panic!("{query}: {error}"), |answer| answer.rows.into())
    }

    fn error(&self, query: &str) -> LakeError {
        self.ask(query).map_or_else(|error| error, |answer| panic!("{query} was answered: {answer:?}"))
    }
}

const STATE: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE accounts (name, password);
    INSERT INTO accounts VALUES ('admin', 'argon2-hash');
    CREATE TABLE incident (id, state, severity, title, opened, resolved);
    INSERT INTO incident VALUES
        ('inc-1', 'open', 'major', 'host-1 is slow', '2026-11-24 00:00:10.000', NULL),
        ('inc-2', 'resolved', 'minor', 'disk', '2026-11-24 00:00:20.000', '2026-11-24 00:00:25.000');
    CREATE VIEW v_incidents AS SELECT id, state, severity, title, opened, NULL AS acknowledged, resolved,
        '[\"host-1\"]' AS assets FROM incident;
    CREATE VIEW v_signals AS SELECT 'sig-1' AS id, 'inc-1' AS incident, 'host-1' AS asset, 'slow' AS rule,
        'alert' AS kind, 'm' AS metric, 'major' AS severity, 'slow' AS title, 0.5 AS score, opened AS started,
        opened AS raised, NULL AS ended FROM incident LIMIT 1;
    CREATE VIEW v_assets AS SELECT 'host-1' AS id, 'host' AS role, '{\"hostname\":[\"host-1\"]}' AS identifiers;
";

#[test]
fn logs_answer_like_a_table() {
    let ship = Ship::new();
    let answer = ship.ask("SELECT * FROM logs WHERE time = '2026-11-24 00:00:03'").unwrap();
    assert_eq!(answer.columns, ["time", "asset", "app", "severity", "message", "template", "attributes"]);
    let row = json!(["2026-11-24 00:00:03.000", "host-0", "app-3", "critical", "request 3 took 21 ms", null, null]);
    assert_eq!((json!(answer.rows), answer.truncated), (json!([row]), false));
    assert_eq!(ship.rows("SELECT count(*) FROM logs"), json!([[100]]));
    assert_eq!(
        ship.rows("SELECT severity, count(*) FROM logs GROUP BY 1 ORDER BY 1 LIMIT 1"),
        json!([["critical", 25]])
    );
}

#[test]
fn times_compare_rightly_in_every_form() {
    let ship = Ship::new();
    for (condition, count) in [
        ("time >= '2026-11-24T00:01:00Z'", 40),
        ("time > '2026-11-24 00:01'", 39),
        ("time < '2026-11-24T02:00:10+02:00'", 10),
        ("time <= 1795478410", 11),
        ("time BETWEEN '2026-11-24 00:00:10' AND '2026-11-24 00:00:19.999'", 10),
        ("time = '2026-11-24 00:00:10.0005'", 0),
        ("time > NULL", 0),
        ("time >= '2026-11-24' AND time < '2026-11-25'", 100),
        ("time > datetime('2026-11-24 00:00:30', '+1 minute')", 9),
        ("'2026-11-24T00:01:00Z' <= time", 40),
    ] {
        assert_eq!(ship.rows(&format!("SELECT count(*) FROM logs WHERE {condition}")), json!([[count]]), "{condition}");
    }
    let error = ship.error("SELECT * FROM logs WHERE time > 'yesterday'");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("could not read \"yesterday\" as a time"), "{error}");
}

#[test]
fn names_severities_and_texts_are_found() {
    let ship = Ship::new();
    for (condition, count) in [
        ("asset = 'host-1'", 33),
        ("asset = 'HOST-1' COLLATE NOCASE", 33),
        ("asset = 'host-1' AND app = 'app-1'", 7),
        ("asset = 'host-1' AND asset = 'host-2'", 0),
        ("asset = x'686f73742d31'", 0),
        ("severity IN ('major', 'critical')", 50),
        ("severity = 'purple'", 0),
        ("message LIKE '%REQUEST 7%'", 11),
        ("message LIKE 'request 7_ took%'", 10),
        ("message NOT LIKE '%7%'", 100 - rows_with_seven()),
        ("message LIKE NULL", 0),
        ("asset = 'host-1' OR app = 'app-1'", 46),
        ("time >= '2026-11-24T00:01:00Z' OR time = '2026-11-24T00:00:00Z'", 41),
        ("time IS '2026-11-24T00:01:00Z'", 1),
        ("asset = 'host-1' AND +time >= '2026-11-24 00:01:00.000'", 13),
        ("template IS NULL", 100),
    ] {
        assert_eq!(ship.rows(&format!("SELECT count(*) FROM logs WHERE {condition}")), json!([[count]]), "{condition}");
    }
}

fn rows_with_seven() -> i64 {
    (0..100).filter(|number| line(*number).message.contains('7')).count() as i64
}

#[test]
fn the_newest_and_the_oldest_come_in_order() {
    let ship = Ship::new();
    let newest = "SELECT message FROM logs WHERE severity = 'info' ORDER BY time DESC LIMIT 2";
    assert_eq!(ship.rows(newest), json!([["request 96 took 672 ms"], ["request 92 took 644 ms"]]));
    let oldest = "SELECT message FROM logs WHERE message LIKE '%request 4%' ORDER BY time LIMIT 2 OFFSET 1";
    assert_eq!(ship.rows(oldest), json!([["request 40 took 280 ms"], ["request 41 took 287 ms"]]));
    assert_eq!(ship.ask("SELECT * FROM logs ORDER BY time DESC LIMIT -1").unwrap().rows.len(), 100);
    let filtered = "SELECT message FROM logs WHERE length(message) = 20 ORDER BY time DESC LIMIT 1";
    assert_eq!(ship.rows(filtered), json!([["request 9 took 63 ms"]]));
}

#[test]
fn a_limit_is_left_to_the_log_table_only_where_it_answers_everything() {
    let ship = Ship::new();
    let plan = |query: &str| ship.rows(&format!("EXPLAIN QUERY PLAN {query}")).to_string();
    let pushed = plan("SELECT * FROM logs WHERE asset = 'a' AND message LIKE '%x%' ORDER BY time DESC LIMIT 5");
    assert!(pushed.contains("a%n") && !pushed.contains("TEMP B-TREE"), "{pushed}");
    let sorted = plan("SELECT * FROM logs WHERE asset > 'a' ORDER BY time DESC LIMIT 5");
    assert!(sorted.contains("TEMP B-TREE"), "{sorted}");
}

#[test]
fn logs_join_with_incidents_signals_and_assets() {
    let ship = Ship::new();
    let during = "SELECT incidents.id, count(*) FROM incidents JOIN logs ON logs.time BETWEEN opened
        AND coalesce(resolved, '2026-11-24 00:01:00') GROUP BY 1 ORDER BY 1";
    assert_eq!(ship.rows(during), json!([["inc-1", 51], ["inc-2", 6]]));
    let named = "SELECT DISTINCT assets.role, signals.score FROM logs JOIN assets ON assets.id = logs.asset
        JOIN signals ON signals.asset = assets.id JOIN incidents ON incidents.id = signals.incident,
        json_each(incidents.assets) AS one WHERE one.value = logs.asset";
    assert_eq!(ship.rows(named), json!([["host", 0.5]]));
    let late = ship.rows("SELECT id FROM incidents WHERE opened >= '2026-11-24T00:00:20Z'");
    assert_eq!(late, json!([["inc-2"]]), "times of incidents compare in any form as well");
    let twice = "SELECT count(*) FROM logs AS a JOIN logs AS b ON a.time = b.time AND a.asset = b.asset";
    assert_eq!(ship.rows(twice), json!([[100]]));
}

#[test]
fn the_state_database_is_opened_only_where_it_is_asked_for() {
    let ship = Ship::new();
    std::fs::remove_file(&ship.state).unwrap();
    assert_eq!(ship.rows("SELECT count(*) FROM logs"), json!([[100]]));
    assert!(matches!(ship.error("SELECT * FROM incidents"), LakeError::State { table: "incidents", .. }));
}

#[test]
fn secrets_and_changes_are_refused() {
    let ship = Ship::new();
    let path = ship.dir.path().join("out").display().to_string();
    for query in [
        "SELECT * FROM state.accounts",
        "SELECT * FROM accounts",
        "SELECT * FROM v_incidents",
        "SELECT * FROM main.accounts",
        "WITH v_incidents AS (SELECT * FROM accounts) SELECT * FROM v_incidents",
        "WITH incidents AS (SELECT * FROM sqlite_master) SELECT * FROM incidents",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM temp.sqlite_temp_master",
        "SELECT (SELECT sql FROM sqlite_master LIMIT 1) FROM logs",
        "SELECT * FROM pragma_database_list",
        "SELECT count(*) FROM pragma_database_list",
        "SELECT count(*) FROM sqlite_master",
        "SELECT 1 FROM bytecode('SELECT 1')",
        "SELECT * FROM pragma_table_info('logs')",
        "SELECT * FROM dbstat",
        "PRAGMA database_list",
        "PRAGMA writable_schema = ON",
        "ATTACH 'state.db' AS state",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "INSERT INTO incidents (id) VALUES ('inc-9')",
        "INSERT INTO logs (message) VALUES ('forged')",
        "UPDATE incidents SET title = ''",
        "DELETE FROM logs",
        "DROP TABLE incidents",
        "CREATE TABLE t (x)",
        "CREATE TEMP VIEW logs AS SELECT 1",
        "CREATE VIRTUAL TABLE t USING wk_logs",
        "VACUUM INTO 'copy.db'",
        "BEGIN",
        "SAVEPOINT a",
        "REINDEX",
        "ANALYZE",
        "SELECT load_extension('evil.so')",
        "SELECT LOAD_EXTENSION('evil.so')",
        &format!("SELECT writefile('{path}', 'x')"),
        "SELECT readfile('/etc/passwd')",
        "SELECT edit('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT 1; SELECT * FROM accounts",
        "SELECT 1; DROP TABLE incidents",
        "EXPLAIN SELECT * FROM sqlite_master",
        "VALUES ((SELECT count(*) FROM sqlite_master))",
    ] {
        let error = ship.error(query);
        assert!(matches!(error.kind(), ErrorKind::Denied | ErrorKind::InvalidInput), "{query}: {error}");
        assert!(!format!("{error:?}").contains("argon2-hash"), "{query}: {error:?}");
    }
    assert!(!ship.dir.path().join("out").exists());
    assert_eq!(ship.error("SELECT * FROM sqlite_master").kind(), ErrorKind::Denied);
    assert_eq!(ship.error("PRAGMA database_list").kind(), ErrorKind::Denied);
    let names = ship.rows("WITH v_incidents AS (SELECT id FROM incidents) SELECT count(*) FROM v_incidents");
    assert_eq!(names, json!([[2]]), "names of common table expressions are free");
}

#[test]
fn mistakes_are_answered_with_the_tables_and_columns() {
    let ship = Ship::new();
    let unknown = ship.error("SELECT host FROM logs").to_string();
    assert!(unknown.contains("no such column: host at byte 7"), "{unknown}");
    assert!(unknown.contains("logs(time, asset, app, severity, message, template, attributes)"), "{unknown}");
    assert!(ship.error("SELEC 1").to_string().contains("syntax error"));
    assert!(ship.error("  -- nothing").to_string().contains("empty"));
    assert!(ship.error("SELECT 1; SELECT 2").to_string().contains("more than one statement"));
    assert!(ship.error("SELECT * FROM logs WHERE asset = ?").to_string().contains("parameters"));
    assert!(ship.error("PRAGMA user_version").to_string().starts_with("PRAGMA user_version is not allowed"));
    let overlong = format!("SELECT count(*) FROM logs WHERE message LIKE '%{}%'", "x".repeat(2_000));
    assert!(ship.error(&overlong).to_string().contains("longer than"));
}

#[test]
fn every_sort_of_value_becomes_json() {
    let ship = Ship::new();
    assert_eq!(
        ship.rows("SELECT 1, 2.5, NULL, 'text', x'00ff', 9e999, -9e999;"),
        json!([[1, 2.5, null, "text", "00ff", "Infinity", "-Infinity"]])
    );
}

#[test]
fn answers_are_cut_at_the_bounds_of_rows_and_bytes() {
    let ship = Ship::new();
    let ask = |limits: SqlLimits| ship.lake.sql(&ship.sources(), "SELECT message FROM logs", &limits).unwrap();
    let by_rows = ask(SqlLimits { rows_max: 7, ..SqlLimits::default() });
    assert_eq!((by_rows.rows.len(), by_rows.truncated), (7, true));
    let exact = ask(SqlLimits { rows_max: 100, ..SqlLimits::default() });
    assert_eq!((exact.rows.len(), exact.truncated), (100, false));
    let by_bytes = ask(SqlLimits { bytes_max: 1_000, ..SqlLimits::default() });
    assert!(by_bytes.truncated && by_bytes.rows.len() < 30, "{}", by_bytes.rows.len());
}

#[test]
fn endless_queries_are_stopped() {
    let ship = Ship::new();
    let limits = SqlLimits { time_max: DurationMs(50), ..SqlLimits::default() };
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    for query in [endless, "SELECT count(*) FROM logs a, logs b, logs c, logs d"] {
        let error = ship.lake.sql(&ship.sources(), query, &limits).unwrap_err();
        assert!(matches!(error, LakeError::TimeLimit { .. }), "{query}: {error:?}");
    }
    let error = ship.error("SELECT length(zeroblob(100000000))");
    assert!(error.to_string().contains("too big"), "{error}");
}

#[test]
fn a_damaged_file_hides_only_its_own_rows() {
    let ship = Ship::new();
    ship.lake.flush().unwrap();
    let logs = ship.dir.path().join("logs");
    let oldest = logs.join(&crate::testing::files(&logs)[0]);
    let mut bytes = std::fs::read(&oldest).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&oldest, bytes).unwrap();
    assert_eq!(
        ship.rows("SELECT count(message) FROM (SELECT * FROM logs WHERE time > 0 AND asset <> '')"),
        json!([[50]])
    );
    assert_eq!(ship.lake.stats().problems.len(), 1);
}

#[test]
fn times_beyond_the_calendar_do_not_stop_a_query() {
    let ship = Ship::new();
    ship.lake.append(Seq(500), DAY, &[log(UtcMs::MAX, "h", "a", Severity::Info, "far")]).unwrap();
    assert_eq!(ship.rows("SELECT message FROM logs ORDER BY time DESC LIMIT 1"), json!([["far"]]));
}

/// A column of the log table and a condition on it, in SQLite's words.
fn condition() -> impl Strategy<Value = String> {
    let operator = || prop::sample::select(vec!["=", "<", "<=", ">", ">=", "<>", "IS"]);
    let second = 0..110_i64;
    prop_oneof![
        (operator(), second).prop_map(|(operator, second)| {
            let time = time_text_of(second);
            format!("time {operator} '{time}'")
        }),
        (operator(), 0..4).prop_map(|(operator, number)| format!("asset {operator} 'host-{number}'")),
        (operator(), 0..6).prop_map(|(operator, number)| format!("app {operator} 'app-{number}'")),
        prop::sample::select(vec!["severity = 'major'", "severity >= 'major'", "severity IN ('info', 'minor')"])
            .prop_map(str::to_owned),
        prop::sample::select(vec!["%7%", "request 1%", "%REQUEST _ took%", "", "%", "%took 21%"])
            .prop_map(|pattern| format!("message LIKE '{pattern}'")),
    ]
}

fn time_text_of(second: i64) -> String {
    time_text::format_into(DAY + DurationMs::from_secs(second), &mut [0; time_text::FORMATTED_MAX]).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The log table answers as an ordinary table with the same rows does.
    #[test]
    fn push_down_changes_no_answer(
        conditions in proptest::collection::vec(condition(), 0..4), use_or: bool,
        order in prop::sample::select(vec!["time", "time DESC", "time DESC, asset", "asset, time"]),
        limit in 0..12_i64, offset in 0..5_i64,
    ) {
        let ship = Ship::new();
        let glue = if use_or { " OR " } else { " AND " };
        let filter = if conditions.is_empty() { "1".to_owned() } else { conditions.join(glue) };
        let tail = format!("WHERE {filter} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
        let plain = "(SELECT +time AS time, +asset AS asset, +app AS app, +severity AS severity, +message AS message FROM logs)";
        let expected = ship.rows(&format!("SELECT time, message FROM {plain} {tail}"));
        prop_assert_eq!(ship.rows(&format!("SELECT time, message FROM logs {tail}")), expected, "{}", tail);
        let counted = ship.rows(&format!("SELECT count(*), max(time) FROM {plain} WHERE {filter}"));
        prop_assert_eq!(ship.rows(&format!("SELECT count(*), max(time) FROM logs WHERE {filter}")), counted);
    }
}

#[test]
fn rollups_of_metrics_are_tables() {
    let ship = Ship::new();
    assert_eq!(ship.rows("SELECT count(*), sum(count) FROM metrics_5m"), json!([[36, 720]]));
    assert_eq!(
        ship.rows(
            "SELECT asset, metric, labels, avg, min, max, last, count, increase FROM metrics_1h
             WHERE metric = 'load' AND asset = 'host-1' AND time >= '2026-11-24T10:00:00Z'"
        ),
        json!([
            ["host-1", "load", "{\"instance\":\"host-1\"}", 10.0, 9.5, 10.5, 10.0, 20, null],
            ["host-1", "load", "{\"instance\":\"host-1\"}", 11.0, 10.5, 11.5, 11.0, 20, null]
        ])
    );
    assert_eq!(
        ship.rows("SELECT max(time), sum(increase) FROM metrics_5m WHERE increase > 0"),
        json!([["2026-11-24 00:55:00.000", 1200.0]])
    );
    assert_eq!(ship.rows("SELECT count(*) FROM metrics_5m WHERE asset = 'host-0' AND asset = 'host-1'"), json!([[0]]));
    assert_eq!(
        ship.rows(
            "SELECT a.id, count(*) FROM assets a JOIN metrics_5m m ON m.asset = a.id WHERE m.metric = 'load' GROUP BY 1"
        ),
        json!([["host-1", 12]])
    );
    let none = SqlSources { state_db: &ship.state, rollups: Err("metrics live elsewhere".to_owned()) };
    let error = ship.lake.sql(&none, "SELECT * FROM metrics_1h", &SqlLimits::default()).unwrap_err();
    assert!(error.to_string().contains("live elsewhere"), "{error}");
}

#[test]
fn counting_statements_answer_as_any_other() {
    let ship = Ship::new();
    let counting = [
        "SELECT count(*) FROM logs",
        "SELECT app, severity, count(*) FROM logs GROUP BY app, severity",
        "SELECT app, count(*) AS n FROM logs WHERE severity = 'major' GROUP BY app HAVING n > 1 ORDER BY n DESC, app",
        "SELECT upper(asset), count(*) FROM logs WHERE time >= '2026-11-24 00:00:30' GROUP BY 1",
        "SELECT count(*) FROM logs WHERE message LIKE '%took 7 ms%'",
        "SELECT count(*) FROM logs WHERE length(message) > 20",
        "SELECT count(*) FROM logs WHERE app = 'app-1' OR severity = 'minor'",
        "SELECT count(*) FROM logs WHERE app IN ('app-1', 'app-2', 'nowhere')",
        "SELECT substr(time, 1, 16), count(*) FROM logs GROUP BY 1",
        "SELECT substr(time, 1, 10) AS day, substring(time,1,19), app, count(*) FROM logs GROUP BY 1, 2, app ORDER BY day",
        "SELECT substr(time, 1, 13), count(*) FROM logs WHERE substr(time, 1, 16) > '2026' AND app = 'app-1' GROUP BY 1",
        "SELECT count(*) FROM logs WHERE asset = 'host-1' GROUP BY substr(time, 1, 19) HAVING substr(time, 1, 10) > ''",
        "SELECT substr(time, 1, 15), count(*) FROM logs GROUP BY 1",
        "SELECT substr(time, 1, 16), message, count(*) FROM logs GROUP BY 1, 2",
        "SELECT substr(time, 1, 16), time, count(*) FROM logs GROUP BY 2",
        "SELECT count(*) FROM logs WHERE time > '2027'",
        "SELECT app, count(*) FROM logs WHERE time > '2027' GROUP BY app",
        "SELECT max(app), min(severity), count(*) FROM logs",
        "SELECT count(*) FROM logs l WHERE l.asset = 'host-1' AND NOT l.app = 'app-3'",
        "SELECT asset, count(*) FROM logs GROUP BY asset LIMIT 1",
    ];
    for query in counting {
        // A subquery is more than a plain count, so that this form is never counted natively.
        let plain = query.replace("FROM logs", "FROM (SELECT * FROM logs)");
        let mut answers = [ship.ask(query).unwrap(), ship.ask(&plain).unwrap()];
        answers.iter_mut().for_each(|answer| answer.rows.sort_by_key(|row| format!("{row:?}")));
        assert_eq!(answers[0].rows, answers[1].rows, "{query}");
        assert_eq!(answers[0].columns, answers[1].columns, "{query}");
    }
}

#[test]
fn statements_that_keep_rows_have_a_bound() {
    let ship = Ship::new();
    let limits = SqlLimits { kept_bytes_max: 1_000, ..SqlLimits::default() };
    let ask = |query: &str| ship.lake.sql(&ship.sources(), query, &limits);
    // The bound is looked at once a block of rows.
    let error =
        ask("SELECT message, (SELECT count(DISTINCT l.message) FROM logs l) FROM logs ORDER BY message").unwrap_err();
    assert!(matches!(error, LakeError::TooLarge { .. }), "{error}");
    assert!(ask("SELECT message FROM logs").is_ok());
    assert!(ask("SELECT app, count(*) FROM logs GROUP BY app").is_ok());
}

/// Such a text sorts behind all times of its day where it is compared letter by letter.
#[test]
fn counting_statements_read_times_with_a_t_between_date_and_time() {
    let ship = Ship::new();
    let day = ship.rows("SELECT min(time) FROM logs")[0][0].as_str().unwrap()[..10].to_owned();
    for (columns, all) in [("count(*), max(message)", true), ("message, count(*)", false), ("app, count(*)", false)] {
        let group = if all { "" } else { " GROUP BY 1 ORDER BY 1" };
        let plain = ship.rows(&format!("SELECT {columns} FROM logs{group}"));
        for condition in [
            format!("time >= '{day}T00:00:00Z'"),
            format!("NOT time < '{day}T00:00:00Z'"),
            format!("'{day}T00:00:00Z' <= time"),
        ] {
            assert_eq!(
                ship.rows(&format!("SELECT {columns} FROM logs WHERE {condition}{group}")),
                plain,
                "{condition}"
            );
        }
    }
}
