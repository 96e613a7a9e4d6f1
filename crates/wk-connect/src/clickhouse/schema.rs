//! The tables: made where they are missing, checked where they are there.

use super::http::Answer;
use super::row_binary::Get;
use super::statement::{Statement, Value};
use super::{ClickHouseError, Inner};

/// The number of the tables' schema that this version makes, and the newest it uses.
pub const SCHEMA: u32 = 1;
/// The oldest server on which it is used, major and minor.
pub const VERSION_MIN: (u32, u32) = (23, 8);

/// The table of logs.
pub(super) const LOGS: &str = "logs";
/// The table that holds the schema's number.
const SCHEMA_TABLE: &str = "watchkeeper_schema";

/// A database that every server has.
const SERVER_DATABASE: &str = "default";

/// Inserts whose tokens the store remembers. A batch that may have been stored is sent again before anything else, so
/// that only the inserts of other ships meanwhile count against it.
const TOKENS_REMEMBERED: u32 = 10_000;

/// The columns with their types and codecs.
const COLUMNS: [(&str, &str, &str); 11] = [
    ("vessel", "LowCardinality(String)", ""),
    ("time", "DateTime64(3, 'UTC')", "CODEC(Delta, ZSTD(3))"),
    ("asset", "LowCardinality(String)", ""),
    ("app", "LowCardinality(String)", ""),
    ("severity", "Enum8('info' = 1, 'minor' = 2, 'major' = 3, 'critical' = 4)", ""),
    ("message", "String", "CODEC(ZSTD(3))"),
    ("template", "LowCardinality(Nullable(String))", ""),
    ("attributes", "Map(LowCardinality(String), String)", "CODEC(ZSTD(3))"),
    ("seq", "UInt64", "CODEC(Delta, ZSTD(3))"),
    ("line", "UInt32", "CODEC(Delta, ZSTD(3))"),
    ("received", "DateTime64(3, 'UTC')", "CODEC(DoubleDelta, ZSTD(3))"),
];

/// The statement that makes the table of logs. A partition is a day of receipt: times that senders give may be of any
/// year, and one batch of them must not touch a partition for each.
fn create_logs(ttl_days: Option<u32>) -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind, codec)| format!("{name} {kind} {codec}")).collect();
    let ttl = ttl_days.map(ttl_expression).map(|ttl| format!(" TTL {ttl}")).unwrap_or_default();
    format!(
        "CREATE TABLE IF NOT EXISTS {LOGS} ({}, \
         INDEX time_range time TYPE minmax GRANULARITY 1, \
         INDEX seq_range seq TYPE minmax GRANULARITY 1, \
         INDEX message_ngrams lower(message) TYPE ngrambf_v1(4, 16384, 2, 0) GRANULARITY 1) \
         ENGINE = MergeTree PARTITION BY toDate(received) ORDER BY (vessel, app, asset, time){ttl} \
         SETTINGS non_replicated_deduplication_window = {TOKENS_REMEMBERED}, ttl_only_drop_parts = 1",
        columns.join(", ")
    )
}

/// As ClickHouse prints it as well, so that a change of the days is found.
fn ttl_expression(days: u32) -> String {
    format!("toDateTime(received) + toIntervalDay({days})")
}

/// Makes or checks the tables.
pub(super) async fn prepare(inner: &Inner) -> Result<(), ClickHouseError> {
    let url = inner.options.url.clone();
    let found: String = ask(inner, Statement::new("SELECT version()")).await?.one().await?;
    if version(&found).is_none_or(|version| version < VERSION_MIN) {
        return Err(ClickHouseError::TooOld { url, found });
    }
    let database = &inner.options.database;
    let of_database = || Statement::new("SELECT count() FROM system.tables WHERE database = ").with("?", database);
    if count(inner, of_database().with(" AND name = ?", SCHEMA_TABLE)).await? == 0 {
        let databases = Statement::new("SELECT count() FROM system.databases WHERE name = ").with("?", database);
        if count(inner, databases).await? == 0 {
            let create = {
                let mut create = Statement::new("CREATE DATABASE IF NOT EXISTS ");
                create.bind("?", Value::Identifier(database.clone()));
                create
            };
            inner.http.run(SERVER_DATABASE, &create, &[]).await?;
        }
        create(inner).await?;
    }
    check_number(inner).await?;
    check_columns(inner).await?;
    keep_ttl(inner).await
}

