//! What a statement asks for and answers: its parameters, its columns and what those are declared to hold.

use rusqlite::Statement;
use rusqlite::types::Value;
use wk_types::Resolution;

use super::{COPIED, LOG_COLUMNS, declared, metrics};
use crate::error::LakeError;

/// The declaration of columns of times. SQLite takes it for text; clients are told that it is a time.
pub(super) const TIME_TYPE: &str = "TIMESTAMP TEXT";
/// Most parameters of a statement.
const PARAMETERS_MAX: usize = 100;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlParameter {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text, which a time is too.
    Text(String),
}

/// What a column is declared to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Times, as texts `YYYY-MM-DD HH:MM:SS.SSS` in UTC.
    Time,
    /// Whole numbers.
    Integer,
    /// Numbers.
    Real,
    /// Texts.
    Text,
    /// Whatever an expression makes.
    Computed,
}

impl ColumnKind {
    fn of(declaration: Option<&str>) -> Self {
        match declaration {
            None => Self::Computed,
            Some(TIME_TYPE) => Self::Time,
            Some("INTEGER") => Self::Integer,
            Some("REAL") => Self::Real,
            Some(_) => Self::Text,
        }
    }
}

/// A column of a table or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// What it is declared to hold.
    pub kind: ColumnKind,
}

/// What a statement asks for and answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlShape {
    /// The columns it answers.
    pub columns: Vec<SqlColumn>,
    /// How many parameters it has: the largest number that stands after a `$`.
    pub parameters: usize,
}

impl SqlShape {
    /// Tells whether there is a value for each parameter.
    pub(super) fn check_values(&self, values: &[SqlParameter]) -> Result<(), LakeError> {
        if values.len() >= self.parameters {
            return Ok(());
        }
        let (wanted, given) = (self.parameters, values.len());
        Err(LakeError::query(format!("the query has {wanted} parameters and {given} values; give each a value")))
    }
}

/// The tables that can be asked, with their columns.
#[must_use]
pub fn sql_tables() -> Vec<(&'static str, Vec<SqlColumn>)> {
    let metrics = Resolution::ALL.map(|resolution| (metrics::table_name(resolution), metrics::COLUMNS));
    let copied = COPIED.map(|table| (table.name, table.columns));
    let tables = [("logs", LOG_COLUMNS)].into_iter().chain(metrics).chain(copied);
    tables.map(|(name, columns)| (name, columns.split(", ").map(declared_column).collect())).collect()
}

fn declared_column(name: &str) -> SqlColumn {
    let text = declared(name);
    let declaration = text.strip_prefix(name).unwrap_or_default().trim();
    let declaration = declaration.split_once(" COLLATE").map_or(declaration, |(before, _)| before);
    SqlColumn { name: name.to_owned(), kind: ColumnKind::of(Some(declaration)) }
}

/// What a prepared statement asks for and answers.
pub(super) fn of(statement: &Statement<'_>) -> Result<SqlShape, LakeError> {
    let columns = statement
        .columns()
        .iter()
        .map(|column| SqlColumn { name: column.name().to_owned(), kind: ColumnKind::of(column.decl_type()) })
        .collect();
    let mut parameters = 0;
    for place in 1..=statement.parameter_count() {
        parameters = parameters.max(number(statement, place)?);
    }
    Ok(SqlShape { columns, parameters })
}

/// Gives the parameters of a statement their values.
pub(super) fn bind(statement: &mut Statement<'_>, values: &[SqlParameter]) -> Result<(), LakeError> {
    for place in 1..=statement.parameter_count() {
        let value = match values.get(number(statement, place)? - 1) {
            None | Some(SqlParameter::Null) => Value::Null,
            Some(SqlParameter::Integer(number)) => Value::Integer(*number),
            Some(SqlParameter::Real(number)) => Value::Real(*number),
            Some(SqlParameter::Text(text)) => Value::Text(text.clone()),
        };
        statement.raw_bind_parameter(place, value).map_err(LakeError::Sqlite)?;
    }
    Ok(())
}

/// The number of the parameter at a place, from 1. SQLite takes a cast that follows, as in `$1::int`, for a part of the
/// name; a value has its type already.
fn number(statement: &Statement<'_>, place: usize) -> Result<usize, LakeError> {
    let name = statement.parameter_name(place).unwrap_or("?");
    let digits = name.strip_prefix('$').map(|rest| rest.split("::").next().unwrap_or(rest));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(number @ 1..=PARAMETERS_MAX) => Ok(number),
        _ => Err(LakeError::query(format!(
            "the parameter {name} is not known here; number parameters from $1 to ${PARAMETERS_MAX}, or write the values \
             into the query"
        ))),
    }
}
