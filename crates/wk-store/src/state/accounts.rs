//! Accounts: who may do what, proven by a password.
//!
//! *Source*: OWASP Password Storage Cheat Sheet (Argon2id, 19 MiB, 2 passes, 1 lane).

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use wk_types::{DurationMs, PersonRef, UtcMs};

use super::error::{Fault, StateError};
use super::journal::{NewEvent, append_event};
use super::keys::{self, Secret};
use super::{State, people, schema};

/// Fewest characters of a password.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Most bytes of a password; hashing is dear enough without long ones.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// How long a set-up token is valid.
pub const SETUP_TOKEN_VALID: DurationMs = DurationMs::from_hours(1);

const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Failures after which a name has to wait.
const FAILURES_FREE: u32 = 5;
/// The longest wait.
const WAIT_MAX: DurationMs = DurationMs::from_mins(15);
/// Names whose failures are remembered at most.
const NAMES_MAX: usize = 4_096;

const META_SETUP_HASH: &str = "setup_token_hash";
const META_SETUP_UNTIL: &str = "setup_token_until";
pub(super) const ADMIN: &str = "admin";

/// What somebody may do; each role from viewer on may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Write telemetry, and nothing else.
    Ingest,
    /// Look.
    Viewer,
    /// Acknowledge, comment and resolve.
    Operator,
    /// Approve what changes the ship's systems.
    Approver,
    /// Everything, accounts and tokens included.
    Admin,
}

impl Role {
    /// All roles, weakest first.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// The role's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => ADMIN,
        }
    }

    /// Tells whether this role may do what `needed` may; writing telemetry is for ingest and admin alone.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        match needed {
            Self::Ingest => matches!(self, Self::Ingest | Self::Admin),
            _ => self != Self::Ingest && self >= needed,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            StateError::Invalid(format!("{text:?} is no role; use ingest, viewer, operator, approver or admin"))
        })
    }
}

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The reference under which the journal names them.
    pub person: PersonRef,
    /// The name they sign in with.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When the account was made.
    pub created: UtcMs,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewAccount<'a> {
    /// The name to sign in with.
    pub name: &'a str,
    /// The first password.
    pub password: &'a str,
    /// What they may do.
    pub role: Role,
}

impl State {
    /// A one-time token to make the first account with, valid for [`SETUP_TOKEN_VALID`] and in place of the one
    /// before; `None` once there is an account.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn issue_setup_token(&self, now: UtcMs) -> Result<Option<Secret>, StateError> {
        let token = hex::encode(keys::random::<32>()?);
        self.db().write("issue a set-up token", |transaction| {
            if has_accounts(transaction)? {
                return Ok(None);
            }
            schema::set_meta(transaction, META_SETUP_HASH, blake3::hash(token.as_bytes()).to_hex().as_str())?;
            schema::set_meta(transaction, META_SETUP_UNTIL, &(now + SETUP_TOKEN_VALID).0.to_string())?;
            Ok(Some(Secret::new(token)))
        })
    }

    /// Makes the first account, an administrator's, and uses up the set-up token.
    ///
    /// # Errors
    /// A wrong or expired token, an account that is there already, an unfit name or password, or a disk that cannot be
    /// written.
    pub fn set_up(&self, token: &str, name: &str, password: &str, now: UtcMs) -> Result<Account, StateError> {
        let hash = self.gate().hash(password)?;
        let new = NewAccount { name: people::checked_name(name)?, password: &hash, role: Role::Admin };
        let (account, _) = self.write_with_journal("make the first account", |transaction, vessel| {
            if has_accounts(transaction)? {
                let what = "this node is set up already; sign in, or have an administrator make an account";
                return Err(StateError::Conflict(what.to_owned()).into());
            }
            use_setup_token(transaction, token, now)?;
            let account = insert_account(transaction, &new, now)?;
            append_event(transaction, vessel, &created(&account, &Some(account.person.clone())).borrow(), now)?;
            Ok(account)
        })?;
        Ok(account)
    }

    /// Makes an account.
    ///
    /// # Errors
    /// A name that has one, an unfit name or password, or a disk that cannot be written.
    pub fn create_account(
        &self,
        new: &NewAccount<'_>,
        by: Option<&PersonRef>,
        now: UtcMs,
    ) -> Result<Account, StateError> {
        if new.role == Role::Ingest {
            return Err(StateError::Invalid("the role ingest is for tokens; a person needs another one".to_owned()));
        }
        let hash = self.gate().hash(new.password)?;
        let new = NewAccount { name: people::checked_name(new.name)?, password: &hash, role: new.role };
        let (account, _) = self.write_with_journal("make an account", |transaction, vessel| {
            let account = insert_account(transaction, &new, now)?;
            append_event(transaction, vessel, &created(&account, &by.cloned()).borrow(), now)?;
            Ok(account)
        })?;
        Ok(account)
    }

    /// Sets a person's password and ends their sessions.
    ///
    /// # Errors
    /// A person without account, an unfit password, or a disk that cannot be written.
    pub fn set_password(
        &self,
        person: &PersonRef,
        password: &str,
        by: Option<&PersonRef>,
        now: UtcMs,
    ) -> Result<(), StateError> {
        let hash = self.gate().hash(password)?;
        let key = format!("password_set/{}", hex::encode(keys::random::<8>()?));
        self.write_journal("set a password", |transaction, vessel| {
            let changed = transaction
                .execute("UPDATE accounts SET password = ?2 WHERE person = ?1", params![person.as_str(), hash])?;
            if changed == 0 {
                return Err(StateError::NotFound(format!("{person} has no account")).into());
            }
            transaction.execute("DELETE FROM sessions WHERE person = ?1", [person.as_str()])?;
            let body = json!({ "person": person });
            append_event(transaction, vessel, &NewEvent { kind: "password_set", key: &key, by, body: &body }, now)
        })?;
        Ok(())
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// A database that cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>, StateError> {
        self.db().read("list the accounts", |connection| {
            connection
                .prepare_cached(&format!("{ACCOUNT} ORDER BY name"))?
                .query_and_then([], |row| Ok(read_account(row)?))?
                .collect()
        })
    }
}

