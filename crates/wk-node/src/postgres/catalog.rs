//! What clients ask of a server rather than of the ship: transactions, settings, and the catalogue in the forms in
//! which psql's `\d` and Grafana's schema browser ask for it. Anything else that names the catalogue is refused.

use serde_json::{Value, json};
use wk_lake::{ColumnKind, SqlAnswer, SqlColumn, sql_tables};

use super::failure::{Refusal, code};
use super::split::{literals, outline};
use super::values::PgType;

/// The version of PostgreSQL whose protocol and catalogue are spoken.
pub(super) const SERVER_VERSION: &str = "15.0";
/// The one schema.
const SCHEMA: &str = "public";
/// The number of the first table in the catalogue; those below are PostgreSQL's own.
const FIRST_OID: usize = 16_384;
/// How a table is called in the catalogue: nothing is ever written into it.
const RELATION: &str = "view";
/// Settings that clients are told at their start and when they ask.
pub(super) const SETTINGS: [(&str, &str); 17] = [
    ("server_version", SERVER_VERSION),
    ("server_version_num", "150000"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
    ("default_transaction_read_only", "on"),
    ("transaction_read_only", "on"),
    ("in_hot_standby", "off"),
    ("search_path", SCHEMA),
    ("transaction_isolation", "read committed"),
    ("max_identifier_length", "63"),
    ("extra_float_digits", "1"),
];
/// Tables of the catalogue for which there is nothing here.
const EMPTY: [&str; 7] = [
    "pg_extension",
    "pg_policy",
    "pg_statistic_ext",
    "pg_publication",
    "pg_inherits",
    "pg_trigger",
    "pg_foreign_table",
];

/// What a statement does that does not go to the stores.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Answers rows.
    Rows(SqlAnswer),
    /// Changes nothing, and says so with this tag.
    Done(&'static str),
    /// Begins a transaction.
    Begin,
    /// Ends a transaction, with this tag.
    End(&'static str),
    /// Forgets the named statement, or all of them, with this tag.
    Forget(Option<String>, &'static str),
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Asker {
    pub(super) user: String,
    pub(super) database: String,
    pub(super) process: i32,
}

/// Answers a statement that does not go to the stores; `None` for one that does.
///
/// # Errors
/// A setting that cannot be had, and a question about the catalogue that is not known.
pub(super) fn answer(statement: &str, asker: &Asker) -> Result<Option<Outcome>, Refusal> {
    let outline = outline(statement);
    let (first, rest) = outline.split_once(' ').unwrap_or((&outline, ""));
    let outcome = match first {
        "begin" | "start" => Outcome::Begin,
        "commit" | "end" => Outcome::End("COMMIT"),
        "rollback" | "abort" if !rest.contains("to ") => Outcome::End("ROLLBACK"),
        "savepoint" | "release" | "rollback" => {
            return Err(Refusal::new(code::FEATURE_NOT_SUPPORTED, "nothing is written, so there are no savepoints"));
        }
        "set" => set(rest, statement)?,
        "reset" => Outcome::Done("RESET"),
        "unlisten" => Outcome::Done("UNLISTEN"),
        "discard" => Outcome::Forget(None, "DISCARD ALL"),
        "deallocate" => {
            let name = rest.trim_start_matches("prepare ").trim_matches('"');
            Outcome::Forget((name != "all").then(|| name.to_owned()), "DEALLOCATE")
        }
        "show" => Outcome::Rows(show(rest)?),
        "select" => return select(&outline, statement, asker),
        _ => return Ok(None),
    };
    Ok(Some(outcome))
}

/// Settings change nothing here: times are UTC and texts UTF-8, whatever a client would have.
fn set(rest: &str, statement: &str) -> Result<Outcome, Refusal> {
    let names_encoding = rest.starts_with("client_encoding") || rest.starts_with("names");
    let given = literals(statement).pop().unwrap_or_else(|| rest.rsplit([' ', '=']).next().unwrap_or("").to_owned());
    let is_utf8 = ["utf8", "utf-8", "unicode", "default"].iter().any(|name| given.eq_ignore_ascii_case(name));
    if names_encoding && !is_utf8 {
        let what = format!("the encoding {given} is not served; set client_encoding to UTF8");
        return Err(Refusal::new(code::INVALID_PARAMETER_VALUE, what));
    }
    Ok(Outcome::Done("SET"))
}

fn show(rest: &str) -> Result<SqlAnswer, Refusal> {
    if rest == "all" {
        let rows = SETTINGS.iter().map(|(name, value)| vec![json!(name), json!(value), json!("")]).collect();
        return Ok(texts(&["name", "setting", "description"], rows));
    }
    let name = match rest {
        "transaction isolation level" => "transaction_isolation",
        "time zone" => "timezone",
        other => other.trim_matches('"'),
    };
    let (name, value) = setting(name)?;
    Ok(texts(&[name], vec![vec![json!(value)]]))
}

fn setting(name: &str) -> Result<(&'static str, &'static str), Refusal> {
    SETTINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).copied().ok_or_else(|| {
        let what = format!("unrecognized configuration parameter {name:?}; SHOW ALL lists those that are known");
        Refusal::new(code::UNDEFINED_OBJECT, what)
    })
}

fn select(outline: &str, statement: &str, asker: &Asker) -> Result<Option<Outcome>, Refusal> {
    if let Some(answer) = functions(outline, statement, asker)? {
        return Ok(Some(Outcome::Rows(answer)));
    }
    if !names_catalogue(outline) {
        return Ok(None);
    }
    let literals = literals(statement);
    let known =
        relations(outline, &literals).or_else(|| relation(outline, &literals)).or_else(|| schema(outline, &literals));
    known.map(|answer| Some(Outcome::Rows(answer))).ok_or_else(|| {
        let tables: Vec<&str> = sql_tables().iter().map(|(name, _)| *name).collect();
        let what = format!(
            "of the catalogue only what psql's \\d and Grafana's schema browser ask is answered; the tables are {}",
            tables.join(", ")
        );
        Refusal::new(code::FEATURE_NOT_SUPPORTED, what)
    })
}

/// Tells whether a statement reads a table of the catalogue.
fn names_catalogue(outline: &str) -> bool {
    ["from ", "join ", "from (", ", "].iter().any(|before| {
        ["pg_catalog.", "information_schema.", "pg_"].iter().any(|name| outline.contains(&format!("{before}{name}")))
    })
}

/// Answers `SELECT version(), current_schema()` and the like; `None` where anything else is asked for.
fn functions(outline: &str, statement: &str, asker: &Asker) -> Result<Option<SqlAnswer>, Refusal> {
    if outline.contains(" from ") {
        return Ok(None);
    }
    let mut settings = literals(statement).into_iter();
    let (mut names, mut row) = (Vec::new(), Vec::new());
    for item in outline.trim_start_matches("select ").split(',') {
        let (call, alias) = item.trim().split_once(" as ").unwrap_or((item.trim(), ""));
        let call = call.trim_start_matches("pg_catalog.");
        let name = call.split('(').next().unwrap_or(call);
        let value = match call {
            "version()" => json!(version()),
            "current_schema()" | "current_schema" => json!(SCHEMA),
            "current_schemas(true)" | "current_schemas(false)" => json!(format!("{{{SCHEMA}}}")),
            "current_database()" | "current_catalog" => json!(asker.database),
            "current_user" | "session_user" | "current_role" | "user" => json!(asker.user),
            "pg_backend_pid()" => json!(asker.process),
            "pg_is_in_recovery()" => json!("f"),
            "current_setting('')" => json!(setting(&settings.next().unwrap_or_default())?.1),
            // Grafana's question for the version that it offers functions of.
            "current_setting('')::int/100" => {
                let value = setting(&settings.next().unwrap_or_default())?.1;
                json!(value.parse::<i64>().unwrap_or_default() / 100)
            }
            _ => return Ok(None),
        };
        names.push(if alias.is_empty() { name } else { alias.trim_matches('"') });
        row.push(value);
    }
    Ok(Some(answer_of(&names, ColumnKind::Computed, vec![row])))
}

fn version() -> String {
    format!("PostgreSQL {SERVER_VERSION} protocol of Watchkeeper {}", env!("CARGO_PKG_VERSION"))
}

/// What psql's `\d` and `\dt` ask: a list of tables.
fn relations(outline: &str, literals: &[String]) -> Option<SqlAnswer> {
    if !outline.contains("from pg_catalog.pg_class c") || !outline.contains("c.relname as \"name\"") {
        return None;
    }
    // The kinds that are asked for stand in the list alone; the names of all kinds stand before it.
    let (before, list) = outline.split_once("c.relkind in (")?;
    let (list, _) = list.split_once(')')?;
    let kinds = literals.iter().skip(before.matches("''").count()).take(list.matches("''").count());
    let wanted = kinds.into_iter().any(|kind| kind == "v" || kind == "r");
    let named = |name: &str| pattern(literals).is_none_or(|pattern| matches(pattern, name));
    let tables = sql_tables().into_iter().filter(|(name, _)| wanted && named(name));
    let mut rows: Vec<Vec<Value>> =
        tables.map(|(name, _)| vec![json!(SCHEMA), json!(name), json!(RELATION), json!("watchkeeper")]).collect();
    rows.sort_by(|a, b| a[1].as_str().cmp(&b[1].as_str()));
    Some(texts(&["Schema", "Name", "Type", "Owner"], rows))
}

/// What psql's `\d NAME` asks in turn: the table's number, what it is, its columns. Columns come in psql's order.
fn relation(outline: &str, literals: &[String]) -> Option<SqlAnswer> {
    if outline.starts_with("select c.oid, n.nspname, c.relname from pg_catalog.pg_class c") {
        let pattern = pattern(literals)?;
        let found = (FIRST_OID..).zip(sql_tables()).filter(|(_, (name, _))| matches(pattern, name));
        let rows = found.map(|(oid, (name, _))| vec![json!(oid.to_string()), json!(SCHEMA), json!(name)]).collect();
        return Some(texts(&["oid", "nspname", "relname"], rows));
    }
    if let Some(empty) = EMPTY.iter().find(|table| {
        outline.contains(&format!("from pg_catalog.{table}")) || outline.contains(&format!("from {table}"))
    }) {
        let column = if *empty == "pg_extension" { "extversion" } else { "oid" };
        return Some(texts(&[column], Vec::new()));
    }
    let numbered = literals.iter().find_map(|literal| literal.parse::<usize>().ok()?.checked_sub(FIRST_OID));
    let (_, columns) = sql_tables().into_iter().nth(numbered?)?;
    if outline.starts_with("select c.relchecks, c.relkind") {
        // Checks, kind, index, rules, triggers, row security, forced, oids, partition, options, tablespace, type,
        // persistence, identity, access method.
        let row = ["0", "v", "f", "f", "f", "f", "f", "f", "f", "", "0", "", "p", "n", ""];
        return Some(texts(&RELATION_COLUMNS, vec![row.iter().map(|text| json!(text)).collect()]));
    }
    outline.contains("from pg_catalog.pg_attribute a where a.attrelid = ''").then(|| {
        let describe = |column: &SqlColumn| {
            let kind = PgType::declared(column.kind).name();
            vec![json!(column.name), json!(kind), Value::Null, json!("f"), Value::Null, json!(""), json!("")]
        };
        texts(&ATTRIBUTE_COLUMNS, columns.iter().map(describe).collect())
    })
}

const RELATION_COLUMNS: [&str; 15] = [
    "relchecks",
    "relkind",
    "relhasindex",
    "relhasrules",
    "relhastriggers",
    "relrowsecurity",
    "relforcerowsecurity",
    "relhasoids",
    "relispartition",
    "?column?",
    "reltablespace",
    "reloftype",
    "relpersistence",
    "relreplident",
    "amname",
];
const ATTRIBUTE_COLUMNS: [&str; 7] =
    ["attname", "format_type", "pg_get_expr", "attnotnull", "attcollation", "attidentity", "attgenerated"];

/// What Grafana's schema browser and editors ask of `information_schema`.
fn schema(outline: &str, literals: &[String]) -> Option<SqlAnswer> {
    let (items, rest) = outline.strip_prefix("select ")?.split_once(" from information_schema.")?;
    let items = items.trim_start_matches("distinct ");
    // Grafana's list of tables names a table in the search path without its schema, which all of them are in.
    let items = if items.starts_with("case when") && items.ends_with("as \"table\"") {
        "table_name as \"table\""
    } else {
        items
    };
    let fields: Vec<(String, &str)> = items.split(',').map(field).collect::<Option<_>>()?;
    let asked: Vec<&str> = fields.iter().map(|(_, alias)| *alias).collect();
    let (of, _) = rest.split_once([' ', ';']).unwrap_or((rest, ""));
    let names_one = rest.contains("table_name) = ") || rest.contains("table_name = ");
    let tables = sql_tables().into_iter().filter(|(name, _)| !names_one || literals.iter().any(|one| one == name));
    let mut rows = Vec::new();
    for (name, columns) in tables {
        match of {
            "tables" => rows.push(fields.iter().map(|(field, _)| about(field, name, None)).collect::<Option<_>>()?),
            "columns" => {
                for column in (1..).zip(&columns) {
                    rows.push(fields.iter().map(|(field, _)| about(field, name, Some(column))).collect::<Option<_>>()?);
                }
            }
            _ => return None,
        }
    }
    Some(answer_of(&asked, ColumnKind::Computed, rows))
}

/// A field of the catalogue and the name under which it is asked for.
fn field(item: &str) -> Option<(String, &str)> {
    let item = item.trim();
    let (expression, alias) = item.split_once(" as ").unwrap_or((item, ""));
    let inside = expression.strip_prefix("quote_ident(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(expression);
    let is_name = !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let alias = if alias.is_empty() { inside } else { alias.trim_matches('"') };
    is_name.then(|| (inside.to_owned(), alias))
}

fn about(field: &str, table: &str, column: Option<(i64, &SqlColumn)>) -> Option<Value> {
    Some(match (field, column) {
        ("table_name", _) => json!(table),
        ("table_schema", _) => json!(SCHEMA),
        ("table_catalog", _) => json!("watchkeeper"),
        ("table_type", None) => json!("VIEW"),
        ("column_name", Some((_, column))) => json!(column.name),
        ("data_type", Some((_, column))) => json!(PgType::declared(column.kind).name()),
        ("ordinal_position", Some((place, _))) => json!(place),
        ("is_nullable", Some(_)) => json!("YES"),
        ("column_default", Some(_)) => Value::Null,
        _ => return None,
    })
}

/// The name that psql looks for, as it writes it: `^(name)$`.
fn pattern(literals: &[String]) -> Option<&str> {
    literals.iter().find_map(|literal| literal.strip_prefix("^(")?.strip_suffix(")$"))
}

/// Tells whether a name fits what psql looks for; `*` has become `.*`.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split(".*");
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    let is_open = parts.peek().is_some();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    is_open || rest.is_empty()
}

fn texts(columns: &[&str], rows: Vec<Vec<Value>>) -> SqlAnswer {
    answer_of(columns, ColumnKind::Text, rows)
}

fn answer_of(columns: &[&str], kind: ColumnKind, rows: Vec<Vec<Value>>) -> SqlAnswer {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    SqlAnswer { kinds: vec![kind; columns.len()], columns, rows, truncated: false }
}

#[cfg(test)]
mod tests;
