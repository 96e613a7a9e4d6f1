//! What the vessel's own AIS transponder sends about it: `VDO` sentences, put together and taken apart (ITU-R M.1371-5,
//! annex 8; armouring by IEC 61162-1, table of six-bit characters).

use std::collections::BTreeMap;

use wk_types::{DurationMs, UtcMs};

use super::sentence::Sentence;
use crate::vessel::{Quantity, Reading};

/// How many messages wait for their other parts at once.
const WAITING_MAX: usize = 16;
/// How many parts a message has at most.
const PARTS_MAX: usize = 9;
/// How many characters a message has at most, all parts together.
const CHARACTERS_MAX: usize = 400;
/// How long a message waits for its other parts.
const WAIT_MAX: DurationMs = DurationMs::from_secs(30);

/// Why a sentence gave no message; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAis {
    /// A field of the sentence cannot be read.
    #[error("bad ais sentence")]
    Sentence,
    /// A part came that does not follow the ones before it.
    #[error("ais message with a part missing")]
    Part,
    /// The message is shorter than its kind has to be.
    #[error("ais message too short")]
    Short,
}

/// Messages whose parts have not all come.
#[derive(Debug, Default)]
pub struct Assembler(BTreeMap<String, Waiting>);

#[derive(Debug)]
struct Waiting {
    next: usize,
    total: usize,
    payload: String,
    since: UtcMs,
}

impl Assembler {
    /// Takes one sentence in and answers the bits of a message once it is whole.
    ///
    /// # Errors
    /// A sentence that cannot be read or does not follow the parts before it.
    pub fn push(&mut self, sentence: &Sentence<'_>, now: UtcMs) -> Result<Option<Bits>, BadAis> {
        let count = |place: usize| sentence.field(place).parse::<usize>().map_err(|_| BadAis::Sentence);
        let (total, part, fill) = (count(1)?, count(2)?, count(6)?);
        let payload = sentence.field(5);
        if !(1..=PARTS_MAX).contains(&total) || !(1..=total).contains(&part) || fill > 5 {
            return Err(BadAis::Sentence);
        }
        if total == 1 {
            return Bits::unarmour(payload, fill).map(Some);
        }
        self.0.retain(|_, waiting| now.since(waiting.since) <= WAIT_MAX);
        let key = format!("{}{}{}", sentence.talker, sentence.field(3), sentence.field(4));
        if part == 1 {
            self.begin(key, Waiting { next: 2, total, payload: payload.to_owned(), since: now });
            return Ok(None);
        }
        let mut waiting = self.0.remove(&key).ok_or(BadAis::Part)?;
        if waiting.total != total || waiting.next != part || waiting.payload.len() + payload.len() > CHARACTERS_MAX {
            return Err(BadAis::Part);
        }
        waiting.payload.push_str(payload);
        waiting.next += 1;
        if part == total {
            return Bits::unarmour(&waiting.payload, fill).map(Some);
        }
        self.0.insert(key, waiting);
        Ok(None)
    }

    /// Makes room for a message where there is none by giving up the one that waits longest.
    fn begin(&mut self, key: String, waiting: Waiting) {
        if self.0.len() >= WAITING_MAX && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, waiting)| waiting.since).map(|(key, _)| key.clone());
            oldest.map(|key| self.0.remove(&key));
        }
        self.0.insert(key, waiting);
    }
}

/// The bits of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits(Vec<bool>);

impl Bits {
    fn unarmour(payload: &str, fill: usize) -> Result<Self, BadAis> {
        if payload.is_empty() || payload.len() > CHARACTERS_MAX {
            return Err(BadAis::Sentence);
        }
        let mut bits = Vec::with_capacity(payload.len() * 6);
        for byte in payload.bytes() {
            let six = match byte {
                b'0'..=b'W' => byte - b'0',
                b'`'..=b'w' => byte - b'`' + 40,
                _ => return Err(BadAis::Sentence),
            };
            bits.extend((0..6).rev().map(|at| (six >> at) & 1 == 1));
        }
        bits.truncate(bits.len().saturating_sub(fill));
        Ok(Self(bits))
    }

    fn unsigned(&self, from: usize, length: usize) -> Result<u32, BadAis> {
        let bits = self.0.get(from..from + length).ok_or(BadAis::Short)?;
        Ok(bits.iter().fold(0, |value, bit| (value << 1) | u32::from(*bit)))
    }

    fn signed(&self, from: usize, length: usize) -> Result<i32, BadAis> {
        let shift = 32 - length;
        Ok((self.unsigned(from, length)? << shift).cast_signed() >> shift)
    }

    /// Six-bit text without the padding at its end.
    fn text(&self, from: usize, length: usize) -> Result<String, BadAis> {
        let mut text = String::with_capacity(length / 6);
        for at in (from..from + length).step_by(6) {
            let six = u8::try_from(self.unsigned(at, 6)?).unwrap_or_default();
            let letter = if six < 32 { six + 64 } else { six };
            if letter == b'@' {
                break;
            }
            text.push(char::from(letter));
        }
        Ok(text.trim_end().to_owned())
    }
}

/// Reads what a message of the own transponder says: position reports (1, 2, 3, 18) and static data (5). Other kinds
/// give nothing.
///
/// # Errors
/// A message shorter than its kind has to be.
pub fn decode(bits: &Bits) -> Result<Vec<Reading>, BadAis> {
    match bits.unsigned(0, 6)? {
        1..=3 => {
            let mut readings = vec![Reading::new(Quantity::AisNavigationStatus, bits.unsigned(38, 4)?.into())];
            readings.extend(position(bits, 61)?);
            Ok(readings)
        }
        18 => position(bits, 57),
        5 => static_data(bits),
        _ => Ok(Vec::new()),
    }
}

/// Longitude, then latitude, in ten-thousandths of a minute; 181° and 91° stand for "not available".
fn position(bits: &Bits, from: usize) -> Result<Vec<Reading>, BadAis> {
    let longitude = f64::from(bits.signed(from, 28)?) / 600_000.0;
    let latitude = f64::from(bits.signed(from + 28, 27)?) / 600_000.0;
    if longitude.abs() > 180.0 || latitude.abs() > 90.0 {
        return Ok(Vec::new());
    }
    Ok(vec![Reading::new(Quantity::AisLatitude, latitude), Reading::new(Quantity::AisLongitude, longitude)])
}

fn static_data(bits: &Bits) -> Result<Vec<Reading>, BadAis> {
    let labels = vec![
        ("mmsi", format!("{:09}", bits.unsigned(8, 30)?)),
        ("imo", bits.unsigned(40, 30)?.to_string()),
        ("call_sign", bits.text(70, 42)?),
        ("name", bits.text(112, 120)?),
        ("ship_type", bits.unsigned(232, 8)?.to_string()),
        ("destination", bits.text(302, 120)?),
    ];
    let draught = bits.unsigned(294, 8)?;
    let mut readings = vec![Reading { quantity: Quantity::AisInfo, value: 1.0, labels }];
    // Zero stands for "not available".
    readings.extend((draught > 0).then(|| Reading::new(Quantity::Draught, f64::from(draught) / 10.0)));
    Ok(readings)
}
