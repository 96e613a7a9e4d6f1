//! Types and values: what clients give as parameters, and what they are answered, as text and binary.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;
use serde_json::Value;
use wk_lake::{ColumnKind, SqlParameter};
use wk_types::UtcMs;

use super::failure::{Refusal, code};

/// Microseconds from 1970 to 2000, where PostgreSQL's binary times begin.
const EPOCH_SHIFT_US: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
const EPOCH_SHIFT_DAYS: i64 = 10_957;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// Numbers of PostgreSQL's types, from its `pg_type.dat`.
pub(super) mod oid {
    pub(crate) const BOOL: u32 = 16;
    pub(crate) const NAME: u32 = 19;
    pub(crate) const INT8: u32 = 20;
    pub(crate) const INT2: u32 = 21;
    pub(crate) const INT4: u32 = 23;
    pub(crate) const TEXT: u32 = 25;
    pub(crate) const OID: u32 = 26;
    pub(crate) const FLOAT4: u32 = 700;
    pub(crate) const FLOAT8: u32 = 701;
    pub(crate) const UNKNOWN: u32 = 705;
    pub(crate) const BPCHAR: u32 = 1_042;
    pub(crate) const VARCHAR: u32 = 1_043;
    pub(crate) const DATE: u32 = 1_082;
    pub(crate) const TIMESTAMP: u32 = 1_114;
    pub(crate) const TIMESTAMPTZ: u32 = 1_184;
    pub(crate) const NUMERIC: u32 = 1_700;
}

/// The type of an answer's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PgType {
    Int8,
    Float8,
    Text,
    Timestamptz,
}

impl PgType {
    /// The type that a column's declaration promises.
    pub(super) const fn declared(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Time => Self::Timestamptz,
            ColumnKind::Integer => Self::Int8,
            ColumnKind::Real => Self::Float8,
            ColumnKind::Text | ColumnKind::Computed => Self::Text,
        }
    }

    /// The narrowest type that all values of a column fit, as the column's declaration says where it has none.
    pub(super) fn fitting<'a>(kind: ColumnKind, values: impl Iterator<Item = &'a Value> + Clone) -> Self {
        let mut present = values.filter(|value| !value.is_null()).peekable();
        if present.peek().is_none() {
            return Self::declared(kind);
        }
        let candidates: &[Self] = match kind {
            ColumnKind::Time => &[Self::Timestamptz],
            ColumnKind::Real => &[Self::Float8],
            _ => &[Self::Int8, Self::Float8],
        };
        let fits = |kind: &&Self| present.clone().all(|value| kind.takes(value));
        candidates.iter().find(fits).copied().unwrap_or(Self::Text)
    }

    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (Self::Text, _) => true,
            (Self::Int8, Value::Number(number)) => number.is_i64(),
            (Self::Float8, Value::Number(_)) => true,
            (Self::Float8, Value::String(text)) => infinite(text).is_some(),
            (Self::Timestamptz, Value::String(text)) => timestamp(text).is_some(),
            _ => false,
        }
    }

    pub(super) const fn oid(self) -> u32 {
        match self {
            Self::Int8 => oid::INT8,
            Self::Float8 => oid::FLOAT8,
            Self::Text => oid::TEXT,
            Self::Timestamptz => oid::TIMESTAMPTZ,
        }
    }

    /// Bytes of a value; -1 where they vary.
    pub(super) const fn size(self) -> i16 {
        match self {
            Self::Text => -1,
            _ => 8,
        }
    }

    /// The name in `information_schema`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Int8 => "bigint",
            Self::Float8 => "double precision",
            Self::Text => "text",
            Self::Timestamptz => "timestamp with time zone",
        }
    }

    /// Writes a value with its length, as text or binary.
    ///
    /// # Errors
    /// A value that is none of the type, as PostgreSQL words it, so that drivers prepare the statement anew.
    pub(super) fn write(self, value: &Value, is_binary: bool, out: &mut BytesMut) -> Result<(), Refusal> {
        if value.is_null() {
            out.put_i32(-1);
            return Ok(());
        }
        let begin = out.len();
        out.put_i32(0);
        let written = if is_binary { self.write_binary(value, out) } else { self.write_text(value, out) };
        written.ok_or_else(|| {
            Refusal::new(code::FEATURE_NOT_SUPPORTED, "cached plan must not change result type; prepare it again")
        })?;
        let length = i32::try_from(out.len() - begin - 4)
            .map_err(|_| Refusal::new(code::PROGRAM_LIMIT_EXCEEDED, "a value is longer than the protocol allows"))?;
        out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn write_binary(self, value: &Value, out: &mut BytesMut) -> Option<()> {
        match self {
            Self::Int8 => out.put_i64(value.as_i64()?),
            Self::Float8 => out.put_f64(value.as_f64().or_else(|| infinite(value.as_str()?))?),
            Self::Timestamptz => out.put_i64(timestamp(value.as_str()?)?.as_microsecond() - EPOCH_SHIFT_US),
            Self::Text => out.put_slice(text(value).as_bytes()),
        }
        Some(())
    }

    fn write_text(self, value: &Value, out: &mut BytesMut) -> Option<()> {
        if !self.takes(value) {
            return None;
        }
        out.put_slice(text(value).as_bytes());
        if self == Self::Timestamptz {
            out.put_slice(b"+00");
        }
        Some(())
    }
}

