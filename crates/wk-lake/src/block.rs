//! Columns of rows, as Arrow arrays: the one form in which rows are written, read and handed to SQL.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch, StringArray, StringBuilder,
    StringDictionaryBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use wk_types::{AssetId, Seq, Severity, UtcMs};

use crate::row::Row;

/// A column of the log table, in the order of the files and of SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Time,
    Asset,
    App,
    Severity,
    Message,
    Template,
    Attributes,
    /// The intake record; in files only.
    Seq,
}

impl Column {
    pub(crate) const ALL: [Self; 8] = [
        Self::Time,
        Self::Asset,
        Self::App,
        Self::Severity,
        Self::Message,
        Self::Template,
        Self::Attributes,
        Self::Seq,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Asset => "asset",
            Self::App => "app",
            Self::Severity => "severity",
            Self::Message => "message",
            Self::Template => "template",
            Self::Attributes => "attributes",
            Self::Seq => "seq",
        }
    }

    fn field(self) -> Field {
        let names = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        match self {
            Self::Time => {
                Field::new(self.name(), DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), false)
            }
            Self::Asset | Self::App | Self::Severity => Field::new(self.name(), names, false),
            Self::Message => Field::new(self.name(), DataType::Utf8, false),
            Self::Template | Self::Attributes => Field::new(self.name(), DataType::Utf8, true),
            Self::Seq => Field::new(self.name(), DataType::Int64, false),
        }
    }
}

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Columns(u8);

impl Columns {
    pub(crate) const ALL: Self = Self(u8::MAX);

    pub(crate) fn with(self, column: Column) -> Self {
        Self(self.0 | 1 << column as u8)
    }

    pub(crate) const fn has(self, column: Column) -> bool {
        self.0 >> column as u8 & 1 == 1
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Column> {
        Column::ALL.into_iter().filter(move |column| self.has(*column))
    }
}

impl FromIterator<Column> for Columns {
    fn from_iter<I: IntoIterator<Item = Column>>(columns: I) -> Self {
        columns.into_iter().fold(Self::default(), Self::with)
    }
}

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(Column::ALL.map(Column::field).to_vec())));

/// The Arrow schema of log files.
pub(crate) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Makes a batch of all columns.
pub(crate) fn batch_of<'a>(rows: impl Iterator<Item = &'a Row>) -> RecordBatch {
    let (mut times, mut seqs) = (Vec::new(), Vec::new());
    let mut names: [StringDictionaryBuilder<Int32Type>; 3] = Default::default();
    let (mut message, mut template, mut attributes) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        times.push(row.time.0);
        seqs.push(row.seq.0 as i64);
        names[0].append_value(row.asset.as_str());
        names[1].append_value(&row.app);
        names[2].append_value(row.severity.as_str());
        message.append_value(&row.message);
        template.append_option(row.template.as_deref());
        attributes.append_option(row.attributes.as_deref());
    }
    let [mut asset, mut app, mut severity] = names;
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(TimestampMillisecondArray::from(times).with_timezone("UTC")),
        Arc::new(asset.finish()),
        Arc::new(app.finish()),
        Arc::new(severity.finish()),
        Arc::new(message.finish()),
        Arc::new(template.finish()),
        Arc::new(attributes.finish()),
        Arc::new(Int64Array::from(seqs)),
    ];
    RecordBatch::try_new(schema(), arrays).expect("all columns have one length and the schema's types")
}

/// One column's values.
#[derive(Debug, Clone)]
enum Values {
    Numbers(Int64Array),
    Names(DictionaryArray<Int32Type>, StringArray),
    Texts(StringArray),
}

/// Some columns of some rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    rows: usize,
    columns: [Option<Values>; 8],
}

impl Block {
    /// A block of rows of which no column is known.
    pub(crate) fn bare(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Takes the columns of a batch by their names; `None` where one has an unexpected type.
    pub(crate) fn from_batch(batch: &RecordBatch) -> Option<Self> {
        let mut block = Self::bare(batch.num_rows());
        for column in Column::ALL {
            if let Some(array) = batch.column_by_name(column.name()) {
                block.columns[column as usize] = Some(values(column, array)?);
            }
        }
        Some(block)
    }

    /// Makes a block of all columns.
    pub(crate) fn from_rows<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        Self::from_batch(&batch_of(rows)).expect("a batch made here has the schema's types")
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// A column's text; `None` for null, for numbers and where the column was not read.
    pub(crate) fn text(&self, column: Column, row: usize) -> Option<&str> {
        match self.columns[column as usize].as_ref()? {
            Values::Numbers(_) => None,
            Values::Names(keys, names) => keys.key(row).map(|key| names.value(key)),
            Values::Texts(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }

    fn number(&self, column: Column, row: usize) -> i64 {
        match &self.columns[column as usize] {
            Some(Values::Numbers(numbers)) => numbers.value(row),
            _ => 0,
        }
    }

    /// The row's time; 0 where it was not read.
    pub(crate) fn time(&self, row: usize) -> UtcMs {
        UtcMs(self.number(Column::Time, row))
    }

    /// The row's intake record; 0 where it was not read.
    pub(crate) fn seq(&self, row: usize) -> Seq {
        Seq(self.number(Column::Seq, row) as u64)
    }

    /// The row's severity; info where it was not read or is unknown.
    pub(crate) fn severity(&self, row: usize) -> Severity {
        self.text(Column::Severity, row).and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// The whole row; what was not read is empty.
    pub(crate) fn row(&self, row: usize) -> Row {
        let text = |column| self.text(column, row);
        Row {
            seq: self.seq(row),
            time: self.time(row),
            asset: AssetId::from(text(Column::Asset).unwrap_or_default()),
            app: text(Column::App).unwrap_or_default().into(),
            severity: self.severity(row),
            message: text(Column::Message).unwrap_or_default().into(),
            template: text(Column::Template).map(Into::into),
            attributes: text(Column::Attributes).map(Into::into),
        }
    }

    /// For each distinct value of a name column, whether it is wanted; `None` where the column was not read.
    pub(crate) fn wanted_names(&self, column: Column, is_wanted: impl Fn(&str) -> bool) -> Option<WantedNames<'_>> {
        match &self.columns[column as usize] {
            Some(Values::Names(keys, names)) => {
                let wanted = names.iter().map(|name| name.is_some_and(&is_wanted)).collect();
                Some(WantedNames { keys, wanted })
            }
            _ => None,
        }
    }
}

/// Which rows hold a wanted name.
pub(crate) struct WantedNames<'a> {
    keys: &'a DictionaryArray<Int32Type>,
    wanted: Vec<bool>,
}

impl WantedNames<'_> {
    pub(crate) fn has(&self, row: usize) -> bool {
        self.keys.key(row).is_some_and(|key| self.wanted[key])
    }
}

fn values(column: Column, array: &ArrayRef) -> Option<Values> {
    Some(match column {
        Column::Time => {
            let times = array.as_primitive_opt::<TimestampMillisecondType>()?;
            Values::Numbers(times.reinterpret_cast())
        }
        Column::Seq => Values::Numbers(array.as_primitive_opt::<Int64Type>()?.clone()),
        Column::Asset | Column::App | Column::Severity => {
            let keys = array.as_dictionary_opt::<Int32Type>()?;
            Values::Names(keys.clone(), keys.values().as_string_opt::<i32>()?.clone())
        }
        Column::Message | Column::Template | Column::Attributes => Values::Texts(array.as_string_opt::<i32>()?.clone()),
    })
}
