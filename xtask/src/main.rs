//! Long suites, run by hand and recorded in docs/measurements.md; the test suite runs their short forms.

#![allow(clippy::print_stdout, reason = "the output of these tasks is their result")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod bench;
mod fuzz;

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;

/// A long suite.
#[derive(Parser)]
enum Suite {
    /// `kill -9` at random moments under load
    KillRounds {
        /// How many rounds
        #[arg(long, default_value_t = 200)]
        rounds: u32,
    },
    /// Power cuts and failing fsyncs on the test I/O layer
    PowerCuts {
        /// How many rounds
        #[arg(long, default_value_t = 10_000)]
        rounds: u32,
    },
    /// A real Prometheus writes to a node, then ten queries are compared
    Prometheus {
        /// How long it writes
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Random queries that a real Prometheus answers too
    Differential {
        /// How many queries
        #[arg(long, default_value_t = 20_000)]
        queries: u32,
    },
    /// Memory and start of an idle node
    Idle,
    /// The first watch under the shipped rules alone
    FirstWatchDefaults,
    /// Foreign bytes to every reader of them, by libFuzzer
    Fuzz(fuzz::Options),
    /// Benchmarks against the peers
    #[command(subcommand)]
    Bench(bench::Bench),
}

fn main() -> Result<()> {
    match Suite::parse() {
        Suite::KillRounds { rounds } => test("nothing_acknowledged_is_lost_to_kill_9", "WATCHKEEPER_ROUNDS", rounds),
        Suite::PowerCuts { rounds } => test("power_cuts", "WATCHKEEPER_POWER_CUTS", rounds),
        Suite::Prometheus { seconds } => {
            test("a_real_prometheus_writes_to_us", "WATCHKEEPER_PROMETHEUS_SECONDS", seconds)
        }
        Suite::Differential { queries } => test("random_queries_answer", "WATCHKEEPER_DIFFERENTIAL", queries),
        Suite::Idle => test("an_idle_node_is_small", "WATCHKEEPER_IDLE", 1),
        Suite::FirstWatchDefaults => run(Command::new("examples/first-watch.sh").arg("--defaults")),
        Suite::Fuzz(options) => fuzz::run(&options),
        Suite::Bench(bench) => bench::run(&bench),
    }
}

/// Runs the tests whose names contain `filter`, with their size given by a variable.
fn test(filter: &str, variable: &str, value: u32) -> Result<()> {
    let cargo = std::env::var_os("CARGO").context("this is run by cargo xtask")?;
    run(Command::new(cargo)
        .args(["test", "--release", "--workspace", "--", filter, "--nocapture", "--test-threads=1"])
        .env(variable, value.to_string()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not run {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
