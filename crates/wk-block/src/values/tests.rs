use proptest::prelude::*;

use super::*;
use crate::bytes::Packer;

/// How the series of one chunk are coded.
fn codes(series: &[Vec<f64>]) -> Vec<Code> {
    let mut writer = ChunkWriter::new();
    series.iter().for_each(|values| writer.push(values.iter().copied()));
    let bytes = writer.finish(&mut Packer::new().unwrap()).unwrap();
    let chunk = ValueChunk::open(bytes, series.iter().map(Vec::len).enumerate()).unwrap();
    (0..series.len()).map(|at| chunk.code(at)).collect()
}

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

fn predictor_of(values: impl Iterator<Item = f64>) -> Option<(predict::Order, Option<u32>)> {
    codes(&[values.collect()])[0].predictor.map(|predictor| (predictor.order, predictor.gain))
}

#[test]
fn each_shape_of_series_takes_its_cheapest_way() {
    use predict::Order::{Step, Value};
    let noise = |at: i32| f64::from((at * 7919 + at * at * 31) % 101);
    assert_eq!(predictor_of([7.25; 64].into_iter()), None);
    assert_eq!(predictor_of([f64::NAN; 64].into_iter()), None);
    assert_eq!(predictor_of((0..64).map(|at| 1000.0 + noise(at))), Some((Value, None)));
    assert_eq!(predictor_of((0..64).map(|at| f64::from(at) * 1500.5)), Some((Step, None)));
    assert_eq!(predictor_of((0..64).map(|at| f64::from(at * 100_000) + noise(at))), Some((Step, None)));
    assert_eq!(predictor_of((0..64).map(|at| f64::from(at * at) * 50_000.0)), Some((Step, Some(0))));
    assert_eq!(predictor_of((0..64).map(|at| f64::from(at / 16 * 1000))), Some((Value, Some(0))));
}

#[test]
fn a_series_that_follows_its_neighbour_is_coded_beside_it() {
    let first: Vec<f64> = (0..100_i32).map(|at| f64::from((at * 7919 + at * at * 31) % 10_007)).collect();
    let follows: Vec<f64> = first.iter().enumerate().map(|(at, value)| value + (at % 3) as f64).collect();
    let other: Vec<f64> = (0..100_i32).map(|at| f64::from((at * 31 + at * at * 7919) % 9_973)).collect();
    let series = [first.clone(), follows, first, other];
    assert_eq!(codes(&series).iter().map(|code| code.beside).collect::<Vec<_>>(), [false, true, true, false]);
    check(&series);
}

#[test]
fn a_long_chain_of_neighbours_is_cut() {
    let of = |number: i32| (0..40_i32).map(|at| f64::from((at * 7919) % 10_007 + number * (at % 2))).collect();
    let series: Vec<Vec<f64>> = (0..100).map(of).collect();
    let alone = codes(&series).iter().filter(|code| !code.beside).count();
    assert!((2..=5).contains(&alone), "{alone}");
    check(&series);
}

#[test]
fn a_leap_among_small_steps_is_an_outlier() {
    let mut values: Vec<f64> = (0..200_i32).map(|at| f64::from(at * at % 7)).collect();
    values[100] = 9e15;
    assert!(codes(std::slice::from_ref(&values))[0].outlying);
    check(&[values]);
}

#[test]
fn series_are_read_in_any_order() {
    let of = |number: i32| (0..30_i32).map(|at| f64::from((at * 7919) % 10_007 + number * at)).collect();
    let series: Vec<Vec<f64>> = (0..40).map(of).collect();
    let mut writer = ChunkWriter::new();
    series.iter().for_each(|values| writer.push(values.iter().copied()));
    let bytes = writer.finish(&mut Packer::new().unwrap()).unwrap();
    let mut chunk = ValueChunk::open(bytes, series.iter().map(Vec::len).enumerate()).unwrap();
    let mut values = Vec::new();
    for at in [39, 0, 20, 19, 20, 21, 5, 39, 38] {
        chunk.values(at, &mut values).unwrap();
        assert_eq!(values, series[at], "{at}");
    }
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
        1 => any::<u32>().prop_map(|bits| f64::from(f32::from_bits(bits))),
        1 => (0_i64..1 << 40).prop_map(|pages| (pages * 4096) as f64),
        1 => Just(f64::from_bits(wk_types::series::STALE_NAN_BITS)),
        1 => Just(-0.0),
    ]
}

proptest! {
    #[test]
    fn every_prediction_restores_what_it_predicted(
        integers in prop::collection::vec(prop_oneof![any::<i64>(), -1_000_i64..1_000], 1..100),
        seed: i64,
    ) {
        for predictor in Predictor::all() {
            let mut numbers: Vec<i64> = predictor.has_first().then_some(integers[0]).into_iter().collect();
            predictor.predict(&integers, seed, |residual| numbers.push(residual));
            prop_assert_eq!(numbers.len(), integers.len());
            predictor.restore(&mut numbers, seed);
            prop_assert_eq!(&numbers, &integers);
            prop_assert_eq!(Predictor::decode(predictor.encode()), Some(predictor));
        }
    }

    #[test]
    fn packed_bits_come_back(numbers in prop::collection::vec((any::<u64>(), 0_usize..=64), 0..60)) {
        let mut writer = bits::BitWriter::default();
        numbers.iter().for_each(|(number, bits)| writer.put(*number, *bits));
        let mut bytes = writer.finish();
        bytes.extend_from_slice(&[0; bits::PADDING]);
        let mut at = 0;
        for (number, bits) in numbers {
            let expected = if bits == 0 { 0 } else { number & (u64::MAX >> (64 - bits)) };
            prop_assert_eq!(bits::get_long(&bytes, at, bits), expected);
            at += bits;
        }
    }

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
