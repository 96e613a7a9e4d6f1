//! From one message of the protocol to log messages.

use std::borrow::Cow;

use serde_json::Value as Json;
use wk_types::UtcMs;

use super::msgpack::{BadPack, Token, next, token, value};
use super::{ENTRIES_MAX, MESSAGE_BYTES_MAX, RECORD_BYTES_MAX};
use crate::gzip;
use crate::json_logs::value::{Fields, Raw};
use crate::json_logs::{ParsedLog, object};

/// What a message holds besides its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// What the sender wants to be told once all is on disk.
    pub chunk: Option<Vec<u8>>,
    /// How the entries are packed; empty where they are not.
    compressed: String,
}

/// Why a message as a whole is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// It is no MessagePack, or not as the protocol has it.
    #[error(transparent)]
    Pack(#[from] BadPack),
    /// Its entries are packed in a way that is not taken.
    #[error("entries packed with {0:?} are not taken; send gzip or none")]
    Compression(String),
    /// Its entries cannot be unpacked.
    #[error(transparent)]
    Gzip(#[from] gzip::GzipError),
    /// It holds too many entries.
    #[error("the message has more than the {ENTRIES_MAX} entries that are taken at once; send smaller chunks")]
    TooMany,
}

/// A message: its tag, and where its entries are.
#[derive(Debug)]
pub struct Message<'a> {
    /// What the sender routes by.
    pub tag: Cow<'a, str>,
    entries: Entries<'a>,
    /// What else it says.
    pub options: Options,
}

#[derive(Debug)]
enum Entries<'a> {
    /// Time and record behind each other.
    One(&'a [u8], &'a [u8]),
    /// So many pairs of time and record.
    Many(usize, &'a [u8]),
    /// Pairs until the end.
    Packed(Cow<'a, [u8]>),
}

impl<'a> Message<'a> {
    /// Reads `[tag, time, record, options?]`, `[tag, [[time, record], …], options?]` or `[tag, packed, options?]`.
    pub fn read(mut bytes: &'a [u8]) -> Result<Self, BadMessage> {
        let Token::Array(count @ 2..=4) = next(&mut bytes)? else { return Err(BadPack::Kind.into()) };
        let Token::Text(tag) = next(&mut bytes)? else { return Err(BadPack::Kind.into()) };
        let mut begin = bytes;
        let (entries, read) = match next(&mut bytes)? {
            Token::Array(pairs) if pairs != 2 || is_entry(bytes) => {
                let from = bytes;
                (0..pairs).try_for_each(|_| value(&mut bytes).map(drop))?;
                (Entries::Many(pairs, &from[..from.len() - bytes.len()]), 2)
            }
            Token::Text(packed) | Token::Bytes(packed) => (Entries::Packed(Cow::Borrowed(packed)), 2),
            _ => {
                let time = value(&mut begin)?;
                let record = value(&mut begin)?;
                bytes = begin;
                (Entries::One(time, record), 3)
            }
        };
        let options = if count > read { options(&mut bytes)? } else { Options::default() };
        Ok(Self { tag: String::from_utf8_lossy(tag), entries, options })
    }

    /// Unpacks the entries, where they are packed.
    pub fn unpacked(mut self) -> Result<Self, BadMessage> {
        match (&self.entries, self.options.compressed.as_str()) {
            (_, "" | "text") => {}
            (Entries::Packed(packed), "gzip") => {
                self.entries = Entries::Packed(gzip::unpack(packed, MESSAGE_BYTES_MAX)?.into());
            }
            (_, other) => return Err(BadMessage::Compression(other.to_owned())),
        }
        Ok(self)
    }

    /// Calls `take` with every entry, or with why it cannot be taken.
    pub fn each<'b>(&'b self, mut take: impl FnMut(Result<ParsedLog<'b>, &'static str>)) -> Result<(), BadMessage> {
        match &self.entries {
            Entries::One(time, record) => take(entry(time, record)),
            Entries::Many(count, _) if *count > ENTRIES_MAX => return Err(BadMessage::TooMany),
            Entries::Many(count, bytes) => {
                let mut bytes = *bytes;
                for _ in 0..*count {
                    take(pair(value(&mut bytes)?));
                }
            }
            Entries::Packed(bytes) => {
                let (mut bytes, mut count) = (&**bytes, 0);
                while !bytes.is_empty() {
                    count += 1;
                    if count > ENTRIES_MAX {
                        return Err(BadMessage::TooMany);
                    }
                    take(pair(value(&mut bytes)?));
                }
            }
        }
        Ok(())
    }
}

/// Tells whether an array of two begins with an entry, and not with a time that has metadata beside it.
fn is_entry(mut bytes: &[u8]) -> bool {
    matches!(token(&mut bytes), Ok(Some(Token::Array(_))))
}

