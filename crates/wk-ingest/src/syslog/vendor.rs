//! What network devices write in the text of their messages: Cisco's mnemonics, and Fortinet's names with values.
//!
//! *Source*: Cisco IOS "System Message Format" (`%FACILITY-SEVERITY-MNEMONIC: text`), FortiOS Log Message Reference
//! ("Log schema structure").

use std::borrow::Cow;

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use wk_types::UtcMs;

use super::message::{Message, SEVERITIES};
use crate::logs::{ATTRIBUTES_MAX, Attributes};
use crate::times::{self, Zone};

/// What a device says in the text of a message, in its own form.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Details<'a> {
    /// Names with values, in the order they stand.
    pub pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// When it happened, where the text says so.
    pub time: Option<UtcMs>,
    /// The device's name, where the text says so.
    pub host: Option<Cow<'a, str>>,
    /// The severity code, where the text says so.
    pub severity: Option<u8>,
    /// The program, where the text says so.
    pub app: Option<&'static str>,
}

impl Details<'_> {
    /// Adds the names with values to attributes, where there are none of these names yet.
    pub fn add_to(&self, attributes: &mut Attributes) {
        for (name, value) in &self.pairs {
            attributes.entry(name.as_ref().into()).or_insert_with(|| value.as_ref().into());
        }
    }
}

/// Reads what a message holds in a form of one of the known devices; `None` where it does not.
#[must_use]
pub fn details<'a>(message: &Message<'a>, zone: &Zone) -> Option<Details<'a>> {
    cisco(message).or_else(|| fortinet(message.text, zone))
}

/// Reads the tag `%FACILITY-SEVERITY-MNEMONIC`, where further parts may stand between facility and severity.
fn cisco<'a>(message: &Message<'a>) -> Option<Details<'a>> {
    let (facility, rest) = message.app?.strip_prefix('%')?.split_once('-')?;
    let (before, mnemonic) = rest.rsplit_once('-')?;
    let (sub, severity) = before.rsplit_once('-').map_or(("", before), |(sub, severity)| (sub, severity));
    let code: u8 = severity.parse().ok().filter(|code| *code <= 7 && severity.len() == 1)?;
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if facility.is_empty() || mnemonic.is_empty() || ![facility, sub, mnemonic].iter().all(|word| is_word(word)) {
        return None;
    }
    let mut pairs = vec![("cisco.facility", facility), ("cisco.mnemonic", mnemonic)];
    if !sub.is_empty() {
        pairs.push(("cisco.subfacility", sub));
    }
    pairs.push(("cisco.severity", SEVERITIES[usize::from(code)]));
    let pairs = pairs.into_iter().map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).collect();
    Some(Details { pairs, severity: Some(code), ..Details::default() })
}

/// Reads `date=… time=… devname="…" …` to its end; anything in between that is no name with a value makes it a text.
fn fortinet<'a>(text: &'a str, zone: &Zone) -> Option<Details<'a>> {
    if !text.starts_with("date=") && !text.starts_with("logver=") && !text.starts_with("timestamp=") {
        return None;
    }
    let mut pairs = Vec::new();
    let mut rest = text;
    while !rest.is_empty() && pairs.len() < ATTRIBUTES_MAX {
        let (name, value, behind) = pair(rest)?;
        pairs.push((Cow::Borrowed(name), value));
        rest = behind.trim_start_matches([' ', ',']);
    }
    let find = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    find("logid").or(find("devid"))?;
    let time =
        find("eventtime").and_then(event_time).or_else(|| local_time(find("date")?, find("time")?, find("tz"), zone));
    let severity = find("level").or(find("pri")).and_then(level);
    let host = find("devname").filter(|name| !name.is_empty()).map(|name| Cow::Owned(name.to_owned()));
    Some(Details { time, severity, host, app: Some("fortios"), pairs })
}

/// Reads `name=value` or `name="value"`, where a backslash takes the next character with it, and what follows.
fn pair(input: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, rest) = input.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if !is_name {
        return None;
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        return Some((name, Cow::Borrowed(&rest[..end]), &rest[end..]));
    };
    let mut plain = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let value = if plain.len() == at { Cow::Borrowed(&quoted[..at]) } else { Cow::Owned(plain) };
                return Some((name, value, &quoted[at + 1..]));
            }
            '\\' => plain.push(chars.next()?.1),
            c => plain.push(c),
        }
    }
    None
}

/// Reads seconds, milliseconds, microseconds or nanoseconds since the epoch, as versions of FortiOS write them.
fn event_time(text: &str) -> Option<UtcMs> {
    let number: i64 = text.parse().ok().filter(|number| *number > 0)?;
    Some(UtcMs(match text.len() {
        ..=11 => number * 1_000,
        12..=14 => number,
        15..=17 => number / 1_000,
        _ => number / 1_000_000,
    }))
}

