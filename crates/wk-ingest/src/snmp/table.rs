//! One table of one device, from poll to poll.

use std::collections::HashMap;
use std::sync::Arc;

use async_snmp::{Oid, Value};
use wk_types::{Sample, Series, SeriesSamples};

use super::counter::Unfolded;
use super::device::Naming;
use super::profile::{Column, Kind, Metric, Profile, Table};
use super::session::{AskError, Rows, Session};
use super::value::{self, Number};
use crate::contract::SourceContext;

/// After how many polls names are read again.
const NAMES_EVERY: u64 = 10;
/// After how many polls a table is looked for again that the device did not have.
const ABSENT_FOR: u64 = 30;
/// What entPhySensorScale calls one (RFC 3433: units).
const THOUSANDS_ONE: i32 = 9;
/// How many decimal places there can be, either way (RFC 3433 section 3).
const DECIMALS_MAX: i32 = 9;

/// A table of a device.
pub struct TableState {
    profile: Arc<Profile>,
    /// Its place in the profile.
    position: usize,
    columns: Vec<Active>,
    rows: HashMap<Box<[u32]>, Row>,
    /// The poll in which it is read again, where the device did not have it.
    absent_until: u64,
    /// The poll in which names are read again.
    names_due: u64,
}

/// The object that is read for a column.
struct Active {
    oid: Oid,
    scale: f64,
    /// Whether the choice between the column and the one that stands in for it has been made.
    settled: bool,
}

#[derive(Default)]
struct Row {
    labels: Vec<(Arc<str>, Arc<str>)>,
    cells: Vec<Cell>,
    discontinuity: Option<u64>,
}

#[derive(Default)]
struct Cell {
    series: Option<Arc<Series>>,
    counter: Unfolded,
    /// By how much the device says that the value is to be multiplied.
    factor: Option<f64>,
}

impl TableState {
    /// Makes a table of which nothing has been read.
    pub fn new(profile: &Arc<Profile>, position: usize) -> Self {
        let active = |column: &Column| Active { oid: column.oid.clone(), scale: column.metric.scale, settled: false };
        let columns = profile.tables[position].columns.iter().map(active).collect();
        Self { profile: Arc::clone(profile), position, columns, rows: HashMap::new(), absent_until: 0, names_due: 0 }
    }

    fn table(&self) -> &Table {
        &self.profile.tables[self.position]
    }

    /// Forgets counters and names, because the device began anew.
    pub fn restart(&mut self) {
        self.rows.clear();
        (self.absent_until, self.names_due) = (0, 0);
        self.columns.iter_mut().for_each(|column| column.settled = false);
    }

    /// Takes the series away, because they are named or attributed anew.
    pub fn rename(&mut self) {
        self.rows.values_mut().flat_map(|row| &mut row.cells).for_each(|cell| cell.series = None);
    }

    /// Reads the table in poll number `round` and adds its samples.
    pub async fn poll(
        &mut self,
        session: &mut Session,
        naming: &Naming<'_>,
        round: u64,
        into: &mut Vec<SeriesSamples>,
    ) -> Result<(), AskError> {
        if round < self.absent_until {
            return Ok(());
        }
        let rows = self.read(session, naming.context).await?;
        if rows.is_empty() {
            self.absent_until = round + ABSENT_FOR;
            self.rows.clear();
            return Ok(());
        }
        self.rows.retain(|index, _| rows.contains_key(index));
        let is_new = rows.keys().any(|index| !self.rows.contains_key(index));
        if is_new || round >= self.names_due {
            self.names_due = round + NAMES_EVERY;
            self.read_names(session, naming.context, &rows).await?;
        }
        self.emit(&rows, naming, into);
        Ok(())
    }