const ACCOUNT: &str = "SELECT person, name, role, created FROM accounts JOIN people ON ref = person";

fn read_account(row: &rusqlite::Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        person: PersonRef::from(row.get::<_, String>(0)?),
        name: row.get(1)?,
        // A role this version does not know may do nothing more than look.
        role: row.get_ref(2)?.as_str()?.parse().unwrap_or(Role::Viewer),
        created: UtcMs(row.get(3)?),
    })
}

/// The account of a person.
pub(super) fn account_of(connection: &Connection, person: &str) -> rusqlite::Result<Option<Account>> {
    connection.prepare_cached(&format!("{ACCOUNT} WHERE person = ?1"))?.query_row([person], read_account).optional()
}

/// The account and the password's hash of a name.
pub(super) fn account_named(connection: &Connection, name: &str) -> rusqlite::Result<Option<(Account, String)>> {
    let Some(person) = people::find(connection, name)? else { return Ok(None) };
    let Some(account) = account_of(connection, person.as_str())? else { return Ok(None) };
    let hash = connection
        .prepare_cached("SELECT password FROM accounts WHERE person = ?1")?
        .query_row([person.as_str()], |row| row.get(0))?;
    Ok(Some((account, hash)))
}

/// Refuses to take the last administrator away.
pub(super) fn refuse_last_admin(connection: &Connection, person: &PersonRef) -> Result<(), Fault> {
    let (others, is_admin): (u64, bool) = connection.query_row(
        "SELECT count(*) FILTER (WHERE person <> ?1), count(*) FILTER (WHERE person = ?1) > 0
         FROM accounts WHERE role = ?2",
        [person.as_str(), ADMIN],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if is_admin && others == 0 {
        let what = "this is the last administrator; make another one first";
        return Err(StateError::Conflict(what.to_owned()).into());
    }
    Ok(())
}

fn has_accounts(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM accounts")?.exists([])
}

fn use_setup_token(transaction: &Transaction<'_>, token: &str, now: UtcMs) -> Result<(), Fault> {
    let stored = schema::meta(transaction, META_SETUP_HASH)?.unwrap_or_default();
    let until =
        schema::meta(transaction, META_SETUP_UNTIL)?.and_then(|text| text.parse().ok()).map_or(UtcMs::MIN, UtcMs);
    let given = blake3::hash(token.trim().as_bytes()).to_hex();
    let fits: bool = given.as_bytes().ct_eq(stored.as_bytes()).into();
    // A clock set back must not make a token last longer than it was meant to.
    let remaining = until.since(now);
    if !fits || remaining.0 <= 0 || remaining > SETUP_TOKEN_VALID {
        let what = "the set-up token is wrong or has expired; `watchkeeper setup-token` issues a new one";
        return Err(StateError::Denied(what.to_owned()).into());
    }
    transaction.execute("DELETE FROM meta WHERE name IN (?1, ?2)", [META_SETUP_HASH, META_SETUP_UNTIL])?;
    Ok(())
}

fn insert_account(transaction: &Transaction<'_>, new: &NewAccount<'_>, now: UtcMs) -> Result<Account, Fault> {
    let person = people::keep(transaction, new.name)?;
    if account_of(transaction, person.as_str())?.is_some() {
        return Err(StateError::Conflict(format!("{} has an account already", new.name)).into());
    }
    transaction.prepare_cached("INSERT INTO accounts VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        person.as_str(),
        new.role.as_str(),
        new.password,
        now.0
    ])?;
    Ok(Account { person, name: new.name.to_owned(), role: new.role, created: now })
}

