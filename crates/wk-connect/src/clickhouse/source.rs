//! The node's questions about logs, asked of ClickHouse.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wk_lake::{
    Cancel, Cursor, Histogram, HistogramBuilder, LakeError, LogField, LogQuery, LogRow, LogSource, OutsideLogs, Page,
    RowBatches, Scanned, SearchLimits, SqlAnswer, SqlLimits, SqlSources, TableScan, Tail, TailCursor, TopValues,
    VALUES_MAX, ValueCount, check_fields, sql_outside, too_many_values,
};
use wk_types::{DurationMs, UtcMs};

use super::condition::clause;
use super::http::Answer;
use super::row_binary::Get;
use super::rows::{BinRow, TopRow, found_columns, severity};
use super::schema::LOGS;
use super::statement::{Statement, Value};
use super::{ClickHouse, ClickHouseError};

/// How often it is looked whether a question was called off.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Rows of a scan handed on at once.
const BATCH_ROWS: usize = 4_096;
/// Groups answered at most: a full histogram's bins, each with every severity.
const GROUPS_MAX: usize = 40_000;
/// The most text ClickHouse may keep for one question.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// How rows stand in an answer.
#[derive(Debug, Clone, Copy)]
enum Order {
    NewestFirst,
    OldestFirst,
    Arrival,
}

impl Order {
    const fn of(query: &LogQuery) -> Self {
        if query.newest_first { Self::NewestFirst } else { Self::OldestFirst }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::NewestFirst => " ORDER BY time DESC, seq DESC, line DESC",
            Self::OldestFirst => " ORDER BY time, seq, line",
            Self::Arrival => " ORDER BY seq, line",
        }
    }
}

/// Rows found, and whether there may be more.
struct Found {
    rows: Vec<LogRow>,
    has_more: bool,
    scanned: Scanned,
}

impl ClickHouse {
    /// Waits for an answer until the limits of its question.
    fn wait<T>(
        &self,
        limits: &SearchLimits,
        answer: impl Future<Output = Result<T, ClickHouseError>>,
    ) -> Result<T, LakeError> {
        let told = async {
            tokio::select! {
                answered = answer => answered,
                () = tokio::time::sleep(limits.time_max.to_std()) => {
                    Err(ClickHouseError::TimeLimit { url: self.url().to_owned(), limit: limits.time_max })
                }
                () = called_off(&limits.cancel) => Err(ClickHouseError::Cancelled),
            }
        };
        self.0.runtime.block_on(told).map_err(|error| error.into_lake(limits.time_max))
    }

    /// Asks a question that the store itself ends in time.
    async fn asked<T: Get>(
        &self,
        statement: &Statement,
        limits: &SearchLimits,
        settings: &[(&str, String)],
    ) -> Result<Answer<T>, ClickHouseError> {
        let seconds = (limits.time_max.0.max(0) as u64).div_ceil(1_000).max(1);
        let mut bounds = settings.to_vec();
        bounds.push(("max_execution_time", seconds.to_string()));
        bounds.push(("max_memory_usage", MEMORY_BYTES_MAX.to_string()));
        self.0.http.ask(self.database(), statement, &bounds).await
    }

    fn ready(&self) -> Result<(), LakeError> {
        self.prepare().map_err(|error| error.into_lake(DurationMs::from_secs(super::SCHEMA_MAX.as_secs() as i64)))
    }

    fn find(&self, clause: Statement, order: Order, limit: usize, limits: &SearchLimits) -> Result<Found, LakeError> {
        if limit == 0 {
            return Ok(Found { rows: Vec::new(), has_more: true, scanned: Scanned::default() });
        }
        self.ready()?;
        let mut statement = Statement::new(&format!("SELECT {} FROM {LOGS}", found_columns(true, true)));
        statement.append(clause);
        statement.push(order.text());
        statement.bind(" LIMIT ?", Value::Unsigned(limit as u64));
        self.wait(limits, async {
            let mut answer = self.asked::<LogRow>(&statement, limits, &[]).await?;
            let scanned = scanned(&answer);
            let (mut rows, mut bytes): (Vec<LogRow>, usize) = (Vec::new(), 0);
            while let Some(row) = answer.next().await? {
                bytes += row.bytes();
                if !rows.is_empty() && bytes > limits.bytes_max {
                    return Ok(Found { rows, has_more: true, scanned });
                }
                rows.push(row);
            }
            Ok(Found { has_more: rows.len() >= limit, rows, scanned })
        })
    }

    fn clause(&self, query: &LogQuery) -> Result<Statement, LakeError> {
        clause(query, &self.0.options.vessel)
    }

