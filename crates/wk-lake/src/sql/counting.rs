//! Statements that only count: `SELECT app, count(*) FROM logs … GROUP BY app` and the like.
//!
//! Such a statement is asked in another form as well, in which the log table hands on one row for all rows that are
//! alike, with their number. In that form the columns of the WHERE clause have names of their own, so that the table can
//! tell columns that only choose rows from those that make rows differ. Where a condition turns out to need a column
//! that the table no longer has, or anything else is unusual, the statement is run as it was written.

use wk_types::DurationMs;

use super::tokens::{Kind, Token, tokens};
use super::{TIME_COLLATION, TIME_COLUMNS};

/// The hidden column that says for how many rows a row stands.
pub(crate) const ROWS_COLUMN: &str = "rows?";
/// What the columns of the WHERE clause have after their names.
pub(crate) const WHERE_SUFFIX: &str = "?";
/// The first characters of a time by which rows may be counted, and the step of time they tell: a day, an hour, a minute
/// and a second.
pub(crate) const TIME_CUTS: [(usize, DurationMs); 4] = [
    (10, DurationMs::from_hours(24)),
    (13, DurationMs::from_hours(1)),
    (16, DurationMs::from_mins(1)),
    (19, DurationMs::from_secs(1)),
];

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
            if tokens.get(at + 2).is_none_or(|star| star.text != "*") {
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
        if let Some((name, length)) = time_cut(&tokens[at..]).filter(|_| !is_where) {
            out.push_str(&format!("\"{name}\" "));
            at += length;
            continue;
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

/// The name of the hidden column of so many first characters of the time.
pub(crate) fn cut_column(length: usize) -> String {
    format!("time{WHERE_SUFFIX}{length}")
}

/// The hidden column that stands for a call such as `substr(time, 1, 16)`, and of how many tokens the call is.
fn time_cut(tokens: &[Token<'_>]) -> Option<(String, usize)> {
    let [function, open, time, comma, from, other_comma, length, close, ..] = tokens else { return None };
    let signs = [open.text, comma.text, from.text, other_comma.text, close.text];
    let is_cut =
        (function.is("substr") || function.is("substring")) && time.is("time") && signs == ["(", ",", "1", ",", ")"];
    let (length, _) = TIME_CUTS.into_iter().find(|(known, _)| is_cut && length.text == known.to_string())?;
    Some((cut_column(length), 8))
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
