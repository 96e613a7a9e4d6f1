//! Function calls: which function, which operands, which defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;
use wk_types::labels::METRIC_NAME;
use wk_types::{Labels, MatchOp, Matcher};

use super::lower::Lowering;
use super::{Node, Place, RangeOf, RangeSelector, ValueKind};
use crate::error::QueryError;
use crate::matcher;
use crate::numeric::{max_or_nan, min_or_nan};
use crate::range::RangeFunction;
use crate::scalar::{self, MapFn};
use crate::syntax::{CallExpr, Expr, ExprKind, Extension, from_go};

/// Functions of native histograms, which are not evaluated.
const NATIVE_FUNCTIONS: [&str; 5] =
    ["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"];
/// The metric that `info()` takes labels from by default.
const TARGET_INFO: &str = "target_info";
/// The metrics that it takes labels from where it is only said which ones not.
const INFO_PATTERN: &str = ".+_info";

/// A function call, its operands resolved.
#[derive(Debug)]
pub(crate) enum CallNode {
    /// `time()`
    Time,
    /// `min_of(a, b)`, `max_of(a, b)`
    Both { apply: fn(f64, f64) -> f64, operands: [Node; 2] },
    /// Each element by itself.
    Map { function: MapFn, argument: Node, parameters: Vec<Node> },
    /// Each series' samples in a range.
    Over { function: RangeFunction, range: RangeSelector, parameters: Vec<Node> },
    /// `scalar(v)`
    Scalar(Node),
    /// `vector(s)`
    Vector(Node),
    /// `timestamp(v)`
    Timestamp(Node),
    /// `start_timestamp(v)`
    StartTimestamp(Node),
    /// `absent(v)`
    Absent { argument: Node, labels: Labels },
    /// `absent_over_time(r)`
    AbsentOver { range: RangeSelector, labels: Labels },
    /// `sort(v)`, `sort_desc(v)`
    Sort { argument: Node, descending: bool, place: Place },
    /// `sort_by_label(v, labels…)`, `sort_by_label_desc(v, labels…)`
    SortByLabel { argument: Node, labels: Vec<Arc<str>>, descending: bool, place: Place },
    /// `label_replace(v, target, replacement, source, pattern)`
    LabelReplace { argument: Node, target: Arc<str>, replacement: Arc<str>, source: Arc<str>, pattern: Regex },
    /// `label_join(v, target, separator, sources…)`
    LabelJoin { argument: Node, target: Arc<str>, separator: Arc<str>, sources: Vec<Arc<str>> },
    /// `histogram_quantile(q, buckets)`
    HistogramQuantile { quantile: (Node, Place), buckets: (Node, Place) },
    /// `histogram_quantiles(buckets, label, q…)`
    HistogramQuantiles { buckets: (Node, Place), label: Arc<str>, quantiles: Vec<(Node, Place)> },
    /// `histogram_fraction(lower, upper, buckets)`
    HistogramFraction { lower: Node, upper: Node, buckets: (Node, Place) },
    /// `info(v, matchers)`
    Info { argument: Node, matchers: Vec<Matcher> },
}

impl CallNode {
    /// What the call evaluates to.
    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Time | Self::Scalar(_) | Self::Both { .. } => ValueKind::Scalar,
            _ => ValueKind::Vector,
        }
    }

    /// The range the call reads, where it reads one.
    pub(crate) fn range(&self) -> Option<&RangeSelector> {
        match self {
            Self::Over { range, .. } | Self::AbsentOver { range, .. } => Some(range),
            _ => None,
        }
    }

    /// The operands that are not ranges.
    pub(crate) fn operands(&self) -> Vec<&Node> {
        match self {
            Self::Time | Self::AbsentOver { .. } => Vec::new(),
            Self::Both { operands, .. } => operands.iter().collect(),
            Self::Over { parameters, .. } => parameters.iter().collect(),
            Self::Map { argument, parameters, .. } => std::iter::once(argument).chain(parameters).collect(),
            Self::HistogramQuantile { quantile, buckets } => vec![&quantile.0, &buckets.0],
            Self::HistogramQuantiles { buckets, quantiles, .. } => {
                std::iter::once(&buckets.0).chain(quantiles.iter().map(|(node, _)| node)).collect()
            }
            Self::HistogramFraction { lower, upper, buckets } => vec![lower, upper, &buckets.0],
            Self::Scalar(argument)
            | Self::Vector(argument)
            | Self::Timestamp(argument)
            | Self::StartTimestamp(argument)
            | Self::Absent { argument, .. }
            | Self::Sort { argument, .. }
            | Self::SortByLabel { argument, .. }
            | Self::LabelReplace { argument, .. }
            | Self::LabelJoin { argument, .. }
            | Self::Info { argument, .. } => vec![argument],
        }
    }

    /// Tells whether the call has the same value at every step.
    pub(crate) fn is_fixed(&self) -> bool {
        let own = match self {
            Self::Time | Self::Timestamp(_) => false,
            Self::Over { function, .. } => *function != RangeFunction::PredictLinear,
            _ => true,
        };
        own && self.range().is_none_or(|range| range.when.at.is_some())
            && self.operands().into_iter().all(Node::is_fixed)
    }
}

