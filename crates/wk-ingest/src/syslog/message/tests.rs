use proptest::prelude::*;

use super::*;
use crate::testing::NOW;
use jiff::tz::TimeZone;

fn check(input: &str, expected: &str) {
    let zone = Zone::new(TimeZone::get("Europe/Berlin").unwrap());
    assert_eq!(show(&parse(input, NOW, &zone)), expected, "{input}");
}

fn show(message: &Message<'_>) -> String {
    let mut text = String::new();
    if let (Some(facility), Some(severity)) = (message.facility, message.severity) {
        text += &format!("{}.{} ", FACILITIES[usize::from(facility)], SEVERITIES[usize::from(severity)]);
    }
    if let Some(time) = message.time {
        text += &format!("{time} ");
    }
    for (name, part) in [("host", message.host), ("app", message.app), ("pid", message.process), ("id", message.id)] {
        if let Some(part) = part {
            text += &format!("{name}={part} ");
        }
    }
    for (id, name, value) in &message.structured {
        text += &format!("{id}.{name}={value} ");
    }
    text + "| " + message.text
}

#[test]
fn the_examples_of_rfc_5424_are_read() {
    check(
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick",
        "auth.crit 2003-10-11T22:14:15.003Z host=mymachine.example.com app=su id=ID47 | 'su root' failed for lonvick",
    );
    check(
        "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.",
        "local4.notice 2003-08-24T12:14:15.000Z host=192.0.2.1 app=myproc pid=8710 | %% It's time to make the do-nuts.",
    );
    check(
        "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 \
         [exampleSDID@32473 iut=\"3\" eventSource=\"Application\" eventID=\"1011\"][examplePriority@32473 class=\"high\"]",
        "local4.notice 2003-10-11T22:14:15.003Z host=mymachine.example.com app=evntslog id=ID47 \
         exampleSDID@32473.iut=3 exampleSDID@32473.eventSource=Application exampleSDID@32473.eventID=1011 \
         examplePriority@32473.class=high | ",
    );
}

