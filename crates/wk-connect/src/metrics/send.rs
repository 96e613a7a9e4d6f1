//! Many samples: cut into requests, and where one is refused, into smaller ones, until only what the store will not have
//! is left out.

use wk_types::{Sample, SeriesSamples, UtcMs};

use super::{OutsideStore, WriteError};
use crate::remote_write::WriteRequest;

/// About how many samples one request holds.
const REQUEST_SAMPLES_MAX: usize = 10_000;

/// How far refused requests are taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// Down to the single sample. For samples that the store may have already: whatever it refuses then, it refuses
    /// sample by sample, and nothing else goes with it.
    Exact,
    /// With so many further requests at most; what is refused after these is refused with its neighbours.
    Requests(usize),
}

/// Samples that a store will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, in one of a few words.
    pub reason: &'static str,
    /// How many.
    pub samples: u64,
    /// The time of the earliest.
    pub first: UtcMs,
    /// The time of the latest.
    pub last: UtcMs,
    /// One of their series.
    pub example: String,
    /// What the store said last.
    pub said: String,
}

/// What became of samples that were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// Samples taken.
    pub samples: u64,
    /// Requests made.
    pub requests: u64,
    /// Bytes of their bodies, compressed.
    pub bytes: u64,
    /// Samples refused for good, one entry for each reason.
    pub refused: Vec<Refused>,
}

/// Samples that were not all sent, and what became of those that were.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Unsent {
    /// What was done before.
    pub sent: Sent,
    /// Why it was not done to the end.
    pub error: WriteError,
}

/// Some series, or some samples of one series.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    series: &'a [SeriesSamples],
    /// Of a single series, which samples; all where there is none.
    within: Option<(usize, usize)>,
}

impl<'a> Part<'a> {
    fn samples_of(&self, one: &'a SeriesSamples) -> &'a [Sample] {
        self.within.map_or(&one.samples, |(from, to)| &one.samples[from..to])
    }

    fn samples(&self) -> usize {
        self.series.iter().map(|one| self.samples_of(one).len()).sum()
    }

    /// Both halves: of the series, or of the single series' samples; the earlier samples stand in the first.
    fn halves(&self) -> Option<(Self, Self)> {
        if let [one] = self.series {
            let (from, to) = self.within.unwrap_or((0, one.samples.len()));
            let middle = from + (to - from) / 2;
            let half = |from, to| Self { series: self.series, within: Some((from, to)) };
            return (to - from > 1).then(|| (half(from, middle), half(middle, to)));
        }
        let (first, second) = self.series.split_at(self.series.len() / 2);
        let whole = |series| Self { series, within: None };
        (!first.is_empty()).then(|| (whole(first), whole(second)))
    }
}

impl OutsideStore {
    /// Sends samples, each series in ascending time. What is refused for good is told and not sent again.
    ///
    /// # Errors
    /// The store is away, busy or set up wrongly: the same samples are to be sent again later, with
    /// [`Limits::Exact`] where that was uncertain.
    pub async fn send(&self, series: &[SeriesSamples], limits: Limits, now: UtcMs) -> Result<Sent, Box<Unsent>> {
        let mut sent = Sent::default();
        let mut request = WriteRequest::default();
        let mut splits = 0;
        // The next part stands last.
        let mut parts: Vec<Part<'_>> = requests(series);
        parts.reverse();
        while let Some(part) = parts.pop() {
            let body = body(&mut request, &part);
            sent.requests += 1;
            sent.bytes += body.len() as u64;
            match self.write(body, now).await {
                Ok(()) => sent.samples += part.samples() as u64,
                Err(WriteError::Refused { status, reason, said }) => {
                    let may_split = self.kind.refuses_wholly() || status == 413;
                    let within = match limits {
                        Limits::Exact => true,
                        Limits::Requests(max) => splits < max,
                    };
                    match part.halves().filter(|_| may_split && within) {
                        Some((first, second)) => {
                            splits += 2;
                            parts.extend([second, first]);
                        }
                        None => sent.refuse(&part, reason, said),
                    }
                }
                Err(error) => return Err(Box::new(Unsent { sent, error })),
            }
        }
        Ok(sent)
    }
}

/// Cuts series into requests.
fn requests(series: &[SeriesSamples]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut samples) = (0, 0);
    for (at, one) in series.iter().enumerate() {
        if samples > 0 && samples + one.samples.len() > REQUEST_SAMPLES_MAX {
            parts.push(Part { series: &series[from..at], within: None });
            (from, samples) = (at, 0);
        }
        samples += one.samples.len();
    }
    if from < series.len() {
        parts.push(Part { series: &series[from..], within: None });
    }
    parts
}

fn body(request: &mut WriteRequest, part: &Part<'_>) -> Vec<u8> {
    for one in part.series {
        request.push(one.series.labels.iter(), part.samples_of(one).iter().copied());
    }
    request.take_body()
}

impl Sent {
    /// Takes in what became of further samples.
    pub fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.requests += other.requests;
        self.bytes += other.bytes;
        other.refused.into_iter().for_each(|refused| self.note(refused));
    }

    fn refuse(&mut self, part: &Part<'_>, reason: &'static str, said: String) {
        let times = || part.series.iter().flat_map(|one| part.samples_of(one)).map(|sample| sample.time);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return };
        let example = part.series.first().map(|one| one.series.labels.to_string()).unwrap_or_default();
        let refused = Refused { reason, samples: part.samples() as u64, first, last, example, said };
        self.note(refused);
    }

    fn note(&mut self, refused: Refused) {
        match self.refused.iter_mut().find(|known| known.reason == refused.reason) {
            Some(known) => known.join(refused),
            None => self.refused.push(refused),
        }
    }
}

impl Refused {
    /// Takes in further refusals for the same reason.
    pub fn join(&mut self, other: Self) {
        self.samples += other.samples;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        (self.example, self.said) = (other.example, other.said);
    }
}
