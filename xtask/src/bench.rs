//! Benchmarks against the peers by which the stores are judged. Each prints peer and ours from one run, with versions.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "benchmarks wait for other processes and place what they send at the present time"
)]

mod answers;
mod clickhouse;
mod feed;
mod logs;
mod memory;
mod metrics;
mod process;
mod queries;
mod recorded;
mod recovery;
mod snmp;
mod store;
mod table;

use anyhow::Result;
use clap::Subcommand;

/// A benchmark.
#[derive(Subcommand)]
pub enum Bench {
    /// Metrics, against VictoriaMetrics and Prometheus
    Metrics(metrics::Options),
    /// Logs, against ClickHouse's engine
    Logs(logs::Options),
    /// `kill -9` under load with much stored behind it
    Recovery(recovery::Options),
    /// Memory over a simulated day in which series come and go
    Memory(memory::Options),
    /// Polling of very many SNMP devices
    Snmp(snmp::Options),
}

/// Runs a benchmark.
pub fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Metrics(options) => metrics::run(options),
        Bench::Logs(options) => logs::run(options),
        Bench::Recovery(options) => recovery::run(options),
        Bench::Memory(options) => memory::run(options),
        Bench::Snmp(options) => snmp::run(options),
    }
}
