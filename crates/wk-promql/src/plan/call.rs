//! Function calls: which function, which operands, which defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql_parser::parser::{Call, Expr};
use regex::Regex;
use wk_types::labels::METRIC_NAME;
use wk_types::{Labels, MatchOp, Matcher};

use super::{Node, RangeOf, RangeSelector, ValueKind, parameter, unsupported};
use crate::error::QueryError;
use crate::range::{self, RangeFunction};
use crate::scalar::{self, MapFn};

/// A function call, its operands resolved.
#[derive(Debug)]
pub(crate) enum CallNode {
    /// `time()`
    Time,
    /// Each element by itself.
    Map { function: MapFn, argument: Node, parameters: Vec<Node> },
    /// Each series' samples in a range.
    Over { function: RangeFunction, range: RangeSelector, parameter: Option<Node> },
    /// `scalar(v)`
    Scalar(Node),
    /// `vector(s)`
    Vector(Node),
    /// `timestamp(v)`
    Timestamp(Node),
    /// `absent(v)`
    Absent { argument: Node, labels: Labels },
    /// `absent_over_time(r)`
    AbsentOver { range: RangeSelector, labels: Labels },
    /// `sort(v)`, `sort_desc(v)`
    Sort { argument: Node, descending: bool },
    /// `label_replace(v, target, replacement, source, pattern)`
    LabelReplace { argument: Node, target: Arc<str>, replacement: Arc<str>, source: Arc<str>, pattern: Regex },
    /// `label_join(v, target, separator, sources…)`
    LabelJoin { argument: Node, target: Arc<str>, separator: Arc<str>, sources: Vec<Arc<str>> },
    /// `histogram_quantile(q, buckets)`
    HistogramQuantile { quantile: Node, buckets: Node },
}

impl CallNode {
    /// What the call evaluates to.
    pub(crate) fn kind(&self) -> ValueKind {
        match self {
            Self::Time | Self::Scalar(_) => ValueKind::Scalar,
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
            Self::Over { parameter, .. } => parameter.iter().collect(),
            Self::Map { argument, parameters, .. } => std::iter::once(argument).chain(parameters).collect(),
            Self::HistogramQuantile { quantile, buckets } => vec![quantile, buckets],
            Self::Scalar(argument)
            | Self::Vector(argument)
            | Self::Timestamp(argument)
            | Self::Absent { argument, .. }
            | Self::Sort { argument, .. }
            | Self::LabelReplace { argument, .. }
            | Self::LabelJoin { argument, .. } => vec![argument],
        }
    }

    /// Tells whether the call has the same value at every step.
    pub(crate) fn is_fixed(&self) -> bool {
        let own = match self {
            Self::Time | Self::Timestamp(_) => false,
            Self::Over { function, .. } => !function.uses_step_time,
            _ => true,
        };
        own && self.range().is_none_or(|range| range.when.at.is_some())
            && self.operands().into_iter().all(Node::is_fixed)
    }
}

/// Resolves a call.
pub(super) fn lower(call: &Call, depth: usize) -> Result<Node, QueryError> {
    let name = call.func.name;
    let arguments = Arguments { name, list: &call.args.args, depth };
    let node = if name == "pi" {
        return Ok(Node::Number(std::f64::consts::PI));
    } else if let Some(function) = scalar::lookup(name) {
        lower_map(&arguments, function)?
    } else if let Some(function) = range::lookup(name) {
        lower_over(&arguments, function)?
    } else {
        lower_special(&arguments)?
    };
    Ok(Node::Call(Box::new(node)))
}

