//! Templates of labels and annotations: a small subset of what Prometheus has.
//!
//! `{{ $value }}`, `{{ $labels.name }}` (also `.Value`, `.Labels.name`), piped through or given to `humanize`,
//! `humanize1024`, `humanizePercentage`, `humanizeDuration`, `toUpper`, `toLower` and `printf "%.2f"`. Anything else
//! is refused when the rules are loaded.

use wk_types::Labels;

use super::humanize;

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Action { source: Source, functions: Vec<Function> },
}

#[derive(Debug, Clone, PartialEq)]
enum Source {
    Value,
    Label(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Function {
    Humanize,
    Humanize1024,
    Percentage,
    Duration,
    Upper,
    Lower,
    Printf { before: String, digits: Option<usize>, after: String },
}

/// The functions there are, as an error names them.
const FUNCTIONS: &str =
    "humanize, humanize1024, humanizePercentage, humanizeDuration, toUpper, toLower and printf with one %s or %.2f";
/// A printed number has at most this many digits after the point.
const DIGITS_MAX: usize = 20;

/// A value on its way through functions.
enum Piped {
    Number(f64),
    Text(String),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong and where, in plain words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest, mut at) = (Vec::new(), text, 0);
        while let Some(open) = rest.find("{{") {
            let place = at + rest[..open].chars().count() + 1;
            let inside = &rest[open + 2..];
            let close = end_of_action(inside)
                .ok_or_else(|| format!("at character {place}: `{{{{` is not closed; add `}}}}`"))?;
            let (action, after) = (&inside[..close], &inside[close + 2..]);
            // As in Go, a dash within the braces takes the white space beside them away.
            let before = if action.starts_with('-') { rest[..open].trim_end() } else { &rest[..open] };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let plain = action.trim_start_matches('-').trim_end_matches('-').trim();
            parts.push(parse_action(plain).map_err(|reason| format!("at character {place}: {reason}"))?);
            let next = if action.ends_with('-') { after.trim_start() } else { after };
            at += rest[..rest.len() - next.len()].chars().count();
            rest = next;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The template as it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Renders the template; `escape` is put on every label's value.
    pub(crate) fn render(&self, labels: &Labels, value: f64, escape: fn(&str) -> String) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Action { source, functions } => {
                    let first = match source {
                        Source::Value => Piped::Number(value),
                        Source::Label(name) => Piped::Text(escape(labels.get(name).unwrap_or_default())),
                    };
                    text.push_str(&functions.iter().fold(first, |piped, function| function.apply(piped)).into_text());
                }
            }
        }
        text
    }
}

/// Where the action ends, quoted texts passed over.
fn end_of_action(inside: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (position, character) in inside.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted && inside[position..].starts_with("}}") => return Some(position),
            _ => {}
        }
    }
    None
}

fn parse_action(action: &str) -> Result<Part, String> {
    let mut stages = split_stages(action).into_iter();
    let first = stages.next().unwrap_or_default();
    let words = split_words(&first);
    let (source, mut functions) = match words.as_slice() {
        [source] => (parse_source(source)?, Vec::new()),
        [function, source] => {
            let function = parse_function(std::slice::from_ref(function))?;
            (parse_source(source)?, vec![function])
        }
        [function, format, source] => {
            let function = parse_function(&[function.clone(), format.clone()])?;
            (parse_source(source)?, vec![function])
        }
        _ => return Err(format!("`{action}` is not understood; use {{{{ $value }}}} or {{{{ $labels.name }}}}")),
    };
    for stage in stages {
        functions.push(parse_function(&split_words(&stage))?);
    }
    Ok(Part::Action { source, functions })
}

/// Splits at `|` outside of quotes.
fn split_stages(action: &str) -> Vec<String> {
    split_outside_quotes(action, |character| character == '|')
}

/// Splits at white space outside of quotes.
fn split_words(stage: &str) -> Vec<String> {
    split_outside_quotes(stage, char::is_whitespace).into_iter().filter(|word| !word.is_empty()).collect()
}

fn split_outside_quotes(text: &str, splits: impl Fn(char) -> bool) -> Vec<String> {
    let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
    for character in text.chars() {
        quoted ^= character == '"';
        if !quoted && splits(character) {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(character);
        }
    }
    parts.push(part);
    parts
}

fn parse_source(word: &str) -> Result<Source, String> {
    if matches!(word, "$value" | ".Value") {
        return Ok(Source::Value);
    }
    let name = word.strip_prefix("$labels.").or_else(|| word.strip_prefix(".Labels."));
    let is_name = |name: &&str| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    match name.filter(is_name) {
        Some(name) => Ok(Source::Label(name.to_owned())),
        None => Err(format!("`{word}` is not understood; use `$value` or `$labels.name`")),
    }
}

fn parse_function(words: &[String]) -> Result<Function, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["humanize"] => Ok(Function::Humanize),
        ["humanize1024"] => Ok(Function::Humanize1024),
        ["humanizePercentage"] => Ok(Function::Percentage),
        ["humanizeDuration"] => Ok(Function::Duration),
        ["toUpper"] => Ok(Function::Upper),
        ["toLower"] => Ok(Function::Lower),
        ["printf", format] => parse_printf(format),
        [] => Err("nothing stands after `|`; take the `|` away".to_owned()),
        [name, ..] => Err(format!("the template function `{name}` is not known here; there are {FUNCTIONS}")),
    }
}

fn parse_printf(format: &str) -> Result<Function, String> {
    let refuse = || format!("printf {format} is not understood; use one %s, %v, %d, %f or %.2f");
    let text = format.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(refuse)?;
    let (before, rest) = text.split_once('%').ok_or_else(refuse)?;
    let verb = rest.find(|character: char| character.is_ascii_alphabetic()).ok_or_else(refuse)?;
    let (precision, after) = (&rest[..verb], rest[verb + 1..].replace("%%", "%"));
    let digits = match (&rest[verb..=verb], precision.strip_prefix('.')) {
        ("s" | "v", None) if precision.is_empty() => None,
        ("d", None) if precision.is_empty() => Some(0),
        ("f", None) if precision.is_empty() => Some(6),
        ("f", Some(digits)) => Some(digits.parse::<usize>().map_err(|_| refuse())?.min(DIGITS_MAX)),
        _ => return Err(refuse()),
    };
    Ok(Function::Printf { before: before.to_owned(), digits, after })
}

impl Piped {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Function {
    /// Applies the function; a text that should be a number and is none stays as it is.
    fn apply(&self, piped: Piped) -> Piped {
        let on_number = |write: fn(f64) -> String| match piped.number() {
            Some(number) => write(number),
            None => String::new(),
        };
        let text = match self {
            Self::Humanize => on_number(humanize::humanize),
            Self::Humanize1024 => on_number(humanize::humanize_1024),
            Self::Percentage => on_number(humanize::percentage),
            Self::Duration => on_number(humanize::duration),
            Self::Upper => return Piped::Text(piped.into_text().to_uppercase()),
            Self::Lower => return Piped::Text(piped.into_text().to_lowercase()),
            Self::Printf { before, digits, after } => {
                let middle = match (digits, piped.number()) {
                    (Some(digits), Some(number)) => format!("{number:.digits$}"),
                    _ => piped.into_text(),
                };
                return Piped::Text(format!("{before}{middle}{after}"));
            }
        };
        if text.is_empty() { piped } else { Piped::Text(text) }
    }
}
