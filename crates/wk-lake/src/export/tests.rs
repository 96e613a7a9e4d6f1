use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::RowAccessor;
use wk_types::Severity;

use super::*;
use crate::query::{Condition, LogField, TextTest};
use crate::testing::{DAY, fill, line, open};

fn written(lake: &Lake, query: &LogQuery) -> Option<(u64, Bytes)> {
    let export = lake.export(query, &Cancel::default()).unwrap()?;
    let mut bytes = Vec::new();
    let rows = export.write(&mut bytes, "vessel-1").unwrap();
    Some((rows, bytes.into()))
}

#[test]
fn every_row_of_files_and_buffer_stands_in_the_export_once() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..300);
    lake.flush().unwrap();
    fill(&lake, 300..400);
    let (rows, bytes) = written(&lake, &LogQuery::default()).unwrap();
    assert_eq!(rows, 400);
    // Read row by row, without arrow: as any other program sees the file.
    let reader = SerializedFileReader::new(bytes.clone()).unwrap();
    let mut found: Vec<(i64, String, String)> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| {
            let row = row.unwrap();
            (
                row.get_timestamp_millis(0).unwrap(),
                row.get_string(1).unwrap().clone(),
                row.get_string(4).unwrap().clone(),
            )
        })
        .collect();
    found.sort();
    let mut expected: Vec<_> =
        (0..400).map(line).map(|log| (log.time.0, log.asset.to_string(), log.message.to_string())).collect();
    expected.sort();
    assert_eq!(found, expected);
    let columns = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().schema().fields().len();
    assert_eq!(columns, Column::ALL.len());
}

#[test]
fn only_what_a_query_wants_is_exported() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    fill(&lake, 0..300);
    lake.flush().unwrap();
    let wanted = LogQuery {
        from: DAY + DurationMs::from_secs(100),
        to: DAY + DurationMs::from_secs(199),
        severity_min: Some(Severity::Major),
        conditions: vec![Condition::new(LogField::App, TextTest::Is(vec![Arc::from("app-3")]))],
        ..LogQuery::default()
    };
    let expected = (100..200).map(line).filter(|log| log.severity >= Severity::Major && &*log.app == "app-3").count();
    assert_eq!(written(&lake, &wanted).unwrap().0, expected as u64);
    let none = LogQuery { from: DAY + DurationMs::from_hours(24), ..LogQuery::default() };
    assert!(written(&lake, &none).is_none());
}
