//! JSON values that borrow their texts from the body, where these stand in it as they are.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Raw<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// An object.
    Object(Fields<'a>),
    /// Anything else.
    Other(Value),
}

/// The fields of an object, sorted by name; of those with equal names the last one stays.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Option<Raw<'a>>)>);

impl<'a> Fields<'a> {
    /// The value of a field, unless it was taken out.
    pub fn get(&self, name: &str) -> Option<&Raw<'a>> {
        self.0[self.place(name).ok()?].1.as_ref()
    }

    /// Tells whether there is a field of this name, unless it was taken out.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) {
        if let Ok(at) = self.place(name) {
            self.0[at].1 = None;
        }
    }

    /// Puts in a field where there is none of this name.
    pub fn insert_new(&mut self, name: &'static str, value: Raw<'a>) {
        match self.place(name) {
            Ok(at) => {
                self.0[at].1.get_or_insert(value);
            }
            Err(at) => self.0.insert(at, (Cow::Borrowed(name), Some(value))),
        }
    }

    /// The fields that are left, in order of their names.
    pub fn into_pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        self.0.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    /// Sorts fields.
    pub fn of(mut fields: Vec<(Cow<'a, str>, Option<Raw<'a>>)>) -> Self {
        fields.sort_by(|one, other| one.0.cmp(&other.0));
        // The later one of two is dropped, after it has handed on its value.
        fields.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self(fields)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))))
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Raw<'de>, E> {
        Ok(Raw::Text(Cow::Owned(text)))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw<'de>, E> {
        Ok(Raw::Other(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw<'de>, E> {
        Ok(Raw::Other(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw<'de>, E> {
        Ok(Raw::Other(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw<'de>, E> {
        Ok(Raw::Other(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Raw<'de>, E> {
        Ok(Raw::Other(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Raw<'de>, A::Error> {
        Value::deserialize(SeqAccessDeserializer::new(elements)).map(Raw::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Raw<'de>, A::Error> {
        Fields::deserialize(MapAccessDeserializer::new(entries)).map(Raw::Object)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = entries.next_key()? {
            fields.push((name, Some(entries.next_value()?)));
        }
        Ok(Fields::of(fields))
    }
}

/// The name of a field.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(text.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_was_read() {
        let text = r#"{"a":[1,2.5,{"x":null}],"b":{"c":"d\"e","f":false},"g":18446744073709551615}"#;
        let raw: Raw<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&raw).unwrap(), text);
    }

    #[test]
    fn of_equal_names_the_last_one_stays() {
        let mut fields: Fields<'_> = serde_json::from_str(r#"{"b":1,"a":"x","b":2,"b":"y"}"#).unwrap();
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"a":"x","b":"y"}"#);
        fields.remove("a");
        assert!(!fields.contains("a"));
        fields.insert_new("a", Raw::Text("z".into()));
        fields.insert_new("b", Raw::Text("z".into()));
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"a":"z","b":"y"}"#);
    }
}
