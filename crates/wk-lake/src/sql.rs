//! SQL in SQLite's dialect over logs, incidents, signals and assets.
//!
//! The user's statement runs on an in-memory connection of its own that holds nothing but the four tables: `logs` as a
//! virtual table, the others as copies of the state database's public views, made only where the statement reads them.
//! The state database itself is never attached to it. An authorizer that looks through attached views would not do:
//! SQLite names the reader of a column by whatever a common table expression calls itself.

mod guard;
mod plan;
mod table;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::{Value, ValueRef};
use rusqlite::vtab::eponymous_only_module;
use rusqlite::{Batch, Connection, ErrorCode, OpenFlags, Statement};
use serde::Serialize;
use wk_types::DurationMs;

use self::guard::{Guard, restrict};
use self::table::LogTable;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::query::Cancel;
use crate::snapshot::{Deadline, Snapshot};
use crate::time_text;

/// Rows copied of one of the state database's views at most.
const COPIED_ROWS_MAX: usize = 200_000;
/// How long to wait for the state database's writer.
const BUSY_MAX: DurationMs = DurationMs::from_secs(2);
/// SQLite steps between two looks at the clock.
const STEPS_PER_LOOK: i32 = 10_000;

/// What a query may cost.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// Rows answered at most.
    pub rows_max: usize,
    /// Bytes of text answered at most.
    pub bytes_max: usize,
    /// Time taken at most.
    pub time_max: DurationMs,
    /// Stops it from another thread.
    pub cancel: Cancel,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { rows_max: 10_000, bytes_max: 16 << 20, time_max: DurationMs::from_secs(10), cancel: Cancel::default() }
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

/// What a statement's parts share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) deadline: Deadline,
    /// The failure behind an error that SQLite only knows as text.
    failure: Mutex<Option<LakeError>>,
}

impl Session {
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
    format!("one SELECT can be asked, on the tables logs({LOG_COLUMNS}), {}", others.join(", "))
}

impl Lake {
    /// Answers one SELECT over `logs`, `incidents`, `signals` and `assets`.
    ///
    /// Times are texts `YYYY-MM-DD HH:MM:SS.SSS` in UTC; their columns also compare rightly with RFC 3339 texts, dates,
    /// and numbers of seconds since the epoch.
    ///
    /// # Errors
    /// What SQLite says of the statement, anything but a SELECT on these tables, or a bound that is passed.
    pub fn sql(&self, state_db: &Path, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError> {
        let deadline = Deadline::after(limits.time_max, &limits.cancel);
        let session = Arc::new(Session {
            snapshot: Arc::new(self.snapshot()),
            deadline: deadline.clone(),
            failure: Mutex::new(None),
        });
        let connection = connect(&session).map_err(LakeError::Sqlite)?;
        let guard = restrict(&connection, &deadline, STEPS_PER_LOOK);
        let explain = |error| session.explain(&error, &guard);
        drop(prepare(&connection, query, &explain)?);
        let tables = guard.tables();
        guard.lift(&connection);
        for table in COPIED.iter().filter(|table| tables.contains(table.name)) {
            copy(state_db, &connection, table, &deadline)?;
        }
        let guard = restrict(&connection, &deadline, STEPS_PER_LOOK);
        let explain = |error| session.explain(&error, &guard);
        let mut statement = prepare(&connection, query, &explain)?;
        run(&mut statement, limits, &explain)
    }
}

/// The declaration of columns given by their names.
pub(crate) fn declared(columns: &str) -> String {
    let declare = |name: &str| match TIME_COLUMNS.contains(&name) {
        true => format!("{name} TEXT COLLATE {TIME_COLLATION}"),
        false if name == "score" => format!("{name} REAL"),
        false => format!("{name} TEXT"),
    };
    columns.split(", ").map(declare).collect::<Vec<_>>().join(", ")
}

fn connect(session: &Arc<Session>) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_in_memory()?;
    connection.create_collation(TIME_COLLATION, time_text::compare)?;
    connection.create_module("logs", eponymous_only_module::<LogTable>(), Some(Arc::clone(session)))?;
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
    limits: &SqlLimits,
    explain: &impl Fn(rusqlite::Error) -> LakeError,
) -> Result<SqlAnswer, LakeError> {
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
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