/// Reads `{"chunk": …, "compressed": …}`; a nil, and other names, say nothing.
fn options(bytes: &mut &[u8]) -> Result<Options, BadMessage> {
    let mut options = Options::default();
    let count = match next(bytes)? {
        Token::Map(count) => count,
        Token::Nil => 0,
        _ => return Err(BadPack::Kind.into()),
    };
    for _ in 0..count {
        let name = next(bytes)?;
        let mut said = value(bytes)?;
        match (name, next(&mut said)?) {
            (Token::Text(b"chunk"), Token::Text(chunk) | Token::Bytes(chunk)) => options.chunk = Some(chunk.to_vec()),
            (Token::Text(b"compressed"), Token::Text(how)) => {
                options.compressed = String::from_utf8_lossy(how).into_owned();
            }
            _ => {}
        }
    }
    Ok(options)
}

/// Reads `[time, record]` or `[[time, metadata], record]`.
fn pair(mut bytes: &[u8]) -> Result<ParsedLog<'_>, &'static str> {
    const BAD: &str = "not an entry of time and record";
    let Ok(Token::Array(2)) = next(&mut bytes) else { return Err(BAD) };
    let time = value(&mut bytes).map_err(|_| BAD)?;
    entry(time, bytes)
}

fn entry<'a>(time: &[u8], record: &'a [u8]) -> Result<ParsedLog<'a>, &'static str> {
    if record.len() > RECORD_BYTES_MAX {
        return Err("record over 1 MiB");
    }
    let mut rest = record;
    let Ok(Token::Map(count)) = next(&mut rest) else { return Err("record is not a map") };
    let fields = map(&mut rest, count).map_err(|_| "record cannot be read")?;
    let mut log = object::read(fields);
    match event_time(time) {
        Some(UtcMs(0)) => {}
        Some(time) => log.time = Some(time),
        None => log.flags.push("time cannot be read"),
    }
    Ok(log)
}

/// Reads seconds, `EventTime` (extension 0: seconds and nanoseconds), or either with metadata beside it.
fn event_time(mut bytes: &[u8]) -> Option<UtcMs> {
    let mut token = next(&mut bytes).ok()?;
    if matches!(token, Token::Array(1..)) {
        token = next(&mut bytes).ok()?;
    }
    Some(match token {
        Token::Number(seconds) => UtcMs(i64::try_from(seconds).ok()?.checked_mul(1_000)?),
        Token::Float(seconds) if seconds.is_finite() => UtcMs((seconds * 1_000.0).round() as i64),
        Token::Extension(0, bytes) => {
            let [a, b, c, d, e, f, g, h] = *<&[u8; 8]>::try_from(bytes).ok()?;
            let (seconds, nanoseconds) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
            UtcMs(i64::from(seconds) * 1_000 + i64::from(nanoseconds / 1_000_000))
        }
        _ => return None,
    })
}

fn map<'a>(bytes: &mut &'a [u8], count: usize) -> Result<Fields<'a>, BadPack> {
    let mut fields = Vec::new();
    for _ in 0..count {
        let name = match next(bytes)? {
            Token::Text(name) | Token::Bytes(name) => String::from_utf8_lossy(name),
            Token::Number(number) => number.to_string().into(),
            Token::Negative(number) => number.to_string().into(),
            _ => return Err(BadPack::Kind),
        };
        fields.push((name, Some(raw(bytes)?)));
    }
    Ok(Fields::of(fields))
}

/// Reads a value; how deep it is nested was bounded when its end was looked for.
fn raw<'a>(bytes: &mut &'a [u8]) -> Result<Raw<'a>, BadPack> {
    let begin = *bytes;
    Ok(match next(bytes)? {
        Token::Text(text) | Token::Bytes(text) => Raw::Text(String::from_utf8_lossy(text)),
        Token::Map(count) => Raw::Object(map(bytes, count)?),
        _ => {
            *bytes = begin;
            Raw::Other(json(bytes)?)
        }
    })
}

fn json(bytes: &mut &[u8]) -> Result<Json, BadPack> {
    Ok(match next(bytes)? {
        Token::Nil => Json::Null,
        Token::Bool(value) => value.into(),
        Token::Negative(number) => number.into(),
        Token::Number(number) => number.into(),
        // JSON has no word for what is no number.
        Token::Float(number) if !number.is_finite() => number.to_string().into(),
        Token::Float(number) => number.into(),
        Token::Text(text) | Token::Bytes(text) => String::from_utf8_lossy(text).into(),
        Token::Extension(_, bytes) => {
            let time = event_time_text(bytes);
            time.unwrap_or_else(|| hex::encode(bytes)).into()
        }
        Token::Array(count) => (0..count).map(|_| json(bytes)).collect::<Result<Vec<_>, _>>()?.into(),
        Token::Map(count) => {
            let mut pairs = serde_json::Map::new();
            for _ in 0..count {
                let Json::String(name) = json(bytes)? else { return Err(BadPack::Kind) };
                pairs.insert(name, json(bytes)?);
            }
            pairs.into()
        }
    })
}

/// A time within a record as text; `None` where the extension is of another length.
fn event_time_text(bytes: &[u8]) -> Option<String> {
    let seconds = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
    (bytes.len() == 8).then(|| UtcMs(i64::from(seconds) * 1_000).to_string())
}

#[cfg(test)]
pub mod tests;
