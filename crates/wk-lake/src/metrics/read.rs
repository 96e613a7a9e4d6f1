//! Reading metrics from a Parquet file: our own, or one that another program wrote with the same columns.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, Float64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use wk_types::labels::METRIC_NAME;
use wk_types::{Labels, Sample, UtcMs};

use super::{ASSET, FORMAT, KEY_FORMAT, KEY_LABEL, LABELS_MAX, METRIC, MetricFileError, TIME, VALUE};

/// Rows decoded at once.
const BATCH_ROWS: usize = 1 << 13;
/// A column of a row group that has more bytes once decompressed is refused.
const CHUNK_BYTES_MAX: i64 = 256 << 20;

/// Rows behind each other that are of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRows {
    /// The labels, the metric name among them.
    pub labels: Labels,
    /// Whose the series is, where the file says so.
    pub asset: Option<Arc<str>>,
    /// The samples, as they stand in the file.
    pub samples: Vec<Sample>,
}

/// What a column of the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Time,
    Value,
    Asset,
    Label(Arc<str>),
}

/// Reads a file batch by batch.
///
/// *Limits*: holds the pages of one batch of rows; the columns of a row group may have 256 MiB each.
pub struct MetricFileReader {
    batches: ParquetRecordBatchReader,
    roles: Vec<(String, Role)>,
    rows: u64,
}

impl MetricFileReader {
    /// Opens a file and checks its columns.
    ///
    /// # Errors
    /// A file that is no Parquet file or of a newer layout, a column that is missing or has another type, and a
    /// compression that is not read.
    pub fn open(file: File) -> Result<Self, MetricFileError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(MetricFileError::Read)?;
        check_format(builder.metadata())?;
        check_chunks(builder.metadata())?;
        let roles = roles(builder.schema().fields())?;
        let rows = builder.metadata().file_metadata().num_rows().unsigned_abs();
        let batches = builder.with_batch_size(BATCH_ROWS).build().map_err(MetricFileError::Read)?;
        Ok(Self { batches, roles, rows })
    }

    /// How many rows the file has.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    fn split(&self, batch: &RecordBatch) -> Result<Vec<MetricRows>, MetricFileError> {
        let (mut times, mut values, mut asset, mut labels) = (None, None, None, Vec::new());
        for ((column, role), array) in self.roles.iter().zip(batch.columns()) {
            match role {
                Role::Time => times = Some(read_times(column, array)?),
                Role::Value => values = Some(read_values(column, array)?),
                Role::Asset => asset = Some(read_texts(column, array)?),
                Role::Label(label) => labels.push((label, read_texts(column, array)?)),
            }
        }
        let proof = "open has found the column";
        let (times, values) = (times.expect(proof), values.expect(proof));
        let mut rows: Vec<MetricRows> = Vec::new();
        let texts: Vec<&StringArray> = labels.iter().map(|(_, texts)| texts).chain(&asset).collect();
        for row in 0..batch.num_rows() {
            if row == 0 || texts.iter().any(|texts| text(texts, row) != text(texts, row - 1)) {
                let pairs = labels.iter().filter_map(|(label, texts)| Some((Arc::clone(label), text(texts, row)?)));
                let asset = asset.as_ref().and_then(|texts| text(texts, row)).map(Arc::from);
                rows.push(MetricRows { labels: Labels::new(pairs), asset, samples: Vec::new() });
            }
            let samples = rows.last_mut().map(|rows| &mut rows.samples);
            samples
                .into_iter()
                .for_each(|samples| samples.push(Sample::new(UtcMs(times.value(row)), values.value(row))));
        }
        Ok(rows)
    }
}

impl Iterator for MetricFileReader {
    type Item = Result<Vec<MetricRows>, MetricFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batches.next()?.map_err(|error| MetricFileError::Read(ParquetError::from(error)));
        Some(batch.and_then(|batch| self.split(&batch)))
    }
}

fn check_format(metadata: &ParquetMetaData) -> Result<(), MetricFileError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let found = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == KEY_FORMAT)?.value.as_deref());
    match found {
        Some(found) if found.parse::<u32>().is_ok_and(|found| found <= FORMAT) => Ok(()),
        Some(found) => Err(MetricFileError::Newer { found: found.to_owned() }),
        None => Ok(()),
    }
}

