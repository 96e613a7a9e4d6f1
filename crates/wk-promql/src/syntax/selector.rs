//! Selectors, and what stands behind an expression: ranges, subqueries, `offset`, `@`, `anchored` and `smoothed`.

use std::sync::Arc;

use regex::Regex;
use wk_types::labels::METRIC_NAME;
use wk_types::{MatchOp, Matcher};

use super::ast::{AtExpr, Expr, ExprKind, Extension, Modifiers, SelectorExpr, TextLiteral};
use super::from_go;
use super::lexer::Token;
use super::parser::Parser;
use crate::error::QueryError;
use crate::query::TIME_MS_MAX;

impl<'a> Parser<'a> {
    /// Parses the braces of a selector; its name and where that stood come from before.
    pub(super) fn selector(&mut self, name: Option<(&'a str, usize)>) -> Result<Expr, QueryError> {
        let start = name.map_or(self.start(), |(_, start)| start);
        let mut matchers: Vec<Matcher> = Vec::new();
        matchers.extend(name.map(|(name, _)| Matcher::new(METRIC_NAME, MatchOp::Equal, name)));
        if self.take_mark("{") {
            let mut named = name.is_some();
            while !self.take_mark("}") {
                matchers.push(self.matcher(&mut named)?);
                if !self.take_mark(",") {
                    self.expect_mark("}")?;
                    break;
                }
            }
        }
        self.node(ExprKind::Selector(SelectorExpr { matchers, modifiers: Modifiers::default() }), start, 0)
    }

    fn matcher(&mut self, named: &mut bool) -> Result<Matcher, QueryError> {
        let at = self.start();
        let is_text = matches!(self.peek(), Token::Text(_));
        let name = self.label_name()?;
        let op = match self.peek() {
            Token::Mark("=") => MatchOp::Equal,
            Token::Mark("!=") => MatchOp::NotEqual,
            Token::Mark("=~") => MatchOp::Regex,
            Token::Mark("!~") => MatchOp::NotRegex,
            Token::Mark("," | "}") if is_text => {
                if std::mem::replace(named, true) {
                    return Err(self.refusal(at, "metric name must not be set twice"));
                }
                return Ok(Matcher::new(METRIC_NAME, MatchOp::Equal, &name));
            }
            _ => return Err(self.unexpected("one of \"=\", \"!=\", \"=~\" and \"!~\"")),
        };
        self.advance();
        let at = self.start();
        let Token::Text(text) = self.peek().clone() else { return Err(self.unexpected("a text in quotes")) };
        self.advance();
        let value = self.valid(at, &text)?;
        match op {
            MatchOp::Equal | MatchOp::NotEqual => Ok(Matcher { name, op, value }),
            MatchOp::Regex | MatchOp::NotRegex => {
                let value: Arc<str> = from_go(&value).into();
                Regex::new(&format!("^(?s:{value})$")).map_err(|error| {
                    self.refusal(at, format!("invalid regular expression {:?}: {error}", text.value))
                })?;
                Ok(Matcher { name, op, value })
            }
        }
    }

    /// Parses a label name, in quotes or without.
    pub(super) fn label_name(&mut self) -> Result<Arc<str>, QueryError> {
        let at = self.start();
        let name: Arc<str> = match self.peek().clone() {
            Token::Word(word) if !word.contains(':') => word.into(),
            Token::Text(text) => {
                if let Some(written) = &text.broken {
                    return Err(self.refusal(at, format!("invalid label name {written}")));
                }
                if text.value.is_empty() {
                    return Err(self.refusal(at, "invalid label name \"\""));
                }
                text.value
            }
            _ => return Err(self.unexpected("a label name")),
        };
        self.advance();
        Ok(name)
    }

    fn valid(&self, at: usize, text: &TextLiteral) -> Result<Arc<str>, QueryError> {
        match &text.broken {
            None => Ok(Arc::clone(&text.value)),
            Some(written) => Err(self.refusal(at, format!("{written} is not valid UTF-8"))),
        }
    }

    /// Parses everything that may stand behind an operand.
    pub(super) fn behind(&mut self, mut expr: Expr) -> Result<Expr, QueryError> {
        loop {
            let at = self.start();
            if self.take_mark("[") {
                expr = self.range_or_subquery(expr, at)?;
            } else if self.take_word("offset") {
                let offset = self.offset()?;
                let modifiers = self.modifiers(&mut expr, "offset", at)?;
                if modifiers.offset.replace(offset).is_some() {
                    return Err(self.refusal(at, "offset may not be set multiple times"));
                }
            } else if self.take_mark("@") {
                let time = self.at_time()?;
                let modifiers = self.modifiers(&mut expr, "@", at)?;
                if modifiers.at.replace(time).is_some() {
                    return Err(self.refusal(at, "@ <timestamp> may not be set multiple times"));
                }
            } else if let Some(extension) = self.extension() {
                self.extend(&mut expr, extension, at)?;
            } else {
                return Ok(expr);
            }
        }
    }

    fn extension(&mut self) -> Option<Extension> {
        [Extension::Anchored, Extension::Smoothed].into_iter().find(|extension| self.take_word(extension.name()))
    }

    fn extend(&mut self, expr: &mut Expr, extension: Extension, at: usize) -> Result<(), QueryError> {
        let name = extension.name();
        let modifiers = match &mut expr.kind {
            ExprKind::Selector(selector) if extension == Extension::Smoothed => &mut selector.modifiers,
            ExprKind::Range { selector, .. } => &mut selector.modifiers,
            _ => {
                let of = if extension == Extension::Smoothed { "a selector" } else { "a range selector" };
                return Err(self.refusal(at, format!("{name} may only stand behind {of}")));
            }
        };
        if modifiers.extension.replace(extension).is_some() {
            return Err(self.refusal(at, "anchored and smoothed may be set once, and not both"));
        }
        Ok(())
    }

    fn modifiers<'e>(&self, expr: &'e mut Expr, what: &str, at: usize) -> Result<&'e mut Modifiers, QueryError> {
        match &mut expr.kind {
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => Ok(&mut selector.modifiers),
            ExprKind::Subquery { modifiers, .. } => Ok(modifiers),
            _ => {
                let reason = format!("{what} modifier must be preceded by a selector or a subquery");
                Err(self.refusal(at, reason))
            }
        }
    }

    fn range_or_subquery(&mut self, expr: Expr, at: usize) -> Result<Expr, QueryError> {
        let range = self.duration()?;
        let (start, depth) = (expr.at, expr.depth);
        if self.take_mark(":") {
            let step = if self.peek() == &Token::Mark("]") { None } else { Some(self.duration()?) };
            self.expect_mark("]")?;
            let kind = ExprKind::Subquery { inner: Box::new(expr), range, step, modifiers: Modifiers::default() };
            return self.node(kind, start, depth);
        }
        self.expect_mark("]")?;
        let ExprKind::Selector(selector) = expr.kind else {
            return Err(
                self.refusal(at, "ranges only allowed for vector selectors; a subquery is written [range:step]")
            );
        };
        let Modifiers { offset: None, at: None, extension: None } = selector.modifiers else {
            return Err(self.refusal(at, "modifiers stand behind the range, not before it"));
        };
        self.node(ExprKind::Range { selector, range }, start, depth - 1)
    }

    fn at_time(&mut self) -> Result<AtExpr, QueryError> {
        for (word, time) in [("start", AtExpr::Start), ("end", AtExpr::End)] {
            if self.take_word(word) {
                self.expect_mark("(")?;
                self.expect_mark(")")?;
                return Ok(time);
            }
        }
        let at = self.start();
        let ms = self.signed_number()? * 1_000.0;
        if !ms.is_finite() || ms.abs() > TIME_MS_MAX as f64 {
            return Err(self.refusal(at, "timestamp out of bounds for @ modifier"));
        }
        Ok(AtExpr::Time(ms.round() as i64))
    }
}