fn text(value: &Value) -> std::borrow::Cow<'_, str> {
    value.as_str().map_or_else(|| value.to_string().into(), Into::into)
}

/// The number that an answer gives as a name, since JSON has none for it.
fn infinite(text: &str) -> Option<f64> {
    match text {
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The time that an answer gives as `YYYY-MM-DD HH:MM:SS.SSS`.
fn timestamp(text: &str) -> Option<Timestamp> {
    format!("{text}Z").parse().ok()
}

/// Reads a parameter of a type, given as text or binary.
///
/// # Errors
/// A value that is none of the type, and a type that is not known here.
pub(super) fn parameter(kind: u32, is_binary: bool, value: &Bytes) -> Result<SqlParameter, Refusal> {
    let read = if is_binary { binary_parameter(kind, value)? } else { text_parameter(kind, value) };
    read.ok_or_else(|| {
        Refusal::new(code::INVALID_TEXT_REPRESENTATION, format!("a parameter is no value of the type {kind}"))
    })
}

fn text_parameter(kind: u32, value: &Bytes) -> Option<SqlParameter> {
    let text = std::str::from_utf8(value).ok()?;
    match kind {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => text.trim().parse().ok().map(SqlParameter::Integer),
        oid::FLOAT4 | oid::FLOAT8 | oid::NUMERIC => text.trim().parse().ok().map(SqlParameter::Real),
        oid::BOOL => match text.trim().to_ascii_lowercase().as_str() {
            "t" | "true" | "on" | "1" => Some(SqlParameter::Integer(1)),
            "f" | "false" | "off" | "0" => Some(SqlParameter::Integer(0)),
            _ => None,
        },
        _ => Some(SqlParameter::Text(text.to_owned())),
    }
}

fn binary_parameter(kind: u32, value: &Bytes) -> Result<Option<SqlParameter>, Refusal> {
    Ok(match kind {
        oid::INT2 => fixed(value).map(i16::from_be_bytes).map(|number| SqlParameter::Integer(number.into())),
        oid::INT4 => fixed(value).map(i32::from_be_bytes).map(|number| SqlParameter::Integer(number.into())),
        oid::OID => fixed(value).map(u32::from_be_bytes).map(|number| SqlParameter::Integer(number.into())),
        oid::INT8 => fixed(value).map(i64::from_be_bytes).map(SqlParameter::Integer),
        oid::FLOAT4 => fixed(value).map(f32::from_be_bytes).map(|number| SqlParameter::Real(number.into())),
        oid::FLOAT8 => fixed(value).map(f64::from_be_bytes).map(SqlParameter::Real),
        oid::BOOL => fixed::<1>(value).map(|[byte]| SqlParameter::Integer(i64::from(byte != 0))),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => fixed(value)
            .map(i64::from_be_bytes)
            .and_then(|us| Some(time(us.checked_add(EPOCH_SHIFT_US)?.div_euclid(1_000)))),
        oid::DATE => fixed(value)
            .map(i32::from_be_bytes)
            .map(|days| time((i64::from(days) + EPOCH_SHIFT_DAYS).saturating_mul(DAY_MS))),
        0 | oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::UNKNOWN => {
            std::str::from_utf8(value).ok().map(|text| SqlParameter::Text(text.to_owned()))
        }
        other => {
            let what = format!("a parameter of the type {other} cannot be given as binary; give it as text");
            return Err(Refusal::new(code::FEATURE_NOT_SUPPORTED, what));
        }
    })
}

fn fixed<const N: usize>(value: &Bytes) -> Option<[u8; N]> {
    value.as_ref().try_into().ok()
}

fn time(ms: i64) -> SqlParameter {
    SqlParameter::Text(UtcMs(ms).to_string())
}

#[cfg(test)]
mod tests;
