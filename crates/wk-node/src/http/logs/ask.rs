//! From parameters to what is asked of the log store.

use std::collections::BTreeMap;
use std::sync::Arc;

use wk_lake::{Condition, LogField, LogQuery, TextTest};
use wk_types::{Severity, UtcMs};

use crate::clock::now;
use crate::http::params::{Params, read_span, read_time};
use crate::http::problem::Problem;

/// The parameters that say how rows are answered.
pub const PAGING: &[&str] = &["limit", "order", "cursor"];
/// Most conditions of one question.
const CONDITIONS_MAX: usize = 32;

fn wrong(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::bad_request(format!("{name}: {why}"))
}

/// A field by its name.
pub fn field(name: &str) -> Result<LogField, Problem> {
    name.parse().map_err(|error| wrong(name, error))
}

/// A number of rows or values, up to `most`.
pub fn limit(params: &Params, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(text) = params.first("limit") else { return Ok(default) };
    let limit = text.parse().map_err(|_| wrong("limit", "it must be a number, not below 0"))?;
    if limit > most {
        return Err(wrong("limit", format_args!("at most {most} can be asked for at once")));
    }
    Ok(limit)
}

/// What the parameters ask for; `also` are the names that the caller reads itself, those of [`PAGING`] are read here.
/// A parameter of any other name is refused, so that a slip in a name is not passed over.
pub fn read(params: &Params, also: &[&str]) -> Result<LogQuery, Problem> {
    let mut query = LogQuery::default();
    let mut exact: BTreeMap<&str, Vec<Arc<str>>> = BTreeMap::new();
    for (name, value) in params.iter() {
        match name {
            "start" => query.from = read_time(value).map_err(|why| wrong(name, why))?,
            "end" => query.to = read_time(value).map_err(|why| wrong(name, why))?,
            "since" => {
                let span = read_span(value).map_err(|why| wrong(name, why))?;
                query.from = UtcMs(now().0.saturating_sub(span.0));
            }
            "severity_min" => query.severity_min = Some(severity(name, value)?),
            "text" | "text!" => query.conditions.push(on_message(TextTest::Contains(value.to_owned()), name)),
            "regex" | "regex!" => query.conditions.push(on_message(TextTest::Matches(value.to_owned()), name)),
            _ if also.contains(&name) => {}
            _ => match name.strip_suffix('~') {
                Some(of) => query.conditions.push(condition(of, TextTest::Matches(value.to_owned()))?),
                None => exact.entry(name).or_default().push(value.into()),
            },
        }
    }
    for (name, values) in exact {
        query.conditions.push(condition(name, TextTest::Is(values))?);
    }
    if query.conditions.len() > CONDITIONS_MAX {
        return Err(Problem::bad_request(format!("more than {CONDITIONS_MAX} conditions are asked for")));
    }
    if also == PAGING { paged(query, params) } else { Ok(query) }
}

fn paged(mut query: LogQuery, params: &Params) -> Result<LogQuery, Problem> {
    query.limit = limit(params, query.limit, usize::MAX)?;
    query.newest_first = match params.first("order") {
        None | Some("newest") => true,
        Some("oldest") => false,
        Some(other) => return Err(wrong("order", format_args!("{other:?} is not newest or oldest"))),
    };
    query.after = params
        .first("cursor")
        .map(|text| text.parse().map_err(|error: wk_lake::ParseError| wrong("cursor", error)))
        .transpose()?;
    Ok(query)
}

fn severity(name: &str, word: &str) -> Result<Severity, Problem> {
    Severity::from_word(word)
        .ok_or_else(|| wrong(name, format_args!("{word:?} is no severity; use info, minor, major or critical")))
}

fn on_message(test: TextTest, name: &str) -> Condition {
    let condition = Condition::new(LogField::Message, test);
    if name.ends_with('!') { condition.negated() } else { condition }
}

/// A condition on a field, the name of which ends in `!` where the opposite is meant.
fn condition(name: &str, test: TextTest) -> Result<Condition, Problem> {
    let (of, is_negated) = name.strip_suffix('!').map_or((name, false), |of| (of, true));
    let field = of.parse().map_err(|_| {
        let known = "start, end, since, severity_min, text, regex, and fields such as app, app!, app~ and app!~";
        Problem::bad_request(format!("there is no parameter {name:?}; there are {known}"))
    })?;
    let condition = Condition::new(field, test);
    Ok(if is_negated { condition.negated() } else { condition })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(pairs: &[(&str, &str)]) -> Result<LogQuery, String> {
        read(&Params::of(pairs), PAGING).map_err(|problem| problem.message)
    }

    #[test]
    fn every_form_of_condition_is_read() {
        let query = read_all(&[
            ("app", "dhcpd"),
            ("app", "named"),
            ("asset!", "bridge-pc"),
            ("attributes.unit~", "^eth"),
            ("message!~", "debug"),
            ("text", "lease"),
            ("text!", "renew"),
            ("regex", "free.*"),
            ("severity_min", "error"),
            ("limit", "5"),
            ("order", "oldest"),
        ])
        .unwrap();
        let is = |values: &[&str]| TextTest::Is(values.iter().map(|value| (*value).into()).collect());
        let matches = |text: &str| TextTest::Matches(text.to_owned());
        let contains = |text: &str| TextTest::Contains(text.to_owned());
        assert_eq!(
            query.conditions,
            [
                Condition::new(LogField::Attribute("unit".into()), matches("^eth")),
                Condition::new(LogField::Message, matches("debug")).negated(),
                Condition::new(LogField::Message, contains("lease")),
                Condition::new(LogField::Message, contains("renew")).negated(),
                Condition::new(LogField::Message, matches("free.*")),
                Condition::new(LogField::App, is(&["dhcpd", "named"])),
                Condition::new(LogField::Asset, is(&["bridge-pc"])).negated(),
            ]
        );
        assert_eq!((query.severity_min, query.limit, query.newest_first), (Some(Severity::Major), 5, false));
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        for (name, value) in [
            ("ap", "dhcpd"),
            ("start", "noon"),
            ("severity_min", "purple"),
            ("limit", "-1"),
            ("order", "random"),
            ("cursor", "here"),
            ("attributes.", "x"),
            ("step", "5m"),
        ] {
            let message = read_all(&[(name, value)]).unwrap_err();
            assert!(message.contains(name), "{name}: {message}");
        }
        let many = vec![("text", "x"); CONDITIONS_MAX + 1];
        assert!(read_all(&many).unwrap_err().contains("conditions"));
    }
}
