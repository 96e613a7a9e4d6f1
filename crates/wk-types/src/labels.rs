//! Label sets and the series id derived from them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";

/// A series' id: XXH3-128 over its sorted labels, the same on every ship and after every restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeriesId(pub u128);

/// A label set: sorted by name, each name once, no empty value (as Prometheus has it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(
    from = "std::collections::BTreeMap<Arc<str>, Arc<str>>",
    into = "std::collections::BTreeMap<Arc<str>, Arc<str>>"
)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// Makes a label set from pairs in any order; empty values are left out, of equal names the last one stays.
    #[must_use]
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut pairs: Vec<(Arc<str>, Arc<str>)> = pairs.into_iter().map(|(n, v)| (n.into(), v.into())).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.reverse();
        pairs.dedup_by(|later, kept| later.0 == kept.0);
        pairs.reverse();
        pairs.retain(|(_, value)| !value.is_empty());
        Self(pairs.into())
    }

    /// Makes a label set of a metric name and further pairs.
    #[must_use]
    pub fn metric(name: &str, pairs: &[(&str, &str)]) -> Self {
        Self::new(std::iter::once((METRIC_NAME, name)).chain(pairs.iter().copied()))
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.binary_search_by(|(candidate, _)| (**candidate).cmp(name)).ok().map(|at| &*self.0[at].1)
    }

    /// The metric name, or the empty text where there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// The pairs as they stand in memory, sorted by name.
    #[must_use]
    pub fn pairs(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.0
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> + Clone {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there is no label at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy with one label set to `value`, or taken away where `value` is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        Self::new(self.0.iter().cloned().chain(std::iter::once((name.into(), value.into()))))
    }

    /// A copy of the labels for which `keep` answers true.
    #[must_use]
    pub fn filtered(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// The id derived from the labels.
    #[must_use]
    pub fn id(&self) -> SeriesId {
        SeriesId::of(self.0.iter().map(|(name, value)| (&**name, &**value)), &mut Vec::with_capacity(ID_BYTES_USUAL))
    }
}

/// How many bytes the texts of most label sets have at most.
const ID_BYTES_USUAL: usize = 512;

impl SeriesId {
    /// The id of a label set given as pairs that are sorted by name, none twice and none without a value. The texts
    /// are gathered in `scratch`, whose memory serves again with the next set.
    #[must_use]
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        for text in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
            scratch.extend_from_slice(text.as_bytes());
            scratch.push(0xff);
        }
        Self(xxhash_rust::xxh3::xxh3_128(scratch))
    }
}

impl From<std::collections::BTreeMap<Arc<str>, Arc<str>>> for Labels {
    fn from(map: std::collections::BTreeMap<Arc<str>, Arc<str>>) -> Self {
        Self::new(map)
    }
}

impl From<Labels> for std::collections::BTreeMap<Arc<str>, Arc<str>> {
    fn from(labels: Labels) -> Self {
        labels.0.iter().cloned().collect()
    }
}

impl fmt::Display for Labels {
    /// Writes the set as PromQL does: `name{a="b", c="d"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let mut pairs = self.0.iter().filter(|(name, _)| &**name != METRIC_NAME).peekable();
        if pairs.peek().is_none() {
            return if self.name().is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        f.write_str("{")?;
        for (position, (name, value)) in pairs.enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_do_not_matter() {
        let a = Labels::new([("b", "2"), ("a", "0"), ("a", "1"), ("c", "")]);
        let b = Labels::new([("a", "1"), ("b", "2")]);
        assert_eq!(a, b);
        assert_eq!(a.id(), b.id());
    }

    #[test]
    fn prints_as_promql() {
        let labels = Labels::metric("up", &[("job", "node"), ("instance", "a\"b")]);
        assert_eq!(labels.to_string(), r#"up{instance="a\"b", job="node"}"#);
        assert_eq!(Labels::default().to_string(), "{}");
    }

    #[test]
    fn the_series_id_is_part_of_the_stored_format() {
        let labels = Labels::metric("up", &[("job", "node")]);
        assert_eq!(labels.id(), labels.with("x", "").id());
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for text in ["__name__", "up", "job", "node"] {
            hasher.update(text.as_bytes());
            hasher.update(&[0xff]);
        }
        assert_eq!(labels.id().0, hasher.digest128());
    }
}
