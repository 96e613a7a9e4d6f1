//! `logs` as SQLite sees it.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::sync::Arc;

use rusqlite::vtab::{
    Context, Filters, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};

use super::counting::{ROWS_COLUMN, WHERE_SUFFIX};
use super::plan::{self, Abilities, Asked, Condition, Field};
use super::{LOG_COLUMNS, Logs, Session, declared};
use crate::block::{Block, Column, Columns};
use crate::counts::{Counted, count_names};
use crate::error::LakeError;
use crate::pattern::Pattern;
use crate::predicate::{Matcher, Predicate, Test};
use crate::query::{Condition as LogCondition, LogField, LogQuery, TailCursor, TextTest};
use crate::snapshot::{Rowids, Scan, Snapshot};
use crate::source::{OutsideLogs, RowBatches, TableScan};
use crate::time_text;
use crate::top::{Fetched, Order, Place, Wanted};

/// Columns that a user sees.
const SEEN: usize = 7;
/// Where the hidden column of numbers of rows stands.
const ROWS: usize = SEEN;
/// Where the hidden columns of the WHERE clause of a counting statement begin.
const HIDDEN: usize = SEEN + 1;
/// The conditions taken, on the columns as they are seen and on their hidden likes.
const FIELDS: [Option<Field>; HIDDEN + SEEN] = {
    let seen = [
        Some(Field::Time),
        Some(Field::Asset),
        Some(Field::App),
        Some(Field::Severity),
        Some(Field::Message),
        None,
        None,
    ];
    let mut fields = [None; HIDDEN + SEEN];
    let mut at = 0;
    while at < SEEN {
        (fields[at], fields[HIDDEN + at]) = (seen[at], seen[at]);
        at += 1;
    }
    fields
};
/// Columns of which a counting statement may keep rows apart.
const COUNTED: i32 = 1 << Column::Asset as i32 | 1 << Column::App as i32 | 1 << Column::Severity as i32;

/// Rows sorted in one statement at most; a place takes some 50 bytes.
const SORTED_ROWS_MAX: usize = 1_000_000;
/// How many rows a store outside is thought to have; to ask it would cost a question for each plan.
const OUTSIDE_ROWS_EXPECTED: u64 = 100_000_000;
/// Bits of a row's number that say its place in its record, in rows from a store outside.
const LINE_BITS: u32 = 24;
/// Sorted rows read at once.
const FETCHED_ROWS: usize = 1_024;

/// The virtual table.
#[repr(C)]
pub(crate) struct LogTable {
    base: sqlite3_vtab,
    session: Arc<Session>,
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base struct, as the trait demands.
#[allow(unsafe_code, reason = "rusqlite's trait is unsafe to implement; its demand on the layout is met above")]
unsafe impl<'vtab> VTab<'vtab> for LogTable {
    type Aux = Arc<Session>;
    type Cursor = LogCursor<'vtab>;

