//! SQL in SQLite's dialect over logs, rollups of metrics, incidents, signals and assets.
//!
//! The user's statement runs on an in-memory connection of its own that holds nothing but these tables: `logs` and the
//! rollups as virtual tables, the others as copies of the state database's public views, made only where the statement reads them.
//! The state database itself is never attached to it. An authorizer that looks through attached views would not do:
//! SQLite names the reader of a column by whatever a common table expression calls itself.

mod counting;
mod guard;
mod metrics;
mod plan;
mod table;
mod tokens;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::{Value, ValueRef};
use rusqlite::vtab::eponymous_only_module;
use rusqlite::{Batch, Connection, ErrorCode, OpenFlags, Statement};
use serde::Serialize;
use wk_types::{DurationMs, Resolution, RollupSource};

use self::guard::{Guard, restrict};
use self::metrics::MetricTable;
use self::table::LogTable;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::query::Cancel;
use crate::snapshot::{Deadline, Snapshot};
use crate::source::OutsideLogs;
use crate::time_text;

/// Rows copied of one of the state database's views at most.
const COPIED_ROWS_MAX: usize = 200_000;
/// What a value costs beside its text where SQLite keeps it.
const VALUE_OVERHEAD_BYTES: usize = 8;
/// SQLite's cache of pages, beyond which it keeps rows in temporary files.
const CACHE_KIB: u32 = 16 << 10;
/// How long to wait for the state database's writer.
const BUSY_MAX: DurationMs = DurationMs::from_secs(2);
/// SQLite steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;

/// Where the tables beside `logs` come from.
#[derive(Clone)]
pub struct SqlSources<'a> {
    /// The node's state database.
    pub state_db: &'a Path,
    /// The rollups of metrics; without, their tables cannot be read.
    pub rollups: Option<Arc<dyn RollupSource>>,
}

/// What a query may cost.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// Rows answered at most.
    pub rows_max: usize,
    /// Bytes of text answered at most.
    pub bytes_max: usize,
    /// Time taken at most.
    pub time_max: DurationMs,
    /// Bytes of rows at most that a statement that sorts, groups or keeps rows may read, since it may have to keep all
    /// of them: within a cache in memory, beyond that in SQLite's temporary files.
    pub kept_bytes_max: u64,
    /// Stops it from another thread.
    pub cancel: Cancel,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            rows_max: 10_000,
            bytes_max: 16 << 20,
            time_max: DurationMs::from_secs(10),
            kept_bytes_max: 1 << 30,
            cancel: Cancel::default(),
        }
    }
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SqlAnswer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows: null, numbers and texts; a blob as hexadecimal text.
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there are more rows than the limits let through.
    pub truncated: bool,
}

/// A table whose rows come from a view of the state database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copied {
    pub(crate) name: &'static str,
    view: &'static str,
    columns: &'static str,
}

/// The tables beside `logs`.
pub(crate) const COPIED: [Copied; 3] = [
    Copied {
        name: "incidents",
        view: "v_incidents",
        columns: "id, state, severity, title, opened, acknowledged, resolved, assets",
    },
    Copied {
        name: "signals",
        view: "v_signals",
        columns: "id, incident, asset, rule, kind, metric, severity, title, score, started, raised, ended",
    },
    Copied { name: "assets", view: "v_assets", columns: "id, role, identifiers" },
];

/// The columns of `logs`.
pub(crate) const LOG_COLUMNS: &str = "time, asset, app, severity, message, template, attributes";
/// How columns of times compare: as instants, whatever the form, so that no answer depends on the plan.
pub(crate) const TIME_COLLATION: &str = "INSTANT";
/// The columns of times, in all tables.
const TIME_COLUMNS: [&str; 7] = ["time", "opened", "acknowledged", "resolved", "started", "raised", "ended"];

/// The columns of numbers, in all tables.
const NUMBER_COLUMNS: [&str; 6] = ["score", "avg", "min", "max", "last", "increase"];

