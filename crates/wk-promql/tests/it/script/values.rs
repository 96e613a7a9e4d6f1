//! Series lines of the script language: labels, and values one per step.

use wk_promql::Query;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{DurationMs, Labels};

/// What a step of a series line holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item {
    Nothing,
    Value(f64),
    /// A native histogram.
    Native,
}

/// Splits a line into the series it names and the rest.
pub fn split(line: &str) -> (&str, &str) {
    let (mut quote, mut escaped, mut braces) = (None, false, 0);
    for (index, char) in line.char_indices() {
        match (quote, char) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(char),
            (None, '{') => braces += 1,
            (None, '}') => braces -= 1,
            (None, ' ' | '\t') if braces == 0 => return (&line[..index], line[index..].trim()),
            _ => {}
        }
    }
    (line, "")
}

pub fn labels(text: &str) -> Labels {
    let text = text.trim();
    if text == "{}" {
        return Labels::default();
    }
    // A selector has to name something, a series may have no label at all.
    let query = Query::parse(text).unwrap_or_else(|error| panic!("cannot read the series {text}: {error}"));
    let selectors = query.selectors();
    Labels::new(selectors[0].matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())))
}

/// Expands `1 2+3x4 _ stale {{…}}x2` into items, one per step.
pub fn sequence(text: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if rest.starts_with("{{") {
            let end = rest.find("}}").unwrap() + 2;
            let tail = rest[end..].trim_start_matches(['+', '-']);
            let tail = if tail.starts_with("{{") { &tail[tail.find("}}").unwrap() + 2..] } else { tail };
            let (times, behind) = tail.split_once(char::is_whitespace).unwrap_or((tail, ""));
            let times = times.strip_prefix('x').map_or(1, |times| times.parse::<usize>().unwrap() + 1);
            items.extend(std::iter::repeat_n(Item::Native, times));
            rest = behind.trim_start();
            continue;
        }
        let (word, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = tail.trim_start();
        expand(word, &mut items);
    }
    items
}

fn literal(word: &str) -> Option<Item> {
    match word {
        "_" => Some(Item::Nothing),
        "stale" => Some(Item::Value(f64::from_bits(STALE_NAN_BITS))),
        _ => word.parse().ok().map(Item::Value),
    }
}

fn expand(word: &str, items: &mut Vec<Item>) {
    if let Some(item) = literal(word) {
        return items.push(item);
    }
    let Some((body, times)) = word.rsplit_once('x') else { panic!("cannot read the value {word}") };
    let times: usize = times.parse().unwrap();
    match literal(body) {
        Some(Item::Nothing) => return items.extend(std::iter::repeat_n(Item::Nothing, times)),
        Some(item) if body != "stale" => return items.extend(std::iter::repeat_n(item, times + 1)),
        Some(item) => return items.extend(std::iter::repeat_n(item, times)),
        None => {}
    }
    // The sign between start and step is the last one that does not belong to an exponent.
    let split = body.char_indices().rev().find(|(index, char)| {
        matches!(char, '+' | '-') && *index > 0 && !body[..*index].ends_with(['e', 'E', '+', '-'])
    });
    let (index, _) = split.unwrap();
    let start: f64 = body[..index].parse().unwrap();
    let step: f64 = body[index..].replace("+-", "-").parse().unwrap();
    let mut value = start;
    for _ in 0..=times {
        items.push(Item::Value(value));
        value += step;
    }
}

/// Expands the start times of `…@st` lines, relative to their samples: `-30s-1mx2 _ 0`.
pub fn starts(text: &str) -> Vec<Option<DurationMs>> {
    let mut found = Vec::new();
    for word in text.split_whitespace() {
        if word == "_" {
            found.push(None);
            continue;
        }
        let Some((body, times)) = word.rsplit_once('x') else {
            found.push(Some(duration(word)));
            continue;
        };
        let times: usize = times.parse().unwrap();
        let split = body.char_indices().skip(1).find(|(_, char)| matches!(char, '+' | '-')).map(|(index, _)| index);
        let (start, step) = match split {
            Some(index) => (duration(&body[..index]), duration(&body[index..])),
            None => (duration(body), DurationMs(0)),
        };
        found.extend((0..=times as i64).map(|index| Some(DurationMs(start.0 + step.0 * index))));
    }
    found
}

/// Reads `1h30m`, `15s`, `-1m`, `+1ms` or a number of seconds.
pub fn duration(text: &str) -> DurationMs {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return DurationMs((seconds * 1_000.0).round() as i64);
    }
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let rest = rest.strip_prefix('+').unwrap_or(rest);
    let span = wk_promql::parse_duration(rest).unwrap_or_else(|| panic!("cannot read the duration {text}"));
    DurationMs(sign * span.0)
}
