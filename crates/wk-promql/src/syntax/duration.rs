//! Durations: literals, and expressions that compute them.

use wk_types::DurationMs;

use super::ast::{DurationExpr, DurationOp};
use super::lexer::Token;
use super::parser::Parser;
use crate::error::QueryError;

/// Units from the longest to the shortest, in milliseconds; a literal has each once at most and in this order.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// How tightly a sum, a product and a power bind.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const POWER: u8 = 3;

/// An operator or a function over two durations: its name, and what it does.
type Function = (&'static str, fn(f64, f64) -> f64);

/// Reads a span of time as PromQL writes it, such as `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Option<DurationMs> {
    let ms = if text == "0" { 0 } else { milliseconds(text)? };
    Some(DurationMs(ms))
}

/// A literal with units, in seconds.
pub(super) fn literal(word: &str) -> Option<f64> {
    milliseconds(word).map(|ms| ms as f64 / 1_000.0)
}

fn milliseconds(text: &str) -> Option<i64> {
    let (mut rest, mut allowed, mut total) = (text, &UNITS[..], 0i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        let position = allowed.iter().position(|(name, _)| *name == unit)?;
        let amount: i64 = rest[..digits].parse().ok()?;
        total = total.checked_add(amount.checked_mul(allowed[position].1)?)?;
        allowed = &allowed[position + 1..];
        rest = &rest[digits + letters..];
    }
    (!text.is_empty()).then_some(total)
}

/// A span of time in seconds, written as the language reads it; not of whole milliseconds, as a number.
pub(super) struct Written(pub(super) f64);

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = self.0 * 1_000.0;
        if ms <= 0.0 || ms >= 1e15 || ms.fract() != 0.0 {
            return write!(f, "{}", self.0);
        }
        let mut rest = ms as i64;
        for (name, unit) in UNITS {
            // Weeks and years stand only for whole ones, as Prometheus writes them.
            let exact_only = matches!(name, "y" | "w");
            if rest >= unit && (!exact_only || rest % unit == 0) {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl Parser<'_> {
    /// Parses what may stand between square brackets.
    pub(super) fn duration(&mut self) -> Result<DurationExpr, QueryError> {
        self.duration_from(SUM)
    }

    fn duration_from(&mut self, floor: u8) -> Result<DurationExpr, QueryError> {
        self.nested(|parser| {
            let mut left = parser.duration_operand()?;
            while let Token::Mark(mark) = parser.peek() {
                let (binds, op, apply): (u8, _, fn(f64, f64) -> f64) = match *mark {
                    "+" => (SUM, "+", |a, b| a + b),
                    "-" => (SUM, "-", |a, b| a - b),
                    "*" => (PRODUCT, "*", |a, b| a * b),
                    "/" => (PRODUCT, "/", |a, b| a / b),
                    "%" => (PRODUCT, "%", |a, b| a % b),
                    "^" => (POWER, "^", f64::powf),
                    _ => break,
                };
                if binds < floor {
                    break;
                }
                parser.advance();
                let right = parser.duration_from(if binds == POWER { POWER } else { binds + 1 })?;
                left = parser.both((op, apply), left, right)?;
            }
            Ok(left)
        })
    }

    fn duration_operand(&mut self) -> Result<DurationExpr, QueryError> {
        let at = self.start();
        match self.peek() {
            Token::Mark("-") => {
                self.advance();
                let inner = self.duration_from(POWER)?;
                let depth = self.deeper(inner.depth)?;
                Ok(DurationExpr { op: DurationOp::Negate(Box::new(inner)), at, depth })
            }
            Token::Mark("+") => {
                self.advance();
                self.duration_from(POWER)
            }
            _ => self.duration_primary(),
        }
    }

    /// Parses what may follow `offset`: one operand with a sign, so that `offset 1 + 2` adds to the value.
    pub(super) fn offset(&mut self) -> Result<DurationExpr, QueryError> {
        let at = self.start();
        let negative = self.take_mark("-");
        if !negative {
            self.take_mark("+");
        }
        let operand = self.duration_primary()?;
        if !negative {
            return Ok(operand);
        }
        let depth = self.deeper(operand.depth)?;
        Ok(DurationExpr { op: DurationOp::Negate(Box::new(operand)), at, depth })
    }

    fn duration_primary(&mut self) -> Result<DurationExpr, QueryError> {
        let at = self.start();
        let leaf = |op| Ok(DurationExpr { op, at, depth: 1 });
        match self.peek().clone() {
            Token::Number(seconds) | Token::Duration(seconds) => {
                self.advance();
                leaf(DurationOp::Literal(seconds))
            }
            Token::Mark("(") => {
                self.advance();
                let inner = self.duration()?;
                self.expect_mark(")")?;
                Ok(inner)
            }
            Token::Word(word) => {
                self.advance();
                self.expect_mark("(")?;
                let op = match word.to_ascii_lowercase().as_str() {
                    "step" => DurationOp::Step,
                    "range" => DurationOp::Range,
                    "min_of" => return self.duration_pair(("min_of", f64::min)),
                    "max_of" => return self.duration_pair(("max_of", f64::max)),
                    _ => {
                        let reason = format!("{word:?} is no duration; there are step, range, min_of and max_of");
                        return Err(self.refusal(at, reason));
                    }
                };
                self.expect_mark(")")?;
                self.depends_on_scope = true;
                leaf(op)
            }
            other => Err(self.refusal(at, format!("expected a duration, found {}", other.shown()))),
        }
    }

    fn duration_pair(&mut self, function: Function) -> Result<DurationExpr, QueryError> {
        let left = self.duration()?;
        self.expect_mark(",")?;
        let right = self.duration()?;
        self.expect_mark(")")?;
        self.both(function, left, right)
    }

    fn both(&self, (op, apply): Function, left: DurationExpr, right: DurationExpr) -> Result<DurationExpr, QueryError> {
        let (at, depth) = (left.at, self.deeper(left.depth.max(right.depth))?);
        Ok(DurationExpr { op: DurationOp::Both(op, apply, Box::new((left, right))), at, depth })
    }
}
