use std::collections::HashSet;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema, TimestampMillisecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use wk_store::io::SystemIo;
use wk_types::{LogRecord, Seq, Severity};

use super::*;
use crate::block::schema;
use crate::chunk::ChunkBuilder;
use crate::sorted::Sorted;
use crate::testing::{DAY, files, fill, line, log, open, rows};
use crate::write::{Encoder, Written};
use crate::{Condition, LogField, LogQuery, TailCursor, TextTest};

/// A file of a record of these logs.
fn stored(dir: &std::path::Path, logs: impl Iterator<Item = LogRecord>) -> LogFile {
    let mut chunk = ChunkBuilder::new(0);
    (0..).zip(logs).for_each(|(line, log)| chunk.push(TailCursor { seq: Seq(1), line }, DAY, &log));
    let path = dir.join("new");
    let mut encoder = Encoder::new(SystemIo.create(&path).unwrap(), Some("vessel-1")).unwrap();
    encoder.write(&Sorted::new(&[chunk.finish().unwrap().block])).unwrap();
    let Written { from, to, rows, bytes, check } = encoder.finish().unwrap().unwrap();
    let name = FileName { received: DAY, first: Seq(1), last: Seq(9), from, to, rows, check };
    LogFile { name, path, bytes }
}

#[test]
fn any_parquet_reader_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Bytes::from(std::fs::read(stored(dir.path(), (0..1_000).map(line)).path).unwrap());
    let plain = SerializedFileReader::new(bytes.clone()).unwrap();
    let pairs = plain.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!((value("watchkeeper.format"), value("watchkeeper.vessel")), ("2".to_owned(), "vessel-1".to_owned()));
    assert_eq!(plain.get_row_iter(None).unwrap().count(), 1_000);
    let batches: Vec<_> = ParquetRecordBatchReader::try_new(bytes, 4_096).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches[0].schema().fields(), schema().fields());
    let times = batches[0].column_by_name("time").unwrap().as_primitive::<TimestampMillisecondType>();
    assert_eq!(times.iter().flatten().collect::<HashSet<_>>().len(), 1_000);
}

#[test]
fn the_columns_are_the_documented_ones() {
    let names: Vec<&str> = vec!["time", "asset", "app", "severity", "message", "template", "attributes", "seq", "line"];
    let schema: Arc<Schema> = schema();
    assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names);
    assert!(matches!(schema.field(0).data_type(), DataType::Timestamp(_, Some(zone)) if &**zone == "UTC"));
}

#[test]
fn large_files_have_row_groups_of_bounded_size_with_their_times_and_severities() {
    let dir = tempfile::tempdir().unwrap();
    let rows = GROUP_ROWS_MAX as i64 * 2 + 10;
    let file = stored(dir.path(), (0..rows).map(line));
    let footer = Footer::load(&SystemIo, &file).unwrap();
    let sizes: Vec<usize> = footer.groups().iter().map(|group| group.rows).collect();
    assert_eq!(sizes, [GROUP_ROWS_MAX, GROUP_ROWS_MAX, 10]);
    let info: u64 = footer.groups().iter().map(|group| group.severities[Severity::Info as usize]).sum();
    assert_eq!(info, (rows as u64).div_ceil(4));
    assert_eq!(footer.groups().iter().map(|group| group.from).min(), Some(file.name.from));
    assert_eq!(footer.groups().iter().map(|group| group.to).max(), Some(file.name.to));
}

#[test]
fn groups_without_the_asset_or_the_text_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = stored(dir.path(), (0..500).map(line));
    let footer = Footer::load(&SystemIo, &file).unwrap();
    let reader = file.open(&SystemIo).unwrap();
    let group = GroupReader { file: &file, footer: &footer, reader: &*reader, group: 0 };
    let wants = |change: &dyn Fn(&mut Predicate)| {
        let mut predicate = Predicate::default();
        change(&mut predicate);
        group.may_match(&predicate).unwrap()
    };
    let wants_that = |condition: Condition| wants(&|predicate| predicate.demand(&condition).unwrap());
    assert!(wants_that(Condition::is(LogField::Asset, "host-1")));
    assert!(!wants_that(Condition::is(LogField::Asset, "host-9")));
    assert!(wants_that(Condition::is(LogField::Asset, "host-9").negated()));
    assert!(!wants_that(Condition::is(LogField::App, "cron")));
    assert!(wants_that(Condition::contains("REQUEST 12")));
    assert!(!wants_that(Condition::contains("segfault")));
    let matches = |text: &str| Condition::new(LogField::Message, TextTest::Matches(text.to_owned()));
    assert!(wants_that(matches("request [0-9]+ took")));
    assert!(!wants_that(matches("request [a-z]+ failed")));
    assert!(wants_that(matches("request [a-z]+ failed").negated()));
    assert!(!wants(&|predicate| predicate.from = DAY + wk_types::DurationMs::from_hours(1)));
}

#[test]
fn a_file_of_the_first_format_is_still_read() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1");
    let dir = tempfile::tempdir().unwrap();
    for name in files(&fixtures) {
        std::fs::copy(fixtures.join(&name), dir.path().join(&name)).unwrap();
    }
    let (lake, report) = open(dir.path());
    assert_eq!((report.files, report.rows, report.problems.len()), (1, 20, 0));
    let query = LogQuery { newest_first: false, limit: 7, ..LogQuery::default() };
    let mut found = rows(&lake, &query);
    while let Some(last) = found.last().filter(|_| found.len() < 20) {
        found.extend(rows(&lake, &LogQuery { after: Some(last.cursor()), ..query.clone() }));
    }
    assert_eq!(found.len(), 20);
    for (number, row) in found.iter().enumerate() {
        let written = line(number as i64);
        assert_eq!((row.time, &row.asset, &row.app), (written.time, &written.asset, &written.app));
        assert_eq!((row.severity, &row.message), (written.severity, &written.message));
    }
}

#[test]
#[ignore = "writes the fixture of the present format anew"]
fn write_fixture() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/format-{}", crate::FORMAT));
    let (lake, _) = open(&fixtures);
    fill(&lake, 0..20);
    lake.flush().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens to a file, it gives its rows as they were or says that it is damaged.
    #[test]
    fn damage_is_never_taken_for_data(place: prop::sample::Index, bit in 0..8_u32, cut in proptest::option::of(any::<prop::sample::Index>())) {
        let dir = tempfile::tempdir().unwrap();
        let logs = || (0..40).map(|number| log(line(number).time, "a", "b", Severity::Minor, "text"));
        let file = stored(dir.path(), logs());
        let whole = std::fs::read(&file.path).unwrap();
        let mut bytes = whole.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Some(cut) = cut {
            let length = cut.index(bytes.len());
            bytes.truncate(length);
        }
        std::fs::write(&file.path, bytes).unwrap();
        let read = Footer::load(&SystemIo, &file).and_then(|footer| {
            let reader = file.open(&SystemIo)?;
            GroupReader { file: &file, footer: &footer, reader: &*reader, group: 0 }.block(Columns::ALL, None)
        });
        match read {
            Ok(block) => {
                let found = (0..block.rows()).map(|row| block.row(row));
                prop_assert!(found.map(|row| (row.time, row.message)).eq(logs().map(|log| (log.time, log.message))));
            }
            Err(error) => prop_assert!(matches!(error, LakeError::Damaged { .. }), "{}", error),
        }
    }
}