/// Resolves a call.
pub(super) fn lower(lowering: &Lowering<'_>, at: usize, call: &CallExpr) -> Result<Node, QueryError> {
    let arguments = Arguments { lowering, name: &call.name, list: &call.arguments, at };
    let seconds = |ms: i64| Node::Number(ms as f64 / 1_000.0);
    let scope = lowering.scope;
    let constant = match &*call.name {
        "pi" => Some(Node::Number(std::f64::consts::PI)),
        "start" => Some(seconds(scope.start)),
        "end" => Some(seconds(scope.end)),
        "step" => Some(seconds(scope.step)),
        "range" => Some(seconds(scope.end - scope.start)),
        _ => None,
    };
    if let Some(constant) = constant {
        arguments.at_most(0)?;
        return Ok(constant);
    }
    let node = if let Some((function, parameters)) = scalar::lookup(&call.name) {
        lower_map(&arguments, function, parameters)?
    } else if let Some(function) = RangeFunction::named(&call.name) {
        lower_over(&arguments, function)?
    } else {
        lower_special(&arguments)?
    };
    Ok(Node::Call(Box::new(node)))
}

fn lower_special(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let node = match arguments.name {
        "time" => (CallNode::Time, 0),
        "scalar" => (CallNode::Scalar(arguments.vector(0)?), 1),
        "vector" => (CallNode::Vector(arguments.scalar(0)?), 1),
        "timestamp" => (CallNode::Timestamp(arguments.vector(0)?), 1),
        "start_timestamp" => (CallNode::StartTimestamp(arguments.vector(0)?), 1),
        "min_of" | "max_of" => {
            let apply = if arguments.name == "min_of" { min_or_nan } else { max_or_nan };
            (CallNode::Both { apply, operands: [arguments.scalar(0)?, arguments.scalar(1)?] }, 2)
        }
        "absent" => (lower_absent(arguments)?, 1),
        "absent_over_time" => (lower_absent_over(arguments)?, 1),
        "sort" | "sort_desc" => {
            let (argument, place) = (arguments.vector(0)?, arguments.call_place());
            (CallNode::Sort { argument, descending: arguments.name == "sort_desc", place }, 1)
        }
        "sort_by_label" | "sort_by_label_desc" => {
            let descending = arguments.name == "sort_by_label_desc";
            let (labels, place) = (arguments.labels_from(1)?, arguments.call_place());
            (CallNode::SortByLabel { argument: arguments.vector(0)?, labels, descending, place }, usize::MAX)
        }
        "label_replace" => (lower_label_replace(arguments)?, 5),
        "label_join" => {
            let (target, separator) = (arguments.label(1)?, arguments.text(2)?);
            let (argument, sources) = (arguments.vector(0)?, arguments.labels_from(3)?);
            (CallNode::LabelJoin { argument, target, separator, sources }, usize::MAX)
        }
        "info" => (lower_info(arguments)?, 2),
        _ => return lower_histogram(arguments),
    };
    arguments.at_most(node.1)?;
    Ok(node.0)
}

