use super::*;
use crate::testing::{NOW, context, series_text};
use crate::vessel::Quantity;

fn settings(resolution: Duration) -> InstrumentSettings {
    InstrumentSettings {
        job: "nmea",
        instance: "bridge".to_owned(),
        asset: "bridge".into(),
        resolution,
        labels: BTreeMap::new(),
    }
}

fn sampler() -> Sampler {
    Sampler::new(settings(Duration::from_secs(10)), "bridge".into())
}

fn after(seconds: i64) -> UtcMs {
    UtcMs(NOW.0 + seconds * 1_000)
}

#[test]
fn the_last_of_many_readings_is_kept_with_its_own_time() {
    let mut sampler = sampler();
    for tenth in 0..100 {
        sampler.hear(UtcMs(NOW.0 + tenth * 100));
        sampler.note("heave", &[], tenth as f64, UtcMs(NOW.0 + tenth * 100)).unwrap();
    }
    insta::assert_snapshot!(series_text(&sampler.take(after(10))), @r#"
    heave{instance="bridge", job="nmea"} 99@9900
    up{instance="bridge", job="nmea"} 1@10000
    "#);
    insta::assert_snapshot!(series_text(&sampler.take(after(20))), @r#"up{instance="bridge", job="nmea"} 1@20000"#);
}

#[test]
fn a_series_that_falls_silent_ends_and_the_source_is_down() {
    let mut sampler = sampler();
    sampler.hear(NOW);
    sampler.note("heave", &[], 1.0, NOW).unwrap();
    let _first = sampler.take(NOW);
    insta::assert_snapshot!(series_text(&sampler.take(after(31))), @r#"
    heave{instance="bridge", job="nmea"} stale@31000
    up{instance="bridge", job="nmea"} 0@31000
    "#);
    insta::assert_snapshot!(series_text(&sampler.take(after(41))), @r#"up{instance="bridge", job="nmea"} 0@41000"#);
}

#[test]
fn series_are_bounded() {
    let mut sampler = sampler();
    for at in 0..SERIES_MAX {
        sampler.note("x", &[("id", &at.to_string())], 0.0, NOW).unwrap();
    }
    assert_eq!(sampler.note("x", &[("id", "more")], 0.0, NOW), Err(NotNoted::TooManySeries));
    assert_eq!(sampler.note("", &[], 0.0, NOW), Err(NotNoted::Labels(series::BadLabels::NoName)));
}

#[tokio::test]
async fn readings_reach_the_log_and_impossible_ones_are_counted() {
    let (context, intake) = context("nmea");
    let mut instruments =
        Instruments::start(context.clone(), settings(Duration::from_secs(10)), &CancellationToken::new());
    instruments.heard(10);
    instruments.read(&Reading::new(Quantity::Latitude, 54.5), NOW);
    instruments.read(&Reading::new(Quantity::Latitude, 94.5), NOW);
    instruments.finish().await;
    assert_eq!(intake.series().len(), 2);
    let stats = context.stats.snapshot();
    assert_eq!((stats.received, stats.accepted, stats.bytes), (3, 2, 10));
    assert_eq!(stats.rejected[OUT_OF_RANGE].count, 1);
}

#[tokio::test]
async fn what_a_log_that_does_not_answer_cannot_take_is_counted_as_lost() {
    let (context, intake) = context("nmea");
    intake.hold();
    let mut instruments =
        Instruments::start(context.clone(), settings(Duration::from_secs(10)), &CancellationToken::new());
    instruments.flush();
    intake.until(|intake| intake.offered() == 1).await;
    for _ in 0..QUEUE_RECORDS_MAX + 3 {
        instruments.flush();
    }
    assert_eq!(context.stats.snapshot().lost["intake too slow"].count, 3);
    intake.release();
    instruments.finish().await;
    let stats = context.stats.snapshot();
    let lost: u64 = stats.lost.values().map(|one| one.count).sum();
    assert_eq!(stats.accepted + lost, stats.received);
}
