//! Structured search: rows in the order of time or of arrival.

use wk_types::Severity;

use crate::block::Columns;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::predicate::{Predicate, Severities};
use crate::query::{Cursor, LogQuery, Page, SEARCH_ROWS_MAX, Scanned, SearchLimits, Tail, TailCursor};
use crate::row::LogRow;
use crate::snapshot::{Deadline, Snapshot};
use crate::top::{Order, Wanted};

impl LogQuery {
    /// Checks the query's bounds, its patterns and its expressions; answers the severities that it leaves, least first.
    ///
    /// # Errors
    /// What [`LogSource::search`](crate::LogSource::search) would refuse.
    pub fn check(&self) -> Result<Vec<Severity>, LakeError> {
        if self.limit > SEARCH_ROWS_MAX {
            return Err(LakeError::query(format!("at most {SEARCH_ROWS_MAX} rows can be asked for at once")));
        }
        let severities = self.predicate()?.severities;
        Ok(Severity::ALL.into_iter().filter(|one| severities.has(*one)).collect())
    }

    pub(crate) fn predicate(&self) -> Result<Predicate, LakeError> {
        let severities = self.severity_min.map_or(Severities::ALL, Severities::at_least);
        let mut predicate = Predicate::default();
        (predicate.from, predicate.to, predicate.severities) = (self.from, self.to, severities);
        self.conditions.iter().try_for_each(|condition| predicate.demand(condition))?;
        Ok(predicate)
    }

    fn wanted(&self, order: Order, after: Option<Cursor>) -> Result<Wanted, LakeError> {
        self.check()?;
        Ok(Wanted { predicate: self.predicate()?, order, after, limit: self.limit })
    }

    const fn order(&self) -> Order {
        if self.newest_first { Order::NewestFirst } else { Order::OldestFirst }
    }
}

/// Rows found, and whether there may be more.
struct Found {
    rows: Vec<LogRow>,
    has_more: bool,
    scanned: Scanned,
}

impl Snapshot {
    fn find(&self, wanted: Wanted, limits: &SearchLimits) -> Result<Found, LakeError> {
        let deadline = Deadline::after(limits.time_max, &limits.cancel);
        let limit = wanted.limit;
        let (places, scanned) = self.top(wanted, &deadline)?;
        let fetched = self.fetch(&places, Columns::ALL)?;
        let mut bytes = 0;
        let rows = fetched.rows.iter().map(|(_, block, row)| fetched.blocks[*block].row(*row));
        let fits = |row: &LogRow| {
            let is_first = bytes == 0;
            bytes += row.bytes();
            is_first || bytes <= limits.bytes_max
        };
        let rows: Vec<LogRow> = rows.take_while(fits).collect();
        Ok(Found { has_more: places.len() >= limit || rows.len() < places.len(), rows, scanned })
    }
}

impl Lake {
    /// The rows that a query wants, in the order of time. Pages lose and double nothing, whatever comes in meanwhile.
    ///
    /// # Errors
    /// A query beyond its bounds, one that takes too long or is called off, or a file that cannot be read. A damaged
    /// file is set aside, reported, and left out.
    pub fn search(&self, query: &LogQuery, limits: &SearchLimits) -> Result<Page, LakeError> {
        let wanted = query.wanted(query.order(), query.after)?;
        let Found { rows, has_more, scanned } = self.snapshot().find(wanted, limits)?;
        let next = rows.last().filter(|_| has_more).map(LogRow::cursor);
        Ok(Page { rows, next, scanned })
    }

    /// The wanted rows that arrived after a place, in the order of their arrival, or, without a place, the newest ones
    /// in the order of time. Going on from the answer's `next` gives every row once, whatever its time; the order and
    /// the place of the query do not matter. [`Self::newest`] tells cheaply whether there is anything new.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn tail(&self, query: &LogQuery, after: Option<TailCursor>, limits: &SearchLimits) -> Result<Tail, LakeError> {
        let Some(after) = after else {
            let (snapshot, newest) = self.snapshot_and_end();
            let mut rows = snapshot.find(query.wanted(Order::NewestFirst, None)?, limits)?.rows;
            rows.reverse();
            return Ok(Tail { rows, next: newest, has_more: false });
        };
        let (snapshot, newest) = self.snapshot_after(after);
        let cursor = Cursor { time: query.from, arrival: after };
        let Found { rows, has_more, .. } = snapshot.find(query.wanted(Order::Arrival, Some(cursor))?, limits)?;
        let last = rows.last().filter(|_| has_more).map(LogRow::arrival);
        let has_more = last.is_some();
        Ok(Tail { rows, next: last.unwrap_or(newest.max(after)), has_more })
    }
}

#[cfg(test)]
mod tests;
