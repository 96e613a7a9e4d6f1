//! From the parser's tree to the tree that is evaluated: everything is resolved, checked and bounded here.

use std::fmt;
use std::sync::Arc;

use promql_parser::label::{MatchOp as ParsedOp, Matchers};
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_DIV, T_EQLC, T_GROUP, T_GTE, T_GTR, T_LAND, T_LOR,
    T_LSS, T_LTE, T_LUNLESS, T_MAX, T_MIN, T_MOD, T_MUL, T_NEQ, T_POW, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUB, T_SUM,
    T_TOPK,
};
use promql_parser::parser::{
    AggregateExpr, AtModifier, BinaryExpr, Expr, LabelModifier, MatrixSelector, Offset, SubqueryExpr,
    VectorMatchCardinality, VectorSelector,
};
use wk_types::labels::METRIC_NAME;
use wk_types::{DurationMs, MatchOp, Matcher};

use crate::aggregate::AggregateOp;
use crate::binary::{BinaryOp, Cardinality, Matching};
use crate::error::QueryError;
use crate::query::{Selector, TIME_MS_MAX};

mod call;

pub(crate) use call::CallNode;

/// How long a sample counts as the present value of its series.
pub(crate) const LOOKBACK_MS: i64 = 5 * 60_000;
/// The step of a subquery that names none.
pub(crate) const SUBQUERY_STEP_MS: i64 = 60_000;
/// Ranges, offsets and steps longer than this (35,000 years) are refused, so that no sum of times can overflow.
const DURATION_MS_MAX: i64 = 1 << 50;
/// Longest query text.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most words, operators and brackets outside quotes: each may nest, and the parser's own checks walk the nest at each
/// level.
const TOKENS_MAX: usize = 1_000;
/// Deepest nesting that is evaluated.
const NESTING_MAX: usize = 200;

/// What a node evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Scalar,
    Text,
    Vector,
    Matrix,
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Text => "string",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
        })
    }
}

/// A fixed time that a selector reads at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    Start,
    End,
    Time(i64),
}

/// When a selector reads, against the step it is evaluated at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct When {
    pub(crate) offset: i64,
    pub(crate) at: Option<At>,
}

#[derive(Debug)]
pub(crate) struct InstantSelector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) when: When,
}

#[derive(Debug)]
pub(crate) enum RangeOf {
    Series(Vec<Matcher>),
    Subquery { inner: Box<Node>, step: i64 },
}

#[derive(Debug)]
pub(crate) struct RangeSelector {
    pub(crate) of: RangeOf,
    pub(crate) range: i64,
    pub(crate) when: When,
}

#[derive(Debug)]
pub(crate) struct BinaryNode {
    pub(crate) op: BinaryOp,
    pub(crate) left: Node,
    pub(crate) right: Node,
    /// A comparison answers 0 or 1 instead of filtering.
    pub(crate) to_bool: bool,
    pub(crate) matching: Matching,
}

/// Which labels an aggregation keeps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Grouping {
    By(Vec<Arc<str>>),
    Without(Vec<Arc<str>>),
}

#[derive(Debug)]
pub(crate) struct AggregateNode {
    pub(crate) op: AggregateOp,
    pub(crate) argument: Node,
    pub(crate) parameter: Option<Node>,
    pub(crate) grouping: Grouping,
}

/// A node of the tree that is evaluated.
#[derive(Debug)]
pub(crate) enum Node {
    Number(f64),
    Text(Arc<str>),
    Instant(InstantSelector),
    Range(RangeSelector),
    Negate(Box<Node>),
    Binary(Box<BinaryNode>),
    Aggregate(Box<AggregateNode>),
    Call(Box<CallNode>),
}

impl Node {
    /// What the node evaluates to.
    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Number(_) => ValueKind::Scalar,
            Self::Text(_) => ValueKind::Text,
            Self::Instant(_) | Self::Aggregate(_) => ValueKind::Vector,
            Self::Range(_) => ValueKind::Matrix,
            Self::Negate(inner) => inner.kind(),
            Self::Binary(binary) => match (binary.left.kind(), binary.right.kind()) {
                (ValueKind::Scalar, ValueKind::Scalar) => ValueKind::Scalar,
                _ => ValueKind::Vector,
            },
            Self::Call(call) => call.kind(),
        }
    }

    /// Tells whether the node has the same value at every step, so that one evaluation serves all.
    pub(crate) fn is_fixed(&self) -> bool {
        match self {
            Self::Number(_) | Self::Text(_) => true,
            Self::Instant(selector) => selector.when.at.is_some(),
            Self::Range(selector) => selector.when.at.is_some(),
            Self::Negate(inner) => inner.is_fixed(),
            Self::Binary(binary) => binary.left.is_fixed() && binary.right.is_fixed(),
            Self::Aggregate(aggregate) => {
                aggregate.argument.is_fixed() && aggregate.parameter.as_ref().is_none_or(Self::is_fixed)
            }
            Self::Call(call) => call.is_fixed(),
        }
    }
}

