//! What callers see: a parsed query, its limits and its value.

use std::fmt;
use std::sync::Arc;

use wk_types::{DurationMs, Labels, Matcher, Sample, SeriesSource, UtcMs};

use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::json::PrometheusJson;
use crate::notes::Notes;
use crate::plan::{self, Node, Scope, ValueKind};
use crate::row::Steps;
use crate::syntax::{self, Expr, ExprKind, Modifiers, SelectorExpr};

/// Times further from the epoch than this many milliseconds are refused, so that no sum of times can overflow.
pub(crate) const TIME_MS_MAX: i64 = 1 << 56;

/// What one evaluation may use.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// Samples read in all, and values any one node may make.
    pub samples_max: usize,
    /// Steps of a range query.
    pub steps_max: usize,
    /// Asked between series; the evaluation stops when it answers true.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Default for Limits<'_> {
    fn default() -> Self {
        Self { samples_max: 10_000_000, steps_max: 11_000, cancelled: &|| false }
    }
}

impl fmt::Debug for Limits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("samples_max", &self.samples_max)
            .field("steps_max", &self.steps_max)
            .finish_non_exhaustive()
    }
}

/// Series that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// How far back from an evaluation it may read: range, offset, enclosing subqueries and the look-back together.
    pub lookback: DurationMs,
    /// It reads at a fixed time (`@`), to which `lookback` does not relate.
    pub fixed_time: bool,
}

/// Reads a span of time as PromQL writes it, such as `1h30m`; `None` where it is none.
#[must_use]
pub fn parse_duration(text: &str) -> Option<DurationMs> {
    syntax::parse_duration(text)
}

/// Reads a text that is one instant vector selector, such as `up{job="node"}`, into its matchers.
///
/// # Errors
/// Text that is no PromQL, or something else than a plain selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    Query::parse(text)?;
    match syntax::parse(text)?.root.kind {
        ExprKind::Selector(SelectorExpr {
            matchers,
            modifiers: Modifiers { offset: None, at: None, extension: None },
        }) => Ok(matchers),
        _ => Err(QueryError::Parameter { reason: format!("{text:?} is no plain selector such as up{{job=\"node\"}}") }),
    }
}

/// Writes a query in the usual form: one space around operators, what is longer than a line over several.
///
/// # Errors
/// As [`Query::parse`].
pub fn format(text: &str) -> Result<String, QueryError> {
    Query::parse(text)?;
    Ok(syntax::format(&syntax::parse(text)?.root))
}

/// What a query evaluates to.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Scalar(UtcMs, f64),
    /// A text.
    String(UtcMs, String),
    /// One sample per series.
    Vector(Vec<(Labels, Sample)>),
    /// Samples per series, sorted by labels.
    Matrix(Vec<(Labels, Vec<Sample>)>),
}

impl Value {
    /// The value in the shape of the Prometheus HTTP API: `{"resultType": …, "result": …}`.
    #[must_use]
    pub fn to_prometheus_json(&self) -> PrometheusJson<'_> {
        PrometheusJson(self)
    }
}

/// A value, and what it has to be read with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Warnings and hints that came up.
    pub notes: Notes,
}

/// A parsed query.
#[derive(Debug, Clone)]
pub struct Query {
    text: Arc<str>,
    /// What was written, where its meaning depends on the start, end or step of a query.
    written: Option<Arc<Expr>>,
    root: Arc<Node>,
    delayed_names: bool,
}

