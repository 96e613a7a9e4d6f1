//! What can be said of a text without evaluating it: its selector, its usual form, its syntax tree.

use serde::Serialize;
use wk_types::Matcher;

use crate::error::QueryError;
use crate::plan::{self, Node};

/// Reads a text that is one instant vector selector, such as `up{job="node"}`, into its matchers.
///
/// # Errors
/// Text that is no PromQL or something else than a selector.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    match plan::parse(text)? {
        Node::Instant(selector) if selector.when == plan::When::default() => Ok(selector.matchers),
        _ => Err(QueryError::Parse { reason: format!("{text:?} is no plain selector such as up{{job=\"node\"}}") }),
    }
}

/// Writes a query in the usual form: one space around operators, long queries over several lines.
///
/// # Errors
/// As [`Query::parse`](crate::Query::parse).
pub fn format(text: &str) -> Result<String, QueryError> {
    Ok(plan::checked(text)?.prettify())
}

/// The query's syntax tree, which serialises as Prometheus' `parse_query` answers it.
///
/// # Errors
/// As [`Query::parse`](crate::Query::parse).
pub fn syntax_tree(text: &str) -> Result<impl Serialize + use<>, QueryError> {
    plan::checked(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_read_and_nothing_else_is() {
        let matchers = parse_selector("up{job=\"node\"}").unwrap();
        let mut read: Vec<(&str, &str)> = matchers.iter().map(|one| (&*one.name, &*one.value)).collect();
        read.sort_unstable();
        assert_eq!(read, [("__name__", "up"), ("job", "node")]);
        for other in ["rate(up[5m])", "up[5m]", "up offset 5m", "up @ 5", "1", "up + up", "", "{"] {
            assert!(parse_selector(other).is_err(), "{other}");
        }
    }

    #[test]
    fn queries_are_written_in_the_usual_form() {
        assert_eq!(format("foo/bar").unwrap(), "foo / bar");
        assert_eq!(format("sum( rate(a[5m]) )by(job)").unwrap(), "sum by (job) (rate(a[5m]))");
        assert!(format("sum(").is_err());
    }

    #[test]
    fn the_syntax_tree_is_that_of_prometheus() {
        let tree = serde_json::to_value(syntax_tree("-foo{a!=\"b\"} / 2").unwrap()).unwrap();
        assert_eq!((&tree["type"], &tree["op"]), (&"binaryExpr".into(), &"/".into()));
        assert_eq!(tree["lhs"]["type"], "unaryExpr");
        assert_eq!(tree["lhs"]["expr"]["type"], "vectorSelector");
        assert_eq!(tree["lhs"]["expr"]["name"], "foo");
        assert_eq!(tree["rhs"], serde_json::json!({"type": "numberLiteral", "val": "2"}));
    }
}
