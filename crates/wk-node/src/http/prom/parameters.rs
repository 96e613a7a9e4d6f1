//! Reading parameters as Prometheus does.

use wk_promql::parse_selector;
use wk_types::{DurationMs, Matcher, UtcMs};

use super::answer::Refusal;
use crate::clock::now;
use crate::http::params::{self, Params};

/// A parameter that must be there.
pub fn needed<'a>(params: &'a Params, name: &'a str) -> Result<&'a str, Refusal> {
    params.first(name).ok_or_else(|| Refusal::parameter(name, "it is missing"))
}

/// A time that must be there.
pub fn time(params: &Params, name: &str) -> Result<UtcMs, Refusal> {
    read_time(name, needed(params, name)?)
}

/// A time, or now.
pub fn time_or_now(params: &Params, name: &str) -> Result<UtcMs, Refusal> {
    params.first(name).map_or_else(|| Ok(now()), |text| read_time(name, text))
}

/// The times from `start` to `end`, all where they are missing.
pub fn span(params: &Params) -> Result<(UtcMs, UtcMs), Refusal> {
    let read = |name, default| params.first(name).map_or(Ok(default), |text| read_time(name, text));
    Ok((read("start", UtcMs::MIN)?, read("end", UtcMs::MAX)?))
}

/// A bound on what is answered; none where it is missing or 0.
pub fn limit(params: &Params, name: &str) -> Result<Option<usize>, Refusal> {
    let Some(text) = params.first(name) else { return Ok(None) };
    let limit: usize = text.parse().map_err(|_| Refusal::parameter(name, "it must be a number, not below 0"))?;
    Ok(Some(limit).filter(|limit| *limit > 0))
}

/// The matchers of each `match[]`.
pub fn selectors(params: &Params) -> Result<Vec<Vec<Matcher>>, Refusal> {
    params
        .all("match[]")
        .map(|text| parse_selector(text).map_err(|error| Refusal::parameter("match[]", crate::http::chain(&error))))
        .collect()
}

fn read_time(name: &str, text: &str) -> Result<UtcMs, Refusal> {
    params::read_time(text).map_err(|wrong| Refusal::parameter(name, wrong))
}

/// A span of time.
pub fn read_span(name: &str, text: &str) -> Result<DurationMs, Refusal> {
    params::read_span(text).map_err(|wrong| Refusal::parameter(name, wrong))
}
