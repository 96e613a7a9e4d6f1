//! The language: from text to a tree in which each part still knows where it stood.
//!
//! The grammar is that of Prometheus 3 with everything it keeps behind feature flags: duration expressions, `fill`
//! modifiers, `anchored` and `smoothed` selectors, label selectors of `info()`.
//! Source: `generated_parser.y` and `lex.go` of Prometheus.

mod ast;
mod duration;
mod format;
mod lexer;
mod parser;
mod pattern;
mod selector;

pub(crate) use ast::{
    AggregateExpr, AtExpr, BinaryExpr, CallExpr, DurationExpr, DurationOp, Expr, ExprKind, Extension, Modifiers,
    SelectorExpr, TextLiteral,
};
pub(crate) use duration::parse_duration;
pub(crate) use format::format;
pub(crate) use parser::parse;
pub(crate) use pattern::from_go;

use crate::error::QueryError;

/// Longest query text.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most words, operators and brackets of a query.
const TOKENS_MAX: usize = 10_000;
/// Deepest nesting of an expression, so that an ordinary stack is enough to evaluate it.
const NESTING_MAX: usize = 200;

/// A refusal that names where in `text` it applies.
fn refused(text: &str, at: usize, reason: impl Into<String>) -> QueryError {
    let (line, column) = place(text, at);
    QueryError::Parse { line, column, reason: reason.into() }
}

/// The line and column of a byte of `text`, each counted from one.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests;