fn lower_histogram(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let scalar = |at| Ok::<_, QueryError>((arguments.scalar(at)?, arguments.place(at)));
    let buckets = |at| Ok::<_, QueryError>((arguments.vector(at)?, arguments.place(at)));
    let node = match arguments.name {
        "histogram_quantile" => (CallNode::HistogramQuantile { quantile: scalar(0)?, buckets: buckets(1)? }, 2),
        "histogram_quantiles" => {
            let first = scalar(2)?;
            let others = (3..arguments.list.len()).map(scalar);
            let quantiles = std::iter::once(Ok(first)).chain(others).collect::<Result<_, _>>()?;
            let label = arguments.label(1)?;
            (CallNode::HistogramQuantiles { buckets: buckets(0)?, label, quantiles }, usize::MAX)
        }
        "histogram_fraction" => {
            let (lower, upper) = (arguments.scalar(0)?, arguments.scalar(1)?);
            (CallNode::HistogramFraction { lower, upper, buckets: buckets(2)? }, 3)
        }
        name if NATIVE_FUNCTIONS.contains(&name) => {
            let what = format!("function {name}(), which reads native histograms,");
            return Err(QueryError::Unsupported { what });
        }
        name => return Err(arguments.refusal(format!("unknown function with name {name:?}"))),
    };
    arguments.at_most(node.1)?;
    Ok(node.0)
}

fn lower_map(
    arguments: &Arguments<'_>,
    function: MapFn,
    (least, most): (usize, usize),
) -> Result<CallNode, QueryError> {
    let count = arguments.list.len();
    arguments.at_most(most)?;
    // The calendar functions speak of the step's own time by default.
    let argument = match (count, least) {
        (0, 0) => Node::Call(Box::new(CallNode::Vector(Node::Call(Box::new(CallNode::Time))))),
        _ => arguments.vector(0)?,
    };
    let parameters = (1..count.max(least)).map(|at| arguments.scalar(at)).collect::<Result<_, _>>()?;
    Ok(CallNode::Map { function, argument, parameters })
}

fn lower_over(arguments: &Arguments<'_>, function: RangeFunction) -> Result<CallNode, QueryError> {
    let (range, scalars): (usize, &[usize]) = match function {
        RangeFunction::Quantile => (1, &[0]),
        RangeFunction::PredictLinear => (0, &[1]),
        RangeFunction::Smoothing => (0, &[1, 2]),
        _ => (0, &[]),
    };
    arguments.at_most(scalars.len() + 1)?;
    let range_at = range;
    let range = arguments.range(range)?;
    if let Some(extension) = range.extension() {
        let allowed = function.takes(extension);
        if !allowed {
            let names = match extension {
                Extension::Anchored => "changes, delta, increase, rate, resets",
                Extension::Smoothed => "delta, increase, rate",
            };
            let (word, name) = (extension.name(), arguments.name);
            let reason = format!("{word} modifier can only be used with: {names} - not with {name}");
            return Err(arguments.lowering.refusal(arguments.list[range_at].at, reason));
        }
    }
    let parameters = scalars.iter().map(|at| arguments.scalar(*at)).collect::<Result<_, _>>()?;
    Ok(CallNode::Over { function, range, parameters })
}

fn lower_absent(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let argument = arguments.vector(0)?;
    let labels = match &argument {
        Node::Instant(selector) => absent_labels(&selector.matchers),
        _ => Labels::default(),
    };
    Ok(CallNode::Absent { argument, labels })
}

fn lower_absent_over(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let range = arguments.range(0)?;
    let labels = match &range.of {
        RangeOf::Series { matchers, .. } => absent_labels(matchers),
        RangeOf::Subquery { .. } => Labels::default(),
    };
    Ok(CallNode::AbsentOver { range, labels })
}

fn lower_label_replace(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let written = arguments.text(4)?;
    let pattern = matcher::anchored(&from_go(&written))
        .map_err(|_| arguments.refusal(format!("invalid regular expression in label_replace(): {written}")))?;
    Ok(CallNode::LabelReplace {
        argument: arguments.vector(0)?,
        target: arguments.label(1)?,
        replacement: arguments.text(2)?,
        source: arguments.text(3)?,
        pattern,
    })
}

/// The second argument is a selector of labels: its braces alone, which need not name a metric.
fn lower_info(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let mut matchers = match arguments.list.get(1) {
        None => Vec::new(),
        Some(Expr { kind: ExprKind::Selector(selector), .. }) => selector.matchers.clone(),
        Some(expr) => {
            let reason = "expected label selectors only, such as {version=~\".+\"}";
            return Err(arguments.lowering.refusal(expr.at, reason));
        }
    };
    let names = matchers.iter().filter(|matcher| &*matcher.name == METRIC_NAME);
    let mut ops = names.map(|matcher| matcher.op).peekable();
    if ops.peek().is_none() {
        matchers.push(Matcher::new(METRIC_NAME, MatchOp::Equal, TARGET_INFO));
    } else if ops.all(|op| matches!(op, MatchOp::NotEqual | MatchOp::NotRegex)) {
        matchers.push(Matcher::new(METRIC_NAME, MatchOp::Regex, INFO_PATTERN));
    }
    Ok(CallNode::Info { argument: arguments.vector(0)?, matchers })
}

