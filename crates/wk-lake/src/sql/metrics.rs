//! `metrics_5m` and `metrics_1h` as SQLite sees them: a row for each series and step.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::sync::Arc;

use rusqlite::vtab::{
    Context, Filters, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};
use wk_types::series::SourceError;
use wk_types::{ErrorKind, MatchOp, Matcher, Resolution, RollupRow, Rollups, Series};

use super::plan::{self, Abilities, Asked, Condition, Field};
use super::{Session, declared};
use crate::error::LakeError;
use crate::time_text;

/// The columns of both tables.
pub(crate) const COLUMNS: &str = "time, asset, metric, labels, avg, min, max, last, count, increase";
/// The conditions taken on them.
const FIELDS: [Option<Field>; 10] =
    [Some(Field::Time), Some(Field::Asset), Some(Field::Metric), None, None, None, None, None, None, None];
/// The label of the metric's name.
const NAME_LABEL: &str = "__name__";
/// How many rows there are thought to be; counting them would take reading them.
const ROWS_EXPECTED: u64 = 1_000_000;

/// The name of the table of a resolution.
pub(crate) const fn table_name(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::FiveMinutes => "metrics_5m",
        Resolution::Hour => "metrics_1h",
    }
}

/// The virtual table.
#[repr(C)]
pub(crate) struct MetricTable {
    base: sqlite3_vtab,
    session: Arc<Session>,
    resolution: Resolution,
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base struct, as the trait demands.
#[allow(unsafe_code, reason = "rusqlite's trait is unsafe to implement; its demand on the layout is met above")]
unsafe impl<'vtab> VTab<'vtab> for MetricTable {
    type Aux = (Arc<Session>, Resolution);
    type Cursor = MetricCursor<'vtab>;

    fn connect(db: &mut VTabConnection, aux: Option<&Self::Aux>, _args: &[&[u8]]) -> rusqlite::Result<(String, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let (session, resolution) =
            aux.ok_or_else(|| rusqlite::Error::ModuleError("the metrics have no session".to_owned()))?;
        let table = Self { base: sqlite3_vtab::default(), session: Arc::clone(session), resolution: *resolution };
        Ok((format!("CREATE TABLE x({})", declared(COLUMNS)), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<()> {
        plan::choose(info, &Abilities { fields: &FIELDS, is_sortable: false, rows: ROWS_EXPECTED });
        Ok(())
    }

    fn open(&'vtab mut self) -> rusqlite::Result<MetricCursor<'vtab>> {
        Ok(MetricCursor {
            base: sqlite3_vtab_cursor::default(),
            session: Arc::clone(&self.session),
            resolution: self.resolution,
            rollups: None,
            asset: None,
            current: None,
            number: 0,
            table: PhantomData,
        })
    }
}

/// A series at hand.
struct Current {
    series: Arc<Series>,
    labels: String,
    rows: std::vec::IntoIter<RollupRow>,
    row: RollupRow,
}

/// A position in the rows that one condition wants.
#[repr(C)]
pub(crate) struct MetricCursor<'vtab> {
    base: sqlite3_vtab_cursor,
    session: Arc<Session>,
    resolution: Resolution,
    rollups: Option<Rollups>,
    asset: Option<String>,
    current: Option<Current>,
    number: i64,
    table: PhantomData<&'vtab MetricTable>,
}

impl MetricCursor<'_> {
    fn start(&mut self, asked: &Asked) -> Result<(), LakeError> {
        let source = self.session.rollups.as_ref().map_err(|why| LakeError::query(why.as_str()))?;
        let (mut matchers, mut is_nothing) = (Vec::new(), asked.is_nothing);
        self.asset = None;
        for (condition, text) in &asked.texts {
            match condition {
                Condition::Metric => matchers.push(Matcher::new(NAME_LABEL, MatchOp::Equal, text)),
                Condition::Asset => {
                    is_nothing |= self.asset.as_ref().is_some_and(|known| known != text);
                    self.asset = Some(text.clone());
                }
                _ => {}
            }
        }
        self.number = 0;
        self.rollups = match is_nothing {
            true => None,
            false => Some(source.rollups(&matchers, asked.from, asked.to, self.resolution).map_err(read_error)?),
        };
        self.next_series()
    }

    fn next_series(&mut self) -> Result<(), LakeError> {
        self.current = None;
        while let Some(next) = self.rollups.as_mut().and_then(Iterator::next) {
            self.session.deadline.check()?;
            self.session.check_budget()?;
            let rollup = next.map_err(read_error)?;
            if self.asset.as_ref().is_some_and(|asset| asset != rollup.series.asset.as_str()) {
                continue;
            }
            let mut rows = rollup.rows.into_iter();
            if let Some(row) = rows.next() {
                let labels = labels_text(&rollup.series);
                self.current = Some(Current { series: rollup.series, labels, rows, row });
                return Ok(());
            }
        }
        Ok(())
    }
}

fn read_error(error: SourceError) -> LakeError {
    match error.kind() {
        ErrorKind::InvalidInput => LakeError::query(error.to_string()),
        _ => LakeError::Rollups(error),
    }
}

/// The labels but the metric's name, as a JSON object.
fn labels_text(series: &Series) -> String {
    let labels: BTreeMap<&str, &str> = series
        .labels
        .iter()
        .filter(|(name, _)| &***name != NAME_LABEL)
        .map(|(name, value)| (&**name, &**value))
        .collect();
    serde_json::to_string(&labels).expect("a map of texts is always JSON")
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base struct, as the trait demands.
#[allow(unsafe_code, reason = "rusqlite's trait is unsafe to implement; its demand on the layout is met above")]
unsafe impl VTabCursor for MetricCursor<'_> {
    fn filter(&mut self, number: c_int, letters: Option<&str>, values: &Filters<'_>) -> rusqlite::Result<()> {
        let asked = Asked::read(number, letters.unwrap_or_default(), values);
        let started = asked.and_then(|asked| self.start(&asked));
        started.map_err(|error| self.session.fail(error))
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.number += 1;
        if let Some(current) = &mut self.current
            && let Some(row) = current.rows.next()
        {
            current.row = row;
            return Ok(());
        }
        self.next_series().map_err(|error| self.session.fail(error))
    }

    fn eof(&self) -> bool {
        self.current.is_none()
    }

    fn column(&self, context: &mut Context, index: c_int) -> rusqlite::Result<()> {
        let Some(Current { series, labels, row, .. }) = &self.current else { return Ok(()) };
        self.session.spend(if index == 3 { labels.len() } else { 0 });
        match index {
            0 => context.set_result(&time_text::format_into(row.time, &mut [0; time_text::FORMATTED_MAX])),
            1 => context.set_result(&series.asset.as_str()),
            2 => context.set_result(&series.labels.name()),
            3 => context.set_result(labels),
            4 => context.set_result(&row.avg),
            5 => context.set_result(&row.min),
            6 => context.set_result(&row.max),
            7 => context.set_result(&row.last),
            8 => context.set_result(&(row.count as i64)),
            9 => context.set_result(&row.increase),
            _ => Ok(()),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.number)
    }
}
