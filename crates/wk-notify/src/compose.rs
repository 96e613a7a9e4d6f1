//! The words: what a mail about an incident says. Pure; the same incident always gives the same text.

use std::fmt::Write as _;

use wk_store::state::MessageClass;
use wk_types::{Incident, Severity, Signal, UtcMs, VesselId};

/// Longest line, save for what cannot be broken (links, commands).
pub const COLUMNS: usize = 72;
/// Signals whose evidence is told; further ones are counted.
pub const SIGNALS_TOLD_MAX: usize = 5;
/// Longest subject in characters.
const SUBJECT_CHARS_MAX: usize = 150;
/// Longest text taken over from a signal or a reason, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// What happened to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// It began.
    Opened,
    /// It came back.
    Reopened,
    /// It became worse.
    Escalated {
        /// The severity before.
        from: Severity,
        /// The severity now.
        to: Severity,
    },
    /// It ended.
    Resolved {
        /// Why, in plain words.
        reason: &'a str,
        /// Whether a person ended it.
        by_hand: bool,
    },
    /// It began and ended before anybody could be told of either.
    CameAndWent {
        /// Why it ended, in plain words.
        reason: &'a str,
        /// Whether a person ended it.
        by_hand: bool,
    },
}

/// What a mail is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The incident as it stood.
    pub incident: &'a Incident,
    /// Its signals as they stand.
    pub signals: &'a [Signal],
    /// Which ship it is.
    pub vessel: &'a VesselId,
    /// Where people reach the console.
    pub console_url: &'a str,
    /// When what is told happened.
    pub at: UtcMs,
}

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The subject line.
    pub subject: String,
    /// The text, lines of at most [`COLUMNS`].
    pub body: String,
    /// What it is about.
    pub class: MessageClass,
}

/// Puts an occasion into words: first what is wrong, then what, where, since when, on what evidence, and what to do.
#[must_use]
pub fn compose(occasion: Occasion<'_>, about: &Subject<'_>) -> Words {
    let title = one_line(&about.incident.title);
    let severity = about.incident.severity;
    let (subject, first, class) = match occasion {
        Occasion::Opened => (format!("{}: {title}", upper(severity)), title, MessageClass::Alert),
        Occasion::Reopened => {
            (format!("{}, back again: {title}", upper(severity)), format!("Back again: {title}"), MessageClass::Alert)
        }
        Occasion::Escalated { from, to } => (
            format!("{}, worse: {title}", upper(to)),
            format!("Worse, {to} instead of {from}: {title}"),
            MessageClass::Alert,
        ),
        Occasion::Resolved { by_hand, .. } => {
            let end = if by_hand { "Closed by hand" } else { "Healed by itself" };
            (format!("Resolved: {title}"), format!("{end}: {title}"), MessageClass::Recovery)
        }
        Occasion::CameAndWent { by_hand, .. } => {
            let span = about.incident.resolved.unwrap_or(about.at).since(since(occasion, about));
            let end = if by_hand { "closed by hand" } else { "healed by itself" };
            (
                format!("Came and went: {title}"),
                format!("Was broken for {span}, {end}: {title}"),
                MessageClass::Recovery,
            )
        }
    };
    let mut body = String::new();
    paragraph(&mut body, &first, "", "");
    body.push('\n');
    facts(&mut body, occasion, about);
    evidence(&mut body, about);
    what_to_do(&mut body, class, about);
    let (number, id) = (about.incident.number, &about.incident.id);
    let _ = writeln!(body, "\n-- \nWatchkeeper on {}\nIncident {number}, {id}", about.vessel);
    Words { subject: format!("[Watchkeeper] {}", shortened(&subject, SUBJECT_CHARS_MAX)), body, class }
}

