//! Exact stored forms: floating-point numbers as bit patterns, maps with keys of any type, and packed samples.
//!
//! A saved engine must go on byte for byte, and decimal text does not promise to bring back every bit.

/// Floating-point numbers as their bit patterns.
pub(crate) mod bits {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.to_bits().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

/// Signals, their numbers as bit patterns beside them.
pub(crate) mod signal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use wk_types::Signal;

    fn numbers(signal: &mut Signal) -> Vec<&mut f64> {
        let evidence = &mut signal.evidence;
        let mut numbers = vec![&mut signal.score, &mut evidence.observed];
        numbers.extend(evidence.expected.iter_mut().flat_map(|band| [&mut band.low, &mut band.high]));
        numbers.extend(evidence.recent.iter_mut().map(|sample| &mut sample.value));
        numbers
    }

    pub(crate) fn serialize<S: Serializer>(signal: &Signal, serializer: S) -> Result<S::Ok, S::Error> {
        let mut copy = signal.clone();
        let bits: Vec<u64> = numbers(&mut copy).into_iter().map(|number| number.to_bits()).collect();
        (signal, bits).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signal, D::Error> {
        let (mut signal, bits) = <(Signal, Vec<u64>)>::deserialize(deserializer)?;
        let places = numbers(&mut signal);
        if places.len() != bits.len() {
            return Err(D::Error::custom("a signal's numbers do not fit it"));
        }
        for (place, bits) in places.into_iter().zip(bits) {
            *place = f64::from_bits(bits);
        }
        Ok(signal)
    }
}

/// Rows of single-precision numbers as hexadecimal text.
pub(crate) mod row {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(row: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_bits().to_be_bytes()).collect();
        serializer.serialize_str(&super::to_hex(&bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<[f32]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = super::from_hex(&text).ok_or_else(|| D::Error::custom("a row is no hexadecimal text"))?;
        if !bytes.len().is_multiple_of(4) {
            return Err(D::Error::custom("a row is cut short"));
        }
        Ok(bytes.chunks_exact(4).map(|four| f32::from_be_bytes([four[0], four[1], four[2], four[3]])).collect())
    }
}

/// Maps as lists of pairs in key order.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map.iter())
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Vec::<(K, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

/// Maps by digest as lists of pairs in key order.
pub(crate) mod digests {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use wk_types::SeriesId;
    use wk_types::digest::DigestMap;

    pub(crate) fn serialize<V: Serialize, S: Serializer>(
        map: &DigestMap<SeriesId, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut pairs: Vec<(&SeriesId, &V)> = map.iter().collect();
        pairs.sort_unstable_by_key(|(id, _)| **id);
        serializer.collect_seq(pairs)
    }

    pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DigestMap<SeriesId, V>, D::Error> {
        Vec::<(SeriesId, V)>::deserialize(deserializer).map(|pairs| pairs.into_iter().collect())
    }
}

/// Samples packed as differences of times and exclusive-ors of values, in hexadecimal text.
pub(crate) mod samples {
    use std::collections::VecDeque;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use wk_types::{Sample, UtcMs};

    pub(crate) fn serialize<S: Serializer>(samples: &VecDeque<Sample>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(&pack(samples.iter())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VecDeque<Sample>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = super::from_hex(&text).ok_or_else(|| D::Error::custom("samples are no hexadecimal text"))?;
        unpack(&bytes).ok_or_else(|| D::Error::custom("packed samples are cut short"))
    }

    /// Packs samples; equal steps and values that differ in few bits take few bytes.
    pub(crate) fn pack<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<u8> {
        let (mut bytes, mut time, mut value) = (Vec::new(), 0_i64, 0_u64);
        for sample in samples {
            let delta = sample.time.0.wrapping_sub(time);
            super::put_varint(&mut bytes, ((delta << 1) ^ (delta >> 63)) as u64);
            super::put_varint(&mut bytes, (sample.value.to_bits() ^ value).reverse_bits());
            (time, value) = (sample.time.0, sample.value.to_bits());
        }
        bytes
    }

    /// Reads packed samples; `None` where the bytes end within one.
    pub(crate) fn unpack(bytes: &[u8]) -> Option<VecDeque<Sample>> {
        let (mut samples, mut rest, mut time, mut value) = (VecDeque::new(), bytes, 0_i64, 0_u64);
        while !rest.is_empty() {
            let zigzag = super::take_varint(&mut rest)?;
            time = time.wrapping_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64));
            value ^= super::take_varint(&mut rest)?.reverse_bits();
            samples.push_back(Sample::new(UtcMs(time), f64::from_bits(value)));
        }
        Some(samples)
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(HEX_DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(HEX_DIGITS[usize::from(byte & 0xf)]));
    }
    text
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes().chunks_exact(2).map(|two| Some(digit(two[0])? << 4 | digit(two[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wk_types::{Sample, UtcMs};

    use super::*;

    proptest! {
        #[test]
        fn packed_samples_come_back_bit_for_bit(points in prop::collection::vec((any::<i64>(), any::<u64>()), 0..40)) {
            let written: Vec<Sample> =
                points.iter().map(|(time, bits)| Sample::new(UtcMs(*time), f64::from_bits(*bits))).collect();
            let read = samples::unpack(&from_hex(&to_hex(&samples::pack(written.iter()))).unwrap()).unwrap();
            let read: Vec<(i64, u64)> = read.iter().map(|sample| (sample.time.0, sample.value.to_bits())).collect();
            prop_assert_eq!(read, points);
        }
    }

    #[test]
    fn damaged_text_is_refused() {
        assert_eq!(from_hex("0g"), None);
        assert_eq!(from_hex("012"), None);
        assert!(samples::unpack(&[0x80]).is_none());
    }
}
