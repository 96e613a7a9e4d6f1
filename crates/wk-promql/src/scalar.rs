//! Functions of one element: mathematics and the calendar.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::numeric::{max_or_nan, min_or_nan};

/// A function of one value and the call's scalar operands; `None` takes the element away.
pub(crate) type MapFn = fn(f64, &[f64]) -> Option<f64>;

/// The function of that name, and how many arguments it takes at least and at most.
pub(crate) fn lookup(name: &str) -> Option<(MapFn, (usize, usize))> {
    if let Some(function) = calendar(name) {
        return Some((function, (0, 1)));
    }
    let function = mathematics(name).or_else(|| trigonometry(name))?;
    let arguments = match name {
        "round" => (1, 2),
        "clamp" => (3, 3),
        "clamp_min" | "clamp_max" => (2, 2),
        _ => (1, 1),
    };
    Some((function, arguments))
}

fn mathematics(name: &str) -> Option<MapFn> {
    Some(match name {
        "abs" => |value, _| Some(value.abs()),
        "ceil" => |value, _| Some(value.ceil()),
        "floor" => |value, _| Some(value.floor()),
        "exp" => |value, _| Some(value.exp()),
        "ln" => |value, _| Some(value.ln()),
        "log2" => |value, _| Some(value.log2()),
        "log10" => |value, _| Some(value.log10()),
        "sqrt" => |value, _| Some(value.sqrt()),
        "sgn" => |value, _| Some(sign(value)),
        "round" => |value, operands| Some(round(value, operands.first().copied().unwrap_or(1.0))),
        "clamp" => |value, operands| clamp(value, operands[0], operands[1]),
        "clamp_min" => |value, operands| Some(max_or_nan(operands[0], value)),
        "clamp_max" => |value, operands| Some(min_or_nan(operands[0], value)),
        _ => return None,
    })
}

fn trigonometry(name: &str) -> Option<MapFn> {
    Some(match name {
        "acos" => |value, _| Some(value.acos()),
        "acosh" => |value, _| Some(value.acosh()),
        "asin" => |value, _| Some(value.asin()),
        "asinh" => |value, _| Some(value.asinh()),
        "atan" => |value, _| Some(value.atan()),
        "atanh" => |value, _| Some(value.atanh()),
        "cos" => |value, _| Some(value.cos()),
        "cosh" => |value, _| Some(value.cosh()),
        "sin" => |value, _| Some(value.sin()),
        "sinh" => |value, _| Some(value.sinh()),
        "tan" => |value, _| Some(value.tan()),
        "tanh" => |value, _| Some(value.tanh()),
        "deg" => |value, _| Some(value * 180.0 / std::f64::consts::PI),
        "rad" => |value, _| Some(value * std::f64::consts::PI / 180.0),
        _ => return None,
    })
}

fn calendar(name: &str) -> Option<MapFn> {
    Some(match name {
        "minute" => |value, _| Some(date_part(value, |date| date.minute().into())),
        "hour" => |value, _| Some(date_part(value, |date| date.hour().into())),
        "day_of_week" => |value, _| Some(date_part(value, |date| date.weekday().to_sunday_zero_offset().into())),
        "day_of_month" => |value, _| Some(date_part(value, |date| date.day().into())),
        "day_of_year" => |value, _| Some(date_part(value, |date| date.day_of_year().into())),
        "days_in_month" => |value, _| Some(date_part(value, |date| date.days_in_month().into())),
        "month" => |value, _| Some(date_part(value, |date| date.month().into())),
        "year" => |value, _| Some(date_part(value, |date| date.year().into())),
        _ => return None,
    })
}

fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value
    }
}

fn round(value: f64, nearest: f64) -> f64 {
    // Dividing by the inverse keeps decimal steps such as 0.1 exact where multiplying would not.
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

fn clamp(value: f64, min: f64, max: f64) -> Option<f64> {
    if max < min { None } else { Some(max_or_nan(min, min_or_nan(max, value))) }
}

/// A part of the UTC date of `seconds` since the epoch; not a number where the calendar ends.
fn date_part(seconds: f64, part: fn(DateTime) -> f64) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    match jiff::Timestamp::from_second(seconds.trunc() as i64) {
        Ok(timestamp) => part(TimeZone::UTC.to_datetime(timestamp)),
        Err(_) => f64::NAN,
    }
}

#[cfg(test)]
mod tests;
