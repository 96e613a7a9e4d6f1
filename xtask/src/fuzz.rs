//! Fuzzing with libFuzzer on the stable toolchain: builds the targets of `fuzz/`, runs them, and reports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use super::run as run_command;

/// Counters of edges and the operands of comparisons, as cargo-fuzz asks for them too; the stable compiler knows all of
/// these.
const FLAGS: [&str; 8] = [
    "--cfg",
    "fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];
/// MiB of memory beyond which a target has failed.
const MEMORY_MIB_MAX: u32 = 1_024;
/// Seconds after which one input has taken too long.
const INPUT_SECONDS_MAX: u32 = 10;
/// Bytes of the longest input that is made.
const INPUT_BYTES_MAX: u32 = 4_096;

/// What to fuzz, and for how long.
#[derive(Args)]
pub struct Options {
    /// The targets; all of them where none is named
    targets: Vec<String>,
    /// Seconds for each
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// Builds the targets and runs one after the other at low priority; fails where one of them does.
pub fn run(options: &Options) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let known = targets(&folder)?;
    for target in &options.targets {
        ensure!(known.contains(target), "there is no target {target}; there are {}", known.join(", "));
    }
    let chosen = if options.targets.is_empty() { &known } else { &options.targets };
    let built = build(&folder, chosen)?;
    println!("{:<20} {:>14} {:>10} {:>8} {:>8}", "target", "executions", "a second", "found", "MiB");
    for target in chosen {
        fuzz(&folder, &built.join(target), target, options.seconds)?;
    }
    Ok(())
}

/// The names of all targets.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let files = fs::read_dir(folder.join("src/bin")).context("could not list the targets")?;
    let mut names = files
        .map(|file| Ok(Path::new(&file?.file_name()).with_extension("").display().to_string()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Builds targets; answers the folder they are in.
fn build(folder: &Path, targets: &[String]) -> Result<PathBuf> {
    // With a target named, build scripts and macros are compiled without the instrumentation.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let cargo = std::env::var_os("CARGO").context("this is run by cargo xtask")?;
    let built = folder.join("target");
    let bins = targets.iter().flat_map(|target| ["--bin", target]);
    run_command(
        Command::new(cargo)
            .current_dir(folder)
            .args(["build", "--release", "--locked", "--target", &triple])
            .args(bins)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
            .env("CARGO_TARGET_DIR", &built),
    )?;
    Ok(built.join(triple).join("release"))
}

/// Runs a target and prints what it did.
fn fuzz(folder: &Path, program: &Path, target: &str, seconds: u32) -> Result<()> {
    let (found, artifacts) = (folder.join("found").join(target), folder.join("artifacts").join(target));
    fs::create_dir_all(&found)?;
    fs::create_dir_all(&artifacts)?;
    let output = Command::new("nice")
        .args(["-n", "19"])
        .arg(program)
        .args([format!("-max_total_time={seconds}"), format!("-rss_limit_mb={MEMORY_MIB_MAX}")])
        .args([format!("-timeout={INPUT_SECONDS_MAX}"), format!("-max_len={INPUT_BYTES_MAX}")])
        .args([format!("-artifact_prefix={}/", artifacts.display()), "-print_final_stats=1".to_owned()])
        .args([&found, &folder.join("corpus").join(target)])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let stat = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        line.map_or("?", |value| value.trim_start_matches(':').trim())
    };
    println!(
        "{target:<20} {:>14} {:>10} {:>8} {:>8}",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        stat("new_units_added"),
        stat("peak_rss_mb"),
    );
    ensure!(output.status.success(), "{target} failed; the input is in {}\n{said}", artifacts.display());
    Ok(())
}
