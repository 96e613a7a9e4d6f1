//! A query in its usual form, as `format_query` of Prometheus writes it.
//!
//! *Source*: `printer.go` and `prettier.go` of Prometheus: one space around operators; what is longer than a line is
//! broken at its arguments, two spaces further in.

use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use wk_types::labels::METRIC_NAME;
use wk_types::{MatchOp, Matcher};

use super::ast::{
    AggregateExpr, AtExpr, BinaryExpr, CallExpr, DurationExpr, DurationOp, Expr, ExprKind, Grouped, Modifiers,
    SelectorExpr,
};
use super::duration::Written;
use crate::binary::Cardinality;

/// What is longer than this is broken into lines.
const LINE_MAX: usize = 100;

/// Writes an expression in the usual form.
pub(crate) fn format(expr: &Expr) -> String {
    let mut out = String::new();
    pretty(expr, 0, &mut out);
    out
}

fn pretty(expr: &Expr, level: usize, out: &mut String) {
    let line = expr.to_string();
    let indent = "  ".repeat(level);
    if line.len() <= LINE_MAX {
        out.push_str(&indent);
        out.push_str(&line);
        return;
    }
    match &expr.kind {
        ExprKind::Paren(inner) => broken(&format!("{indent}("), [&**inner], level, out),
        ExprKind::Call(call) => broken(&format!("{indent}{}(", call.name), &call.arguments, level, out),
        ExprKind::Aggregate(aggregate) => {
            broken(&format!("{indent}{}(", Head(aggregate)), &aggregate.arguments, level, out);
        }
        ExprKind::Binary(binary) => {
            pretty(&binary.left, level + 1, out);
            let _ = writeln!(out, "\n{indent}{}", Operator(binary));
            pretty(&binary.right, level + 1, out);
        }
        ExprKind::Subquery { inner, range, step, modifiers } => {
            pretty(inner, level, out);
            let _ = write!(out, "{}", Subquery(range, step.as_ref(), modifiers));
        }
        ExprKind::Unary { negative, inner } => {
            let mut operand = String::new();
            pretty(inner, level, &mut operand);
            let _ = write!(out, "{indent}{}{}", sign(*negative), operand.trim_start());
        }
        ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Selector(_) | ExprKind::Range { .. } => {
            out.push_str(&indent);
            out.push_str(&line);
        }
    }
}

/// Writes arguments between `opening` and a closing bracket, each on a line of its own.
fn broken<'a>(opening: &str, arguments: impl IntoIterator<Item = &'a Expr>, level: usize, out: &mut String) {
    out.push_str(opening);
    for (position, argument) in arguments.into_iter().enumerate() {
        out.push_str(if position == 0 { "\n" } else { ",\n" });
        pretty(argument, level + 1, out);
    }
    let _ = write!(out, "\n{})", "  ".repeat(level));
}

const fn sign(negative: bool) -> char {
    if negative { '-' } else { '+' }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(value) => write!(f, "{}", Number(*value)),
            ExprKind::Text(text) => match &text.broken {
                Some(written) => f.write_str(written),
                None => write!(f, "{}", Quoted(&text.value)),
            },
            ExprKind::Selector(selector) => {
                write!(f, "{}{}", Series(&selector.matchers), selector.modifiers)
            }
            ExprKind::Range { selector: SelectorExpr { matchers, modifiers }, range } => {
                write!(f, "{}[{range}]{modifiers}", Series(matchers))
            }
            ExprKind::Subquery { inner, range, step, modifiers } => {
                write!(f, "{inner}{}", Subquery(range, step.as_ref(), modifiers))
            }
            ExprKind::Unary { negative, inner } => write!(f, "{}{inner}", sign(*negative)),
            ExprKind::Binary(binary) => write!(f, "{} {} {}", binary.left, Operator(binary), binary.right),
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}({})", Head(aggregate), Listed(&aggregate.arguments))
            }
            ExprKind::Call(CallExpr { name, arguments }) => write!(f, "{name}({})", Listed(arguments)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// Elements with a comma between them.
struct Listed<'a, T>(&'a [T]);

impl<T: Display> Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, element) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{element}")?;
        }
        Ok(())
    }
}

/// Label names in brackets.
fn bracketed(labels: &[Arc<str>]) -> String {
    let names: Vec<Name<'_>> = labels.iter().map(|label| Name(label)).collect();
    format!("({})", Listed(&names))
}

/// A label name, in quotes where it must be.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(self.0, false) { f.write_str(self.0) } else { write!(f, "{}", Quoted(self.0)) }
    }
}

/// Tells whether a name can stand without quotes; metric names may have colons.
fn is_plain(name: &str, is_metric: bool) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || (is_metric && c == ':');
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// A text in quotes, with escapes that the language reads.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for letter in self.0.chars() {
            match letter {
                '"' | '\\' => write!(f, "\\{letter}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
                other => f.write_char(other)?,
            }
        }
        f.write_char('"')
    }
}

/// A number as it is written.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            value if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            value => write!(f, "{value}"),
        }
    }
}

/// Matchers as a selector.
struct Series<'a>(&'a [Matcher]);