/// The event "an account was made", owned.
struct Created {
    key: String,
    by: Option<PersonRef>,
    body: serde_json::Value,
}

fn created(account: &Account, by: &Option<PersonRef>) -> Created {
    Created {
        key: format!("account_created/{}/{}", account.person, account.created.0),
        by: by.clone(),
        body: json!({ "person": account.person, "role": account.role }),
    }
}

impl Created {
    fn borrow(&self) -> NewEvent<'_> {
        NewEvent { kind: "account_created", key: &self.key, by: self.by.as_ref(), body: &self.body }
    }
}

/// Hashes passwords one at a time (each takes 19 MiB) and slows down whoever guesses.
#[derive(Default)]
pub(super) struct Gate {
    failures: Mutex<HashMap<[u8; 32], Failures>>,
    hashing: Mutex<()>,
    decoy: OnceLock<String>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: UtcMs,
}

impl Failures {
    fn wait(self, now: UtcMs) -> DurationMs {
        let Some(over) = self.count.checked_sub(FAILURES_FREE) else { return DurationMs::default() };
        let whole = DurationMs::from_secs(1_i64 << over.min(16)).min(WAIT_MAX);
        let left = (self.last + whole).since(now);
        // After the clock was set back the wait still ends.
        left.max(DurationMs::default()).min(whole)
    }
}

/// How an attempt to sign in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    Right,
    Wrong,
    /// Wrong, and from here on the name has to wait.
    WrongAndBlocked,
}

impl Gate {
    /// Hashes a password that may be used.
    pub(super) fn hash(&self, password: &str) -> Result<String, StateError> {
        if password.chars().count() < PASSWORD_CHARS_MIN {
            return Err(StateError::Invalid(format!("a password has at least {PASSWORD_CHARS_MIN} characters")));
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(StateError::Invalid(format!("a password has at most {PASSWORD_BYTES_MAX} bytes")));
        }
        let _one_at_a_time = self.hashing();
        hash(password.as_bytes())
    }

    /// Tries a password against its hash; an unknown name (`None`) takes as long as a known one.
    pub(super) fn attempt(
        &self,
        name: &str,
        password: &str,
        stored: Option<&str>,
        now: UtcMs,
    ) -> Result<Attempt, StateError> {
        // Held through the check, so that attempts made at once are counted one by one.
        let _one_at_a_time = self.hashing();
        let name = *blake3::hash(name.to_lowercase().as_bytes()).as_bytes();
        let wait = self.failures().get(&name).map_or(DurationMs::default(), |failures| failures.wait(now));
        if wait.0 > 0 {
            return Err(StateError::TooManyAttempts { wait });
        }
        let decoy = match self.decoy.get() {
            Some(decoy) => decoy,
            None => {
                let made = hash(&keys::random::<32>()?)?;
                self.decoy.get_or_init(|| made)
            }
        };
        let parsed = PasswordHash::new(stored.unwrap_or(decoy)).map_err(StateError::Password)?;
        let fits = password.len() <= PASSWORD_BYTES_MAX
            && hasher().verify_password(password.as_bytes(), &parsed).is_ok()
            && stored.is_some();
        if fits {
            self.failures().remove(&name);
            return Ok(Attempt::Right);
        }
        Ok(if self.note_failure(name, now) == FAILURES_FREE { Attempt::WrongAndBlocked } else { Attempt::Wrong })
    }

    fn note_failure(&self, name: [u8; 32], now: UtcMs) -> u32 {
        let mut failures = self.failures();
        if failures.len() >= NAMES_MAX && !failures.contains_key(&name) {
            // The name with the fewest failures makes room: forgetting it helps a guesser least.
            let least =
                failures.iter().min_by_key(|(_, failures)| (failures.count, failures.last)).map(|(name, _)| *name);
            least.and_then(|least| failures.remove(&least));
        }
        let entry = failures.entry(name).or_insert(Failures { count: 0, last: now });
        *entry = Failures { count: entry.count.saturating_add(1), last: now };
        entry.count
    }

    fn failures(&self) -> MutexGuard<'_, HashMap<[u8; 32], Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hashing(&self) -> MutexGuard<'_, ()> {
        self.hashing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> Result<String, StateError> {
    let salt = SaltString::encode_b64(&keys::random::<16>()?).map_err(StateError::Password)?;
    Ok(hasher().hash_password(password, &salt).map_err(StateError::Password)?.to_string())
}

#[cfg(test)]
mod tests;
