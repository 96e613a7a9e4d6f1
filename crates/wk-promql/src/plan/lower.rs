//! From the parser's tree to the one that is evaluated.

use std::sync::Arc;

use wk_types::{MatchOp, Matcher};

use super::call::Arguments;
use super::{
    AggregateNode, At, BinaryNode, Grouping, InstantSelector, Node, Place, RangeOf, RangeSelector, SUBQUERY_STEP_MS,
    ValueKind, When, call,
};
use crate::aggregate::AggregateOp;
use crate::binary::{BinaryOp, Cardinality, Matching};
use crate::error::QueryError;
use crate::syntax::{
    AggregateExpr, AtExpr, BinaryExpr, DurationExpr, DurationOp, Expr, ExprKind, Extension, Modifiers, SelectorExpr,
    TextLiteral, place,
};

/// Ranges, offsets and steps longer than this (35,000 years) are refused, so that no sum of times can overflow.
const DURATION_MS_MAX: i64 = 1 << 50;

/// The query around an expression, as far as its meaning depends on it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scope {
    /// Start, end and step in milliseconds; the step of an instant query is zero.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
    /// The query is only read, not yet asked: durations that depend on it count as one millisecond where they are none.
    pub(crate) open: bool,
}

/// Resolves a query for evaluation in `scope`.
pub(crate) fn lower(text: &str, root: &Expr, scope: Scope) -> Result<Node, QueryError> {
    Lowering { text, scope }.node(root)
}

/// One pass over a tree.
pub(super) struct Lowering<'a> {
    text: &'a str,
    pub(super) scope: Scope,
}

