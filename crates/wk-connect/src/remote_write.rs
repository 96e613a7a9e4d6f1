//! Bodies of Prometheus remote write 1.0, as a sender makes them.
//!
//! *Source*: <https://prometheus.io/docs/specs/prw/remote_write_spec/>: a snappy block of the protobuf message
//! `WriteRequest { repeated TimeSeries timeseries = 1 }`, `TimeSeries { repeated Label labels = 1; repeated Sample
//! samples = 2 }`, `Label { string name = 1; string value = 2 }`, `Sample { double value = 1; int64 timestamp = 2 }`.

use wk_types::Sample;

const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;

/// A request that is being put together.
#[derive(Debug, Default)]
pub struct WriteRequest {
    plain: Vec<u8>,
    series: Vec<u8>,
    samples: usize,
}

impl WriteRequest {
    /// Adds one series: its labels, sorted by name, and its samples.
    pub fn push<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        labels: impl IntoIterator<Item = (N, V)>,
        samples: impl IntoIterator<Item = Sample>,
    ) {
        self.series.clear();
        for (name, value) in labels {
            let (name, value) = (name.as_ref().as_bytes(), value.as_ref().as_bytes());
            let length: usize =
                [name, value].iter().map(|text| 1 + varint_length(text.len() as u64) + text.len()).sum();
            key(&mut self.series, 1, BYTES);
            varint(&mut self.series, length as u64);
            bytes(&mut self.series, 1, name);
            bytes(&mut self.series, 2, value);
        }
        for sample in samples {
            let time = sample.time.0 as u64;
            key(&mut self.series, 2, BYTES);
            varint(&mut self.series, (1 + 8 + 1 + varint_length(time)) as u64);
            key(&mut self.series, 1, FIXED_64);
            self.series.extend_from_slice(&sample.value.to_le_bytes());
            key(&mut self.series, 2, VARINT);
            varint(&mut self.series, time);
            self.samples += 1;
        }
        bytes(&mut self.plain, 1, &self.series);
    }

    /// How many samples it holds.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// The compressed body; the request is empty afterwards.
    ///
    /// # Panics
    /// It holds more than the 4 GiB that a snappy block takes.
    pub fn take_body(&mut self) -> Vec<u8> {
        let body = snap::raw::Encoder::new().compress_vec(&self.plain).expect("a request is below 4 GiB");
        self.plain.clear();
        self.samples = 0;
        body
    }
}

fn key(out: &mut Vec<u8>, field: u8, kind: u8) {
    out.push(field << 3 | kind);
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    key(out, field, BYTES);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

const fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use wk_types::UtcMs;

    use super::*;

    #[test]
    fn a_body_is_what_the_specification_says() {
        let mut request = WriteRequest::default();
        request.push([("__name__", "up"), ("job", "x")], [Sample::new(UtcMs(300), 1.0)]);
        assert_eq!(request.samples(), 1);
        let plain = snap::raw::Decoder::new().decompress_vec(&request.take_body()).unwrap();
        let expected = [
            b"\x0a\x28".as_slice(),
            b"\x0a\x0e\x0a\x08__name__\x12\x02up",
            b"\x0a\x08\x0a\x03job\x12\x01x",
            b"\x12\x0c\x09\0\0\0\0\0\0\xf0\x3f\x10\xac\x02",
        ]
        .concat();
        assert_eq!(plain, expected);
        assert_eq!(request.samples(), 0, "the next body begins anew");
    }

    #[test]
    fn lengths_of_varints_are_those_written() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(out.len(), varint_length(value), "{value}");
        }
    }
}
