use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const START: UtcMs = UtcMs(1_795_478_400_000);
const LINES: usize = 200_000;

fn tsv(seed: u64, lines: usize) -> String {
    let (mut workload, mut out) = (SyslogWorkload::new(seed, START), String::new());
    (0..lines).for_each(|_| workload.next_line().write_tsv(&mut out));
    out
}

#[test]
fn a_line_has_about_128_bytes() {
    let mean = tsv(1, LINES).len() as f64 / LINES as f64;
    assert!((124.0..133.0).contains(&mean), "{mean}");
}

#[test]
fn every_shape_and_host_comes_and_the_first_host_most() {
    let mut workload = SyslogWorkload::new(1, START);
    let (mut hosts, mut apps) = (BTreeMap::new(), BTreeSet::new());
    for _ in 0..LINES {
        let line = workload.next_line();
        *hosts.entry(line.host.clone()).or_insert(0_usize) += 1;
        apps.insert((line.app, line.severity));
    }
    assert_eq!(hosts.len(), HOSTS);
    let most = hosts.values().max().copied().unwrap_or_default() as f64 / LINES as f64;
    assert!((0.14..0.19).contains(&most), "{most}");
    assert_eq!(apps.len(), 22);
}

#[test]
fn lines_come_in_order_and_at_the_rate_of_a_ship() {
    let mut workload = SyslogWorkload::new(1, START);
    let mut last = START;
    for _ in 0..LINES {
        let time = workload.next_line().time;
        assert!(time >= last);
        last = time;
    }
    let rate = LINES as f64 / (last.since(START).0 as f64 / 1_000.0);
    assert!((50.0..66.0).contains(&rate), "{rate}");
}

#[test]
fn the_needle_stands_in_one_line_of_the_first_million() {
    let text = tsv(1, 40_000);
    assert_eq!(text.lines().filter(|line| line.contains(NEEDLE)).count(), 1);
    assert!(text.lines().nth(NEEDLE_AT as usize).is_some_and(|line| line.contains(NEEDLE)));
}

#[test]
fn no_line_breaks_its_own_form() {
    let mut workload = SyslogWorkload::new(1, START);
    for _ in 0..50_000 {
        let line = workload.next_line();
        let plain = |text: &str| text.chars().all(|one| one != '\t' && one != '\\' && !one.is_control());
        assert!(plain(&line.message) && plain(&line.host), "{line:?}");
        assert!(line.message.is_ascii());
    }
}

#[test]
fn a_line_is_written_in_three_forms() {
    let line = LogLine {
        time: START,
        host: "nav-001".to_owned(),
        app: "sshd",
        pid: 7,
        severity: 4,
        message: "a \"b\"".to_owned(),
    };
    let mut out = String::new();
    line.write_rfc5424(&mut out);
    line.write_tsv(&mut out);
    line.write_json(&mut out);
    assert_eq!(
        out,
        "<28>1 2026-11-24T00:00:00.000Z nav-001 sshd 7 - - a \"b\"\n1795478400000\tnav-001\tsshd\t4\ta \"b\"\n\
         {\"timestamp\":\"2026-11-24T00:00:00.000Z\",\"host\":\"nav-001\",\"app\":\"sshd\",\"severity\":\"warning\",\"message\":\"a \\\"b\\\"\"}\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_seed_gives_the_same_bytes_again(seed: u64) {
        prop_assert_eq!(tsv(seed, 2_000), tsv(seed, 2_000));
    }

    #[test]
    fn another_seed_gives_other_bytes(seed in 0_u64..u64::MAX) {
        prop_assert_ne!(tsv(seed, 100), tsv(seed + 1, 100));
    }
}