impl Lowering<'_> {
    pub(super) fn place(&self, at: usize) -> Place {
        let (line, column) = place(self.text, at);
        Place { line, column }
    }

    pub(super) fn refusal(&self, at: usize, reason: impl Into<String>) -> QueryError {
        let Place { line, column } = self.place(at);
        QueryError::Parse { line, column, reason: reason.into() }
    }

    pub(super) fn node(&self, expr: &Expr) -> Result<Node, QueryError> {
        Ok(match &expr.kind {
            ExprKind::Paren(inner) => self.node(inner)?,
            ExprKind::Number(value) => Node::Number(*value),
            ExprKind::Text(text) => Node::Text(self.text(expr.at, text)?),
            ExprKind::Selector(selector) => Node::Instant(self.instant(expr.at, selector)?),
            ExprKind::Range { selector, range } => {
                require_name(&selector.matchers).map_err(|reason| self.refusal(expr.at, reason))?;
                let of =
                    RangeOf::Series { matchers: selector.matchers.clone(), extension: selector.modifiers.extension };
                Node::Range(self.range(expr.at, of, range, &selector.modifiers)?)
            }
            ExprKind::Subquery { inner, range, step, modifiers } => {
                let inner = self.node(inner)?;
                if inner.kind() != ValueKind::Vector {
                    let reason = format!("subquery is only allowed on instant vector, got {}", inner.kind());
                    return Err(self.refusal(expr.at, reason));
                }
                let step = step.as_ref().map_or(Ok(SUBQUERY_STEP_MS), |step| self.positive(step))?;
                Node::Range(self.range(
                    expr.at,
                    RangeOf::Subquery { inner: Box::new(inner), step },
                    range,
                    modifiers,
                )?)
            }
            ExprKind::Unary { negative, inner } => self.unary(expr.at, *negative, inner)?,
            ExprKind::Binary(binary) => Node::Binary(Box::new(self.binary(expr.at, binary)?)),
            ExprKind::Aggregate(aggregate) => Node::Aggregate(Box::new(self.aggregate(expr.at, aggregate)?)),
            ExprKind::Call(call) => call::lower(self, expr.at, call)?,
        })
    }

    pub(super) fn text(&self, at: usize, text: &TextLiteral) -> Result<Arc<str>, QueryError> {
        match &text.broken {
            None => Ok(Arc::clone(&text.value)),
            Some(written) => Err(self.refusal(at, format!("{written} is not valid UTF-8"))),
        }
    }

    fn instant(&self, at: usize, selector: &SelectorExpr) -> Result<InstantSelector, QueryError> {
        require_name(&selector.matchers).map_err(|reason| self.refusal(at, reason))?;
        Ok(InstantSelector {
            matchers: selector.matchers.clone(),
            when: self.when(&selector.modifiers)?,
            smoothed: selector.modifiers.extension == Some(Extension::Smoothed),
        })
    }

    fn range(
        &self,
        at: usize,
        of: RangeOf,
        range: &DurationExpr,
        modifiers: &Modifiers,
    ) -> Result<RangeSelector, QueryError> {
        Ok(RangeSelector { of, range: self.positive(range)?, when: self.when(modifiers)?, place: self.place(at) })
    }

    fn when(&self, modifiers: &Modifiers) -> Result<When, QueryError> {
        let offset = modifiers.offset.as_ref().map_or(Ok(0), |offset| self.milliseconds(offset))?;
        let at = modifiers.at.map(|at| match at {
            AtExpr::Start => At::Start,
            AtExpr::End => At::End,
            AtExpr::Time(ms) => At::Time(ms),
        });
        Ok(When { offset, at })
    }

    fn positive(&self, duration: &DurationExpr) -> Result<i64, QueryError> {
        match self.milliseconds(duration)? {
            ms if ms > 0 => Ok(ms),
            _ if self.scope.open && depends_on_scope(duration) => Ok(1),
            _ => Err(self.refusal(duration.at, "duration must be greater than 0")),
        }
    }

    fn milliseconds(&self, duration: &DurationExpr) -> Result<i64, QueryError> {
        let ms = (self.seconds(duration) * 1_000.0).round();
        if ms.is_nan() || ms.abs() > DURATION_MS_MAX as f64 {
            if self.scope.open && depends_on_scope(duration) {
                return Ok(1);
            }
            return Err(self.refusal(duration.at, "duration out of range"));
        }
        Ok(ms as i64)
    }

    fn seconds(&self, duration: &DurationExpr) -> f64 {
        match &duration.op {
            DurationOp::Literal(seconds) => *seconds,
            DurationOp::Step => self.scope.step as f64 / 1_000.0,
            DurationOp::Range => (self.scope.end - self.scope.start) as f64 / 1_000.0,
            DurationOp::Negate(inner) => -self.seconds(inner),
            DurationOp::Both(_, apply, pair) => apply(self.seconds(&pair.0), self.seconds(&pair.1)),
        }
    }

    fn unary(&self, at: usize, negative: bool, inner: &Expr) -> Result<Node, QueryError> {
        let inner = self.node(inner)?;
        match inner.kind() {
            ValueKind::Scalar | ValueKind::Vector if negative => Ok(Node::Negate(Box::new(inner))),
            ValueKind::Scalar | ValueKind::Vector => Ok(inner),
            kind => {
                let reason = format!("a sign is only allowed before a scalar or an instant vector, got {kind}");
                Err(self.refusal(at, reason))
            }
        }
    }

    fn binary(&self, at: usize, binary: &BinaryExpr) -> Result<BinaryNode, QueryError> {
        let op =
            BinaryOp::named(binary.op).ok_or_else(|| self.refusal(at, format!("unknown operator {}", binary.op)))?;
        let (left, right) = (self.node(&binary.left)?, self.node(&binary.right)?);
        self.check_operands(at, binary, op, (left.kind(), right.kind()))?;
        let (on, labels) = binary.matching.as_ref().map_or((false, Vec::new()), |(on, labels)| (*on, labels.clone()));
        let (cardinality, include) = match &binary.group {
            Some((cardinality, include)) => (*cardinality, include.clone()),
            None => (Cardinality::OneToOne, Vec::new()),
        };
        if on && let Some(both) = include.iter().find(|name| labels.contains(name)) {
            let reason = format!("label {both:?} must not occur in ON and GROUP clause at once");
            return Err(self.refusal(at, reason));
        }
        let matching = Matching { on, labels, cardinality, include, fill: binary.fill };
        Ok(BinaryNode { op, left, right, to_bool: binary.to_bool, matching })
    }

    fn check_operands(
        &self,
        at: usize,
        binary: &BinaryExpr,
        op: BinaryOp,
        kinds: (ValueKind, ValueKind),
    ) -> Result<(), QueryError> {
        let refuse = |reason: &str| Err(self.refusal(at, reason));
        let is_operand = |kind| matches!(kind, ValueKind::Scalar | ValueKind::Vector);
        let vectors = kinds == (ValueKind::Vector, ValueKind::Vector);
        let is_set = matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless);
        let is_comparison = matches!(op, BinaryOp::Compare(_));
        let is_filled = binary.fill.0.is_some() || binary.fill.1.is_some();
        if !is_operand(kinds.0) || !is_operand(kinds.1) {
            refuse("binary expression must contain only scalar and instant vector types")
        } else if binary.to_bool && !is_comparison {
            refuse("bool modifier can only be used on comparison operators")
        } else if is_comparison && !binary.to_bool && kinds == (ValueKind::Scalar, ValueKind::Scalar) {
            refuse("comparisons between scalars must use BOOL modifier")
        } else if is_set && !vectors {
            refuse("set operators are only allowed between instant vectors")
        } else if !vectors && (binary.matching.is_some() || binary.group.is_some() || is_filled) {
            refuse("vector matching only allowed between instant vectors")
        } else if is_set && (binary.group.is_some() || is_filled) {
            refuse("no grouping and no filling allowed for set operators")
        } else {
            Ok(())
        }
    }

    fn aggregate(&self, at: usize, aggregate: &AggregateExpr) -> Result<AggregateNode, QueryError> {
        let name = aggregate.name.as_str();
        let op = AggregateOp::named(name).ok_or_else(|| self.refusal(at, format!("unknown aggregation {name}")))?;
        let grouping = match &aggregate.grouped {
            None => Grouping::By(Vec::new()),
            Some(grouped) if grouped.without => Grouping::Without(grouped.labels.clone()),
            Some(grouped) => Grouping::By(grouped.labels.clone()),
        };
        let arguments = Arguments { lowering: self, name, list: &aggregate.arguments, at };
        let parameter = match op {
            AggregateOp::CountValues => Some(Node::Text(arguments.label(0)?)),
            op if op.takes_parameter() => Some(arguments.scalar(0)?),
            _ => None,
        };
        let vector = usize::from(parameter.is_some());
        arguments.at_most(vector + 1)?;
        let parameter = parameter.map(|node| (node, arguments.place(0)));
        Ok(AggregateNode { op, argument: arguments.vector(vector)?, parameter, grouping })
    }
}

fn depends_on_scope(duration: &DurationExpr) -> bool {
    match &duration.op {
        DurationOp::Literal(_) => false,
        DurationOp::Step | DurationOp::Range => true,
        DurationOp::Negate(inner) => depends_on_scope(inner),
        DurationOp::Both(_, _, pair) => depends_on_scope(&pair.0) || depends_on_scope(&pair.1),
    }
}

/// A selector has to say something: one matcher at least must not hold for a label that is absent.
fn require_name(matchers: &[Matcher]) -> Result<(), &'static str> {
    let tells = |matcher: &Matcher| match matcher.op {
        MatchOp::Equal => !matcher.value.is_empty(),
        MatchOp::NotEqual => matcher.value.is_empty(),
        MatchOp::Regex | MatchOp::NotRegex => !matches_empty(matcher),
    };
    if matchers.iter().any(tells) { Ok(()) } else { Err("vector selector must contain at least one non-empty matcher") }
}

/// Tells whether a matcher holds for a label that is absent.
pub(crate) fn matches_empty(matcher: &Matcher) -> bool {
    crate::matcher::Test::new(matcher).is_ok_and(|test| test.holds(""))
}