/// Where the rows of `logs` are.
#[derive(Clone)]
pub(crate) enum Logs {
    Here(Arc<Snapshot>),
    Outside(Arc<dyn OutsideLogs>),
}

/// What a statement's parts share.
pub(crate) struct Session {
    pub(crate) logs: Logs,
    pub(crate) rollups: Option<Arc<dyn RollupSource>>,
    pub(crate) deadline: Deadline,
    /// The failure behind an error that SQLite only knows as text.
    failure: Mutex<Option<LakeError>>,
    /// Whether the statement may have to keep the rows it reads.
    keeps_rows: AtomicBool,
    kept_bytes_max: u64,
    /// Bytes handed to SQLite.
    spent: AtomicU64,
}

impl Session {
    /// Counts what is handed to SQLite.
    pub(crate) fn spend(&self, bytes: usize) {
        self.spent.fetch_add((bytes + VALUE_OVERHEAD_BYTES) as u64, Ordering::Relaxed);
    }

    /// Tells whether more rows may be read.
    pub(crate) fn check_budget(&self) -> Result<(), LakeError> {
        let is_over = self.spent.load(Ordering::Relaxed) > self.kept_bytes_max;
        if is_over && self.keeps_rows.load(Ordering::Relaxed) {
            let mebibytes = self.kept_bytes_max >> 20;
            let what = format!("the query sorts or groups more than {mebibytes} MiB; narrow it by time, asset or app");
            return Err(LakeError::TooLarge { what });
        }
        Ok(())
    }

    /// The answer where a row that stands for several is asked for what they do not share.
    pub(crate) fn refuse_counting(&self) -> rusqlite::Error {
        self.fail(LakeError::query("the statement cannot be answered by counting alone"))
    }

    /// Keeps a failure while SQLite unwinds.
    pub(crate) fn fail(&self, error: LakeError) -> rusqlite::Error {
        let text = error.to_string();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        rusqlite::Error::ModuleError(text)
    }

    fn explain(&self, error: &rusqlite::Error, guard: &Guard) -> LakeError {
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return failure;
        }
        if let Some(refused) = guard.refused() {
            return LakeError::Denied { what: format!("{refused} is not allowed; {}", allowed_text()) };
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => self.deadline.error(),
            _ => LakeError::Query { what: format!("{}; {}", sqlite_text(error), allowed_text()) },
        }
    }
}

/// SQLite's own words, without the statement around them.
fn sqlite_text(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } if *offset >= 0 => format!("{msg} at byte {offset}"),
        rusqlite::Error::SqlInputError { msg, .. } | rusqlite::Error::SqliteFailure(_, Some(msg)) => msg.clone(),
        other => other.to_string(),
    }
}

fn allowed_text() -> String {
    let others: Vec<String> = COPIED.iter().map(|table| format!("{}({})", table.name, table.columns)).collect();
    let metrics = Resolution::ALL.map(metrics::table_name).join(" and ");
    format!(
        "one SELECT can be asked, on the tables logs({LOG_COLUMNS}), {metrics} with ({}), {}",
        metrics::COLUMNS,
        others.join(", ")
    )
}

impl Lake {
    /// Answers one SELECT over `logs`, `metrics_5m`, `metrics_1h`, `incidents`, `signals` and `assets`.
    ///
    /// Times are texts `YYYY-MM-DD HH:MM:SS.SSS` in UTC; their columns also compare rightly with RFC 3339 texts, dates,
    /// and numbers of seconds since the epoch.
    ///
    /// # Errors
    /// What SQLite says of the statement, anything but a SELECT on these tables, or a bound that is passed.
    pub fn sql(&self, sources: &SqlSources<'_>, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError> {
        answer(Logs::Here(Arc::new(self.snapshot())), sources, query, limits)
    }
}

