use wk_types::{Seq, Severity};

use super::*;
use crate::testing::{DAY, fill, line, log, open};

fn limits() -> SearchLimits {
    SearchLimits::default()
}

#[test]
fn a_histogram_has_every_step_from_the_first_row_to_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for (seq, minute, severity) in [(1, 0, Severity::Info), (2, 0, Severity::Critical), (3, 3, Severity::Minor)] {
        let time = DAY + DurationMs::from_mins(minute);
        lake.append(Seq(seq), time, &[log(time, "h", "a", severity, "x")]).unwrap();
    }
    let bins = lake.histogram(&LogQuery::default(), DurationMs::from_mins(1), &limits()).unwrap().bins;
    assert_eq!(bins.iter().map(|bin| bin.counts).collect::<Vec<_>>(), [[1, 0, 0, 1], [0; 4], [0; 4], [0, 1, 0, 0]]);
    assert_eq!((bins[0].start, bins[3].start), (DAY, DAY + DurationMs::from_mins(3)));
}

#[test]
fn the_most_frequent_values_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    lake.flush().unwrap();
    fill(&lake, 10..20);
    let top = |query: &LogQuery, field: LogField, limit: usize| {
        let top = lake.top_values(query, &[field], limit, &limits()).unwrap();
        (
            top.top.iter().map(|one| (one.values[0].as_deref().map(str::to_owned), one.count)).collect::<Vec<_>>(),
            top.rows,
        )
    };
    let text = |text: &str| Some(text.to_owned());
    let all = LogQuery::default();
    assert_eq!(top(&all, LogField::Asset, 2), (vec![(text("host-0"), 7), (text("host-1"), 7)], 20));
    let major = LogQuery { severity_min: Some(Severity::Major), ..LogQuery::default() };
    assert_eq!(top(&major, LogField::Severity, 9), (vec![(text("critical"), 5), (text("major"), 5)], 10));
    assert_eq!(top(&all, LogField::Template, 9), (vec![(None, 20)], 20));
    assert_eq!(top(&all, LogField::Message, 1).0, [(text("request 0 took 0 ms"), 1)]);
}

#[test]
fn values_of_attributes_and_of_several_fields_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for seq in 1..=30_u64 {
        let mut record = line(seq as i64);
        if seq % 3 > 0 {
            record.attributes = [("unit".into(), format!("u{}", seq % 3).into())].into();
        }
        lake.append(Seq(seq), DAY, &[record]).unwrap();
        if seq % 7 == 0 {
            lake.flush().unwrap();
        }
    }
    let unit = LogField::Attribute("unit".into());
    let count = |fields: &[LogField]| {
        let top = lake.top_values(&LogQuery::default(), fields, 100, &limits()).unwrap();
        let line = |one: &ValueCount| {
            let values: Vec<&str> = one.values.iter().map(|value| value.as_deref().unwrap_or("-")).collect();
            format!("{} {}", values.join(" "), one.count)
        };
        assert_eq!((top.rows, top.distinct), (30, top.top.len()));
        top.top.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(count(&[unit.clone()]), ["- 10", "u1 10", "u2 10"]);
    assert_eq!(count(&[LogField::Asset, unit]), ["host-0 - 10", "host-1 u1 10", "host-2 u2 10"]);
    let names = [LogField::Asset, LogField::App, LogField::Severity];
    assert_eq!((count(&names[..2]).len(), count(&names).len()), (15, 30));
    assert!(lake.top_values(&LogQuery::default(), &[], 1, &limits()).is_err());
}
