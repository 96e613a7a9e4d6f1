use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn options(series: usize, seed: u64) -> MetricWorkloadOptions {
    MetricWorkloadOptions { series, seed, ..MetricWorkloadOptions::default() }
}

/// Everything that `steps` steps give, as bits.
fn stream(options: MetricWorkloadOptions, steps: usize) -> Vec<(u128, i64, u64)> {
    let mut workload = MetricWorkload::new(options);
    let mut all = Vec::new();
    for _ in 0..steps {
        workload.step(|_, series, sample| all.push((series.id.0, sample.time.0, sample.value.to_bits())));
    }
    all
}

#[test]
fn a_ship_has_the_mix_of_the_research() {
    let workload = MetricWorkload::new(MetricWorkloadOptions::default());
    assert_eq!((workload.series(), workload.targets(), workload.constant()), (20_000, 370, 7_510));
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for (series, _) in workload.targets.iter().flat_map(|target| &target.series) {
        *names.entry(series.labels.name().to_owned()).or_default() += 1;
        assert!(ids.insert(series.id), "twice: {}", series.labels);
    }
    for (name, count) in [
        ("node_cpu_seconds_total", 2_560),
        ("http_request_duration_seconds_bucket", 2_800),
        ("http_request_duration_seconds_sum", 100),
        ("node_load1", 40),
        ("node_network_receive_bytes_total", 160),
        ("sensor_value", 3_000),
    ] {
        assert_eq!(names.get(name), Some(&count), "{name}");
    }
}

#[test]
fn two_series_in_five_do_not_change_within_an_hour() {
    let all = MetricWorkload::new(options(4_000, 1)).collect(240);
    let constant = all.iter().filter(|one| one.samples.iter().all(|sample| sample.value == one.samples[0].value));
    let share = constant.count() as f64 / all.len() as f64;
    assert!((0.375..0.44).contains(&share), "{share}");
}

#[test]
fn two_in_a_hundred_scrapes_are_late_by_some_milliseconds() {
    let all = MetricWorkload::new(options(2_000, 1)).collect(400);
    let first = all[0].samples[0].time;
    let mut late = 0;
    for pair in all[0].samples.windows(2) {
        let gap = pair[1].time.since(pair[0].time).0;
        assert!((15_000 - 40..=15_000 + 40).contains(&gap), "{gap} after {first}");
        late += usize::from(gap > 15_000);
    }
    assert!((2..20).contains(&late), "{late}");
}

#[test]
fn no_sample_lies_near_a_whole_interval_after_the_start() {
    let start = MetricWorkloadOptions::default().start;
    for (_, time, _) in stream(options(20_000, 3), 4) {
        let within = (time - start.0).rem_euclid(15_000);
        assert!((50..15_000 - 50).contains(&within), "{within}");
    }
}

#[test]
fn values_hang_together_in_time() {
    let all = MetricWorkload::new(options(2_000, 1)).collect(400);
    for name in ["sensor_value", "node_memory_MemFree_bytes", "link_snr_db"] {
        let series = all.iter().find(|one| one.series.labels.name() == name).unwrap();
        let values: Vec<f64> = series.samples.iter().map(|sample| sample.value).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance: f64 = values.iter().map(|one| (one - mean).powi(2)).sum();
        let lagged: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        assert!(lagged / variance > 0.7, "{name}: {}", lagged / variance);
    }
}

#[test]
fn counters_and_histograms_never_fall() {
    for one in MetricWorkload::new(options(1_000, 5)).collect(200) {
        let name = one.series.labels.name();
        if ["_total", "_bucket", "_count", "_sum", "Octets", "Errors"].iter().any(|end| name.ends_with(end)) {
            assert!(one.samples.windows(2).all(|pair| pair[0].value <= pair[1].value), "{}", one.series.labels);
        }
    }
}

#[test]
fn churn_replaces_the_share_asked_for_and_says_which_series_ended() {
    let mut workload = MetricWorkload::new(MetricWorkloadOptions { churn_per_hour: 0.4, ..options(8_000, 1) });
    let series = workload.series();
    let (mut ids, mut ended) = (BTreeSet::new(), BTreeSet::new());
    // A quarter of an hour.
    for _ in 0..=60 {
        workload.step(|_, series, sample| {
            assert!(!ended.contains(&series.id), "a sample after the end");
            if sample.is_stale() {
                ended.insert(series.id);
            }
            ids.insert(series.id);
        });
    }
    assert_eq!(workload.series(), series, "as many as before");
    assert_eq!(ids.len(), series + ended.len());
    let share = ended.len() as f64 / series as f64;
    assert!((0.06..0.14).contains(&share), "{share}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_seed_gives_the_same_samples_again(seed: u64, series in 400_usize..3_000, churn in 0.0..2.0) {
        let options = MetricWorkloadOptions { churn_per_hour: churn, ..options(series, seed) };
        prop_assert_eq!(stream(options.clone(), 5), stream(options, 5));
    }

    #[test]
    fn another_seed_gives_other_samples(seed in 0_u64..u64::MAX) {
        prop_assert_ne!(stream(options(400, seed), 1), stream(options(400, seed + 1), 1));
    }
}
