//! Matchers applied to label values, where the evaluator itself has to know.

use regex::Regex;
use wk_types::{MatchOp, Matcher};

use crate::error::QueryError;

/// A matcher that is ready to test values.
pub(crate) struct Test<'a> {
    matcher: &'a Matcher,
    regex: Option<Regex>,
}

impl<'a> Test<'a> {
    /// Compiles a matcher.
    ///
    /// # Errors
    /// A regular expression that does not compile.
    pub(crate) fn new(matcher: &'a Matcher) -> Result<Self, QueryError> {
        let regex = match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(anchored(&matcher.value)?),
        };
        Ok(Self { matcher, regex })
    }

    /// The label that is tested.
    pub(crate) fn name(&self) -> &str {
        &self.matcher.name
    }

    /// Tells whether the matcher holds for a value; a label that is absent counts as the empty text.
    pub(crate) fn holds(&self, value: &str) -> bool {
        let negative = matches!(self.matcher.op, MatchOp::NotEqual | MatchOp::NotRegex);
        let same = match &self.regex {
            None => &*self.matcher.value == value,
            Some(regex) => regex.is_match(value),
        };
        same != negative
    }
}

/// Compiles a pattern that has to match a value as a whole.
///
/// # Errors
/// A regular expression that does not compile.
pub(crate) fn anchored(pattern: &str) -> Result<Regex, QueryError> {
    Regex::new(&format!("^(?s:{pattern})$"))
        .map_err(|error| QueryError::Parameter { reason: format!("invalid regular expression {pattern:?}: {error}") })
}
