use wk_types::{AssetId, Direction, Evidence, IncidentId, IncidentState, Labels, RuleKind, RuleRef, Seq, SignalId};

use super::*;

const OPENED: UtcMs = UtcMs(1_764_000_000_000);

fn signal(n: u64) -> Signal {
    Signal {
        id: SignalId::from(format!("sig-{n:016x}")),
        asset: AssetId::from("bridge-pc"),
        rule: RuleRef { kind: RuleKind::Rule, name: "DiskFilling".to_owned() },
        metric: "node_filesystem_avail_bytes".to_owned(),
        labels: Labels::metric("node_filesystem_avail_bytes", &[("mountpoint", "/data")]),
        title: "/data on bridge-pc is filling up".to_owned(),
        severity: Severity::Major,
        score: 0.9,
        direction: Direction::Down,
        started: UtcMs(OPENED.0 - 300_000),
        raised: OPENED,
        ended: None,
        input: Seq(n),
        evidence: Evidence {
            observed: 0.04,
            unit: "ratio".to_owned(),
            expected: None,
            detail: "4 % of 512 GB are free and it shrinks by 2 GB an hour: full in about 10 h. The rule asks for less than 10 % for 5 min.".to_owned(),
            query: "node_filesystem_avail_bytes{mountpoint=\"/data\"}".to_owned(),
            recent: Vec::new(),
        },
    }
}

fn incident() -> Incident {
    Incident {
        id: IncidentId::from("inc-00000000000000a1"),
        number: 7,
        title: "/data on bridge-pc is filling up".to_owned(),
        state: IncidentState::Open,
        severity: Severity::Major,
        opened: OPENED,
        acknowledged: None,
        acknowledged_by: None,
        resolved: None,
        reopened_count: 0,
        assets: vec![AssetId::from("bridge-pc")],
        signals: vec![SignalId::from("sig-0000000000000001")],
    }
}

fn words(occasion: Occasion<'_>, incident: &Incident, signals: &[Signal]) -> Words {
    let vessel = VesselId::from("vessel-0123456789abcdef");
    let about = Subject {
        incident,
        signals,
        vessel: &vessel,
        console_url: "http://127.0.0.1:8484/",
        at: UtcMs(OPENED.0 + 720_000),
    };
    compose(occasion, &about)
}

fn shown(words: &Words) -> String {
    format!("Subject: {}\n\n{}", words.subject, words.body)
}