    /// Counts all combinations of some fields' values, the most frequent ones first.
    fn group(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limit: usize,
        limits: &SearchLimits,
    ) -> Result<TopValues, LakeError> {
        let clause = self.clause(query)?;
        self.ready()?;
        let names: Vec<String> = (0..fields.len()).map(|index| format!("text{index}")).collect();
        let mut statement = Statement::new(&format!(
            "SELECT [{}] AS texts, lines, count() OVER () AS distinct, sum(lines) OVER () AS all_lines FROM (SELECT ",
            names.join(", ")
        ));
        for (field, name) in fields.iter().zip(&names) {
            push_value(field, name, &mut statement);
        }
        statement.push(&format!("count() AS lines FROM {LOGS}"));
        statement.append(clause);
        statement.push(&format!(" GROUP BY {}) ORDER BY lines DESC", names.join(", ")));
        for name in &names {
            statement.push(&format!(", {name} ASC NULLS FIRST"));
        }
        // Without a row nothing would tell how many there are.
        statement.bind(" LIMIT ?", Value::Unsigned(limit.max(1) as u64));
        let (rows, scanned) = self.wait(limits, async {
            let bounds = [
                ("max_rows_to_group_by", (VALUES_MAX + 1).to_string()),
                ("group_by_overflow_mode", "throw".to_owned()),
            ];
            let answer = self.asked::<TopRow>(&statement, limits, &bounds).await?;
            let scanned = scanned(&answer);
            Ok((answer.all().await?, scanned))
        })?;
        let (distinct, all) = rows.first().map_or((0, 0), |row| (row.distinct as usize, row.all_lines));
        if distinct > VALUES_MAX {
            return Err(too_many_values());
        }
        let count = |row: TopRow| ValueCount { values: row.texts, count: row.lines };
        Ok(TopValues { top: rows.into_iter().take(limit).map(count).collect(), distinct, rows: all, scanned })
    }
}