/// The labels that an absent series would have: those that equalities pin down, one each.
fn absent_labels(matchers: &[Matcher]) -> Labels {
    let mut pinned: BTreeMap<Arc<str>, Option<Arc<str>>> = BTreeMap::new();
    for matcher in matchers.iter().filter(|matcher| &*matcher.name != METRIC_NAME) {
        match pinned.get_mut(&matcher.name) {
            Some(value) => *value = None,
            // An inequality before the first equality leaves no trace (as in Prometheus).
            None if matcher.op != MatchOp::Equal => {}
            None => {
                pinned.insert(Arc::clone(&matcher.name), Some(Arc::clone(&matcher.value)));
            }
        }
    }
    Labels::new(pinned.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// The arguments of one call, checked as they are taken.
pub(super) struct Arguments<'a> {
    pub(super) lowering: &'a Lowering<'a>,
    pub(super) name: &'a str,
    pub(super) list: &'a [Expr],
    /// Where the call begins.
    pub(super) at: usize,
}

impl Arguments<'_> {
    fn refusal(&self, reason: impl Into<String>) -> QueryError {
        self.lowering.refusal(self.at, reason)
    }

    pub(super) fn place(&self, at: usize) -> Place {
        self.lowering.place(self.list.get(at).map_or(self.at, |expr| expr.at))
    }

    fn call_place(&self) -> Place {
        self.lowering.place(self.at)
    }

    pub(super) fn at_most(&self, most: usize) -> Result<(), QueryError> {
        if self.list.len() <= most {
            return Ok(());
        }
        Err(self.refusal(format!("{}() takes at most {most} arguments, got {}", self.name, self.list.len())))
    }

    fn expr(&self, at: usize) -> Result<&Expr, QueryError> {
        self.list.get(at).ok_or_else(|| {
            self.refusal(format!("{}() needs at least {} arguments, got {}", self.name, at + 1, self.list.len()))
        })
    }

    fn node(&self, at: usize, kind: ValueKind) -> Result<Node, QueryError> {
        let expr = self.expr(at)?;
        let node = self.lowering.node(expr)?;
        if node.kind() == kind {
            return Ok(node);
        }
        let reason = format!("{}() needs a {kind} as argument {}, got {}", self.name, at + 1, node.kind());
        Err(self.lowering.refusal(expr.at, reason))
    }

    pub(super) fn vector(&self, at: usize) -> Result<Node, QueryError> {
        self.node(at, ValueKind::Vector)
    }

    pub(super) fn scalar(&self, at: usize) -> Result<Node, QueryError> {
        self.node(at, ValueKind::Scalar)
    }

    fn text(&self, at: usize) -> Result<Arc<str>, QueryError> {
        let mut expr = self.expr(at)?;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        match &expr.kind {
            ExprKind::Text(text) => self.lowering.text(expr.at, text),
            _ => Err(self.lowering.refusal(expr.at, format!("{}() needs a quoted text here", self.name))),
        }
    }

    pub(super) fn label(&self, at: usize) -> Result<Arc<str>, QueryError> {
        let mut expr = self.expr(at)?;
        while let ExprKind::Paren(inner) = &expr.kind {
            expr = inner;
        }
        let refused =
            |written: &str| self.lowering.refusal(expr.at, format!("invalid label name {written} in {}()", self.name));
        match &expr.kind {
            ExprKind::Text(text) => match &text.broken {
                Some(written) => Err(refused(written)),
                None if text.value.is_empty() => Err(refused("\"\"")),
                None => Ok(Arc::clone(&text.value)),
            },
            _ => self.text(at),
        }
    }

    fn labels_from(&self, first: usize) -> Result<Vec<Arc<str>>, QueryError> {
        (first..self.list.len()).map(|at| self.label(at)).collect()
    }

    fn range(&self, at: usize) -> Result<RangeSelector, QueryError> {
        match self.node(at, ValueKind::Matrix)? {
            Node::Range(range) => Ok(range),
            _ => Err(self.refusal(format!("{}() needs a range vector as argument {}", self.name, at + 1))),
        }
    }
}
