//! From one line of a log file to a record.

use std::path::Path;

use wk_types::{Attributes, LogRecord, Severity, UtcMs};

use super::FileSettings;
use crate::contract::SourceContext;
use crate::logs::{Draft, attribute};
use crate::syslog::NOT_UTF8;
use crate::syslog::message;

/// How many words at the beginning of a message are searched for a level.
const LEVEL_WORDS: usize = 3;

/// Reads a line: as syslog daemons write it, else with a date in front, else as it stands.
pub fn record(
    context: &SourceContext,
    settings: &FileSettings,
    path: &Path,
    bytes: &[u8],
    received: UtcMs,
) -> LogRecord {
    let text = String::from_utf8_lossy(bytes);
    if matches!(text, std::borrow::Cow::Owned(_)) {
        context.stats.flagged(NOT_UTF8, 1, &text);
    }
    let line = text.trim_end_matches(['\r', '\n']);
    let file_name = app_of(path);
    let mut attributes = Attributes::new();
    attributes.insert("file".into(), path.to_string_lossy().into());
    let mut draft = Draft { declared: settings.asset.as_ref(), host: Some(&settings.host), ..Draft::default() };
    if let Some(message) = message::parse_file_line(line, received, &settings.zone) {
        draft.time = message.time;
        draft.host = message.host.or(draft.host);
        draft.app = message.app.unwrap_or(file_name);
        draft.message = message.text;
        if let Some(process) = message.process {
            attributes.insert("pid".into(), process.into());
        }
    } else if let Some((time, rest)) = message::leading_time(line, &settings.zone) {
        (draft.time, draft.app, draft.message) = (Some(time), file_name, rest.trim_start_matches([' ', ':']));
    } else {
        (draft.app, draft.message) = (file_name, line);
    }
    draft.severity = level(draft.message).unwrap_or_default();
    draft.attributes = attributes;
    attribute(context, draft, received)
}

/// The file's name without extension.
fn app_of(path: &Path) -> &str {
    path.file_stem().and_then(|name| name.to_str()).unwrap_or("")
}

/// The level that a message states: `level=warn`, a bracketed or capital word among its first ones, or one before a
/// colon. Words in running text say nothing.
pub fn level(message: &str) -> Option<Severity> {
    stated(message).or_else(|| {
        message.split_ascii_whitespace().take(LEVEL_WORDS).find_map(|word| {
            let bare = word.trim_matches(['[', ']', '<', '>', '(', ')', ':', '|', '-']);
            let is_marked = word.ends_with(':') || (word.starts_with(['[', '<']) && word.ends_with([']', '>', ':']));
            let is_capital = bare.len() > 2 && bare.bytes().all(|byte| byte.is_ascii_uppercase());
            if is_marked || is_capital { known_level(bare) } else { None }
        })
    })
}

/// Reads `level=…`, `lvl=…` or `severity=…`, quoted or not.
fn stated(message: &str) -> Option<Severity> {
    ["level=", "lvl=", "severity="].iter().find_map(|key| {
        let at = message.find(key)?;
        let is_word = at == 0 || message.as_bytes()[at - 1].is_ascii_whitespace();
        let rest = message[at + key.len()..].trim_start_matches('"');
        let word = rest.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        if is_word { known_level(word) } else { None }
    })
}

/// Levels only; `none`, `page` and the like are words of other tables.
fn known_level(word: &str) -> Option<Severity> {
    const LEVELS: [&str; 18] = [
        "emerg",
        "emergency",
        "panic",
        "alert",
        "crit",
        "critical",
        "fatal",
        "err",
        "error",
        "severe",
        "warn",
        "warning",
        "notice",
        "info",
        "information",
        "debug",
        "trace",
        "verbose",
    ];
    let is_level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    if is_level { Severity::from_word(word) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, context};
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn read(path: &str, line: &[u8]) -> LogRecord {
        let settings = FileSettings::new("p".into(), "bridge-pc", TimeZone::UTC);
        record(&context("files").0, &settings, Path::new(path), line, NOW)
    }

    #[test]
    fn lines_of_syslog_daemons_are_taken_apart() {
        for line in [
            "Jun  1 11:59:58 bridge-pc sshd[9]: error: bad key",
            "2026-06-01T11:59:58.000000+00:00 bridge-pc sshd[9]: error: bad key",
        ] {
            let log = read("/var/log/auth.log", line.as_bytes());
            assert_eq!(log.time.to_string(), "2026-06-01T11:59:58.000Z");
            assert_eq!((&*log.app, &*log.message, log.severity), ("sshd", "error: bad key", Severity::Major));
            assert_eq!((&*log.attributes["pid"], &*log.attributes["file"]), ("9", "/var/log/auth.log"));
            assert_eq!(log.asset.as_str(), "bridge-pc");
        }
    }

    #[test]
    fn a_line_of_another_host_is_that_host_s() {
        let log = read("/var/log/syslog", b"Jun  1 11:59:58 galley-tv app: x");
        assert_eq!((log.asset.as_str(), &*log.attributes["host"]), ("unknown", "galley-tv"));
    }

    #[test]
    fn other_lines_keep_their_date_or_the_time_of_receipt() {
        let log = read("/var/log/dpkg.log", b"2026-06-01 11:00:00 status installed curl\r");
        assert_eq!(
            (log.time.to_string().as_str(), &*log.app, &*log.message),
            ("2026-06-01T11:00:00.000Z", "dpkg", "status installed curl")
        );
        let log = read("/var/log/app.log", b"caf\xe9 opens");
        assert_eq!((log.time, &*log.message), (NOW, "caf\u{fffd} opens"));
    }

    #[test]
    fn only_stated_levels_count() {
        let cases = [
            ("[WARN] disk", Some(Severity::Minor)),
            ("main ERROR oops", Some(Severity::Major)),
            ("fatal: no such ref", Some(Severity::Critical)),
            ("Error: no such file", Some(Severity::Major)),
            ("ts=1 level=warn msg=x", Some(Severity::Minor)),
            ("ts=1 level=\"error\" msg=x", Some(Severity::Major)),
            ("[debug] x", Some(Severity::Info)),
            ("no error found", None),
            ("the page was critical", None),
            ("sealevel=error", None),
            ("one two three ERROR", None),
            ("", None),
        ];
        for (message, expected) in cases {
            assert_eq!(level(message), expected, "{message}");
        }
    }

    proptest! {
        #[test]
        fn hostile_lines_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read("/var/log/x.log", &bytes);
        }
    }
}
