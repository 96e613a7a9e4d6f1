//! Profiles: what the fields of a device mean, as TOML.
//!
//! A profile names its transport, and under each request the fields with the figure each becomes:
//!
//! ```toml
//! format = 1
//! name = "example"
//! title = "A modem with an HTTP interface"
//! transport = "http_json"
//!
//! [[request]]
//! path = "/status"
//!
//! [[request.field]]
//! from = "/rx/snr"        # a JSON pointer; for text the name of a group, for SNMP an object identifier
//! kpi = "link_snr_db"
//! factor = 0.1            # multiplied first
//! offset = 0.0            # added then
//! ```
//!
//! `words` maps words to numbers; `as_label` keeps a word as the label of that name with the value 1. With `each` a
//! request's fields are looked up in every element of an object or list, whose key becomes the label `each_label`.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value as Json;
use wk_types::ErrorKind;

use super::kpi::{Kpi, Value};

/// The number of the format that profiles have.
pub const FORMAT: u32 = 1;
/// How many fields a profile has at most.
pub const FIELDS_MAX: usize = 512;
/// How many elements of an object or list are read at most.
pub const ELEMENTS_MAX: usize = 64;
/// How many bytes a profile has at most.
pub const PROFILE_BYTES_MAX: usize = 256 * 1024;

/// The profiles that are shipped.
const SHIPPED: [&str; 3] = [
    include_str!("../../profiles/link/starlink.toml"),
    include_str!("../../profiles/link/peplink.toml"),
    include_str!("../../profiles/link/idirect-nms.toml"),
];

/// How a device is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// JSON over HTTP, asked for.
    HttpJson,
    /// A Starlink terminal's own interface.
    StarlinkGrpc,
    /// Lines of text that the device sends by itself over TCP.
    TcpText,
    /// SNMP; read by the source of that name.
    Snmp,
}

/// What the fields of a device mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The number of the format; 1.
    format: u32,
    /// Its name.
    pub name: String,
    /// What device it is for.
    pub title: String,
    /// Where the meaning of the fields was found, and against what it was tried.
    #[serde(default)]
    pub origin: String,
    /// How the device is reached.
    pub transport: Transport,
    /// How to sign in over HTTP; without it the device asks for nothing.
    pub login: Option<Login>,
    /// What is asked for.
    #[serde(rename = "request", default)]
    pub requests: Vec<Request>,
}

/// Signing in by a request that answers a token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Where the request goes.
    pub path: String,
    /// The key of the user in it.
    pub user_key: String,
    /// The key of the password in it.
    pub password_key: String,
    /// Where the token is in the answer.
    pub token: String,
    /// The parameter that carries the token in later requests.
    pub parameter: String,
}

/// One request, or one kind of line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Where it goes; for text the pattern of a line, with a named group for each field.
    #[serde(default)]
    pub path: String,
    /// A JSON pointer to an object or list whose elements hold the fields.
    pub each: Option<String>,
    /// The label that an element's key becomes.
    #[serde(default)]
    pub each_label: String,
    /// Fields.
    #[serde(rename = "field", default)]
    pub fields: Vec<Field>,
    #[serde(skip)]
    pattern: Option<Regex>,
}

/// One field and the figure it becomes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Where the field is: a JSON pointer, the name of a group, or an object identifier.
    pub from: String,
    /// What it becomes.
    pub kpi: Kpi,
    /// What the number is multiplied by.
    #[serde(default = "one")]
    pub factor: f64,
    /// What is added then.
    #[serde(default)]
    pub offset: f64,
    /// Words and the numbers they stand for.
    #[serde(default)]
    pub words: BTreeMap<String, f64>,
    /// The label that keeps the word itself; the value is 1 then.
    pub as_label: Option<String>,
    /// Further labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

const fn one() -> f64 {
    1.0
}

/// Why a profile was refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is no profile.
    #[error("could not read the profile {name:?}: {what}")]
    Read {
        /// The file, or the shipped profile's place.
        name: String,
        /// Where and what.
        what: String,
    },
    /// There is no profile of this name.
    #[error("there is no profile {name:?}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
}

impl ProfileError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::InvalidInput,
            Self::Unknown { .. } => ErrorKind::NotFound,
        }
    }
}

impl Profile {
    /// Reads and checks a profile; `name` says where it came from.
    ///
    /// # Errors
    /// Text that is no profile, a newer format, or fields that cannot be looked up.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        let refuse = |what: String| ProfileError::Read { name: name.to_owned(), what };
        if text.len() > PROFILE_BYTES_MAX {
            return Err(refuse(format!("it has more than {PROFILE_BYTES_MAX} bytes")));
        }
        let mut profile: Self = toml::from_str(text).map_err(|error| refuse(error.to_string().trim().to_owned()))?;
        if profile.format != FORMAT {
            return Err(refuse(format!("it has format {}, this version reads {FORMAT}", profile.format)));
        }
        let fields: usize = profile.requests.iter().map(|request| request.fields.len()).sum();
        if !(1..=FIELDS_MAX).contains(&fields) {
            return Err(refuse(format!("it has {fields} fields; 1 to {FIELDS_MAX} are read")));
        }
        let transport = profile.transport;
        for request in &mut profile.requests {
            request.check(transport).map_err(refuse)?;
        }
        Ok(profile)
    }

    /// A profile by name: one of `own`, else a shipped one.
    ///
    /// # Errors
    /// No profile of this name.
    pub fn find(name: &str, own: &[Self]) -> Result<Self, ProfileError> {
        let shipped = Self::shipped();
        let all = || own.iter().chain(&shipped);
        all().find(|one| one.name == name).cloned().ok_or_else(|| {
            let known: Vec<&str> = all().map(|one| one.name.as_str()).collect();
            ProfileError::Unknown { name: name.to_owned(), known: known.join(", ") }
        })
    }

    /// The profiles that are shipped.
    #[must_use]
    pub fn shipped() -> Vec<Self> {
        SHIPPED
            .iter()
            .map(|text| Self::parse("shipped", text).expect("the shipped profiles are read, which a test shows"))
            .collect()
    }
}

