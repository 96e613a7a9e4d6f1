//! Sums, means and quantiles, computed as Prometheus computes them so that answers agree to the last bits.

/// A sum with Neumaier's compensation (Source: `promql` package of Prometheus, `kahansum.Inc`).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum {
    pub(crate) value: f64,
    pub(crate) compensation: f64,
}

impl Sum {
    /// The sum after one more term.
    pub(crate) fn plus(self, term: f64) -> Self {
        let value = self.value + term;
        let compensation = if value.is_infinite() {
            0.0
        } else if self.value.abs() >= term.abs() {
            self.compensation + ((self.value - value) + term)
        } else {
            self.compensation + ((term - value) + self.value)
        };
        Self { value, compensation }
    }

    /// The compensated total.
    pub(crate) fn total(self) -> f64 {
        if self.value.is_infinite() { self.value } else { self.value + self.compensation }
    }
}

/// An arithmetic mean that turns incremental before its sum overflows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: Sum,
    count: f64,
    incremental: bool,
}

impl Mean {
    /// Takes one more value in.
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.sum.value = value;
            return;
        }
        if !self.incremental {
            let sum = self.sum.plus(value);
            if !sum.value.is_infinite() {
                self.sum = sum;
                return;
            }
            self.incremental = true;
            self.sum.value /= self.count - 1.0;
            self.sum.compensation /= self.count - 1.0;
        }
        let kept = (self.count - 1.0) / self.count;
        let scaled = Sum { value: kept * self.sum.value, compensation: kept * self.sum.compensation };
        self.sum = scaled.plus(value / self.count);
    }

    /// The mean of the values taken in; not a number where there was none.
    pub(crate) fn mean(&self) -> f64 {
        if self.incremental {
            return self.sum.value + self.sum.compensation;
        }
        self.sum.value / self.count + self.sum.compensation / self.count
    }
}

/// Welford's running variance.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread {
    count: f64,
    mean: Sum,
    squares: Sum,
}

impl Spread {
    /// Takes one more value in.
    pub(crate) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - (self.mean.value + self.mean.compensation);
        self.mean = self.mean.plus(delta / self.count);
        let rest = value - (self.mean.value + self.mean.compensation);
        self.squares = self.squares.plus(delta * rest);
    }

    /// The population variance of the values taken in.
    pub(crate) fn variance(&self) -> f64 {
        (self.squares.value + self.squares.compensation) / self.count
    }
}

/// The quantile `q` of `values` by linear interpolation, as `quantile` and `quantile_over_time` have it; sorts them.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    values.sort_by(nan_first);
    quantile_of_sorted(q, values)
}

/// The quantile `q` of values that are sorted by [`nan_first`].
pub(crate) fn quantile_of_sorted(q: f64, values: &[f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let last = (values.len() - 1) as f64;
    let rank = q * last;
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(last);
    let weight = rank - rank.floor();
    values[lower as usize] * (1.0 - weight) + values[upper as usize] * weight
}

/// Orders values ascending, those that are no number before all others.
pub(crate) fn nan_first(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Orders values ascending, those that are no number after all others.
pub(crate) fn nan_last(a: &f64, b: &f64) -> std::cmp::Ordering {
    a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// The larger of two values; not a number where either is none.
pub(crate) fn max_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of two values; not a number where either is none.
pub(crate) fn min_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

/// A value as a label has it: shortest decimal that reads back the same, never with an exponent.
pub(crate) fn plain_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        value.to_string()
    }
}

/// A value as OpenMetrics has it in a label: whole numbers have a decimal point.
pub(crate) fn open_metrics_text(value: f64) -> String {
    let text = plain_text(value);
    if value.is_finite() && !text.contains('.') { text + ".0" } else { text }
}

#[cfg(test)]
mod tests;