impl Query {
    /// Parses a query.
    ///
    /// # Errors
    /// Text that is no PromQL, is beyond a bound, or uses what is not supported; the message names it.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let parsed = syntax::parse(text)?;
        let root = Arc::new(plan::lower(text, &parsed.root, Scope { open: true, ..Scope::default() })?);
        let written = parsed.depends_on_scope.then(|| Arc::new(parsed.root));
        Ok(Self { text: text.into(), written, root, delayed_names: false })
    }

    /// Removes metric names at the end instead of in each operation, as Prometheus does under its feature flag
    /// `promql-delayed-name-removal`.
    #[must_use]
    pub fn with_delayed_name_removal(mut self) -> Self {
        self.delayed_names = true;
        self
    }

    /// The text as it was parsed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Everything the query reads, in the order of the text.
    #[must_use]
    pub fn selectors(&self) -> Vec<Selector> {
        plan::selectors(&self.root)
    }

    /// Evaluates the query at one instant; for callers who do not show notes.
    ///
    /// # Errors
    /// As [`Query::answer_instant`].
    pub fn instant(&self, source: &dyn SeriesSource, at: UtcMs, limits: &Limits<'_>) -> Result<Value, QueryError> {
        self.answer_instant(source, at, limits).map(|answer| answer.value)
    }

    /// Evaluates the query at one instant.
    ///
    /// # Errors
    /// A limit reached, operands that do not pair up, a source that cannot answer, or a call to stop.
    pub fn answer_instant(
        &self,
        source: &dyn SeriesSource,
        at: UtcMs,
        limits: &Limits<'_>,
    ) -> Result<Answer, QueryError> {
        check_time(at)?;
        let root = self.root_in(Scope { start: at.0, end: at.0, step: 0, open: false })?;
        let mut evaluator = Evaluator::new(source, limits, (at, at), self.delayed_names);
        let value = evaluator.instant(&root, Steps::once(at))?;
        Ok(Answer { value, notes: evaluator.notes })
    }

    /// Evaluates the query at `from`, `from + step` and so on up to `to`; for callers who do not show notes.
    ///
    /// # Errors
    /// As [`Query::answer_range`].
    #[expect(clippy::too_many_arguments, reason = "from, to and step are how every client names a range")]
    pub fn range(
        &self,
        source: &dyn SeriesSource,
        from: UtcMs,
        to: UtcMs,
        step: DurationMs,
        limits: &Limits<'_>,
    ) -> Result<Value, QueryError> {
        self.answer_range(source, from, to, step, limits).map(|answer| answer.value)
    }

    /// Evaluates the query at `from`, `from + step` and so on up to `to`.
    ///
    /// # Errors
    /// As [`Query::answer_instant`], and a step that is not positive, a range that ends before it begins, too many
    /// steps, or an expression that is neither a number nor an instant vector.
    #[expect(clippy::too_many_arguments, reason = "from, to and step are how every client names a range")]
    pub fn answer_range(
        &self,
        source: &dyn SeriesSource,
        from: UtcMs,
        to: UtcMs,
        step: DurationMs,
        limits: &Limits<'_>,
    ) -> Result<Answer, QueryError> {
        check_time(from)?;
        check_time(to)?;
        if step.0 <= 0 || to < from {
            return Err(QueryError::Parameter {
                reason: "a range query needs a positive step and an end that is not before its start".to_owned(),
            });
        }
        let root = self.root_in(Scope { start: from.0, end: to.0, step: step.0, open: false })?;
        let kind = root.kind();
        if !matches!(kind, ValueKind::Scalar | ValueKind::Vector) {
            return Err(QueryError::Parameter {
                reason: format!("invalid expression type {kind} for a range query, must be scalar or instant vector"),
            });
        }
        let last = (to.0 - from.0) / step.0;
        if last >= i64::try_from(limits.steps_max).unwrap_or(i64::MAX) {
            return Err(QueryError::TooManySteps { max: limits.steps_max });
        }
        let steps = Steps { start: from.0, step: step.0, count: last as usize + 1 };
        let mut evaluator = Evaluator::new(source, limits, (from, to), self.delayed_names);
        let value = evaluator.range(&root, steps)?;
        Ok(Answer { value, notes: evaluator.notes })
    }

    /// The tree to evaluate, made anew where its meaning depends on the query around it.
    fn root_in(&self, scope: Scope) -> Result<Arc<Node>, QueryError> {
        match &self.written {
            None => Ok(Arc::clone(&self.root)),
            Some(written) => plan::lower(&self.text, written, scope).map(Arc::new),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_time(at: UtcMs) -> Result<(), QueryError> {
    if at.0.unsigned_abs() > TIME_MS_MAX.unsigned_abs() {
        return Err(QueryError::Parameter { reason: format!("the time {at} is out of range") });
    }
    Ok(())
}
