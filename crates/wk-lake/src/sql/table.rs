//! `logs` as SQLite sees it.

use std::ffi::c_int;
use std::marker::PhantomData;
use std::sync::Arc;

use rusqlite::types::Null;
use rusqlite::vtab::{
    Context, Filters, IndexInfo, VTab, VTabConfig, VTabConnection, VTabCursor, sqlite3_vtab, sqlite3_vtab_cursor,
};

use super::plan::{self, Request};
use super::{LOG_COLUMNS, Session, declared};
use crate::block::{Block, Column, Columns};
use crate::error::LakeError;
use crate::snapshot::{Rowids, Scan};
use crate::time_text;
use crate::top::{Fetched, Place, Wanted};

/// Rows sorted in one statement at most; a place takes some 50 bytes.
const SORTED_ROWS_MAX: usize = 1_000_000;
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
        Ok((format!("CREATE TABLE x({})", declared(LOG_COLUMNS)), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<()> {
        plan::choose(info, self.session.snapshot.rows());
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

/// Where a cursor's rows come from.
enum Feed {
    Empty,
    Scan(Box<Scan>),
    Sorted(std::vec::IntoIter<Place>, Columns),
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
    fn start(&mut self, request: Request) -> Result<(), LakeError> {
        let snapshot = Arc::clone(&self.session.snapshot);
        let Request { predicate, columns, order, limit } = request;
        self.feed = match order {
            None => Feed::Scan(Box::new(Scan::new(snapshot, predicate, columns, self.session.deadline.clone()))),
            Some(order) => {
                let limit = limit.unwrap_or(usize::MAX).min(SORTED_ROWS_MAX + 1);
                let wanted = Wanted { predicate, order, after: None, limit };
                let (places, _) = snapshot.top(wanted, &self.session.deadline)?;
                if places.len() > SORTED_ROWS_MAX {
                    let what =
                        format!("more than {SORTED_ROWS_MAX} rows to sort; take a smaller LIMIT or a shorter time");
                    return Err(LakeError::TooLarge { what });
                }
                Feed::Sorted(places.into_iter(), columns)
            }
        };
        self.refill()
    }

    fn refill(&mut self) -> Result<(), LakeError> {
        self.row = 0;
        self.rows = match &mut self.feed {
            Feed::Empty => Rows::default(),
            Feed::Scan(scan) => scan.next_block()?.map_or_else(Rows::default, |(block, ids)| Rows::Block(block, ids)),
            Feed::Sorted(places, columns) => loop {
                self.session.deadline.check()?;
                let next: Vec<Place> = places.by_ref().take(FETCHED_ROWS).collect();
                let fetched = self.session.snapshot.fetch(&next, *columns)?;
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
    Block(Block, Rowids),
    Fetched(Fetched),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Fetched(Fetched::default())
    }
}

impl Rows {
    fn len(&self) -> usize {
        match self {
            Self::Block(block, _) => block.rows(),
            Self::Fetched(fetched) => fetched.rows.len(),
        }
    }

    /// A row's block and its place there.
    fn at(&self, row: usize) -> (&Block, usize) {
        match self {
            Self::Block(block, _) => (block, row),
            Self::Fetched(fetched) => {
                let (_, block, row) = fetched.rows[row];
                (&fetched.blocks[block], row)
            }
        }
    }

    fn rowid(&self, row: usize) -> i64 {
        match self {
            Self::Block(_, ids) => ids.of(row),
            Self::Fetched(fetched) => fetched.rows.get(row).map_or(0, |(rowid, ..)| *rowid),
        }
    }
}

// SAFETY: the struct is `repr(C)` and its first field is SQLite's base struct, as the trait demands.
#[allow(unsafe_code, reason = "rusqlite's trait is unsafe to implement; its demand on the layout is met above")]
unsafe impl VTabCursor for LogCursor<'_> {
    fn filter(&mut self, number: c_int, letters: Option<&str>, values: &Filters<'_>) -> rusqlite::Result<()> {
        let started =
            Request::read(number, letters.unwrap_or_default(), values).and_then(|request| self.start(request));
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
        let column = usize::try_from(index).ok().and_then(|index| Column::ALL.get(index).copied());
        let (block, row) = self.rows.at(self.row);
        match column {
            Some(Column::Time) => context.set_result(&time_text::format(block.time(row))),
            Some(column) => context.set_result(&block.text(column, row)),
            None => context.set_result(&Null),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.rows.rowid(self.row))
    }
}
