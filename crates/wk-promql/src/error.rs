//! Why a query could not be answered.

use wk_types::series::SourceError;
use wk_types::{ErrorKind, Labels};

/// Why a query could not be parsed or evaluated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The text is no PromQL.
    #[error("could not parse the query at {line}:{column}: {reason}")]
    Parse {
        /// The line, from one.
        line: usize,
        /// The column, from one.
        column: usize,
        /// What was found there, and what would do.
        reason: String,
    },
    /// The text is PromQL that this engine does not evaluate.
    #[error("{what} is not supported")]
    Unsupported {
        /// What it is, such as `function info()`.
        what: String,
    },
    /// The text or its nesting is beyond a bound.
    #[error("the query has more than {max} {of}")]
    TooLarge {
        /// The bound.
        max: usize,
        /// What is bounded.
        of: &'static str,
    },
    /// A time, a step or an operand is out of its domain.
    #[error("{reason}")]
    Parameter {
        /// Which one and why.
        reason: String,
    },
    /// More steps than the limits allow.
    #[error("the query has more than {max} steps; take a longer step or a shorter range")]
    TooManySteps {
        /// The bound.
        max: usize,
    },
    /// More samples than the limits allow.
    #[error("the query reads or makes more than {max} samples; narrow the selector or the time range")]
    TooManySamples {
        /// The bound.
        max: usize,
    },
    /// Two elements of one vector have the same labels at one instant.
    #[error("vector cannot contain metrics with the same labelset: {labels}")]
    SameLabels {
        /// The labels.
        labels: Labels,
    },
    /// The operands of a binary operator do not pair up.
    #[error("{reason}")]
    Matching {
        /// Which labels match more than once, and what would help.
        reason: String,
    },
    /// The caller's hook asked to stop.
    #[error("the query was cancelled or ran out of time")]
    Cancelled,
    /// The source of series could not answer.
    #[error(transparent)]
    Source(SourceError),
}

impl QueryError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Cancelled => ErrorKind::Unavailable,
            Self::Source(error) => error.kind(),
            _ => ErrorKind::InvalidInput,
        }
    }

    /// Tells whether the same query may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}

impl From<SourceError> for QueryError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::TooManySamples { max } => Self::TooManySamples { max },
            other => Self::Source(other),
        }
    }
}
