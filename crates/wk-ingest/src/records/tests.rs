use proptest::prelude::*;
use wk_types::{Labels, Sample, Series};

use super::*;
use crate::testing::{NOW, context, log_record};

fn log(message: &str) -> LogRecord {
    let Body::Logs(logs) = log_record(&[message]).body else { panic!("logs are expected") };
    logs[0].clone()
}

fn series(name: &str, samples: usize) -> SeriesSamples {
    let series = Arc::new(Series::new(Labels::metric(name, &[]), "bridge-pc".into()));
    let samples = (0..samples).map(|at| Sample::new(UtcMs(at as i64), 1.0)).collect();
    SeriesSamples { series, samples }
}

fn items(records: &[NewRecord]) -> Vec<usize> {
    records.iter().map(|record| record.body.items()).collect()
}

#[test]
fn messages_are_split_by_number_and_keep_their_order() {
    let (context, _) = context("test");
    let logs: Vec<LogRecord> = (0..=LOGS_PER_RECORD_MAX).map(|at| log(&at.to_string())).collect();
    let records = of_logs(&context, NOW, logs.clone());
    assert_eq!(items(&records), [LOGS_PER_RECORD_MAX, 1]);
    assert_eq!(records[1].body, Body::Logs([logs[LOGS_PER_RECORD_MAX].clone()].into()));
}

#[test]
fn long_messages_are_split_by_bytes() {
    let (context, _) = context("test");
    let text = "x".repeat(64 * 1024);
    let records = of_logs(&context, NOW, (0..100).map(|_| log(&text)));
    assert_eq!(items(&records), [63, 37]);
}

#[test]
fn a_message_above_the_aim_stands_alone() {
    let (context, _) = context("test");
    let large = log(&"x".repeat(RECORD_BYTES_AIM + 1));
    assert_eq!(items(&of_logs(&context, NOW, [log("a"), large, log("b"), log("c")])), [1, 1, 2]);
}

#[test]
fn series_are_split_by_number() {
    let (context, _) = context("test");
    let all = (0..=SERIES_PER_RECORD_MAX).map(|at| series(&format!("m{at}"), 1));
    assert_eq!(items(&of_series(&context, NOW, all)), [SERIES_PER_RECORD_MAX, 1]);
}

#[test]
fn series_with_many_labels_are_split_by_bytes() {
    let (context, _) = context("test");
    let value = "v".repeat(4 * 1024);
    let all = (0..2_000).map(|at| {
        let labels = Labels::metric(&format!("m{at}"), &[("path", &value)]);
        SeriesSamples {
            series: Arc::new(Series::new(labels, "bridge-pc".into())),
            samples: vec![Sample::new(NOW, 1.0)],
        }
    });
    let records = of_series(&context, NOW, all);
    assert_eq!((records.len(), items(&records).iter().sum::<usize>()), (3, 2_000));
}

#[test]
fn a_series_with_very_many_samples_comes_in_parts() {
    let (context, _) = context("test");
    let whole = series("long", 2 * SAMPLES_TOGETHER_MAX + 1);
    let records = of_series(&context, NOW, [whole.clone()]);
    assert_eq!(items(&records), [2 * SAMPLES_TOGETHER_MAX + 1]);
    let Body::Samples(parts) = &records[0].body else { panic!("samples are expected") };
    let joined: Vec<Sample> = parts.iter().flat_map(|part| part.samples.clone()).collect();
    assert_eq!((parts.len(), joined), (3, whole.samples));
    assert_eq!(items(&of_series(&context, NOW, [series("longer", 1_000_000)])), [200_000; 5]);
}

#[test]
fn a_series_without_samples_is_kept() {
    let (context, _) = context("test");
    assert_eq!(of_series(&context, NOW, [series("empty", 0)]).len(), 1);
}

proptest! {
    #[test]
    fn a_split_loses_nothing_and_holds_both_bounds(
        sizes in proptest::collection::vec(0_usize..RECORD_BYTES_AIM + 2, 0..60),
        items_max in 1_usize..8,
    ) {
        let runs = split(sizes.clone(), items_max, |size| *size);
        prop_assert_eq!(runs.concat(), sizes);
        for run in &runs {
            prop_assert!(!run.is_empty() && run.len() <= items_max);
            prop_assert!(run.len() == 1 || run.iter().sum::<usize>() <= RECORD_BYTES_AIM);
        }
    }
}