/// Reads `yyyy-mm-dd` and `hh:mm:ss`, with the zone's offset as `+0200` where it is said.
fn local_time(date: &str, time: &str, offset: Option<&str>, zone: &Zone) -> Option<UtcMs> {
    let (date, time): (Date, Time) = (date.parse().ok()?, time.parse().ok()?);
    let local = date.to_datetime(time);
    let Some((sign, digits)) = offset.and_then(|text| text.split_at_checked(1)) else { return zone.instant(local) };
    let number: i32 = digits.replace(':', "").parse().ok()?;
    let seconds = (number / 100 * 60 + number % 100) * 60;
    let offset = Offset::from_seconds(if sign == "-" { -seconds } else { seconds }).ok()?;
    times::in_zone(local, &TimeZone::fixed(offset))
}

/// The severity code for FortiOS' word.
fn level(word: &str) -> Option<u8> {
    Some(match word {
        "emergency" => 0,
        "alert" => 1,
        "critical" => 2,
        "error" => 3,
        "warning" => 4,
        "notice" | "notification" => 5,
        "information" => 6,
        "debug" => 7,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::syslog::message;
    use crate::testing::NOW;

    fn zone() -> Zone {
        Zone::new(TimeZone::UTC)
    }

    fn read(line: &str) -> Option<Details<'_>> {
        details(&message::parse(line, NOW, &zone()), &zone())
    }

    fn shown(details: &Details<'_>) -> String {
        details.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ciscos_mnemonics_become_fields() {
        let cases = [
            (
                "<187>45: sw-bridge: *Jun  1 11:59:00.123 UTC: %LINK-3-UPDOWN: Interface Gi0/1, changed state to down",
                None,
            ),
            (
                "<187>45: *Jun  1 11:59:00.123 UTC: %LINK-3-UPDOWN: Interface Gi0/1, changed state to down",
                Some("cisco.facility=LINK cisco.mnemonic=UPDOWN cisco.severity=err"),
            ),
            (
                "<189>Jun  1 2026 11:59:00: %ASA-6-302013: Built outbound TCP connection",
                Some("cisco.facility=ASA cisco.mnemonic=302013 cisco.severity=info"),
            ),
            (
                "<190>Jun  1 11:59:00 rtr1 %SYS-SW2-5-CONFIG_I: Configured from console",
                Some("cisco.facility=SYS cisco.mnemonic=CONFIG_I cisco.subfacility=SW2 cisco.severity=notice"),
            ),
            ("<190>Jun  1 11:59:00 rtr1 %CPU: high", None),
            ("<190>Jun  1 11:59:00 rtr1 %A-9-B: x", None),
        ];
        for (line, expected) in cases {
            assert_eq!(read(line).map(|details| shown(&details)).as_deref(), expected, "{line}");
        }
    }

    /// As FortiOS 7.4 writes it.
    #[test]
    fn contract_fortinets_names_with_values_become_fields() {
        let line = r#"<189>date=2026-06-01 time=13:59:58 devname="FG100F" devid="FG100FTK20000001" eventtime=1780315198123456789 tz="+0200" logid="0100032001" type="event" subtype="system" level="warning" vd="root" logdesc="Admin login \"failed\"" srcip=10.0.0.7 msg="Administrator admin login failed""#;
        let details = read(line).unwrap();
        assert_eq!(
            (details.host.as_deref(), details.severity, details.time),
            (Some("FG100F"), Some(4), Some(UtcMs(NOW.0 - 1_877)))
        );
        insta::assert_snapshot!(shown(&details), @r#"date=2026-06-01 time=13:59:58 devname=FG100F devid=FG100FTK20000001 eventtime=1780315198123456789 tz=+0200 logid=0100032001 type=event subtype=system level=warning vd=root logdesc=Admin login "failed" srcip=10.0.0.7 msg=Administrator admin login failed"#);
        // Older versions say seconds, or only date and time in a zone of their own.
        let old = read(r#"<189>date=2026-06-01 time=13:59:58 devid="x" tz="+0200" level=error"#).unwrap();
        assert_eq!(old.time, Some(UtcMs(NOW.0 - 2_000)));
        assert_eq!(event_time("1780315198"), Some(UtcMs(NOW.0 - 2_000)));
    }

    #[test]
    fn texts_that_only_begin_alike_stay_texts() {
        for text in ["date=today", "date=2026-06-01 and more", "date=1 devid=\"open", "devid=1"] {
            assert_eq!(fortinet(text, &zone()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(date=)?\\PC{0,80}", app in "%\\PC{0,20}") {
            let _ = fortinet(&text, &zone());
            let _ = cisco(&Message { app: Some(&app), ..Message::default() });
        }
    }
}
