//! What rows a query wants, and how much of a file it can rule out unread.

use std::sync::Arc;

use wk_types::{Severity, UtcMs};

use crate::block::{Block, Column, Columns};
use crate::file::GroupSummary;
use crate::name::FileName;
use crate::pattern::Pattern;
use crate::row::Row;
use crate::trigrams::{NameKind, RUN_BYTES, may_hold_name, may_hold_text};

/// A set of severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Severities(u8);

impl Severities {
    pub(crate) const ALL: Self = Self(0b1111);
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn only(severity: Severity) -> Self {
        Self(1 << severity as u8)
    }

    pub(crate) fn at_least(severity: Severity) -> Self {
        Self(Severity::ALL.into_iter().filter(|one| *one >= severity).fold(0, |bits, one| bits | 1 << one as u8))
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn has(self, severity: Severity) -> bool {
        self.0 >> severity as u8 & 1 == 1
    }
}

/// The conditions that all must hold.
#[derive(Debug, Clone)]
pub(crate) struct Predicate {
    /// The earliest time wanted.
    pub(crate) from: UtcMs,
    /// The latest time wanted.
    pub(crate) to: UtcMs,
    pub(crate) asset: Option<Arc<str>>,
    pub(crate) app: Option<Arc<str>>,
    pub(crate) severities: Severities,
    pub(crate) patterns: Vec<Pattern>,
}

impl Default for Predicate {
    fn default() -> Self {
        Self {
            from: UtcMs::MIN,
            to: UtcMs::MAX,
            asset: None,
            app: None,
            severities: Severities::ALL,
            patterns: Vec::new(),
        }
    }
}

impl Predicate {
    /// Makes the predicate one that no row meets.
    pub(crate) fn refuse_all(&mut self) {
        self.severities = Severities::NONE;
    }

    /// Demands an asset; two different ones refuse all.
    pub(crate) fn demand_asset(&mut self, name: &str) {
        match &self.asset {
            Some(known) if &**known != name => self.refuse_all(),
            _ => self.asset = Some(name.into()),
        }
    }

    /// Demands an app; two different ones refuse all.
    pub(crate) fn demand_app(&mut self, name: &str) {
        match &self.app {
            Some(known) if &**known != name => self.refuse_all(),
            _ => self.app = Some(name.into()),
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

    /// Tells whether a row group's filter could rule it out at all.
    pub(crate) fn needs_filter(&self) -> bool {
        let has_run = |pattern: &Pattern| pattern.literals().any(|literal| literal.len() >= RUN_BYTES);
        self.asset.is_some() || self.app.is_some() || self.patterns.iter().any(has_run)
    }

    /// Tells whether a row group may hold a wanted row, by its filter.
    pub(crate) fn may_match_filter(&self, filter: &[u8]) -> bool {
        self.asset.as_ref().is_none_or(|name| may_hold_name(filter, NameKind::Asset, name))
            && self.app.as_ref().is_none_or(|name| may_hold_name(filter, NameKind::App, name))
            && self.patterns.iter().all(|pattern| pattern.literals().all(|literal| may_hold_text(filter, literal)))
    }

    /// The columns that decide, messages aside.
    pub(crate) fn columns(&self) -> Columns {
        let decides = |column: &Column| match column {
            Column::Time => self.from != UtcMs::MIN || self.to != UtcMs::MAX,
            Column::Asset => self.asset.is_some(),
            Column::App => self.app.is_some(),
            Column::Severity => self.severities != Severities::ALL,
            _ => false,
        };
        Column::ALL.into_iter().filter(decides).collect()
    }

    /// The positions of the rows that meet everything but the patterns.
    pub(crate) fn positions(&self, block: &Block) -> Vec<u32> {
        let by_asset = self.asset.as_ref().and_then(|want| block.wanted_names(Column::Asset, |name| name == &**want));
        let by_app = self.app.as_ref().and_then(|want| block.wanted_names(Column::App, |name| name == &**want));
        let by_severity = (self.severities != Severities::ALL)
            .then(|| {
                let is_wanted = |name: &str| name.parse().is_ok_and(|severity| self.severities.has(severity));
                block.wanted_names(Column::Severity, is_wanted)
            })
            .flatten();
        let has_times = self.columns().has(Column::Time);
        let names = [by_asset, by_app, by_severity];
        (0..block.rows())
            .filter(|row| !has_times || self.has_time(block.time(*row)))
            .filter(|row| names.iter().flatten().all(|wanted| wanted.has(*row)))
            .map(|row| row as u32)
            .collect()
    }

    fn has_time(&self, time: UtcMs) -> bool {
        self.from <= time && time <= self.to
    }

    /// Tells whether a message meets all patterns.
    pub(crate) fn matches_text(&self, message: &str, scratch: &mut String) -> bool {
        self.patterns.iter().all(|pattern| pattern.matches(message, scratch))
    }

    /// Tells whether a buffered row meets everything.
    pub(crate) fn matches_row(&self, row: &Row, scratch: &mut String) -> bool {
        self.has_time(row.time)
            && self.severities.has(row.severity)
            && self.asset.as_ref().is_none_or(|name| &**name == row.asset.as_str())
            && self.app.as_ref().is_none_or(|name| name == &row.app)
            && self.matches_text(&row.message, scratch)
    }
}
