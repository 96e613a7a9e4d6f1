use proptest::prelude::*;
use wk_types::{DurationMs, LogRecord, Seq, Severity, UtcMs};

use super::*;
use crate::testing::{DAY, fill, line, log, open, rows};
use crate::{Condition, LogField, SearchLimits, TailCursor, TextTest};

fn sample_log() -> impl Strategy<Value = LogRecord> {
    let words = prop::sample::select(vec!["link down", "Link UP", "disk full", "ok", "", "ÄRGER mit öl"]);
    (0_i64..50, 0..3_u8, 0..2_u8, 0..4_usize, words).prop_map(|(second, asset, app, severity, words)| {
        let time = DAY + DurationMs::from_secs(second);
        let mut log =
            log(time, &format!("h{asset}"), &format!("a{app}"), Severity::ALL[severity], &format!("{second} {words}"));
        if app == 0 {
            log.attributes = [("pid".into(), asset.to_string().into()), ("x".into(), "\"pid\":\"3".into())].into();
        }
        log
    })
}

fn sample_condition() -> impl Strategy<Value = Condition> {
    let text = prop::sample::select(vec!["link", "DOWN", "k f", "k", "äRGER", "öl", "4", "nowhere", ""]);
    let regular = prop::sample::select(vec!["link (down|UP)", "(?i)link up$", "^[0-9]+ ok", "d.sk", "(?i)äRGER"]);
    let test = prop_oneof![
        proptest::collection::vec(0..3_u8, 0..3).prop_map(|numbers| (
            LogField::Asset,
            TextTest::Is(numbers.iter().map(|n| format!("h{n}").into()).collect())
        )),
        (0..3_u8).prop_map(|number| (LogField::App, TextTest::Is(vec![format!("a{number}").into()]))),
        Just((LogField::App, TextTest::Contains("A1".to_owned()))),
        (0..4_usize).prop_map(|number| (LogField::Severity, TextTest::Is(vec![Severity::ALL[number].as_str().into()]))),
        text.prop_map(|text| (LogField::Message, TextTest::Contains(text.to_owned()))),
        regular.prop_map(|text| (LogField::Message, TextTest::Matches(text.to_owned()))),
        (0..50_u8).prop_map(|second| (LogField::Message, TextTest::Is(vec![format!("{second} ok").into()]))),
        (0..4_u8).prop_map(|number| (LogField::Attribute("pid".into()), TextTest::Is(vec![number.to_string().into()]))),
        Just((LogField::Template, TextTest::Contains(String::new()))),
        Just((LogField::Message, TextTest::Like("_%K%".to_owned()))),
    ];
    (test, any::<bool>()).prop_map(|((field, test), is_negated)| Condition { field, test, is_negated })
}

fn sample_query() -> impl Strategy<Value = LogQuery> {
    (
        (-5_i64..55, -5_i64..55, 0..40_usize, any::<bool>()),
        proptest::collection::vec(sample_condition(), 0..3),
        proptest::option::of(0..4_usize),
    )
        .prop_map(|((from, to, limit, newest_first), conditions, severity)| LogQuery {
            from: DAY + DurationMs::from_secs(from),
            to: DAY + DurationMs::from_secs(to),
            severity_min: severity.map(|number| Severity::ALL[number]),
            conditions,
            limit,
            newest_first,
            after: None,
        })
}

fn passes(log: &LogRecord, condition: &Condition) -> bool {
    let text = match &condition.field {
        LogField::Asset => Some(log.asset.as_str()),
        LogField::App => Some(&*log.app),
        LogField::Severity => Some(log.severity.as_str()),
        LogField::Message => Some(&*log.message),
        LogField::Template => None,
        LogField::Attribute(name) => log.attributes.get(name).map(|value| &**value),
    };
    let passes = text.is_some_and(|text| match &condition.test {
        TextTest::Is(values) => values.iter().any(|value| &**value == text),
        TextTest::Contains(part) => text.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
        TextTest::Matches(expression) => regex::Regex::new(expression).unwrap().is_match(text),
        TextTest::Like(pattern) => {
            let pattern = regex::escape(&pattern.to_ascii_lowercase()).replace('%', ".*").replace('_', ".");
            regex::Regex::new(&format!("(?s)^{pattern}$")).unwrap().is_match(&text.to_ascii_lowercase())
        }
    });
    passes != condition.is_negated
}

