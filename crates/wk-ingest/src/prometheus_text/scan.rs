//! Scanning names, quotes and escapes.

use std::borrow::Cow;

use wk_types::labels::METRIC_NAME;

use super::Pair;

/// Where the series part of a sample line ends: behind the closing brace, or behind the name.
pub fn series_end(line: &str) -> Option<usize> {
    let name_end = line.find(|c: char| !is_name_char(c)).unwrap_or(line.len());
    let starts_with_digit = line.starts_with(|c: char| c.is_ascii_digit());
    if starts_with_digit {
        return None;
    }
    let rest = line[name_end..].trim_start_matches([' ', '\t']);
    if let Some(inside) = rest.strip_prefix('{') {
        let from = line.len() - inside.len();
        return Some(from + brace_end(inside)? + 1);
    }
    let ends_with_space = line[name_end..].starts_with([' ', '\t']);
    (name_end > 0 && ends_with_space).then_some(name_end)
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The place of the closing brace outside of quotes.
fn brace_end(inside: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = inside[at..].find(['}', '"']) {
        at += found;
        if inside.as_bytes()[at] == b'}' {
            return Some(at);
        }
        at += 1;
        at += quote_end(&inside[at..])? + 1;
    }
    None
}

/// The place of the closing quote; a backslash takes the next character with it.
pub fn quote_end(quoted: &str) -> Option<usize> {
    let bytes = quoted.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// Reads `name="value"`, `"name"="value"`, or `"metric name"` alone, and what stands behind.
pub fn pair(input: &str) -> Option<(Pair<'_>, &str)> {
    let (name, rest) = match input.strip_prefix('"') {
        Some(quoted) => {
            let end = quote_end(quoted)?;
            (unescaped(&quoted[..end]), quoted[end + 1..].trim_start_matches([' ', '\t']))
        }
        None => {
            let end = input.find(|c: char| !is_name_char(c)).filter(|end| *end > 0)?;
            (Cow::Borrowed(&input[..end]), input[end..].trim_start_matches([' ', '\t']))
        }
    };
    let Some(behind) = rest.strip_prefix('=') else {
        let alone = input.starts_with('"');
        return alone.then_some(((Cow::Borrowed(METRIC_NAME), name), rest));
    };
    let quoted = behind.trim_start_matches([' ', '\t']).strip_prefix('"')?;
    let end = quote_end(quoted)?;
    Some(((name, unescaped(&quoted[..end])), &quoted[end + 1..]))
}

/// Resolves `\\`, `\"` and `\n`; any other backslash stands for itself.
pub fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some(escaped @ ('\\' | '"')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    Cow::Owned(plain)
}
