//! The same rows and questions for ClickHouse and for the node's own lake: the answers must be the same.

use std::path::Path;
use std::sync::Arc;

use wk_connect::clickhouse::{ClickHouse, LogOutbox, OutboxOptions};
use wk_lake::{
    Condition, Lake, LakeError, LakeOptions, LogField, LogQuery, LogSource, SearchLimits, SqlLimits, SqlSources,
    TailCursor, TextTest,
};
use wk_store::io::SystemIo;
use wk_types::{Body, DurationMs, IntakeRecord, Seq, Severity, UtcMs};

use super::engine::Engine;
use super::{DAY, log, options, record_of, runtime};

/// Numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const ASSETS: [&str; 4] = ["bridge-pc", "radar", "Bridge-PC", "süd's"];
const APPS: [&str; 4] = ["dhcpd", "", "kernel", "DHCPD"];
const WORDS: [&str; 16] = [
    "lease",
    "LEASE",
    "100%",
    "a_b",
    "a\\b",
    "it's",
    "\"q\"",
    "é",
    "É",
    "tab\there",
    "line\nbreak",
    "?",
    "{x:String}",
    "-- no",
    "\u{1F6A2}",
    "nul\0nul",
];
const TIMES: [i64; 6] = [0, 1, 999, 60_000, -86_400_000 * 400, 86_400_000 * 9_000];

/// Records with lines of every sort.
fn records(seed: u64) -> Vec<Arc<IntakeRecord>> {
    let mut numbers = Numbers(seed);
    let mut seq = 0;
    let mut one = || {
        seq += 1 + numbers.below(3) as u64;
        let lines = (0..=numbers.below(4)).map(|_| {
            let words: Vec<&str> = (0..=numbers.below(4)).map(|_| numbers.one_of(&WORDS)).collect();
            let time = UtcMs(DAY.0 + numbers.one_of(&TIMES) + numbers.below(120) as i64 * 1_000);
            let severity = numbers.one_of(&Severity::ALL);
            let mut line = log(time, numbers.one_of(&ASSETS), numbers.one_of(&APPS), severity, &words.join(" "));
            for name in ["unit", "a.b", "it's", "empty"] {
                if numbers.below(3) == 0 {
                    let value = if name == "empty" { "" } else { numbers.one_of(&WORDS) };
                    line.attributes.insert(name.into(), value.into());
                }
            }
            line
        });
        record_of(seq, lines.collect())
    };
    (0..300).map(|_| one()).collect()
}

fn tests_of_texts() -> Vec<TextTest> {
    let mut tests: Vec<TextTest> = WORDS.iter().map(|word| TextTest::Contains((*word).to_owned())).collect();
    tests.extend(WORDS.iter().map(|word| TextTest::Is(vec![(*word).into(), "dhcpd".into(), "radar".into()])));
    for like in ["%lease%", "lease", "_ lease%", "%\\%", "%100%", "a_b%", "", "%", "%É"] {
        tests.push(TextTest::Like(like.to_owned()));
    }
    for expression in
        ["lease", "(?i)LEASE", "^lease", "break$", "(?m)^break$", "a.b", r"\d{3}%", "(?s)line.break", "e+|é", "[^a-z]x"]
    {
        tests.push(TextTest::Matches(expression.to_owned()));
    }
    tests.push(TextTest::Contains(String::new()));
    tests.push(TextTest::Matches(r"\w\s\w".to_owned()));
    tests
}

