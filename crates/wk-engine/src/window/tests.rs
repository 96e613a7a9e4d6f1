//! What the window keeps and how it answers.

use proptest::prelude::*;

use super::*;
use wk_types::Series;

const KEEP: DurationMs = KEPT_MIN;

fn window() -> Window {
    let mut window = Window::default();
    window.configure(1_000);
    let up = vec![Matcher::new("__name__", MatchOp::Equal, "up")];
    let disks = vec![
        Matcher::new("__name__", MatchOp::Regex, "disk_.*"),
        Matcher::new("fstype", MatchOp::NotRegex, "squashfs|iso9660"),
    ];
    window.set_selections(&[(up, DurationMs::from_mins(5)), (disks, DurationMs::from_hours(2))]).unwrap();
    window
}

fn at(seconds: i64, value: f64) -> Sample {
    Sample::new(UtcMs(seconds * 1_000), value)
}

fn one(labels: &Labels, samples: &[Sample]) -> SeriesSamples {
    SeriesSamples { series: Arc::new(Series::new(labels.clone(), "a".into())), samples: samples.to_vec() }
}

#[test]
fn only_what_rules_read_is_kept_and_for_as_long_as_they_look_back() {
    let window = window();
    let keeps = |name, fstype| window.keeps(&Labels::metric(name, &[("fstype", fstype)]));
    assert_eq!(keeps("up", ""), Some(KEPT_MIN));
    assert_eq!(keeps("disk_free", "ext4"), Some(DurationMs::from_hours(2)));
    assert_eq!(keeps("disk_free", "squashfs"), None);
    assert_eq!(keeps("my_disk_free", "ext4"), None);
}

#[test]
fn what_is_too_old_or_lies_in_the_future_is_left_out() {
    let mut window = window();
    let labels = Labels::metric("up", &[]);
    window.push(&one(&labels, &[at(100, 1.0), at(2_000, 2.0), at(9_000, 3.0)]), KEEP, UtcMs(2_000_000));
    assert_eq!(window.samples(), 1);
    window.sweep(UtcMs(2_000_000 + KEEP.0 + 1));
    assert_eq!(window.samples(), 0);
    assert!(window.series.by_name.is_empty() && window.series.held.is_empty());
}

#[test]
fn a_selection_answers_in_label_order_within_its_range_and_bound() {
    let mut window = window();
    for instance in ["b", "a"] {
        let labels = Labels::metric("up", &[("instance", instance)]);
        window.push(&one(&labels, &[at(10, 1.0), at(20, 2.0), at(30, 3.0)]), KEEP, UtcMs(30_000));
    }
    let matchers = [Matcher::new("__name__", MatchOp::Equal, "up")];
    let found = window.select(&matchers, UtcMs(15_000), UtcMs(30_000), 10).unwrap();
    let found: Vec<(String, usize)> =
        found.iter().map(|series| (series.labels.to_string(), series.samples.len())).collect();
    assert_eq!(found, [("up{instance=\"a\"}".to_owned(), 2), ("up{instance=\"b\"}".to_owned(), 2)]);
    assert!(matches!(
        window.select(&matchers, UtcMs(0), UtcMs(30_000), 5),
        Err(SourceError::TooManySamples { max: 5 })
    ));
    let any_name = [Matcher::new("instance", MatchOp::Regex, "a|b")];
    assert_eq!(window.select(&any_name, UtcMs(0), UtcMs(30_000), 10).unwrap().len(), 2);
}

#[test]
fn a_pattern_that_does_not_compile_is_an_error() {
    let matchers = vec![Matcher::new("job", MatchOp::Regex, "(")];
    assert!(matches!(window().select(&matchers, UtcMs(0), UtcMs(1), 1), Err(SourceError::BadPattern { .. })));
    assert!(window().set_selections(&[(matchers, DurationMs(0))]).is_err());
}

proptest! {
    #[test]
    fn samples_in_any_order_make_the_same_window(times in prop::collection::vec(0_i64..1_000, 1..60), cut in 0_usize..60) {
        let labels = Labels::metric("up", &[]);
        let fill = |samples: &[Sample]| {
            let mut window = window();
            for sample in samples {
                window.push(&one(&labels, &[*sample]), KEEP, UtcMs(1_000_000));
            }
            window
        };
        let mut samples: Vec<Sample> = times.iter().map(|time| at(*time, *time as f64)).collect();
        let one = fill(&samples);
        let by = cut % samples.len();
        samples.rotate_left(by);
        samples.reverse();
        prop_assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&fill(&samples)).unwrap());
    }
}
