//! Names of metrics and labels as Prometheus writes those of OpenTelemetry.
//!
//! *Source*: "Prometheus and OpenMetrics compatibility" of the OpenTelemetry specification; checked against the cases of
//! `prometheus/otlptranslator`, whose strategy is the default one of Prometheus (underscores, with suffixes).

use std::borrow::Cow;

/// What a metric is, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value at an instant.
    Gauge,
    /// A sum that only grows.
    Counter,
    /// Anything else.
    Other,
}

/// The metric's name with unit and `_total`, or `None` where nothing is left of it.
pub fn metric(name: &str, unit: &str, kind: Kind) -> Option<String> {
    let mut tokens: Vec<&str> = name.split(|c| !is_name_char(c)).filter(|token| !token.is_empty()).collect();
    let (main, per) = unit_words(unit);
    let (mut main, mut per) = (clean(&main), clean(&per));
    if tokens.contains(&main.as_str()) {
        main.clear();
    }
    truncate_underscore(&mut per);
    if per == "per" || tokens.contains(&per.as_str()) {
        per.clear();
    }
    if !per.is_empty() {
        truncate_underscore(&mut main);
    }
    tokens.extend([&main, &per].map(String::as_str).into_iter().filter(|token| !token.is_empty()));
    let ending = match kind {
        Kind::Counter => Some("total"),
        Kind::Gauge if unit == "1" => Some("ratio"),
        Kind::Gauge | Kind::Other => None,
    };
    if let Some(ending) = ending {
        tokens.retain(|token| *token != ending);
        tokens.push(ending);
    }
    let name = tokens.join("_");
    let starts_with_digit = name.starts_with(|first: char| first.is_ascii_digit());
    let is_anything = name.bytes().any(|byte| byte != b'_');
    is_anything.then(|| if starts_with_digit { format!("_{name}") } else { name })
}

/// The label's name, or `None` where nothing is left of it.
pub fn label(name: &str) -> Option<Cow<'_, str>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain = if name.chars().all(is_plain) {
        Cow::Borrowed(name)
    } else {
        name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect::<String>().into()
    };
    if plain.bytes().all(|byte| byte == b'_') {
        return None;
    }
    Some(match plain.as_bytes() {
        [b'0'..=b'9', ..] => format!("key_{plain}").into(),
        [b'_', second, ..] if *second != b'_' => format!("key{plain}").into(),
        _ => plain,
    })
}

/// The unit of a metric as its metadata show it.
pub fn unit(unit: &str) -> String {
    let (main, per) = unit_words(unit);
    let words = [clean(&main), clean(&per)];
    let words: Vec<&str> =
        words.iter().map(|word| word.trim_end_matches('_')).filter(|word| !word.is_empty()).collect();
    words.join("_")
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn truncate_underscore(word: &mut String) {
    if word.ends_with('_') {
        word.pop();
    }
}

/// Underscores for what no name has, none of them twice or in front.
fn clean(unit: &str) -> String {
    let mut cleaned = String::with_capacity(unit.len());
    for c in unit.chars() {
        match c {
            c if is_name_char(c) => cleaned.push(c),
            _ if cleaned.ends_with('_') => {}
            _ => cleaned.push('_'),
        }
    }
    cleaned.strip_prefix('_').map(str::to_owned).unwrap_or(cleaned)
}

/// The words for a unit and for what it is per; annotations in braces say nothing.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let said = |unit: &str| {
        let unit = unit.trim();
        (!unit.is_empty() && !unit.contains(['{', '}'])).then(|| unit.to_owned())
    };
    let main = said(main).map(|unit| main_word(&unit).map_or(unit, str::to_owned));
    let per = said(per).map(|unit| format!("per_{}", per_word(&unit).unwrap_or(&unit)));
    (main.unwrap_or_default(), per.unwrap_or_default())
}

fn main_word(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        _ => return None,
    })
}

fn per_word(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_are_those_of_prometheus() {
        use Kind::{Counter, Gauge, Other};
        let cases = [
            ("requests", "", Counter, "requests_total"),
            ("cpu_usage", "1", Gauge, "cpu_usage_ratio"),
            ("items", "1", Counter, "items_total"),
            ("response_time", "ms", Gauge, "response_time_milliseconds"),
            ("memory_usage", "By", Gauge, "memory_usage_bytes"),
            ("requests", "1/s", Gauge, "requests_per_second"),
            ("throughput", "By/s", Gauge, "throughput_bytes_per_second"),
            ("custom_metric", "custom_unit", Gauge, "custom_metric_custom_unit"),
            ("custom_metric", "{custom}", Gauge, "custom_metric"),
            ("custom_metric", "By/{custom}", Gauge, "custom_metric_bytes"),
            ("requests_total", "", Counter, "requests_total"),
            ("cpu_usage_ratio", "1", Gauge, "cpu_usage_ratio"),
            ("response_time_seconds", "s", Gauge, "response_time_seconds"),
            (
                "metric__with__multiple__underscores",
                "unit__multiple__underscores",
                Gauge,
                "metric_with_multiple_underscores_unit_multiple_underscores",
            ),
            ("custom_metric", "unit@with#special/chars", Gauge, "custom_metric_unit_with_special_per_chars"),
            ("request_duration", "s", Other, "request_duration_seconds"),
            ("active_connections", "", Other, "active_connections"),
            ("uptime", "d", Gauge, "uptime_days"),
            ("system.network.io", "By", Counter, "system_network_io_bytes_total"),
            ("123metric", "", Gauge, "_123metric"),
        ];
        for (name, unit, kind, expected) in cases {
            assert_eq!(metric(name, unit, kind).as_deref(), Some(expected), "{name} {unit}");
        }
        assert_eq!(metric("@#$%", "", Gauge), None);
    }

    #[test]
    fn units_are_those_of_prometheus() {
        for (given, expected) in [("s", "seconds"), ("By/s", "bytes_per_second"), ("1/s", "per_second"), ("1", "")] {
            assert_eq!(unit(given), expected, "{given}");
        }
    }

    #[test]
    fn label_names_are_those_of_prometheus() {
        let cases = [
            ("label:with:colons", "label_with_colons"),
            ("LabelWithCapitalLetters", "LabelWithCapitalLetters"),
            ("label!with&special$chars)", "label_with_special_chars_"),
            ("label_with_foreign_characters_字符", "label_with_foreign_characters___"),
            ("label.with.dots", "label_with_dots"),
            ("123label", "key_123label"),
            ("_label_starting_with_underscore", "key_label_starting_with_underscore"),
            ("__label_starting_with_2underscores", "__label_starting_with_2underscores"),
        ];
        for (given, expected) in cases {
            assert_eq!(label(given).as_deref(), Some(expected), "{given}");
        }
        for nothing in ["", "__", "ようこそ"] {
            assert_eq!(label(nothing), None, "{nothing}");
        }
    }
}
