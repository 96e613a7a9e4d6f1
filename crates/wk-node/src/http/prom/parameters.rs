//! Reading parameters as Prometheus does.

use wk_promql::parse_selector;
use wk_types::{DurationMs, Matcher, UtcMs};

use super::answer::Refusal;
use crate::clock::now;
use crate::http::params::Params;

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
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(UtcMs::from_secs_f64(seconds));
    }
    text.parse()
        .map_err(|_| Refusal::parameter(name, format_args!("{text:?} is no time; give seconds since 1970 or RFC 3339")))
}

/// A span in seconds, or as PromQL writes it (`1m`, `1h30m`).
pub fn read_span(name: &str, text: &str) -> Result<DurationMs, Refusal> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => seconds * 1_000.0,
        Err(_) => wk_promql::parse_duration(text).map_or(f64::NAN, |span| span.0 as f64),
    };
    if (1.0..1e15).contains(&ms) {
        Ok(DurationMs(ms as i64))
    } else {
        let wrong = format_args!("{text:?} is no span of time above zero; write 15, 15s or 1h30m");
        Err(Refusal::parameter(name, wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(read_time("time", "1700000000.5").ok(), Some(UtcMs(1_700_000_000_500)));
        assert_eq!(read_time("time", "2023-11-14T22:13:20Z").ok(), Some(UtcMs(1_700_000_000_000)));
        assert!(read_time("time", "noon").is_err() && read_time("time", "NaN").is_err());
    }

    #[test]
    fn steps_are_seconds_or_promql_spans_above_zero() {
        assert_eq!(read_span("step", "15").ok(), Some(DurationMs(15_000)));
        assert_eq!(read_span("step", "0.5").ok(), Some(DurationMs(500)));
        assert_eq!(read_span("step", "1h30m").ok(), Some(DurationMs(5_400_000)));
        for wrong in ["0", "-1", "often", "NaN", "inf"] {
            assert!(read_span("step", wrong).is_err(), "{wrong}");
        }
    }
}