/// The rows wanted, by looking at each.
fn naive(logs: &[LogRecord], query: &LogQuery) -> Vec<(UtcMs, u64)> {
    let mut found: Vec<(UtcMs, u64)> = logs
        .iter()
        .zip(1..)
        .filter(|(log, _)| query.from <= log.time && log.time <= query.to)
        .filter(|(log, _)| query.severity_min.is_none_or(|severity| severity <= log.severity))
        .filter(|(log, _)| query.conditions.iter().all(|condition| passes(log, condition)))
        .map(|(log, seq)| (log.time, seq))
        .collect();
    found.sort_unstable();
    if query.newest_first {
        found.reverse();
    }
    found.truncate(query.limit);
    found
}

fn places(rows: &[LogRow]) -> Vec<(UtcMs, u64)> {
    rows.iter().map(|row| (row.time, row.seq.0)).collect()
}

fn limits() -> SearchLimits {
    SearchLimits::default()
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
            let found = places(&rows(&lake, &query));
            prop_assert_eq!(&found, &naive(&logs, &query), "{:?}", query);
            let all = naive(&logs, &LogQuery { limit: SEARCH_ROWS_MAX, ..query.clone() });
            let bins = lake.histogram(&query, DurationMs::from_secs(10), &limits()).unwrap().bins;
            prop_assert_eq!(bins.iter().flat_map(|bin| bin.counts).sum::<u64>() as usize, all.len());
            let fields = [LogField::App, LogField::Severity];
            let top = lake.top_values(&query, &fields, 1_000, &limits()).unwrap();
            prop_assert_eq!(top.rows as usize, all.len());
            prop_assert_eq!(top.top.iter().map(|one| one.count).sum::<u64>(), top.rows);
        }
    }

    /// Whatever is written, merged or comes in between two pages, all pages together are the answer of one.
    #[test]
    fn pages_lose_and_double_nothing(
        records in proptest::collection::vec(proptest::collection::vec(sample_log(), 1..5), 1..40),
        query in sample_query(), size in 1..7_usize, upkeep in any::<[bool; 4]>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (lake, _) = open(dir.path());
        for (seq, logs) in (1..).map(Seq).zip(&records) {
            lake.append(seq, DAY, logs).unwrap();
            if upkeep[seq.0 as usize % 4] {
                lake.flush().unwrap();
            }
        }
        let whole = rows(&lake, &LogQuery { limit: SEARCH_ROWS_MAX, ..query.clone() });
        let mut query = LogQuery { limit: size, ..query };
        let mut found = Vec::new();
        for round in 0_u64.. {
            let page = lake.search(&query, &limits()).unwrap();
            found.extend(page.rows);
            query.after = page.next.map(|next| next.to_string().parse().unwrap());
            if query.after.is_none() {
                break;
            }
            // A row beyond all pages that are still to come.
            let time = if query.newest_first { DAY + DurationMs::from_secs(60) } else { DAY - DurationMs::from_secs(60) };
            lake.append(Seq(1_000 + round), DAY, &[log(time, "h0", "a0", Severity::Info, "late")]).unwrap();
            match round % 3 {
                0 => lake.flush().unwrap(),
                1 => drop(lake.maintain(DAY).unwrap()),
                _ => {}
            }
        }
        prop_assert_eq!(found, whole);
    }

    /// Going on from where a tail ended gives every row once in the order of arrival.
    #[test]
    fn a_tail_gives_every_row_once(
        records in proptest::collection::vec(proptest::collection::vec(sample_log(), 0..5), 1..30),
        condition in sample_condition(), size in 1..7_usize, flushes in any::<u32>(), looks in any::<u32>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (lake, _) = open(dir.path());
        let query = LogQuery { limit: size, ..LogQuery::default() }.with(condition.clone());
        let mut next = lake.tail(&query, None, &limits()).unwrap().next;
        let mut found: Vec<(u64, u32)> = Vec::new();
        let mut look = |lake: &Lake| loop {
            let tail = lake.tail(&query, Some(next), &limits()).unwrap();
            found.extend(tail.rows.iter().map(|row| (row.seq.0, row.line)));
            next = tail.next;
            if !tail.has_more {
                assert_eq!(next, lake.newest().max(next));
                break;
            }
        };
        for (seq, logs) in (1..).map(Seq).zip(&records) {
            lake.append(seq, DAY, logs).unwrap();
            if flushes >> (seq.0 % 32) & 1 == 1 {
                lake.flush().unwrap();
                lake.maintain(DAY).unwrap();
            }
            if looks >> (seq.0 % 32) & 1 == 1 {
                look(&lake);
            }
        }
        look(&lake);
        let lines = (1_u64..).zip(&records).flat_map(|(seq, logs)| (0_u32..).zip(logs).map(move |(line, log)| (seq, line, log)));
        let expected: Vec<(u64, u32)> =
            lines.filter(|(.., log)| passes(log, &condition)).map(|(seq, line, _)| (seq, line)).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_tail_without_a_place_begins_with_the_newest_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    let query = LogQuery { limit: 3, ..LogQuery::default() };
    let tail = lake.tail(&query, None, &limits()).unwrap();
    assert_eq!(tail.rows.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [8, 9, 10]);
    assert_eq!(tail.next, lake.newest());
    fill(&lake, 10..12);
    let more = lake.tail(&query, Some(tail.next), &limits()).unwrap();
    assert_eq!(more.rows.iter().map(|row| row.seq.0).collect::<Vec<_>>(), [11, 12]);
}

