//! ClickHouse's engine (chdb) in a Python process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::store::peers;

const SCRIPT: &str = include_str!("clickhouse.py");

/// The running engine.
pub struct ClickHouse {
    child: Child,
    queries: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Of chdb and of the engine.
    pub version: String,
}

/// What a query cost and answered.
pub struct Answered {
    /// Rows, with a tab between columns.
    pub rows: String,
    /// Wall time in milliseconds, within the engine's process.
    pub wall_ms: f64,
    /// CPU time in milliseconds.
    pub cpu_ms: f64,
    /// The most memory the process ever had resident, in bytes.
    pub peak: u64,
}

impl ClickHouse {
    /// Starts the engine on a folder.
    pub fn start(folder: &Path) -> Result<Self> {
        let python = peers()?.join("chdb/bin/python");
        ensure!(python.exists(), "chdb is not set up; fetch it: ./x peers");
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start chdb")?;
        let queries = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut engine = Self { child, queries, answers, version: String::new() };
        engine.version = engine.read()?["version"].as_str().context("no version")?.to_owned();
        Ok(engine)
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "chdb ended");
        Ok(serde_json::from_str(&line)?)
    }

    /// Runs a query.
    pub fn query(&mut self, sql: &str) -> Result<Answered> {
        writeln!(self.queries, "{}", Value::from(sql))?;
        self.queries.flush()?;
        let answer = self.read()?;
        if let Some(error) = answer["error"].as_str() {
            bail!("{sql}: {error}");
        }
        Ok(Answered {
            rows: answer["rows"].as_str().context("no rows")?.to_owned(),
            wall_ms: answer["wall_ms"].as_f64().context("no time")?,
            cpu_ms: answer["cpu_ms"].as_f64().context("no time")?,
            peak: answer["peak"].as_u64().context("no memory")?,
        })
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
