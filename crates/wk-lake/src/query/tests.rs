use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn cursors_read_back_as_they_are_written(time in any::<i64>(), seq in any::<u64>(), line in any::<u32>()) {
        let arrival = TailCursor { seq: Seq(seq), line };
        let cursor = Cursor { time: UtcMs(time), arrival };
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        prop_assert_eq!(arrival.to_string().parse(), Ok(arrival));
        prop_assert_eq!(serde_json::from_str::<Cursor>(&serde_json::to_string(&cursor).unwrap()).unwrap(), cursor);
    }
}

#[test]
fn what_is_no_cursor_or_field_is_refused() {
    for text in ["", "1", "1_2", "1_2_x", "1_2_3_4", "-1_-2_3"] {
        assert_eq!(text.parse::<Cursor>(), Err(ParseError::Cursor), "{text}");
    }
    for text in ["", "Asset", "attributes", "attributes.", "pid"] {
        assert_eq!(text.parse::<LogField>(), Err(ParseError::Field), "{text}");
    }
}

#[test]
fn fields_read_back_as_they_are_written() {
    let attribute = LogField::Attribute("process.pid".into());
    for field in [LogField::Asset, LogField::App, LogField::Severity, LogField::Message, LogField::Template, attribute]
    {
        assert_eq!(field.to_string().parse(), Ok(field));
    }
}
