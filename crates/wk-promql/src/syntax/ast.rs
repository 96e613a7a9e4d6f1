//! The tree that the parser makes.

use std::sync::Arc;

use wk_types::Matcher;

use crate::binary::Cardinality;

/// An expression.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    /// Where it begins in the text, in bytes.
    pub(crate) at: usize,
    /// How many expressions lie within each other, this one included.
    pub(super) depth: usize,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Number(f64),
    Text(TextLiteral),
    Selector(SelectorExpr),
    /// A selector over a range of time.
    Range {
        selector: SelectorExpr,
        range: DurationExpr,
    },
    Subquery {
        inner: Box<Expr>,
        range: DurationExpr,
        step: Option<DurationExpr>,
        modifiers: Modifiers,
    },
    Unary {
        negative: bool,
        inner: Box<Expr>,
    },
    Binary(Box<BinaryExpr>),
    Aggregate(Box<AggregateExpr>),
    Call(CallExpr),
    Paren(Box<Expr>),
}

/// A text in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextLiteral {
    pub(crate) value: Arc<str>,
    /// The text as written, where its escapes make what is no Unicode.
    pub(crate) broken: Option<Arc<str>>,
}

/// Which series, and when.
#[derive(Debug)]
pub(crate) struct SelectorExpr {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) modifiers: Modifiers,
}

/// What stands behind a selector or a subquery.
#[derive(Debug, Default)]
pub(crate) struct Modifiers {
    pub(crate) offset: Option<DurationExpr>,
    pub(crate) at: Option<AtExpr>,
    pub(crate) extension: Option<Extension>,
}

/// A fixed time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AtExpr {
    Start,
    End,
    /// In milliseconds.
    Time(i64),
}

/// How samples outside a range count at its borders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    /// The last sample before the range stands for its beginning.
    Anchored,
    /// Values at both borders are interpolated.
    Smoothed,
}

impl Extension {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}

/// A duration that may have to be computed.
#[derive(Debug)]
pub(crate) struct DurationExpr {
    pub(crate) op: DurationOp,
    pub(crate) at: usize,
    pub(super) depth: usize,
}

#[derive(Debug)]
pub(crate) enum DurationOp {
    /// In seconds.
    Literal(f64),
    /// The step of the query.
    Step,
    /// The time between the query's start and end.
    Range,
    Negate(Box<DurationExpr>),
    /// The operator or the function's name, and what it does.
    Both(&'static str, fn(f64, f64) -> f64, Box<(DurationExpr, DurationExpr)>),
}

#[derive(Debug)]
pub(crate) struct BinaryExpr {
    /// The operator in small letters.
    pub(crate) op: &'static str,
    pub(crate) left: Expr,
    pub(crate) right: Expr,
    pub(crate) to_bool: bool,
    /// `on` is true, `ignoring` false.
    pub(crate) matching: Option<(bool, Vec<Arc<str>>)>,
    pub(crate) group: Option<(Cardinality, Vec<Arc<str>>)>,
    /// What stands in for an element that the left and the right side lack.
    pub(crate) fill: (Option<f64>, Option<f64>),
}

/// Which labels an aggregation keeps or drops.
#[derive(Debug)]
pub(crate) struct Grouped {
    pub(crate) without: bool,
    pub(crate) labels: Vec<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct AggregateExpr {
    /// In small letters.
    pub(crate) name: String,
    pub(crate) arguments: Vec<Expr>,
    pub(crate) grouped: Option<Grouped>,
}

#[derive(Debug)]
pub(crate) struct CallExpr {
    pub(crate) name: Arc<str>,
    pub(crate) arguments: Vec<Expr>,
}