    fn connect(db: &mut VTabConnection, aux: Option<&Self::Aux>, _args: &[&[u8]]) -> rusqlite::Result<(String, Self)> {
        db.config(VTabConfig::Innocuous)?;
        let session = aux.ok_or_else(|| rusqlite::Error::ModuleError("logs has no session".to_owned()))?;
        let table = Self { base: sqlite3_vtab::default(), session: Arc::clone(session) };
        Ok((format!("CREATE TABLE x({}, {})", declared(LOG_COLUMNS), hidden_columns()), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<()> {
        let rows = match &self.session.logs {
            Logs::Here(snapshot) => snapshot.rows(),
            Logs::Outside(_) => OUTSIDE_ROWS_EXPECTED,
        };
        plan::choose(info, &Abilities { fields: &FIELDS, is_sortable: true, rows });
        Ok(())
    }

    fn open(&'vtab mut self) -> rusqlite::Result<LogCursor<'vtab>> {
        Ok(LogCursor {
            base: sqlite3_vtab_cursor::default(),
            session: Arc::clone(&self.session),
            feed: Feed::Empty,
            rows: Rows::default(),
            row: 0,
            table: PhantomData,
        })
    }
}

/// The declaration of the columns that only rewritten statements name. They declare no way of comparing: SQLite loses
/// what stands behind the word HIDDEN, so that the statements name it themselves.
fn hidden_columns() -> String {
    let like = |name: &str| format!("\"{name}{WHERE_SUFFIX}\" HIDDEN TEXT");
    let columns: Vec<String> = LOG_COLUMNS.split(", ").map(like).collect();
    format!("\"{ROWS_COLUMN}\" HIDDEN INTEGER, {}", columns.join(", "))
}

/// The rows asked for.
fn predicate(asked: &Asked) -> Result<Predicate, LakeError> {
    let mut predicate = Predicate::default();
    (predicate.from, predicate.to) = (asked.from, asked.to);
    if asked.is_nothing {
        predicate.refuse_all();
    }
    for (condition, text) in &asked.texts {
        let is = || Matcher::Is(vec![text.as_str().into()]);
        let (column, matcher) = match condition {
            Condition::Asset => (Column::Asset, is()),
            Condition::App => (Column::App, is()),
            Condition::Severity => (Column::Severity, is()),
            Condition::Like => (Column::Message, Matcher::Pattern(Pattern::like(text)?)),
            _ => continue,
        };
        predicate.demand_test(Test::new(column, matcher));
    }
    Ok(predicate)
}

/// The columns of these bits, whether seen or hidden.
fn columns(used: i32) -> Columns {
    let bits = used | used >> HIDDEN;
    Column::ALL.into_iter().take(SEEN).filter(|column| bits >> *column as i32 & 1 == 1).collect()
}

/// Where a cursor's rows come from.
enum Feed {
    Empty,
    Scan(Box<Scan>),
    Sorted(Arc<Snapshot>, std::vec::IntoIter<Place>, Columns),
    Outside(RowBatches),
}

/// A position in the rows that one condition wants.
#[repr(C)]
pub(crate) struct LogCursor<'vtab> {
    base: sqlite3_vtab_cursor,
    session: Arc<Session>,
    feed: Feed,
    rows: Rows,
    row: usize,
    table: PhantomData<&'vtab LogTable>,
}

impl LogCursor<'_> {
    fn start(&mut self, asked: &Asked) -> Result<(), LakeError> {
        match self.session.logs.clone() {
            Logs::Here(snapshot) => self.start_here(asked, snapshot),
            Logs::Outside(logs) => self.start_outside(asked, &*logs),
        }
    }

    fn start_outside(&mut self, asked: &Asked, logs: &dyn OutsideLogs) -> Result<(), LakeError> {
        self.feed = Feed::Empty;
        if asked.is_nothing {
            return self.refill();
        }
        let limits = self.session.deadline.left();
        let query = outside_query(asked);
        if let Some(columns) = counted_columns(asked) {
            let fields: Vec<LogField> = columns.iter().filter_map(|column| field_of(*column)).collect();
            let counts = logs.counts(&query, &fields, &limits)?;
            let counted = counts.into_iter().map(|one| Counted { values: one.values, rows: one.count });
            self.rows = Rows::Counted(counted.collect(), columns);
            return Ok(());
        }
        let columns = columns(asked.used);
        let scan = TableScan {
            query,
            is_ordered: asked.order.is_some(),
            rows_max: asked.limit.filter(|_| asked.order.is_some()),
            has_messages: columns.has(Column::Message),
            has_attributes: columns.has(Column::Attributes),
        };
        self.feed = Feed::Outside(logs.scan(&scan, &limits)?);
        self.refill()
    }

    fn start_here(&mut self, asked: &Asked, snapshot: Arc<Snapshot>) -> Result<(), LakeError> {
        let (predicate, columns) = (predicate(asked)?, columns(asked.used));
        if let Some(columns) = counted_columns(asked) {
            let scan = Scan::new(snapshot, predicate, columns.iter().copied().collect(), self.session.deadline.clone());
            self.rows = Rows::Counted(count_names(scan, &columns)?, columns);
            return Ok(());
        }
        self.feed = match asked.order {
            None => Feed::Scan(Box::new(Scan::new(snapshot, predicate, columns, self.session.deadline.clone()))),
            Some(order) => {
                let limit = asked.limit.unwrap_or(usize::MAX).min(SORTED_ROWS_MAX + 1);
                let wanted = Wanted { predicate, order, after: None, limit };
                let (places, _) = snapshot.top(wanted, &self.session.deadline)?;
                if places.len() > SORTED_ROWS_MAX {
                    let what =
                        format!("more than {SORTED_ROWS_MAX} rows to sort; take a smaller LIMIT or a shorter time");
                    return Err(LakeError::TooLarge { what });
                }
                Feed::Sorted(snapshot, places.into_iter(), columns)
            }
        };
        self.refill()
    }

    fn refill(&mut self) -> Result<(), LakeError> {
        self.session.check_budget()?;
        self.row = 0;
        self.rows = match &mut self.feed {
            Feed::Empty => Rows::default(),
            Feed::Scan(scan) => {
                scan.next_block()?.map_or_else(Rows::default, |(block, ids)| Rows::Block(Box::new(block), ids))
            }
            Feed::Outside(batches) => {
                self.session.deadline.check()?;
                let next = batches.next().transpose()?;
                next.map_or_else(Rows::default, |rows| Rows::Outside(Box::new(Block::of_rows(&rows))))
            }
            Feed::Sorted(snapshot, places, columns) => loop {
                self.session.deadline.check()?;
                let next: Vec<Place> = places.by_ref().take(FETCHED_ROWS).collect();
                let fetched = snapshot.fetch(&next, *columns)?;
                if !fetched.rows.is_empty() || next.is_empty() {
                    break Rows::Fetched(fetched);
                }
            },
        };
        Ok(())
    }
}

/// Rows at hand.
enum Rows {
    Block(Box<Block>, Rowids),
    Fetched(Fetched),
    Outside(Box<Block>),
    /// One for all that are alike, and the columns in which rows may differ.
    Counted(Vec<Counted>, Vec<Column>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Fetched(Fetched::default())
    }
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Block(block, _) | Self::Outside(block) => block.rows(),
            Self::Fetched(fetched) => fetched.rows.len(),
            Self::Counted(counted, _) => counted.len(),
        }
    }

