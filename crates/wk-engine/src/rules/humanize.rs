//! Numbers as Prometheus' template functions write them.
//!
//! Source: prometheus/common `helpers/templates/convert.go` and `time.go`.

/// Writes a number with an SI prefix: `1.235M`, `12m`.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return four_digits(value);
    }
    if value.abs() >= 1.0 {
        let (scaled, prefix) = grow(value, 1_000.0, &["", "k", "M", "G", "T", "P", "E", "Z", "Y"]);
        return format!("{}{prefix}", four_digits(scaled));
    }
    let (scaled, prefix) = shrink(value);
    format!("{}{prefix}", four_digits(scaled))
}

/// Writes a number with a binary prefix: `1.5Gi`.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return four_digits(value);
    }
    let (scaled, prefix) = grow(value, 1_024.0, &["", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"]);
    format!("{}{prefix}", four_digits(scaled))
}

/// Writes a share as a percentage: `93.12%`.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", four_digits(value * 100.0))
}

/// Writes seconds as a duration: `1d 2h 3m 4s`, `12.5s`, `3ms`.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return four_digits(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (scaled, prefix) = shrink(value);
        return format!("{}{prefix}s", four_digits(scaled));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", four_digits(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, _, _) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

fn grow(value: f64, base: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let (mut scaled, mut position) = (value, 0);
    while scaled.abs() >= base && position + 1 < prefixes.len() {
        scaled /= base;
        position += 1;
    }
    (scaled, prefixes[position])
}

fn shrink(value: f64) -> (f64, &'static str) {
    let (mut scaled, mut prefix) = (value, "");
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if scaled.abs() >= 1.0 {
            break;
        }
        scaled *= 1_000.0;
        prefix = next;
    }
    (scaled, prefix)
}

/// Writes four significant digits as C's `%.4g` does.
fn four_digits(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{value:.3e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..4).contains(&exponent) {
        let places = usize::try_from(3 - exponent).unwrap_or(0);
        return trim_zeros(&format!("{value:.places$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(digits), exponent.abs())
}

fn trim_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected texts follow from the Go code named above.
    #[test]
    fn numbers_read_as_prometheus_writes_them() {
        assert_eq!([0.0, 1.0, 1_234_567.0, 0.12, 99_999.0].map(humanize), ["0", "1", "1.235M", "120m", "100k"]);
        assert_eq!([0.0, 1_048_576.0, 123_456_700.0].map(humanize_1024), ["0", "1Mi", "117.7Mi"]);
        assert_eq!([0.9312, 1.0, 0.000_012_3].map(percentage), ["93.12%", "100%", "0.00123%"]);
        let durations = [0.0, 12.5, 62.0, 3_700.0, 266_400.0, 0.003, -100.0].map(duration);
        assert_eq!(durations, ["0s", "12.5s", "1m 2s", "1h 1m 40s", "3d 2h 0m 0s", "3ms", "-1m 40s"]);
        assert_eq!(four_digits(12_345.0), "1.234e+04");
        assert_eq!(four_digits(0.000_01), "1e-05");
    }
}