impl Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_name = |matcher: &&Matcher| &*matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
        let name = self.0.iter().find(is_name).map(|matcher| &*matcher.value).filter(|name| !name.is_empty());
        let mut parts = Vec::new();
        if let Some(name) = name {
            if is_plain(name, true) { f.write_str(name)? } else { parts.push(Quoted(name).to_string()) }
        }
        for matcher in self.0 {
            if Some(&*matcher.value) == name && is_name(&matcher) {
                continue;
            }
            let op = match matcher.op {
                MatchOp::Equal => "=",
                MatchOp::NotEqual => "!=",
                MatchOp::Regex => "=~",
                MatchOp::NotRegex => "!~",
            };
            parts.push(format!("{}{op}{}", Name(&matcher.name), Quoted(&matcher.value)));
        }
        if parts.is_empty() && name.is_some() { Ok(()) } else { write!(f, "{{{}}}", parts.join(",")) }
    }
}

impl Display for Modifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(extension) = self.extension {
            write!(f, " {}", extension.name())?;
        }
        match self.at {
            None => {}
            Some(AtExpr::Start) => f.write_str(" @ start()")?,
            Some(AtExpr::End) => f.write_str(" @ end()")?,
            Some(AtExpr::Time(ms)) => {
                let sign = if ms < 0 { "-" } else { "" };
                write!(f, " @ {sign}{}.{:03}", ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000)?;
            }
        }
        self.offset.as_ref().map_or(Ok(()), |offset| write!(f, " offset {offset}"))
    }
}

/// What stands behind the expression of a subquery.
struct Subquery<'a>(&'a DurationExpr, Option<&'a DurationExpr>, &'a Modifiers);

impl Display for Subquery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0)?;
        if let Some(step) = self.1 {
            write!(f, "{step}")?;
        }
        write!(f, "]{}", self.2)
    }
}

/// An operator with all that stands between its operands.
struct Operator<'a>(&'a BinaryExpr);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BinaryExpr { op, to_bool, matching, group, fill, .. } = self.0;
        f.write_str(op)?;
        if *to_bool {
            f.write_str(" bool")?;
        }
        if let Some((on, labels)) = matching {
            write!(f, " {} {}", if *on { "on" } else { "ignoring" }, bracketed(labels))?;
        }
        match group {
            Some((Cardinality::ManyToOne, include)) => write!(f, " group_left {}", bracketed(include))?,
            Some((Cardinality::OneToMany, include)) => write!(f, " group_right {}", bracketed(include))?,
            _ => {}
        }
        match *fill {
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => write!(f, " fill ({})", Number(left)),
            (left, right) => {
                let mut one =
                    |name, value: Option<f64>| value.map_or(Ok(()), |value| write!(f, " {name} ({})", Number(value)));
                one("fill_left", left)?;
                one("fill_right", right)
            }
        }
    }
}

/// An aggregation up to its arguments.
struct Head<'a>(&'a AggregateExpr);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name)?;
        match &self.0.grouped {
            Some(Grouped { without: true, labels }) => write!(f, " without {} ", bracketed(labels)),
            Some(Grouped { without: false, labels }) if !labels.is_empty() => write!(f, " by {} ", bracketed(labels)),
            _ => Ok(()),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.op {
            DurationOp::Literal(seconds) => write!(f, "{}", Written(*seconds)),
            DurationOp::Step => f.write_str("step()"),
            DurationOp::Range => f.write_str("range()"),
            DurationOp::Negate(inner) => write!(f, "-{inner}"),
            DurationOp::Both(op, _, pair) if op.starts_with(char::is_alphabetic) => {
                write!(f, "{op}({}, {})", pair.0, pair.1)
            }
            DurationOp::Both(op, _, pair) => write!(f, "({} {op} {})", pair.0, pair.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn formatted(text: &str) -> String {
        format(&parse(text).unwrap().root)
    }

    /// The right side as Prometheus 2.42 answers `format_query`, where it knows the syntax.
    #[test]
    fn queries_are_written_in_the_usual_form() {
        for (written, usual) in [
            ("foo/bar", "foo / bar"),
            ("sum( rate(a[5m]) )by(job)", "sum by (job) (rate(a[5m]))"),
            ("SUM without() (a)", "sum without () (a)"),
            ("topk(3,a)", "topk(3, a)"),
            ("{__name__=\"up\",job=~'a|b'}", "up{job=~\"a|b\"}"),
            ("{job!=\"\"}", "{job!=\"\"}"),
            ("a[90s:] offset -1h @ end()", "a[1m30s:] @ end() offset -1h"),
            ("a @ 1.5 offset 7d", "a @ 1.500 offset 1w"),
            ("a==bool on(x)group_left(y)b", "a == bool on (x) group_left (y) b"),
            ("-(a+b)^2", "-(a + b) ^ 2"),
            ("a[step()*2]", "a[(step() * 2s)]"),
            ("Inf", "+Inf"),
        ] {
            assert_eq!(formatted(written), usual, "{written}");
        }
    }

    #[test]
    fn what_is_longer_than_a_line_is_broken_at_its_arguments() {
        let long = "sum by (instance, job) (rate(node_network_receive_bytes_total{device!~\"lo|veth.*\"}[5m])) / \
                    count by (instance, job) (node_network_up{device!~\"lo|veth.*\"})";
        assert_eq!(
            formatted(long),
            "  sum by (instance, job) (rate(node_network_receive_bytes_total{device!~\"lo|veth.*\"}[5m]))\n/\n  \
             count by (instance, job) (node_network_up{device!~\"lo|veth.*\"})"
        );
    }

    #[test]
    fn the_usual_form_reads_as_what_was_written() {
        for text in ["-a ^ b", "a unless on () b", "x{a=\"\\\"\\n\"}", "quantile_over_time(0.5, a[5m:1m])", "1e-9 * a"]
        {
            assert_eq!(formatted(&formatted(text)), formatted(text), "{text}");
        }
    }
}
