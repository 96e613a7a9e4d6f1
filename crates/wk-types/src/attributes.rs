//! What a log record carries besides its text.

use std::ops::Index;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Attributes by name, in order of names, each name once.
///
/// A record has few, so they stand in one piece of memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<(Arc<str>, Arc<str>)>);

impl Attributes {
    /// Makes an empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Makes an empty set with room for `count` attributes.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the value of a name, in place of the one it had.
    pub fn insert(&mut self, name: Arc<str>, value: Arc<str>) {
        if self.0.last().is_none_or(|(last, _)| **last < *name) {
            self.0.push((name, value));
            return;
        }
        match self.find(&name) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    /// Tells whether a name has a value.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// Names and values, in order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Arc<str>)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.iter().map(|(name, _)| name)
    }

    /// The values, in order of their names.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values, in order of their names, to be changed.
    pub fn values_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Arc<str>> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    /// Leaves out those for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&Arc<str>, &Arc<str>) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Keeps the first `count`.
    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(one, _)| (**one).cmp(name))
    }
}

impl Index<&str> for Attributes {
    type Output = Arc<str>;

    /// # Panics
    /// A name that has no value.
    fn index(&self, name: &str) -> &Arc<str> {
        self.get(name).expect("the name has a value")
    }
}

impl FromIterator<(Arc<str>, Arc<str>)> for Attributes {
    /// The last value of a name counts.
    fn from_iter<T: IntoIterator<Item = (Arc<str>, Arc<str>)>>(pairs: T) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        if !pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
            pairs.dedup_by(|later, kept| {
                let again = later.0 == kept.0;
                if again {
                    std::mem::swap(later, kept);
                }
                again
            });
        }
        Self(pairs)
    }
}

impl<const N: usize> From<[(Arc<str>, Arc<str>); N]> for Attributes {
    fn from(pairs: [(Arc<str>, Arc<str>); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Attributes;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("attributes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
        let mut attributes = Attributes::new();
        while let Some((name, value)) = map.next_entry()? {
            attributes.insert(name, value);
        }
        Ok(attributes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn they_behave_as_a_sorted_map(pairs in prop::collection::vec(("[a-d]{0,2}", "[x-z]"), 0..12)) {
            let map: BTreeMap<&str, &str> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
            let attributes: Attributes =
                pairs.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
            let found: Vec<_> = attributes.iter().map(|(name, value)| (&**name, &**value)).collect();
            prop_assert_eq!(found, map.clone().into_iter().collect::<Vec<_>>());
            prop_assert!(map.iter().all(|(name, value)| &*attributes[name] == *value));
            prop_assert!(!attributes.contains_key("e"));
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(serde_json::to_string(&attributes).unwrap(), text.as_str());
            prop_assert_eq!(serde_json::from_str::<Attributes>(&text).unwrap(), attributes);
        }
    }
}
