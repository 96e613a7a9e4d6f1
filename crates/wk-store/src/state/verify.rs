//! Verifying the journal: every hash, every seal, the signed head beside the database, and a witness from elsewhere.
//!
//! What is found: an entry that was edited, moved, removed or put in; a tail that was cut (against `journal.head` or a
//! witness); a chain that was computed anew (against the seals); and a journal that another key signed (against
//! `journal.head` or a witness). What cannot be found without a witness: the whole data folder put back to an older
//! copy, or replaced together with its key.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;
use wk_types::{PersonRef, UtcMs, VesselId};

use super::error::{Fault, StateError};
use super::head::{self, HEAD_FORMAT, Head, HeadFile};
use super::journal::{self, NewEntry};
use super::{META_PUBLIC_KEY, open_existing, schema};

/// Findings that are listed; further ones are only counted.
const FINDINGS_MAX: usize = 100;
/// The triggers that keep the journal append-only.
const GUARDS: [&str; 5] = ["journal_grows", "journal_keeps", "journal_stands", "seals_keep", "seals_stand"];

/// What sort of damage was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// An entry's text does not give its hash: it was edited, or entries changed places.
    Edited,
    /// An entry number is missing in the middle or at the beginning.
    Missing,
    /// Entries are missing at the end.
    Cut,
    /// The chain fits in itself, but is not the one that was signed.
    Rewritten,
    /// Another key than this node's signed.
    ForeignKey,
    /// A signature is not its key's.
    BadSignature,
    /// `journal.head` is missing or cannot be read.
    HeadFile,
    /// A trigger that keeps the journal append-only is missing.
    Guard,
}

/// One thing that is wrong with a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort it is.
    pub kind: FindingKind,
    /// The entry it was found at, where it is about one.
    pub entry: Option<u64>,
    /// What was found, in plain words.
    pub text: String,
}

/// What verifying a journal gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Whose journal it is.
    pub vessel: VesselId,
    /// The key that is pinned for it, 64 hexadecimal digits.
    pub key: String,
    /// How many entries were read.
    pub entries: u64,
    /// Up to which entry a genuine signature vouches; later ones are only chained.
    pub sealed: u64,
    /// How many seals were checked.
    pub seals: u64,
    /// The last entry's hash, 64 hexadecimal digits.
    pub hash: String,
    /// What is wrong, the first hundred.
    pub findings: Vec<Finding>,
    /// How much is wrong.
    pub findings_total: u64,
}

impl VerifyReport {
    /// Tells whether nothing was found.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.findings_total == 0
    }

    fn found(&mut self, kind: FindingKind, entry: Option<u64>, text: impl Into<String>) {
        self.findings_total += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { kind, entry, text: text.into() });
        }
    }
}

/// Verifies the journal in the folder `dir`, whether its node is up or down; `witness` is a head exported earlier.
///
/// # Errors
/// No state in the folder, a newer schema, or files that cannot be read. A journal that was tampered with is no error
/// but a report with findings.
///
/// *Limits*: reads each entry once; memory does not grow with the journal, save 40 bytes a seal.
pub fn verify_journal(dir: &Path, witness: Option<&Head>) -> Result<VerifyReport, StateError> {
    let (db, vessel) = open_existing(dir)?;
    // Before the database, so that what a running node seals meanwhile is in the database for certain.
    let mut heads = read_heads(dir)?;
    let main = heads.first().and_then(|(_, file)| match file {
        HeadFile::Read(head) => Some(head.key.clone()),
        _ => None,
    });
    if let Some(witness) = witness {
        heads.push(("the witness".to_owned(), HeadFile::Read(witness.clone())));
    }
    db.read("verify the journal", |connection| {
        let stored_key = schema::meta(connection, META_PUBLIC_KEY)?.unwrap_or_default();
        let mut report = VerifyReport {
            vessel: vessel.clone(),
            key: main.unwrap_or_else(|| stored_key.clone()),
            entries: 0,
            sealed: 0,
            seals: 0,
            hash: hex::encode(journal::genesis(&vessel)),
            findings: Vec::new(),
            findings_total: 0,
        };
        if stored_key != report.key {
            report.found(FindingKind::ForeignKey, None, "the database names another key than journal.head");
        }
        check_guards(connection, &mut report)?;
        let mut claims = seals(connection, &mut report)?;
        claims.extend(genuine_claims(&heads, &mut report));
        claims.sort_by_key(|claim| claim.entries);
        walk(connection, claims, &mut report)?;
        Ok(report)
    })
}

/// A signed statement about the journal that its entries must bear out.
struct Claim {
    entries: u64,
    hash: [u8; 32],
    whence: String,
}

fn read_heads(dir: &Path) -> Result<Vec<(String, HeadFile)>, StateError> {
    let mut heads = vec![(head::HEAD_FILE.to_owned(), head::read(&head::head_path(dir))?)];
    for path in head::files(dir)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name != head::HEAD_FILE {
            heads.push((name, head::read(&path)?));
        }
    }
    Ok(heads)
}