/// Parses and resolves a query.
pub(crate) fn parse(text: &str) -> Result<Node, QueryError> {
    lower(&read(text)?, NESTING_MAX)
}

/// The parser's tree of a query that can be evaluated.
pub(crate) fn checked(text: &str) -> Result<Expr, QueryError> {
    let parsed = read(text)?;
    lower(&parsed, NESTING_MAX)?;
    Ok(parsed)
}

fn read(text: &str) -> Result<Expr, QueryError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(QueryError::TooLarge { max: TEXT_BYTES_MAX, of: "bytes of text" });
    }
    if tokens(text) > TOKENS_MAX {
        return Err(QueryError::TooLarge { max: TOKENS_MAX, of: "words and operators" });
    }
    // The parser panics on numbers that are no duration, such as `x[1e300]`.
    std::panic::catch_unwind(|| promql_parser::parser::parse(text))
        .unwrap_or_else(|_| Err("a duration is out of range".to_owned()))
        .map_err(|reason| QueryError::Parse { reason })
}

/// Counts what may be a token of its own outside quotes; texts in quotes count once.
fn tokens(text: &str) -> usize {
    let (mut count, mut quote, mut escaped, mut in_word) = (0, None, false, false);
    for byte in text.bytes() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(open) if byte == open => quote = None,
            Some(open) => escaped = byte == b'\\' && open != b'`',
            None => {
                let is_word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.');
                let begins = !is_word || !in_word;
                if begins && !byte.is_ascii_whitespace() {
                    count += 1;
                }
                in_word = is_word;
                if matches!(byte, b'"' | b'\'' | b'`') {
                    quote = Some(byte);
                }
            }
        }
    }
    count
}

fn lower(expr: &Expr, depth: usize) -> Result<Node, QueryError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(QueryError::TooLarge { max: NESTING_MAX, of: "levels of nesting" });
    };
    Ok(match expr {
        Expr::Paren(inner) => lower(&inner.expr, depth)?,
        Expr::NumberLiteral(number) => Node::Number(number.val),
        Expr::StringLiteral(text) => Node::Text(text.val.as_str().into()),
        Expr::VectorSelector(selector) => Node::Instant(instant_selector(selector)?),
        Expr::MatrixSelector(selector) => Node::Range(range_selector(selector)?),
        Expr::Subquery(subquery) => Node::Range(lower_subquery(subquery, depth)?),
        Expr::Unary(unary) => Node::Negate(Box::new(lower(&unary.expr, depth)?)),
        Expr::Binary(binary) => Node::Binary(Box::new(lower_binary(binary, depth)?)),
        Expr::Aggregate(aggregate) => Node::Aggregate(Box::new(lower_aggregate(aggregate, depth)?)),
        Expr::Call(call) => call::lower(call, depth)?,
        Expr::Extension(_) => return Err(unsupported("an extension expression")),
    })
}

fn unsupported(what: impl Into<String>) -> QueryError {
    QueryError::Unsupported { what: what.into() }
}

fn parameter(reason: impl Into<String>) -> QueryError {
    QueryError::Parameter { reason: reason.into() }
}

fn instant_selector(selector: &VectorSelector) -> Result<InstantSelector, QueryError> {
    Ok(InstantSelector {
        matchers: matchers(selector.name.as_deref(), &selector.matchers)?,
        when: when(selector.offset.as_ref(), selector.at.as_ref())?,
    })
}

fn range_selector(selector: &MatrixSelector) -> Result<RangeSelector, QueryError> {
    let InstantSelector { matchers, when } = instant_selector(&selector.vs)?;
    Ok(RangeSelector { of: RangeOf::Series(matchers), range: positive(selector.range, "range")?, when })
}

fn lower_subquery(subquery: &SubqueryExpr, depth: usize) -> Result<RangeSelector, QueryError> {
    let inner = lower(&subquery.expr, depth)?;
    if inner.kind() != ValueKind::Vector {
        return Err(parameter(format!("a subquery needs an instant vector, got {}", inner.kind())));
    }
    let step = subquery.step.map_or(Ok(SUBQUERY_STEP_MS), |step| positive(step, "subquery step"))?;
    Ok(RangeSelector {
        of: RangeOf::Subquery { inner: Box::new(inner), step },
        range: positive(subquery.range, "range")?,
        when: when(subquery.offset.as_ref(), subquery.at.as_ref())?,
    })
}