/// Asks a question that the database need not be there for.
async fn ask<T: Get>(inner: &Inner, statement: Statement) -> Result<Answer<T>, ClickHouseError> {
    inner.http.ask(SERVER_DATABASE, &statement, &[]).await
}

async fn count(inner: &Inner, statement: Statement) -> Result<u64, ClickHouseError> {
    ask(inner, statement).await?.one().await
}

/// Runs a statement of our own in the database.
async fn run(inner: &Inner, statement: &str) -> Result<(), ClickHouseError> {
    inner.http.run(&inner.options.database, &Statement::new(statement), &[]).await
}

async fn create(inner: &Inner) -> Result<(), ClickHouseError> {
    run(inner, &create_logs(inner.options.ttl_days)).await?;
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {SCHEMA_TABLE} (version UInt32, made DateTime DEFAULT now()) \
         ENGINE = MergeTree ORDER BY version"
    );
    run(inner, &create).await
}

/// Checks the schema's number; writes it where a start was interrupted before.
async fn check_number(inner: &Inner) -> Result<(), ClickHouseError> {
    let newest = Statement::new(&format!("SELECT max(version) FROM {SCHEMA_TABLE}"));
    let newest: u32 = inner.http.ask(&inner.options.database, &newest, &[]).await?.one().await?;
    match newest {
        0 => run(inner, &format!("INSERT INTO {SCHEMA_TABLE} (version) SELECT {SCHEMA}")).await,
        found if found > SCHEMA => Err(ClickHouseError::Newer { database: inner.options.database.clone(), found }),
        _ => Ok(()),
    }
}

async fn check_columns(inner: &Inner) -> Result<(), ClickHouseError> {
    let database = inner.options.database.clone();
    let columns = Statement::new("SELECT name, type FROM system.columns WHERE database = ").with("?", &database);
    let columns: Vec<(String, String)> = ask(inner, columns.with(" AND table = ?", LOGS)).await?.all().await?;
    for (name, wanted, _) in COLUMNS {
        let what = match columns.iter().find(|(found, _)| found == name) {
            None => format!("it has no column {name}"),
            Some((_, found)) if found != wanted => format!("its column {name} is {found}, not {wanted}"),
            Some(_) => continue,
        };
        return Err(ClickHouseError::Foreign { database, what });
    }
    Ok(())
}

/// Gives the table the days that are configured now.
async fn keep_ttl(inner: &Inner) -> Result<(), ClickHouseError> {
    let engine = Statement::new("SELECT engine_full FROM system.tables WHERE name = ").with("?", LOGS);
    let engine = engine.with(" AND database = ?", &inner.options.database);
    let engine: String = ask(inner, engine).await?.one().await?;
    let change = match inner.options.ttl_days.map(ttl_expression) {
        Some(ttl) if !engine.contains(&format!("TTL {ttl} ")) => format!("ALTER TABLE {LOGS} MODIFY TTL {ttl}"),
        None if engine.contains(" TTL ") => format!("ALTER TABLE {LOGS} REMOVE TTL"),
        _ => return Ok(()),
    };
    let settings = [("materialize_ttl_after_modify", "0".to_owned())];
    inner.http.run(&inner.options.database, &Statement::new(&change), &settings).await
}

/// Major and minor of a version such as `26.9.2.1`.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("26.9.2.1").unwrap() > VERSION_MIN);
        assert!(version("18.16.1").unwrap() < VERSION_MIN);
        assert!(version("23.10.1").unwrap() > VERSION_MIN);
        assert_eq!(version("none"), None);
    }
}