fn check_guards(connection: &Connection, report: &mut VerifyReport) -> Result<(), Fault> {
    for guard in GUARDS {
        let stands =
            connection.prepare("SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name = ?1")?.exists([guard])?;
        if !stands {
            report.found(FindingKind::Guard, None, format!("the guard {guard} of the journal was removed"));
        }
    }
    Ok(())
}

fn seals(connection: &Connection, report: &mut VerifyReport) -> Result<Vec<Claim>, Fault> {
    let mut statement = connection.prepare("SELECT entry, hash, signature FROM seals ORDER BY entry")?;
    let mut rows = statement.query([])?;
    let mut claims = Vec::new();
    while let Some(row) = rows.next()? {
        let head = Head {
            format: HEAD_FORMAT,
            vessel: report.vessel.clone(),
            entries: row.get(0)?,
            hash: row.get(1)?,
            key: report.key.clone(),
            signature: row.get(2)?,
        };
        report.seals += 1;
        if head.is_genuine() {
            claims.extend(claim(&head, format!("the seal at entry {}", head.entries)));
        } else {
            let text = format!("the seal at entry {} was not signed by the pinned key", head.entries);
            report.found(FindingKind::BadSignature, Some(head.entries), text);
        }
    }
    Ok(claims)
}

fn genuine_claims(heads: &[(String, HeadFile)], report: &mut VerifyReport) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (name, file) in heads {
        let head = match file {
            HeadFile::Missing => {
                report.found(FindingKind::HeadFile, None, format!("{name} is missing"));
                continue;
            }
            HeadFile::Unreadable => {
                report.found(FindingKind::HeadFile, None, format!("{name} cannot be read"));
                continue;
            }
            HeadFile::Read(head) => head,
        };
        if head.format != HEAD_FORMAT || !head.is_genuine() {
            report.found(FindingKind::BadSignature, None, format!("the signature of {name} is not its key's"));
        } else if head.vessel != report.vessel {
            report.found(FindingKind::ForeignKey, None, format!("{name} is about the vessel {}", head.vessel));
        } else if head.key != report.key {
            let text = format!("{name} was signed by another key: this journal is not the one it vouched for");
            report.found(FindingKind::ForeignKey, None, text);
        } else {
            claims.extend(claim(head, name.clone()));
        }
    }
    claims
}

fn claim(head: &Head, whence: String) -> Option<Claim> {
    let mut hash = [0_u8; 32];
    hex::decode_to_slice(&head.hash, &mut hash).ok()?;
    Some(Claim { entries: head.entries, hash, whence })
}

/// Follows the chain from its beginning and holds every claim against the entry it is about.
fn walk(connection: &Connection, claims: Vec<Claim>, report: &mut VerifyReport) -> Result<(), Fault> {
    let mut claims = claims.into_iter().peekable();
    let (mut previous, mut known) = (journal::genesis(&report.vessel), true);
    while let Some(claim) = claims.next_if(|claim| claim.entries == 0) {
        bear_out(&claim, Some(&previous), report);
    }
    let mut statement =
        connection.prepare("SELECT entry, recorded, kind, key, person, body, hash FROM journal ORDER BY entry")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entry: u64 = row.get(0)?;
        let by = row.get::<_, Option<String>>(4)?.map(PersonRef::from);
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
        let new =
            NewEntry { recorded: UtcMs(row.get(1)?), kind: text(2)?, key: text(3)?, by: by.as_ref(), body: text(5)? };
        let stored: [u8; 32] = row.get(6)?;
        if entry != report.entries + 1 {
            let (first, last) = (report.entries + 1, entry.saturating_sub(1));
            let text = format!("entries {first} to {last} are missing");
            report.found(FindingKind::Missing, Some(first), text);
            known = false;
        }
        // After a gap the hash before is not known; the chain is taken up again at the stored one.
        if known && journal::entry_hash(&previous, entry, &new) != stored {
            report.found(FindingKind::Edited, Some(entry), format!("entry {entry} is not what was written"));
        }
        (previous, known) = (stored, true);
        report.entries = entry;
        while let Some(claim) = claims.next_if(|claim| claim.entries <= entry) {
            let hash = (claim.entries == entry).then_some(&stored);
            bear_out(&claim, hash, report);
        }
    }
    report.hash = hex::encode(previous);
    for claim in claims {
        let text = format!(
            "{} vouches for {} entries, the journal ends at {}: entries at the end were removed",
            claim.whence, claim.entries, report.entries
        );
        report.found(FindingKind::Cut, Some(report.entries + 1), text);
    }
    Ok(())
}

/// Holds a claim against the hash of the entry it is about; an entry that is missing was reported with its gap.
fn bear_out(claim: &Claim, hash: Option<&[u8; 32]>, report: &mut VerifyReport) {
    match hash {
        Some(hash) if *hash == claim.hash => report.sealed = report.sealed.max(claim.entries),
        Some(_) => {
            let text = format!("{} vouches for another entry {} than stands here", claim.whence, claim.entries);
            report.found(FindingKind::Rewritten, Some(claim.entries), text);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests;