    /// A row's block and its place there; `None` where a row stands for several.
    fn at(&self, row: usize) -> Option<(&Block, usize)> {
        match self {
            Self::Block(block, _) | Self::Outside(block) => Some((block, row)),
            Self::Fetched(fetched) => {
                let (_, block, row) = fetched.rows[row];
                Some((&fetched.blocks[block], row))
            }
            Self::Counted(..) => None,
        }
    }

    fn rowid(&self, row: usize) -> Option<i64> {
        match self {
            Self::Block(_, ids) => Some(ids.of(row)),
            Self::Outside(block) => {
                let TailCursor { seq, line } = block.arrival(row);
                Some((seq.0 as i64) << LINE_BITS | i64::from(line))
            }
            Self::Fetched(fetched) => fetched.rows.get(row).map(|(rowid, ..)| *rowid),
            Self::Counted(..) => None,
        }
    }
}

/// The columns by whose values rows are only counted; `None` where the rows themselves are wanted.
fn counted_columns(asked: &Asked) -> Option<Vec<Column>> {
    let seen = asked.used & ((1 << HIDDEN) - 1);
    (seen >> ROWS & 1 == 1 && seen & !(COUNTED | 1 << ROWS) == 0).then(|| columns_of(seen).collect())
}

/// The rows asked for, as a store outside is asked for them.
fn outside_query(asked: &Asked) -> LogQuery {
    let conditions = asked.texts.iter().filter_map(|(condition, text)| {
        let is = |field| Some(LogCondition::is(field, text.as_str()));
        match condition {
            Condition::Asset => is(LogField::Asset),
            Condition::App => is(LogField::App),
            Condition::Severity => is(LogField::Severity),
            Condition::Like => Some(LogCondition::new(LogField::Message, TextTest::Like(text.clone()))),
            _ => None,
        }
    });
    LogQuery {
        from: asked.from,
        to: asked.to,
        conditions: conditions.collect(),
        newest_first: asked.order == Some(Order::NewestFirst),
        ..LogQuery::default()
    }
}

fn field_of(column: Column) -> Option<LogField> {
    match column {
        Column::Asset => Some(LogField::Asset),
        Column::App => Some(LogField::App),
        Column::Severity => Some(LogField::Severity),
        _ => None,
    }
}

fn columns_of(bits: i32) -> impl Iterator<Item = Column> {
    Column::ALL.into_iter().take(SEEN).filter(move |column| bits >> *column as i32 & 1 == 1)
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base struct, as the trait demands.
#[allow(unsafe_code, reason = "rusqlite's trait is unsafe to implement; its demand on the layout is met above")]
unsafe impl VTabCursor for LogCursor<'_> {
    fn filter(&mut self, number: c_int, letters: Option<&str>, values: &Filters<'_>) -> rusqlite::Result<()> {
        self.row = 0;
        let asked = Asked::read(number, letters.unwrap_or_default(), values);
        let started = asked.and_then(|asked| self.start(&asked));
        started.map_err(|error| self.session.fail(error))
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.row += 1;
        if self.row < self.rows.len() {
            return Ok(());
        }
        self.refill().map_err(|error| self.session.fail(error))
    }

    fn eof(&self) -> bool {
        self.row >= self.rows.len()
    }

    fn column(&self, context: &mut Context, index: c_int) -> rusqlite::Result<()> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if let Rows::Counted(counted, columns) = &self.rows {
            let one = &counted[self.row];
            if index == ROWS {
                return context.set_result(&(one.rows as i64));
            }
            let place = columns.iter().position(|column| *column as usize == index);
            let value = place.and_then(|place| one.values[place].as_deref());
            return value.map_or_else(|| Err(self.session.refuse_counting()), |value| context.set_result(&value));
        }
        let column = if index == ROWS { None } else { Column::ALL.get(index % HIDDEN).copied() };
        let (Some((block, row)), Some(column)) = (self.rows.at(self.row), column) else {
            return context.set_result(&1);
        };
        if column == Column::Time {
            let mut text = [0; time_text::FORMATTED_MAX];
            let text = time_text::format_into(block.time(row), &mut text);
            self.session.spend(text.len());
            return context.set_result(&text);
        }
        let text = block.text(column, row);
        self.session.spend(text.map_or(0, str::len));
        context.set_result(&text)
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        self.rows.rowid(self.row).ok_or_else(|| self.session.refuse_counting())
    }
}
