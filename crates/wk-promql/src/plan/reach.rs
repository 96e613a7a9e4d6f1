//! What a tree reads, and how far back.

use wk_types::DurationMs;
use wk_types::Matcher;

use super::{CallNode, LOOKBACK_MS, Node, RangeOf, RangeSelector, When};
use crate::query::Selector;

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
            aggregate.parameter.iter().for_each(|(parameter, _)| collect(parameter, reach, found));
            collect(&aggregate.argument, reach, found);
        }
        Node::Call(call) => {
            call.range().into_iter().for_each(|range| collect_range(range, reach, found));
            call.operands().into_iter().for_each(|operand| collect(operand, reach, found));
            if let CallNode::Info { argument, matchers } = &**call {
                found.push(reach.through(refer(argument).unwrap_or_default(), 0).selector(matchers));
            }
        }
    }
}

fn collect_range(selector: &RangeSelector, reach: Reach, found: &mut Vec<Selector>) {
    let reach = reach.through(selector.when, selector.range);
    match &selector.of {
        RangeOf::Series { matchers, .. } => found.push(reach.selector(matchers)),
        RangeOf::Subquery { inner, .. } => collect(inner, reach, found),
    }
}

/// When the first selector of a tree reads, subqueries around it taken in; `info()` looks at that time too.
pub(crate) fn refer(node: &Node) -> Option<When> {
    match node {
        Node::Number(_) | Node::Text(_) => None,
        Node::Instant(selector) => Some(selector.when),
        Node::Range(selector) => refer_range(selector),
        Node::Negate(inner) => refer(inner),
        Node::Binary(binary) => refer(&binary.left).or_else(|| refer(&binary.right)),
        Node::Aggregate(aggregate) => refer(&aggregate.argument),
        Node::Call(call) => call.range().and_then(refer_range).or_else(|| call.operands().into_iter().find_map(refer)),
    }
}

fn refer_range(selector: &RangeSelector) -> Option<When> {
    let outer = selector.when;
    match &selector.of {
        RangeOf::Series { .. } => Some(outer),
        RangeOf::Subquery { inner, .. } => refer(inner).map(|inner| match inner.at {
            Some(_) => inner,
            None => When { at: outer.at, offset: outer.offset + inner.offset },
        }),
    }
}
