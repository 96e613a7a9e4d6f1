//! The verbs that need no node: checks of files, the journal's proof, replay.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use wk_config::Config;
use wk_node::folder::check_format;
use wk_node::recording;
use wk_store::state::{Head, verify_journal as verify};

use crate::print;

/// Goes through a recording again and compares.
///
/// # Errors
/// A recording that cannot be read.
pub fn replay(file: &Path, as_json: bool) -> Result<ExitCode> {
    let replay = recording::replay(file)?;
    let agrees = replay.agrees();
    if as_json {
        print::json(&json!({
            "records": replay.records, "incidents": replay.incidents, "facts": replay.facts.len(), "agrees": agrees,
        }));
    } else {
        print::incidents(&json!({ "incidents": replay.incidents }));
        eprintln!("{} records gave {} facts", replay.records, replay.facts.len());
    }
    if let Some((at, recorded, replayed)) = replay.first_difference() {
        eprintln!("fact {at} differs\n  recorded: {recorded}\n  replayed: {replayed}");
        return Ok(ExitCode::FAILURE);
    }
    eprintln!("the replay gave the recorded facts, byte for byte");
    Ok(ExitCode::SUCCESS)
}

/// Checks alerting rule files.
///
/// # Errors
/// A file that cannot be read or whose rules cannot be used.
pub fn check_rules(files: &[PathBuf], as_json: bool) -> Result<ExitCode> {
    let mut all = Vec::new();
    for file in files {
        let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
        let rules = wk_engine::check_rule_file(&file.display().to_string(), &text)?;
        all.push(json!({"file": file, "rules": rules.len()}));
        if !as_json {
            eprintln!("{}: {} rules, all well", file.display(), rules.len());
        }
    }
    if as_json {
        print::json(&json!({ "files": all }));
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks a configuration file.
///
/// # Errors
/// A file that cannot be read or used.
pub fn check_config(file: &Path) -> Result<ExitCode> {
    Config::load(file).with_context(|| format!("in {}", file.display()))?;
    eprintln!("{}: all well", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Prints values and their origins.
///
/// # Errors
/// A file that cannot be read or used.
pub fn show_config(file: Option<&Path>, effective: bool, as_json: bool) -> Result<ExitCode> {
    let text = match file {
        Some(file) => fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?,
        None => String::new(),
    };
    let mut values = Config::effective(&text)?;
    values.retain(|value| effective || value.origin == wk_config::Origin::File);
    if as_json {
        print::json(&serde_json::to_value(&values)?);
    } else {
        print::values(&values);
    }
    Ok(ExitCode::SUCCESS)
}

/// Proves the journal.
///
/// # Errors
/// A folder without a journal, or a head file that cannot be read.
pub fn verify_journal(data: &Path, head: Option<&Path>, as_json: bool) -> Result<ExitCode> {
    let witness: Option<Head> = match head {
        None => None,
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
            Some(serde_json::from_str(&text).with_context(|| format!("{} is no exported head", file.display()))?)
        }
    };
    let report = verify(data, witness.as_ref())?;
    if as_json {
        print::json(&serde_json::to_value(&report)?);
    } else {
        print::verified(&serde_json::to_value(&report)?);
    }
    Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Moves logs to the store outside; a line for each part that has been moved.
///
/// # Errors
/// A configuration without such a store, a node that runs, and whatever stops the migration.
pub async fn migrate_logs(config: PathBuf, data: PathBuf, as_json: bool) -> Result<ExitCode> {
    let file = config.display().to_string();
    let base = config.parent().map(PathBuf::from).unwrap_or_default();
    let config = Config::load(&config).with_context(|| format!("in {file}"))?;
    let moved = tokio::task::spawn_blocking(move || {
        wk_node::migrate_logs(config, &base, &data, &mut |progress| {
            eprintln!(
                "{} of {} files, {} lines sent",
                progress["files_done"], progress["files"], progress["rows_sent"]
            );
        })
    });
    let done = moved.await??;
    if as_json {
        print::json(&done);
    }
    eprintln!("all logs are in the store outside; the files stay until storage.logs_days");
    Ok(ExitCode::SUCCESS)
}

/// What can be seen to be wrong without asking the node.
pub fn examine(data: &Path, config: Option<&Path>) -> Vec<Value> {
    let mut findings = Vec::new();
    let mut add = |what: String, mend: &str| findings.push(json!({"grade": "error", "what": what, "mend": mend}));
    if let Some(file) = config
        && let Err(error) = Config::load(file)
    {
        add(wk_node::http::chain(&error), "mend the file: watchkeeper config check FILE says when it is well");
    }
    if let Err(error) = check_format(data) {
        add(format!("{error}"), &error.hint());
    }
    if let Some((free, total)) = wk_node::gauges::free_bytes(data)
        && free < total / 100
    {
        add(
            format!("the disk under {} is full: {} MB left", data.display(), free >> 20),
            "make room: df -h, du -xh --max-depth=2 / | sort -h",
        );
    }
    if data.exists()
        && let Err(error) = write_probe(data)
    {
        add(
            format!("{} cannot be written: {error}", data.display()),
            "it must belong to who runs watchkeeper and be mounted writable: ls -ld, mount",
        );
    }
    match verify(data, None) {
        Ok(report) if !report.is_sound() => add(
            format!("the journal does not hold: {} findings", report.findings_total),
            "watchkeeper journal verify lists them; keep a copy of the folder before anything else",
        ),
        _ => {}
    }
    findings
}

/// Creates and removes a file, which shows whether the folder can be written.
fn write_probe(dir: &Path) -> std::io::Result<()> {
    let probe = dir.join(".doctor");
    fs::write(&probe, b"")?;
    fs::remove_file(probe)
}
