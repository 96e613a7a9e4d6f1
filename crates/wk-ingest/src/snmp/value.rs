//! From SNMP values to numbers and texts.

use async_snmp::Value;

use crate::stats::shortened;

/// How many bytes of a text become a label.
pub const TEXT_BYTES_MAX: usize = 256;

/// A value as a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A counter of 32 bits, which wraps.
    Wrapping(u32),
    /// Anything else.
    Plain(f64),
}

/// The value as a number, where it is one or a text that is one.
pub fn number(value: &Value) -> Option<Number> {
    Some(match value {
        Value::Integer(number) => Number::Plain(f64::from(*number)),
        Value::Counter32(number) => Number::Wrapping(*number),
        Value::Gauge32(number) | Value::UInteger32(number) | Value::TimeTicks(number) => {
            Number::Plain(f64::from(*number))
        }
        Value::Counter64(number) => Number::Plain(*number as f64),
        Value::OctetString(bytes) => Number::Plain(text_number(bytes)?),
        Value::Opaque(_) => Number::Plain(opaque(value)?),
        _ => return None,
    })
}

/// Numbers that some devices write as text, such as `42`, `12.5 C` or `87 %`.
fn text_number(bytes: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let first = text.split_whitespace().next()?;
    first.trim_end_matches(['%', 'C']).parse().ok().filter(|number: &f64| number.is_finite())
}

fn opaque(value: &Value) -> Option<f64> {
    let single = value.as_opaque_float().map(f64::from);
    let number = single.or_else(|| value.as_opaque_double()).or_else(|| value.as_opaque_counter64().map(|n| n as f64));
    number.filter(|number| number.is_finite())
}

/// The value as a text for people: what is no readable text is written in hexadecimal, `:` between the bytes.
pub fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::OctetString(bytes) | Value::Opaque(bytes) | Value::Nsap(bytes) => bytes_text(bytes),
        Value::Integer(number) => number.to_string(),
        Value::Counter32(number) | Value::Gauge32(number) | Value::UInteger32(number) | Value::TimeTicks(number) => {
            number.to_string()
        }
        Value::Counter64(number) => number.to_string(),
        Value::ObjectIdentifier(oid) => oid.to_string(),
        Value::IpAddress(octets) => std::net::Ipv4Addr::from(*octets).to_string(),
        _ => return None,
    })
}

/// Bytes as text where they are readable, else in hexadecimal.
pub fn bytes_text(bytes: &[u8]) -> String {
    let trimmed = bytes.iter().rposition(|byte| *byte != 0).map_or(&bytes[..0], |last| &bytes[..=last]);
    match std::str::from_utf8(trimmed) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) => text.trim().to_owned(),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
    }
}

/// The value as the text of a label, shortened to [`TEXT_BYTES_MAX`].
pub fn label(value: &Value) -> Option<String> {
    let text = text(value)?;
    Some(shortened(&text, TEXT_BYTES_MAX).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn octets(bytes: &[u8]) -> Value {
        Value::OctetString(bytes.to_vec().into())
    }

    #[test]
    fn numbers_come_from_numbers_and_from_texts_that_are_numbers() {
        let cases = [
            (Value::Integer(-5), Some(Number::Plain(-5.0))),
            (Value::Counter32(7), Some(Number::Wrapping(7))),
            (Value::Counter64(1 << 40), Some(Number::Plain(1_099_511_627_776.0))),
            (octets(b" 42 "), Some(Number::Plain(42.0))),
            (octets(b"12.5 C"), Some(Number::Plain(12.5))),
            (octets(b"87%\0"), Some(Number::Plain(87.0))),
            (octets(b"ok"), None),
            (octets(b"inf"), None),
            (Value::NoSuchObject, None),
        ];
        for (value, expected) in cases {
            assert_eq!(number(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_written_in_hexadecimal() {
        assert_eq!(text(&octets(b"GigabitEthernet1/0/1\0")).unwrap(), "GigabitEthernet1/0/1");
        assert_eq!(text(&octets(&[0x00, 0x1b, 0x21, 0x3c, 0x9d, 0xf8])).unwrap(), "00:1b:21:3c:9d:f8");
        assert_eq!(text(&octets(b"")).unwrap(), "");
        assert_eq!(text(&Value::IpAddress([10, 0, 0, 1])).unwrap(), "10.0.0.1");
        assert_eq!(text(&Value::EndOfMibView), None);
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_label_without_control_characters(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let label = label(&octets(&bytes)).unwrap();
            prop_assert!(label.len() <= TEXT_BYTES_MAX);
            prop_assert!(!label.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')));
            let _ = number(&octets(&bytes));
        }
    }
}
