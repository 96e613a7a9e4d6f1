//! The two header forms.

use std::borrow::Cow;

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use wk_types::UtcMs;

use super::{Message, PARAMETERS_MAX};
use crate::times::{self, Zone};

/// The longest tag that is taken for one.
const TAG_BYTES_MAX: usize = 64;
/// The longest host name that is taken for one (RFC 5424 section 6).
const HOST_BYTES_MAX: usize = 255;
/// How many digits Cisco's sequence numbers have at most.
const SEQUENCE_DIGITS_MAX: usize = 10;
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads what follows the priority in RFC 5424: `VERSION SP TIMESTAMP SP HOSTNAME SP APP-NAME SP PROCID SP MSGID SP
/// STRUCTURED-DATA [SP MSG]`. `None` where it is not of this form.
pub fn rfc5424(input: &str) -> Option<Message<'_>> {
    let rest = input.strip_prefix("1 ")?;
    let (time, rest) = rest.split_once(' ')?;
    let time = if time == "-" { None } else { Some(times::read_rfc3339(time)?) };
    let (host, rest) = field(rest)?;
    let (app, rest) = field(rest)?;
    let (process, rest) = field(rest)?;
    let (id, rest) = match field(rest) {
        Some(found) => found,
        None => (some_field(rest), ""),
    };
    let (structured, text) = structured_data(rest);
    Some(Message { time, host, app, process, id, structured, text, ..Message::default() })
}

fn field(input: &str) -> Option<(Option<&str>, &str)> {
    let (value, rest) = input.split_once(' ')?;
    Some((some_field(value), rest))
}

fn some_field(value: &str) -> Option<&str> {
    (value != "-" && !value.is_empty()).then_some(value)
}

type Parameters<'a> = Vec<(&'a str, &'a str, Cow<'a, str>)>;

/// Reads structured data and the text behind it; broken structured data is text.
fn structured_data(input: &str) -> (Parameters<'_>, &str) {
    if let Some(rest) = input.strip_prefix('-').filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
        return (Vec::new(), rest.strip_prefix(' ').unwrap_or(rest));
    }
    let mut parameters = Vec::new();
    let mut rest = input;
    while rest.starts_with('[') {
        match element(rest, &mut parameters) {
            Some(behind) => rest = behind,
            None => return (Vec::new(), input),
        }
    }
    (parameters, rest.strip_prefix(' ').unwrap_or(rest))
}

/// Reads `[id name="value" …]`; parameters beyond the bound are read over.
fn element<'a>(input: &'a str, parameters: &mut Parameters<'a>) -> Option<&'a str> {
    let rest = input.strip_prefix('[')?;
    let end = rest.find([' ', ']'])?;
    let (id, mut rest) = rest.split_at(end);
    if id.is_empty() || id.contains(['=', '"']) {
        return None;
    }
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(behind) = rest.strip_prefix(']') {
            return Some(behind);
        }
        let (name, behind) = rest.split_once("=\"")?;
        if name.is_empty() || name.contains([' ', ']', '"', '=']) {
            return None;
        }
        let (value, behind) = quoted(behind)?;
        if parameters.len() < PARAMETERS_MAX {
            parameters.push((id, name, value));
        }
        rest = behind;
    }
}

/// Reads up to the closing quote; `\"`, `\\` and `\]` stand for the second character, other backslashes for themselves.
fn quoted(input: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut plain = String::new();
    let mut from = 0;
    let mut at = 0;
    let bytes = input.as_bytes();
    loop {
        match *bytes.get(at)? {
            b'"' => break,
            b'\\' if matches!(bytes.get(at + 1), Some(b'"' | b'\\' | b']')) => {
                plain.push_str(&input[from..at]);
                from = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let value = if plain.is_empty() { Cow::Borrowed(&input[from..at]) } else { Cow::Owned(plain + &input[from..at]) };
    Some((value, &input[at + 1..]))
}

/// Reads what follows the priority in RFC 3164 and its kin; `with_priority` says that there was one, so that a tag
/// may be expected even where the time is missing.
pub fn rfc3164<'a>(input: &'a str, received: UtcMs, zone: &Zone, with_priority: bool) -> Message<'a> {
    let Some((time, rest)) = device_time(skip_sequence(input), received, zone) else {
        let (app, process, text) = tag(input).filter(|_| with_priority).unwrap_or((None, None, input));
        return Message { app, process, text, ..Message::default() };
    };
    let time = Some(time);
    // A colon behind the time (Cisco) says that no host follows.
    if let Some(rest) = rest.strip_prefix(':') {
        let (app, process, text) = tag(rest.trim_start()).unwrap_or((None, None, rest.trim_start()));
        return Message { time, app, process, text, ..Message::default() };
    }
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    if let Some((app, process, text)) = tag(rest) {
        return Message { time, app, process, text, ..Message::default() };
    }
    let (host, rest) = match rest.split_once(' ') {
        Some((host, rest)) if is_host(host) => (Some(host), rest),
        _ => (None, rest),
    };
    let (app, process, text) = tag(rest).unwrap_or((None, None, rest));
    Message { time, host, app, process, text, ..Message::default() }
}

fn is_host(word: &str) -> bool {
    (1..=HOST_BYTES_MAX).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-_.:%/@".contains(&byte))
}

/// Skips `123: ` in front of a time, and the `*` or `.` by which Cisco says how far it trusts its clock.
fn skip_sequence(input: &str) -> &str {
    let digits = input.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match input[digits..].strip_prefix(": ") {
        Some(rest) if (1..=SEQUENCE_DIGITS_MAX).contains(&digits) => rest,
        _ => input,
    };
    rest.strip_prefix(['*', '.']).unwrap_or(rest)
}

/// Reads `tag:`, `tag[pid]:` or `tag[pid] ` and returns tag, process id and text.
fn tag(input: &str) -> Option<(Option<&str>, Option<&str>, &str)> {
    let end = input.find([' ', ':', '[']).filter(|end| (1..=TAG_BYTES_MAX).contains(end))?;
    let (tag, rest) = input.split_at(end);
    let (process, rest) = match rest.strip_prefix('[') {
        None => (None, rest.strip_prefix(':')?),
        Some(inner) => {
            let (process, rest) = inner.split_once(']')?;
            if process.is_empty() || process.len() > TAG_BYTES_MAX || process.contains(' ') {
                return None;
            }
            (Some(process), rest.strip_prefix(':').unwrap_or(rest))
        }
    };
    // `http://…` and `10:15` are no tags.
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    Some((Some(tag), process, rest.strip_prefix(' ').unwrap_or(rest)))
}

/// Reads the time and, as Cisco's devices write it, a zone's name between the time and the colon.
fn device_time<'a>(input: &'a str, received: UtcMs, zone: &Zone) -> Option<(UtcMs, &'a str)> {
    let (time, rest) = header_time(input, received, zone)?;
    let named = rest.strip_prefix(' ').and_then(|rest| rest.split_once(": %")).map(|(name, _)| name);
    match named.filter(|name| (1..=5).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase())) {
        None => Some((time, rest)),
        Some(name @ ("UTC" | "GMT")) => {
            Some((header_time(input, received, &Zone::new(TimeZone::UTC))?.0, &rest[1 + name.len()..]))
        }
        Some(name) => Some((time, &rest[1 + name.len()..])),
    }
}

