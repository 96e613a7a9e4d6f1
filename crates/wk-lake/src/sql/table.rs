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
use crate::block::{Block, Column};
use crate::error::LakeError;
use crate::search::Place;
use crate::snapshot::{Rowids, Scan};
use crate::time_text;

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
            block: Block::bare(0),
            rowids: Rowids::default(),
            row: 0,
            table: PhantomData,
        })
    }
}

/// Where a cursor's rows come from.
enum Feed {
    Empty,
    Scan(Box<Scan>),
    Sorted(std::vec::IntoIter<Place>),
}

/// A position in the rows that one condition wants.
#[repr(C)]
pub(crate) struct LogCursor<'vtab> {
    base: sqlite3_vtab_cursor,
    session: Arc<Session>,
    feed: Feed,
    block: Block,
    rowids: Rowids,
    row: usize,
    table: PhantomData<&'vtab LogTable>,
}

impl LogCursor<'_> {
    fn start(&mut self, request: Request) -> Result<(), LakeError> {
        let snapshot = Arc::clone(&self.session.snapshot);
        let deadline = self.session.deadline;
        self.feed = match request.is_newest_first {
            None => Feed::Scan(Box::new(Scan::new(snapshot, request.predicate, request.columns, deadline))),
            Some(is_newest_first) => {
                let limit = request.limit.unwrap_or(usize::MAX).min(SORTED_ROWS_MAX + 1);
                let places = snapshot.top(&request.predicate, limit, is_newest_first, &deadline)?;
                if places.len() > SORTED_ROWS_MAX {
                    let what =
                        format!("more than {SORTED_ROWS_MAX} rows to sort; take a smaller LIMIT or a shorter time");
                    return Err(LakeError::TooLarge { what });
                }
                Feed::Sorted(places.into_iter())
            }
        };
        self.refill()
    }

    fn refill(&mut self) -> Result<(), LakeError> {
        self.row = 0;
        (self.block, self.rowids) = match &mut self.feed {
            Feed::Empty => Default::default(),
            Feed::Scan(scan) => scan.next_block()?.unwrap_or_default(),
            Feed::Sorted(places) => loop {
                self.session.deadline.check()?;
                let next: Vec<Place> = places.by_ref().take(FETCHED_ROWS).collect();
                let fetched = self.session.snapshot.fetch(&next)?;
                if !fetched.is_empty() || next.is_empty() {
                    let rowids = fetched.iter().map(|(place, _)| place.rowid()).collect();
                    break (Block::from_rows(fetched.iter().map(|(_, row)| &**row)), Rowids::Each(rowids));
                }
            },
        };
        Ok(())
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
        if self.row < self.block.rows() {
            return Ok(());
        }
        self.refill().map_err(|error| self.session.fail(error))
    }

    fn eof(&self) -> bool {
        self.row >= self.block.rows()
    }

    fn column(&self, context: &mut Context, index: c_int) -> rusqlite::Result<()> {
        let column = usize::try_from(index).ok().and_then(|index| Column::ALL.get(index).copied());
        match column {
            Some(Column::Time) => context.set_result(&time_text::format(self.block.time(self.row))),
            Some(column) => context.set_result(&self.block.text(column, self.row)),
            None => context.set_result(&Null),
        }
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        Ok(self.rowids.of(self.row))
    }
}
