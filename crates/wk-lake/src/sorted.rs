//! Rows of several blocks in the order of a file: like stands beside like, which is what makes files small.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Int32Array, StringArray, StringBuilder};
use wk_types::{Severity, UtcMs};

use crate::block::{Block, Column, Values};
use crate::trigrams::{FilterBuilder, NameKind};
use crate::write::{GROUP_BYTES_MAX, GROUP_ROWS_MAX};

/// What a row counts for beside its text where groups are cut.
const ROW_OVERHEAD_BYTES: usize = 64;

/// A row's place in the order, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    app: u32,
    asset: u32,
    time: i64,
    block: u32,
    row: u32,
}

/// The distinct names of a column in all blocks, sorted, and for each block the ranks of its own.
#[derive(Debug)]
struct Names {
    sorted: StringArray,
    ranks: Vec<Vec<u32>>,
}

impl Names {
    fn of(blocks: &[Block], column: Column) -> Self {
        let names = || blocks.iter().map(|block| block.names(column).expect("blocks to sort have all columns").1);
        let mut sorted: Vec<&str> = names().flat_map(|names| names.iter().flatten()).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let rank = |name: &str| sorted.partition_point(|other| *other < name) as u32;
        let ranks = names().map(|names| names.iter().map(|name| rank(name.unwrap_or_default())).collect()).collect();
        Self { sorted: StringArray::from(sorted), ranks }
    }
}

/// Rows of several blocks, which have all columns, sorted by app, asset, time and arrival; or a part of them.
#[derive(Debug, Clone)]
pub(crate) struct Sorted<'a> {
    blocks: &'a [Block],
    assets: Arc<Names>,
    apps: Arc<Names>,
    order: Cow<'a, [Place]>,
}

impl<'a> Sorted<'a> {
    pub(crate) fn new(blocks: &'a [Block]) -> Self {
        let (assets, apps) = (Names::of(blocks, Column::Asset), Names::of(blocks, Column::App));
        let mut order = Vec::with_capacity(blocks.iter().map(Block::rows).sum());
        for (number, block) in blocks.iter().enumerate() {
            let keys = |column| block.names(column).expect("blocks to sort have all columns").0;
            let (asset_keys, app_keys) = (keys(Column::Asset), keys(Column::App));
            let times = block.times().expect("blocks to sort have all columns");
            let place = |row: usize| Place {
                app: apps.ranks[number][app_keys[row] as usize],
                asset: assets.ranks[number][asset_keys[row] as usize],
                time: times[row],
                block: number as u32,
                row: row as u32,
            };
            order.extend((0..block.rows()).map(place));
        }
        let key = |place: &Place| (place.app, place.asset, place.time);
        order.sort_unstable_by(|a: &Place, b: &Place| {
            key(a).cmp(&key(b)).then_with(|| {
                let arrival = |place: &Place| blocks[place.block as usize].arrival(place.row as usize);
                arrival(a).cmp(&arrival(b))
            })
        });
        Self { blocks, assets: Arc::new(assets), apps: Arc::new(apps), order: order.into() }
    }

    pub(crate) fn rows(&self) -> usize {
        self.order.len()
    }

