//! The Prometheus text formats: text 0.0.4 and OpenMetrics text 1.0.
//!
//! *Source*: <https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics specification; names in
//! quotes inside the braces as Prometheus 3 writes them. A line that cannot be read is rejected alone.

mod scan;

use std::borrow::Cow;
use std::collections::BTreeMap;

use wk_types::labels::METRIC_NAME;
use wk_types::{Sample, UtcMs};

use crate::metadata::{FAMILIES_MAX, HELP_BYTES_MAX, Metadata};
use crate::series::LABELS_MAX;
use crate::stats::shortened;
use crate::times;

/// Which of the two formats a text is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text 0.0.4: timestamps are whole milliseconds.
    Text,
    /// OpenMetrics: timestamps are seconds, the text ends with `# EOF`.
    OpenMetrics,
}

impl Format {
    /// The format that a content type names; text where it names none.
    #[must_use]
    pub fn of(content_type: Option<&str>) -> Self {
        let media = content_type.and_then(|text| text.split(';').next()).unwrap_or("").trim();
        if media.eq_ignore_ascii_case("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }
}

/// One sample line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line<'a> {
    /// The name and labels as written; equal text is the same series.
    pub series: &'a str,
    /// The value.
    pub value: f64,
    /// The time that the target gives.
    pub time: Option<UtcMs>,
}

impl Line<'_> {
    /// The sample, at the target's time or else at `now`.
    #[must_use]
    pub fn sample(&self, now: UtcMs) -> Sample {
        Sample::new(self.time.unwrap_or(now), self.value)
    }
}

/// Why a line cannot be read; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// A name or the braces cannot be read.
    #[error("bad series")]
    Series,
    /// The value is missing or no number.
    #[error("bad value")]
    Value,
    /// The time is no number, or no time that a sample can have.
    #[error("bad timestamp")]
    Time,
    /// There is something behind the sample.
    #[error("text behind the sample")]
    Rest,
}

impl BadLine {
    /// The reason as a constant text.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Series => "bad series",
            Self::Value => "bad value",
            Self::Time => "bad timestamp",
            Self::Rest => "text behind the sample",
        }
    }
}

/// A text taken apart, borrowing from it.
#[derive(Debug, Default)]
pub struct Exposition<'a> {
    /// The samples in the order they stand.
    pub lines: Vec<Line<'a>>,
    /// What the families are.
    pub metadata: BTreeMap<String, Metadata>,
    /// Lines that cannot be read.
    pub rejected: Vec<(BadLine, &'a str)>,
    /// Tells whether an OpenMetrics text has its end; always true of the other format.
    pub complete: bool,
}

/// Takes a text apart.
#[must_use]
pub fn parse(text: &str, format: Format) -> Exposition<'_> {
    let mut exposition = Exposition { complete: format == Format::Text, ..Exposition::default() };
    for line in text.lines() {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() {
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            if format == Format::OpenMetrics && comment == " EOF" {
                exposition.complete = true;
                break;
            }
            describe(comment, &mut exposition.metadata);
            continue;
        }
        match sample_line(line, format) {
            Ok(sample) => exposition.lines.push(sample),
            Err(bad) => exposition.rejected.push((bad, line)),
        }
    }
    exposition
}

fn sample_line(line: &str, format: Format) -> Result<Line<'_>, BadLine> {
    let end = scan::series_end(line).ok_or(BadLine::Series)?;
    let (series, rest) = line.split_at(end);
    let rest = match format {
        Format::Text => rest,
        // An exemplar follows.
        Format::OpenMetrics => rest.split_once(" # ").map_or(rest, |(sample, _)| sample),
    };
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().and_then(read_value).ok_or(BadLine::Value)?;
    let time = words.next().map(|word| read_time(word, format).ok_or(BadLine::Time)).transpose()?;
    if words.next().is_some() {
        return Err(BadLine::Rest);
    }
    Ok(Line { series: series.trim_end_matches([' ', '\t']), value, time })
}

fn read_value(word: &str) -> Option<f64> {
    word.parse().ok()
}

fn read_time(word: &str, format: Format) -> Option<UtcMs> {
    let time = match format {
        Format::Text => UtcMs(word.parse().ok()?),
        Format::OpenMetrics => UtcMs::from_secs_f64(word.parse().ok().filter(|seconds: &f64| seconds.is_finite())?),
    };
    times::is_sample_time(time).then_some(time)
}

/// Reads `HELP name text`, `TYPE name kind` and `UNIT name unit`; other comments say nothing.
fn describe(comment: &str, metadata: &mut BTreeMap<String, Metadata>) {
    let comment = comment.trim_start_matches([' ', '\t']);
    let Some((keyword, rest)) = comment.split_once([' ', '\t']) else { return };
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return;
    }
    let Some((name, text)) = family_name(rest.trim_start_matches([' ', '\t'])) else { return };
    if metadata.len() >= FAMILIES_MAX && !metadata.contains_key(&*name) {
        return;
    }
    let entry = metadata.entry(name.into_owned()).or_default();
    let text = text.trim_matches([' ', '\t']);
    match keyword {
        "HELP" => entry.help = shortened(&scan::unescaped(text), HELP_BYTES_MAX).to_owned(),
        "TYPE" => entry.kind = shortened(text, HELP_BYTES_MAX).to_owned(),
        _ => entry.unit = shortened(text, HELP_BYTES_MAX).to_owned(),
    }
}

fn family_name(input: &str) -> Option<(Cow<'_, str>, &str)> {
    if let Some(quoted) = input.strip_prefix('"') {
        let end = scan::quote_end(quoted)?;
        return Some((scan::unescaped(&quoted[..end]), &quoted[end + 1..]));
    }
    let (name, text) = input.split_once([' ', '\t']).unwrap_or((input, ""));
    (!name.is_empty()).then_some((Cow::Borrowed(name), text))
}

/// Name and value of a label.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Reads the name and labels of [`Line::series`], the name as label `__name__`.
///
/// # Errors
/// Text that is no series, or more labels than a series may have.
pub fn labels(series: &str) -> Result<Vec<Pair<'_>>, BadLine> {
    let (name, braces) = series.find('{').map_or((series, ""), |at| series.split_at(at));
    let name = name.trim_end_matches([' ', '\t']);
    let mut pairs: Vec<Pair<'_>> = Vec::new();
    if !name.is_empty() {
        pairs.push((Cow::Borrowed(METRIC_NAME), Cow::Borrowed(name)));
    }
    let Some(mut rest) = braces.strip_prefix('{') else {
        return if pairs.is_empty() { Err(BadLine::Series) } else { Ok(pairs) };
    };
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(behind) = rest.strip_prefix('}') {
            return if behind.is_empty() { Ok(pairs) } else { Err(BadLine::Series) };
        }
        let (pair, behind) = scan::pair(rest).ok_or(BadLine::Series)?;
        pairs.push(pair);
        if pairs.len() > LABELS_MAX {
            return Err(BadLine::Series);
        }
        rest = behind.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.starts_with('}') => {}
            None => return Err(BadLine::Series),
        }
    }
}

#[cfg(test)]
mod tests;
