//! Series that have come before: from the bytes in which a sender writes its labels to the series and whose it is, so
//! that a known series is neither read, checked, sorted nor attributed again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use wk_types::digest::{Place, Remembered};
use wk_types::{AssetId, Series};
use xxhash_rust::xxh3::xxh3_128;

use crate::contract::{Sender, SourceContext};
use crate::series::Texts;

/// How many series are remembered at least, if so many have come; twice as many at most.
const SERIES_KEPT: usize = 1 << 18;

/// The digest of a label set as it was sent, and of the sender's address.
type Key = u128;

#[derive(Debug, Clone)]
struct Entry {
    series: Arc<Series>,
    /// Whose a series that nobody knows is said to be, which is asked for again with every request.
    claim: Option<Arc<str>>,
}

/// The series that one source has met.
#[derive(Debug)]
pub struct SeriesCache {
    known: RwLock<Remembered<Key, Entry>>,
    texts: Mutex<Texts>,
}

impl Default for SeriesCache {
    fn default() -> Self {
        Self { known: RwLock::new(Remembered::new(SERIES_KEPT)), texts: Mutex::default() }
    }
}

impl SeriesCache {
    /// Begins to take the series of one request in; [`SeriesRequest::finish`] remembers the new ones.
    #[must_use]
    pub fn request<'a>(&'a self, context: &'a SourceContext, peer: Option<IpAddr>) -> SeriesRequest<'a> {
        let origin = match peer {
            Some(IpAddr::V4(address)) => xxh3_128(&address.octets()),
            Some(IpAddr::V6(address)) => xxh3_128(&address.octets()),
            None => 0,
        };
        SeriesRequest {
            cache: self,
            known: self.known.read().unwrap_or_else(PoisonError::into_inner),
            place: Place::default(),
            origin,
            claims: Claims { context, peer, assets: HashMap::new(), last: None },
            learned: Vec::new(),
            fading: Vec::new(),
        }
    }
}

/// The series of one request.
pub struct SeriesRequest<'a> {
    cache: &'a SeriesCache,
    known: RwLockReadGuard<'a, Remembered<Key, Entry>>,
    place: Place,
    origin: u128,
    claims: Claims<'a>,
    learned: Vec<(Key, Entry)>,
    fading: Vec<Key>,
}

impl SeriesRequest<'_> {
    /// The series whose labels were sent in these bytes before, by the same sender.
    #[must_use]
    pub fn known(&mut self, labels: &[u8]) -> Option<Arc<Series>> {
        let key = xxh3_128(labels) ^ self.origin;
        let (entry, fading) = self.known.get_after(key, &mut self.place)?;
        if !self.claims.still_hold(entry) {
            return None;
        }
        if fading {
            self.fading.push(key);
        }
        Some(Arc::clone(&entry.series))
    }

    /// Attributes a series whose labels were sent in `labels` for the first time; its pairs have been
    /// [checked](crate::series::check).
    #[must_use]
    pub fn learn(&mut self, labels: &[u8], pairs: &[(&str, &str)]) -> Arc<Series> {
        let made = self.make(pairs, None);
        self.remember(labels, made)
    }

    /// The same for a series whose sender says by other means than the label `instance` who it is.
    #[must_use]
    pub fn learn_of(&mut self, labels: &[u8], pairs: &[(&str, &str)], claimed: &str) -> Arc<Series> {
        let made = self.make(pairs, Some(claimed));
        self.remember(labels, made)
    }

    fn remember(&mut self, labels: &[u8], (series, claim): (Arc<Series>, Option<Arc<str>>)) -> Arc<Series> {
        self.learned.push((xxh3_128(labels) ^ self.origin, Entry { series: Arc::clone(&series), claim }));
        series
    }

    /// Attributes a series that is not to be remembered.
    #[must_use]
    pub fn attribute(&mut self, pairs: &[(&str, &str)]) -> Arc<Series> {
        self.make(pairs, None).0
    }

    fn make(&mut self, pairs: &[(&str, &str)], claimed: Option<&str>) -> (Arc<Series>, Option<Arc<str>>) {
        let pairs = self.cache.texts.lock().unwrap_or_else(PoisonError::into_inner).labels(pairs);
        let named = pairs.iter().find(|(name, _)| &***name == INSTANCE);
        let instance = || named.map_or_else(|| Arc::from(""), |(_, value)| Arc::clone(value));
        let claimed = claimed.map_or_else(instance, Arc::from);
        let asset = self.claims.asset(&claimed);
        let claim = (asset == AssetId::unknown()).then_some(claimed);
        (Arc::new(Series::new(pairs, asset)), claim)
    }

    /// Remembers what is new.
    pub fn finish(self) {
        let Self { cache, known, learned, fading, .. } = self;
        drop(known);
        if learned.is_empty() && fading.is_empty() {
            return;
        }
        let mut known = cache.known.write().unwrap_or_else(PoisonError::into_inner);
        fading.into_iter().for_each(|key| known.keep(key));
        learned.into_iter().for_each(|(key, entry)| known.insert(key, entry));
    }
}

/// The label that says whose a series is.
const INSTANCE: &str = "instance";

/// Who the senders of one request say they are, each looked up once.
struct Claims<'a> {
    context: &'a SourceContext,
    peer: Option<IpAddr>,
    assets: HashMap<Arc<str>, AssetId>,
    /// The unknown one that was asked for last.
    last: Option<Arc<str>>,
}

impl Claims<'_> {
    fn asset(&mut self, instance: &Arc<str>) -> AssetId {
        if let Some(asset) = self.assets.get(instance) {
            return asset.clone();
        }
        let claimed = Some(&**instance).filter(|instance| !instance.is_empty());
        let sender = Sender { claimed, peer: self.peer, declared: None };
        let asset = self.context.identity.resolve(&self.context.name, &sender).asset;
        self.assets.insert(Arc::clone(instance), asset.clone());
        asset
    }

    /// Tells whether an entry's attribution is still right; an unknown sender is counted, and may have become known.
    fn still_hold(&mut self, entry: &Entry) -> bool {
        let Some(claim) = &entry.claim else { return true };
        if self.last.as_ref().is_some_and(|last| Arc::ptr_eq(last, claim)) {
            return true;
        }
        if self.asset(claim) != entry.series.asset {
            return false;
        }
        self.last = Some(Arc::clone(claim));
        true
    }
}

#[cfg(test)]
mod tests;
