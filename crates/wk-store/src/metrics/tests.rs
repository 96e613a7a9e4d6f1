mod crash;
mod damage;
mod disk;
mod faults;
mod history;
mod late;
mod measure;
mod model;
mod queries;
mod release;
mod retention;
mod rollups;
mod walk;

use std::collections::BTreeMap;
use std::path::Path;

use wk_types::{AssetId, ErrorKind, Labels, Matcher, Sample, Series, SeriesSource};

use super::*;
use disk::Disk;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Some instant in the middle of a two-hour window.
const START: i64 = 1_790_002_800_000;

/// One record as the intake log would hold it: series by name, with times and values.
type Record = Vec<(&'static str, Vec<(i64, f64)>)>;

/// A series of a record, as the sources make it.
fn series(name: &str, samples: &[(i64, f64)]) -> SeriesSamples {
    let (metric, instance) = name.split_once('@').unwrap_or((name, "one"));
    let (instance, zone) = instance.split_once('#').unwrap_or((instance, ""));
    let labels = Labels::metric(metric, &[("instance", instance), ("job", "test"), ("zone", zone)]);
    SeriesSamples {
        series: Arc::new(Series::new(labels, AssetId::from(instance))),
        samples: samples.iter().map(|(time, value)| Sample::new(UtcMs(*time), *value)).collect(),
    }
}

fn body(record: &Record) -> Vec<SeriesSamples> {
    record.iter().map(|(name, samples)| series(name, samples)).collect()
}

/// A store on a disk that can lose its power, and every record it was ever given.
struct Ship {
    disk: Disk,
    store: MetricStore,
    options: MetricOptions,
    records: Vec<(UtcMs, Record)>,
}

impl Ship {
    fn new(options: MetricOptions) -> Self {
        let disk = Disk::default();
        let (store, _) = open(&disk, &options).unwrap();
        Self { disk, store, options, records: Vec::new() }
    }

    fn append(&mut self, received: i64, record: Record) -> Appended {
        let body = body(&record);
        self.records.push((UtcMs(received), record));
        self.store.append(Seq(self.records.len() as u64), UtcMs(received), &body).unwrap()
    }

    /// The same ship with a disk of its own, as it is found after a power cut.
    fn copy(&self) -> Self {
        let disk = self.disk.after_cut();
        let (store, _) = open(&disk, &self.options).unwrap();
        let mut copy = Self { disk: disk.clone(), store, options: self.options.clone(), records: self.records.clone() };
        copy.reopen(disk);
        copy
    }

    /// How many files there should be.
    fn files(&self) -> usize {
        let stats = self.store.stats();
        stats.blocks + stats.rollups
    }

    /// Starts anew on `disk`, and replays what the intake log still has after the cursor.
    fn reopen(&mut self, disk: Disk) -> OpenReport {
        let (store, report) = open(&disk, &self.options).unwrap();
        (self.store, self.disk) = (store, disk);
        for at in report.cursor.0 as usize..self.records.len() {
            let (received, record) = &self.records[at];
            self.store.append(Seq(at as u64 + 1), *received, &body(record)).unwrap();
        }
        report
    }

    /// What a plain map makes of the same records: of one time the first value stays.
    fn expected(&self, from: i64, to: i64) -> BTreeMap<Labels, Vec<(i64, u64)>> {
        let mut model: BTreeMap<Labels, BTreeMap<i64, u64>> = BTreeMap::new();
        for (name, samples) in self.records.iter().flat_map(|(_, record)| record) {
            let series = model.entry(series(name, &[]).series.labels.clone()).or_default();
            for (time, value) in samples {
                series.entry(*time).or_insert(value.to_bits());
            }
        }
        model
            .into_iter()
            .map(|(labels, samples)| {
                (labels, samples.into_iter().filter(|(time, _)| (from..=to).contains(time)).collect())
            })
            .filter(|(_, samples): &(_, Vec<_>)| !samples.is_empty())
            .collect()
    }

    fn check(&self, from: i64, to: i64) {
        assert_eq!(answers(&self.store, &[], from, to), self.expected(from, to));
    }

    fn check_all(&self) {
        self.check(i64::MIN, i64::MAX);
    }
}

fn open(disk: &Disk, options: &MetricOptions) -> Result<(MetricStore, OpenReport), MetricError> {
    MetricStore::open(Arc::new(disk.clone()), Path::new("/data/metrics"), options.clone())
}

fn answers(store: &MetricStore, matchers: &[Matcher], from: i64, to: i64) -> BTreeMap<Labels, Vec<(i64, u64)>> {
    let found = store.select(matchers, UtcMs(from), UtcMs(to), usize::MAX).unwrap();
    assert!(found.windows(2).all(|pair| pair[0].labels < pair[1].labels));
    let bits = |samples: &[Sample]| samples.iter().map(|one| (one.time.0, one.value.to_bits())).collect();
    found.iter().map(|one| (one.labels.clone(), bits(&one.samples))).collect()
}

/// A ship with `parts` parts of 5 min, four samples of three series in each.
fn sailed(options: MetricOptions, parts: i64) -> Ship {
    let mut ship = Ship::new(options);
    for part in 0..parts {
        let begin = START + part * 5 * MINUTE;
        let samples = |offset: i64| (0..4).map(|at| (begin + at * MINUTE + offset, (part * 4 + at) as f64)).collect();
        ship.append(begin + 4 * MINUTE, vec![("a", samples(0)), ("b@two", samples(0)), ("c", samples(7))]);
        ship.store.flush().unwrap();
    }
    ship
}

#[test]
fn a_part_is_written_when_five_minutes_have_passed() {
    let mut ship = Ship::new(MetricOptions::default());
    ship.store.maintain(UtcMs(START)).unwrap();
    ship.append(START, vec![("a", vec![(START, 1.0)])]);
    assert_eq!(ship.store.maintain(UtcMs(START + 4 * MINUTE)).unwrap().parts_written, 0);
    assert_eq!(ship.store.cursor(), Seq(0));
    assert_eq!(ship.store.maintain(UtcMs(START + 5 * MINUTE)).unwrap().parts_written, 1);
    assert_eq!(ship.store.cursor(), Seq(1));
    ship.check_all();
}

#[test]
fn records_without_samples_move_the_cursor_on() {
    let mut ship = Ship::new(MetricOptions::default());
    ship.append(START, vec![]);
    assert_eq!(ship.store.cursor(), Seq(1));
    ship.append(START, vec![("a", vec![(START, 1.0)])]);
    ship.append(START, vec![]);
    assert_eq!(ship.store.cursor(), Seq(1));
    ship.store.flush().unwrap();
    assert_eq!(ship.store.cursor(), Seq(3));
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(3));
}

