//! Attributes as text, and what they say about who sent something.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json};

use super::message::{AnyValue, KeyValue, Value};
use crate::logs::{ATTRIBUTES_MAX, Attributes};

/// How deep named values become dotted names; what lies deeper is kept as JSON text.
const DEPTH_MAX: usize = 8;

/// A value as text; lists as JSON.
pub fn text(value: &AnyValue) -> Cow<'_, str> {
    match &value.value {
        None => Cow::Borrowed(""),
        Some(Value::Text(text)) => Cow::Borrowed(text),
        Some(Value::Bool(value)) => Cow::Borrowed(if *value { "true" } else { "false" }),
        Some(Value::Int(number)) => number.to_string().into(),
        Some(Value::Double(number)) => number.to_string().into(),
        Some(Value::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        Some(Value::Array(_) | Value::List(_)) => json(value).to_string().into(),
    }
}

fn json(value: &AnyValue) -> Json {
    match &value.value {
        None => Json::Null,
        Some(Value::Text(text)) => Json::from(text.as_str()),
        Some(Value::Bool(value)) => Json::from(*value),
        Some(Value::Int(number)) => Json::from(*number),
        // JSON has no word for what is no number.
        Some(Value::Double(number)) if !number.is_finite() => Json::from(number.to_string()),
        Some(Value::Double(number)) => Json::from(*number),
        Some(Value::Bytes(bytes)) => Json::from(STANDARD.encode(bytes)),
        Some(Value::Array(array)) => array.values.iter().map(json).collect(),
        Some(Value::List(list)) => {
            let each = |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map_or(Json::Null, json));
            list.values.iter().map(each).collect::<Map<_, _>>().into()
        }
    }
}

/// The text of an attribute, `None` where it is missing or empty.
pub fn find<'a>(attributes: &'a [KeyValue], name: &str) -> Option<Cow<'a, str>> {
    let found = attributes.iter().find(|pair| pair.key == name)?;
    Some(text(found.value.as_ref()?)).filter(|text| !text.is_empty())
}

/// Adds attributes under their names, where there are none of these names yet; answers whether one was left out.
pub fn add(attributes: &mut Attributes, pairs: &[KeyValue]) -> bool {
    let mut left_out = false;
    for pair in pairs {
        if let Some(value) = &pair.value {
            flatten(attributes, Cow::Borrowed(&pair.key), value, 1, &mut left_out);
        }
    }
    left_out
}

fn flatten(attributes: &mut Attributes, name: Cow<'_, str>, value: &AnyValue, depth: usize, left_out: &mut bool) {
    match &value.value {
        None => {}
        Some(Value::List(list)) if depth < DEPTH_MAX => {
            for pair in &list.values {
                if let Some(value) = &pair.value {
                    flatten(attributes, format!("{name}.{}", pair.key).into(), value, depth + 1, left_out);
                }
            }
        }
        Some(_) if attributes.contains_key(&*name) => {}
        Some(_) if name.is_empty() || attributes.len() >= ATTRIBUTES_MAX => *left_out = true,
        Some(_) => {
            attributes.insert(name.into(), text(value).into());
        }
    }
}

/// Which attributes name the machine, the surest first.
const HOST_NAMES: [&str; 3] = ["host.name", "k8s.node.name", "host.id"];

/// The machine that a resource says it is or runs on.
pub fn host(resource: &[KeyValue]) -> Option<Cow<'_, str>> {
    HOST_NAMES.iter().find_map(|name| find(resource, name))
}

/// The service with its namespace in front, as Prometheus has it in the label `job`.
pub fn job(resource: &[KeyValue]) -> Option<Cow<'_, str>> {
    let name = find(resource, "service.name")?;
    Some(match find(resource, "service.namespace") {
        Some(namespace) => format!("{namespace}/{name}").into(),
        None => name,
    })
}
