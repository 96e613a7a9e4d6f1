//! Which conditions of a statement the log table answers itself, and how they reach it.

use rusqlite::types::ValueRef;
use rusqlite::vtab::{DistinctMode, Filters, IndexConstraintOp, IndexInfo};

use super::TIME_COLLATION;
use crate::block::{Column, Columns};
use crate::error::LakeError;
use crate::pattern::Pattern;
use crate::predicate::{Matcher, Predicate, Test};
use crate::time_text::{self, Instant};
use crate::top::Order;

/// The bits of the columns in a plan's number.
const COLUMN_BITS: i32 = 0xff;
const NEWEST_FIRST: i32 = 1 << 8;
const OLDEST_FIRST: i32 = 1 << 9;

/// How much of the rows one condition is thought to leave.
const SHARE_TIME: f64 = 0.25;
const SHARE_NAME: f64 = 0.1;

/// A condition that the log table answers itself, as a letter of the plan's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    TimeIs,
    TimeAfter,
    TimeFrom,
    TimeBefore,
    TimeTo,
    Asset,
    App,
    Severity,
    Like,
    Limit,
    Offset,
}

impl Condition {
    const LETTERS: [(Self, char); 11] = [
        (Self::TimeIs, '='),
        (Self::TimeAfter, '>'),
        (Self::TimeFrom, 'g'),
        (Self::TimeBefore, '<'),
        (Self::TimeTo, 'l'),
        (Self::Asset, 'a'),
        (Self::App, 'p'),
        (Self::Severity, 's'),
        (Self::Like, '%'),
        (Self::Limit, 'n'),
        (Self::Offset, 'o'),
    ];

    fn of(column: i32, operator: &IndexConstraintOp) -> Option<Self> {
        use IndexConstraintOp::{
            SQLITE_INDEX_CONSTRAINT_EQ as EQ, SQLITE_INDEX_CONSTRAINT_GE as GE, SQLITE_INDEX_CONSTRAINT_GT as GT,
            SQLITE_INDEX_CONSTRAINT_LE as LE, SQLITE_INDEX_CONSTRAINT_LIKE as LIKE,
            SQLITE_INDEX_CONSTRAINT_LIMIT as LIMIT, SQLITE_INDEX_CONSTRAINT_LT as LT,
            SQLITE_INDEX_CONSTRAINT_OFFSET as OFFSET,
        };
        let column = usize::try_from(column).ok().and_then(|index| Column::ALL.get(index).copied());
        Some(match (column, operator) {
            (_, LIMIT) => Self::Limit,
            (_, OFFSET) => Self::Offset,
            (Some(Column::Time), EQ) => Self::TimeIs,
            (Some(Column::Time), GT) => Self::TimeAfter,
            (Some(Column::Time), GE) => Self::TimeFrom,
            (Some(Column::Time), LT) => Self::TimeBefore,
            (Some(Column::Time), LE) => Self::TimeTo,
            (Some(Column::Asset), EQ) => Self::Asset,
            (Some(Column::App), EQ) => Self::App,
            (Some(Column::Severity), EQ) => Self::Severity,
            (Some(Column::Message), LIKE) => Self::Like,
            _ => return None,
        })
    }

    /// The only way of comparing in which the condition can be taken.
    const fn collation(self) -> Option<&'static str> {
        match self {
            Self::TimeIs | Self::TimeAfter | Self::TimeFrom | Self::TimeBefore | Self::TimeTo => Some(TIME_COLLATION),
            Self::Asset | Self::App | Self::Severity => Some("BINARY"),
            // LIKE folds case by itself.
            Self::Like | Self::Limit | Self::Offset => None,
        }
    }

    const fn is_bound(self) -> bool {
        matches!(self, Self::Limit | Self::Offset)
    }

    /// The share of rows it is thought to leave.
    const fn share(self) -> f64 {
        match self {
            Self::TimeAfter | Self::TimeFrom | Self::TimeBefore | Self::TimeTo => SHARE_TIME,
            Self::Limit | Self::Offset => 1.0,
            _ => SHARE_NAME,
        }
    }

    fn letter(self) -> char {
        Self::LETTERS.into_iter().find(|(condition, _)| *condition == self).map_or('?', |(_, letter)| letter)
    }

    fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.into_iter().find(|(_, other)| *other == letter).map(|(condition, _)| condition)
    }
}

/// Chooses a plan: SQLite's answer to "which conditions do you take, and what will it cost?".
pub(crate) fn choose(info: &mut IndexInfo, rows: u64) {
    let order = order(info);
    let mut taken = Vec::new();
    let mut are_all_taken = true;
    for (index, constraint) in info.constraints().enumerate() {
        let condition = Condition::of(constraint.column(), &constraint.operator());
        let can_take = |condition: &Condition| {
            let collation = condition.collation();
            collation.is_none_or(|wanted| info.collation(index).is_ok_and(|name| name.eq_ignore_ascii_case(wanted)))
        };
        match condition.filter(|condition| constraint.is_usable() && can_take(condition)) {
            Some(condition) => taken.push((index, condition)),
            None => are_all_taken = false,
        }
    }
    let has_limit = taken.iter().any(|(_, condition)| *condition == Condition::Limit);
    let is_ordered = order != 0 && has_limit && are_all_taken;
    if !is_ordered {
        taken.retain(|(_, condition)| !condition.is_bound());
    }
    let mut letters = String::new();
    for (argument, (index, condition)) in taken.iter().enumerate() {
        letters.push(condition.letter());
        let mut usage = info.constraint_usage(*index);
        usage.set_argv_index(argument as i32 + 1);
        // SQLite skips and counts the rows of OFFSET and LIMIT itself; it gets those of both.
        usage.set_omit(!condition.is_bound());
    }
    let share: f64 = taken.iter().map(|(_, condition)| condition.share()).product();
    let estimate = (rows as f64 * share).max(1.0);
    info.set_estimated_rows(estimate as i64);
    info.set_estimated_cost(if is_ordered { estimate / 2.0 } else { estimate });
    info.set_order_by_consumed(is_ordered);
    info.set_idx_str(&letters);
    info.set_idx_num(info.col_used() as i32 & (COLUMN_BITS >> 1) | if is_ordered { order } else { 0 });
}

