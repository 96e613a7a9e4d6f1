//! Writing metrics as one Parquet file.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Float64Array, Int32Builder, RecordBatch, StringBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use wk_types::labels::METRIC_NAME;
use wk_types::{Sample, Series};

use super::{ASSET, FORMAT, KEY_FORMAT, KEY_LABEL, LABELS_MAX, METRIC, MetricFileError, TIME, VALUE, column_names};

/// Rows handed to the Parquet writer at once.
const BATCH_ROWS: usize = 1 << 14;
/// Rows in a row group.
const GROUP_ROWS: usize = 1 << 18;
const ZSTD_LEVEL: i32 = 3;

/// Writes series, one after the other, as one Parquet file.
///
/// *Limits*: holds one row group, encoded.
pub struct MetricFileWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    /// The place of each label among the label columns.
    places: HashMap<String, usize>,
    times: Vec<i64>,
    values: Vec<f64>,
    metric: Names,
    asset: Names,
    labels: Vec<Names>,
    rows: u64,
}

impl<W: Write + Send> MetricFileWriter<W> {
    /// Begins a file with a column for each of `labels`, the metric name not among them.
    ///
    /// # Errors
    /// Too many labels, and whatever `out` reports.
    pub fn new(out: W, labels: &[String], vessel: &str) -> Result<Self, MetricFileError> {
        if labels.len() > LABELS_MAX {
            return Err(MetricFileError::TooManyLabels { found: labels.len() });
        }
        let schema = schema(labels);
        let properties = properties(vessel).map_err(MetricFileError::Write)?;
        let writer =
            ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).map_err(MetricFileError::Write)?;
        Ok(Self {
            writer,
            schema,
            places: labels.iter().enumerate().map(|(place, label)| (label.clone(), place)).collect(),
            times: Vec::new(),
            values: Vec::new(),
            metric: Names::default(),
            asset: Names::default(),
            labels: labels.iter().map(|_| Names::default()).collect(),
            rows: 0,
        })
    }

    /// Writes the samples of a series, which stand in ascending time.
    ///
    /// # Errors
    /// A label without a column, and whatever the output reports.
    pub fn push(&mut self, series: &Series, samples: &[Sample]) -> Result<(), MetricFileError> {
        let mut texts: Vec<Option<&str>> = vec![None; self.labels.len()];
        for (label, value) in series.labels.iter().filter(|(label, _)| &***label != METRIC_NAME) {
            let place = self.places.get(&**label).copied();
            let place = place.ok_or_else(|| MetricFileError::NewLabel { label: label.to_string() })?;
            texts[place] = Some(value);
        }
        let metric = Some(series.labels.name()).filter(|name| !name.is_empty());
        let mut rest = samples;
        while !rest.is_empty() {
            let (now, behind) = rest.split_at(rest.len().min(BATCH_ROWS - self.times.len()));
            rest = behind;
            self.times.extend(now.iter().map(|sample| sample.time.0));
            self.values.extend(now.iter().map(|sample| sample.value));
            self.metric.push(metric, now.len());
            self.asset.push(Some(series.asset.as_str()), now.len());
            self.labels.iter_mut().zip(&texts).for_each(|(column, text)| column.push(*text, now.len()));
            if self.times.len() == BATCH_ROWS {
                self.write_batch()?;
            }
        }
        Ok(())
    }

    /// Ends the file; answers how many rows it has.
    ///
    /// # Errors
    /// Whatever the output reports.
    pub fn finish(mut self) -> Result<u64, MetricFileError> {
        if !self.times.is_empty() {
            self.write_batch()?;
        }
        self.writer.close().map_err(MetricFileError::Write)?;
        Ok(self.rows)
    }

    fn write_batch(&mut self) -> Result<(), MetricFileError> {
        self.rows += self.times.len() as u64;
        let times = TimestampMillisecondArray::from(std::mem::take(&mut self.times)).with_timezone("UTC");
        let values = Float64Array::from(std::mem::take(&mut self.values));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(times), Arc::new(values)];
        let names = [&mut self.metric, &mut self.asset].into_iter().chain(&mut self.labels);
        columns.extend(names.map(Names::take));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| MetricFileError::Write(error.into()))?;
        self.writer.write(&batch).map_err(MetricFileError::Write)
    }
}

/// A column of texts that stay the same for many rows.
#[derive(Default)]
struct Names {
    keys: Int32Builder,
    texts: StringBuilder,
    last: Option<(i32, String)>,
}

impl Names {
    fn push(&mut self, text: Option<&str>, rows: usize) {
        let Some(text) = text else { return self.keys.append_nulls(rows) };
        let known = self.last.as_ref().filter(|(_, last)| last == text).map(|(key, _)| *key);
        let key = known.unwrap_or_else(|| {
            let key = self.last.as_ref().map_or(0, |(key, _)| key + 1);
            self.texts.append_value(text);
            self.last = Some((key, text.to_owned()));
            key
        });
        (0..rows).for_each(|_| self.keys.append_value(key));
    }

    fn take(&mut self) -> ArrayRef {
        self.last = None;
        let (keys, texts) = (self.keys.finish(), self.texts.finish());
        let proof = "every key is the place of a text";
        Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(texts)).expect(proof))
    }
}

fn schema(labels: &[String]) -> SchemaRef {
    let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new(TIME, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false),
        Field::new(VALUE, DataType::Float64, false),
        Field::new(METRIC, names.clone(), true),
        Field::new(ASSET, names.clone(), true),
    ];
    fields.extend(column_names(labels).into_iter().zip(labels).map(|(column, label)| {
        let metadata = HashMap::from([(KEY_LABEL.to_owned(), label.clone())]);
        Field::new(column, names.clone(), true).with_metadata(metadata)
    }));
    Arc::new(Schema::new(fields))
}

fn properties(vessel: &str) -> Result<WriterProperties, ParquetError> {
    let (time, value) = (ColumnPath::from(TIME), ColumnPath::from(VALUE));
    let metadata = [(KEY_FORMAT, FORMAT.to_string()), (crate::write::KEY_VESSEL, vessel.to_owned())];
    Ok(WriterProperties::builder()
        .set_created_by(format!("watchkeeper {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        // Where a row group has too many values for a dictionary.
        .set_column_encoding(value, Encoding::BYTE_STREAM_SPLIT)
        .set_key_value_metadata(Some(
            metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect(),
        ))
        .build())
}