#[test]
fn structured_values_are_unescaped_and_broken_data_is_text() {
    check(r#"<13>1 - - - - - [a b="say \"x\" \\ \] \n"] text"#, r#"user.notice a.b=say "x" \ ] \n | text"#);
    check(r"<13>1 - - - - - [a b=1] text", r"user.notice | [a b=1] text");
    check(r#"<13>1 - - - - - [a b="1""#, r#"user.notice | [a b="1""#);
    check("<13>1 - - - - - [empty@1] text", "user.notice | text");
    check("<13>1 - h a p -", "user.notice host=h app=a pid=p | ");
}

#[test]
fn the_examples_of_rfc_3164_are_read() {
    check(
        "<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
        "auth.crit 2026-10-11T20:14:15.000Z host=mymachine app=su | 'su root' failed for lonvick on /dev/pts/8",
    );
    check("Use the BFG!", "| Use the BFG!");
    check(
        "<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time",
        "local4.notice 2026-08-24T03:34:00.000Z host=CST | 1987 mymachine myproc[10]: %% It's time",
    );
}

#[test]
fn what_daemons_write_is_read() {
    check(
        "<30>Jun  1 13:59:58 bridge systemd[1]: Started cron.service.",
        "daemon.info 2026-06-01T11:59:58.000Z host=bridge app=systemd pid=1 | Started cron.service.",
    );
    check(
        "<22>Jun  1 13:59:58 bridge postfix/smtpd[812]: connect from x",
        "mail.info 2026-06-01T11:59:58.000Z host=bridge app=postfix/smtpd pid=812 | connect from x",
    );
    check(
        "<30>2026-06-01T13:59:58.123456+02:00 bridge cron[7]: job",
        "daemon.info 2026-06-01T11:59:58.123Z host=bridge app=cron pid=7 | job",
    );
    check("<13>Jun  1 13:59:58 logger: no host here", "user.notice 2026-06-01T11:59:58.000Z app=logger | no host here");
    check(
        "<13>Jun  1 13:59:58 bridge words but no tag: really",
        "user.notice 2026-06-01T11:59:58.000Z host=bridge | words but no tag: really",
    );
    check("<13>app: no time", "user.notice app=app | no time");
    check("<13>Jun  1 13:59:58 fe80::1 app: x", "user.notice 2026-06-01T11:59:58.000Z host=fe80::1 app=app | x");
}

#[test]
fn what_network_devices_write_is_read() {
    check(
        "<189>45: *Jun  1 13:48:50.483: %SYS-5-CONFIG_I: Configured from console",
        "local7.notice 2026-06-01T11:48:50.483Z app=%SYS-5-CONFIG_I | Configured from console",
    );
    check(
        "<189>46: Jun  1 11:48:50.483 UTC: %LINK-3-UPDOWN: Interface down",
        "local7.notice 2026-06-01T11:48:50.483Z app=%LINK-3-UPDOWN | Interface down",
    );
    check(
        "<166>Jun 01 2025 13:48:50 asa1 : %ASA-6-302013: Built",
        "local4.info 2025-06-01T11:48:50.000Z host=asa1 | : %ASA-6-302013: Built",
    );
    check(
        "<166>Jun 01 2025 13:48:50: %ASA-6-302013: Built",
        "local4.info 2025-06-01T11:48:50.000Z app=%ASA-6-302013 | Built",
    );
}

#[test]
fn the_year_is_the_nearest_one() {
    let new_year = "2026-01-01T00:00:30Z".parse().unwrap();
    let message = parse("<13>Dec 31 23:59:59 h a: x", new_year, &Zone::new(TimeZone::UTC));
    assert_eq!(message.time.unwrap().to_string(), "2025-12-31T23:59:59.000Z");
}

#[test]
fn a_priority_that_is_none_is_text() {
    for input in ["<192>x", "<>x", "<1", "<-1>x", "<+1>x", "<0001>x", "<a>x"] {
        check(input, &format!("| {input}"));
    }
    check("<191>x", "local7.debug | x");
}

#[test]
fn impossible_times_are_text() {
    check("<13>Feb 30 10:00:00 h a: x", "user.notice | Feb 30 10:00:00 h a: x");
    check("<13>Jun  1 25:00:00 h a: x", "user.notice | Jun  1 25:00:00 h a: x");
    check("<13>Jun  1 23:59:60 h a: x", "user.notice 2026-06-01T21:59:59.000Z host=h app=a | x");
}

#[test]
fn urls_and_times_of_day_are_no_tags() {
    check("<13>Jun  1 13:59:58 h http://x/y", "user.notice 2026-06-01T11:59:58.000Z host=h | http://x/y");
    check("<13>10:15 tea", "user.notice | 10:15 tea");
}

#[test]
fn file_lines_are_only_those_with_a_time() {
    let line = |text: &str| parse_file_line(text, NOW, &Zone::new(TimeZone::UTC)).map(|message| show(&message));
    let expected = "2026-06-01T11:59:58.000Z host=bridge app=sshd pid=9 | closed";
    assert_eq!(line("Jun  1 11:59:58 bridge sshd[9]: closed").as_deref(), Some(expected));
    assert_eq!(line("<13>Jun  1 11:59:58 bridge sshd[9]: closed"), None);
    assert_eq!(line("sshd: closed"), None);
}

#[test]
fn plain_log_files_begin_with_iso_times() {
    let zone = Zone::new(TimeZone::get("Europe/Berlin").unwrap());
    let read = |text| leading_time(text, &zone).map(|(time, rest)| format!("{time}{rest}"));
    assert_eq!(read("2026-06-01 14:00:00 status x").as_deref(), Some("2026-06-01T12:00:00.000Z status x"));
    assert_eq!(read("2026-06-01T14:00:00,250 x").as_deref(), Some("2026-06-01T12:00:00.250Z x"));
    assert_eq!(read("2026-06-01T14:00:00.5-0130 x").as_deref(), Some("2026-06-01T15:30:00.500Z x"));
    assert_eq!(read("2026-13-01 14:00:00 x"), None);
}

#[test]
fn parameters_beyond_the_bound_are_read_over() {
    let many: String = (0..PARAMETERS_MAX + 9).map(|number| format!(" p{number}=\"v\"")).collect();
    let input = format!("<13>1 - - - - - [id{many}] text");
    let message = parse(&input, NOW, &Zone::new(TimeZone::UTC));
    assert_eq!((message.structured.len(), message.text), (PARAMETERS_MAX, "text"));
}

proptest! {
    #[test]
    fn hostile_text_is_never_lost_beyond_its_header(input in "\\PC{0,200}") {
        let _ = parse(&input, NOW, &Zone::new(TimeZone::UTC));
    }

    #[test]
    fn text_close_to_the_grammar_is_answered(
        input in "(<[0-9]{1,4}>)?(1 )?(Jun  1 10:00:00|2026-06-01T10:00:00Z|-|[0-9]{1,3}: )?( [a-z\\[\\]:\"=\\\\ -]{0,12}){0,8}"
    ) {
        let message = parse(&input, NOW, &Zone::new(TimeZone::UTC));
        prop_assert!(input.contains(message.text));
    }
}
