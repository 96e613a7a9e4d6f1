//! Writing value chunks: the cheapest way for each series, then byte planes.

use super::{DESCRIPTORS, Descriptor, EXPONENT_BITS, FIRSTS, PATCHES, STREAMS, Transform, plane_stream};
use crate::bytes::{Packer, put_signed, put_varint, zigzag};
use crate::error::BlockError;
use crate::scale::{Scaled, scale};

/// Collects series until their chunk is full.
pub(crate) struct ChunkWriter {
    streams: Vec<Vec<u8>>,
    samples: usize,
}

/// One way of coding a series, and what it would cost.
struct Candidate {
    transform: Transform,
    firsts: Vec<u8>,
    residuals: Vec<u64>,
}

impl Candidate {
    /// The bits that the residuals need at least, and the bytes of the firsts: close to what is left after zstd.
    fn cost(&self) -> u64 {
        let bits: u64 = self.residuals.iter().map(|residual| u64::from(u64::BITS - residual.leading_zeros())).sum();
        bits + 8 * self.firsts.len() as u64
    }
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self { streams: vec![Vec::new(); STREAMS], samples: 0 }
    }

    pub(crate) const fn samples(&self) -> usize {
        self.samples
    }

    /// Adds a series of at least one value.
    pub(crate) fn push(&mut self, values: impl ExactSizeIterator<Item = f64> + Clone) {
        self.samples += values.len();
        match scale(values.clone()) {
            Some(scaled) => self.push_scaled(&scaled),
            None => self.push_bits(&values.map(f64::to_bits).collect::<Vec<_>>()),
        }
    }

    fn push_scaled(&mut self, scaled: &Scaled) {
        let candidate = if scaled.integers.iter().all(|integer| *integer == scaled.integers[0]) {
            let mut firsts = Vec::new();
            put_signed(&mut firsts, scaled.integers[0]);
            Candidate { transform: Transform::Constant, firsts, residuals: Vec::new() }
        } else {
            [value, delta, delta_delta]
                .map(|make| make(&scaled.integers))
                .into_iter()
                .min_by_key(Candidate::cost)
                .expect("there are three candidates")
        };
        self.put(&candidate, scaled.exponent, !scaled.patches.is_empty());
        if !scaled.patches.is_empty() {
            self.put_patches(&scaled.patches);
        }
    }

    fn push_bits(&mut self, bits: &[u64]) {
        let first = bits[0].to_le_bytes().to_vec();
        let candidate = if bits.iter().all(|one| *one == bits[0]) {
            Candidate { transform: Transform::Constant, firsts: first, residuals: Vec::new() }
        } else {
            let xor = bits.windows(2).map(|pair| pair[1] ^ pair[0]).collect();
            let xor = Candidate { transform: Transform::Xor, firsts: first, residuals: xor };
            let raw = Candidate { transform: Transform::Raw, firsts: Vec::new(), residuals: bits.to_vec() };
            if xor.cost() <= raw.cost() { xor } else { raw }
        };
        self.put(&candidate, EXPONENT_BITS, false);
    }

    fn put(&mut self, candidate: &Candidate, exponent: u8, patched: bool) {
        let all = candidate.residuals.iter().fold(0, |all, residual| all | residual);
        let width = (u64::BITS - all.leading_zeros()).div_ceil(8) as usize;
        let descriptor = Descriptor { transform: candidate.transform, patched, width, exponent };
        self.streams[DESCRIPTORS].extend_from_slice(&descriptor.encode());
        self.streams[FIRSTS].extend_from_slice(&candidate.firsts);
        for plane in 0..width {
            let bytes = candidate.residuals.iter().map(|residual| (residual >> (8 * plane)) as u8);
            self.streams[plane_stream(width, plane)].extend(bytes);
        }
    }

    fn put_patches(&mut self, patches: &[(u32, u64)]) {
        let out = &mut self.streams[PATCHES];
        put_varint(out, patches.len() as u64);
        let mut previous = 0;
        for (position, bits) in patches {
            put_varint(out, u64::from(position - previous));
            out.extend_from_slice(&bits.to_le_bytes());
            previous = *position;
        }
    }

    /// The stored form of the chunk, after which the writer is empty again.
    pub(crate) fn finish(&mut self, packer: &mut Packer) -> Result<Vec<u8>, BlockError> {
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
        self.samples = 0;
        table.extend_from_slice(&body);
        Ok(table)
    }
}

fn value(integers: &[i64]) -> Candidate {
    let center = middle(integers.to_vec());
    let mut firsts = Vec::new();
    put_signed(&mut firsts, center);
    let residuals = integers.iter().map(|integer| zigzag(integer - center)).collect();
    Candidate { transform: Transform::Value, firsts, residuals }
}

fn delta(integers: &[i64]) -> Candidate {
    let steps: Vec<i64> = steps(integers).collect();
    let center = middle(steps.clone());
    let mut firsts = Vec::new();
    put_signed(&mut firsts, integers[0]);
    put_signed(&mut firsts, center);
    let residuals = steps.into_iter().map(|step| zigzag(step - center)).collect();
    Candidate { transform: Transform::Delta, firsts, residuals }
}

fn delta_delta(integers: &[i64]) -> Candidate {
    let steps: Vec<i64> = steps(integers).collect();
    let mut firsts = Vec::new();
    put_signed(&mut firsts, integers[0]);
    put_signed(&mut firsts, steps[0]);
    let residuals = steps.windows(2).map(|pair| zigzag(pair[1] - pair[0])).collect();
    Candidate { transform: Transform::DeltaDelta, firsts, residuals }
}

fn steps(integers: &[i64]) -> impl Iterator<Item = i64> + '_ {
    integers.windows(2).map(|pair| pair[1] - pair[0])
}

/// The middle one of at least one integer.
fn middle(mut integers: Vec<i64>) -> i64 {
    let middle = integers.len() / 2;
    *integers.select_nth_unstable(middle).1
}