    /// Reads the columns, and behind them the one of discontinuity.
    async fn read(&mut self, session: &mut Session, context: &SourceContext) -> Result<Rows, AskError> {
        let mut oids: Vec<Oid> = self.columns.iter().map(|column| column.oid.clone()).collect();
        oids.extend(self.table().discontinuity.clone());
        let mut rows = walk(session, context, &oids).await?;
        if rows.is_empty() {
            return self.read_instead(session, context, oids.len()).await;
        }
        for (position, active) in self.columns.iter_mut().enumerate().filter(|(_, active)| !active.settled) {
            active.settled = true;
            let column = &self.profile.tables[self.position].columns[position];
            let Some(instead) = &column.instead else { continue };
            if rows.values().all(|row| row[position].is_none()) {
                active.oid = instead.clone();
                active.scale = column.instead_scale.unwrap_or(column.metric.scale);
                let found = walk(session, context, std::slice::from_ref(instead)).await?;
                for (index, mut values) in found {
                    rows.entry(index).or_insert_with(|| vec![None; oids.len()])[position] = values[0].take();
                }
            }
        }
        Ok(rows)
    }

    /// Reads the columns that stand in for others where the device has none of those.
    async fn read_instead(
        &mut self,
        session: &mut Session,
        context: &SourceContext,
        width: usize,
    ) -> Result<Rows, AskError> {
        let columns = &self.profile.tables[self.position].columns;
        let (places, oids): (Vec<usize>, Vec<Oid>) =
            columns.iter().enumerate().filter_map(|(at, column)| Some((at, column.instead.clone()?))).unzip();
        if oids.is_empty() {
            return Ok(Rows::new());
        }
        let found = walk(session, context, &oids).await?;
        if !found.is_empty() {
            for at in &places {
                let (active, column) = (&mut self.columns[*at], &columns[*at]);
                active.oid = column.instead.clone().unwrap_or_else(|| column.oid.clone());
                active.scale = column.instead_scale.unwrap_or(column.metric.scale);
                active.settled = true;
            }
        }
        let place = |mut values: Vec<Option<Value>>| {
            let mut row = vec![None; width];
            places.iter().zip(&mut values).for_each(|(at, value)| row[*at] = value.take());
            row
        };
        Ok(found.into_iter().map(|(index, values)| (index, place(values))).collect())
    }

    /// Reads what changes rarely: names, and the scales of sensors.
    async fn read_names(
        &mut self,
        session: &mut Session,
        context: &SourceContext,
        rows: &Rows,
    ) -> Result<(), AskError> {
        let table = &self.profile.tables[self.position];
        let scales = table.columns.iter().flat_map(|column| [column.thousands.clone(), column.decimals.clone()]);
        let oids: Vec<Oid> = table.labels.values().cloned().chain(scales.flatten()).collect();
        let found = if oids.is_empty() { Rows::new() } else { walk(session, context, &oids).await? };
        let nothing = vec![None; oids.len()];
        for index in rows.keys() {
            let values = found.get(index).unwrap_or(&nothing);
            let row = self.rows.entry(index.clone()).or_default();
            let labels = row_labels(table, index, values);
            if row.labels != labels {
                row.labels = labels;
                row.cells.iter_mut().for_each(|cell| cell.series = None);
            }
            row.cells.resize_with(table.columns.len(), Cell::default);
            let mut scales = values[table.labels.len()..].iter();
            for (cell, column) in row.cells.iter_mut().zip(&table.columns) {
                let mut next = |oid: &Option<Oid>| oid.as_ref().and_then(|_| scales.next()).and_then(Option::as_ref);
                let (thousands, decimals) = (next(&column.thousands), next(&column.decimals));
                cell.factor = factor(thousands, decimals);
            }
        }
        Ok(())
    }

