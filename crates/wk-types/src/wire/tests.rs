use proptest::prelude::*;

use super::*;
use crate::command::Verb;
use crate::id::{CommandId, IncidentId};

fn record(seq: u64, body: Body) -> IntakeRecord {
    IntakeRecord { seq: Seq(seq), received: UtcMs(1_700_000_000_000), source: "test".into(), body }
}

fn any_text() -> impl Strategy<Value = Arc<str>> {
    "[a-c]{0,3}|\\PC{0,12}".prop_map(Into::into)
}

fn any_samples() -> impl Strategy<Value = Body> {
    let sample = (any::<i64>(), any::<u64>()).prop_map(|(time, bits)| (time, bits));
    let series = (proptest::collection::vec((any_text(), any_text()), 0..4), proptest::collection::vec(sample, 0..5));
    proptest::collection::vec(series, 0..4).prop_map(|all| {
        let series = all.into_iter().map(|(labels, points)| SeriesSamples {
            series: Arc::new(Series::new(Labels::new(labels), "bridge-pc".into())),
            samples: points.into_iter().map(|(t, bits)| Sample::new(UtcMs(t), f64::from_bits(bits))).collect(),
        });
        Body::Samples(series.collect())
    })
}

fn any_logs() -> impl Strategy<Value = Body> {
    let log = (
        any::<i64>(),
        any_text(),
        any_text(),
        0_usize..4,
        proptest::collection::btree_map(any_text(), any_text(), 0..3),
    );
    proptest::collection::vec(log, 0..4).prop_map(|logs| {
        let logs = logs.into_iter().map(|(time, app, message, severity, attributes)| LogRecord {
            time: UtcMs(time),
            asset: "bridge-pc".into(),
            app,
            severity: Severity::ALL[severity],
            message,
            attributes,
        });
        Body::Logs(logs.collect())
    })
}

/// Bit patterns, because NaN is unlike itself.
fn shape(records: &[IntakeRecord]) -> String {
    let mut text = String::new();
    for record in records {
        match &record.body {
            Body::Samples(series) => {
                for one in series {
                    text += &format!("{:?}", one.series);
                    for sample in &one.samples {
                        text += &format!("{}={:x};", sample.time.0, sample.value.to_bits());
                    }
                }
            }
            other => text += &format!("{other:?}"),
        }
    }
    text
}

proptest! {
    #[test]
    fn records_come_back_as_they_went_in(bodies in proptest::collection::vec(prop_oneof![any_samples(), any_logs()], 0..4)) {
        let records: Vec<_> = bodies.into_iter().enumerate().map(|(at, body)| record(at as u64, body)).collect();
        let back = decode(&encode(&records)).unwrap();
        prop_assert_eq!(shape(&back), shape(&records));
    }

    #[test]
    fn hostile_bytes_give_an_error_or_records_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
    }
}

#[test]
fn commands_and_ticks_come_back() {
    let command = Command {
        id: CommandId::from("cmd-1"),
        by: Some("person-1".into()),
        verb: Verb::Acknowledge { incident: IncidentId::from("inc-1") },
    };
    let records = vec![record(1, Body::Tick), record(2, Body::Command(Box::new(command)))];
    assert_eq!(decode(&encode(&records)).unwrap(), records);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let bytes = Batch { format: FORMAT + 1, texts: vec![], records: vec![] }.encode_to_vec();
    assert!(matches!(decode(&bytes), Err(WireError::Newer { found: 2 })));
}

#[test]
fn format_1_is_read_for_ever() {
    // A tick at 1700000000000 from the source "test", as version 0.1.0 wrote it.
    let fixture = "08011204746573741a0b08011080a0abfef9623001";
    let bytes: Vec<u8> =
        (0..fixture.len()).step_by(2).map(|at| u8::from_str_radix(&fixture[at..at + 2], 16).unwrap()).collect();
    assert_eq!(decode(&bytes).unwrap(), [record(1, Body::Tick)]);
}
