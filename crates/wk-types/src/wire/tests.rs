use proptest::prelude::*;

use super::*;
use crate::command::{Command, Verb};
use crate::id::{CommandId, IncidentId, Seq};
use crate::intake::{Body, IntakeRecord};
use crate::labels::Labels;
use crate::log::LogRecord;
use crate::series::{Sample, Series, SeriesSamples};
use crate::severity::Severity;
use crate::time::UtcMs;
use std::sync::Arc;

fn decode(bytes: &[u8]) -> Result<Vec<IntakeRecord>, WireError> {
    Decoder::new().decode(bytes)
}

fn record(seq: u64, body: Body) -> IntakeRecord {
    IntakeRecord { seq: Seq(seq), received: UtcMs(1_700_000_000_000), source: "test".into(), body }
}

fn any_text() -> impl Strategy<Value = Arc<str>> {
    "[a-c]{0,3}|\\PC{0,12}".prop_map(Into::into)
}

fn any_samples() -> impl Strategy<Value = Body> {
    let sample = (any::<i64>(), any::<u64>());
    let few = proptest::collection::vec((any_text(), any_text()), 0..4);
    let many = (0_usize..90, any_text()).prop_map(|(count, text)| {
        (0..count)
            .map(|at| (Arc::from(format!("l{at}")), if at % 2 == 0 { Arc::clone(&text) } else { "v".into() }))
            .collect()
    });
    let series = (prop_oneof![few, many], proptest::collection::vec(sample, 0..5));
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
            attributes: attributes.into_iter().collect(),
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
                for one in series.iter() {
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
        // What was decoded shares its texts, what is encoded from it is the same.
        prop_assert_eq!(encode(&back), encode(&records));
    }

    #[test]
    fn a_decoder_that_has_met_other_batches_reads_the_same(
        batches in proptest::collection::vec(proptest::collection::vec(any_samples(), 0..3), 1..4),
    ) {
        let mut decoder = Decoder::new();
        for bodies in batches {
            let records: Vec<_> = bodies.into_iter().map(|body| record(1, body)).collect();
            let bytes = encode(&records);
            prop_assert_eq!(shape(&decoder.decode(&bytes).unwrap()), shape(&records));
        }
    }

    #[test]
    fn hostile_bytes_give_an_error_or_records_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        let _ = decode(&[&[1], &bytes[..]].concat());
    }

    #[test]
    fn damaged_batches_give_an_error_or_records_never_a_panic(
        body in prop_oneof![any_samples(), any_logs()],
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = encode(&[record(1, body)]);
        let cut = cut.index(bytes.len());
        prop_assert!(decode(&bytes[..cut]).is_err());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
    }
}

#[test]
fn numbers_beyond_their_range_are_refused() {
    for hostile in [&[0xff; 10][..], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[1, 0xff, 0xff, 3]]
    {
        assert!(matches!(decode(hostile), Err(WireError::Damaged { .. })));
    }
}

#[test]
fn few_bytes_do_not_become_many_labels() {
    let labels = Labels::new((0..60).map(|at| (format!("l{at:02}"), "v".to_owned())));
    let series = SeriesSamples { series: Arc::new(Series::new(labels, "a".into())), samples: vec![] };
    let body = Body::Samples(vec![series; LABELS_MAX / 60 + 1].into());
    let bytes = encode(&[record(1, body)]);
    assert!(bytes.len() < 1 << 20);
    assert!(matches!(decode(&bytes), Err(WireError::Damaged { .. })));
}

fn one(labels: &Labels, asset: &str) -> Body {
    let series = Arc::new(Series::new(labels.clone(), asset.into()));
    Body::Samples([SeriesSamples { series, samples: vec![Sample::new(UtcMs(5), 1.5)] }].into())
}

#[test]
fn a_series_that_comes_again_is_the_same_in_memory_until_it_changes_hands() {
    let labels = Labels::metric("up", &[("job", "node")]);
    let mut decoder = Decoder::new();
    let mut series = |asset| {
        let records = decoder.decode(&encode(&[record(1, one(&labels, asset))])).unwrap();
        let Body::Samples(series) = &records[0].body else { unreachable!() };
        Arc::clone(&series[0].series)
    };
    let (first, second, third) = (series("a"), series("a"), series("b"));
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!((first.asset.as_str(), third.asset.as_str(), &third.labels), ("a", "b", &labels));
}

#[test]
fn labels_of_neighbours_are_written_once() {
    let series = |at: usize| {
        let at = at.to_string();
        let labels = Labels::metric("node_network_receive_bytes_total", &[("job", "node"), ("device", &at)]);
        SeriesSamples { series: Arc::new(Series::new(labels, "bridge-pc".into())), samples: vec![] }
    };
    let batch = |count| encode(&[record(1, Body::Samples((0..count).map(series).collect()))]).len();
    // The text and its length, the label, what differs and where, the asset, the counts of labels and samples.
    assert_eq!(batch(60) - batch(50), 10 * (3 + 2 + 2 + 1 + 2));
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
    assert!(matches!(decode(&[FORMAT as u8 + 1]), Err(WireError::Newer { found: 2 })));
}

/// One record of each kind, as version 0.1.0 wrote them.
const FIXTURE: &str = "\
    01040c040409080f0604030404040302746573746272696467652d70635f5f6e616d655f5f6e6f64655f6e6574776f726b5f7570646576\
    696365657468306a6f626e6f6465657468317373686470696431370204060403050708010e80a0abfef962000203010103030201070001\
    02020300afea01a4ee01009a9c00997500990000998800993c0099e4f0b9373fbf7e020200000101cf0f010901010a0b136772c3b6c39f\
    657220616c73206ec3b67469670302000004040000457b226964223a22636d642d31222c226279223a6e756c6c2c2276657262223a7b22\
    76657262223a227265736f6c7665222c22696e636964656e74223a22696e632d31227d7d\
    ";

#[test]
fn format_1_is_read_for_ever() {
    let node = |device: &str| Labels::metric("node_network_up", &[("device", device), ("job", "node")]);
    let series = |device: &str, points: &[(i64, f64)]| SeriesSamples {
        series: Arc::new(Series::new(node(device), "bridge-pc".into())),
        samples: points.iter().map(|(time, value)| Sample::new(UtcMs(*time), *value)).collect(),
    };
    let log = LogRecord {
        time: UtcMs(1_699_999_999_000),
        asset: "bridge-pc".into(),
        app: "sshd".into(),
        severity: Severity::Minor,
        message: "größer als nötig".into(),
        attributes: [("pid".into(), "17".into())].into(),
    };
    let command =
        Command { id: CommandId::from("cmd-1"), by: None, verb: Verb::Resolve { incident: IncidentId::from("inc-1") } };
    let samples = vec![
        series("eth0", &[(1_700_000_000_000, 1.0), (1_699_999_985_000, -0.1)]),
        series("eth1", &[(1_700_000_000_250, 1e300)]),
    ];
    let records = [
        record(7, Body::Samples(samples.into())),
        record(8, Body::Logs([log].into())),
        record(9, Body::Tick),
        record(11, Body::Command(Box::new(command))),
    ];
    let bytes: Vec<u8> =
        (0..FIXTURE.len()).step_by(2).map(|at| u8::from_str_radix(&FIXTURE[at..at + 2], 16).unwrap()).collect();
    let written: String = encode(&records).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, FIXTURE, "what is written has changed: it needs a format number of its own");
    assert_eq!(decode(&bytes).unwrap(), records);
}
