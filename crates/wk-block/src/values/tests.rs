use proptest::prelude::*;

use super::*;
use crate::bytes::Packer;

fn round_trip(series: &[Vec<f64>]) -> Vec<Vec<u64>> {
    let mut writer = ChunkWriter::new();
    for values in series {
        writer.push(values.iter().copied());
    }
    let bytes = writer.finish(&mut Packer::new().unwrap()).unwrap();
    let mut chunk = ValueChunk::open(bytes, series.iter().map(Vec::len).enumerate()).unwrap();
    let mut values = Vec::new();
    let mut bits = |at| {
        chunk.values(at, &mut values).unwrap();
        values.iter().map(|value| value.to_bits()).collect()
    };
    (0..series.len()).map(&mut bits).collect()
}

fn check(series: &[Vec<f64>]) {
    let expected: Vec<Vec<u64>> = series.iter().map(|values| values.iter().map(|v| v.to_bits()).collect()).collect();
    assert_eq!(round_trip(series), expected);
}

/// The transform that a lone series is coded with.
fn transform_of(values: &[f64]) -> (Transform, usize, u8) {
    let mut writer = ChunkWriter::new();
    writer.push(values.iter().copied());
    let bytes = writer.finish(&mut Packer::new().unwrap()).unwrap();
    let at = 1 + 3 * usize::from(bytes[0]);
    let one = Descriptor::decode([bytes[at], bytes[at + 1]]).unwrap();
    (one.transform, one.width, one.exponent)
}

#[test]
fn each_shape_of_series_takes_its_cheapest_way() {
    let jumping: Vec<f64> = (0..64).map(|at| f64::from(1000 + at * at * 7919 % 101)).collect();
    let steady: Vec<f64> = (0..64).map(|at| f64::from(at) * 1500.5).collect();
    let noisy: Vec<f64> = (0..64).map(|at| f64::from(at * 100_000 + at * 7919 % 101)).collect();
    let falling: Vec<f64> = (0..64).map(|at| f64::from(at) * f64::from(at) * 50_000.0).collect();
    let rough: Vec<f64> = (1..65).map(|at| 1.0 / f64::from(at * 7919 % 101)).collect();
    assert_eq!(transform_of(&[7.25; 64]), (Transform::Constant, 0, 2));
    assert_eq!(transform_of(&[f64::NAN; 64]), (Transform::Constant, 0, EXPONENT_BITS));
    assert_eq!(transform_of(&jumping), (Transform::Value, 1, 0));
    assert_eq!(transform_of(&steady), (Transform::Delta, 0, 1));
    assert_eq!(transform_of(&noisy), (Transform::Delta, 1, 0));
    assert_eq!(transform_of(&falling), (Transform::DeltaDelta, 3, 0));
    assert_eq!(transform_of(&rough).2, EXPONENT_BITS);
}

#[test]
fn odd_values_keep_their_bits() {
    let stale = f64::from_bits(wk_types::series::STALE_NAN_BITS);
    let odd = vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE / 3.0, f64::MAX, f64::NAN, -f64::NAN];
    check(&[
        odd,
        vec![1.0, 2.0, stale],
        vec![5.0, 5.0, stale],
        vec![stale],
        vec![-0.0; 3],
        vec![0.1 + 0.2],
        vec![stale, 9.5],
    ]);
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1_000_000_i64..1_000_000, 0_u32..6).prop_map(|(n, e)| n as f64 / 10_f64.powi(e as i32)),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => any::<i64>().prop_map(|n| n as f64),
        1 => Just(f64::from_bits(wk_types::series::STALE_NAN_BITS)),
        1 => Just(-0.0),
    ]
}

proptest! {
    #[test]
    fn every_bit_pattern_comes_back(series in prop::collection::vec(prop::collection::vec(value(), 1..40), 1..20)) {
        check(&series);
    }

    #[test]
    fn walks_come_back(start in -1e6_f64..1e6, steps in prop::collection::vec(-500_i64..500, 1..200), exponent in 0..5) {
        let mut at = start.round();
        let series: Vec<f64> = steps.iter().map(|step| { at += *step as f64; at / 10_f64.powi(exponent) }).collect();
        check(&[series.clone(), series]);
    }

    #[test]
    fn foreign_bytes_are_an_error_or_values_but_never_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        counts in prop::collection::vec(0_usize..50, 0..10),
    ) {
        if let Ok(mut chunk) = ValueChunk::open(bytes, counts.iter().copied().enumerate()) {
            let mut values = Vec::new();
            for (position, count) in counts.iter().enumerate() {
                if chunk.values(position, &mut values).is_ok() {
                    prop_assert_eq!(values.len(), *count);
                }
            }
        }
    }
}
