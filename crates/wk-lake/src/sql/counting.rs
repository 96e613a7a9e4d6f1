//! Statements that only count: `SELECT app, count(*) FROM logs … GROUP BY app` and the like.
//!
//! Such a statement is asked in another form as well, in which the log table hands on one row for all rows that are
//! alike, with their number. In that form the columns of the WHERE clause have names of their own, so that the table can
//! tell columns that only choose rows from those that make rows differ. Where a condition turns out to need a column
//! that the table no longer has, or anything else is unusual, the statement is run as it was written.

use super::tokens::{Kind, Token, tokens};
use super::{TIME_COLLATION, TIME_COLUMNS};

/// The hidden column that says for how many rows a row stands.
pub(crate) const ROWS_COLUMN: &str = "rows?";
/// What the columns of the WHERE clause have after their names.
pub(crate) const WHERE_SUFFIX: &str = "?";

/// Functions that answer the same however often a row comes.
const PLAIN_FUNCTIONS: [&str; 30] = [
    "abs",
    "cast",
    "coalesce",
    "date",
    "datetime",
    "format",
    "glob",
    "ifnull",
    "iif",
    "instr",
    "julianday",
    "length",
    "like",
    "lower",
    "ltrim",
    "max",
    "min",
    "nullif",
    "printf",
    "replace",
    "round",
    "rtrim",
    "strftime",
    "substr",
    "substring",
    "time",
    "trim",
    "typeof",
    "unixepoch",
    "upper",
];
/// Words that make a statement more than a count of one table's rows.
const REFUSED_WORDS: [&str; 12] = [
    "join",
    "union",
    "except",
    "intersect",
    "with",
    "over",
    "filter",
    "distinct",
    "window",
    "indexed",
    "values",
    "rowid",
];
/// Words that end a WHERE clause.
const CLAUSE_WORDS: [&str; 5] = ["group", "having", "order", "limit", "window"];

/// The form of a counting statement in which like rows come once, `None` where it is another kind of statement.
pub(crate) fn rewrite(query: &str, columns: &[&str]) -> Option<String> {
    let tokens = tokens(query)?;
    let words = || tokens.iter().filter(|token| token.kind == Kind::Word);
    let count_of = |wanted: &str| words().filter(|token| token.is(wanted)).count();
    if count_of("select") != 1
        || count_of("from") != 1
        || words().any(|token| REFUSED_WORDS.iter().any(|word| token.is(word)))
        || !is_single_table(&tokens)?
    {
        return None;
    }
    let mut out = String::with_capacity(query.len() + 64);
    let (mut at, mut depth, mut is_where, mut has_count) = (0, 0_usize, false, false);
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1);
        let is_call = token.kind == Kind::Word && next.is_some_and(|next| next.text == "(");
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.checked_sub(1)?,
            _ if depth == 0 && token.kind == Kind::Word => {
                is_where = token.is("where") || is_where && !CLAUSE_WORDS.iter().any(|word| token.is(word));
            }
            _ => {}
        }
        if is_call && token.is("count") {
            let [star, end] = tokens.get(at + 2..at + 4)? else { return None };
            if (star.text, end.text) != ("*", ")") {
                return None;
            }
            has_count = true;
            out.push_str(&format!("ifnull(sum(\"{ROWS_COLUMN}\"),0) "));
            at += 4;
            continue;
        }
        if is_call && !is_plain_call(token) {
            return None;
        }
        match column(token, columns).filter(|_| is_where && !is_call) {
            Some(name) if TIME_COLUMNS.contains(&name) => {
                out.push_str(&format!("\"{name}{WHERE_SUFFIX}\" COLLATE {TIME_COLLATION} "));
            }
            Some(name) => out.push_str(&format!("\"{name}{WHERE_SUFFIX}\" ")),
            None => out.extend([token.text, " "]),
        }
        at += 1;
    }
    has_count.then_some(out)
}

/// Tells whether FROM names `logs` and nothing else, perhaps with another name.
fn is_single_table(tokens: &[Token<'_>]) -> Option<bool> {
    let from = tokens.iter().position(|token| token.is("from"))?;
    let mut rest = tokens[from + 1..].iter().filter(|token| !token.is("as"));
    if !rest.next()?.is("logs") {
        return Some(false);
    }
    let ends = |token: &Token<'_>| token.is("where") || CLAUSE_WORDS.iter().any(|word| token.is(word));
    Some(match rest.next() {
        None => true,
        Some(token) if token.text == ";" || ends(token) => true,
        Some(token) if token.kind == Kind::Word => rest.next().is_none_or(|token| token.text == ";" || ends(token)),
        Some(_) => false,
    })
}

/// Tells whether what looks like a call is one that does not care how often a row comes, or none.
fn is_plain_call(token: &Token<'_>) -> bool {
    let is_one_of = |words: &[&str]| words.iter().any(|word| token.is(word));
    is_one_of(&PLAIN_FUNCTIONS)
        || is_one_of(&[
            "and", "or", "not", "in", "between", "like", "by", "where", "having", "when", "then", "else", "case", "on",
            "select",
        ])
}

fn column<'a>(token: &Token<'_>, columns: &[&'a str]) -> Option<&'a str> {
    let name = match token.kind {
        Kind::Word => token.text,
        Kind::Quoted => &token.text[1..token.text.len() - 1],
        _ => return None,
    };
    columns.iter().copied().find(|column| column.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests;
