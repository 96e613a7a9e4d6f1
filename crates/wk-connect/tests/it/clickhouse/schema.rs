//! The tables as the engine has them.

use wk_connect::clickhouse::{ClickHouse, ClickHouseError, SCHEMA};
use wk_lake::{LogQuery, LogSource as _, SearchLimits};

use super::engine::{Engine, OldServer};
use super::{all, lines, options, record, runtime};

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn the_table_has_the_types_codecs_and_keys_that_are_meant() {
    let Some(engine) = Engine::shared("clickhouse: the_table_has_the_types") else { return };
    let runtime = runtime();
    let database = "types";
    ClickHouse::new(options(engine.port, database), runtime.handle().clone()).unwrap().prepare().unwrap();
    let columns = engine.ask(
        database,
        "SELECT name, type, compression_codec FROM system.columns WHERE database = 'types' AND table = 'logs'",
    );
    for (name, kind, codec) in [
        ("time", "DateTime64(3, \\'UTC\\')", "CODEC(Delta(8), ZSTD(3))"),
        ("asset", "LowCardinality(String)", ""),
        ("app", "LowCardinality(String)", ""),
        ("severity", "Enum8(\\'info\\' = 1, \\'minor\\' = 2, \\'major\\' = 3, \\'critical\\' = 4)", ""),
        ("message", "String", "CODEC(ZSTD(3))"),
        ("template", "LowCardinality(Nullable(String))", ""),
        ("attributes", "Map(LowCardinality(String), String)", "CODEC(ZSTD(3))"),
        ("seq", "UInt64", "CODEC(Delta(8), ZSTD(3))"),
        ("received", "DateTime64(3, \\'UTC\\')", "CODEC(DoubleDelta, ZSTD(3))"),
    ] {
        assert!(columns.contains(&format!("{name}\t{kind}\t{codec}\n")), "{name} in\n{columns}");
    }
    let engine_text = engine.ask(
        database,
        "SELECT sorting_key, partition_key, engine_full FROM system.tables WHERE database = 'types' AND name = 'logs'",
    );
    assert!(engine_text.starts_with("vessel, app, asset, time\ttoDate(received)\tMergeTree"), "{engine_text}");
    for part in ["TTL toDateTime(received) + toIntervalDay(30)", "non_replicated_deduplication_window = 10000"] {
        assert!(engine_text.contains(part), "{part} in {engine_text}");
    }
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_second_start_keeps_the_rows_and_takes_other_days() {
    let Some(engine) = Engine::shared("clickhouse: a_second_start") else { return };
    let runtime = runtime();
    let database = "again";
    let store = ClickHouse::new(options(engine.port, database), runtime.handle().clone()).unwrap();
    let first = record(1);
    store.insert(first.received, &lines(&first)).unwrap();
    let ttl = || {
        let sql = "SELECT engine_full FROM system.tables WHERE database = 'again' AND name = 'logs'";
        engine.ask(database, sql)
    };
    for (days, wanted) in [(Some(7), "toIntervalDay(7)"), (None, "ORDER BY"), (Some(30), "toIntervalDay(30)")] {
        let options = wk_connect::clickhouse::ClickHouseOptions { ttl_days: days, ..options(engine.port, database) };
        let store = ClickHouse::new(options, runtime.handle().clone()).unwrap();
        store.prepare().unwrap();
        assert!(ttl().contains(wanted) && ttl().contains(" TTL ") == days.is_some(), "{}", ttl());
        assert_eq!(all(&store).len(), 1);
    }
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn tables_that_are_newer_or_others_are_refused_and_left() {
    let Some(engine) = Engine::shared("clickhouse: tables_that_are_newer") else { return };
    let runtime = runtime();
    let connect = |database| ClickHouse::new(options(engine.port, database), runtime.handle().clone()).unwrap();
    connect("newer").prepare().unwrap();
    engine.ask("newer", &format!("INSERT INTO watchkeeper_schema (version) VALUES ({})", SCHEMA + 1));
    let refused = connect("newer").prepare().unwrap_err();
    assert!(matches!(refused, ClickHouseError::Newer { found, .. } if found == SCHEMA + 1), "{refused}");
    let asked = connect("newer").search(&LogQuery::default(), &SearchLimits::default()).unwrap_err();
    let said = std::error::Error::source(&asked).unwrap().to_string();
    assert!(said.contains("use a newer watchkeeper"), "{said}");

    engine.ask("default", "CREATE DATABASE others");
    engine.ask("others", "CREATE TABLE logs (time DateTime, message String) ENGINE = MergeTree ORDER BY time");
    let refused = connect("others").prepare().unwrap_err().to_string();
    assert!(refused.contains("it has no column vessel") && refused.contains("choose another database"), "{refused}");
    assert_eq!(engine.ask("others", "SELECT count() FROM logs"), "0\n");
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_real_server_that_is_too_old_is_refused_by_its_version() {
    let Some(server) = OldServer::start("clickhouse: a_real_server_that_is_too_old") else { return };
    let runtime = runtime();
    let store = ClickHouse::new(options(server.port, "old"), runtime.handle().clone()).unwrap();
    let refused = store.prepare().unwrap_err();
    assert!(matches!(&refused, ClickHouseError::TooOld { found, .. } if found.starts_with("18.16")), "{refused:?}");
    assert!(refused.to_string().contains("is version 18.16.1, 23.8 or newer is needed"), "{refused}");
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_wrong_password_is_told_and_the_right_one_is_read_from_its_file() {
    let test = "clickhouse: a_wrong_password";
    let Some(engine) = Engine::start(test, &["ship", "s3cret"]) else { return };
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    let connect = |password: &str| {
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let options = wk_connect::clickhouse::ClickHouseOptions {
            user: Some("ship".to_owned()),
            password_file: Some(file.clone()),
            ..options(engine.port, "signed")
        };
        ClickHouse::new(options, runtime.handle().clone()).unwrap()
    };
    let refused = connect("wrong").prepare().unwrap_err();
    assert!(matches!(refused, ClickHouseError::Refused { code: 516, .. }) && refused.is_retryable(), "{refused}");
    assert!(!refused.to_string().contains("wrong"), "{refused}");
    connect("s3cret").prepare().unwrap();
}
