//! Format 1 as it was first written: every later version must read it.

use std::sync::Arc;

use wk_block::{Block, BlockSeries, encode};
use wk_types::series::STALE_NAN_BITS;
use wk_types::{AssetId, Labels, Sample, Series, UtcMs};

const FORMAT_1: &str = include_str!("../fixtures/format-1.hex");

/// What the fixture holds: each way of coding a series at least once.
fn content() -> Vec<BlockSeries> {
    let stale = f64::from_bits(STALE_NAN_BITS);
    let of = |name: &str, asset: &str, value: &dyn Fn(i64) -> f64| {
        let labels = Labels::metric(name, &[("instance", asset), ("job", "node")]);
        let samples = (0..12).map(|step| Sample::new(UtcMs(1_790_000_000_000 + step * 15_000 + step % 5), value(step)));
        BlockSeries { series: Arc::new(Series::new(labels, AssetId::from(asset))), samples: samples.collect() }
    };
    vec![
        of("a_constant", "bridge-pc", &|_| 42.5),
        of("b_gauge", "bridge-pc", &|step| (2_000 + step * 7_919 % 101) as f64 / 10.0),
        of("c_counter", "bridge-pc", &|step| (step * 100_000 + step * 7_919 % 101) as f64),
        of("d_accelerating", "bridge-pc", &|step| (step * step * 50_000) as f64),
        of("e_ends", "engine-pc", &|step| if step == 11 { stale } else { step as f64 }),
        of("f_precise", "engine-pc", &|step| 1.0 / (step + 3) as f64),
        of("g_rough", "engine-pc", &|step| f64::from_bits((step as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))),
        of("h_not_a_number", "engine-pc", &|_| f64::NAN),
        of("i_single", "engine-pc", &|step| f64::from(0.1_f32 + step as f32)),
        of("j_pages", "engine-pc", &|step| (step * step % 5 * 4_096) as f64),
        of("k_bucket", "engine-pc", &|step| (step * step * 7_919 % 10_007) as f64),
        of("l_next_bucket", "engine-pc", &|step| (step * step * 7_919 % 10_007 + step % 3) as f64),
        of("m_leap", "engine-pc", &|step| if step == 7 { 9e15 } else { (step % 2) as f64 }),
    ]
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn format_1_is_read() {
    let block = Block::open(from_hex(FORMAT_1)).unwrap();
    for (position, expected) in content().into_iter().enumerate() {
        assert_eq!(block.series()[position].series, expected.series);
        let bits = |samples: &[Sample]| samples.iter().map(|s| (s.time, s.value.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&block.samples(position).unwrap()), bits(&expected.samples));
    }
}

#[test]
#[ignore = "prints the fixture; run by hand when a format is added"]
fn print_fixture() {
    for line in encode(&content()).unwrap().chunks(48) {
        println!("{}", line.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }
}
