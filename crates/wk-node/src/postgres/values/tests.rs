use serde_json::json;

use super::*;

fn fitting(kind: ColumnKind, values: &Value) -> PgType {
    PgType::fitting(kind, values.as_array().unwrap().iter())
}

fn written(kind: PgType, value: &Value, is_binary: bool) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    kind.write(value, is_binary, &mut out).ok()?;
    Some(out.to_vec())
}

#[test]
fn a_column_has_the_narrowest_type_that_its_values_fit() {
    assert_eq!(fitting(ColumnKind::Computed, &json!([1, null, 2])), PgType::Int8);
    assert_eq!(fitting(ColumnKind::Computed, &json!([1, 2.5])), PgType::Float8);
    assert_eq!(fitting(ColumnKind::Computed, &json!([1, "a"])), PgType::Text);
    assert_eq!(fitting(ColumnKind::Real, &json!([1, "Infinity"])), PgType::Float8);
    assert_eq!(fitting(ColumnKind::Time, &json!(["2026-11-24 02:14:00.000"])), PgType::Timestamptz);
    assert_eq!(fitting(ColumnKind::Time, &json!(["yesterday"])), PgType::Text);
    assert_eq!(fitting(ColumnKind::Text, &json!([])), PgType::Text);
    assert_eq!(fitting(ColumnKind::Time, &json!([null])), PgType::Timestamptz);
}

#[test]
fn values_are_written_as_postgresql_writes_them() {
    assert_eq!(written(PgType::Int8, &json!(258), true).unwrap(), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(written(PgType::Int8, &json!(-7), false).unwrap(), [&[0, 0, 0, 2][..], b"-7"].concat());
    assert_eq!(written(PgType::Text, &json!(null), true).unwrap(), [0xff; 4]);
    let time = json!("2000-01-01 00:00:01.500");
    let us = 1_500_000_i64.to_be_bytes();
    assert_eq!(written(PgType::Timestamptz, &time, true).unwrap(), [&[0, 0, 0, 8][..], &us].concat());
    let text = b"2000-01-01 00:00:01.500+00";
    assert_eq!(written(PgType::Timestamptz, &time, false).unwrap(), [&[0, 0, 0, 26][..], text].concat());
    assert_eq!(written(PgType::Int8, &json!("a"), false), None);
    assert_eq!(written(PgType::Int8, &json!(1.5), true), None);
}

#[test]
fn parameters_are_read_as_text_and_binary() {
    let read = |kind, is_binary, value: &[u8]| parameter(kind, is_binary, &Bytes::copy_from_slice(value));
    assert_eq!(read(oid::INT4, false, b"-5"), Ok(SqlParameter::Integer(-5)));
    assert_eq!(read(oid::INT4, true, &(-5_i32).to_be_bytes()), Ok(SqlParameter::Integer(-5)));
    assert_eq!(read(oid::FLOAT8, true, &2.5_f64.to_be_bytes()), Ok(SqlParameter::Real(2.5)));
    assert_eq!(read(0, true, b"text"), Ok(SqlParameter::Text("text".to_owned())));
    assert_eq!(read(oid::BOOL, false, b"true"), Ok(SqlParameter::Integer(1)));
    let second = 1_000_000_i64.to_be_bytes();
    assert_eq!(read(oid::TIMESTAMPTZ, true, &second), Ok(SqlParameter::Text("2000-01-01T00:00:01.000Z".to_owned())));
    assert_eq!(read(oid::INT4, false, b"five").unwrap_err().code, "22P02");
    assert_eq!(read(oid::INT8, true, b"four").unwrap_err().code, "22P02");
    assert_eq!(read(oid::NUMERIC, true, b"\0\0").unwrap_err().code, "0A000");
    assert_eq!(read(oid::TIMESTAMP, true, &i64::MAX.to_be_bytes()).unwrap_err().code, "22P02");
}