fn matchers(name: Option<&str>, parsed: &Matchers) -> Result<Vec<Matcher>, QueryError> {
    if !parsed.or_matchers.is_empty() {
        return Err(unsupported("`or` between matchers"));
    }
    let named = name.map(|name| Matcher::new(METRIC_NAME, MatchOp::Equal, name));
    let others = parsed.matchers.iter().map(|matcher| {
        let (op, value) = match &matcher.op {
            ParsedOp::Equal => (MatchOp::Equal, matcher.value.as_str()),
            ParsedOp::NotEqual => (MatchOp::NotEqual, matcher.value.as_str()),
            ParsedOp::Re(regex) => (MatchOp::Regex, unanchored(regex.as_str())),
            ParsedOp::NotRe(regex) => (MatchOp::NotRegex, unanchored(regex.as_str())),
        };
        Matcher::new(&matcher.name, op, value)
    });
    Ok(named.into_iter().chain(others).collect())
}

/// The pattern as the parser compiled it (it escapes what Go's dialect takes literally), without its anchors.
fn unanchored(pattern: &str) -> &str {
    pattern.strip_prefix("^(?:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(pattern)
}

fn positive(duration: std::time::Duration, what: &str) -> Result<i64, QueryError> {
    match i64::try_from(duration.as_millis()) {
        Ok(ms) if (1..=DURATION_MS_MAX).contains(&ms) => Ok(ms),
        _ => Err(parameter(format!("the {what} must be positive and at most {DURATION_MS_MAX} ms"))),
    }
}

fn when(offset: Option<&Offset>, at: Option<&AtModifier>) -> Result<When, QueryError> {
    let magnitude = |duration: &std::time::Duration| {
        i64::try_from(duration.as_millis())
            .ok()
            .filter(|ms| *ms <= DURATION_MS_MAX)
            .ok_or_else(|| parameter("the offset is out of range"))
    };
    let offset = match offset {
        None => 0,
        Some(Offset::Pos(duration)) => magnitude(duration)?,
        Some(Offset::Neg(duration)) => -magnitude(duration)?,
    };
    let at = match at {
        None => None,
        Some(AtModifier::Start) => Some(At::Start),
        Some(AtModifier::End) => Some(At::End),
        Some(AtModifier::At(instant)) => {
            let (size, sign) = match instant.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => (after, 1),
                Err(error) => (error.duration(), -1),
            };
            let ms = i64::try_from(size.as_millis()).ok().filter(|ms| *ms <= TIME_MS_MAX);
            Some(At::Time(sign * ms.ok_or_else(|| parameter("the time after @ is out of range"))?))
        }
    };
    Ok(When { offset, at })
}

fn label_names(labels: &promql_parser::label::Labels) -> Vec<Arc<str>> {
    labels.labels.iter().map(|name| name.as_str().into()).collect()
}

fn lower_binary(binary: &BinaryExpr, depth: usize) -> Result<BinaryNode, QueryError> {
    let op = match binary.op.id() {
        T_ADD => BinaryOp::Arithmetic(|a, b| a + b),
        T_SUB => BinaryOp::Arithmetic(|a, b| a - b),
        T_MUL => BinaryOp::Arithmetic(|a, b| a * b),
        T_DIV => BinaryOp::Arithmetic(|a, b| a / b),
        T_MOD => BinaryOp::Arithmetic(|a, b| a % b),
        T_POW => BinaryOp::Arithmetic(f64::powf),
        T_ATAN2 => BinaryOp::Arithmetic(f64::atan2),
        T_EQLC => BinaryOp::Compare(|a, b| a == b),
        T_NEQ => BinaryOp::Compare(|a, b| a != b),
        T_GTR => BinaryOp::Compare(|a, b| a > b),
        T_LSS => BinaryOp::Compare(|a, b| a < b),
        T_GTE => BinaryOp::Compare(|a, b| a >= b),
        T_LTE => BinaryOp::Compare(|a, b| a <= b),
        T_LAND => BinaryOp::And,
        T_LOR => BinaryOp::Or,
        T_LUNLESS => BinaryOp::Unless,
        _ => return Err(unsupported(format!("operator {}", binary.op))),
    };
    let mut matching = Matching::default();
    if let Some(modifier) = &binary.modifier {
        if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
            return Err(unsupported("modifier fill"));
        }
        (matching.on, matching.labels) = match &modifier.matching {
            Some(LabelModifier::Include(labels)) => (true, label_names(labels)),
            Some(LabelModifier::Exclude(labels)) => (false, label_names(labels)),
            None => (false, Vec::new()),
        };
        (matching.cardinality, matching.include) = match &modifier.card {
            VectorMatchCardinality::ManyToOne(labels) => (Cardinality::ManyToOne, label_names(labels)),
            VectorMatchCardinality::OneToMany(labels) => (Cardinality::OneToMany, label_names(labels)),
            VectorMatchCardinality::OneToOne | VectorMatchCardinality::ManyToMany => {
                (Cardinality::OneToOne, Vec::new())
            }
        };
    }
    Ok(BinaryNode {
        op,
        left: lower(&binary.lhs, depth)?,
        right: lower(&binary.rhs, depth)?,
        to_bool: binary.return_bool(),
        matching,
    })
}

