use std::fs::File;
use std::io::{Seek as _, Write as _};

use arrow::array::{
    ArrayRef, Float32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, TimestampNanosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use proptest::prelude::*;
use std::sync::Arc;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{AssetId, Labels, Sample, Series, UtcMs};

use super::*;

/// Labels, asset, and samples with their values as bits.
type OneSeries = (Labels, Option<String>, Vec<(i64, u64)>);

fn series(metric: &str, pairs: &[(&str, &str)]) -> Series {
    Series::new(Labels::metric(metric, pairs), AssetId::from("bridge-pc"))
}

fn write(labels: &[&str], content: &[(Series, Vec<Sample>)]) -> Vec<u8> {
    let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
    let mut bytes = Vec::new();
    let mut writer = MetricFileWriter::new(&mut bytes, &labels, "vessel-1").unwrap();
    content.iter().for_each(|(series, samples)| writer.push(series, samples).unwrap());
    let rows = writer.finish().unwrap();
    assert_eq!(rows, content.iter().map(|(_, samples)| samples.len() as u64).sum::<u64>());
    bytes
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

/// What a file holds, rows of one series that were read apart joined again; values as bits.
fn read(bytes: &[u8]) -> Vec<OneSeries> {
    let mut joined: Vec<OneSeries> = Vec::new();
    for rows in MetricFileReader::open(file(bytes)).unwrap().flat_map(Result::unwrap) {
        let (labels, asset) = (rows.labels, rows.asset.map(|asset| asset.to_string()));
        if joined.last().is_none_or(|last| last.0 != labels || last.1 != asset) {
            joined.push((labels, asset, Vec::new()));
        }
        let bits = rows.samples.iter().map(|sample| (sample.time.0, sample.value.to_bits()));
        joined.last_mut().unwrap().2.extend(bits);
    }
    joined
}

fn expected(content: &[(Series, Vec<Sample>)]) -> Vec<OneSeries> {
    let bits = |samples: &[Sample]| samples.iter().map(|sample| (sample.time.0, sample.value.to_bits())).collect();
    content
        .iter()
        .map(|(series, samples)| (series.labels.clone(), Some("bridge-pc".to_owned()), bits(samples)))
        .collect()
}

#[test]
fn every_bit_pattern_comes_back() {
    let odd = [STALE_NAN_BITS, f64::NAN.to_bits(), 0xfff8_0000_dead_beef, (-0.0_f64).to_bits(), 1, u64::MAX, 0]
        .map(f64::from_bits)
        .into_iter()
        .chain([f64::INFINITY, f64::MIN, f64::MAX, 0.1]);
    let samples = odd.enumerate().map(|(at, value)| Sample::new(UtcMs(at as i64 * 7 - 20), value)).collect();
    let content = vec![(series("odd", &[("job", "node")]), samples)];
    assert_eq!(read(&write(&["job"], &content)), expected(&content));
}

#[test]
fn many_rows_come_back_over_several_batches_and_row_groups() {
    let of = |number: usize| {
        let one = series(
            "m",
            &[("instance", &format!("{:03}", number / 2)), ("deck", if number.is_multiple_of(2) { "" } else { "3" })],
        );
        let value = |at: i64| (at * 7_919 % 10_007) as f64 / 8.0 + number as f64;
        (one, (0..30_000).map(|at| Sample::new(UtcMs(at * 15_000), value(at))).collect::<Vec<_>>())
    };
    let content: Vec<_> = (0..11).map(of).collect();
    let bytes = write(&["deck", "instance"], &content);
    let groups = SerializedFileReader::new(bytes::Bytes::from(bytes.clone())).unwrap().metadata().num_row_groups();
    assert_eq!(groups, 2);
    assert_eq!(read(&bytes), expected(&content));
}

#[test]
fn another_program_sees_plain_columns() {
    let content = vec![(series("up", &[("job", "node")]), vec![Sample::new(UtcMs(1_700_000_000_000), 1.5)])];
    let reader = SerializedFileReader::new(bytes::Bytes::from(write(&["deck", "job"], &content))).unwrap();
    let row: Row = reader.get_row_iter(None).unwrap().next().unwrap().unwrap();
    let text = |text: &str| Field::Str(text.to_owned());
    let expected = [
        ("time", Field::TimestampMillis(1_700_000_000_000)),
        ("value", Field::Double(1.5)),
        ("metric", text("up")),
        ("asset", text("bridge-pc")),
        ("deck", Field::Null),
        ("job", text("node")),
    ];
    let found: Vec<(&str, Field)> = row.get_column_iter().map(|(name, field)| (name.as_str(), field.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn labels_that_are_called_like_other_columns_keep_their_names() {
    let pairs = [("Job", "a"), ("asset", "b"), ("job", "c"), ("label_time", "d"), ("time", "e")];
    let content = vec![(series("m", &pairs), vec![Sample::new(UtcMs(1), 1.0)])];
    let names = column_names(&pairs.map(|(name, _)| name.to_owned()));
    assert_eq!(names, ["Job", "label_asset", "label_job", "label_time", "label_label_time"]);
    assert_eq!(read(&write(&pairs.map(|(name, _)| name), &content)), expected(&content));
}

#[test]
fn a_label_without_a_column_is_refused() {
    let mut writer = MetricFileWriter::new(Vec::new(), &["job".to_owned()], "vessel-1").unwrap();
    let error = writer.push(&series("m", &[("deck", "3")]), &[Sample::new(UtcMs(1), 1.0)]).unwrap_err();
    assert_eq!(error.to_string(), "the label \"deck\" came up while the file was being written; export again");
    let many: Vec<String> = (0..=LABELS_MAX).map(|at| format!("l{at}")).collect();
    assert!(matches!(MetricFileWriter::new(Vec::new(), &many, ""), Err(MetricFileError::TooManyLabels { .. })));
}

/// A file as another program would write it.
fn foreign(columns: Vec<(&str, ArrayRef)>, compression: Compression) -> Vec<u8> {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let settings = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(settings)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn times() -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(vec![1_700_000_000_000_999_999, -1]))
}

#[test]
fn files_of_other_programs_are_read() {
    let bytes = foreign(
        vec![
            ("metric", Arc::new(LargeStringArray::from(vec!["a", "a"]))),
            ("job", Arc::new(StringArray::from(vec![Some("x"), None]))),
            ("time", times()),
            ("value", Arc::new(Float32Array::from(vec![0.5, 2.0]))),
        ],
        Compression::UNCOMPRESSED,
    );
    assert_eq!(
        read(&bytes),
        [
            (Labels::metric("a", &[("job", "x")]), None, vec![(1_700_000_000_000, 0.5_f64.to_bits())]),
            (Labels::metric("a", &[]), None, vec![(-1, 2.0_f64.to_bits())]),
        ]
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let numbers = || -> ArrayRef { Arc::new(Int64Array::from(vec![1, 2])) };
    let refused = |columns: Vec<(&str, ArrayRef)>| {
        let mut reader = MetricFileReader::open(file(&foreign(columns, Compression::UNCOMPRESSED)));
        let error = reader.as_mut().map_or_else(|_| None, |reader| reader.next()?.err());
        error.or(reader.err()).unwrap().to_string()
    };
    assert_eq!(refused(vec![("value", numbers())]), "the column \"time\" is missing");
    assert_eq!(
        refused(vec![("time", numbers()), ("value", numbers())]),
        "the column \"time\" is Int64, not a timestamp"
    );
    assert_eq!(
        refused(vec![("time", times()), ("value", numbers()), ("__index_level_0__", numbers())]),
        "the column \"__index_level_0__\" is Int64; labels are text, leave it out or turn it into text"
    );
    let gap: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    assert_eq!(
        refused(vec![("time", times()), ("value", gap)]),
        "the column \"value\" is empty in 1 rows; leave those rows out"
    );
    assert!(matches!(MetricFileReader::open(file(b"no Parquet file")), Err(MetricFileError::Read(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_series_come_back(
        names in proptest::collection::btree_map("[a-z]{1,3}", ("\\PC{0,4}", proptest::collection::vec((any::<i64>(), any::<u64>()), 1..9)), 1..6)
    ) {
        let content: Vec<(Series, Vec<Sample>)> = names
            .iter()
            .map(|(name, (text, points))| {
                let samples = points.iter().map(|(time, bits)| Sample::new(UtcMs(*time), f64::from_bits(*bits)));
                (series(name, &[("x", text)]), samples.collect())
            })
            .collect();
        prop_assert_eq!(read(&write(&["x"], &content)), expected(&content));
    }

    #[test]
    fn damaged_files_are_refused_or_read(at in any::<prop::sample::Index>(), bit in 0_u8..8, cut in any::<bool>()) {
        let samples: Vec<Sample> = (0..50).map(|at| Sample::new(UtcMs(at), at as f64)).collect();
        let mut bytes = write(&["job"], &[(series("m", &[("job", "x")]), samples)]);
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        if let Ok(reader) = MetricFileReader::open(file(&bytes)) {
            reader.for_each(drop);
        }
    }
}
