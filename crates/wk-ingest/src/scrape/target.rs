//! One target from scrape to scrape.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, Body, Labels, Sample, Series, SeriesSamples, UtcMs};

use super::fetch::{FetchError, Fetched, fetch};
use super::{Shown, Target, lock};
use crate::contract::{Sender, SourceContext};
use crate::delivery::{Delivered, deliver};
use crate::prometheus_text::{self, Exposition, Line};
use crate::records;
use crate::relabel::{self, LabelMap};
use crate::series::{self, Present, Texts};
use crate::syslog::NOT_UTF8;

/// What is remembered of a target.
pub struct TargetState<'a> {
    target: &'a Target,
    /// The target's labels, `job` and `instance` among them.
    labels: Vec<(String, String)>,
    /// Series by their text, so that known ones are not taken apart again.
    known: HashMap<Box<str>, Option<Arc<Series>>>,
    asset: AssetId,
    texts: Texts,
    present: Present,
}

/// The series of one scrape.
#[derive(Default)]
struct Round {
    /// Those that get a stale marker once they are gone.
    tracked: Vec<SeriesSamples>,
    /// Those with their own timestamps.
    timed: Vec<SeriesSamples>,
    scraped: usize,
}

impl<'a> TargetState<'a> {
    /// Starts with nothing known.
    pub fn new(target: &'a Target) -> Self {
        let mut labels: Vec<(String, String)> =
            target.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        labels.retain(|(name, _)| name != "job" && name != "instance");
        labels.push(("job".to_owned(), target.job.clone()));
        labels.push(("instance".to_owned(), target.instance()));
        Self {
            target,
            labels,
            known: HashMap::new(),
            asset: AssetId::unknown(),
            texts: Texts::default(),
            present: Present::default(),
        }
    }

    /// Scrapes once and delivers what came, for at most one interval.
    pub async fn round(
        &mut self,
        client: &reqwest::Client,
        context: &SourceContext,
        cancel: &CancellationToken,
        shown: &Mutex<Shown>,
    ) {
        let now = context.now();
        let started = Instant::now();
        let fetched = fetch(client, self.target).await;
        self.attribute(context);
        let taken = match &fetched {
            Ok(fetched) => self.take(fetched, context, now, shown),
            Err(error) => Err(error.to_string()),
        };
        let (mut round, error) = match taken {
            Ok(round) => (round, None),
            Err(error) => (Round::default(), Some(error)),
        };
        if let Some(error) = &error {
            context.stats.flagged("scrape failed", 1, &format!("{}: {error}", self.target.shown_url()));
        }
        let duration = started.elapsed();
        self.report(&mut round, error.is_none(), duration.as_secs_f64(), now);
        {
            let health = &mut lock(shown).health;
            health.scraped = Some(now);
            health.error = error;
            health.samples = round.scraped;
            health.duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        }
        self.deliver(round, context, cancel, now).await;
    }

    fn attribute(&mut self, context: &SourceContext) {
        let instance = self.target.instance();
        let sender = Sender { claimed: Some(&instance), peer: None, declared: self.target.asset.as_ref() };
        let asset = context.identity.resolve(&context.name, &sender).asset;
        if asset != self.asset {
            self.known.clear();
            self.asset = asset;
        }
    }

    /// Reads the samples of an answer; one that as a whole cannot be taken gives the reason.
    fn take(
        &mut self,
        fetched: &Fetched,
        context: &SourceContext,
        now: UtcMs,
        shown: &Mutex<Shown>,
    ) -> Result<Round, String> {
        let text = String::from_utf8_lossy(&fetched.body);
        if matches!(text, Cow::Owned(_)) {
            context.stats.flagged(NOT_UTF8, 1, &self.target.shown_url());
        }
        let exposition = prometheus_text::parse(&text, fetched.format);
        let total = exposition.lines.len() + exposition.rejected.len();
        context.stats.received(total as u64, fetched.body.len() as u64, now);
        if !exposition.complete {
            return Err(FetchError::Incomplete.to_string());
        }
        if exposition.lines.len() > self.target.samples_max {
            return Err(FetchError::TooManySamples(self.target.samples_max).to_string());
        }
        for (bad, line) in &exposition.rejected {
            context.stats.rejected(bad.reason(), 1, line);
        }
        let round = self.series_of(&exposition, context, now);
        lock(shown).metadata = exposition.metadata;
        Ok(round)
    }