#[test]
fn questions_stop_when_they_are_called_off_or_take_too_long() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    lake.flush().unwrap();
    let called_off = limits();
    called_off.cancel.cancel();
    let late = SearchLimits { time_max: DurationMs(0), ..limits() };
    let query = LogQuery::default();
    assert!(matches!(lake.search(&query, &called_off), Err(LakeError::Cancelled)));
    assert!(matches!(lake.histogram(&query, DurationMs(1_000), &called_off), Err(LakeError::Cancelled)));
    assert!(matches!(lake.search(&query, &late), Err(LakeError::TimeLimit { .. })));
    assert!(matches!(lake.top_values(&query, &[LogField::App], 1, &late), Err(LakeError::TimeLimit { .. })));
    assert!(matches!(lake.tail(&query, Some(TailCursor::default()), &late), Err(LakeError::TimeLimit { .. })));
}

#[test]
fn a_page_ends_where_its_bytes_do() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..10);
    let short = SearchLimits { bytes_max: 500, ..limits() };
    let page = lake.search(&LogQuery::default(), &short).unwrap();
    assert!(!page.rows.is_empty() && page.rows.len() < 10, "{}", page.rows.len());
    assert_eq!(page.next, page.rows.last().map(LogRow::cursor));
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
    let oldest = rows(&lake, &LogQuery { newest_first: false, ..LogQuery::default() });
    assert_eq!(oldest.iter().map(|row| &*row.message).collect::<Vec<_>>(), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn queries_beyond_their_bounds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..2);
    lake.append(Seq(9), DAY, &[log(UtcMs(0), "h", "a", Severity::Info, "1970")]).unwrap();
    assert!(lake.search(&LogQuery { limit: SEARCH_ROWS_MAX + 1, ..LogQuery::default() }, &limits()).is_err());
    assert!(lake.histogram(&LogQuery::default(), DurationMs(0), &limits()).is_err());
    let error = lake.histogram(&LogQuery::default(), DurationMs(1), &limits()).unwrap_err();
    assert!(error.to_string().contains("larger step"), "{error}");
    let matches = |text: &str| Condition::new(LogField::Message, TextTest::Matches(text.to_owned()));
    assert!(lake.search(&LogQuery::default().with(matches("(")), &limits()).is_err());
    assert_eq!(rows(&lake, &LogQuery { limit: 0, ..LogQuery::default() }), []);
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
    let found: Vec<UtcMs> = rows(&lake, &LogQuery::default()).iter().map(|row| row.time).collect();
    assert_eq!(found, [UtcMs::MAX, line(0).time, UtcMs::MIN]);
}