/// The order that the log table can give, 0 where it is another one.
fn order(info: &IndexInfo) -> i32 {
    let mut terms = info.order_bys();
    match (terms.next(), terms.next()) {
        (Some(term), None) if term.column() == Column::Time as i32 && info.distinct() == DistinctMode::Ordered => {
            if term.is_order_by_desc() {
                NEWEST_FIRST
            } else {
                OLDEST_FIRST
            }
        }
        _ => 0,
    }
}

/// What the log table is asked for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) predicate: Predicate,
    pub(crate) columns: Columns,
    /// `None` where the order does not matter.
    pub(crate) order: Option<Order>,
    /// How many rows, where the order matters; `None` for all.
    pub(crate) limit: Option<usize>,
}

impl Request {
    /// Reads a plan and the values of its conditions.
    pub(crate) fn read(number: i32, letters: &str, values: &Filters<'_>) -> Result<Self, LakeError> {
        let order = match number & (NEWEST_FIRST | OLDEST_FIRST) {
            NEWEST_FIRST => Some(Order::NewestFirst),
            OLDEST_FIRST => Some(Order::OldestFirst),
            _ => None,
        };
        let columns = Column::ALL.into_iter().filter(|column| number >> *column as i32 & 1 == 1).collect();
        let mut request = Self { predicate: Predicate::default(), columns, order, limit: None };
        let (mut limit, mut offset) = (None, 0_usize);
        for (condition, value) in letters.chars().filter_map(Condition::from_letter).zip(values.iter()) {
            match (condition, value) {
                // A negative LIMIT means all rows.
                (Condition::Limit, ValueRef::Integer(number)) => limit = usize::try_from(number).ok(),
                (Condition::Offset, ValueRef::Integer(number)) => offset = usize::try_from(number).unwrap_or(0),
                (_, ValueRef::Null) => request.predicate.refuse_all(),
                (condition, value) => request.demand(condition, value)?,
            }
        }
        request.limit = limit.map(|limit| limit.saturating_add(offset));
        Ok(request)
    }

    fn demand(&mut self, condition: Condition, value: ValueRef<'_>) -> Result<(), LakeError> {
        let predicate = &mut self.predicate;
        match condition {
            Condition::TimeIs => {
                let Instant { floor, ceil } = instant(value)?;
                if floor != ceil {
                    predicate.refuse_all();
                }
                (predicate.from, predicate.to) = (predicate.from.max(floor), predicate.to.min(floor));
            }
            Condition::TimeAfter => {
                let floor = instant(value)?.floor.0;
                match floor.checked_add(1) {
                    Some(next) => predicate.from.0 = predicate.from.0.max(next),
                    None => predicate.refuse_all(),
                }
            }
            Condition::TimeFrom => predicate.from = predicate.from.max(instant(value)?.ceil),
            Condition::TimeBefore => match instant(value)?.ceil.0.checked_sub(1) {
                Some(previous) => predicate.to.0 = predicate.to.0.min(previous),
                None => predicate.refuse_all(),
            },
            Condition::TimeTo => predicate.to = predicate.to.min(instant(value)?.floor),
            Condition::Asset | Condition::App | Condition::Severity | Condition::Like => {
                self.demand_text(condition, value)?;
            }
            Condition::Limit | Condition::Offset => {}
        }
        Ok(())
    }

    fn demand_text(&mut self, condition: Condition, value: ValueRef<'_>) -> Result<(), LakeError> {
        let predicate = &mut self.predicate;
        let text = match value {
            ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => format!("{number:?}"),
            // A blob equals no text, and neither does null.
            ValueRef::Null | ValueRef::Blob(_) => {
                predicate.refuse_all();
                return Ok(());
            }
        };
        match condition {
            Condition::Like => {
                predicate.demand_test(Test::new(Column::Message, Matcher::Pattern(Pattern::like(&text)?)));
            }
            Condition::Asset => predicate.demand_test(Test::new(Column::Asset, Matcher::Is(vec![text.into()]))),
            Condition::App => predicate.demand_test(Test::new(Column::App, Matcher::Is(vec![text.into()]))),
            _ => predicate.demand_test(Test::new(Column::Severity, Matcher::Is(vec![text.into()]))),
        }
        Ok(())
    }
}

fn instant(value: ValueRef<'_>) -> Result<Instant, LakeError> {
    let text = match value {
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        // As SQLite does where it compares a number with a column of texts.
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Null | ValueRef::Blob(_) => "a blob".to_owned(),
    };
    time_text::parse(&text).ok_or_else(|| {
        LakeError::query(format!(
            "could not read {text:?} as a time to compare logs.time with; write 2026-11-24 02:14:00, \
             2026-11-24T02:14:00Z or datetime('now', '-1 hour')"
        ))
    })
}
