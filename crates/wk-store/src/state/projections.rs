//! Facts enter the journal, and the tables that show incidents and signals as they stand follow in the same
//! transaction.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};
use wk_types::{
    AssetId, Because, Fact, FactBody, Incident, IncidentId, IncidentState, RuleKind, Severity, Signal, SignalId, UtcMs,
};

use super::error::{Fault, StateError};
use super::journal::{self, JournalEntry, NewEntry};
use super::{State, schema};

/// Most incidents or signals one query returns.
pub const ROWS_MAX: usize = 10_000;
/// Most entries of an incident's timeline, the newest ones.
pub const TIMELINE_ENTRIES_MAX: usize = 1_000;
/// Most signals shown of one incident, the first ones.
pub const INCIDENT_SIGNALS_MAX: usize = 1_000;
/// The engine's cursor over the intake log.
const ENGINE: &str = "engine";

/// Which incidents to list, newest number first.
#[derive(Debug, Clone, Default)]
pub struct IncidentFilter {
    /// In one of these states; empty for any.
    pub states: Vec<IncidentState>,
    /// At most so many; 0 for [`ROWS_MAX`].
    pub limit: usize,
    /// Only with a number below this one, to page on.
    pub after: Option<u64>,
}

/// Which signals to list, the last raised first.
#[derive(Debug, Clone, Default)]
pub struct SignalFilter {
    /// Of this incident.
    pub incident: Option<IncidentId>,
    /// Of this asset.
    pub asset: Option<AssetId>,
    /// Raised or ended since.
    pub since: Option<UtcMs>,
    /// Only those that still hold.
    pub holding: bool,
    /// At most so many; 0 for [`ROWS_MAX`].
    pub limit: usize,
}

/// An incident with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentDetail {
    /// The incident as it stands.
    pub incident: Incident,
    /// Its signals in the order they were raised, at most [`INCIDENT_SIGNALS_MAX`].
    pub signals: Vec<Signal>,
    /// The journal's entries that concern it, oldest first, the newest [`TIMELINE_ENTRIES_MAX`].
    pub timeline: Vec<JournalEntry>,
    /// Why each signal belongs to it, in the order they joined.
    pub because: Vec<(SignalId, Because)>,
}

impl State {
    /// Writes facts and moves the engine's cursor in one transaction; a fact whose key stands already changes nothing.
    /// Returns the journal's last entry number.
    ///
    /// # Errors
    /// A disk that cannot be written; nothing is changed then.
    pub fn record_facts(&self, facts: &[Fact], engine_cursor: wk_types::Seq, now: UtcMs) -> Result<u64, StateError> {
        self.write_journal("record the engine's facts", |transaction, vessel| {
            for fact in facts {
                let body = serde_json::to_string(fact)?;
                let key = fact.key();
                let kind = fact.body.kind();
                let new = NewEntry { recorded: now, kind, key: &key, by: person_of(&fact.body), body: &body };
                if let Some(entry) = journal::append(transaction, vessel, &new)? {
                    project(transaction, entry, &fact.body)?;
                }
            }
            schema::advance(transaction, ENGINE, engine_cursor.0)?;
            Ok(())
        })
    }

    /// The incidents that pass the filter, highest number first.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, StateError> {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let states = serde_json::to_string(&states).expect("names are always JSON");
        self.db().read("list the incidents", |connection| {
            connection
                .prepare_cached(
                    "SELECT body FROM incidents
                     WHERE (?1 = '[]' OR state IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR number < ?2)
                     ORDER BY number DESC LIMIT ?3",
                )?
                .query_and_then(params![states, filter.after, limit(filter.limit)], |row| document(row.get_ref(0)?))?
                .collect()
        })
    }

    /// One incident with its signals, timeline and reasons; `None` where there is none of this id.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn incident(&self, id: &IncidentId) -> Result<Option<IncidentDetail>, StateError> {
        self.db().read("read an incident", |connection| {
            let Some(incident) = stored_incident(connection, id)? else { return Ok(None) };
            let signals = connection
                .prepare_cached("SELECT body FROM signals WHERE incident = ?1 ORDER BY raised, entry LIMIT ?2")?
                .query_and_then(params![id.as_str(), INCIDENT_SIGNALS_MAX], |row| document(row.get_ref(0)?))?
                .collect::<Result<Vec<Signal>, Fault>>()?;
            let timeline = journal::timeline(connection, id, TIMELINE_ENTRIES_MAX)?;
            let because = because(connection, id)?;
            Ok(Some(IncidentDetail { incident, signals, timeline, because }))
        })
    }

    /// The signals that pass the filter, the last raised first.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn signals(&self, filter: &SignalFilter) -> Result<Vec<Signal>, StateError> {
        self.db().read("list the signals", |connection| {
            connection
                .prepare_cached(
                    "SELECT body FROM signals
                     WHERE (?1 IS NULL OR incident = ?1) AND (?2 IS NULL OR asset = ?2)
                       AND (?3 IS NULL OR raised >= ?3 OR ended >= ?3) AND (NOT ?4 OR ended IS NULL)
                     ORDER BY raised DESC, entry DESC LIMIT ?5",
                )?
                .query_and_then(
                    params![
                        filter.incident.as_ref().map(IncidentId::as_str),
                        filter.asset.as_ref().map(AssetId::as_str),
                        filter.since.map(|since| since.0),
                        filter.holding,
                        limit(filter.limit)
                    ],
                    |row| document(row.get_ref(0)?),
                )?
                .collect()
        })
    }

    /// One signal and the incident it belongs to; `None` where there is none of this id.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn signal(&self, id: &SignalId) -> Result<Option<(Signal, Option<IncidentId>)>, StateError> {
        self.db().read("read a signal", |connection| {
            let found = stored_signal(connection, id)?;
            Ok(found.map(|(signal, incident)| (signal, incident.map(IncidentId::from))))
        })
    }
}

