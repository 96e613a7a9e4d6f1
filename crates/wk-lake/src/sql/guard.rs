//! What a user's statement may do: select from the known tables, within bounds.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

use super::COPIED;
use crate::pattern::PATTERN_BYTES_MAX;
use crate::snapshot::Deadline;

/// Functions that reach outside the connection, in whatever build of SQLite.
const REFUSED_FUNCTIONS: [&str; 7] =
    ["load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlite_log", "sqlite_compileoption_get"];
/// SQLite's table-valued functions that only look at their arguments.
const HELPER_TABLES: [&str; 2] = ["json_each", "json_tree"];

/// The longest text or blob.
const VALUE_BYTES_MAX: i32 = 16 << 20;
/// The longest statement.
const STATEMENT_BYTES_MAX: i32 = 64 << 10;

/// What the authorizer saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    tables: BTreeSet<&'static str>,
    refused: Option<String>,
}

impl Guard {
    /// The copied tables that were read.
    pub(crate) fn tables(&self) -> BTreeSet<&'static str> {
        self.seen().tables.clone()
    }

    /// What was refused first.
    pub(crate) fn refused(&self) -> Option<String> {
        self.seen().refused.clone()
    }

    /// Lets the connection do everything again.
    pub(crate) fn lift(&self, connection: &Connection) {
        connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let refused = match context.action {
            AuthAction::Select | AuthAction::Recursive => None,
            // A table of which no column is read comes by the name it has in the statement, which may be that of a
            // common table expression.
            AuthAction::Read { table_name, column_name: "" } if !is_internal(table_name) => {
                self.note_table(table_name);
                None
            }
            AuthAction::Read { table_name, .. } => self.judge_table(table_name, context.database_name),
            AuthAction::Function { function_name } => REFUSED_FUNCTIONS
                .iter()
                .any(|refused| refused.eq_ignore_ascii_case(function_name))
                .then(|| format!("the function {function_name}")),
            other => Some(action_text(&other)),
        };
        let Some(refused) = refused else { return Authorization::Allow };
        self.seen().refused.get_or_insert(refused);
        Authorization::Deny
    }

    /// Notes a table that needs copying; tells whether it is one.
    fn note_table(&self, table: &str) -> bool {
        let copied = COPIED.iter().find(|copied| copied.name.eq_ignore_ascii_case(table));
        if let Some(copied) = copied {
            self.seen().tables.insert(copied.name);
        }
        copied.is_some()
    }

    /// Tells what to refuse, if anything.
    fn judge_table(&self, table: &str, database: Option<&str>) -> Option<String> {
        let is_ours = self.note_table(table)
            || ["logs"].iter().chain(&HELPER_TABLES).any(|name| name.eq_ignore_ascii_case(table));
        (!is_ours || database.is_some_and(|name| name != "main")).then(|| format!("reading the table {table}"))
    }
}

/// Tells whether SQLite reserves the name for tables of its own.
fn is_internal(table: &str) -> bool {
    let has = |prefix: &str| table.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    has("sqlite_") || has("pragma_")
}

fn action_text(action: &AuthAction<'_>) -> String {
    match action {
        AuthAction::Pragma { pragma_name, .. } => format!("PRAGMA {pragma_name}"),
        AuthAction::Attach { .. } => "ATTACH".to_owned(),
        AuthAction::Detach { .. } => "DETACH".to_owned(),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction".to_owned(),
        _ => "changing tables".to_owned(),
    }
}

/// Lets a connection only select from the known tables until the deadline; the guard tells what was tried.
pub(crate) fn restrict(connection: &Connection, deadline: &Deadline, steps_per_look: i32) -> Guard {
    let guard = Guard::default();
    let (judge, deadline) = (guard.clone(), deadline.clone());
    connection.authorizer(Some(move |context: AuthContext<'_>| judge.judge(&context)));
    connection.progress_handler(steps_per_look, Some(move || deadline.has_passed()));
    guard
}

/// Sets SQLite's own bounds.
pub(crate) fn limit(connection: &Connection) -> Result<(), rusqlite::Error> {
    let bounds = [
        (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, STATEMENT_BYTES_MAX),
        (Limit::SQLITE_LIMIT_COLUMN, 200),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 200),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_BYTES_MAX as i32),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ];
    for (limit, bound) in bounds {
        connection.set_limit(limit, bound)?;
    }
    Ok(())
}