    fn emit(&mut self, rows: &Rows, naming: &Naming<'_>, into: &mut Vec<SeriesSamples>) {
        let table = &self.profile.tables[self.position];
        for (index, values) in rows {
            let Some(row) = self.rows.get_mut(index) else { continue };
            if table.discontinuity.is_some() {
                let now = values[table.columns.len()].as_ref().and_then(Value::as_u64);
                if now != row.discontinuity {
                    row.cells.iter_mut().for_each(|cell| cell.counter.restart());
                }
                row.discontinuity = now;
            }
            for (position, column) in table.columns.iter().enumerate() {
                let Some(value) = &values[position] else { continue };
                let cell = &mut row.cells[position];
                let Some(number) = read(value, &column.metric, &mut cell.counter, naming.context) else { continue };
                let scaled = number * cell.factor.unwrap_or(1.0) * self.columns[position].scale;
                let labels = &row.labels;
                let series = cell.series.get_or_insert_with(|| naming.series(&column.metric.metric, labels));
                let samples = vec![Sample::new(naming.now, scaled)];
                into.push(SeriesSamples { series: Arc::clone(series), samples });
            }
        }
    }
}

/// Reads a value as its metric has it; what is no number is counted.
pub fn read(value: &Value, metric: &Metric, counter: &mut Unfolded, context: &SourceContext) -> Option<f64> {
    match value::number(value) {
        Some(Number::Wrapping(raw)) if metric.kind == Kind::Counter => Some(counter.next(raw) as f64),
        Some(Number::Wrapping(raw)) => Some(f64::from(raw)),
        Some(Number::Plain(number)) => Some(number),
        None => {
            context.stats.rejected("value is no number", 1, &format!("{}: {value:?}", metric.metric));
            None
        }
    }
}

async fn walk(session: &mut Session, context: &SourceContext, oids: &[Oid]) -> Result<Rows, AskError> {
    let walked = session.walk(oids).await?;
    context.stats.flagged("rows left out beyond 4096", walked.left_out, "");
    context.stats.flagged("table left early: its objects do not increase", walked.disordered, "");
    Ok(walked.rows)
}

/// The labels of a row: the parts of its index, then its names.
fn row_labels(table: &Table, index: &[u32], values: &[Option<Value>]) -> Vec<(Arc<str>, Arc<str>)> {
    let mut labels = Vec::with_capacity(table.index.len() + table.labels.len());
    let last = table.index.len() - 1;
    for (position, name) in table.index.iter().enumerate() {
        let parts = if position == last { index.get(position..) } else { index.get(position..=position) };
        let text = parts.unwrap_or_default().iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        labels.push((Arc::clone(name), text.into()));
    }
    for (name, value) in table.labels.keys().zip(values) {
        if let Some(text) = value.as_ref().and_then(value::label) {
            labels.push((Arc::clone(name), text.into()));
        }
    }
    labels
}

/// What a sensor's value is multiplied by: a power of a thousand, and decimal places.
fn factor(thousands: Option<&Value>, decimals: Option<&Value>) -> Option<f64> {
    if thousands.is_none() && decimals.is_none() {
        return None;
    }
    let thousands = thousands.and_then(Value::as_i32).filter(|scale| (1..=17).contains(scale)).unwrap_or(THOUSANDS_ONE);
    let decimals = decimals.and_then(Value::as_i32).unwrap_or(0).clamp(-DECIMALS_MAX, DECIMALS_MAX);
    Some(10_f64.powi(3 * (thousands - THOUSANDS_ONE) - decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_are_scaled_as_rfc_3433_has_it() {
        let value = |number: i32| Some(Value::Integer(number));
        let check = |thousands: Option<i32>, decimals: Option<i32>| {
            factor(thousands.and_then(value).as_ref(), decimals.and_then(value).as_ref())
        };
        assert_eq!(check(None, None), None);
        assert_eq!(check(Some(9), Some(0)), Some(1.0));
        assert_eq!(check(Some(8), Some(0)), Some(0.001));
        assert_eq!(check(Some(9), Some(1)), Some(0.1));
        assert_eq!(check(Some(10), None), Some(1_000.0));
        assert_eq!(check(Some(99), Some(99)), Some(1e-9));
    }
}