fn person_of(body: &FactBody) -> Option<&wk_types::PersonRef> {
    match body {
        FactBody::IncidentAcknowledged { incident, .. } => incident.acknowledged_by.as_ref(),
        FactBody::IncidentCommented { by, .. } | FactBody::SeaModeChanged { by, .. } => by.as_ref(),
        _ => None,
    }
}

const fn limit(wanted: usize) -> usize {
    if wanted == 0 || wanted > ROWS_MAX { ROWS_MAX } else { wanted }
}

fn document<T: for<'a> Deserialize<'a>>(value: rusqlite::types::ValueRef<'_>) -> Result<T, Fault> {
    let text = value.as_str().map_err(rusqlite::Error::from)?;
    Ok(serde_json::from_str(text)?)
}

/// Brings the tables in line with one new fact.
fn project(transaction: &Transaction<'_>, entry: u64, fact: &FactBody) -> Result<(), Fault> {
    match fact {
        FactBody::SignalRaised { signal } | FactBody::SignalWorsened { signal } => {
            put_signal(transaction, entry, signal)?;
            concern_of_signal(transaction, entry, &signal.id)
        }
        FactBody::SignalCleared { signal, ended, reason } => {
            end_signal(transaction, signal, *ended, reason)?;
            concern_of_signal(transaction, entry, signal)
        }
        FactBody::IncidentOpened { incident, because } => {
            put_incident(transaction, entry, incident)?;
            incident.signals.iter().try_for_each(|signal| join(transaction, entry, &incident.id, signal, because))
        }
        FactBody::IncidentJoined { incident, signal, because }
        | FactBody::IncidentReopened { incident, signal, because } => {
            put_incident(transaction, entry, incident)?;
            join(transaction, entry, &incident.id, signal, because)
        }
        FactBody::IncidentAcknowledged { incident, .. } | FactBody::IncidentResolved { incident, .. } => {
            put_incident(transaction, entry, incident)
        }
        FactBody::IncidentEscalated { incident, to, .. } => {
            if let Some(mut stored) = stored_incident(transaction, incident)? {
                stored.severity = *to;
                put_incident(transaction, entry, &stored)?;
            }
            Ok(())
        }
        FactBody::IncidentCommented { incident, .. } => Ok(journal::concerns(transaction, incident.as_str(), entry)?),
        FactBody::RulesLoaded { .. }
        | FactBody::TopologyLoaded { .. }
        | FactBody::SeaModeChanged { .. }
        | FactBody::CommandRejected { .. } => Ok(()),
    }
}

fn put_incident(transaction: &Transaction<'_>, entry: u64, incident: &Incident) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO incidents
             (id, number, state, severity, title, opened, acknowledged, resolved, assets, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            incident.id.as_str(),
            incident.number,
            incident.state.as_str(),
            incident.severity.as_str(),
            incident.title,
            incident.opened.0,
            incident.acknowledged.map(|at| at.0),
            incident.resolved.map(|at| at.0),
            serde_json::to_string(&incident.assets)?,
            serde_json::to_string(incident)?,
        ])?;
    Ok(journal::concerns(transaction, incident.id.as_str(), entry)?)
}

