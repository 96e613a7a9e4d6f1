//! Parameters from the address and, with POST, from a form body, as the Prometheus API takes them.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use wk_types::{DurationMs, UtcMs};

use crate::http::problem::Problem;

/// Parameters in the order given; a name may come several times.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The first value of a parameter.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Parameters as a test gives them.
    #[cfg(test)]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// All parameters in the order given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn read(&mut self, encoded: &[u8]) {
        self.0.extend(form_urlencoded::parse(encoded).into_owned());
    }
}

/// Reads a time: seconds since 1970, or RFC 3339.
pub fn read_time(text: &str) -> Result<UtcMs, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        return Ok(UtcMs::from_secs_f64(seconds));
    }
    text.parse().map_err(|_| format!("{text:?} is no time; give seconds since 1970 or RFC 3339"))
}

/// Reads a span: seconds, or as PromQL writes it (`1m`, `1h30m`).
pub fn read_span(text: &str) -> Result<DurationMs, String> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) => seconds * 1_000.0,
        Err(_) => wk_promql::parse_duration(text).map_or(f64::NAN, |span| span.0 as f64),
    };
    if (1.0..1e15).contains(&ms) {
        Ok(DurationMs(ms as i64))
    } else {
        Err(format!("{text:?} is no span of time above zero; write 15, 15s or 1h30m"))
    }
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let mut params = Self::default();
        params.read(request.uri().query().unwrap_or_default().as_bytes());
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        if is_form {
            let body = Bytes::from_request(request, state)
                .await
                .map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
            params.read(&body);
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        assert_eq!(read_time("1700000000.5"), Ok(UtcMs(1_700_000_000_500)));
        assert_eq!(read_time("2023-11-14T22:13:20Z"), Ok(UtcMs(1_700_000_000_000)));
        assert!(read_time("noon").is_err() && read_time("NaN").is_err());
    }

    #[test]
    fn steps_are_seconds_or_promql_spans_above_zero() {
        assert_eq!(read_span("15"), Ok(DurationMs(15_000)));
        assert_eq!(read_span("0.5"), Ok(DurationMs(500)));
        assert_eq!(read_span("1h30m"), Ok(DurationMs(5_400_000)));
        for wrong in ["0", "-1", "often", "NaN", "inf"] {
            assert!(read_span(wrong).is_err(), "{wrong}");
        }
    }
}