fn lower_special(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    Ok(match arguments.name {
        "time" => CallNode::Time,
        "scalar" => CallNode::Scalar(arguments.vector(0)?),
        "vector" => CallNode::Vector(arguments.scalar(0)?),
        "timestamp" => CallNode::Timestamp(arguments.vector(0)?),
        "absent" => {
            let argument = arguments.vector(0)?;
            let labels = match &argument {
                Node::Instant(selector) => absent_labels(&selector.matchers),
                _ => Labels::default(),
            };
            CallNode::Absent { argument, labels }
        }
        "absent_over_time" => {
            let range = arguments.range(0)?;
            let labels = match &range.of {
                RangeOf::Series(matchers) => absent_labels(matchers),
                RangeOf::Subquery { .. } => Labels::default(),
            };
            CallNode::AbsentOver { range, labels }
        }
        "sort" => CallNode::Sort { argument: arguments.vector(0)?, descending: false },
        "sort_desc" => CallNode::Sort { argument: arguments.vector(0)?, descending: true },
        "label_replace" => lower_label_replace(arguments)?,
        "label_join" => CallNode::LabelJoin {
            argument: arguments.vector(0)?,
            target: arguments.label(1)?,
            separator: arguments.text(2)?,
            sources: (3..arguments.list.len()).map(|at| arguments.label(at)).collect::<Result<_, _>>()?,
        },
        "histogram_quantile" => {
            CallNode::HistogramQuantile { quantile: arguments.scalar(0)?, buckets: arguments.vector(1)? }
        }
        name => return Err(unsupported(format!("function {name}()"))),
    })
}

fn lower_map(arguments: &Arguments<'_>, function: MapFn) -> Result<CallNode, QueryError> {
    let argument = match arguments.list.len() {
        // The calendar functions speak of the step's own time by default.
        0 => Node::Call(Box::new(CallNode::Vector(Node::Call(Box::new(CallNode::Time))))),
        _ => arguments.vector(0)?,
    };
    let parameters = (1..arguments.list.len()).map(|at| arguments.scalar(at)).collect::<Result<_, _>>()?;
    Ok(CallNode::Map { function, argument, parameters })
}

fn lower_over(arguments: &Arguments<'_>, function: RangeFunction) -> Result<CallNode, QueryError> {
    let (range, parameter) = match arguments.name {
        "quantile_over_time" => (arguments.range(1)?, Some(arguments.scalar(0)?)),
        "predict_linear" => (arguments.range(0)?, Some(arguments.scalar(1)?)),
        _ => (arguments.range(0)?, None),
    };
    Ok(CallNode::Over { function, range, parameter })
}

fn lower_label_replace(arguments: &Arguments<'_>) -> Result<CallNode, QueryError> {
    let pattern = arguments.text(4)?;
    let compiled = Regex::new(&format!("^(?s:{pattern})$"))
        .map_err(|_| parameter(format!("invalid regular expression in label_replace(): {pattern}")))?;
    Ok(CallNode::LabelReplace {
        argument: arguments.vector(0)?,
        target: arguments.label(1)?,
        replacement: arguments.text(2)?,
        source: arguments.text(3)?,
        pattern: compiled,
    })
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
struct Arguments<'a> {
    name: &'a str,
    list: &'a [Box<Expr>],
    depth: usize,
}

impl Arguments<'_> {
    fn node(&self, at: usize, kind: ValueKind) -> Result<Node, QueryError> {
        let expr = self.list.get(at).ok_or_else(|| {
            parameter(format!("{}() needs at least {} arguments, got {}", self.name, at + 1, self.list.len()))
        })?;
        let node = super::lower(expr, self.depth)?;
        if node.kind() == kind {
            return Ok(node);
        }
        Err(parameter(format!("{}() needs a {kind} as argument {}, got {}", self.name, at + 1, node.kind())))
    }

    fn vector(&self, at: usize) -> Result<Node, QueryError> {
        self.node(at, ValueKind::Vector)
    }

    fn scalar(&self, at: usize) -> Result<Node, QueryError> {
        self.node(at, ValueKind::Scalar)
    }

    fn text(&self, at: usize) -> Result<Arc<str>, QueryError> {
        match self.node(at, ValueKind::Text)? {
            Node::Text(text) => Ok(text),
            _ => Err(parameter(format!("{}() needs a quoted text as argument {}", self.name, at + 1))),
        }
    }

    fn label(&self, at: usize) -> Result<Arc<str>, QueryError> {
        let name = self.text(at)?;
        if name.is_empty() {
            return Err(parameter(format!("invalid label name {name:?} in {}()", self.name)));
        }
        Ok(name)
    }

    fn range(&self, at: usize) -> Result<RangeSelector, QueryError> {
        match self.node(at, ValueKind::Matrix)? {
            Node::Range(range) => Ok(range),
            _ => Err(parameter(format!("{}() needs a range vector as argument {}", self.name, at + 1))),
        }
    }
}