/// Answers one SELECT as [`Lake::sql`] does, with the rows of `logs` read from a store outside.
///
/// # Errors
/// As [`Lake::sql`], and what the store says.
pub fn sql_outside(
    logs: Arc<dyn OutsideLogs>,
    sources: &SqlSources<'_>,
    query: &str,
    limits: &SqlLimits,
) -> Result<SqlAnswer, LakeError> {
    answer(Logs::Outside(logs), sources, query, limits)
}

fn answer(logs: Logs, sources: &SqlSources<'_>, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError> {
    let deadline = Deadline::after(limits.time_max, &limits.cancel);
    let session = Arc::new(Session {
        logs,
        rollups: sources.rollups.clone(),
        deadline: deadline.clone(),
        failure: Mutex::new(None),
        keeps_rows: AtomicBool::new(true),
        kept_bytes_max: limits.kept_bytes_max,
        spent: AtomicU64::new(0),
    });
    let connection = connect(&session).map_err(LakeError::Sqlite)?;
    let guard = restrict(&connection, &deadline, STEPS_PER_LOOK);
    let explain = |error| session.explain(&error, &guard);
    let columns: Vec<String> = {
        let statement = prepare(&connection, query, &explain)?;
        statement.column_names().into_iter().map(str::to_owned).collect()
    };
    let tables = guard.tables();
    guard.lift(&connection);
    // A statement whose plan cannot be asked for is thought to keep rows.
    session.keeps_rows.store(keeps_rows(&connection, query).unwrap_or(true), Ordering::Relaxed);
    for table in COPIED.iter().filter(|table| tables.contains(table.name)) {
        copy(sources.state_db, &connection, table, &deadline)?;
    }
    let guard = restrict(&connection, &deadline, STEPS_PER_LOOK);
    let explain = |error| session.explain(&error, &guard);
    let ask = |query: &str| {
        let mut statement = prepare(&connection, query, &explain)?;
        run(&mut statement, columns.clone(), limits, &explain)
    };
    let log_columns: Vec<&str> = LOG_COLUMNS.split(", ").collect();
    match counting::rewrite(query, &log_columns).map(|query| ask(&query)) {
        Some(
            answer @ (Ok(_) | Err(LakeError::TimeLimit { .. } | LakeError::Cancelled | LakeError::Outside { .. })),
        ) => answer,
        _ => ask(query),
    }
}

/// Tells whether SQLite may have to keep rows that the statement reads, by its plan.
fn keeps_rows(connection: &Connection, query: &str) -> Result<bool, rusqlite::Error> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}"))?;
    let mut rows = plan.query([])?;
    while let Some(row) = rows.next()? {
        let step: String = row.get(3)?;
        if ["TEMP B-TREE", "MATERIALIZE", "AUTOMATIC", "RECURSIVE", "CO-ROUTINE"].iter().any(|word| step.contains(word))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The declaration of columns given by their names.
pub(crate) fn declared(columns: &str) -> String {
    let declare = |name: &str| match TIME_COLUMNS.contains(&name) {
        true => format!("{name} TEXT COLLATE {TIME_COLLATION}"),
        false if NUMBER_COLUMNS.contains(&name) => format!("{name} REAL"),
        false if name == "count" => format!("{name} INTEGER"),
        false => format!("{name} TEXT"),
    };
    columns.split(", ").map(declare).collect::<Vec<_>>().join(", ")
}

fn connect(session: &Arc<Session>) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_in_memory()?;
    connection.create_collation(TIME_COLLATION, time_text::compare)?;
    connection.create_module("logs", eponymous_only_module::<LogTable>(), Some(Arc::clone(session)))?;
    for resolution in Resolution::ALL {
        let name = metrics::table_name(resolution);
        let aux = (Arc::clone(session), resolution);
        connection.create_module(name, eponymous_only_module::<MetricTable>(), Some(aux))?;
    }
    connection.execute_batch(&format!("PRAGMA temp_store = FILE; PRAGMA cache_size = -{CACHE_KIB};"))?;
    for table in COPIED {
        connection.execute_batch(&format!("CREATE TABLE {} ({})", table.name, declared(table.columns)))?;
    }
    guard::limit(&connection)?;
    Ok(connection)
}

