//! The dictionary: labels and assets of all series, each text once.
//!
//! Texts are sorted, so that neighbouring series refer to neighbouring texts; label names are factored out into shapes,
//! and values stand in columns as the difference to the series before, which zstd shrinks to about a byte a series.

use std::collections::HashMap;
use std::sync::Arc;

use wk_types::{AssetId, Labels, Series};

use crate::bounds::{DIRECTORY_BYTES_MAX, LABELS_MAX, SERIES_MAX};
use crate::bytes::{Cursor, put_signed, put_varint, unpack};
use crate::error::BlockError;
use crate::header::Header;

const NAME: &str = "dictionary";

/// The plain form of the dictionary of `series`.
pub(crate) fn encode_dictionary(series: &[Arc<Series>]) -> Vec<u8> {
    let (texts, positions) = sorted_texts(series);
    let mut out = Vec::new();
    put_varint(&mut out, texts.len() as u64);
    texts.iter().for_each(|text| put_varint(&mut out, text.len() as u64));
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));

    let mut shapes: Vec<(Vec<i64>, Vec<&Series>)> = Vec::new();
    let mut shape_by_names: HashMap<Vec<i64>, usize> = HashMap::new();
    let mut shape_of = Vec::with_capacity(series.len());
    for one in series {
        let names: Vec<i64> = one.labels.iter().map(|(name, _)| positions[&**name]).collect();
        let shape = *shape_by_names.entry(names).or_insert_with_key(|names| {
            shapes.push((names.clone(), Vec::new()));
            shapes.len() - 1
        });
        shapes[shape].1.push(one);
        shape_of.push(shape as i64);
    }
    put_varint(&mut out, shapes.len() as u64);
    for (names, _) in &shapes {
        put_varint(&mut out, names.len() as u64);
        put_column(&mut out, names.iter().copied());
    }
    put_column(&mut out, shape_of.into_iter());
    for (names, members) in &shapes {
        for position in 0..names.len() {
            let values = members.iter().filter_map(|one| one.labels.iter().nth(position));
            put_column(&mut out, values.map(|(_, value)| positions[&**value]));
        }
    }
    put_column(&mut out, series.iter().map(|one| positions[one.asset.as_str()]));
    out
}

/// Every text once in ascending order, and where each stands.
fn sorted_texts(series: &[Arc<Series>]) -> (Vec<&str>, HashMap<&str, i64>) {
    let mut positions: HashMap<&str, i64> = HashMap::new();
    for one in series {
        positions.insert(one.asset.as_str(), 0);
        for (name, value) in one.labels.iter() {
            positions.insert(name, 0);
            positions.insert(value, 0);
        }
    }
    let mut texts: Vec<&str> = positions.keys().copied().collect();
    texts.sort_unstable();
    for (position, text) in texts.iter().enumerate() {
        positions.insert(text, position as i64);
    }
    (texts, positions)
}

/// Writes each number as its difference to the one before.
fn put_column(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut previous = 0;
    for number in numbers {
        put_signed(out, number - previous);
        previous = number;
    }
}

/// Reads one number of a column, below `end`.
fn next_in_column(cursor: &mut Cursor<'_>, previous: &mut i64, end: usize) -> Result<usize, BlockError> {
    *previous = previous.wrapping_add(cursor.signed()?);
    usize::try_from(*previous)
        .ok()
        .filter(|number| *number < end)
        .ok_or(BlockError::corrupt(NAME, "a reference points outside its table"))
}

/// Reads all series of a block, in label order, from the stored bytes of its dictionary.
///
/// # Errors
/// Bytes that are not the dictionary of a block with this header.
pub fn decode_dictionary(header: &Header, stored: &[u8]) -> Result<Vec<Series>, BlockError> {
    let plain = unpack(stored, header.dictionary.plain as usize, DIRECTORY_BYTES_MAX, NAME)?;
    let mut cursor = Cursor::new(&plain, NAME);
    let texts = read_texts(&mut cursor)?;
    let shapes = read_shapes(&mut cursor, texts.len())?;
    let labels = read_labels(&mut cursor, header.series as usize, &texts, &shapes)?;
    let mut series: Vec<Series> = Vec::with_capacity(labels.len());
    let mut previous = 0;
    for labels in labels {
        let asset = next_in_column(&mut cursor, &mut previous, texts.len())?;
        if series.last().is_some_and(|before| before.labels >= labels) {
            return Err(BlockError::corrupt(NAME, "series are not in label order"));
        }
        series.push(Series::new(labels, AssetId::new(Arc::clone(&texts[asset]))));
    }
    cursor.finish()?;
    Ok(series)
}

fn read_texts(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<str>>, BlockError> {
    let count = cursor.count(LABELS_MAX)?;
    let lengths = (0..count).map(|_| cursor.number(DIRECTORY_BYTES_MAX)).collect::<Result<Vec<_>, _>>()?;
    let mut texts: Vec<Arc<str>> = Vec::with_capacity(count);
    for length in lengths {
        let text = std::str::from_utf8(cursor.take(length)?)
            .map_err(|_| BlockError::corrupt(NAME, "a text is not valid UTF-8"))?;
        if texts.last().is_some_and(|before| &**before >= text) {
            return Err(BlockError::corrupt(NAME, "texts do not ascend"));
        }
        texts.push(text.into());
    }
    Ok(texts)
}

fn read_shapes(cursor: &mut Cursor<'_>, texts: usize) -> Result<Vec<Vec<usize>>, BlockError> {
    let count = cursor.count(SERIES_MAX)?;
    let mut shapes = Vec::with_capacity(count);
    let mut names_left = LABELS_MAX;
    for _ in 0..count {
        let names = cursor.count(names_left)?;
        names_left -= names;
        let mut previous = 0;
        shapes.push((0..names).map(|_| next_in_column(cursor, &mut previous, texts)).collect::<Result<_, _>>()?);
    }
    Ok(shapes)
}

fn read_labels(
    cursor: &mut Cursor<'_>,
    series: usize,
    texts: &[Arc<str>],
    shapes: &[Vec<usize>],
) -> Result<Vec<Labels>, BlockError> {
    if series > cursor.left() {
        return Err(BlockError::corrupt(NAME, "it counts more series than it has bytes"));
    }
    let mut members = vec![Vec::new(); shapes.len()];
    let (mut previous, mut labels_left) = (0, LABELS_MAX);
    for position in 0..series {
        let shape = next_in_column(cursor, &mut previous, shapes.len())?;
        members[shape].push(position);
        labels_left =
            labels_left.checked_sub(shapes[shape].len()).ok_or(BlockError::corrupt(NAME, "it has too many labels"))?;
    }
    let mut pairs: Vec<Vec<(Arc<str>, Arc<str>)>> = vec![Vec::new(); series];
    for (names, members) in shapes.iter().zip(&members) {
        for name in names {
            let mut previous = 0;
            for member in members {
                let value = next_in_column(cursor, &mut previous, texts.len())?;
                pairs[*member].push((Arc::clone(&texts[*name]), Arc::clone(&texts[value])));
            }
        }
    }
    Ok(pairs.into_iter().map(Labels::new).collect())
}
