use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use wk_block::bounds::SEGMENT_SAMPLES;
use wk_block::{Block, BlockError, BlockSeries, Layout, SeriesReader, Writer, encode};
use wk_types::series::STALE_NAN_BITS;
use wk_types::{AssetId, ErrorKind, Labels, Sample, Series, UtcMs};

fn series(name: &str, samples: &[(i64, f64)]) -> BlockSeries {
    let series = Arc::new(Series::new(Labels::metric(name, &[]), AssetId::from("a")));
    BlockSeries { series, samples: samples.iter().map(|(time, value)| Sample::new(UtcMs(*time), *value)).collect() }
}

fn bits(samples: &[Sample]) -> Vec<(i64, u64)> {
    samples.iter().map(|sample| (sample.time.0, sample.value.to_bits())).collect()
}

fn check(input: &[BlockSeries]) {
    let block = Block::open(encode(input).unwrap()).unwrap();
    assert_eq!(block.series().len(), input.len());
    assert_eq!(block.header().samples, input.iter().map(|one| one.samples.len() as u64).sum::<u64>());
    for (position, one) in input.iter().enumerate() {
        let entry = &block.series()[position];
        assert_eq!(entry.series, one.series);
        assert_eq!((entry.first, entry.last), (one.samples[0].time, one.samples[one.samples.len() - 1].time));
        assert_eq!(bits(&block.samples(position).unwrap()), bits(&one.samples));
    }
}

#[test]
fn an_empty_block_is_a_block() {
    let block = Block::open(encode(&[]).unwrap()).unwrap();
    assert!(block.series().is_empty());
}

#[test]
fn series_without_samples_are_left_out() {
    let block = Block::open(encode(&[series("a", &[]), series("b", &[(1, 2.0)])]).unwrap()).unwrap();
    assert_eq!(block.series().len(), 1);
}

#[test]
fn the_ends_of_time_and_odd_values_come_back() {
    let stale = f64::from_bits(STALE_NAN_BITS);
    check(&[
        series("a", &[(i64::MIN, -0.0), (i64::MIN + 1, 0.0), (-1, f64::INFINITY), (i64::MAX, stale)]),
        series("b", &[(i64::MAX, f64::NEG_INFINITY)]),
        series("c", &[(i64::MIN, 1.0), (i64::MAX, 2.0)]),
    ]);
}

#[test]
fn what_is_out_of_order_is_refused() {
    let kinds: Vec<ErrorKind> = [
        encode(&[series("b", &[(1, 1.0)]), series("a", &[(1, 1.0)])]),
        encode(&[series("a", &[(1, 1.0)]), series("a", &[(1, 1.0)])]),
        encode(&[series("a", &[(2, 1.0), (1, 1.0)])]),
        encode(&[series("a", &[(1, 1.0), (1, 2.0)])]),
    ]
    .into_iter()
    .map(|result| result.unwrap_err().kind())
    .collect();
    assert_eq!(kinds, [ErrorKind::InvalidInput; 4]);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let mut bytes = encode(&[series("a", &[(1, 1.0)])]).unwrap();
    bytes[8..12].copy_from_slice(&2_u32.to_le_bytes());
    let damaged = Block::open(bytes.clone()).unwrap_err();
    assert_eq!(damaged.kind(), ErrorKind::Corrupt, "the rest is as only format 1 has it");
    *bytes.last_mut().unwrap() ^= 1;
    let error = Block::open(bytes).unwrap_err();
    assert!(matches!(error, BlockError::Newer { found: 2 }));
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "the block has format 2, this version reads up to 1; use a newer watchkeeper");
}

#[test]
fn series_that_share_their_times_share_one_vector() {
    let times: Vec<i64> = (0..200_i64).map(|at| at * 15_000 + at * at * 7 % 311).collect();
    let with = |name: &str| {
        let series = Arc::new(Series::new(Labels::metric(name, &[]), AssetId::from("a")));
        BlockSeries { series, samples: times.iter().map(|time| Sample::new(UtcMs(*time), 1.0)).collect() }
    };
    let one = encode(&[with("a")]).unwrap().len();
    let many: Vec<BlockSeries> = (0..50).map(|at| with(&format!("m{at:02}"))).collect();
    assert!(encode(&many).unwrap().len() < one + 400);
}