    fn part(&self, range: std::ops::Range<usize>) -> Sorted<'_> {
        Sorted { order: Cow::Borrowed(&self.order[range]), ..self.clone_names() }
    }

    fn clone_names(&self) -> Sorted<'_> {
        let (assets, apps) = (Arc::clone(&self.assets), Arc::clone(&self.apps));
        Sorted { blocks: self.blocks, assets, apps, order: Cow::Borrowed(&[]) }
    }

    /// The rows in parts that each make a row group.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Sorted<'_>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let begin = start;
            let mut bytes = 0;
            while start < self.rows() && start - begin < GROUP_ROWS_MAX && (bytes < GROUP_BYTES_MAX) {
                let place = &self.order[start];
                bytes += ROW_OVERHEAD_BYTES + self.text(place, Column::Message).map_or(0, str::len);
                start += 1;
            }
            (begin < start).then(|| self.part(begin..start))
        })
    }

    /// The rows in parts of at most `rows`.
    pub(crate) fn slices(&self, rows: usize) -> impl Iterator<Item = Sorted<'_>> {
        (0..self.rows()).step_by(rows).map(move |start| self.part(start..(start + rows).min(self.rows())))
    }

    fn text(&self, place: &Place, column: Column) -> Option<&str> {
        self.blocks[place.block as usize].text(column, place.row as usize)
    }

    /// A column's values in order.
    pub(crate) fn column(&self, column: Column) -> Values {
        match column {
            Column::Time | Column::Seq | Column::Line => self.numbers(column),
            Column::Asset => names(&self.assets, self.order.iter().map(|place| place.asset)),
            Column::App => names(&self.apps, self.order.iter().map(|place| place.app)),
            Column::Severity => Values::severities(self.severity_keys().collect()),
            Column::Message | Column::Template | Column::Attributes => self.texts(column),
        }
    }

    fn numbers(&self, column: Column) -> Values {
        let columns: Vec<&[i64]> = self.blocks.iter().map(|block| block.numbers(column).unwrap_or_default()).collect();
        let numbers: Vec<i64> =
            self.order.iter().map(|place| columns[place.block as usize][place.row as usize]).collect();
        Values::Numbers(numbers.into())
    }

    fn texts(&self, column: Column) -> Values {
        let columns: Vec<Option<&StringArray>> = self.blocks.iter().map(|block| block.texts(column)).collect();
        let text = |place: &Place| {
            let texts = columns[place.block as usize]?;
            let row = place.row as usize;
            (!arrow::array::Array::is_null(texts, row)).then(|| texts.value(row))
        };
        let bytes = self.order.iter().map(|place| text(place).map_or(0, str::len)).sum();
        let mut texts = StringBuilder::with_capacity(self.rows(), bytes);
        self.order.iter().for_each(|place| texts.append_option(text(place)));
        Values::Texts(texts.finish())
    }

    fn severity_keys(&self) -> impl Iterator<Item = i32> {
        let keys: Vec<(&[i32], Vec<Severity>)> =
            self.blocks.iter().map(|block| block.severity_keys().unwrap_or_default()).collect();
        self.order.iter().map(move |place| {
            let (keys, severities) = &keys[place.block as usize];
            severities[keys[place.row as usize] as usize] as i32
        })
    }

    /// Rows of each severity, least first.
    pub(crate) fn severities(&self) -> [u64; 4] {
        let mut counts = [0; 4];
        self.severity_keys().for_each(|key| counts[key as usize] += 1);
        counts
    }

    /// The earliest and the latest time.
    pub(crate) fn times(&self) -> (UtcMs, UtcMs) {
        let times = || self.order.iter().map(|place| place.time);
        (UtcMs(times().min().unwrap_or_default()), UtcMs(times().max().unwrap_or_default()))
    }

    /// The filter of these rows.
    pub(crate) fn filter(&self) -> Vec<u8> {
        let mut filter = FilterBuilder::new();
        let mut latest = None;
        for place in self.order.iter() {
            filter.add_text(self.text(place, Column::Message).unwrap_or_default());
            if latest.replace((place.app, place.asset)) != Some((place.app, place.asset)) {
                filter.add_name(NameKind::Asset, self.assets.sorted.value(place.asset as usize));
                filter.add_name(NameKind::App, self.apps.sorted.value(place.app as usize));
            }
        }
        filter.finish()
    }
}

fn names(names: &Names, ranks: impl Iterator<Item = u32>) -> Values {
    let keys: Vec<i32> = ranks.map(|rank| rank as i32).collect();
    Values::Names(Int32Array::from(keys), names.sorted.clone())
}
