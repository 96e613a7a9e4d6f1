//! Writing value chunks: the cheapest way for each series.

use super::bits::BitWriter;
use super::predict::{Order, Predictor};
use super::{
    BITS, CHAIN_MAX, CODES, CONSTANTS, Code, FIRSTS, OUTLIER, OUTLIERS, PATCHES, SCALES, SEEDS, SPREADS, STREAMS,
    Spread,
};
use crate::bytes::{Packer, put_signed, put_varint, zigzag};
use crate::error::BlockError;
use crate::scale::{Scale, Scaled, scale};

/// Tells by one prediction whether a series is worth trying beside the one before it.
const PROBE: Predictor = Predictor { order: Order::Step, gain: Some(2) };

/// Collects series until their chunk is full.
pub(crate) struct ChunkWriter {
    streams: Vec<Vec<u8>>,
    bits: BitWriter,
    samples: usize,
    before: Option<Before>,
}

/// The series pushed last.
struct Before {
    scale: Scale,
    integers: Vec<i64>,
    /// How many series it builds on.
    chain: usize,
}

/// One way of coding integers.
#[derive(Clone, Copy)]
struct Plan {
    predictor: Predictor,
    seed: i64,
    /// Bits of all residuals.
    bits: u64,
}

impl Plan {
    /// The bits of residuals and of the first integer.
    fn cost(&self, integers: &[i64]) -> u64 {
        let first = if self.predictor.has_first() { bit_length(integers[0]) + 3 } else { 0 };
        let seed = if self.predictor.has_seed() { 8 } else { 0 };
        self.bits + first + seed
    }
}

const fn bit_length(integer: i64) -> u64 {
    (u64::BITS - zigzag(integer).leading_zeros()) as u64
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self { streams: vec![Vec::new(); STREAMS], bits: BitWriter::default(), samples: 0, before: None }
    }

    pub(crate) const fn samples(&self) -> usize {
        self.samples
    }

    /// Adds a series of at least one value.
    pub(crate) fn push(&mut self, values: impl ExactSizeIterator<Item = f64> + Clone) {
        self.samples += values.len();
        let scaled = scale(values);
        let alone = (!is_constant(&scaled.integers)).then(|| best(&scaled.integers));
        let beside = alone.and_then(|alone| self.beside(&scaled, alone));
        self.streams[SCALES].push(scaled.scale.encode());
        let chain = match &beside {
            Some((differences, plan)) => {
                self.put(&scaled, differences, *plan, true);
                self.before.as_ref().map_or(0, |before| before.chain + 1)
            }
            None => {
                self.put(&scaled, &scaled.integers, alone, false);
                0
            }
        };
        put_patches(&mut self.streams[PATCHES], &scaled.patches);
        self.before = Some(Before { scale: scaled.scale, integers: scaled.integers, chain });
    }

    /// The differences to the series before and their plan, where that is cheaper than `alone`.
    fn beside(&self, scaled: &Scaled, alone: Plan) -> Option<(Vec<i64>, Option<Plan>)> {
        let before = self.before.as_ref().filter(|before| {
            before.scale == scaled.scale && before.integers.len() == scaled.integers.len() && before.chain < CHAIN_MAX
        })?;
        let pairs = scaled.integers.iter().zip(&before.integers);
        let differences: Vec<i64> = pairs.map(|(integer, before)| integer.wrapping_sub(*before)).collect();
        if is_constant(&differences) {
            return Some((differences, None));
        }
        if residual_bits(PROBE, &differences) >= residual_bits(PROBE, &scaled.integers) {
            return None;
        }
        let plan = best(&differences);
        (plan.cost(&differences) < alone.cost(&scaled.integers)).then_some((differences, Some(plan)))
    }

    /// Writes `integers` by `plan`, or as a constant without one.
    fn put(&mut self, scaled: &Scaled, integers: &[i64], plan: Option<Plan>, beside: bool) {
        let patched = !scaled.patches.is_empty();
        let outlying = match plan {
            Some(plan) => self.put_residuals(integers, plan),
            None if scaled.scale == Scale::Double => {
                self.streams[CONSTANTS].extend_from_slice(&integers[0].to_le_bytes());
                false
            }
            None => {
                put_signed(&mut self.streams[CONSTANTS], integers[0]);
                false
            }
        };
        let code = Code { predictor: plan.map(|plan| plan.predictor), patched, outlying, beside };
        self.streams[CODES].push(code.encode());
    }

    /// Writes residuals; tells whether there are outliers among them.
    fn put_residuals(&mut self, integers: &[i64], Plan { predictor, seed, bits }: Plan) -> bool {
        let spread = Spread::of(bits, predictor.residuals(integers.len()));
        let low_bits = spread.low_bits();
        self.streams[SPREADS].push(spread.0);
        if predictor.has_first() {
            let first = bit_length(integers[0]);
            self.streams[FIRSTS].push(first as u8);
            self.bits.put(zigzag(integers[0]), first.saturating_sub(1) as usize);
        }
        let seed = seed >> low_bits;
        if predictor.has_seed() {
            put_signed(&mut self.streams[SEEDS], seed);
        }
        let Some(stream) = spread.stream() else { return false };
        let mut outliers = Vec::new();
        let (heads, bits) = (&mut self.streams[stream], &mut self.bits);
        predictor.predict(integers, seed << low_bits, |residual| {
            let residual = zigzag(residual);
            let head = residual >> low_bits;
            if head >= u64::from(OUTLIER) {
                outliers.push(head - u64::from(OUTLIER));
            }
            heads.push(head.min(u64::from(OUTLIER)) as u8);
            bits.put(residual, low_bits);
        });
        if !outliers.is_empty() {
            let out = &mut self.streams[OUTLIERS];
            put_varint(out, outliers.len() as u64);
            outliers.iter().for_each(|outlier| put_varint(out, *outlier));
        }
        !outliers.is_empty()
    }

    /// The stored form of the chunk, after which the writer is empty again.
    pub(crate) fn finish(&mut self, packer: &mut Packer) -> Result<Vec<u8>, BlockError> {
        self.streams[BITS] = self.bits.finish();
        let mut table = Vec::new();
        let mut body = Vec::new();
        put_varint(&mut table, self.streams.iter().filter(|stream| !stream.is_empty()).count() as u64);
        for (id, stream) in self.streams.iter_mut().enumerate().filter(|(_, stream)| !stream.is_empty()) {
            let plain = std::mem::take(stream);
            table.push(id as u8);
            put_varint(&mut table, plain.len() as u64);
            let stored = packer.pack(plain)?;
            put_varint(&mut table, stored.len() as u64);
            body.extend_from_slice(&stored);
        }
        (self.samples, self.before) = (0, None);
        table.extend_from_slice(&body);
        Ok(table)
    }
}

