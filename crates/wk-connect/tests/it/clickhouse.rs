//! ClickHouse: its engine (chdb) behind an HTTP interface made for these tests.

mod answers;
mod engine;
mod faults;
mod figures;
mod moving;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use wk_connect::clickhouse::{ClickHouse, ClickHouseOptions, Line};
use wk_lake::{LogQuery, LogRow, LogSource as _, SearchLimits};
use wk_types::{AssetId, Body, IntakeRecord, LogRecord, Seq, Severity, UtcMs, VesselId};

/// 2026-11-24T00:00:00Z.
const DAY: UtcMs = UtcMs(1_795_478_400_000);

fn options(port: u16, database: &str) -> ClickHouseOptions {
    ClickHouseOptions {
        url: format!("http://127.0.0.1:{port}"),
        database: database.to_owned(),
        user: None,
        password_file: None,
        authority_file: None,
        ttl_days: Some(30),
        vessel: VesselId::from("vessel-1"),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    // The program chooses it once; so does each test.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn log(time: UtcMs, asset: &str, app: &str, severity: Severity, message: &str) -> LogRecord {
    let asset = AssetId::from(asset);
    LogRecord { time, asset, app: app.into(), severity, message: message.into(), attributes: BTreeMap::new() }
}

/// A record with one plain line.
fn record(seq: u64) -> Arc<IntakeRecord> {
    let line = log(UtcMs(DAY.0 + seq as i64), "bridge-pc", "dhcpd", Severity::Info, &format!("lease {seq} renewed"));
    record_of(seq, vec![line])
}

fn record_of(seq: u64, logs: Vec<LogRecord>) -> Arc<IntakeRecord> {
    let received = UtcMs(DAY.0 + seq as i64);
    Arc::new(IntakeRecord { seq: Seq(seq), received, source: "test".into(), body: Body::Logs(logs.into()) })
}

fn lines(record: &IntakeRecord) -> Vec<Line<'_>> {
    let Body::Logs(logs) = &record.body else { return Vec::new() };
    (0..).zip(logs.iter()).map(|(line, log)| Line::of_record(record.seq, line, log)).collect()
}

/// Everything in the store, oldest first.
fn all(store: &ClickHouse) -> Vec<LogRow> {
    let mut query = LogQuery { newest_first: false, limit: 10_000, ..LogQuery::default() };
    let mut rows = Vec::new();
    loop {
        let page = store.search(&query, &SearchLimits::default()).unwrap();
        rows.extend(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return rows,
        }
    }
}

/// The records of all lines in the store, which each test's records hold once.
fn seqs(store: &ClickHouse) -> Vec<u64> {
    let mut seqs: Vec<u64> = all(store).iter().map(|row| row.seq.0).collect();
    seqs.sort_unstable();
    seqs
}
