use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::contract::{Attribution, Identity};
use crate::testing::context;
use wk_types::SourceName;

const UP: [(&str, &str); 2] = [("__name__", "up"), ("instance", "galley-tv:9100")];

/// Counts how often it is asked, and knows everybody once it is told to.
#[derive(Default)]
struct Counting {
    asked: AtomicU64,
    knows: AtomicBool,
}

impl Identity for Counting {
    fn resolve(&self, _source: &SourceName, _sender: &Sender<'_>) -> Attribution {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.knows.load(Ordering::Relaxed) {
            true => Attribution { asset: "galley-tv".into(), unknown: None },
            false => Attribution { asset: AssetId::unknown(), unknown: Some("nobody knows it".to_owned()) },
        }
    }

    fn came_again(&self, _source: &SourceName, _sender: &Sender<'_>, _reason: &str, _items: u64) {}
}

fn counting() -> (SourceContext, Arc<Counting>) {
    let identity = Arc::new(Counting::default());
    let (context, _) = context("remote-write");
    (SourceContext { identity: Arc::clone(&identity) as Arc<dyn Identity>, ..context }, identity)
}

/// A label set as bytes, and as what they say.
type Sent<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);

/// A request with these label sets, each written as its own bytes.
fn send(cache: &SeriesCache, context: &SourceContext, sets: &[Sent<'_>]) -> Vec<(Arc<Series>, bool)> {
    let mut request = cache.request(context, None);
    let series = sets
        .iter()
        .map(|(bytes, pairs)| match request.known(bytes) {
            Some(known) => (known, true),
            None => (request.learn(bytes, pairs), false),
        })
        .collect();
    request.finish();
    series
}

#[test]
fn a_known_series_is_the_same_in_memory() {
    let (cache, (context, _)) = (SeriesCache::default(), counting());
    let first = send(&cache, &context, &[(b"a", &UP)]);
    let again = send(&cache, &context, &[(b"a", &UP), (b"b", &UP)]);
    assert!(again[0].1 && !again[1].1);
    assert!(Arc::ptr_eq(&first[0].0, &again[0].0));
    assert_eq!(again[0].0, again[1].0);
}

#[test]
fn the_same_bytes_from_another_address_are_another_series() {
    let (cache, (context, _)) = (SeriesCache::default(), counting());
    let _ = send(&cache, &context, &[(b"a", &UP)]);
    assert!(cache.request(&context, Some("10.0.0.9".parse().unwrap())).known(b"a").is_none());
}

#[test]
fn an_unknown_sender_is_asked_for_once_a_request_until_it_is_known() {
    let (cache, (context, identity)) = (SeriesCache::default(), counting());
    let sets: [Sent<'_>; 2] = [(b"a", &UP), (b"b", &UP)];
    let asked = || identity.asked.load(Ordering::Relaxed);
    let _ = send(&cache, &context, &sets);
    let _ = send(&cache, &context, &sets);
    assert_eq!(asked(), 2);
    identity.knows.store(true, Ordering::Relaxed);
    let known = send(&cache, &context, &sets);
    assert_eq!((asked(), known[0].0.asset.as_str(), known[1].0.asset.as_str()), (3, "galley-tv", "galley-tv"));
    let _ = send(&cache, &context, &sets);
    assert_eq!(asked(), 3);
}