/// Prepares the one statement of a query.
fn prepare<'a>(
    connection: &'a Connection,
    query: &str,
    explain: &impl Fn(rusqlite::Error) -> LakeError,
) -> Result<Statement<'a>, LakeError> {
    let mut batch = Batch::new(connection, query);
    let statement = batch.next().map_err(explain)?;
    let statement = statement.ok_or_else(|| LakeError::query(format!("the query is empty; {}", allowed_text())))?;
    if batch.next().map_err(explain)?.is_some() {
        return Err(LakeError::query(format!("the query has more than one statement; {}", allowed_text())));
    }
    if !statement.readonly() || statement.column_count() == 0 {
        return Err(LakeError::Denied { what: format!("the statement reads nothing; {}", allowed_text()) });
    }
    if statement.parameter_count() > 0 {
        return Err(LakeError::query("the query has parameters; write the values into it"));
    }
    Ok(statement)
}

/// Copies a view of the state database into the table of the same meaning.
fn copy(state_db: &Path, to: &Connection, table: &Copied, deadline: &Deadline) -> Result<(), LakeError> {
    let state = |source| LakeError::State { table: table.name, source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let from = Connection::open_with_flags(state_db, flags).map_err(state)?;
    from.busy_timeout(BUSY_MAX.to_std()).map_err(state)?;
    let mut select = from.prepare(&format!("SELECT {} FROM {}", table.columns, table.view)).map_err(state)?;
    let width = select.column_count();
    let places = vec!["?"; width].join(", ");
    to.execute_batch("BEGIN").map_err(LakeError::Sqlite)?;
    let mut insert = to.prepare(&format!("INSERT INTO {} VALUES ({places})", table.name)).map_err(LakeError::Sqlite)?;
    let mut rows = select.query([]).map_err(state)?;
    let mut copied = 0;
    while let Some(row) = rows.next().map_err(state)? {
        deadline.check()?;
        copied += 1;
        if copied > COPIED_ROWS_MAX {
            return Err(LakeError::TooLarge { what: format!("{} has more than {COPIED_ROWS_MAX} rows", table.name) });
        }
        let values = (0..width).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>().map_err(state)?;
        insert.execute(rusqlite::params_from_iter(values)).map_err(LakeError::Sqlite)?;
    }
    to.execute_batch("COMMIT").map_err(LakeError::Sqlite)
}

fn run(
    statement: &mut Statement<'_>,
    columns: Vec<String>,
    limits: &SqlLimits,
    explain: &impl Fn(rusqlite::Error) -> LakeError,
) -> Result<SqlAnswer, LakeError> {
    let mut answer = SqlAnswer { columns, rows: Vec::new(), truncated: false };
    let mut bytes = 0_usize;
    let mut rows = statement.query([]).map_err(explain)?;
    while let Some(row) = rows.next().map_err(explain)? {
        let values = (0..answer.columns.len())
            .map(|column| row.get_ref(column).map(|value| to_json(value, &mut bytes)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(explain)?;
        if answer.rows.len() >= limits.rows_max || bytes > limits.bytes_max {
            answer.truncated = true;
            break;
        }
        answer.rows.push(values);
    }
    Ok(answer)
}

/// A value as JSON, its share of memory added to `bytes`. An infinite number, which JSON lacks, becomes its name.
fn to_json(value: ValueRef<'_>, bytes: &mut usize) -> serde_json::Value {
    *bytes += size_of::<serde_json::Value>();
    let text = match value {
        ValueRef::Null => return serde_json::Value::Null,
        ValueRef::Integer(number) => return number.into(),
        ValueRef::Real(number) if number.is_finite() => return number.into(),
        ValueRef::Real(number) => if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(blob) => blob.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    *bytes += text.len();
    text.into()
}

#[cfg(test)]
mod tests;
