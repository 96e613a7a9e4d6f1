//! Search times over a million made lines. Run alone: `cargo test --release -p wk-lake --test it million -- --ignored`.

use std::time::Instant;

use wk_lake::{Condition, Lake, LakeOptions, LogField, LogQuery, SearchLimits, SqlLimits, SqlSources, TextTest};
use wk_types::{AssetId, DurationMs, LogRecord, Seq, Severity, UtcMs};

use crate::{cpu_seconds, open, peak_mib};

const START: UtcMs = UtcMs(1_795_478_400_000);
const LINES: u64 = 1_000_000;
const HOSTS: u64 = 257;
const LINES_PER_SECOND: u64 = 58;

/// The finaliser of splitmix64: neighbours have nothing in common.
fn mix(number: u64) -> u64 {
    let mut hash = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A made line of one of twelve shapes, shapes and hosts drawn unevenly.
fn made(number: u64) -> LogRecord {
    let draw = mix(number);
    let (host, shape, x) = ((draw % HOSTS).pow(2) / HOSTS, (draw >> 16) % 12, draw >> 32);
    let (app, severity, message) = match shape {
        0 | 1 => (
            "sshd",
            Severity::Info,
            format!("Accepted publickey for crew{} from 10.4.{}.{} port {}", x % 40, x % 7, x % 250, x % 60_000),
        ),
        2 => (
            "sshd",
            Severity::Minor,
            format!("Failed password for invalid user admin{} from 10.9.{}.7", x % 99, x % 250),
        ),
        3 | 4 => ("systemd", Severity::Info, format!("Started session {} of user deck{}.", x % 100_000, x % 12)),
        5 => ("kernel", Severity::Major, format!("eth{}: link is down after {} ms", x % 4, x % 5_000)),
        6 => ("kernel", Severity::Info, format!("usb {}-{}: new high-speed device number {}", x % 3, x % 8, x % 128)),
        7 | 8 => (
            "nginx",
            Severity::Info,
            format!("GET /charts/{:08x}.png 200 {} {:.3}", x as u32, x % 90_000, x as f64 % 7.0),
        ),
        9 => {
            ("dhcpd", Severity::Info, format!("DHCPACK on 10.4.{}.{} to {:012x}", x % 7, x % 250, x & 0xffff_ffff_ffff))
        }
        10 => (
            "modem",
            Severity::Info,
            format!("carrier SNR {}.{} dB azimuth {} elevation {}", x % 14, x % 10, x % 360, x % 90),
        ),
        _ => (
            "smartd",
            Severity::Minor,
            format!("Device sd{}: temperature changed to {} C", char::from(b'a' + (x % 6) as u8), 30 + x % 30),
        ),
    };
    let message = if number == LINES / 3 { "the needle: pump bearing 4711 seized".to_owned() } else { message };
    LogRecord {
        time: START + DurationMs((number * 1_000 / LINES_PER_SECOND) as i64),
        asset: AssetId::from(format!("host-{host}")),
        app: app.into(),
        severity,
        message: message.into(),
        attributes: wk_types::Attributes::new(),
    }
}

fn timed<T>(name: &str, mut run: impl FnMut() -> T) {
    let best = (0..3).map(|_| {
        let (start, before) = (Instant::now(), cpu_seconds());
        run();
        (start.elapsed().as_secs_f64() * 1e3, (cpu_seconds() - before) * 1e3)
    });
    let (wall, cpu) = best.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    println!("{name:<58} {wall:>8.1} ms ({cpu:.1} ms CPU)");
}

fn fill(lake: &Lake) {
    let (mut upkeep, before) = (0.0, cpu_seconds());
    for number in 0..LINES {
        let record = made(number);
        lake.append(Seq(number + 1), record.time, std::slice::from_ref(&record)).unwrap();
        if number % 17_400 == 0 {
            let start = cpu_seconds();
            lake.maintain(record.time).unwrap();
            upkeep += cpu_seconds() - start;
        }
    }
    lake.flush().unwrap();
    println!(
        "{LINES} lines: {:.1} s CPU with making them, {upkeep:.1} s of it upkeep, peak {} MiB",
        cpu_seconds() - before,
        peak_mib(),
    );
}

#[test]
#[ignore = "a measurement of about a minute"]
fn a_million_lines_are_searched() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path(), LakeOptions::default());
    fill(&lake);
    let stats = lake.stats();
    println!("{} files, {:.1} bytes a line", stats.files, stats.bytes as f64 / LINES as f64);
    let (query, limits) = (LogQuery::default, SearchLimits::default());
    let contains = |text: &str| query().with(Condition::contains(text));
    let search = |query: &LogQuery| lake.search(query, &limits).unwrap().rows;
    timed("newest 100", || assert_eq!(search(&query()).len(), 100));
    timed("newest 100 of one host", || search(&query().of_asset(&"host-200".into())));
    timed("newest 100 as bad as major", || search(&LogQuery { severity_min: Some(Severity::Major), ..query() }));
    timed("needle, one line in a million", || assert_eq!(search(&contains("BEARING 4711")).len(), 1));
    timed("text that is nowhere", || assert_eq!(search(&contains("segfault at")).len(), 0));
    let regular = Condition::new(LogField::Message, TextTest::Matches("bearing [0-9]+ seized$".to_owned()));
    timed("regular expression, one line in a million", || {
        assert_eq!(search(&query().with(regular.clone())).len(), 1);
    });
    timed("newest 100 with a frequent text", || search(&contains("link is down")));
    timed("oldest 10,000", || search(&LogQuery { limit: 10_000, newest_first: false, ..query() }));
    timed("histogram, 1 min steps, all", || lake.histogram(&query(), DurationMs::from_mins(1), &limits).unwrap());
    let top = |fields: &[LogField]| lake.top_values(&query(), fields, 1_000, &limits).unwrap();
    timed("most frequent apps, all", || top(&[LogField::App]));
    timed("count by app and severity, all", || top(&[LogField::App, LogField::Severity]));
    let sql = |text: &str| {
        lake.sql(
            &SqlSources { state_db: dir.path(), rollups: Err("no metrics".to_owned()) },
            text,
            &SqlLimits::default(),
        )
        .unwrap()
    };
    for text in [
        "SELECT count(*) FROM logs",
        "SELECT app, severity, count(*) FROM logs GROUP BY 1, 2",
        "SELECT * FROM logs WHERE message LIKE '%bearing 4711%'",
        "SELECT * FROM logs ORDER BY time DESC LIMIT 100",
        "SELECT asset, count(*) FROM logs WHERE severity = 'major' GROUP BY 1",
        "SELECT substr(time, 1, 16), count(*) FROM logs GROUP BY 1",
        "SELECT count(*) FROM logs WHERE time >= '2026-11-24T04:30:00Z'",
    ] {
        timed(text, || sql(text));
    }
    println!("peak {} MiB", peak_mib());
}
