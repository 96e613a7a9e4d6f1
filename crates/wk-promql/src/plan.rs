//! The tree that is evaluated: everything is resolved, checked and bounded when it is made.

use std::fmt;
use std::sync::Arc;

use wk_types::Matcher;

use crate::aggregate::AggregateOp;
use crate::binary::{BinaryOp, Matching};
use crate::syntax::Extension;

mod call;
mod lower;
mod reach;

pub(crate) use call::CallNode;
pub(crate) use lower::{Scope, lower};
pub(crate) use reach::{refer, selectors};

/// How long a sample counts as the present value of its series.
pub(crate) const LOOKBACK_MS: i64 = 5 * 60_000;
/// The step of a subquery that names none.
pub(crate) const SUBQUERY_STEP_MS: i64 = 60_000;

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

/// Where in the text something stands, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}:{})", self.line, self.column)
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
    /// The value is interpolated between the samples around the step.
    pub(crate) smoothed: bool,
}

#[derive(Debug)]
pub(crate) enum RangeOf {
    Series { matchers: Vec<Matcher>, extension: Option<Extension> },
    Subquery { inner: Box<Node>, step: i64 },
}

#[derive(Debug)]
pub(crate) struct RangeSelector {
    pub(crate) of: RangeOf,
    pub(crate) range: i64,
    pub(crate) when: When,
    pub(crate) place: Place,
}

impl RangeSelector {
    /// How samples outside the range count at its borders.
    pub(crate) fn extension(&self) -> Option<Extension> {
        match self.of {
            RangeOf::Series { extension, .. } => extension,
            RangeOf::Subquery { .. } => None,
        }
    }
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
    pub(crate) parameter: Option<(Node, Place)>,
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
                aggregate.argument.is_fixed() && aggregate.parameter.as_ref().is_none_or(|(node, _)| node.is_fixed())
            }
            Self::Call(call) => call.is_fixed(),
        }
    }
}

#[cfg(test)]
mod tests;