async fn called_off(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What the store says that it has read; it has no files and groups of ours.
fn scanned<T>(answer: &Answer<T>) -> Scanned {
    Scanned { rows: answer.read_rows.unwrap_or_default(), ..Scanned::default() }
}

/// A field's text as a column, null where a row lacks it.
fn push_value(field: &LogField, name: &str, out: &mut Statement) {
    match field {
        LogField::Attribute(attribute) => {
            out.bind("if(mapContains(attributes, ?), ", Value::Text(attribute.to_string()));
            out.bind("attributes[?], NULL)", Value::Text(attribute.to_string()));
        }
        LogField::Severity => out.push("CAST(toString(severity), 'Nullable(String)')"),
        column @ (LogField::Asset | LogField::App | LogField::Message | LogField::Template) => {
            out.push(&format!("CAST({column}, 'Nullable(String)')"));
        }
    }
    out.push(&format!(" AS {name}, "));
}

/// The condition that rows stand behind a place in an order.
fn push_after(order: Order, cursor: Cursor, out: &mut Statement) {
    let Cursor { time, arrival: TailCursor { seq, line } } = cursor;
    match order {
        Order::NewestFirst => {
            out.bind(" AND time <= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(time.0));
            out.bind(" AND (time, seq, line) < (fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(time.0));
        }
        Order::OldestFirst => {
            out.bind(" AND time >= fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(time.0));
            out.bind(" AND (time, seq, line) > (fromUnixTimestamp64Milli(toInt64(?), 'UTC')", Value::Signed(time.0));
        }
        Order::Arrival => {
            out.bind(" AND seq >= toUInt64(?)", Value::Unsigned(seq.0));
            out.push(" AND (seq, line) > (");
        }
    }
    if !matches!(order, Order::Arrival) {
        out.push(", ");
    }
    out.bind("toUInt64(?)", Value::Unsigned(seq.0));
    out.bind(", toUInt32(?))", Value::Unsigned(line.into()));
}

impl LogSource for ClickHouse {
    fn search(&self, query: &LogQuery, limits: &SearchLimits) -> Result<Page, LakeError> {
        let mut clause = self.clause(query)?;
        let order = Order::of(query);
        if let Some(cursor) = query.after {
            push_after(order, cursor, &mut clause);
        }
        let Found { rows, has_more, scanned } = self.find(clause, order, query.limit, limits)?;
        let next = rows.last().filter(|_| has_more).map(LogRow::cursor);
        Ok(Page { rows, next, scanned })
    }

    fn tail(&self, query: &LogQuery, after: Option<TailCursor>, limits: &SearchLimits) -> Result<Tail, LakeError> {
        let newest = self.newest();
        let mut clause = self.clause(query)?;
        // What is stored meanwhile belongs to the next answer.
        clause.bind(" AND seq <= toUInt64(?)", Value::Unsigned(newest.seq.0));
        let Some(after) = after else {
            let mut rows = self.find(clause, Order::NewestFirst, query.limit, limits)?.rows;
            rows.reverse();
            return Ok(Tail { rows, next: newest, has_more: false });
        };
        push_after(Order::Arrival, Cursor { time: query.from, arrival: after }, &mut clause);
        let Found { rows, has_more, .. } = self.find(clause, Order::Arrival, query.limit, limits)?;
        let last = rows.last().filter(|_| has_more).map(LogRow::arrival);
        let has_more = last.is_some();
        Ok(Tail { rows, next: last.unwrap_or(newest.max(after)), has_more })
    }

    fn newest(&self) -> TailCursor {
        TailCursor::after(self.sent())
    }

    fn histogram(&self, query: &LogQuery, step: DurationMs, limits: &SearchLimits) -> Result<Histogram, LakeError> {
        let mut builder = HistogramBuilder::new(step)?;
        let clause = self.clause(query)?;
        self.ready()?;
        // No name given here may be that of a column: in the conditions it would stand for what is given.
        let mut statement = Statement::new("SELECT toUnixTimestamp64Milli(time) - ");
        statement.bind("positiveModulo(toUnixTimestamp64Milli(time), toInt64(?)) AS start, ", Value::Signed(step.0));
        statement.push(&format!("CAST(severity, 'Int8') AS number, count() AS lines FROM {LOGS}"));
        statement.append(clause);
        statement.push(" GROUP BY start, number ORDER BY start");
        let mut outer = Statement::new("SELECT start, number, lines FROM (");
        outer.append(statement);
        outer.bind(") LIMIT ?", Value::Unsigned(GROUPS_MAX as u64 + 1));
        let (bins, scanned) = self.wait(limits, async {
            let answer = self.asked::<BinRow>(&outer, limits, &[]).await?;
            let scanned = scanned(&answer);
            Ok((answer.all().await?, scanned))
        })?;
        for bin in bins {
            builder.add(UtcMs(bin.start), severity(bin.severity), bin.lines)?;
        }
        Ok(builder.finish(scanned))
    }

    fn top_values(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limit: usize,
        limits: &SearchLimits,
    ) -> Result<TopValues, LakeError> {
        check_fields(fields)?;
        self.group(query, fields, limit, limits)
    }

    fn sql(&self, sources: &SqlSources<'_>, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError> {
        sql_outside(Arc::new(self.clone()), sources, query, limits)
    }
}

impl OutsideLogs for ClickHouse {
    fn scan(&self, scan: &TableScan, limits: &SearchLimits) -> Result<RowBatches, LakeError> {
        let clause = self.clause(&scan.query)?;
        self.ready()?;
        let columns = found_columns(scan.has_messages, scan.has_attributes);
        let mut statement = Statement::new(&format!("SELECT {columns} FROM {LOGS}"));
        statement.append(clause);
        if scan.is_ordered {
            statement.push(Order::of(&scan.query).text());
        }
        if let Some(rows) = scan.rows_max {
            statement.bind(" LIMIT ?", Value::Unsigned(rows as u64));
        }
        let until = Instant::now().checked_add(limits.time_max.to_std());
        let answer = self.wait(limits, self.asked::<LogRow>(&statement, limits, &[]))?;
        Ok(Box::new(Batches { store: self.clone(), answer: Some(answer), limits: limits.clone(), until }))
    }

    fn counts(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limits: &SearchLimits,
    ) -> Result<Vec<ValueCount>, LakeError> {
        if !fields.is_empty() {
            return Ok(self.group(query, fields, VALUES_MAX, limits)?.top);
        }
        let clause = self.clause(query)?;
        self.ready()?;
        let mut statement = Statement::new(&format!("SELECT count() FROM {LOGS}"));
        statement.append(clause);
        let count = self.wait(limits, async { self.asked::<u64>(&statement, limits, &[]).await?.one().await })?;
        Ok(vec![ValueCount { values: Vec::new(), count }])
    }
}

/// Rows of a scan, as they come over the network.
struct Batches {
    store: ClickHouse,
    /// `None` once all rows have come, or after a failure.
    answer: Option<Answer<LogRow>>,
    limits: SearchLimits,
    until: Option<Instant>,
}

impl Iterator for Batches {
    type Item = Result<Vec<LogRow>, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut answer = self.answer.take()?;
        let left = self.until.map_or(self.limits.time_max, |until| {
            DurationMs(i64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(i64::MAX))
        });
        let limits = SearchLimits { time_max: left, ..self.limits.clone() };
        let read = self.store.wait(&limits, async {
            let mut rows = Vec::new();
            while rows.len() < BATCH_ROWS
                && let Some(row) = answer.next().await?
            {
                rows.push(row);
            }
            Ok((rows, answer))
        });
        match read {
            Ok((rows, _)) if rows.is_empty() => None,
            Ok((rows, answer)) => {
                self.answer = Some(answer);
                Some(Ok(rows))
            }
            Err(error) => Some(Err(error)),
        }
    }
}
