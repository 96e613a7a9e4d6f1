//! Recursive descent over the tokens, with operator precedence.

use std::sync::Arc;

use super::ast::{AggregateExpr, BinaryExpr, CallExpr, Expr, ExprKind, Grouped};
use super::lexer::{TRIM_LOWER, TRIM_UPPER, Token, lex};
use super::{NESTING_MAX, refused};
use crate::binary::Cardinality;
use crate::error::QueryError;

/// Binary operators and how tightly they bind, from the loosest.
const OPERATORS: [(&str, u8); 20] = [
    ("or", 1),
    ("and", 2),
    ("unless", 2),
    ("==", 3),
    ("!=", 3),
    ("<=", 3),
    (">=", 3),
    ("<", 3),
    (">", 3),
    ("+", 4),
    ("-", 4),
    ("*", 5),
    ("/", 5),
    ("%", 5),
    ("atan2", 5),
    ("^", POWER),
    (TRIM_UPPER, 3),
    (TRIM_LOWER, 3),
    // Behind a whole operand these can only be mistakes that deserve a better word than "unexpected".
    ("=", 0),
    ("=~", 0),
];
/// How tightly `^` binds; it is the only operator that groups to the right.
const POWER: u8 = 6;

/// Aggregations, and whether they take a parameter before the vector.
const AGGREGATIONS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
    "limitk",
    "limit_ratio",
];

/// A parsed query.
pub(crate) struct Parsed {
    pub(crate) root: Expr,
    /// Its meaning depends on the start, end or step of the query beyond `@ start()` and `@ end()`.
    pub(crate) depends_on_scope: bool,
}