fn check_chunks(metadata: &ParquetMetaData) -> Result<(), MetricFileError> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let name = column.column_path().string();
        if !matches!(column.compression(), Compression::UNCOMPRESSED | Compression::ZSTD(_)) {
            let what = format!("is compressed with {}; write the file with zstd", column.compression());
            return Err(MetricFileError::column(&name, what));
        }
        if column.uncompressed_size() > CHUNK_BYTES_MAX {
            let what = format!("has more than {} MiB in a row group; write smaller ones", CHUNK_BYTES_MAX >> 20);
            return Err(MetricFileError::column(&name, what));
        }
    }
    Ok(())
}

fn roles<'a>(fields: impl IntoIterator<Item = &'a Arc<Field>>) -> Result<Vec<(String, Role)>, MetricFileError> {
    let roles: Vec<(String, Role)> =
        fields.into_iter().map(|field| Ok((field.name().clone(), role(field)?))).collect::<Result<_, _>>()?;
    for (name, wanted) in [(TIME, Role::Time), (VALUE, Role::Value)] {
        if !roles.iter().any(|(_, role)| *role == wanted) {
            return Err(MetricFileError::column(name, "is missing"));
        }
    }
    if roles.len() > LABELS_MAX + 4 {
        return Err(MetricFileError::TooManyLabels { found: roles.len() });
    }
    Ok(roles)
}

fn role(field: &Field) -> Result<Role, MetricFileError> {
    let refuse = |what: String| Err(MetricFileError::column(field.name(), what));
    let label = |name: &str| Ok(Role::Label(name.into()));
    match (field.metadata().get(KEY_LABEL), field.name().as_str()) {
        (None, TIME) if matches!(field.data_type(), DataType::Timestamp(..)) => Ok(Role::Time),
        (None, TIME) => refuse(format!("is {}, not a timestamp", field.data_type())),
        (None, VALUE) if field.data_type().is_numeric() => Ok(Role::Value),
        (None, VALUE) => refuse(format!("is {}, not a number", field.data_type())),
        (_, _) if !is_text(field.data_type()) => {
            refuse(format!("is {}; labels are text, leave it out or turn it into text", field.data_type()))
        }
        (Some(name), _) => label(name),
        (None, ASSET) => Ok(Role::Asset),
        (None, METRIC) => label(METRIC_NAME),
        (None, name) => label(name),
    }
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, texts) => is_text(texts),
        _ => false,
    }
}

/// The text in a row; `None` where there is none or it is empty, which means the same.
fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row)).filter(|text| !text.is_empty())
}

fn without_gaps(column: &str, array: &ArrayRef) -> Result<(), MetricFileError> {
    match array.null_count() {
        0 => Ok(()),
        gaps => Err(MetricFileError::column(column, format!("is empty in {gaps} rows; leave those rows out"))),
    }
}

/// Milliseconds, rounded down.
fn read_times(column: &str, array: &ArrayRef) -> Result<Int64Array, MetricFileError> {
    without_gaps(column, array)?;
    let DataType::Timestamp(unit, _) = array.data_type() else {
        return Err(MetricFileError::column(column, "is no timestamp"));
    };
    let (numbers, times, parts): (Int64Array, i64, i64) = match unit {
        TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().reinterpret_cast(), 1_000, 1),
        TimeUnit::Millisecond => (array.as_primitive::<TimestampMillisecondType>().reinterpret_cast(), 1, 1),
        TimeUnit::Microsecond => (array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast(), 1, 1_000),
        TimeUnit::Nanosecond => (array.as_primitive::<TimestampNanosecondType>().reinterpret_cast(), 1, 1_000_000),
    };
    Ok(numbers.unary(|number: i64| number.saturating_mul(times).div_euclid(parts)))
}

fn read_values(column: &str, array: &ArrayRef) -> Result<Float64Array, MetricFileError> {
    without_gaps(column, array)?;
    let values = cast(array, &DataType::Float64).map_err(|error| MetricFileError::Read(error.into()))?;
    Ok(values.as_primitive::<Float64Type>().clone())
}

fn read_texts(column: &str, array: &ArrayRef) -> Result<StringArray, MetricFileError> {
    let texts = cast(array, &DataType::Utf8).map_err(|error| MetricFileError::Read(error.into()))?;
    texts.as_string_opt::<i32>().cloned().ok_or_else(|| MetricFileError::column(column, "is no text"))
}