fn queries() -> Vec<LogQuery> {
    let fields = [
        LogField::Message,
        LogField::Asset,
        LogField::App,
        LogField::Severity,
        LogField::Template,
        LogField::Attribute("unit".into()),
        LogField::Attribute("it's".into()),
        LogField::Attribute("empty".into()),
        LogField::Attribute("none".into()),
    ];
    let mut queries = vec![
        LogQuery::default(),
        LogQuery { from: DAY, ..LogQuery::default() },
        LogQuery { to: DAY, ..LogQuery::default() },
        LogQuery { from: UtcMs(DAY.0 + 5_000), to: UtcMs(DAY.0 + 70_000), ..LogQuery::default() },
        LogQuery { from: UtcMs(1), to: UtcMs(0), ..LogQuery::default() },
        LogQuery { severity_min: Some(Severity::Major), ..LogQuery::default() },
        LogQuery::default().with(Condition::is(LogField::Severity, "minor")).with(Condition::contains("lease")),
        LogQuery::default().of_asset(&"radar".into()).with(Condition::is(LogField::App, "")),
    ];
    for (at, test) in tests_of_texts().into_iter().enumerate() {
        // Every test on messages; on the other fields in turns, so that the run stays short.
        for field in [&fields[0], &fields[1 + at % (fields.len() - 1)]] {
            let condition = Condition::new(field.clone(), test.clone());
            let condition = if at % 3 == 0 { condition.negated() } else { condition };
            queries.push(LogQuery::default().with(condition));
        }
    }
    queries
}

/// Both stores with the same records, sent as the node sends them.
struct Both {
    lake: Lake,
    store: ClickHouse,
    _runtime: tokio::runtime::Runtime,
    _dir: tempfile::TempDir,
}

impl Both {
    fn with(engine: &Engine, database: &str, records: &[Arc<IntakeRecord>]) -> Self {
        let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
        let io = Arc::new(SystemIo);
        let (lake, _) = Lake::open(io.clone(), &dir.path().join("logs"), LakeOptions::default()).unwrap();
        let store = ClickHouse::new(options(engine.port, database), runtime.handle().clone()).unwrap();
        let outbox = OutboxOptions {
            is_pressed: Box::new(|| false),
            spill: None,
            told: Box::new(|refused| Err(format!("{refused:?}").into())),
            start: Seq(0),
        };
        let mut outbox = LogOutbox::open(io, dir.path(), store.clone(), outbox).unwrap();
        for (at, some) in records.chunks(100).enumerate() {
            for record in some {
                let Body::Logs(logs) = &record.body else { continue };
                lake.append(record.seq, record.received, logs).unwrap();
            }
            if at == 0 {
                lake.flush().unwrap();
            }
            outbox.take(some, some.last().unwrap().seq).unwrap();
            outbox.finish().unwrap();
        }
        Self { lake, store, _runtime: runtime, _dir: dir }
    }
}

fn limits() -> SearchLimits {
    SearchLimits { time_max: DurationMs::from_secs(60), ..SearchLimits::default() }
}