/// Keeps the incident and the first entry of a signal that is there already.
fn put_signal(transaction: &Transaction<'_>, entry: u64, signal: &Signal) -> Result<(), Fault> {
    transaction
        .prepare_cached(
            "INSERT INTO signals
             (id, asset, rule_kind, rule, metric, severity, title, score, started, raised, ended, entry, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (id) DO UPDATE SET severity = excluded.severity, title = excluded.title,
               score = excluded.score, started = excluded.started, raised = excluded.raised,
               ended = excluded.ended, body = excluded.body",
        )?
        .execute(params![
            signal.id.as_str(),
            signal.asset.as_str(),
            rule_kind(signal.rule.kind),
            signal.rule.name,
            signal.metric,
            signal.severity.as_str(),
            signal.title,
            // SQLite has no NaN; a score that is none is no certainty.
            if signal.score.is_finite() { signal.score } else { 0.0 },
            signal.started.0,
            signal.raised.0,
            signal.ended.map(|at| at.0),
            entry,
            serde_json::to_string(signal)?,
        ])?;
    Ok(())
}

fn end_signal(transaction: &Transaction<'_>, id: &SignalId, ended: UtcMs, why: &str) -> Result<(), Fault> {
    let Some((mut signal, _)) = stored_signal(transaction, id)? else { return Ok(()) };
    signal.ended = Some(ended);
    transaction
        .prepare_cached("UPDATE signals SET ended = ?2, ended_why = ?3, body = ?4 WHERE id = ?1")?
        .execute(params![id.as_str(), ended.0, why, serde_json::to_string(&signal)?])?;
    Ok(())
}

/// Links a signal with its incident; the entry that raised it enters the incident's timeline.
fn join(
    transaction: &Transaction<'_>,
    entry: u64,
    incident: &IncidentId,
    signal: &SignalId,
    because: &Because,
) -> Result<(), Fault> {
    transaction.prepare_cached("INSERT OR IGNORE INTO because VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
        incident.as_str(),
        signal.as_str(),
        entry,
        because.rule,
        because.text,
        because.against
    ])?;
    let raised: Option<u64> = transaction
        .prepare_cached("UPDATE signals SET incident = ?1 WHERE id = ?2 RETURNING entry")?
        .query_row(params![incident.as_str(), signal.as_str()], |row| row.get(0))
        .optional()?;
    match raised {
        Some(raised) => Ok(journal::concerns(transaction, incident.as_str(), raised)?),
        None => Ok(()),
    }
}

fn concern_of_signal(transaction: &Transaction<'_>, entry: u64, signal: &SignalId) -> Result<(), Fault> {
    let incident: Option<String> = transaction
        .prepare_cached("SELECT incident FROM signals WHERE id = ?1")?
        .query_row([signal.as_str()], |row| row.get(0))
        .optional()?
        .flatten();
    match incident {
        Some(incident) => Ok(journal::concerns(transaction, &incident, entry)?),
        None => Ok(()),
    }
}

fn stored_incident(connection: &Connection, id: &IncidentId) -> Result<Option<Incident>, Fault> {
    connection
        .prepare_cached("SELECT body FROM incidents WHERE id = ?1")?
        .query_and_then([id.as_str()], |row| document(row.get_ref(0)?))?
        .next()
        .transpose()
}

fn stored_signal(connection: &Connection, id: &SignalId) -> Result<Option<(Signal, Option<String>)>, Fault> {
    connection
        .prepare_cached("SELECT body, incident FROM signals WHERE id = ?1")?
        .query_and_then([id.as_str()], |row| Ok((document(row.get_ref(0)?)?, row.get(1)?)))?
        .next()
        .transpose()
}

fn because(connection: &Connection, id: &IncidentId) -> Result<Vec<(SignalId, Because)>, Fault> {
    connection
        .prepare_cached(
            "SELECT signal, rule, text, against FROM because WHERE incident = ?1 ORDER BY entry, signal LIMIT ?2",
        )?
        .query_and_then(params![id.as_str(), INCIDENT_SIGNALS_MAX], |row| {
            let because = Because { rule: row.get(1)?, text: row.get(2)?, against: row.get(3)? };
            Ok((SignalId::from(row.get::<_, String>(0)?), because))
        })?
        .collect()
}

const fn rule_kind(kind: RuleKind) -> &'static str {
    match kind {
        RuleKind::Anomaly => "anomaly",
        RuleKind::Rule => "rule",
        RuleKind::Silence => "silence",
    }
}

/// Reads a severity that this module wrote; a foreign word counts as the mildest.
pub(super) fn severity_of(word: &str) -> Severity {
    word.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests;