    fn series_of(&mut self, exposition: &Exposition<'_>, context: &SourceContext, now: UtcMs) -> Round {
        let mut round = Round { scraped: exposition.lines.len(), ..Round::default() };
        let mut seen = HashSet::with_capacity(exposition.lines.len());
        let mut known = HashMap::with_capacity(exposition.lines.len());
        for line in &exposition.lines {
            let series = match known.get(line.series) {
                Some(series) => Option::clone(series),
                None => match self.series(line) {
                    Ok((text, series)) => {
                        known.insert(text, series.clone());
                        series
                    }
                    Err(reason) => {
                        context.stats.rejected(&reason, 1, line.series);
                        continue;
                    }
                },
            };
            let Some(series) = series else { continue };
            let line = Line { time: line.time.filter(|_| self.target.honor_timestamps), ..*line };
            let sample = line.sample(now);
            if !seen.insert((series.id, sample.time)) {
                context.stats.rejected("series comes twice in one scrape", 1, line.series);
                continue;
            }
            context.stats.check_late(sample.time, now);
            let list = if line.time.is_some() { &mut round.timed } else { &mut round.tracked };
            list.push(SeriesSamples { series, samples: vec![sample] });
        }
        self.known = known;
        self.texts = Texts::default();
        round
    }

    /// The series of a line, from the last scrape or made anew; `None` where a rule drops it.
    fn series(&mut self, line: &Line<'_>) -> Result<(Box<str>, Option<Arc<Series>>), String> {
        if let Some(found) = self.known.remove_entry(line.series) {
            return Ok(found);
        }
        let own = prometheus_text::labels(line.series).map_err(|bad| bad.reason().to_owned())?;
        let own: Vec<(Cow<'_, str>, &str)> =
            own.iter().map(|(name, value)| (self.own_name(name, value), &**value)).collect();
        let mut pairs: Vec<(&str, &str)> = own.iter().map(|(name, value)| (&**name, *value)).collect();
        for (name, value) in &self.labels {
            if !(self.target.honor_labels && pairs.iter().any(|(own, value)| own == name && !value.is_empty())) {
                pairs.retain(|(own, _)| own != name);
                pairs.push((name, value));
            }
        }
        series::check(&pairs).map_err(|bad| bad.to_string())?;
        let rules = &self.target.metric_rules;
        let labels = if rules.is_empty() {
            self.texts.labels(&pairs)
        } else {
            let mut labels: LabelMap = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            if !relabel::apply(rules, &mut labels) {
                return Ok((line.series.into(), None));
            }
            let pairs: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            series::check(&pairs).map_err(|bad| bad.to_string())?;
            self.texts.labels(&pairs)
        };
        Ok((line.series.into(), Some(Arc::new(Series::new(labels, self.asset.clone())))))
    }

    /// The name of a sample's label, with `exported_` in front where the target has one of the same name.
    fn own_name<'n>(&self, name: &'n str, value: &str) -> Cow<'n, str> {
        let is_taken = |name: &str| self.labels.iter().any(|(taken, _)| taken == name);
        let mut name = Cow::Borrowed(name);
        while !self.target.honor_labels && !value.is_empty() && is_taken(&name) {
            name = Cow::Owned(format!("exported_{name}"));
        }
        name
    }

    /// Adds the series that say how the scrape went.
    fn report(&self, round: &mut Round, up: bool, seconds: f64, now: UtcMs) {
        let values = [
            ("up", f64::from(u8::from(up))),
            ("scrape_duration_seconds", seconds),
            ("scrape_samples_scraped", round.scraped as f64),
        ];
        for (name, value) in values {
            let pairs = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels = Labels::new(pairs.chain([(METRIC_NAME, name)]));
            let series = Arc::new(Series::new(labels, self.asset.clone()));
            round.tracked.push(SeriesSamples { series, samples: vec![Sample::new(now, value)] });
        }
    }

    async fn deliver(&mut self, round: Round, context: &SourceContext, cancel: &CancellationToken, now: UtcMs) {
        let gone = self.present.gone(&round.tracked, now);
        let all = [round.tracked, gone, round.timed.clone()].concat();
        let timed: HashSet<_> = round.timed.iter().map(|one| one.series.id).collect();
        for record in records::of_series(context, now, all) {
            let items = record.body.items() as u64;
            let Body::Samples(series) = &record.body else { continue };
            let tracked: Vec<SeriesSamples> =
                series.iter().filter(|one| !timed.contains(&one.series.id)).cloned().collect();
            let delivery = deliver(context, record, cancel);
            match tokio::time::timeout(self.target.interval, delivery).await {
                Ok(Delivered::Stored) => self.present.stored(&tracked),
                Ok(Delivered::Rejected) => {}
                Ok(Delivered::Ended) | Err(_) => context.stats.lost("intake busy", items),
            }
        }
    }
}