#[test]
fn an_incident_that_began() {
    let words = words(Occasion::Opened, &incident(), &[signal(1)]);
    assert_eq!(words.class, MessageClass::Alert);
    insta::assert_snapshot!(shown(&words), @r#"
    Subject: [Watchkeeper] MAJOR: /data on bridge-pc is filling up

    /data on bridge-pc is filling up

    Asset         bridge-pc
    Metric        node_filesystem_avail_bytes
    Severity      major
    Since         2025-11-24 15:55:00 UTC

    What was seen
      - /data on bridge-pc is filling up (DiskFilling)
        4 % of 512 GB are free and it shrinks by 2 GB an hour: full in about
        10 h. The rule asks for less than 10 % for 5 min.

    What to do
      http://127.0.0.1:8484/incidents/inc-00000000000000a1
      watchkeeper trace inc-00000000000000a1
      watchkeeper query promql 'node_filesystem_avail_bytes{mountpoint="/data"}'

    -- 
    Watchkeeper on vessel-0123456789abcdef
    Incident 7, inc-00000000000000a1
    "#);
}

#[test]
fn an_incident_that_healed() {
    let resolved = Incident { state: IncidentState::Resolved, resolved: Some(UtcMs(OPENED.0 + 720_000)), ..incident() };
    let words = words(Occasion::Resolved { reason: "all its signals ended", by_hand: false }, &resolved, &[signal(1)]);
    assert_eq!(words.class, MessageClass::Recovery);
    insta::assert_snapshot!(shown(&words), @r#"
    Subject: [Watchkeeper] Resolved: /data on bridge-pc is filling up

    Healed by itself: /data on bridge-pc is filling up

    Asset         bridge-pc
    Metric        node_filesystem_avail_bytes
    Severity      major
    Since         2025-11-24 15:55:00 UTC
    Until         2025-11-24 16:12:00 UTC, after 17 min
    Over because  all its signals ended

    What was seen
      - /data on bridge-pc is filling up (DiskFilling)
        4 % of 512 GB are free and it shrinks by 2 GB an hour: full in about
        10 h. The rule asks for less than 10 % for 5 min.

    What to do
      Nothing at once. To see what happened:
      http://127.0.0.1:8484/incidents/inc-00000000000000a1
      watchkeeper trace inc-00000000000000a1
      watchkeeper query promql 'node_filesystem_avail_bytes{mountpoint="/data"}'

    -- 
    Watchkeeper on vessel-0123456789abcdef
    Incident 7, inc-00000000000000a1
    "#);
}

#[test]
fn an_incident_that_came_and_went_before_anybody_could_be_told() {
    let resolved = Incident {
        state: IncidentState::Resolved,
        resolved: Some(UtcMs(OPENED.0 + 720_000)),
        reopened_count: 2,
        ..incident()
    };
    let words =
        words(Occasion::CameAndWent { reason: "all its signals ended", by_hand: false }, &resolved, &[signal(1)]);
    insta::assert_snapshot!(shown(&words), @r#"
    Subject: [Watchkeeper] Came and went: /data on bridge-pc is filling up

    Was broken for 17 min, healed by itself: /data on bridge-pc is filling
    up

    Asset         bridge-pc
    Metric        node_filesystem_avail_bytes
    Severity      major
    Since         2025-11-24 15:55:00 UTC
    Until         2025-11-24 16:12:00 UTC, after 17 min
    Over because  all its signals ended
    Came back     2 times

    What was seen
      - /data on bridge-pc is filling up (DiskFilling)
        4 % of 512 GB are free and it shrinks by 2 GB an hour: full in about
        10 h. The rule asks for less than 10 % for 5 min.

    What to do
      Nothing at once. To see what happened:
      http://127.0.0.1:8484/incidents/inc-00000000000000a1
      watchkeeper trace inc-00000000000000a1
      watchkeeper query promql 'node_filesystem_avail_bytes{mountpoint="/data"}'

    -- 
    Watchkeeper on vessel-0123456789abcdef
    Incident 7, inc-00000000000000a1
    "#);
}

#[test]
fn subjects_say_what_happened() {
    let subject = |occasion| words(occasion, &incident(), &[]).subject;
    assert_eq!(subject(Occasion::Reopened), "[Watchkeeper] MAJOR, back again: /data on bridge-pc is filling up");
    assert_eq!(
        subject(Occasion::Escalated { from: Severity::Major, to: Severity::Critical }),
        "[Watchkeeper] CRITICAL, worse: /data on bridge-pc is filling up"
    );
    let by_hand = words(Occasion::Resolved { reason: "closed", by_hand: true }, &incident(), &[]);
    assert!(by_hand.body.starts_with("Closed by hand: /data"));
}

#[test]
fn no_line_is_longer_than_it_may_be_save_links_and_commands() {
    let mut long = signal(1);
    long.evidence.detail = "word ".repeat(200);
    long.title = "x".repeat(100);
    let words = words(Occasion::Opened, &incident(), &[long]);
    for line in words.body.lines().filter(|line| !line.contains("watchkeeper ") && !line.contains("://")) {
        assert!(line.chars().count() <= COLUMNS || !line.trim().contains(' ') || line.contains("xxx"), "{line}");
    }
}

#[test]
fn many_signals_are_counted_and_line_breaks_cannot_forge_anything() {
    let mut signals: Vec<Signal> = (1..=8).map(signal).collect();
    signals[0].title = "a\r\nBcc: everybody@example\u{7}".to_owned();
    let forged = Incident { title: "a\r\nBcc: everybody@example".to_owned(), ..incident() };
    let words = words(Occasion::Opened, &forged, &signals);
    assert_eq!(words.subject, "[Watchkeeper] MAJOR: a Bcc: everybody@example");
    assert!(words.body.contains("  - a Bcc: everybody@example (DiskFilling)\n"));
    assert!(words.body.contains("  and 3 more\n"));
    let long = Incident { title: "x".repeat(500), ..incident() };
    let subject = self::words(Occasion::Opened, &long, &[]).subject;
    assert!(subject.chars().count() < 200, "{subject}");
}
