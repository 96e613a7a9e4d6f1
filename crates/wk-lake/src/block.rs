//! Columns of rows, as Arrow arrays: the one form in which rows are buffered, written, read and handed to SQL.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use wk_types::{AssetId, Seq, Severity, UtcMs};

use crate::chunk::{NameBuilder, write_object};
use crate::query::{Cursor, TailCursor};
use crate::row::LogRow;

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
    /// The row's place in the record; in files only, since the second format.
    Line,
}

/// How many columns there are.
pub(crate) const COLUMNS: usize = 9;

impl Column {
    pub(crate) const ALL: [Self; COLUMNS] = [
        Self::Time,
        Self::Asset,
        Self::App,
        Self::Severity,
        Self::Message,
        Self::Template,
        Self::Attributes,
        Self::Seq,
        Self::Line,
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
            Self::Line => "line",
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
            Self::Seq | Self::Line => Field::new(self.name(), DataType::Int64, false),
        }
    }
}

/// A set of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Columns(u16);

impl Columns {
    pub(crate) const ALL: Self = Self((1 << COLUMNS) - 1);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn with(self, column: Column) -> Self {
        Self(self.0 | 1 << column as u16)
    }

    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    pub(crate) const fn and(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    pub(crate) const fn has(self, column: Column) -> bool {
        self.0 >> column as u16 & 1 == 1
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

/// The names of the severities, in the order of their numbers.
static SEVERITY_NAMES: LazyLock<StringArray> =
    LazyLock::new(|| StringArray::from(Severity::ALL.map(|one| one.as_str()).to_vec()));

/// The Arrow schema of log files.
pub(crate) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// One column's values.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Numbers(Int64Array),
    /// For each row a place in the names.
    Names(Int32Array, StringArray),
    Texts(StringArray),
}

impl Values {
    pub(crate) fn severities(keys: Vec<i32>) -> Self {
        Self::Names(Int32Array::from(keys), SEVERITY_NAMES.clone())
    }

    /// Reads a column of a file; `None` where it has an unexpected type, or an empty value where none may be.
    fn read(column: Column, array: &ArrayRef) -> Option<Self> {
        let values = match column {
            Column::Time => Self::Numbers(array.as_primitive_opt::<TimestampMillisecondType>()?.reinterpret_cast()),
            Column::Seq | Column::Line => Self::Numbers(array.as_primitive_opt::<Int64Type>()?.clone()),
            Column::Asset | Column::App | Column::Severity => {
                let names = array.as_dictionary_opt::<Int32Type>()?;
                Self::Names(names.keys().clone(), names.values().as_string_opt::<i32>()?.clone())
            }
            Column::Message | Column::Template | Column::Attributes => {
                return Some(Self::Texts(array.as_string_opt::<i32>()?.clone()));
            }
        };
        (array.null_count() == 0).then_some(values)
    }

    /// The values as the files have them.
    pub(crate) fn to_array(&self, column: Column) -> ArrayRef {
        match self {
            Self::Numbers(numbers) if column == Column::Time => {
                let times = numbers.reinterpret_cast::<TimestampMillisecondType>();
                Arc::new(times.with_timezone("UTC"))
            }
            Self::Numbers(numbers) => Arc::new(numbers.clone()),
            Self::Names(keys, names) => Arc::new(
                DictionaryArray::<Int32Type>::try_new(keys.clone(), Arc::new(names.clone()))
                    .expect("every key is the place of a name"),
            ),
            Self::Texts(texts) => Arc::new(texts.clone()),
        }
    }

    fn take(&self, positions: &UInt32Array) -> Self {
        let proof = "positions lie within the rows";
        match self {
            Self::Numbers(numbers) => {
                Self::Numbers(take(numbers, positions, None).expect(proof).as_primitive::<Int64Type>().clone())
            }
            Self::Names(keys, names) => {
                let keys = take(keys, positions, None).expect(proof).as_primitive::<Int32Type>().clone();
                Self::Names(keys, names.clone())
            }
            Self::Texts(texts) => Self::Texts(take(texts, positions, None).expect(proof).as_string::<i32>().clone()),
        }
    }
}

/// Some columns of some rows. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    rows: usize,
    columns: [Option<Values>; COLUMNS],
}

impl Block {
    /// A block of rows of which no column is known.
    pub(crate) fn bare(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    /// A block of whole rows.
    pub(crate) fn of_rows(rows: &[LogRow]) -> Self {
        let numbers = |of: &dyn Fn(&LogRow) -> i64| Values::Numbers(rows.iter().map(of).collect::<Vec<_>>().into());
        let texts = |of: &dyn Fn(&LogRow) -> Option<String>| Values::Texts(rows.iter().map(of).collect());
        let names = |of: fn(&LogRow) -> &str| {
            let mut names = NameBuilder::new(rows.len());
            rows.iter().for_each(|row| names.push(of(row)));
            names.values()
        };
        let object = |row: &LogRow| {
            let mut text = String::new();
            write_object(&row.attributes, &mut text);
            (!row.attributes.is_empty()).then_some(text)
        };
        Self::bare(rows.len())
            .with(Column::Time, numbers(&|row| row.time.0))
            .with(Column::Asset, names(|row| row.asset.as_str()))
            .with(Column::App, names(|row| &row.app))
            .with(Column::Severity, Values::severities(rows.iter().map(|row| row.severity as i32).collect()))
            .with(Column::Message, Values::Texts(rows.iter().map(|row| Some(&*row.message)).collect()))
            .with(Column::Template, texts(&|row| row.template.as_deref().map(str::to_owned)))
            .with(Column::Attributes, texts(&object))
            .with(Column::Seq, numbers(&|row| row.seq.0 as i64))
            .with(Column::Line, numbers(&|row| i64::from(row.line)))
    }

    /// Takes the columns of a batch by their names; `None` where one has an unexpected type.
    pub(crate) fn from_batch(batch: &RecordBatch) -> Option<Self> {
        let mut block = Self::bare(batch.num_rows());
        for column in Column::ALL {
            if let Some(array) = batch.column_by_name(column.name()) {
                block.columns[column as usize] = Some(Values::read(column, array)?);
            }
        }
        Some(block)
    }

    /// The block with a column, which has a value for each row.
    pub(crate) fn with(mut self, column: Column, values: Values) -> Self {
        self.columns[column as usize] = Some(values);
        self
    }

    /// The block with the columns of another one of the same rows.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (mine, theirs) in self.columns.iter_mut().zip(other.columns) {
            *mine = mine.take().or(theirs);
        }
        self
    }