fn put_patches(out: &mut Vec<u8>, patches: &[(u32, u64)]) {
    if patches.is_empty() {
        return;
    }
    put_varint(out, patches.len() as u64);
    let mut previous = 0;
    for (position, bits) in patches {
        put_varint(out, u64::from(position - previous));
        out.extend_from_slice(&bits.to_le_bytes());
        previous = *position;
    }
}

fn is_constant(integers: &[i64]) -> bool {
    integers.iter().all(|integer| *integer == integers[0])
}

/// The cheapest plan for integers that are not all the same.
fn best(integers: &[i64]) -> Plan {
    let steps: Vec<i64> = integers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
    let middles = (middle(integers.to_vec()), middle(steps.clone()));
    let plan = |predictor: Predictor| {
        let seed = match (predictor.order, predictor.gain) {
            (Order::Value, None) => middles.0,
            (Order::Value, Some(_)) => 0,
            (Order::Step, None) => middles.1,
            (Order::Step, Some(_)) => steps[0],
        };
        let mut bits = 0;
        predictor.predict(integers, seed, |residual| bits += bit_length(residual));
        Plan { predictor, seed, bits }
    };
    Predictor::all().map(plan).min_by_key(|plan| plan.cost(integers)).expect("there is more than one prediction")
}

fn residual_bits(predictor: Predictor, integers: &[i64]) -> u64 {
    let mut bits = 0;
    let seed = integers[1].wrapping_sub(integers[0]);
    predictor.predict(integers, seed, |residual| bits += bit_length(residual));
    bits
}

/// The middle one of at least one integer.
fn middle(mut integers: Vec<i64>) -> i64 {
    let middle = integers.len() / 2;
    *integers.select_nth_unstable(middle).1
}
