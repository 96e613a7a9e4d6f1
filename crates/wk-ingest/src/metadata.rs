//! What senders say about metric families: kind, help and unit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::stats::shortened;

/// How many metric families' descriptions are kept.
pub const FAMILIES_MAX: usize = 10_000;
/// How many bytes of a text in a description are kept.
pub const HELP_BYTES_MAX: usize = 1_024;
/// How many different descriptions of one family are kept, the first ones.
pub const VARIANTS_MAX: usize = 4;

/// What a sender says about a metric family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram` …; empty where not said.
    pub kind: String,
    /// What it measures.
    pub help: String,
    /// Its unit.
    pub unit: String,
}

impl Metadata {
    /// Makes a description, its texts shortened to [`HELP_BYTES_MAX`].
    #[must_use]
    pub fn new(kind: &str, help: &str, unit: &str) -> Self {
        let [kind, help, unit] = [kind, help, unit].map(|text| shortened(text, HELP_BYTES_MAX).to_owned());
        Self { kind, help, unit }
    }

    /// Tells whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty() && self.help.is_empty() && self.unit.is_empty()
    }
}

/// Descriptions by metric family, those that came first within the bounds. Senders repeat them, so they are kept in
/// memory alone.
#[derive(Debug, Default)]
pub struct MetadataTable(Mutex<BTreeMap<String, Vec<Metadata>>>);

impl MetadataTable {
    /// Keeps what is new.
    pub fn note(&self, described: impl IntoIterator<Item = (String, Metadata)>) {
        let mut families = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (family, metadata) in described {
            if families.len() >= FAMILIES_MAX && !families.contains_key(&family) {
                continue;
            }
            let variants = families.entry(family).or_default();
            if variants.len() < VARIANTS_MAX && !variants.contains(&metadata) {
                variants.push(metadata);
            }
        }
    }

    /// Every family with its descriptions.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Vec<Metadata>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_descriptions_of_a_family_are_kept_once_each() {
        let table = MetadataTable::default();
        let counter = Metadata::new("counter", "Requests.", "");
        table.note([("requests_total".to_owned(), counter.clone()), ("requests_total".to_owned(), counter.clone())]);
        table.note([("requests_total".to_owned(), Metadata::new("gauge", "Requests.", ""))]);
        assert_eq!(table.all()["requests_total"].len(), 2);
        assert_eq!(table.all()["requests_total"][0], counter);
    }

    #[test]
    fn families_and_variants_are_bounded() {
        let table = MetadataTable::default();
        let families = (0..FAMILIES_MAX + 10).map(|at| (format!("m{at}"), Metadata::new("gauge", "", "")));
        table.note(families);
        table.note((0..10).map(|at| ("m0".to_owned(), Metadata::new("gauge", &at.to_string(), ""))));
        assert_eq!((table.all().len(), table.all()["m0"].len()), (FAMILIES_MAX, VARIANTS_MAX));
        assert_eq!(Metadata::new("", &"x".repeat(5_000), "").help.len(), HELP_BYTES_MAX);
    }
}