impl Request {
    fn check(&mut self, transport: Transport) -> Result<(), String> {
        if transport == Transport::TcpText {
            let pattern = Regex::new(&self.path).map_err(|error| format!("path {:?}: {error}", self.path))?;
            let names: Vec<&str> = pattern.capture_names().flatten().collect();
            if let Some(field) = self.fields.iter().find(|field| !names.contains(&field.from.as_str())) {
                return Err(format!("path {:?} has no group named {:?}", self.path, field.from));
            }
            self.pattern = Some(pattern);
        }
        if transport == Transport::HttpJson && !self.path.starts_with('/') {
            return Err(format!("path {:?} must begin with /", self.path));
        }
        let oid = |text: &str| !text.is_empty() && text.split('.').all(|part| part.parse::<u32>().is_ok());
        for field in &self.fields {
            if transport == Transport::HttpJson && !field.from.starts_with('/') {
                return Err(format!("from {:?} must be a JSON pointer, such as /rx/snr", field.from));
            }
            if transport == Transport::Snmp && !oid(&field.from) {
                return Err(format!("from {:?} must be an object identifier, such as 1.3.6.1.2.1.1.3.0", field.from));
            }
        }
        Ok(())
    }

    /// The values of a JSON answer, and what of it cannot be one.
    #[must_use]
    pub fn read(&self, answer: &Json) -> (Vec<Value>, Vec<String>) {
        let (mut values, mut bad) = (Vec::new(), Vec::new());
        for (key, element) in self.elements(answer) {
            for field in &self.fields {
                let Some(found) = element.pointer(&field.from) else { continue };
                let labels = key.iter().map(|key| (self.each_label.clone(), key.clone())).collect();
                match field.value(found, labels) {
                    Ok(Some(value)) => values.push(value),
                    Ok(None) => {}
                    Err(what) => bad.push(what),
                }
            }
        }
        (values, bad)
    }

    /// Where the fields are looked up, with the key of each place.
    fn elements<'a>(&self, answer: &'a Json) -> Vec<(Option<String>, &'a Json)> {
        let Some(each) = &self.each else { return vec![(None, answer)] };
        match answer.pointer(each) {
            Some(Json::Object(elements)) => elements
                .iter()
                .filter(|(_, element)| element.is_object())
                .take(ELEMENTS_MAX)
                .map(|(key, element)| (Some(key.clone()), element))
                .collect(),
            Some(Json::Array(elements)) => elements
                .iter()
                .enumerate()
                .take(ELEMENTS_MAX)
                .map(|(at, element)| (Some(at.to_string()), element))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The values of a line of text, and what of it cannot be one; `None` where the line is another one.
    #[must_use]
    pub fn read_line(&self, line: &str) -> Option<(Vec<Value>, Vec<String>)> {
        let found = self.pattern.as_ref()?.captures(line)?;
        let (mut values, mut bad) = (Vec::new(), Vec::new());
        for field in &self.fields {
            let Some(text) = found.name(&field.from) else { continue };
            match field.value(&Json::String(text.as_str().to_owned()), Vec::new()) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => {}
                Err(what) => bad.push(what),
            }
        }
        Some((values, bad))
    }
}

impl Field {
    /// The value that a field's content is; `None` where there is none.
    ///
    /// # Errors
    /// Content that the figure cannot have.
    pub fn value(&self, found: &Json, mut labels: Vec<(String, String)>) -> Result<Option<Value>, String> {
        labels.extend(self.labels.iter().map(|(name, text)| (name.clone(), text.clone())));
        if let Some(label) = &self.as_label {
            let Json::String(word) = found else { return Err(format!("{}: {found} is no word", self.from)) };
            labels.push((label.clone(), word.clone()));
            return Ok(Some(Value { kpi: self.kpi, value: 1.0, labels }));
        }
        let number = match found {
            Json::Null => return Ok(None),
            Json::Number(number) => number.as_f64(),
            Json::Bool(yes) => Some(f64::from(u8::from(*yes))),
            Json::String(text) => self.words.get(text.trim()).copied().or_else(|| text.trim().parse().ok()),
            Json::Array(_) | Json::Object(_) => None,
        };
        let value = number.map(|number| number * self.factor + self.offset);
        match value.filter(|value| self.kpi.holds(*value)) {
            Some(value) => Ok(Some(Value { kpi: self.kpi, value, labels })),
            None => Err(format!("{} is {found}, which {} cannot have", self.from, self.kpi.name())),
        }
    }
}
