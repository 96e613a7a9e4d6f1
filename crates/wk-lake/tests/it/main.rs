//! Measurements of the lake on recorded and on made lines; printed, not judged.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement prints, and fails by panicking")]

mod loghub;
mod million;

use std::fs;
use std::sync::Arc;

use wk_lake::{Lake, LakeOptions};
use wk_store::io::SystemIo;

fn open(dir: &std::path::Path, options: LakeOptions) -> Lake {
    Lake::open(Arc::new(SystemIo), dir, options).unwrap().0
}

/// The processor time this thread has taken, in seconds.
fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
    nanos as f64 / 1e9
}

/// The process's resident memory at its highest, in MiB.
fn peak_mib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default() / 1_024
}
