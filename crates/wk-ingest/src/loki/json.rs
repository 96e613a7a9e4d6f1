//! The JSON form: `{"streams": [{"stream": {…}, "values": [["nanoseconds", "line", {…}], …]}]}`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Line, LokiError, NESTED_MAX, Pair, Reader, nested_in};

#[derive(Deserialize)]
struct Push<'a> {
    #[serde(borrow, default)]
    streams: Vec<Stream<'a>>,
}

#[derive(Deserialize)]
struct Stream<'a> {
    #[serde(borrow, default)]
    stream: BTreeMap<Cow<'a, str>, Text<'a>>,
    #[serde(borrow, default)]
    values: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a>(
    #[serde(borrow)] Text<'a>,
    #[serde(borrow)] Text<'a>,
    #[serde(borrow, default)] Option<BTreeMap<Cow<'a, str>, Text<'a>>>,
);

/// A text, which senders also write as a number or as yes or no.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Plain(#[serde(borrow)] Cow<'a, str>),
    Number(serde_json::Number),
    Bool(bool),
}

impl<'a> Text<'a> {
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => text,
            Self::Number(number) => number.to_string().into(),
            Self::Bool(value) => value.to_string().into(),
        }
    }
}

/// Reads a body.
pub fn read(body: &[u8], reader: &mut Reader<'_>) -> Result<(), LokiError> {
    if nested_in(body) > NESTED_MAX {
        return Err(LokiError::TooLarge { unit: "JSON objects and lists", max: NESTED_MAX });
    }
    let push: Push<'_> = serde_json::from_slice(body).map_err(LokiError::Json)?;
    for stream in push.streams {
        let labels = pairs(stream.stream);
        for Entry(time, text, metadata) in stream.values {
            let time = time.into_text().trim().parse().ok();
            let metadata = metadata.map(pairs).unwrap_or_default();
            reader.take(&labels, &Line { time, text: text.into_text(), metadata })?;
        }
    }
    Ok(())
}

fn pairs<'a>(map: BTreeMap<Cow<'a, str>, Text<'a>>) -> Vec<Pair<'a>> {
    map.into_iter().map(|(name, value)| (name, value.into_text())).collect()
}
