//! Which conditions of a statement a table answers itself, and how they reach it.

use rusqlite::types::ValueRef;
use rusqlite::vtab::{DistinctMode, Filters, IndexConstraintOp, IndexInfo};
use wk_types::UtcMs;

use super::TIME_COLLATION;
use crate::error::LakeError;
use crate::time_text::{self, Instant};
use crate::top::Order;

/// The bits of the used columns in a plan's number.
pub(crate) const COLUMN_BITS: i32 = 0xf_ffff;
const NEWEST_FIRST: i32 = 1 << 20;
const OLDEST_FIRST: i32 = 1 << 21;

/// How much of the rows one condition is thought to leave.
const SHARE_TIME: f64 = 0.25;
const SHARE_NAME: f64 = 0.1;

/// A column on which a table takes conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Time,
    Asset,
    App,
    Severity,
    Message,
    Metric,
}

/// A condition that a table answers itself, as a letter of the plan's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    TimeIs,
    TimeAfter,
    TimeFrom,
    TimeBefore,
    TimeTo,
    Asset,
    App,
    Severity,
    Metric,
    Like,
    Limit,
    Offset,
}

impl Condition {
    const LETTERS: [(Self, char); 12] = [
        (Self::TimeIs, '='),
        (Self::TimeAfter, '>'),
        (Self::TimeFrom, 'g'),
        (Self::TimeBefore, '<'),
        (Self::TimeTo, 'l'),
        (Self::Asset, 'a'),
        (Self::App, 'p'),
        (Self::Severity, 's'),
        (Self::Metric, 'm'),
        (Self::Like, '%'),
        (Self::Limit, 'n'),
        (Self::Offset, 'o'),
    ];

    fn of(field: Option<Field>, operator: &IndexConstraintOp) -> Option<Self> {
        use IndexConstraintOp::{
            SQLITE_INDEX_CONSTRAINT_EQ as EQ, SQLITE_INDEX_CONSTRAINT_GE as GE, SQLITE_INDEX_CONSTRAINT_GT as GT,
            SQLITE_INDEX_CONSTRAINT_LE as LE, SQLITE_INDEX_CONSTRAINT_LIKE as LIKE,
            SQLITE_INDEX_CONSTRAINT_LIMIT as LIMIT, SQLITE_INDEX_CONSTRAINT_LT as LT,
            SQLITE_INDEX_CONSTRAINT_OFFSET as OFFSET,
        };
        Some(match (field, operator) {
            (_, LIMIT) => Self::Limit,
            (_, OFFSET) => Self::Offset,
            (Some(Field::Time), EQ) => Self::TimeIs,
            (Some(Field::Time), GT) => Self::TimeAfter,
            (Some(Field::Time), GE) => Self::TimeFrom,
            (Some(Field::Time), LT) => Self::TimeBefore,
            (Some(Field::Time), LE) => Self::TimeTo,
            (Some(Field::Asset), EQ) => Self::Asset,
            (Some(Field::App), EQ) => Self::App,
            (Some(Field::Severity), EQ) => Self::Severity,
            (Some(Field::Metric), EQ) => Self::Metric,
            (Some(Field::Message), LIKE) => Self::Like,
            _ => return None,
        })
    }