#[test]
fn the_same_records_again_change_nothing() {
    let mut ship = sailed(MetricOptions::default(), 3);
    let before = answers(&ship.store, &[], i64::MIN, i64::MAX);
    for at in 0..ship.records.len() {
        let again = ship.store.append(Seq(at as u64 + 1), ship.records[at].0, &body(&ship.records[at].1)).unwrap();
        assert_eq!(again, Appended { duplicate: 12, ..Appended::default() });
    }
    assert_eq!(answers(&ship.store, &[], i64::MIN, i64::MAX), before);
    // The same samples in new records collapse, too.
    for at in 0..ship.records.len() {
        let (received, record) = ship.records[at].clone();
        ship.append(received.0, record);
    }
    ship.store.flush().unwrap();
    assert_eq!(answers(&ship.store, &[], i64::MIN, i64::MAX), before);
}

#[test]
fn parts_of_a_closed_window_become_one_block() {
    let mut ship = sailed(MetricOptions::default(), 24);
    let parts = ship.store.stats();
    assert_eq!(parts.blocks, 24);
    let done = ship.store.maintain(UtcMs(START + 2 * HOUR)).unwrap();
    assert_eq!(done.files_merged, 12);
    let merged = ship.store.stats();
    assert_eq!((merged.blocks, merged.samples_blocks), (13, parts.samples_blocks));
    assert_eq!(ship.disk.names().len(), 13);
    assert!(merged.bytes < parts.bytes / 2 + parts.bytes / 8);
    ship.check_all();
    assert_eq!(
        ship.reopen(ship.disk.clone()),
        OpenReport { cursor: Seq(24), blocks: 13, rollups: 0, damaged: vec![], superseded: 0 }
    );
    ship.check_all();
}

#[test]
fn each_rejected_sample_is_counted_with_its_reason() {
    let mut ship = Ship::new(MetricOptions { series_max: 2, ..MetricOptions::default() });
    ship.store.maintain(UtcMs(START)).unwrap();
    let count = |appended: Appended| {
        (appended.stored, appended.late, appended.future, appended.too_old, appended.duplicate, appended.over_limit)
    };
    let at = |time: i64, value: f64| vec![("a", vec![(time, value)])];
    assert_eq!(count(ship.append(START, at(START, 1.0))), (1, 0, 0, 0, 0, 0));
    assert_eq!(count(ship.append(START, at(START - 1, 2.0))), (1, 1, 0, 0, 0, 0));
    assert_eq!(count(ship.append(START, at(START + 10 * MINUTE, 3.0))), (1, 0, 0, 0, 0, 0));
    assert_eq!(count(ship.append(START, at(START + 10 * MINUTE + 1, 3.0))), (0, 0, 1, 0, 0, 0));
    assert_eq!(count(ship.append(START, at(START - 30 * DAY - 1, 3.0))), (0, 0, 0, 1, 0, 0));
    assert_eq!(count(ship.append(START, at(START, 9.0))), (0, 0, 0, 0, 1, 0));
    assert_eq!(
        count(ship.append(START, vec![("b", vec![(START, 1.0)]), ("c", vec![(START, 1.0)])])),
        (1, 0, 0, 0, 0, 1)
    );
    assert_eq!(count(ship.store.stats().appended), (4, 1, 1, 1, 1, 1));
    let a = Matcher::new("__name__", wk_types::MatchOp::Equal, "a");
    let found = ship.store.select(&[a], UtcMs(START), UtcMs(START), 10).unwrap();
    assert_eq!(found[0].samples[..], [Sample::new(UtcMs(START), 1.0)]);
}