    /// Only some of the columns.
    pub(crate) fn only(mut self, columns: Columns) -> Self {
        for column in Columns::ALL.without(columns).iter() {
            self.columns[column as usize] = None;
        }
        self
    }

    /// Only the rows at these positions, which ascend.
    pub(crate) fn take(&self, positions: &[u32]) -> Self {
        if positions.len() == self.rows {
            return self.clone();
        }
        let wanted = UInt32Array::from(positions.to_vec());
        let columns = self.columns.each_ref().map(|values| values.as_ref().map(|values| values.take(&wanted)));
        Self { rows: positions.len(), columns }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> Columns {
        Column::ALL.into_iter().filter(|column| self.columns[*column as usize].is_some()).collect()
    }

    /// A column's text; `None` for null, for numbers and where the column was not read.
    pub(crate) fn text(&self, column: Column, row: usize) -> Option<&str> {
        match self.columns[column as usize].as_ref()? {
            Values::Numbers(_) => None,
            Values::Names(keys, names) => Some(names.value(keys.value(row) as usize)),
            Values::Texts(texts) => texts.is_valid(row).then(|| texts.value(row)),
        }
    }

    /// A column of numbers; `None` where it was not read.
    pub(crate) fn numbers(&self, column: Column) -> Option<&[i64]> {
        match &self.columns[column as usize] {
            Some(Values::Numbers(numbers)) => Some(numbers.values()),
            _ => None,
        }
    }

    /// A column of names: for each row a place in the names, and the names; `None` where it was not read.
    pub(crate) fn names(&self, column: Column) -> Option<(&[i32], &StringArray)> {
        match &self.columns[column as usize] {
            Some(Values::Names(keys, names)) => Some((keys.values(), names)),
            _ => None,
        }
    }

    /// A column of texts; `None` where it was not read.
    pub(crate) fn texts(&self, column: Column) -> Option<&StringArray> {
        match &self.columns[column as usize] {
            Some(Values::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    fn number(&self, column: Column, row: usize) -> i64 {
        self.numbers(column).map_or(0, |numbers| numbers[row])
    }

    /// The rows' times; `None` where they were not read.
    pub(crate) fn times(&self) -> Option<&[i64]> {
        self.numbers(Column::Time)
    }

    /// The row's time; 0 where it was not read.
    pub(crate) fn time(&self, row: usize) -> UtcMs {
        UtcMs(self.number(Column::Time, row))
    }

    /// Where the row arrived; 0 where that was not read.
    pub(crate) fn arrival(&self, row: usize) -> TailCursor {
        let line = u32::try_from(self.number(Column::Line, row)).unwrap_or(u32::MAX);
        TailCursor { seq: Seq(self.number(Column::Seq, row) as u64), line }
    }

    /// The row's place in the order of time.
    pub(crate) fn cursor(&self, row: usize) -> Cursor {
        Cursor { time: self.time(row), arrival: self.arrival(row) }
    }

    /// For each name of the severities' column its severity; an unknown one is taken for info.
    pub(crate) fn severity_keys(&self) -> Option<(&[i32], Vec<Severity>)> {
        let (keys, names) = self.names(Column::Severity)?;
        let severities = names.iter().map(|name| name.and_then(|name| name.parse().ok()).unwrap_or_default());
        Some((keys, severities.collect()))
    }

    /// The whole row; what was not read is empty, and so are attributes that are no map of texts.
    pub(crate) fn row(&self, row: usize) -> LogRow {
        let text = |column| self.text(column, row);
        let TailCursor { seq, line } = self.arrival(row);
        let attributes = text(Column::Attributes).and_then(|json| serde_json::from_str(json).ok());
        LogRow {
            seq,
            line,
            time: self.time(row),
            asset: AssetId::from(text(Column::Asset).unwrap_or_default()),
            app: text(Column::App).unwrap_or_default().into(),
            severity: text(Column::Severity).and_then(|name| name.parse().ok()).unwrap_or_default(),
            message: text(Column::Message).unwrap_or_default().into(),
            template: text(Column::Template).map(Into::into),
            attributes: attributes.unwrap_or_default(),
        }
    }

    /// For each distinct value of a name column, whether it is wanted; `None` where the column was not read.
    pub(crate) fn wanted_names(&self, column: Column, is_wanted: impl Fn(&str) -> bool) -> Option<WantedNames<'_>> {
        let (keys, names) = self.names(column)?;
        Some(WantedNames { keys, wanted: names.iter().map(|name| name.is_some_and(&is_wanted)).collect() })
    }
}

/// Which rows hold a wanted name.
pub(crate) struct WantedNames<'a> {
    keys: &'a [i32],
    wanted: Vec<bool>,
}

impl WantedNames<'_> {
    pub(crate) fn has(&self, row: usize) -> bool {
        self.wanted[self.keys[row] as usize]
    }

    /// Tells whether all rows do.
    pub(crate) fn is_all(&self) -> bool {
        self.wanted.iter().all(|wanted| *wanted)
    }
}
