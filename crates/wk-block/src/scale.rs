//! Values as integers: a measured value is nearly always a short decimal, that is an integer over a power of ten.

/// The largest power of ten that is tried.
const EXPONENT_MAX: u8 = 14;
/// The least and the largest power of two that values may have in common to be counted in it.
const SHIFT: std::ops::RangeInclusive<u32> = 8..=52;

/// One in so many values may fail to scale and is patched in; more, and the series does not scale.
const PATCH_SHARE: usize = 8;

/// Integers beyond this are not exact in an f64.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

const POWERS: [f64; EXPONENT_MAX as usize + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14];

/// How values are integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Over a power of ten.
    Decimal(u8),
    /// Times a power of two: bytes counted in pages.
    Binary(u8),
    /// By the order of single-precision numbers.
    Single,
    /// By the order of double-precision numbers: this fits every value.
    Double,
}

impl Scale {
    const DOUBLE: u8 = EXPONENT_MAX + 1;
    const SINGLE: u8 = EXPONENT_MAX + 2;

    pub(crate) const fn encode(self) -> u8 {
        match self {
            Self::Decimal(exponent) => exponent,
            Self::Double => Self::DOUBLE,
            Self::Single => Self::SINGLE,
            Self::Binary(shift) => Self::SINGLE + shift,
        }
    }

    pub(crate) fn decode(code: u8) -> Option<Self> {
        match code {
            ..=EXPONENT_MAX => Some(Self::Decimal(code)),
            Self::DOUBLE => Some(Self::Double),
            Self::SINGLE => Some(Self::Single),
            _ => Some(code - Self::SINGLE).filter(|shift| SHIFT.contains(&u32::from(*shift))).map(Self::Binary),
        }
    }

    /// Tells whether single values may be patched in.
    pub(crate) const fn takes_patches(self) -> bool {
        matches!(self, Self::Decimal(_) | Self::Binary(_))
    }

    /// Appends the values that `integers` stand for.
    pub(crate) fn values(self, integers: &[i64], out: &mut Vec<f64>) {
        match self {
            Self::Decimal(exponent) => {
                let power = POWERS[usize::from(exponent.min(EXPONENT_MAX))];
                out.extend(integers.iter().map(|integer| *integer as f64 / power));
            }
            Self::Binary(shift) => {
                let unit = (1_u64 << shift) as f64;
                out.extend(integers.iter().map(|integer| *integer as f64 * unit));
            }
            Self::Single => out.extend(integers.iter().map(|integer| f64::from(from_order_of_single(*integer)))),
            Self::Double => out.extend(integers.iter().map(|integer| from_order_of_double(*integer))),
        }
    }
}

/// Numbers in the order of their bits, negative ones reversed: neighbours in value are neighbours as integers.
const fn order_of_double(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) & i64::MAX)
}

const fn from_order_of_double(integer: i64) -> f64 {
    f64::from_bits((integer ^ ((integer >> 63) & i64::MAX)) as u64)
}

const fn order_of_single(value: f32) -> i64 {
    let bits = value.to_bits() as i32;
    (bits ^ ((bits >> 31) & i32::MAX)) as i64
}

const fn from_order_of_single(integer: i64) -> f32 {
    let integer = integer as i32;
    f32::from_bits((integer ^ ((integer >> 31) & i32::MAX)) as u32)
}

/// The single-precision number that gives back exactly the bits of `value`, if there is one.
fn to_single(value: f64) -> Option<f32> {
    let single = value as f32;
    (!value.is_nan() && f64::from(single).to_bits() == value.to_bits()).then_some(single)
}

/// The integer that gives back exactly the bits of `value`, if there is one.
fn to_decimal(value: f64, exponent: u8) -> Option<i64> {
    let power = POWERS[usize::from(exponent)];
    let rounded = (value * power).round();
    if rounded.is_nan() || rounded.abs() > INTEGER_MAX {
        return None;
    }
    let integer = rounded as i64;
    (integer as f64 / power).to_bits().eq(&value.to_bits()).then_some(integer)
}

/// The smallest exponent from `from` on at which `value` is an integer.
fn exponent_of(value: f64, from: u8) -> Option<u8> {
    if !value.is_finite() {
        return None;
    }
    (from..=EXPONENT_MAX).find(|exponent| to_decimal(value, *exponent).is_some())
}

/// Values as integers, and the few that are not.
#[derive(Debug, PartialEq)]
pub(crate) struct Scaled {
    pub(crate) scale: Scale,
    /// As many as there are values; where a patch stands, a neighbour's integer.
    pub(crate) integers: Vec<i64>,
    /// Positions in ascending order, and the bits that stand there.
    pub(crate) patches: Vec<(u32, u64)>,
}