#[test]
fn series_over_the_limit_of_their_source_are_refused_by_name() {
    let mut ship = Ship::new(MetricOptions { source_series_max: 2, ..MetricOptions::default() });
    let crowd = vec![("a", vec![(START, 1.0)]), ("b", vec![(START, 1.0)]), ("c", vec![(START, 1.0), (START + 1, 1.0)])];
    let appended = ship.append(START, crowd);
    assert_eq!((appended.stored, appended.over_source_limit, appended.over_limit), (2, 2, 0));
    let mut other = series("a", &[(START, 1.0)]);
    other.series = Arc::new(Series::new(Labels::metric("a", &[]), "bridge".into()));
    assert_eq!(ship.store.append(Seq(2), UtcMs(START), &[other]).unwrap().stored, 1);
    let named = |source: &str, series, refused| SourceSeries { source: source.into(), series, refused };
    assert_eq!(ship.store.stats().sources, [named("test", 2, 2), named("bridge", 1, 0)]);
}

#[test]
fn the_blocks_of_a_closed_day_become_one() {
    let options = MetricOptions { day_span: DurationMs::from_hours(6), ..MetricOptions::default() };
    let mut ship = sailed(options, 12 * 12);
    for _ in 0..12 {
        ship.store.maintain(UtcMs(START + 12 * HOUR)).unwrap();
        ship.check_all();
    }
    let stats = ship.store.stats();
    // The three hours to the end of the first window of six, then one of six, then a window of two hours and the rest.
    assert_eq!((stats.blocks, ship.disk.names().len()), (2 + 1 + 12, ship.files()));
    ship.reopen(ship.disk.clone());
    ship.check_all();
}

#[test]
fn while_nothing_can_be_written_the_head_fills_up_and_then_refuses() {
    let mut ship = Ship::new(MetricOptions::default());
    let many: Vec<(i64, f64)> = (0..HEAD_SAMPLES_MAX as i64).map(|at| (START + at, 1.0)).collect();
    ship.append(START + 2 * HOUR, vec![("a", many)]);
    ship.disk.cut_after(0);
    let error = ship.store.maintain(UtcMs(START)).unwrap_err();
    assert!(matches!(error, MetricError::Write { .. }) && error.is_retryable());
    let refused = ship.store.append(Seq(2), UtcMs(START), &[series("a", &[(START + DAY, 1.0)])]).unwrap_err();
    assert!(matches!(refused, MetricError::HeadFull { .. }) && refused.is_retryable());
    assert_eq!(ship.store.cursor(), Seq(0));
    ship.disk.mend();
    assert_eq!(ship.store.maintain(UtcMs(START)).unwrap().parts_written, 0);
    assert_eq!(ship.store.maintain(UtcMs(START + 10_000)).unwrap().parts_written, 1);
    assert_eq!((ship.store.cursor(), ship.store.stats().samples_head), (Seq(1), 0));
    ship.check_all();
}

#[test]
fn a_series_that_moves_to_another_asset_keeps_its_samples() {
    let mut ship = sailed(MetricOptions::default(), 1);
    let mut moved = series("a", &[(START + HOUR, 1.0)]);
    moved.series = Arc::new(Series::new(moved.series.labels.clone(), AssetId::from("elsewhere")));
    ship.store.append(Seq(2), UtcMs(START + HOUR), &[moved]).unwrap();
    let a = Matcher::new("__name__", wk_types::MatchOp::Equal, "a");
    let found = ship.store.series(&[a], UtcMs(START), UtcMs(START + HOUR), 10).unwrap();
    assert_eq!(found.iter().map(|one| one.asset.as_str()).collect::<Vec<_>>(), ["elsewhere"]);
    ship.records.push((UtcMs(START + HOUR), vec![("a", vec![(START + HOUR, 1.0)])]));
    ship.check_all();
}

#[test]
fn series_that_are_gone_leave_the_index() {
    let options = MetricOptions { cache_bytes_max: 0, ..MetricOptions::default() };
    let mut ship = Ship::new(options);
    let crowd: Vec<SeriesSamples> = (0..12_000).map(|at| series(&format!("m{at}"), &[(START, 1.0)])).collect();
    ship.store.append(Seq(1), UtcMs(START), &crowd).unwrap();
    ship.store.flush().unwrap();
    assert_eq!(ship.store.stats().series_indexed, 12_000);
    ship.records.push((UtcMs(START), vec![]));
    for at in 1..=14 {
        ship.append(START + at, vec![("still", vec![(START + at, 1.0)])]);
        ship.store.flush().unwrap();
    }
    ship.store.maintain(UtcMs(START)).unwrap();
    assert_eq!((ship.store.stats().series_indexed, ship.store.stats().series_head), (1, 1));
    assert_eq!(ship.store.select(&[], UtcMs(START), UtcMs(START), usize::MAX).unwrap().len(), 12_000);
}