/// All pages of a query.
fn pages(source: &dyn LogSource, query: &LogQuery) -> Vec<Vec<wk_lake::LogRow>> {
    let mut query = query.clone();
    let mut pages = Vec::new();
    loop {
        let page = source.search(&query, &limits()).unwrap();
        pages.push(page.rows);
        match page.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn searches_answer_as_the_lake_does() {
    let Some(engine) = Engine::shared("clickhouse: searches_answer_as_the_lake_does") else { return };
    let both = Both::with(engine, "searches", &records(1));
    let mut found = 0;
    for query in queries() {
        for newest_first in [true, false] {
            let query = LogQuery { newest_first, limit: 10_000, ..query.clone() };
            let (ours, theirs) = (pages(&both.lake, &query), pages(&both.store, &query));
            assert_eq!(theirs, ours, "{query:?}");
            found += ours.iter().flatten().count();
        }
    }
    assert!(found > 10_000, "{found} rows");
    for newest_first in [true, false] {
        let query = LogQuery { newest_first, limit: 37, severity_min: Some(Severity::Minor), ..LogQuery::default() };
        let (ours, theirs) = (pages(&both.lake, &query), pages(&both.store, &query));
        assert!(ours.len() > 10);
        assert_eq!(theirs, ours, "page by page");
    }
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn counts_answer_as_the_lake_does() {
    let Some(engine) = Engine::shared("clickhouse: counts_answer_as_the_lake_does") else { return };
    let both = Both::with(engine, "counts", &records(2));
    let near = |query: LogQuery| LogQuery { from: UtcMs(DAY.0 - 1), to: UtcMs(DAY.0 + 3_600_000), ..query };
    let fields = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<LogField>>();
    for query in queries().into_iter().step_by(9) {
        for step in [DurationMs(1_000), DurationMs(7_777), DurationMs::from_hours(24 * 365)] {
            let near = if step.0 < 10_000 { near(query.clone()) } else { query.clone() };
            let ours = both.lake.histogram(&near, step, &limits()).unwrap();
            assert_eq!(both.store.histogram(&near, step, &limits()).unwrap().bins, ours.bins, "{near:?}");
        }
        for names in [
            &["asset"][..],
            &["severity", "app"],
            &["attributes.unit", "template"],
            &["message"],
            &["attributes.empty", "asset", "app", "severity"],
        ] {
            for limit in [3, if names.len() == 1 { 0 } else { 1_000 }] {
                let (lake, store) = (&both.lake, &both.store);
                let mut ours = lake.top_values(&query, &fields(names), limit, &limits()).unwrap();
                let mut theirs = store.top_values(&query, &fields(names), limit, &limits()).unwrap();
                (ours.scanned, theirs.scanned) = Default::default();
                assert_eq!(theirs, ours, "{names:?} of {query:?}");
            }
        }
    }
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_follower_sees_every_line_once() {
    let Some(engine) = Engine::shared("clickhouse: a_follower_sees_every_line_once") else { return };
    let both = Both::with(engine, "follower", &records(3));
    let query = LogQuery { limit: 50, ..LogQuery::default() };
    let (ours, theirs) = (both.lake.tail(&query, None, &limits()), both.store.tail(&query, None, &limits()));
    assert_eq!(theirs.unwrap(), ours.unwrap());
    assert_eq!(LogSource::newest(&both.store), both.lake.newest());
    let mut at = TailCursor::default();
    let mut seen = 0;
    loop {
        let (ours, theirs) = (
            both.lake.tail(&query, Some(at), &limits()).unwrap(),
            both.store.tail(&query, Some(at), &limits()).unwrap(),
        );
        assert_eq!(theirs, ours);
        seen += ours.rows.len();
        at = ours.next;
        if !ours.has_more {
            break;
        }
    }
    assert_eq!(seen, pages(&both.lake, &LogQuery { limit: 10_000, ..LogQuery::default() })[0].len());
}

const STATEMENTS: [&str; 18] = [
    "SELECT * FROM logs ORDER BY time DESC LIMIT 20",
    "SELECT * FROM logs ORDER BY time LIMIT 10 OFFSET 5",
    "SELECT count(*) FROM logs",
    "SELECT app, count(*) FROM logs GROUP BY app ORDER BY app",
    "SELECT asset, severity, count(*) FROM logs WHERE message LIKE '%lease%' GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT count(*) FROM logs WHERE message LIKE '%100\\%%'",
    "SELECT count(*) FROM logs WHERE message LIKE 'a_b%' AND asset = 'radar'",
    "SELECT count(*) FROM logs WHERE severity IN ('major', 'critical') OR asset = 'bridge-pc'",
    "SELECT count(*) FROM logs WHERE time >= '2026-11-24' AND time < '2026-11-24 00:01:00'",
    "SELECT message, count(*) AS n FROM logs GROUP BY message ORDER BY n DESC, message LIMIT 10",
    "SELECT count(DISTINCT message), count(template), count(attributes) FROM logs",
    "SELECT json_extract(attributes, '$.unit') AS unit, count(*) FROM logs GROUP BY unit ORDER BY unit",
    "SELECT a.message FROM logs a JOIN logs b ON a.asset = b.asset AND b.app = '' WHERE a.severity = 'critical' AND a.app = 'kernel' AND a.asset = 'radar' ORDER BY a.time, a.message LIMIT 5",
    "SELECT length(message), hex(message) FROM logs WHERE app = 'kernel' ORDER BY 2, 1 LIMIT 7",
    "SELECT count(*) FROM logs WHERE app = 'it''s' OR asset = 'süd''s'",
    "SELECT strftime('%Y', time) AS year, count(*) FROM logs GROUP BY year ORDER BY year",
    "SELECT count(*) FROM logs WHERE app = 'no such'",
    "WITH bad AS (SELECT * FROM logs WHERE severity = 'critical') SELECT app, max(time) FROM bad GROUP BY app ORDER BY app",
];

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn sql_answers_as_over_the_lake() {
    let Some(engine) = Engine::shared("clickhouse: sql_answers_as_over_the_lake") else { return };
    let both = Both::with(engine, "statements", &records(4));
    let sources = SqlSources { state_db: Path::new("/nowhere"), rollups: Err("none here".to_owned()) };
    let limits = SqlLimits { time_max: DurationMs::from_secs(60), ..SqlLimits::default() };
    for statement in STATEMENTS {
        let ours = both.lake.sql(&sources, statement, &limits).unwrap();
        let theirs = LogSource::sql(&both.store, &sources, statement, &[], &limits).unwrap();
        assert_eq!(theirs, ours, "{statement}");
        assert!(!ours.rows.is_empty(), "{statement}");
    }
    let denied = LogSource::sql(&both.store, &sources, "SELECT * FROM system.tables", &[], &limits).unwrap_err();
    assert!(matches!(denied, LakeError::Query { .. } | LakeError::Denied { .. }), "{denied}");
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn one_ship_sees_its_own_lines_only() {
    let Some(engine) = Engine::shared("clickhouse: one_ship_sees_its_own_lines_only") else { return };
    let both = Both::with(engine, "fleet", &records(5));
    let runtime = runtime();
    let other =
        wk_connect::clickhouse::ClickHouseOptions { vessel: "vessel-2".into(), ..options(engine.port, "fleet") };
    let other = ClickHouse::new(other, runtime.handle().clone()).unwrap();
    assert_eq!(super::all(&other), []);
    let one = super::record(1);
    other.insert(one.received, &super::lines(&one)).unwrap();
    assert_eq!(super::all(&other).len(), 1);
    let query = LogQuery { limit: 10_000, ..LogQuery::default() };
    assert_eq!(pages(&both.store, &query), pages(&both.lake, &query));
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_question_beyond_its_bounds_is_refused_with_what_to_do() {
    let Some(engine) = Engine::shared("clickhouse: a_question_beyond_its_bounds") else { return };
    let both = Both::with(engine, "bounds", &records(6));
    let store = &both.store;
    let refused = |query: LogQuery| store.search(&query, &limits()).unwrap_err();
    assert!(matches!(refused(LogQuery { limit: 10_001, ..LogQuery::default() }), LakeError::Query { .. }));
    let long = "x".repeat(1_001);
    assert!(matches!(refused(LogQuery::default().with(Condition::contains(long))), LakeError::Query { .. }));
    let regular = |text: &str| Condition::new(LogField::Message, TextTest::Matches(text.to_owned()));
    assert!(matches!(refused(LogQuery::default().with(regular("("))), LakeError::Query { .. }));
    assert!(matches!(refused(LogQuery::default().with(regular("a{2000}"))), LakeError::Query { .. }));
    let wide = store.histogram(&LogQuery::default(), DurationMs(1), &limits()).unwrap_err();
    assert!(wide.to_string().contains("larger step"), "{wide}");
    let cancelled = limits();
    cancelled.cancel.cancel();
    assert!(matches!(store.search(&LogQuery::default(), &cancelled), Err(LakeError::Cancelled)));
    let few = SearchLimits { bytes_max: 2_000, ..limits() };
    let page = store.search(&LogQuery { limit: 1_000, ..LogQuery::default() }, &few).unwrap();
    let ours = both.lake.search(&LogQuery { limit: 1_000, ..LogQuery::default() }, &few).unwrap();
    assert_eq!((page.rows, page.next), (ours.rows, ours.next));
}
