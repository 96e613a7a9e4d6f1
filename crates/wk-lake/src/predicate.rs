//! What rows a query wants, and how much of a file it can rule out unread.

use std::sync::Arc;

use wk_types::{Severity, UtcMs};

use crate::attributes::AttributeFinder;
use crate::block::{Block, Column, Columns, WantedNames};
use crate::error::LakeError;
use crate::file::GroupSummary;
use crate::name::FileName;
use crate::pattern::Pattern;
use crate::query::{Condition, LogField, TextTest};
use crate::regular::Regular;
use crate::trigrams::{NameKind, RUN_BYTES, may_hold_name, may_hold_text};

/// A set of severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Severities(u8);

impl Severities {
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn at_least(severity: Severity) -> Self {
        Self::that(|one| one >= severity)
    }

    pub(crate) fn that(is_wanted: impl Fn(Severity) -> bool) -> Self {
        Self(Severity::ALL.into_iter().filter(|one| is_wanted(*one)).fold(0, |bits, one| bits | 1 << one as u8))
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn has(self, severity: Severity) -> bool {
        self.0 >> severity as u8 & 1 == 1
    }
}

/// What a text must be like.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    /// One of these.
    Is(Vec<Arc<str>>),
    Pattern(Pattern),
    Regular(Regular),
}

impl Matcher {
    fn new(test: &TextTest) -> Result<Self, LakeError> {
        Ok(match test {
            TextTest::Is(values) => Self::Is(values.clone()),
            TextTest::Contains(text) => Self::Pattern(Pattern::contains(text)?),
            TextTest::Matches(expression) => Self::Regular(Regular::new(expression)?),
            TextTest::Like(pattern) => Self::Pattern(Pattern::like(pattern)?),
        })
    }

    fn passes(&self, text: &str, scratch: &mut String) -> bool {
        match self {
            Self::Is(values) => values.iter().any(|value| &**value == text),
            Self::Pattern(pattern) => pattern.matches(text, scratch),
            Self::Regular(regular) => regular.is_match(text),
        }
    }

    /// Tells whether a filter may hold a message that passes.
    fn may_pass_filter(&self, filter: &[u8]) -> bool {
        match self {
            Self::Is(values) => values.iter().any(|value| may_hold_text(filter, value.to_ascii_lowercase().as_bytes())),
            Self::Pattern(pattern) => pattern.literals().all(|literal| may_hold_text(filter, literal)),
            Self::Regular(regular) => regular.literals().all(|literal| may_hold_text(filter, literal)),
        }
    }

    /// Tells whether a filter could rule out messages at all.
    fn has_run(&self) -> bool {
        match self {
            Self::Is(values) => values.iter().all(|value| value.len() >= RUN_BYTES),
            Self::Pattern(pattern) => pattern.literals().any(|literal| literal.len() >= RUN_BYTES),
            Self::Regular(regular) => regular.literals().any(|literal| literal.len() >= RUN_BYTES),
        }
    }
}

impl LogField {
    /// The field's column, and how to find it there where the column has more.
    pub(crate) fn place(&self) -> (Column, Option<AttributeFinder>) {
        match self {
            Self::Asset => (Column::Asset, None),
            Self::App => (Column::App, None),
            Self::Severity => (Column::Severity, None),
            Self::Message => (Column::Message, None),
            Self::Template => (Column::Template, None),
            Self::Attribute(name) => (Column::Attributes, Some(AttributeFinder::new(name))),
        }
    }
}

/// A test on one column.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) column: Column,
    /// Which attribute, where the column is that of attributes; without, the whole text is meant.
    pub(crate) attribute: Option<AttributeFinder>,
    pub(crate) matcher: Matcher,
    pub(crate) is_negated: bool,
}

impl Test {
    pub(crate) const fn new(column: Column, matcher: Matcher) -> Self {
        Self { column, attribute: None, matcher, is_negated: false }
    }

    fn of(condition: &Condition) -> Result<Self, LakeError> {
        let (column, attribute) = condition.field.place();
        let matcher = Matcher::new(&condition.test)?;
        Ok(Self { column, attribute, matcher, is_negated: condition.is_negated })
    }

    /// Tells whether a row with this text is wanted.
    pub(crate) fn wants(&self, text: Option<&str>, scratch: &mut String) -> bool {
        let passes = match (&self.attribute, text) {
            (_, None) => false,
            (None, Some(text)) => self.matcher.passes(text, scratch),
            (Some(attribute), Some(json)) => {
                attribute.value(json).is_some_and(|value| self.matcher.passes(&value, scratch))
            }
        };
        passes != self.is_negated
    }

    fn may_match_filter(&self, filter: &[u8]) -> bool {
        let may_hold = |kind| match &self.matcher {
            Matcher::Is(values) => values.iter().any(|value| may_hold_name(filter, kind, value)),
            _ => true,
        };
        match self.column {
            _ if self.is_negated => true,
            Column::Asset => may_hold(NameKind::Asset),
            Column::App => may_hold(NameKind::App),
            Column::Message => self.matcher.may_pass_filter(filter),
            _ => true,
        }
    }

    fn needs_filter(&self) -> bool {
        match self.column {
            _ if self.is_negated => false,
            Column::Asset | Column::App => matches!(self.matcher, Matcher::Is(_)),
            Column::Message => self.matcher.has_run(),
            _ => false,
        }
    }
}

