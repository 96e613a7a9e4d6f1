//! Decimal scaling: a measured value is nearly always a short decimal, that is an integer over a power of ten.

/// The largest power of ten that is tried.
pub(crate) const EXPONENT_MAX: u8 = 14;

/// One in so many values may fail to scale and is patched in; more, and the series does not scale.
const PATCH_SHARE: usize = 8;

/// Integers beyond this are not exact in an f64.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// Values as integers over a power of ten, and the few that are not.
#[derive(Debug, PartialEq)]
pub(crate) struct Scaled {
    pub(crate) exponent: u8,
    /// As many as there are values; where a patch stands, a neighbour's integer.
    pub(crate) integers: Vec<i64>,
    /// Positions in ascending order, and the bits that stand there.
    pub(crate) patches: Vec<(u32, u64)>,
}

/// The value that `integer` stands for.
pub(crate) fn unscale(integer: i64, exponent: u8) -> f64 {
    integer as f64 / POWERS[usize::from(exponent.min(EXPONENT_MAX))]
}

/// The integer that gives back exactly the bits of `value`, if there is one.
pub(crate) fn to_integer(value: f64, exponent: u8) -> Option<i64> {
    let rounded = (value * POWERS[usize::from(exponent)]).round();
    if rounded.is_nan() || rounded.abs() > INTEGER_MAX {
        return None;
    }
    let integer = rounded as i64;
    (unscale(integer, exponent).to_bits() == value.to_bits()).then_some(integer)
}

/// The smallest exponent from `from` on at which `value` is an integer.
fn exponent_of(value: f64, from: u8) -> Option<u8> {
    if !value.is_finite() {
        return None;
    }
    (from..=EXPONENT_MAX).find(|exponent| to_integer(value, *exponent).is_some())
}

/// Scales `values` by one power of ten; `None` where too many of them are no short decimals.
pub(crate) fn scale(values: impl ExactSizeIterator<Item = f64> + Clone) -> Option<Scaled> {
    let patches_max = (values.len() / PATCH_SHARE).max(1);
    let mut exponent = 0;
    let mut misfits = 0;
    for value in values.clone() {
        match exponent_of(value, exponent) {
            Some(larger) => exponent = larger,
            None => misfits += 1,
        }
        if misfits > patches_max {
            return None;
        }
    }
    let mut scaled = Scaled { exponent, integers: Vec::with_capacity(values.len()), patches: Vec::new() };
    let mut neighbour = values.clone().find_map(|value| to_integer(value, exponent))?;
    for (position, value) in values.enumerate() {
        match to_integer(value, exponent) {
            Some(integer) => neighbour = integer,
            None => scaled.patches.push((position as u32, value.to_bits())),
        }
        scaled.integers.push(neighbour);
    }
    (scaled.patches.len() <= patches_max).then_some(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64]) -> Option<Scaled> {
        scale(values.iter().copied())
    }

    #[test]
    fn the_smallest_exponent_that_fits_all_values_is_taken() {
        let scaled = check(&[1.5, 2.0, 0.25]).unwrap();
        assert_eq!((scaled.exponent, scaled.integers, scaled.patches), (2, vec![150, 200, 25], vec![]));
    }

    #[test]
    fn a_single_misfit_is_patched_in() {
        let scaled = check(&[f64::NAN, 7.0, 8.0]).unwrap();
        assert_eq!(scaled.integers, [7, 7, 8]);
        assert_eq!(scaled.patches, [(0, f64::NAN.to_bits())]);
    }

    #[test]
    fn what_is_no_short_decimal_does_not_scale() {
        assert_eq!(check(&[1.0 / 3.0, 2.0 / 3.0, 1.0 / 7.0]), None);
        assert_eq!(check(&[f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn negative_zero_and_huge_values_are_not_integers() {
        assert_eq!(to_integer(-0.0, 0), None);
        assert_eq!(to_integer(1e300, 0), None);
        assert_eq!(to_integer(INTEGER_MAX, 0), Some(1 << 53));
    }
}
