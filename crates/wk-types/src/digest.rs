//! Maps keyed by digests, and what is kept of them within a bound.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map keyed by digests such as [`SeriesId`](crate::SeriesId), which are their own hashes.
pub type DigestMap<K, V> = HashMap<K, V, BuildHasherDefault<DigestHasher>>;

/// Passes a digest through as its own hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }

    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }
}

/// A bounded map that forgets what has not been used for long.
///
/// There are two generations: what is used goes into the young one, and once that is full it becomes the old one, in
/// place of what nobody has used since the last time. What was put in one after the other stands side by side, so that
/// those who ask in the same order again need not search.
#[derive(Debug, Clone)]
pub struct Remembered<K, V> {
    young: Generation<K, V>,
    old: Generation<K, V>,
    generation_max: usize,
}

/// Where the last entry was found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place(usize);

#[derive(Debug, Clone)]
struct Generation<K, V> {
    places: DigestMap<K, usize>,
    entries: Vec<(K, V)>,
}

impl<K: Hash + Eq + Copy, V> Generation<K, V> {
    fn new() -> Self {
        Self { places: DigestMap::default(), entries: Vec::new() }
    }

    fn place(&self, key: K, expected: usize) -> Option<usize> {
        match self.entries.get(expected) {
            Some((known, _)) if *known == key => Some(expected),
            _ => self.places.get(&key).copied(),
        }
    }

    fn insert(&mut self, key: K, value: V) {
        if let Some(at) = self.places.get(&key) {
            self.entries[*at].1 = value;
            return;
        }
        self.places.insert(key, self.entries.len());
        self.entries.push((key, value));
    }

    fn remove(&mut self, key: K) -> Option<V> {
        let at = self.places.remove(&key)?;
        let (_, value) = self.entries.swap_remove(at);
        if let Some((moved, _)) = self.entries.get(at) {
            self.places.insert(*moved, at);
        }
        Some(value)
    }
}

impl<K: Hash + Eq + Copy, V> Remembered<K, V> {
    /// Makes an empty map of at most twice `generation_max` entries.
    #[must_use]
    pub fn new(generation_max: usize) -> Self {
        Self { young: Generation::new(), old: Generation::new(), generation_max: generation_max.max(1) }
    }

    /// The value of a key, and whether it is about to be forgotten unless it is [kept](Self::keep).
    #[must_use]
    pub fn get(&self, key: K) -> Option<(&V, bool)> {
        self.get_after(key, &mut Place::default())
    }

    /// The same, looked for first behind the place of the last one.
    #[must_use]
    pub fn get_after(&self, key: K, place: &mut Place) -> Option<(&V, bool)> {
        if let Some(at) = self.young.place(key, place.0) {
            place.0 = at + 1;
            return Some((&self.young.entries[at].1, false));
        }
        let at = self.old.places.get(&key)?;
        Some((&self.old.entries[*at].1, true))
    }

    /// Keeps an entry from being forgotten with its generation.
    pub fn keep(&mut self, key: K) {
        if let Some(value) = self.old.remove(key) {
            self.insert(key, value);
        }
    }

    /// Forgets an entry.
    pub fn forget(&mut self, key: K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Puts in a value, in place of an earlier one.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.entries.len() >= self.generation_max && !self.young.places.contains_key(&key) {
            self.old = std::mem::replace(&mut self.young, Generation::new());
        }
        self.young.insert(key, value);
    }

    /// How many entries there are, one that stands in both generations twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.entries.len() + self.old.entries.len()
    }

    /// Tells whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let mut kept = Remembered::new(4);
        for key in 0..100_u128 {
            kept.insert(key, key);
            if let Some((_, true)) = kept.get(7) {
                kept.keep(7);
            }
            assert!(kept.len() <= 8);
        }
        assert_eq!(kept.get(7).map(|(value, _)| *value), Some(7));
        assert!(kept.get(8).is_none());
    }

    #[test]
    fn a_place_never_answers_for_another_key() {
        let mut kept = Remembered::new(100);
        (0..20_u128).for_each(|key| kept.insert(key, key));
        (0..20).step_by(3).for_each(|key| kept.forget(key));
        kept.insert(1, 100);
        let mut place = Place::default();
        for key in (0..20).chain((0..20).rev()) {
            let expected = if key == 1 { 100 } else { key };
            let found = kept.get_after(key, &mut place).map(|(value, _)| *value);
            assert_eq!(found, (key % 3 != 0).then_some(expected));
        }
    }

    #[test]
    fn a_digest_is_its_own_hash() {
        let mut hasher = DigestHasher::default();
        crate::SeriesId(5).hash(&mut hasher);
        assert_eq!(hasher.finish(), 5);
    }
}
