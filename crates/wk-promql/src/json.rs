//! Values in the shape of the Prometheus HTTP API.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use wk_types::{Labels, Sample, UtcMs};

use crate::query::Value;

/// Below this, and from [`EXPONENT_FROM`] on, a number is written with an exponent.
const EXPONENT_BELOW: f64 = 1e-6;
const EXPONENT_FROM: f64 = 1e21;

/// A value that serialises as Prometheus' HTTP API does, without an intermediate tree.
#[derive(Debug, Clone, Copy)]
pub struct PrometheusJson<'a>(pub(crate) &'a Value);

impl Serialize for PrometheusJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        match self.0 {
            Value::Scalar(at, value) => {
                map.serialize_entry("resultType", "scalar")?;
                map.serialize_entry("result", &(Time(*at), number(*value)))?;
            }
            Value::String(at, text) => {
                map.serialize_entry("resultType", "string")?;
                map.serialize_entry("result", &(Time(*at), text))?;
            }
            Value::Vector(elements) => {
                map.serialize_entry("resultType", "vector")?;
                map.serialize_entry("result", &List(elements, Element))?;
            }
            Value::Matrix(rows) => {
                map.serialize_entry("resultType", "matrix")?;
                map.serialize_entry("result", &List(rows, Line))?;
            }
        }
        map.end()
    }
}

struct List<'a, T, F>(&'a [T], F);

impl<'a, T, F: Fn(&'a T) -> R, R: Serialize> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            list.serialize_element(&(self.1)(item))?;
        }
        list.end()
    }
}

struct Element<'a>(&'a (Labels, Sample));

impl Serialize for Element<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &self.0.0)?;
        map.serialize_entry("value", &point(&self.0.1))?;
        map.end()
    }
}

struct Line<'a>(&'a (Labels, Vec<Sample>));

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &self.0.0)?;
        map.serialize_entry("values", &List(&self.0.1, point))?;
        map.end()
    }
}

fn point(sample: &Sample) -> (Time, String) {
    (Time(sample.time), number(sample.value))
}

/// Seconds since the epoch: whole where there are no milliseconds.
struct Time(UtcMs);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.0 % 1_000 == 0 {
            serializer.serialize_i64(self.0.0 / 1_000)
        } else {
            serializer.serialize_f64(self.0.as_secs_f64())
        }
    }
}

/// A value as Prometheus writes it: Go's shortest form, with an exponent of at least two digits at the extremes.
fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !value.is_finite() || (EXPONENT_BELOW..EXPONENT_FROM).contains(&size) {
        return crate::numeric::plain_text(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests;
