//! Rows as they are sent and as they come back.

use wk_types::{Severity, UtcMs, VesselId};

use super::Line;
use super::row_binary::{Get, Input, Put as _, Unread};

/// The columns of a row on its way into the table, in the order of [`put_row`].
pub(super) const SENT_COLUMNS: &str =
    "vessel, time, asset, app, severity, message, template, attributes, seq, line, received";

/// Writes a row.
pub(super) fn put_row(vessel: &VesselId, received: UtcMs, line: &Line<'_>, out: &mut Vec<u8>) {
    out.put_text(vessel.as_str());
    out.extend(line.time.0.to_le_bytes());
    out.put_text(line.asset);
    out.put_text(line.app);
    out.push(line.severity as u8 + 1);
    out.put_text(line.message);
    out.push(u8::from(line.template.is_none()));
    line.template.into_iter().for_each(|template| out.put_text(template));
    out.put_length(line.attributes.len());
    for (name, value) in line.attributes {
        out.put_text(name);
        out.put_text(value);
    }
    out.extend(line.seq.0.to_le_bytes());
    out.extend(line.line.to_le_bytes());
    out.extend(received.0.to_le_bytes());
}

/// The columns of a row as it is answered; the messages and attributes may be left out. What stands in their place has no
/// name, which would count in the conditions as well.
pub(super) fn found_columns(has_messages: bool, has_attributes: bool) -> String {
    let message = if has_messages { "message" } else { "''" };
    let attributes = match has_attributes {
        true => "attributes",
        false => "CAST(map(), 'Map(LowCardinality(String), String)')",
    };
    format!("time, asset, app, severity, {message}, template, {attributes}, seq, line")
}

/// A severity by its number in the table.
pub(super) fn severity(number: i8) -> Severity {
    usize::try_from(number - 1).ok().and_then(|index| Severity::ALL.get(index).copied()).unwrap_or_default()
}

/// Lines of one severity in one bin.
pub(super) struct BinRow {
    pub(super) start: i64,
    pub(super) severity: i8,
    pub(super) lines: u64,
}

impl Get for BinRow {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        Ok(Self { start: Get::get(input)?, severity: Get::get(input)?, lines: Get::get(input)? })
    }
}

/// One combination of values, and how many there are in all.
pub(super) struct TopRow {
    pub(super) texts: Vec<Option<std::sync::Arc<str>>>,
    pub(super) lines: u64,
    pub(super) distinct: u64,
    pub(super) all_lines: u64,
}

impl Get for TopRow {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        let (texts, lines) = Get::get(input)?;
        Ok(Self { texts, lines, distinct: Get::get(input)?, all_lines: Get::get(input)? })
    }
}
