//! The verbs `export` and `import`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use form_urlencoded::Serializer;
use serde_json::{Value, json};
use wk_types::{DurationMs, UtcMs};

use crate::args::{ExportTarget, ExportVerb};
use crate::client::Client;
use crate::{logs, print};

/// What one file spans.
const DAY: DurationMs = DurationMs::from_hours(24);

/// What is exported.
struct Export<'a> {
    /// `metrics` or `logs`: the name of the files, and of the address.
    what: &'static str,
    target: &'a ExportTarget,
    /// The parameters that say which of them.
    wanted: String,
}

/// Writes what is stored into one Parquet file for each day.
///
/// # Errors
/// A folder that cannot be written or holds one of the files already, a node that cannot be reached, or its refusal.
pub async fn run(verb: &ExportVerb, data: &Path, as_json: bool) -> Result<ExitCode> {
    let client = Client::open(data).await?;
    let mut wanted = Serializer::new(String::new());
    let (what, target) = match verb {
        ExportVerb::Metrics { target, selectors } => {
            wanted.extend_pairs(selectors.iter().map(|selector| ("match[]", selector)));
            ("metrics", target)
        }
        ExportVerb::Logs { target, filter } => {
            logs::ask(&mut wanted, filter)?;
            ("logs", target)
        }
    };
    let mut export = Export { what, target, wanted: wanted.finish() };
    let Some((from, to)) = export.span(&client).await? else {
        eprintln!("there is nothing to export");
        return Ok(ExitCode::FAILURE);
    };
    if what == "metrics" {
        export.name_columns(&client, (from, to)).await?;
    }
    fs::create_dir_all(&target.out).with_context(|| format!("could not make {}", target.out.display()))?;
    let days: Vec<_> = days(from, to).collect();
    for (begin, _) in &days {
        let file = export.file(*begin);
        ensure!(!file.exists(), "{} exists; name another folder, or remove it", file.display());
    }
    let mut files = Vec::new();
    for (begin, end) in days {
        let file = export.file(begin);
        if let Some(bytes) = export.write(&client, (begin, end), &file).await? {
            eprintln!("{}: {bytes} bytes", file.display());
            files.push(json!({"file": file, "bytes": bytes}));
        }
    }
    if as_json {
        print::json(&json!({ "files": files }));
    }
    if files.is_empty() {
        eprintln!("there is nothing to export between {from} and {to}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

impl Export<'_> {
    /// From when to when there is something that was asked for.
    async fn span(&self, client: &Client) -> Result<Option<(UtcMs, UtcMs)>> {
        let stored = client.get("/api/v1/export/span").await?;
        let stored = stored[self.what].clone();
        if stored.is_null() {
            return Ok(None);
        }
        let time = |name: &str| -> Result<UtcMs> {
            serde_json::from_value(stored[name].clone()).context("the node answered no time")
        };
        let from = self.target.from.unwrap_or(UtcMs::MIN).max(time("from")?);
        let to = self.target.to.unwrap_or(UtcMs::MAX).min(time("to")?);
        Ok((from <= to).then_some((from, to)))
    }

    /// Asks for the same columns in every file, so that programs read all of them as one table.
    async fn name_columns(&mut self, client: &Client, span: (UtcMs, UtcMs)) -> Result<()> {
        let answer = client.get(&format!("/api/v1/labels?{}", self.asked(span))).await?;
        let labels = answer["data"].as_array().context("the node named no labels")?;
        let mut wanted = Serializer::new(std::mem::take(&mut self.wanted));
        wanted.extend_pairs(labels.iter().filter_map(Value::as_str).map(|label| ("label", label)));
        self.wanted = wanted.finish();
        Ok(())
    }

    fn asked(&self, (from, to): (UtcMs, UtcMs)) -> String {
        format!("start={from}&end={to}&{}", self.wanted)
    }

    /// The file for the day that begins then, or within which that lies.
    fn file(&self, begin: UtcMs) -> PathBuf {
        let day: String = begin.to_string().chars().take_while(|letter| *letter != 'T').collect();
        self.target.out.join(format!("{}-{day}.parquet", self.what))
    }

    /// Writes one day; a file is there whole or not at all.
    async fn write(&self, client: &Client, span: (UtcMs, UtcMs), file: &Path) -> Result<Option<u64>> {
        let part = file.with_extension("parquet.part");
        let path = format!("/api/v1/export/{}?{}", self.what, self.asked(span));
        let written = match client.download(&path, &part).await {
            Ok(Some(bytes)) => fs::rename(&part, file).map(|()| Some(bytes)).map_err(Into::into),
            other => other,
        };
        if written.is_err() {
            // What was written of it is of no use to anybody, and may fill the disk.
            let _ = fs::remove_file(&part);
        }
        written.with_context(|| format!("could not export {}", file.display()))
    }
}

/// The days (UTC) from one instant to another, first and last instant of each.
fn days(from: UtcMs, to: UtcMs) -> impl Iterator<Item = (UtcMs, UtcMs)> {
    let begins = std::iter::successors(Some(from), |begin| Some(begin.floor_to(DAY) + DAY));
    begins.take_while(move |begin| *begin <= to).map(move |begin| {
        let last = UtcMs((begin.floor_to(DAY) + DAY).0 - 1);
        (begin, last.min(to))
    })
}

/// Sends files to the running node.
///
/// # Errors
/// A file that cannot be read, a node that cannot be reached, or its refusal.
pub async fn import(files: &[PathBuf], data: &Path, as_json: bool) -> Result<ExitCode> {
    let client = Client::running(data).await?;
    let mut all = Vec::new();
    let mut left_out = false;
    for file in files {
        let answer =
            client.upload("/api/v1/import/metrics", file).await.with_context(|| format!("in {}", file.display()))?;
        let count = |name: &str| answer[name].as_u64().unwrap_or_default();
        eprintln!("{}: {} samples taken in", file.display(), count("stored"));
        for (name, why) in [
            ("too_old", "are older than what is kept (storage.metrics_days)"),
            ("future", "lie in the future"),
            ("rejected", "cannot be stored"),
        ] {
            if count(name) > 0 {
                left_out = true;
                let example = answer["example"].as_str().filter(|_| name == "rejected");
                let example = example.map(|example| format!(", such as {example}")).unwrap_or_default();
                eprintln!("{}: {} samples {why}{example}", file.display(), count(name));
            }
        }
        all.push(json!({"file": file, "answer": answer}));
    }
    if as_json {
        print::json(&json!({ "files": all }));
    }
    Ok(if left_out { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_split_at_midnight() {
        let time = |text: &str| text.parse::<UtcMs>().unwrap();
        let found: Vec<String> = days(time("2026-11-27T22:00:00Z"), time("2026-11-29T00:00:00Z"))
            .map(|(begin, end)| format!("{begin} {end}"))
            .collect();
        assert_eq!(
            found,
            [
                "2026-11-27T22:00:00.000Z 2026-11-27T23:59:59.999Z",
                "2026-11-28T00:00:00.000Z 2026-11-28T23:59:59.999Z",
                "2026-11-29T00:00:00.000Z 2026-11-29T00:00:00.000Z",
            ]
        );
    }
}
