//! Reading one attribute out of a row's JSON object of texts, without reading the others.

use std::borrow::Cow;

use memchr::memchr2;

/// Finds one attribute's value.
#[derive(Debug, Clone)]
pub(crate) struct AttributeFinder {
    /// The name as serde_json writes it, without the quotes.
    name: String,
}

impl AttributeFinder {
    pub(crate) fn new(name: &str) -> Self {
        let quoted = serde_json::to_string(name).expect("a text is always JSON");
        Self { name: quoted[1..quoted.len() - 1].to_owned() }
    }

    /// The attribute's value in the object that `json` is, written as serde_json does; `None` where it has no such name.
    pub(crate) fn value<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        let mut rest = json.strip_prefix("{\"")?;
        loop {
            let (name, after) = split_text(rest)?;
            let (value, after) = split_text(after.strip_prefix(":\"")?)?;
            if name == self.name {
                return unescaped(value);
            }
            rest = after.strip_prefix(",\"")?;
        }
    }
}

/// Splits at the quote that ends the text.
fn split_text(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some((&text[..at], &text[at + 1..]));
        }
        at += 2;
    }
}

fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    serde_json::from_str::<String>(&format!("\"{text}\"")).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
