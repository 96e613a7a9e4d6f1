//! What an answer has to be read with: warnings and hints, in Prometheus' words.

use std::fmt;

use wk_types::Labels;

use crate::numeric::plain_text;
use crate::plan::Place;

/// Most warnings, and most hints, that are told word by word.
const TOLD_MAX: usize = 10;
/// Endings that the names of counters have.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_sum", "_count", "_bucket"];

/// Warnings and hints of one evaluation, each said once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    warnings: Said,
    infos: Said,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    told: Vec<String>,
    /// How many more there were.
    more: usize,
}

impl Said {
    fn say(&mut self, text: String) {
        if self.told.contains(&text) {
        } else if self.told.len() < TOLD_MAX {
            self.told.push(text);
        } else {
            self.more += 1;
        }
    }

    fn all(&self, what: &str) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("{} more {what} annotations omitted", self.more));
        self.told.iter().cloned().chain(more).collect()
    }
}

impl Notes {
    /// What may be wrong with the answer, as `warnings` of the HTTP API.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.all("warning")
    }

    /// What may be wrong with the query, as `infos` of the HTTP API.
    #[must_use]
    pub fn infos(&self) -> Vec<String> {
        self.infos.all("info")
    }

    fn warn(&mut self, text: impl fmt::Display, place: Place) {
        self.warnings.say(format!("PromQL warning: {text} {place}"));
    }

    fn inform(&mut self, text: impl fmt::Display, place: Place) {
        self.infos.say(format!("PromQL info: {text} {place}"));
    }

    /// A quantile that lies outside the unit interval.
    pub(crate) fn check_quantile(&mut self, quantile: f64, place: Place) {
        if !(0.0..=1.0).contains(&quantile) {
            let shown = plain_text(quantile);
            self.warn(format_args!("quantile value should be between 0 and 1, got {shown}"), place);
        }
    }

    /// A ratio that lies outside its interval and is taken as its nearest border.
    pub(crate) fn capped_ratio(&mut self, ratio: f64, place: Place) {
        let (shown, capped) = (plain_text(ratio), if ratio > 0.0 { 1 } else { -1 });
        self.warn(format_args!("ratio value should be between -1 and 1, got {shown}, capping to {capped}"), place);
    }

    /// A bucket whose bound cannot be read.
    pub(crate) fn bad_bucket(&mut self, labels: &Labels, bound: &str, place: Place) {
        let name = labels.name();
        let text = format_args!(
            "bucket label \"le\" is missing or has a malformed value of {bound:?} for metric name {name:?}"
        );
        self.warn(text, place);
    }

    /// Buckets whose counts decrease.
    pub(crate) fn forced_monotonicity(&mut self, labels: &Labels, place: Place) {
        let name = labels.name();
        let text = format_args!(
            "input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \
             {name:?}"
        );
        self.inform(text, place);
    }

    /// A function of counters asked of what does not look like one.
    pub(crate) fn check_counter(&mut self, labels: &Labels, place: Place) {
        let name = labels.name();
        match labels.get("__type__") {
            _ if name.is_empty() => {}
            Some("counter" | "histogram") => {}
            Some(kind) => {
                let text = format_args!(
                    "metric might not be a counter, __type__ label is not set to \"counter\" or \
                         \"histogram\", got {kind:?}: {name:?}"
                );
                self.inform(text, place);
            }
            None if COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending)) => {}
            None => {
                let text = format_args!(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name:?}"
                );
                self.inform(text, place);
            }
        }
    }

    /// Start times that overlap the samples before them.
    pub(crate) fn overlapping_starts(&mut self, labels: &Labels, place: Place) {
        let name = labels.name();
        let text =
            format_args!("sample has start time that overlaps with previous sample timestamp for metric {name:?}");
        self.warn(text, place);
    }

    /// A sort whose order a range query does not keep.
    pub(crate) fn sort_of_range(&mut self, place: Place) {
        self.warn("sort is ineffective for range queries since results are always ordered by labels", place);
    }
}
