use std::collections::HashSet;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Schema, TimestampMillisecondType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use wk_store::io::SystemIo;
use wk_types::{Seq, Severity};

use super::*;
use crate::LogQuery;
use crate::block::schema;
use crate::row::Row;
use crate::testing::{DAY, files, fill, line, log, open};
use crate::write::{Encoder, GROUP_ROWS_MAX};

fn encoded(rows: impl Iterator<Item = Row>) -> crate::write::Encoded {
    let mut rows: Vec<Row> = rows.collect();
    rows.sort_by(Row::order);
    let mut encoder = Encoder::new(Some("vessel-1")).unwrap();
    rows.into_iter().for_each(|row| encoder.push(Arc::new(row)).unwrap());
    encoder.finish().unwrap().unwrap()
}

fn stored(dir: &std::path::Path, encoded: &crate::write::Encoded) -> LogFile {
    let crate::write::Encoded { bytes, from, to, rows, check } = encoded;
    let name =
        FileName { received: DAY, first: Seq(1), last: Seq(9), from: *from, to: *to, rows: *rows, check: *check };
    let path = dir.join(name.to_string());
    std::fs::write(&path, bytes).unwrap();
    LogFile { name, path, bytes: bytes.len() as u64 }
}

#[test]
fn any_parquet_reader_can_read_the_files() {
    let encoded = encoded((0..1_000).map(|number| Row::new(Seq(1), &line(number))));
    let bytes = Bytes::from(encoded.bytes);
    let plain = SerializedFileReader::new(bytes.clone()).unwrap();
    let pairs = plain.metadata().file_metadata().key_value_metadata().unwrap();
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).unwrap().value.clone().unwrap();
    assert_eq!((value("watchkeeper.format"), value("watchkeeper.vessel")), ("1".to_owned(), "vessel-1".to_owned()));
    assert_eq!(plain.get_row_iter(None).unwrap().count(), 1_000);
    let batches: Vec<_> = ParquetRecordBatchReader::try_new(bytes, 4_096).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches[0].schema().fields(), schema().fields());
    let times = batches[0].column_by_name("time").unwrap().as_primitive::<TimestampMillisecondType>();
    assert_eq!(times.iter().flatten().collect::<HashSet<_>>().len(), 1_000);
}

#[test]
fn the_columns_are_the_documented_ones() {
    let names: Vec<&str> = vec!["time", "asset", "app", "severity", "message", "template", "attributes", "seq"];
    let schema: Arc<Schema> = schema();
    assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), names);
    assert!(matches!(schema.field(0).data_type(), DataType::Timestamp(_, Some(zone)) if &**zone == "UTC"));
}

#[test]
fn large_files_have_row_groups_of_bounded_size_with_their_times_and_severities() {
    let dir = tempfile::tempdir().unwrap();
    let rows = GROUP_ROWS_MAX as i64 * 2 + 10;
    let file = stored(dir.path(), &encoded((0..rows).map(|number| Row::new(Seq(1), &line(number)))));
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
    let file = stored(dir.path(), &encoded((0..500).map(|number| Row::new(Seq(1), &line(number)))));
    let footer = Footer::load(&SystemIo, &file).unwrap();
    let reader = file.open(&SystemIo).unwrap();
    let group = GroupReader { file: &file, footer: &footer, reader: &*reader, group: 0 };
    let wants = |change: &dyn Fn(&mut Predicate)| {
        let mut predicate = Predicate::default();
        change(&mut predicate);
        group.may_match(&predicate).unwrap()
    };
    assert!(wants(&|predicate| predicate.demand_asset("host-1")));
    assert!(!wants(&|predicate| predicate.demand_asset("host-9")));
    assert!(!wants(&|predicate| predicate.demand_app("cron")));
    assert!(wants(&|predicate| predicate.patterns.push(crate::pattern::Pattern::contains("REQUEST 12").unwrap())));
    assert!(!wants(&|predicate| predicate.patterns.push(crate::pattern::Pattern::contains("segfault").unwrap())));
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
    let found = lake.search(&LogQuery { newest_first: false, ..LogQuery::default() }).unwrap();
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
        let rows = || (0..40).map(|number| Row::new(Seq(1), &log(line(number).time, "a", "b", Severity::Minor, "text")));
        let mut encoded = encoded(rows());
        let place = place.index(encoded.bytes.len());
        encoded.bytes[place] ^= 1 << bit;
        if let Some(cut) = cut {
            let length = cut.index(encoded.bytes.len());
            encoded.bytes.truncate(length);
        }
        let file = stored(dir.path(), &encoded);
        let read = Footer::load(&SystemIo, &file).and_then(|footer| {
            let reader = file.open(&SystemIo)?;
            GroupReader { file: &file, footer: &footer, reader: &*reader, group: 0 }.block(Columns::ALL, None)
        });
        match read {
            Ok(block) => {
                let found: Vec<Row> = (0..block.rows()).map(|row| block.row(row)).collect();
                prop_assert_eq!(found, rows().collect::<Vec<_>>());
            }
            Err(error) => prop_assert!(matches!(error, LakeError::Damaged { .. }), "{}", error),
        }
    }
}