/// Parses a query.
///
/// # Errors
/// Text that is no PromQL, with the place of the first offence, or text beyond a bound.
pub(crate) fn parse(text: &str) -> Result<Parsed, QueryError> {
    let mut parser = Parser { text, tokens: lex(text)?, at: 0, depth: 0, depends_on_scope: false };
    if parser.peek() == &Token::End {
        return Err(refused(text, 0, "the query is empty"));
    }
    let root = parser.expression(1)?;
    match parser.peek() {
        Token::End => Ok(Parsed { root, depends_on_scope: parser.depends_on_scope }),
        _ => Err(parser.unexpected("an operator or the end of the query")),
    }
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    tokens: Vec<(Token<'a>, usize)>,
    at: usize,
    depth: usize,
    pub(super) depends_on_scope: bool,
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at].0
    }

    pub(super) fn peek_second(&self) -> &Token<'a> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    /// Where the next token begins.
    pub(super) fn start(&self) -> usize {
        self.tokens[self.at].1
    }

    pub(super) fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    pub(super) fn refusal(&self, at: usize, reason: impl Into<String>) -> QueryError {
        refused(self.text, at, reason)
    }

    pub(super) fn unexpected(&self, expected: &str) -> QueryError {
        self.refusal(self.start(), format!("unexpected {}, expected {expected}", self.peek().shown()))
    }

    pub(super) fn take_mark(&mut self, mark: &str) -> bool {
        let found = matches!(self.peek(), Token::Mark(found) if *found == mark);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_mark(&mut self, mark: &str) -> Result<(), QueryError> {
        if self.take_mark(mark) { Ok(()) } else { Err(self.unexpected(&format!("{mark:?}"))) }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        self.depth = self.deeper(self.depth)?;
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    /// One more than `depth`.
    pub(super) fn deeper(&self, depth: usize) -> Result<usize, QueryError> {
        if depth >= NESTING_MAX {
            return Err(QueryError::TooLarge { max: NESTING_MAX, of: "levels of nesting" });
        }
        Ok(depth + 1)
    }

    pub(super) fn node(&self, kind: ExprKind, at: usize, below: usize) -> Result<Expr, QueryError> {
        Ok(Expr { kind, at, depth: self.deeper(below)? })
    }

    /// Parses operators that bind at least as tightly as `floor`.
    fn expression(&mut self, floor: u8) -> Result<Expr, QueryError> {
        self.nested(|parser| {
            let mut left = parser.operand()?;
            while let Some((op, binds)) = parser.operator() {
                if matches!(op, TRIM_UPPER | TRIM_LOWER) {
                    let what = format!("operator {op}, which trims native histograms,");
                    return Err(QueryError::Unsupported { what });
                }
                if binds == 0 {
                    return Err(parser.unexpected("an operator; comparison is \"==\", matchers stand in braces"));
                }
                if binds < floor {
                    break;
                }
                parser.advance();
                left = parser.binary(left, op, binds)?;
            }
            Ok(left)
        })
    }

    fn operator(&self) -> Option<(&'static str, u8)> {
        let found = match self.peek() {
            Token::Mark(mark) => OPERATORS.into_iter().find(|(op, _)| op == mark),
            Token::Word(word) => OPERATORS.into_iter().find(|(op, _)| op.eq_ignore_ascii_case(word)),
            _ => None,
        };
        found
    }

    fn binary(&mut self, left: Expr, op: &'static str, binds: u8) -> Result<Expr, QueryError> {
        let to_bool = self.take_word("bool");
        let mut matching = None;
        for (word, on) in [("on", true), ("ignoring", false)] {
            if matching.is_none() && self.is_word(word) && self.peek_second() == &Token::Mark("(") {
                self.advance();
                matching = Some((on, self.label_list()?));
            }
        }
        let mut group = None;
        for (word, cardinality) in [("group_left", Cardinality::ManyToOne), ("group_right", Cardinality::OneToMany)] {
            if group.is_none() && matching.is_some() && self.take_word(word) {
                let labels = if self.peek() == &Token::Mark("(") { self.label_list()? } else { Vec::new() };
                group = Some((cardinality, labels));
            }
        }
        let fill = self.fill()?;
        let right = self.expression(if binds == POWER { binds } else { binds + 1 })?;
        let (start, below) = (left.at, left.depth.max(right.depth));
        let binary = BinaryExpr { op, left, right, to_bool, matching, group, fill };
        self.node(ExprKind::Binary(Box::new(binary)), start, below)
    }

    /// Parses `fill(v)`, `fill_left(v)` and `fill_right(v)`; as names of metrics they have no bracket behind them.
    fn fill(&mut self) -> Result<(Option<f64>, Option<f64>), QueryError> {
        let (mut left, mut right) = (None, None);
        while let Token::Word(word) = *self.peek() {
            let sides = match word.to_ascii_lowercase().as_str() {
                "fill" => (true, true),
                "fill_left" => (true, false),
                "fill_right" => (false, true),
                _ => break,
            };
            if self.peek_second() != &Token::Mark("(") {
                break;
            }
            if (sides.0 && left.is_some()) || (sides.1 && right.is_some()) {
                return Err(self.refusal(self.start(), "a side is filled twice"));
            }
            self.advance();
            self.expect_mark("(")?;
            let value = self.signed_number()?;
            self.expect_mark(")")?;
            left = if sides.0 { Some(value) } else { left };
            right = if sides.1 { Some(value) } else { right };
        }
        Ok((left, right))
    }

    pub(super) fn signed_number(&mut self) -> Result<f64, QueryError> {
        let negative = self.take_mark("-");
        if !negative {
            self.take_mark("+");
        }
        let value = match self.peek() {
            Token::Number(value) | Token::Duration(value) => *value,
            Token::Word(word) => named_number(word).ok_or_else(|| self.unexpected("a number"))?,
            _ => return Err(self.unexpected("a number")),
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    fn operand(&mut self) -> Result<Expr, QueryError> {
        let start = self.start();
        let negative = self.peek() == &Token::Mark("-");
        if negative || self.peek() == &Token::Mark("+") {
            self.advance();
            // A power binds tighter than a sign, a product does not.
            let inner = self.expression(POWER)?;
            let below = inner.depth;
            return self.node(ExprKind::Unary { negative, inner: Box::new(inner) }, start, below);
        }
        let primary = self.primary()?;
        self.behind(primary)
    }

    fn primary(&mut self) -> Result<Expr, QueryError> {
        let start = self.start();
        match self.peek().clone() {
            Token::Number(value) | Token::Duration(value) => {
                self.advance();
                self.node(ExprKind::Number(value), start, 0)
            }
            Token::Text(text) => {
                self.advance();
                self.node(ExprKind::Text(text), start, 0)
            }
            Token::Mark("(") => {
                self.advance();
                let inner = self.expression(1)?;
                self.expect_mark(")")?;
                let below = inner.depth;
                self.node(ExprKind::Paren(Box::new(inner)), start, below)
            }
            Token::Mark("{") => self.selector(None),
            Token::Word(word) => self.named(word),
            _ => Err(self.unexpected("a number, a text, a selector or a function")),
        }
    }

    /// Parses what begins with a name.
    fn named(&mut self, word: &'a str) -> Result<Expr, QueryError> {
        let start = self.start();
        let opens = self.peek_second() == &Token::Mark("(");
        let groups = matches!(self.peek_second(), Token::Word(next)
            if next.eq_ignore_ascii_case("by") || next.eq_ignore_ascii_case("without"));
        let small = word.to_ascii_lowercase();
        if AGGREGATIONS.contains(&small.as_str()) && (opens || groups) {
            self.advance();
            return self.aggregate(small, start);
        }
        self.advance();
        if opens {
            let arguments = self.arguments()?;
            let below = arguments.iter().map(|argument| argument.depth).max().unwrap_or(0);
            let small = matches!(small.as_str(), "step" | "range" | "start" | "end");
            self.depends_on_scope |= small;
            let name: Arc<str> = if small { word.to_ascii_lowercase().into() } else { word.into() };
            return self.node(ExprKind::Call(CallExpr { name, arguments }), start, below);
        }
        match named_number(word) {
            Some(value) => self.node(ExprKind::Number(value), start, 0),
            None => self.selector(Some((word, start))),
        }
    }

    fn aggregate(&mut self, name: String, start: usize) -> Result<Expr, QueryError> {
        let before = self.grouped()?;
        let arguments = self.arguments()?;
        let grouped = if before.is_some() { before } else { self.grouped()? };
        let below = arguments.iter().map(|argument| argument.depth).max().unwrap_or(0);
        let aggregate = AggregateExpr { name, arguments, grouped };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), start, below)
    }

    fn grouped(&mut self) -> Result<Option<Grouped>, QueryError> {
        for (word, without) in [("by", false), ("without", true)] {
            if self.take_word(word) {
                return Ok(Some(Grouped { without, labels: self.label_list()? }));
            }
        }
        Ok(None)
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, QueryError> {
        self.expect_mark("(")?;
        let mut arguments = Vec::new();
        if self.take_mark(")") {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(1)?);
            if self.take_mark(")") {
                return Ok(arguments);
            }
            if !self.take_mark(",") {
                return Err(self.unexpected("\",\" or \")\""));
            }
        }
    }

    /// Parses label names in round brackets, quoted where they are no plain names; a comma may end the list.
    fn label_list(&mut self) -> Result<Vec<Arc<str>>, QueryError> {
        self.expect_mark("(")?;
        let mut labels = Vec::new();
        while !self.take_mark(")") {
            labels.push(self.label_name()?);
            if !self.take_mark(",") {
                self.expect_mark(")")?;
                break;
            }
        }
        Ok(labels)
    }
}

/// The numbers that are written as words.
fn named_number(word: &str) -> Option<f64> {
    if word.eq_ignore_ascii_case("nan") {
        Some(f64::NAN)
    } else if word.eq_ignore_ascii_case("inf") {
        Some(f64::INFINITY)
    } else {
        None
    }
}