fn lower_aggregate(aggregate: &AggregateExpr, depth: usize) -> Result<AggregateNode, QueryError> {
    let op = match aggregate.op.id() {
        T_SUM => AggregateOp::Sum,
        T_AVG => AggregateOp::Avg,
        T_COUNT => AggregateOp::Count,
        T_MIN => AggregateOp::Min,
        T_MAX => AggregateOp::Max,
        T_GROUP => AggregateOp::Group,
        T_STDDEV => AggregateOp::Stddev,
        T_STDVAR => AggregateOp::Stdvar,
        T_TOPK => AggregateOp::TopK,
        T_BOTTOMK => AggregateOp::BottomK,
        T_QUANTILE => AggregateOp::Quantile,
        T_COUNT_VALUES => AggregateOp::CountValues,
        _ => return Err(unsupported(format!("aggregation {}", aggregate.op))),
    };
    let grouping = match &aggregate.modifier {
        None => Grouping::By(Vec::new()),
        Some(LabelModifier::Include(labels)) => Grouping::By(label_names(labels)),
        Some(LabelModifier::Exclude(labels)) => Grouping::Without(label_names(labels)),
    };
    let parameter = aggregate.param.as_ref().map(|expr| lower(expr, depth)).transpose()?;
    Ok(AggregateNode { op, argument: lower(&aggregate.expr, depth)?, parameter, grouping })
}

/// Everything a tree reads, in the order of the text.
pub(crate) fn selectors(root: &Node) -> Vec<Selector> {
    let mut found = Vec::new();
    collect(root, Reach { back: 0, fixed: false }, &mut found);
    found
}

/// How far back the instants lie at which a node is evaluated.
#[derive(Clone, Copy)]
struct Reach {
    back: i64,
    fixed: bool,
}

impl Reach {
    fn through(self, when: When, range: i64) -> Self {
        Self { back: self.back + when.offset + range, fixed: self.fixed || when.at.is_some() }
    }

    fn selector(self, matchers: &[Matcher]) -> Selector {
        let lookback = DurationMs((self.back + LOOKBACK_MS).max(0));
        Selector { matchers: matchers.to_vec(), lookback, fixed_time: self.fixed }
    }
}

fn collect(node: &Node, reach: Reach, found: &mut Vec<Selector>) {
    match node {
        Node::Number(_) | Node::Text(_) => {}
        Node::Instant(selector) => found.push(reach.through(selector.when, 0).selector(&selector.matchers)),
        Node::Range(selector) => collect_range(selector, reach, found),
        Node::Negate(inner) => collect(inner, reach, found),
        Node::Binary(binary) => {
            collect(&binary.left, reach, found);
            collect(&binary.right, reach, found);
        }
        Node::Aggregate(aggregate) => {
            aggregate.parameter.iter().for_each(|parameter| collect(parameter, reach, found));
            collect(&aggregate.argument, reach, found);
        }
        Node::Call(call) => {
            call.range().into_iter().for_each(|range| collect_range(range, reach, found));
            call.operands().into_iter().for_each(|operand| collect(operand, reach, found));
        }
    }
}

fn collect_range(selector: &RangeSelector, reach: Reach, found: &mut Vec<Selector>) {
    let reach = reach.through(selector.when, selector.range);
    match &selector.of {
        RangeOf::Series(matchers) => found.push(reach.selector(matchers)),
        RangeOf::Subquery { inner, .. } => collect(inner, reach, found),
    }
}

#[cfg(test)]
mod tests;