/// The conditions that all must hold.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    /// The earliest time wanted.
    pub(crate) from: UtcMs,
    /// The latest time wanted.
    pub(crate) to: UtcMs,
    pub(crate) severities: Severities,
    /// Tests on names, which are looked at once for each distinct one.
    names: Vec<Test>,
    /// Tests on texts, which are looked at row by row.
    texts: Vec<Test>,
}

impl Default for Predicate {
    fn default() -> Self {
        let (names, texts) = Default::default();
        Self { from: UtcMs::MIN, to: UtcMs::MAX, severities: Severities::ALL, names, texts }
    }
}

impl Predicate {
    /// Makes the predicate one that no row meets.
    pub(crate) fn refuse_all(&mut self) {
        self.severities = Severities::NONE;
    }

    /// Demands a condition.
    ///
    /// # Errors
    /// A text or expression beyond its bounds.
    pub(crate) fn demand(&mut self, condition: &Condition) -> Result<(), LakeError> {
        self.demand_test(Test::of(condition)?);
        Ok(())
    }

    pub(crate) fn demand_test(&mut self, test: Test) {
        match test.column {
            Column::Severity => {
                let wanted = Severities::that(|one| test.wants(Some(one.as_str()), &mut String::new()));
                self.severities = self.severities.and(wanted);
            }
            Column::Asset | Column::App => self.names.push(test),
            _ => self.texts.push(test),
        }
    }

    /// Tells whether a file may hold a wanted row.
    pub(crate) fn may_match_file(&self, name: &FileName) -> bool {
        self.severities != Severities::NONE && self.overlaps(name.from, name.to)
    }

    /// Tells whether a row group may hold a wanted row, by its times and severities.
    pub(crate) fn may_match_group(&self, group: &GroupSummary) -> bool {
        self.overlaps(group.from, group.to)
            && Severity::ALL.into_iter().any(|one| self.severities.has(one) && group.severities[one as usize] > 0)
    }

    fn overlaps(&self, from: UtcMs, to: UtcMs) -> bool {
        self.from <= to && from <= self.to
    }

    fn tests(&self) -> impl Iterator<Item = &Test> {
        self.names.iter().chain(&self.texts)
    }

    /// Tells whether a row group's filter could rule it out at all.
    pub(crate) fn needs_filter(&self) -> bool {
        self.tests().any(Test::needs_filter)
    }

    /// Tells whether a row group may hold a wanted row, by its filter.
    pub(crate) fn may_match_filter(&self, filter: &[u8]) -> bool {
        self.tests().all(|test| test.may_match_filter(filter))
    }

    /// The columns that decide, texts aside; where all of a group meets the bounds of times and severities, these
    /// columns need not be read.
    pub(crate) fn columns(&self, group: &GroupSummary) -> Columns {
        let is_within = self.from <= group.from && group.to <= self.to;
        let is_severity_open =
            Severity::ALL.into_iter().any(|one| !self.severities.has(one) && group.severities[one as usize] > 0);
        let bounds = [(Column::Time, !is_within), (Column::Severity, is_severity_open)];
        let bounds = bounds.into_iter().filter(|(_, is_needed)| *is_needed).map(|(column, _)| column);
        bounds.chain(self.names.iter().map(|test| test.column)).collect()
    }

    /// The columns of texts that decide.
    pub(crate) fn text_columns(&self) -> Columns {
        self.texts.iter().map(|test| test.column).collect()
    }

    /// The positions of the rows that meet everything but the tests of texts. What the block lacks is met.
    pub(crate) fn positions(&self, block: &Block) -> Vec<u32> {
        let severities = block
            .wanted_names(Column::Severity, |name| name.parse().is_ok_and(|severity| self.severities.has(severity)));
        let by_test = self
            .names
            .iter()
            .filter_map(|test| block.wanted_names(test.column, |name| test.wants(Some(name), &mut String::new())));
        let names: Vec<WantedNames<'_>> = severities.into_iter().chain(by_test).filter(|one| !one.is_all()).collect();
        let rows = 0..block.rows() as u32;
        let has_names = |row: &u32| names.iter().all(|wanted| wanted.has(*row as usize));
        match block.times() {
            Some(times) => {
                rows.filter(|row| (self.from.0..=self.to.0).contains(&times[*row as usize])).filter(has_names).collect()
            }
            None if names.is_empty() => rows.collect(),
            None => rows.filter(has_names).collect(),
        }
    }

    /// The places of the rows that meet the tests of texts, in a block with the columns of texts.
    pub(crate) fn places_of_texts(&self, block: &Block) -> Vec<u32> {
        let mut scratch = String::new();
        let mut meets =
            |row: usize| self.texts.iter().all(|test| test.wants(block.text(test.column, row), &mut scratch));
        (0..block.rows()).filter(|row| meets(*row)).map(|row| row as u32).collect()
    }

    /// The positions of the wanted rows of a block that has all columns.
    pub(crate) fn wanted(&self, block: &Block) -> Vec<u32> {
        let mut scratch = String::new();
        let mut positions = self.positions(block);
        positions.retain(|row| {
            self.texts.iter().all(|test| test.wants(block.text(test.column, *row as usize), &mut scratch))
        });
        positions
    }
}