/// Turns `values` into integers.
pub(crate) fn scale(values: impl ExactSizeIterator<Item = f64> + Clone) -> Scaled {
    if let Some(scaled) = decimal(values.clone()) {
        return scaled;
    }
    let singles: Option<Vec<i64>> = values.clone().map(|value| to_single(value).map(order_of_single)).collect();
    match singles {
        Some(integers) => Scaled { scale: Scale::Single, integers, patches: Vec::new() },
        None => Scaled { scale: Scale::Double, integers: values.map(order_of_double).collect(), patches: Vec::new() },
    }
}

/// Scales `values` by one power of ten; `None` where too many of them are no short decimals.
fn decimal(values: impl ExactSizeIterator<Item = f64> + Clone) -> Option<Scaled> {
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
    let scale = Scale::Decimal(exponent);
    let mut scaled = Scaled { scale, integers: Vec::with_capacity(values.len()), patches: Vec::new() };
    let mut neighbour = values.clone().find_map(|value| to_decimal(value, exponent))?;
    for (position, value) in values.enumerate() {
        match to_decimal(value, exponent) {
            Some(integer) => neighbour = integer,
            None => scaled.patches.push((position as u32, value.to_bits())),
        }
        scaled.integers.push(neighbour);
    }
    if scaled.patches.len() > patches_max {
        return None;
    }
    if exponent == 0 {
        take_out_shift(&mut scaled);
    }
    Some(scaled)
}

/// Counts integers in the largest power of two that all are multiples of.
fn take_out_shift(scaled: &mut Scaled) {
    let shift = scaled.integers.iter().fold(0, |all, integer| all | integer).trailing_zeros().min(*SHIFT.end());
    if SHIFT.contains(&shift) && scaled.integers.iter().any(|integer| *integer != 0) {
        scaled.integers.iter_mut().for_each(|integer| *integer >>= shift);
        scaled.scale = Scale::Binary(shift as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64]) -> Scaled {
        let scaled = scale(values.iter().copied());
        let mut again = Vec::new();
        scaled.scale.values(&scaled.integers, &mut again);
        scaled.patches.iter().for_each(|(at, bits)| again[*at as usize] = f64::from_bits(*bits));
        let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&again), bits(values));
        assert_eq!(Scale::decode(scaled.scale.encode()), Some(scaled.scale));
        scaled
    }

    #[test]
    fn the_smallest_exponent_that_fits_all_values_is_taken() {
        let scaled = check(&[1.5, 2.0, 0.25]);
        assert_eq!((scaled.scale, scaled.integers, scaled.patches), (Scale::Decimal(2), vec![150, 200, 25], vec![]));
    }

    #[test]
    fn a_single_misfit_is_patched_in() {
        let scaled = check(&[f64::NAN, 7.0, 8.0]);
        assert_eq!(scaled.integers, [7, 7, 8]);
        assert_eq!(scaled.patches, [(0, f64::NAN.to_bits())]);
    }

    #[test]
    fn what_is_no_short_decimal_keeps_its_bits() {
        assert_eq!(check(&[1.0 / 3.0, 2.0 / 3.0, 1.0 / 7.0]).scale, Scale::Double);
        assert_eq!(check(&[f64::NAN, -f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE / 8.0]).scale, Scale::Double);
        assert_eq!(check(&[-0.0; 3]).scale, Scale::Single);
    }

    #[test]
    fn single_precision_is_seen() {
        let scaled = check(&[0.1_f32, 0.7, -3.3, 1e-30].map(f64::from));
        assert_eq!(scaled.scale, Scale::Single);
        assert!(scaled.integers.iter().all(|integer| i32::try_from(*integer).is_ok()));
    }

    #[test]
    fn bytes_are_counted_in_pages() {
        let scaled = check(&[4096.0, 8192.0, 0.0, -40960.0]);
        assert_eq!((scaled.scale, scaled.integers), (Scale::Binary(12), vec![1, 2, 0, -10]));
        assert_eq!(check(&[0.0, 0.0]).scale, Scale::Decimal(0));
        assert_eq!(check(&[9_007_199_254_740_992.0]).integers, [2]);
    }

    #[test]
    fn neighbours_in_value_are_neighbours_in_order() {
        let values = [f64::NEG_INFINITY, -2.5, -1.0, -0.0, 0.0, 1.0, 2.5, f64::INFINITY];
        assert!(values.windows(2).all(|pair| order_of_double(pair[0]) < order_of_double(pair[1])));
        assert!(values.windows(2).all(|pair| order_of_single(pair[0] as f32) < order_of_single(pair[1] as f32)));
    }

    #[test]
    fn negative_zero_and_huge_values_are_no_decimals() {
        assert_eq!(to_decimal(-0.0, 0), None);
        assert_eq!(to_decimal(1e300, 0), None);
        assert_eq!(to_decimal(INTEGER_MAX, 0), Some(1 << 53));
    }
}
