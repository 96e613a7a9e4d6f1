//! What all metric sources share: which labels are taken, and which series have gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use wk_types::labels::METRIC_NAME;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{Labels, Sample, Series, SeriesId, SeriesSamples, UtcMs};

/// How many labels a series has at most.
pub const LABELS_MAX: usize = 64;
/// How many bytes a label's name has at most.
pub const LABEL_NAME_BYTES_MAX: usize = 256;
/// How many bytes a label's value has at most.
pub const LABEL_VALUE_BYTES_MAX: usize = 4 * 1024;

/// Why a label set is not taken; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub enum BadLabels {
    /// There is no metric name.
    NoName,
    /// A label's name is empty, too long or holds control characters.
    Name,
    /// A label's value is too long.
    Value,
    /// A label's name comes twice.
    Duplicate,
    /// There are too many labels.
    TooMany,
}

impl BadLabels {
    /// The reason it is counted under.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoName => "no metric name",
            Self::Name => "bad label name",
            Self::Value => "label value too long",
            Self::Duplicate => "duplicate label",
            Self::TooMany => "too many labels",
        }
    }
}

/// Checks a label set as it was sent. Names may be any UTF-8, as Prometheus 3 has it.
///
/// # Errors
/// What is wrong with it.
pub fn check(pairs: &[(&str, &str)]) -> Result<(), BadLabels> {
    if pairs.len() > LABELS_MAX {
        return Err(BadLabels::TooMany);
    }
    let mut named = false;
    for (position, (name, value)) in pairs.iter().enumerate() {
        if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(BadLabels::Name);
        }
        if value.len() > LABEL_VALUE_BYTES_MAX {
            return Err(BadLabels::Value);
        }
        if pairs[..position].iter().any(|(earlier, _)| earlier == name) {
            return Err(BadLabels::Duplicate);
        }
        named |= *name == METRIC_NAME && !value.is_empty();
    }
    if named { Ok(()) } else { Err(BadLabels::NoName) }
}

/// How many label texts are kept to be shared; then it begins anew.
const TEXTS_MAX: usize = 1 << 18;

/// Label texts, each kept once.
#[derive(Debug, Default)]
pub struct Texts(HashSet<Arc<str>>);

impl Texts {
    /// The shared form of a text.
    pub fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.0.get(text) {
            return Arc::clone(shared);
        }
        if self.0.len() >= TEXTS_MAX {
            self.0.clear();
        }
        let shared: Arc<str> = text.into();
        self.0.insert(Arc::clone(&shared));
        shared
    }

    /// Makes a label set of shared texts.
    pub fn labels(&mut self, pairs: &[(&str, &str)]) -> Labels {
        let shared: Vec<_> = pairs.iter().map(|(name, value)| (self.shared(name), self.shared(value))).collect();
        Labels::new(shared)
    }
}

/// The series that a target had when its samples were last stored, so that those which have gone get a stale marker.
#[derive(Debug, Default)]
pub struct Present(HashMap<SeriesId, Arc<Series>>);

impl Present {
    /// Stale markers for the series that are no longer among `now`, sorted by labels.
    #[must_use]
    pub fn gone(&self, now: &[SeriesSamples], at: UtcMs) -> Vec<SeriesSamples> {
        let present: HashSet<SeriesId> = now.iter().map(|one| one.series.id).collect();
        let mut gone: Vec<&Arc<Series>> = self.0.values().filter(|series| !present.contains(&series.id)).collect();
        gone.sort_by(|a, b| a.labels.cmp(&b.labels));
        gone.into_iter().map(|series| SeriesSamples { series: Arc::clone(series), samples: vec![stale(at)] }).collect()
    }

    /// Notes what was stored; stale markers take their series away.
    pub fn stored(&mut self, samples: &[SeriesSamples]) {
        for one in samples {
            if one.samples.last().is_some_and(Sample::is_stale) {
                self.0.remove(&one.series.id);
            } else {
                self.0.insert(one.series.id, Arc::clone(&one.series));
            }
        }
    }
}

fn stale(at: UtcMs) -> Sample {
    Sample::new(at, f64::from_bits(STALE_NAN_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, series_text};

    #[test]
    fn label_sets_are_checked() {
        let long = "x".repeat(LABEL_VALUE_BYTES_MAX + 1);
        let many: Vec<_> = std::iter::repeat_n((METRIC_NAME, "a"), LABELS_MAX + 1).collect();
        type Case<'a> = (&'a [(&'a str, &'a str)], Result<(), BadLabels>);
        let cases: [Case<'_>; 9] = [
            (&[(METRIC_NAME, "up"), ("job", "")], Ok(())),
            (&[(METRIC_NAME, "http.requests"), ("größe", "1")], Ok(())),
            (&[("job", "x")], Err(BadLabels::NoName)),
            (&[(METRIC_NAME, "")], Err(BadLabels::NoName)),
            (&[(METRIC_NAME, "up"), ("", "x")], Err(BadLabels::Name)),
            (&[(METRIC_NAME, "up"), ("a\nb", "x")], Err(BadLabels::Name)),
            (&[(METRIC_NAME, "up"), ("a", &long)], Err(BadLabels::Value)),
            (&[(METRIC_NAME, "up"), ("a", "1"), ("a", "1")], Err(BadLabels::Duplicate)),
            (&many, Err(BadLabels::TooMany)),
        ];
        for (pairs, expected) in cases {
            assert_eq!(check(pairs), expected, "{pairs:?}");
        }
    }

    fn one(name: &str) -> SeriesSamples {
        let series = Arc::new(Series::new(Labels::metric(name, &[]), "bridge-pc".into()));
        SeriesSamples { series, samples: vec![Sample::new(NOW, 1.0)] }
    }

    #[test]
    fn a_series_that_has_gone_is_marked_once() {
        let mut present = Present::default();
        assert!(present.gone(&[one("a")], NOW).is_empty());
        present.stored(&[one("a"), one("b")]);
        let gone = present.gone(&[one("a")], NOW);
        assert_eq!(series_text(&gone), "b stale@0");
        present.stored(&gone);
        assert!(present.gone(&[one("a")], NOW).is_empty());
    }

    #[test]
    fn a_round_that_was_not_stored_leaves_what_has_to_be_marked() {
        let mut present = Present::default();
        present.stored(&[one("a")]);
        let _lost = present.gone(&[], NOW);
        assert_eq!(series_text(&present.gone(&[], NOW)), "a stale@0");
    }
}
