//! From a query about logs to the WHERE clause of a statement.

use wk_lake::{Condition, LakeError, LogField, LogQuery, TextTest};
use wk_types::{Severity, UtcMs, VesselId};

use super::regular::to_re2;
use super::statement::{Statement, Value};

/// The WHERE clause for the wanted rows of one ship.
///
/// # Errors
/// What the lake would refuse as well, and an expression that RE2 has no words for.
pub(super) fn clause(query: &LogQuery, vessel: &VesselId) -> Result<Statement, LakeError> {
    let severities = query.check()?;
    let mut clause = Statement::default();
    clause.bind(" WHERE vessel = ?", Value::Text(vessel.as_str().to_owned()));
    if query.from != UtcMs::MIN {
        clause.bind(" AND time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(query.from.0));
    }
    if query.to != UtcMs::MAX {
        clause.bind(" AND time <= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(query.to.0));
    }
    if severities.len() < Severity::ALL.len() {
        let names = severities.iter().map(|severity| severity.as_str().to_owned()).collect();
        push_in(&mut clause, " AND toString(severity)", names);
    }
    for condition in query.conditions.iter().filter(|condition| condition.field != LogField::Severity) {
        clause.push(if condition.is_negated { " AND NOT (" } else { " AND (" });
        test(condition, &mut clause)?;
        clause.push(")");
    }
    Ok(clause)
}

/// The test of a condition, which is false and never null for a row that lacks the field.
fn test(condition: &Condition, out: &mut Statement) -> Result<(), LakeError> {
    match &condition.field {
        LogField::Asset => test_text("asset", None, &condition.test, out),
        LogField::App => test_text("app", None, &condition.test, out),
        LogField::Severity => test_text("toString(severity)", None, &condition.test, out),
        LogField::Message => test_text("message", None, &condition.test, out),
        LogField::Template => {
            out.push("isNotNull(template) AND ");
            test_text("ifNull(template, '')", None, &condition.test, out)
        }
        LogField::Attribute(name) => {
            out.bind("mapContains(attributes, ?) AND ", Value::Text(name.to_string()));
            test_text("attributes[?]", Some(name), &condition.test, out)
        }
    }
}

fn test_text(column: &str, name: Option<&str>, test: &TextTest, out: &mut Statement) -> Result<(), LakeError> {
    let field = |text: &str, out: &mut Statement| match name {
        Some(name) => out.bind(text, Value::Text(name.to_owned())),
        None => out.push(text),
    };
    match test {
        TextTest::Is(values) => {
            field(column, out);
            push_in(out, "", values.iter().map(ToString::to_string).collect());
        }
        TextTest::Contains(text) => {
            field(&format!("lower({column})"), out);
            out.bind(" LIKE ?", Value::Text(format!("%{}%", like_literal(&text.to_ascii_lowercase()))));
        }
        TextTest::Like(pattern) => {
            field(&format!("lower({column})"), out);
            // A backslash means itself, as in SQLite.
            out.bind(" LIKE ?", Value::Text(pattern.to_ascii_lowercase().replace('\\', r"\\")));
        }
        TextTest::Matches(expression) => {
            field(&format!("match({column}"), out);
            out.bind(", ?)", Value::Text(to_re2(expression)?));
        }
    }
    Ok(())
}

/// The test that a column is one of some texts.
fn push_in(out: &mut Statement, column: &str, texts: Vec<String>) {
    out.push(column);
    match texts.is_empty() {
        // No text is one of none, and IN takes no empty list.
        true => out.push(" != '' AND 0"),
        false => out.bind(" IN ?", Value::Texts(texts)),
    }
}

/// A text that LIKE takes as it is.
fn like_literal(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}
