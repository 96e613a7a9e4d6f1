use proptest::prelude::*;
use wk_types::{LogRecord, Seq};

use super::*;
use crate::testing::{DAY, fill, line, log, open};

fn sample_log() -> impl Strategy<Value = LogRecord> {
    let words = prop::sample::select(vec!["link down", "Link UP", "disk full", "ok", "", "ÄRGER mit öl"]);
    (0_i64..50, 0..3_u8, 0..2_u8, 0..4_usize, words).prop_map(|(second, asset, app, severity, words)| {
        let time = DAY + DurationMs::from_secs(second);
        log(time, &format!("h{asset}"), &format!("a{app}"), Severity::ALL[severity], &format!("{second} {words}"))
    })
}

fn sample_query() -> impl Strategy<Value = LogQuery> {
    let text = prop::sample::select(vec!["link", "DOWN", "k f", "k", "äRGER", "öl", "4", "nowhere"]);
    (
        (-5_i64..55, -5_i64..55, 0..40_usize, any::<bool>()),
        proptest::option::of(0..4_u8),
        proptest::option::of(0..3_u8),
        proptest::option::of(0..4_usize),
        proptest::option::of(text),
    )
        .prop_map(|((from, to, limit, newest_first), asset, app, severity, text)| LogQuery {
            from: DAY + DurationMs::from_secs(from),
            to: DAY + DurationMs::from_secs(to),
            asset: asset.map(|number| AssetId::from(format!("h{number}"))),
            app: app.map(|number| format!("a{number}").into()),
            severity_min: severity.map(|number| Severity::ALL[number]),
            contains: text.map(str::to_owned),
            limit,
            newest_first,
        })
}

/// The rows wanted, by looking at each.
fn naive(logs: &[LogRecord], query: &LogQuery) -> Vec<(UtcMs, u64)> {
    let holds = |message: &str, text: &str| message.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    let mut found: Vec<(UtcMs, u64)> = logs
        .iter()
        .zip(1..)
        .filter(|(log, _)| query.from <= log.time && log.time <= query.to)
        .filter(|(log, _)| query.asset.as_ref().is_none_or(|asset| *asset == log.asset))
        .filter(|(log, _)| query.app.as_ref().is_none_or(|app| *app == log.app))
        .filter(|(log, _)| query.severity_min.is_none_or(|severity| severity <= log.severity))
        .filter(|(log, _)| query.contains.as_ref().is_none_or(|text| holds(&log.message, text)))
        .map(|(log, seq)| (log.time, seq))
        .collect();
    found.sort_unstable();
    if query.newest_first {
        found.reverse();
    }
    found.truncate(query.limit);
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn search_finds_exactly_what_a_look_at_each_row_finds(
        logs in proptest::collection::vec(sample_log(), 0..120), cuts in proptest::collection::vec(0_usize..120, 0..4),
        queries in proptest::collection::vec(sample_query(), 6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (lake, _) = open(dir.path());
        for (index, log) in logs.iter().enumerate() {
            lake.append(Seq(index as u64 + 1), log.time, std::slice::from_ref(log)).unwrap();
            if cuts.contains(&index) {
                lake.flush().unwrap();
            }
        }
        for query in queries {
            let found: Vec<_> = lake.search(&query).unwrap().iter().map(|row| (row.time, row.seq.0)).collect();
            prop_assert_eq!(&found, &naive(&logs, &query), "{:?}", query);
            let everything = LogQuery { limit: SEARCH_ROWS_MAX, ..query.clone() };
            let bins = lake.histogram(&query, DurationMs::from_secs(10)).unwrap();
            let counted: u64 = bins.iter().flat_map(|bin| bin.counts).sum();
            prop_assert_eq!(counted as usize, naive(&logs, &everything).len());
        }
    }
}

#[test]
fn rows_of_one_instant_keep_the_order_they_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for seq in 1..=6 {
        lake.append(Seq(seq), DAY, &[log(DAY, "h", &format!("app-{}", seq % 3), Severity::Info, &seq.to_string())])
            .unwrap();
    }
    lake.flush().unwrap();
    let oldest = lake.search(&LogQuery { newest_first: false, ..LogQuery::default() }).unwrap();
    assert_eq!(oldest.iter().map(|row| &*row.message).collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_histogram_has_every_step_from_the_first_row_to_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for (seq, minute, severity) in [(1, 0, Severity::Info), (2, 0, Severity::Critical), (3, 3, Severity::Minor)] {
        let time = DAY + DurationMs::from_mins(minute);
        lake.append(Seq(seq), time, &[log(time, "h", "a", severity, "x")]).unwrap();
    }
    let bins = lake.histogram(&LogQuery::default(), DurationMs::from_mins(1)).unwrap();
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
    let top = lake.top_values(&LogQuery::default(), LogField::Asset, 2).unwrap();
    assert_eq!(top, [("host-0".to_owned(), 7), ("host-1".to_owned(), 7)]);
    let major = LogQuery { severity_min: Some(Severity::Major), ..LogQuery::default() };
    let severities = lake.top_values(&major, LogField::Severity, 9).unwrap();
    assert_eq!(severities, [("critical".to_owned(), 5), ("major".to_owned(), 5)]);
}

#[test]
fn queries_beyond_their_bounds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..2);
    lake.append(Seq(9), DAY, &[log(UtcMs(0), "h", "a", Severity::Info, "1970")]).unwrap();
    assert!(lake.search(&LogQuery { limit: SEARCH_ROWS_MAX + 1, ..LogQuery::default() }).is_err());
    assert!(lake.histogram(&LogQuery::default(), DurationMs(0)).is_err());
    let error = lake.histogram(&LogQuery::default(), DurationMs(1)).unwrap_err();
    assert!(error.to_string().contains("larger step"), "{error}");
    assert_eq!(lake.search(&LogQuery { limit: 0, ..LogQuery::default() }).unwrap(), []);
}

#[test]
fn times_at_the_ends_of_the_calendar_are_kept_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    for (seq, time) in [(1, UtcMs::MIN), (2, UtcMs::MAX), (3, line(0).time)] {
        lake.append(Seq(seq), DAY, &[log(time, "h", "a", Severity::Info, "x")]).unwrap();
    }
    lake.flush().unwrap();
    let (lake, _) = open(dir.path());
    let found: Vec<UtcMs> = lake.search(&LogQuery::default()).unwrap().iter().map(|row| row.time).collect();
    assert_eq!(found, [UtcMs::MAX, line(0).time, UtcMs::MIN]);
}
