use proptest::prelude::*;

use super::*;
use crate::statsd::line;
use crate::testing::{NOW, context, series_text};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn gathered(lines: &[&str]) -> (Table, Vec<&'static str>) {
    let (context, _) = context("statsd");
    let mut table = Table::default();
    let refused = lines
        .iter()
        .filter_map(|text| line::read(text).and_then(|metric| table.take(&context, &metric, PEER, NOW)).err());
    let refused = refused.collect();
    (table, refused)
}

#[test]
fn every_kind_becomes_series() {
    let (mut table, refused) = gathered(&[
        "net.errors:1|c|#deck:4",
        "net.errors:2|c|@0.5|#deck:4",
        "fuel:7|g",
        "fuel:-3|g",
        "fuel:+1|g",
        "wait:250|ms",
        "wait:750|ms|@0.5",
        "size:1:2:3:4|h",
        "users:a|s",
        "users:b|s",
        "users:a|s",
    ]);
    assert!(refused.is_empty(), "{refused:?}");
    insta::assert_snapshot!(series_text(&table.samples(NOW)), @r#"
    fuel{instance="127.0.0.1", job="statsd"} 5@0
    net_errors{deck="4", instance="127.0.0.1", job="statsd"} 5@0
    size_count{instance="127.0.0.1", job="statsd"} 4@0
    size_sum{instance="127.0.0.1", job="statsd"} 10@0
    size{instance="127.0.0.1", job="statsd", quantile="0.5"} 2@0
    size{instance="127.0.0.1", job="statsd", quantile="0.9"} 4@0
    size{instance="127.0.0.1", job="statsd", quantile="0.99"} 4@0
    users{instance="127.0.0.1", job="statsd"} 2@0
    wait_count{instance="127.0.0.1", job="statsd"} 3@0
    wait_sum{instance="127.0.0.1", job="statsd"} 1.75@0
    wait{instance="127.0.0.1", job="statsd", quantile="0.5"} 0.25@0
    wait{instance="127.0.0.1", job="statsd", quantile="0.9"} 0.75@0
    wait{instance="127.0.0.1", job="statsd", quantile="0.99"} 0.75@0
    "#);
    // Counts go on; sets and quantiles begin anew.
    insta::assert_snapshot!(series_text(&table.samples(NOW)), @r#"
    fuel{instance="127.0.0.1", job="statsd"} 5@0
    net_errors{deck="4", instance="127.0.0.1", job="statsd"} 5@0
    size_count{instance="127.0.0.1", job="statsd"} 4@0
    size_sum{instance="127.0.0.1", job="statsd"} 10@0
    users{instance="127.0.0.1", job="statsd"} 0@0
    wait_count{instance="127.0.0.1", job="statsd"} 3@0
    wait_sum{instance="127.0.0.1", job="statsd"} 1.75@0
    "#);
}

#[test]
fn what_cannot_be_taken_leaves_no_trace() {
    let long = format!("a:1|g|#t:{}", "x".repeat(series::LABEL_VALUE_BYTES_MAX + 1));
    let (mut table, refused) = gathered(&["a:x|c", "a:-1|c", "a:NaN|g", "字:1|c", &long]);
    assert_eq!(
        refused,
        ["value is not a number", "counter goes down", "value is not a number", "no name", "label value too long"]
    );
    assert!(table.samples(NOW).is_empty());
}

#[test]
fn a_name_keeps_its_type() {
    let (mut table, refused) = gathered(&["a:1|c", "a:1|g|#x:1"]);
    assert_eq!(refused, ["name has another type already"]);
    // Once the name has not been heard for long, it may come again as another.
    assert!(table.samples(NOW + UNHEARD_MAX + DurationMs(1)).is_empty());
    let (context, _) = context("statsd");
    assert_eq!(table.take(&context, &line::read("a:1|g").unwrap(), PEER, NOW), Ok(()));
}

#[test]
fn senders_of_one_name_are_told_apart() {
    let (context, _) = context("statsd");
    let mut table = Table::default();
    for (peer, text) in [("10.0.0.1", "a:1|c"), ("::ffff:10.0.0.2", "a:2|c"), ("10.0.0.3", "a:4|c|#host:bridge-pc")] {
        table.take(&context, &line::read(text).unwrap(), peer.parse().unwrap(), NOW).unwrap();
    }
    let samples = table.samples(NOW);
    insta::assert_snapshot!(series_text(&samples), @r#"
    a{host="bridge-pc", instance="10.0.0.3", job="statsd"} 4@0
    a{instance="10.0.0.1", job="statsd"} 1@0
    a{instance="10.0.0.2", job="statsd"} 2@0
    "#);
    assert_eq!(samples.iter().filter(|one| one.series.asset.as_str() == "bridge-pc").count(), 1);
}

#[test]
fn quantiles_of_very_many_values_stay_near() {
    let mut summary = Summary::default();
    for value in 0..100_000 {
        summary.add(f64::from(value), 1.0);
    }
    assert!(summary.values.len() <= VALUES_MAX);
    assert_eq!((summary.count, summary.sum), (100_000.0, 4_999_950_000.0));
    for ((_, value), expected) in summary.quantiles().into_iter().zip([50_000.0, 90_000.0, 99_000.0]) {
        assert!((value - expected).abs() < 100.0, "{value} is not near {expected}");
    }
}

proptest! {
    #[test]
    fn counters_add_up_whatever_the_intervals(values in prop::collection::vec((0_u32..1_000, any::<bool>()), 1..50)) {
        let (context, _) = context("statsd");
        let mut table = Table::default();
        for (value, flush) in &values {
            table.take(&context, &line::read(&format!("a:{value}|c")).unwrap(), PEER, NOW).unwrap();
            if *flush {
                table.samples(NOW);
            }
        }
        let sum: u32 = values.iter().map(|(value, _)| value).sum();
        prop_assert_eq!(table.samples(NOW)[0].samples[0].value, f64::from(sum));
    }
}