fn header_time<'a>(input: &'a str, received: UtcMs, zone: &Zone) -> Option<(UtcMs, &'a str)> {
    month_time(input, received, zone).or_else(|| {
        let (time, rest) = iso_time(input, zone)?;
        // A date with a space before the time is how programs write, not how syslog daemons do.
        (input.as_bytes().get(10) == Some(&b'T') && (rest.is_empty() || rest.starts_with(' '))).then_some((time, rest))
    })
}

/// Reads `Mmm d hh:mm:ss`, with a year behind the day or the time, and a fraction behind the seconds, as they come.
fn month_time<'a>(input: &'a str, received: UtcMs, zone: &Zone) -> Option<(UtcMs, &'a str)> {
    let word = input.get(..3)?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(word))? as i8 + 1;
    let rest = input[3..].strip_prefix(' ')?.trim_start_matches(' ');
    let (day, rest) = number(rest, 2)?;
    let rest = rest.strip_prefix(' ')?;
    let (year, rest) = match number(rest, 4).filter(|(_, behind)| behind.starts_with(' ')) {
        Some((year, behind)) => (Some(year), behind.trim_start_matches(' ')),
        None => (None, rest),
    };
    let (time, rest) = clock_time(rest)?;
    let day = i8::try_from(day).ok()?;
    let instant = match year {
        Some(year) => zone.instant(Date::new(i16::try_from(year).ok()?, month, day).ok()?.to_datetime(time))?,
        None => zone.in_nearest_year(month, day, time, received)?,
    };
    (rest.is_empty() || rest.starts_with([' ', ':'])).then_some((instant, rest))
}

/// Reads `hh:mm:ss` and a fraction, if there is one.
fn clock_time(input: &str) -> Option<(Time, &str)> {
    let (hour, rest) = number(input, 2)?;
    let (minute, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (second, rest) = number(rest.strip_prefix(':')?, 2)?;
    let (nanoseconds, rest) = fraction(rest);
    // A leap second is kept as the second before it.
    let parts = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second.min(59)).ok()?);
    let time = (second <= 60).then(|| Time::new(parts.0, parts.1, parts.2, nanoseconds).ok())??;
    Some((time, rest))
}

fn fraction(input: &str) -> (i32, &str) {
    let Some(behind) = input.strip_prefix(['.', ',']) else { return (0, input) };
    let end = behind.bytes().take_while(u8::is_ascii_digit).count();
    times::fraction(&behind[..end]).map_or((0, input), |nanoseconds| (nanoseconds, &behind[end..]))
}

/// Reads a number of one to `digits_max` digits.
fn number(input: &str, digits_max: usize) -> Option<(u16, &str)> {
    let end = input.bytes().take(digits_max).take_while(u8::is_ascii_digit).count();
    Some((input[..end].parse().ok()?, &input[end..]))
}

/// Reads `yyyy-mm-dd`, `T` or a space, `hh:mm:ss`, a fraction and an offset, the last two where they stand; without an
/// offset the time is local.
pub fn iso_time<'a>(input: &'a str, zone: &Zone) -> Option<(UtcMs, &'a str)> {
    let (year, rest) = number(input, 4)?;
    let (month, rest) = number(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = number(rest.strip_prefix('-')?, 2)?;
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let (time, rest) = clock_time(rest.strip_prefix(['T', ' '])?)?;
    let local = date.to_datetime(time);
    if let Some(rest) = rest.strip_prefix('Z') {
        return Some((times::in_zone(local, &TimeZone::UTC)?, rest));
    }
    let Some(sign) = rest.bytes().next().filter(|byte| matches!(byte, b'+' | b'-')) else {
        return Some((zone.instant(local)?, rest));
    };
    let (hours, rest) = number(&rest[1..], 2)?;
    let (minutes, rest) = number(rest.strip_prefix(':').unwrap_or(rest), 2)?;
    let offset = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000;
    let utc = times::in_zone(local, &TimeZone::UTC)?;
    Some((UtcMs(if sign == b'+' { utc.0 - offset } else { utc.0 + offset }), rest))
}