#[test]
fn many_chunks_read_in_any_order() {
    let mut writer = Writer::new().unwrap();
    let all: Vec<BlockSeries> = (0..2_500_i64)
        .map(|at| {
            let samples: Vec<(i64, f64)> = (0..40)
                .map(|step| (step * 15_000 + at % 37, (at * 31 + step * step * at % 97) as f64 / 10.0))
                .collect();
            series(&format!("metric_{at:05}"), &samples)
        })
        .collect();
    for one in &all {
        writer.push(&one.series, &one.samples).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let header = wk_block::Header::read(&bytes[..]).unwrap();
    let layout = Layout::read(&header, &bytes[..]).unwrap();
    let mut reader = SeriesReader::new(&layout, &bytes[..]);
    for at in [0, 2_499, 7, 1_023, 1_024, 2_048, 3] {
        assert_eq!(bits(&reader.samples(at).unwrap()), bits(&all[at].samples));
    }
}

/// Series of very different lengths at 15 s, all from one start.
fn uneven(lengths: &[i64]) -> Vec<BlockSeries> {
    let of = |(at, length): (usize, &i64)| {
        let value = |step: i64| ((step * step * 31 + at as i64 * step * 7) % 1_009) as f64 / 10.0;
        let samples: Vec<(i64, f64)> = (0..*length).map(|step| (step * 15_000, value(step))).collect();
        series(&format!("metric_{at:05}"), &samples)
    };
    lengths.iter().enumerate().map(of).collect()
}

#[test]
fn series_longer_than_a_segment_come_back_beside_short_ones() {
    let segment = SEGMENT_SAMPLES as i64;
    check(&uneven(&[1, 5_760, 3, segment, segment + 1, 2 * segment - 1, 40_000, 2]));
}

#[test]
fn a_range_of_a_series_is_what_the_whole_has_there() {
    let all = uneven(&[3, 5_760, 700]);
    let bytes = encode(&all).unwrap();
    let header = wk_block::Header::read(&bytes[..]).unwrap();
    let layout = Layout::read(&header, &bytes[..]).unwrap();
    let mut reader = SeriesReader::new(&layout, &bytes[..]);
    for (from, to) in [(0, 0), (15_001, 29_999), (7_000_000, 9_000_000), (-5, 45_000), (8_000_000, i64::MAX), (9, 1)] {
        for (position, one) in all.iter().enumerate() {
            let mut got = vec![one.samples[0]];
            reader.append(position, UtcMs(from), UtcMs(to), &mut got).unwrap();
            let inside = |sample: &&Sample| sample.time.0 >= from && sample.time.0 <= to;
            let expected: Vec<Sample> = one.samples.iter().filter(inside).copied().collect();
            assert_eq!(bits(&got[1..]), bits(&expected), "{position} {from} {to}");
        }
    }
}

#[test]
fn a_writer_gives_its_sink_the_chunks_before_it_is_closed() {
    struct Counting<'a>(&'a std::cell::Cell<usize>);
    impl std::io::Write for Counting<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.set(self.0.get() + bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let all = uneven(&[500; 1_000]);
    let written = std::cell::Cell::new(0);
    let mut writer = Writer::to(Counting(&written)).unwrap();
    for one in &all {
        writer.push(&one.series, &one.samples).unwrap();
    }
    let before = written.get();
    let (header, _) = writer.close().unwrap();
    assert_eq!((written.get() as u64, header.samples), (header.file_bytes, 500_000));
    assert!(before * 2 > written.get(), "{before} of {}", written.get());
    assert_eq!(encode(&all).unwrap().len() as u64, header.file_bytes);
}

#[test]
fn a_sink_that_fails_fails_the_writer() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let Err(error) = Writer::to(Full) else { unreachable!("the sink takes nothing") };
    assert!(matches!(error, BlockError::Write(_)));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => (-100_000_i64..100_000, 0_i32..5).prop_map(|(n, e)| n as f64 / 10_f64.powi(e)),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(f64::from_bits(STALE_NAN_BITS)),
    ]
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let times = prop_oneof![any::<i64>(), 0_i64..100_000, (0_i64..50).prop_map(|step| step * 15_000),];
    prop::collection::btree_map(times, any_value(), 1..60)
        .prop_map(|samples| samples.into_iter().map(|(time, value)| Sample::new(UtcMs(time), value)).collect())
}

fn any_labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec(("[a-c]{1,2}|\\PC{0,3}", "[x-z]{0,2}|\\PC{0,3}"), 0..5).prop_map(Labels::new)
}

proptest! {
    #[test]
    fn any_block_comes_back_as_it_was(
        input in prop::collection::btree_map(any_labels(), ("[a-d]{0,3}", any_samples()), 0..30)
    ) {
        let input: BTreeMap<Labels, (String, Vec<Sample>)> = input;
        let input: Vec<BlockSeries> = input
            .into_iter()
            .map(|(labels, (asset, samples))| {
                BlockSeries { series: Arc::new(Series::new(labels, AssetId::from(asset))), samples }
            })
            .collect();
        check(&input);
    }

    #[test]
    fn equal_input_gives_equal_bytes(samples in any_samples()) {
        let series = Arc::new(Series::new(Labels::metric("m", &[("a", "b")]), AssetId::from("x")));
        let input = [BlockSeries { series, samples }];
        prop_assert_eq!(encode(&input).unwrap(), encode(&input).unwrap());
    }
}