    /// The only way of comparing in which the condition can be taken.
    const fn collation(self) -> Option<&'static str> {
        match self {
            Self::TimeIs | Self::TimeAfter | Self::TimeFrom | Self::TimeBefore | Self::TimeTo => Some(TIME_COLLATION),
            Self::Asset | Self::App | Self::Severity | Self::Metric => Some("BINARY"),
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

/// What a table can do.
pub(crate) struct Abilities {
    /// The conditions it takes on its columns, the hidden ones included.
    pub(crate) fields: &'static [Option<Field>],
    /// Whether it can give its rows in the order of time.
    pub(crate) is_sortable: bool,
    /// How many rows it has.
    pub(crate) rows: u64,
}

/// Chooses a plan: SQLite's answer to "which conditions do you take, and what will it cost?".
pub(crate) fn choose(info: &mut IndexInfo, abilities: &Abilities) {
    let order = if abilities.is_sortable { order(info) } else { 0 };
    let mut taken = Vec::new();
    let mut are_all_taken = true;
    for (index, constraint) in info.constraints().enumerate() {
        let field = usize::try_from(constraint.column()).ok().and_then(|column| *abilities.fields.get(column)?);
        let condition = Condition::of(field, &constraint.operator());
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
    let estimate = (abilities.rows as f64 * share).max(1.0);
    info.set_estimated_rows(estimate as i64);
    info.set_estimated_cost(if is_ordered { estimate / 2.0 } else { estimate });
    info.set_order_by_consumed(is_ordered);
    info.set_idx_str(&letters);
    info.set_idx_num(info.col_used() as i32 & COLUMN_BITS | if is_ordered { order } else { 0 });
}

/// The order that a table can give, 0 where it is another one.
fn order(info: &IndexInfo) -> i32 {
    let mut terms = info.order_bys();
    match (terms.next(), terms.next()) {
        // In all tables the time comes first.
        (Some(term), None) if term.column() == 0 && info.distinct() == DistinctMode::Ordered => {
            if term.is_order_by_desc() { NEWEST_FIRST } else { OLDEST_FIRST }
        }
        _ => 0,
    }
}

/// What a table is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The earliest time wanted.
    pub(crate) from: UtcMs,
    /// The latest time wanted.
    pub(crate) to: UtcMs,
    /// Whether no row can meet the conditions.
    pub(crate) is_nothing: bool,
    /// What texts must be, or be like.
    pub(crate) texts: Vec<(Condition, String)>,
    /// The columns used, as bits.
    pub(crate) used: i32,
    /// `None` where the order does not matter.
    pub(crate) order: Option<Order>,
    /// How many rows, where the order matters; `None` for all.
    pub(crate) limit: Option<usize>,
}

impl Asked {
    /// Reads a plan and the values of its conditions.
    pub(crate) fn read(number: i32, letters: &str, values: &Filters<'_>) -> Result<Self, LakeError> {
        let order = match number & (NEWEST_FIRST | OLDEST_FIRST) {
            NEWEST_FIRST => Some(Order::NewestFirst),
            OLDEST_FIRST => Some(Order::OldestFirst),
            _ => None,
        };
        let mut asked = Self {
            from: UtcMs::MIN,
            to: UtcMs::MAX,
            is_nothing: false,
            texts: Vec::new(),
            used: number & COLUMN_BITS,
            order,
            limit: None,
        };
        let (mut limit, mut offset) = (None, 0_usize);
        for (condition, value) in letters.chars().filter_map(Condition::from_letter).zip(values.iter()) {
            match (condition, value) {
                // A negative LIMIT means all rows.
                (Condition::Limit, ValueRef::Integer(number)) => limit = usize::try_from(number).ok(),
                (Condition::Offset, ValueRef::Integer(number)) => offset = usize::try_from(number).unwrap_or(0),
                (_, ValueRef::Null) => asked.is_nothing = true,
                (condition, value) => asked.demand(condition, value)?,
            }
        }
        asked.limit = limit.map(|limit| limit.saturating_add(offset));
        Ok(asked)
    }

    fn demand(&mut self, condition: Condition, value: ValueRef<'_>) -> Result<(), LakeError> {
        match condition {
            Condition::TimeIs => {
                let Instant { floor, ceil } = instant(value)?;
                self.is_nothing |= floor != ceil;
                (self.from, self.to) = (self.from.max(floor), self.to.min(floor));
            }
            Condition::TimeAfter => match instant(value)?.floor.0.checked_add(1) {
                Some(next) => self.from.0 = self.from.0.max(next),
                None => self.is_nothing = true,
            },
            Condition::TimeFrom => self.from = self.from.max(instant(value)?.ceil),
            Condition::TimeBefore => match instant(value)?.ceil.0.checked_sub(1) {
                Some(previous) => self.to.0 = self.to.0.min(previous),
                None => self.is_nothing = true,
            },
            Condition::TimeTo => self.to = self.to.min(instant(value)?.floor),
            Condition::Limit | Condition::Offset => {}
            _ => match value {
                ValueRef::Text(text) => self.texts.push((condition, String::from_utf8_lossy(text).into_owned())),
                ValueRef::Integer(number) => self.texts.push((condition, number.to_string())),
                ValueRef::Real(number) => self.texts.push((condition, format!("{number:?}"))),
                // A blob equals no text, and neither does null.
                ValueRef::Null | ValueRef::Blob(_) => self.is_nothing = true,
            },
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
            "could not read {text:?} as a time to compare a column of times with; write 2026-11-24 02:14:00, \
             2026-11-24T02:14:00Z or datetime('now', '-1 hour')"
        ))
    })
}