/// The table of what, where and when.
fn facts(body: &mut String, occasion: Occasion<'_>, about: &Subject<'_>) {
    let incident = about.incident;
    let assets: Vec<&str> = incident.assets.iter().map(|asset| asset.as_str()).collect();
    row(body, "Asset", &assets.join(", "));
    let mut metrics: Vec<&str> = about.signals.iter().map(|signal| signal.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    row(body, "Metric", &metrics.join(", "));
    row(body, "Severity", incident.severity.as_str());
    row(body, "Since", &utc(since(occasion, about)));
    if let Some(reason) = reason_of(occasion) {
        let until = incident.resolved.unwrap_or(about.at);
        row(body, "Until", &format!("{}, after {}", utc(until), until.since(since(occasion, about))));
        row(body, "Over because", reason);
    }
    if incident.reopened_count > 0 {
        let times =
            if incident.reopened_count == 1 { "once".to_owned() } else { format!("{} times", incident.reopened_count) };
        row(body, "Came back", &times);
    }
}

const fn reason_of<'a>(occasion: Occasion<'a>) -> Option<&'a str> {
    match occasion {
        Occasion::Resolved { reason, .. } | Occasion::CameAndWent { reason, .. } => Some(reason),
        Occasion::Opened | Occasion::Reopened | Occasion::Escalated { .. } => None,
    }
}

/// Since when it is (or was) broken: the first signal's start, of those that still hold where it is not over.
fn since(occasion: Occasion<'_>, about: &Subject<'_>) -> UtcMs {
    let is_over = reason_of(occasion).is_some();
    let started = about.signals.iter().filter(|signal| is_over || signal.ended.is_none()).map(|signal| signal.started);
    let otherwise = if occasion == Occasion::Reopened { about.at } else { about.incident.opened };
    started.min().unwrap_or(otherwise)
}

fn evidence(body: &mut String, about: &Subject<'_>) {
    if about.signals.is_empty() {
        return;
    }
    body.push_str("\nWhat was seen\n");
    for signal in about.signals.iter().take(SIGNALS_TOLD_MAX) {
        paragraph(body, &format!("{} ({})", one_line(&signal.title), one_line(&signal.rule.name)), "  - ", "    ");
        paragraph(body, &signal.evidence.detail, "    ", "    ");
    }
    match about.signals.len().saturating_sub(SIGNALS_TOLD_MAX) {
        0 => {}
        more => {
            let _ = writeln!(body, "  and {more} more");
        }
    }
}

fn what_to_do(body: &mut String, class: MessageClass, about: &Subject<'_>) {
    let id = &about.incident.id;
    body.push_str("\nWhat to do\n");
    if class == MessageClass::Recovery {
        body.push_str("  Nothing at once. To see what happened:\n");
    }
    let _ = writeln!(body, "  {}{INCIDENT_PATH}{id}", about.console_url.trim_end_matches('/'));
    let _ = writeln!(body, "  watchkeeper trace {id}");
    if let Some(signal) = about.signals.iter().find(|signal| !signal.evidence.query.is_empty()) {
        let query = one_line(&signal.evidence.query).replace('\'', "'\\''");
        let _ = writeln!(body, "  watchkeeper query promql '{query}'");
    }
}

/// Where the console shows an incident.
pub const INCIDENT_PATH: &str = "/incidents/";
/// Width of the names in the table.
const NAME_WIDTH: usize = 14;

fn row(body: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        paragraph(body, value, &format!("{name:NAME_WIDTH$}"), &" ".repeat(NAME_WIDTH));
    }
}

/// Writes a text in lines of at most [`COLUMNS`]; a word that is longer stands on a line of its own.
fn paragraph(body: &mut String, text: &str, first_indent: &str, indent: &str) {
    let text = shortened(&one_line(text), TEXT_CHARS_MAX);
    let mut line = first_indent.to_owned();
    let (mut used, mut has_word) = (first_indent.chars().count(), false);
    for word in text.split(' ') {
        let width = word.chars().count();
        if has_word && used + 1 + width > COLUMNS {
            let _ = writeln!(body, "{line}");
            line = indent.to_owned();
            (used, has_word) = (indent.chars().count(), false);
        }
        if has_word {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += width;
        has_word = true;
    }
    if has_word && !text.is_empty() {
        let _ = writeln!(body, "{line}");
    }
}

/// A text without line breaks and control characters, which could otherwise forge headers or hide words.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn shortened(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars_max - 1).collect();
    short.push('…');
    short
}

fn upper(severity: Severity) -> String {
    severity.as_str().to_uppercase()
}

/// A time as a person reads it, in UTC, to the second.
fn utc(at: UtcMs) -> String {
    let text = at.to_string();
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {} UTC", time.get(..8).unwrap_or(time)),
        None => text,
    }
}

#[cfg(test)]
mod tests;
