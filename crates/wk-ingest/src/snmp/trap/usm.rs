//! The User-based Security Model of a receiver of notifications (RFC 3414): of a trap its sender's engine is the
//! authoritative one, of an inform ours.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use async_snmp::message::{MsgFlags, MsgGlobalData, RawV3Message, ScopedPdu, V3Message};
use async_snmp::message_size::UDP_RECEIVE_LIMITS;
use async_snmp::pdu::ResponsePdu;
use async_snmp::v3::auth::{authenticate_message, verify_message};
use async_snmp::v3::{DerivedKeys, SaltCounter, UsmSecurityParams, report_oids};
use async_snmp::{
    DecodeConfig, DesSaltState, Oid, Pdu, PersistedDesSaltState, PrivProtocol, SecurityLevel, UsmConfig, Value, VarBind,
};
use bytes::Bytes;
use tokio::time::Instant;

/// How far apart the clocks of two engines may be, in seconds (RFC 3414 section 2.2.3).
const TIME_WINDOW_S: u32 = 150;
/// How many senders' clocks are remembered; those of further senders are not checked, and counted.
const ENGINES_MAX: usize = 20_000;
/// How many bytes the file of the engine may have.
const FILE_BYTES_MAX: u64 = 4_096;
/// The number of the engine file's format.
const FORMAT: &str = "1";

/// Why the node's own engine cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The file cannot be read or written.
    #[error("could not keep the SNMP engine in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not one of ours.
    #[error("could not understand {}; move it away to begin with a new engine id", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The library cannot make an engine id or a salt.
    #[error("could not make the SNMP engine: {0}")]
    Make(String),
}

/// The node's own engine: an id that stays, and how often it was started.
pub struct Engine {
    id: Bytes,
    boots: u32,
    started: Instant,
    salts: SaltCounter,
    des_salts: DesSaltState,
}

impl Engine {
    /// Reads the engine from its file, counts this start, and writes it back; makes one where there is none.
    ///
    /// # Errors
    /// A file that cannot be read, understood or written.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        let failed = |source| EngineError::File { path: path.to_owned(), source };
        let unreadable = || EngineError::Unreadable { path: path.to_owned() };
        let (id, before) = match std::fs::metadata(path) {
            Ok(meta) if meta.len() > FILE_BYTES_MAX => return Err(unreadable()),
            Ok(_) => parse(&std::fs::read_to_string(path).map_err(failed)?).ok_or_else(unreadable)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let id = async_snmp::generate_engine_id().map_err(|error| EngineError::Make(error.to_string()))?;
                (id, 0)
            }
            Err(error) => return Err(failed(error)),
        };
        // An engine whose count of starts is used up takes a new id in place of counting on (RFC 3414 section 2.2.2).
        let boots = before.checked_add(1).filter(|boots| *boots < i32::MAX as u32).ok_or_else(unreadable)?;
        write(path, &id, boots).map_err(failed)?;
        Self::new(id, boots)
    }

    fn new(id: Bytes, boots: u32) -> Result<Self, EngineError> {
        let make = |error: String| EngineError::Make(error);
        let salts = SaltCounter::new().map_err(|error| make(error.to_string()))?;
        let des_salts = if boots == 1 {
            DesSaltState::install(|_: &PersistedDesSaltState| Ok::<(), std::convert::Infallible>(()))
        } else {
            let before = PersistedDesSaltState::new(boots - 1).map_err(|error| make(error.to_string()))?;
            DesSaltState::restart(before, |_| Ok::<(), std::convert::Infallible>(()))
        };
        let des_salts = des_salts.map_err(|error| make(error.to_string()))?;
        Ok(Self { id, boots, started: Instant::now(), salts, des_salts })
    }

    fn time(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(i32::MAX as u32)
    }
}

fn parse(text: &str) -> Option<(Bytes, u32)> {
    let mut lines = text.lines();
    if lines.next()? != FORMAT {
        return None;
    }
    let id = bytes_of(lines.next()?)?;
    Some((id.into(), lines.next()?.parse().ok()?))
}

/// The bytes that a text writes in hexadecimal, with or without `0x` before it.
pub fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_start_matches("0x");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// Bytes in hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the file beside the old one and puts it in its place once it is on disk.
fn write(path: &Path, id: &[u8], boots: u32) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    write!(file, "{FORMAT}\n{}\n{boots}\n", hexadecimal(id))?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

/// A message that has passed.
pub struct Checked {
    /// The authoritative engine.
    pub engine_id: Bytes,
    /// The user's name.
    pub user_name: Bytes,
    keys: DerivedKeys,
    user: UsmConfig,
    parameters: UsmSecurityParams,
}

/// A message that has not passed.
pub struct NotPassed {
    /// Why; none where the sender only finds out the engine.
    pub reason: Option<&'static str>,
    /// The report that the sender is owed, where it asked for one.
    pub answer: Option<Vec<u8>>,
}

/// A user, and the same without encryption.
type User = (UsmConfig, UsmConfig);

/// Checks messages.
pub struct Usm {
    users: Vec<User>,
    engine: Engine,
    /// The latest starts and time of each sender's engine, and when that was.
    clocks: HashMap<Bytes, (u32, u32, Instant)>,
    /// How often each report was sent.
    reports: HashMap<&'static str, u32>,
}

impl Usm {
    /// Makes it of the users that are taken.
    pub fn new(users: Vec<User>, engine: Engine) -> Self {
        Self { users, engine, clocks: HashMap::new(), reports: HashMap::new() }
    }

    /// Checks a message (RFC 3414 section 3.2): engine, user, level, authentication, time, in this order.
    pub fn check(&mut self, raw: &RawV3Message, datagram: &[u8]) -> Result<Checked, NotPassed> {
        let parameters = UsmSecurityParams::decode(raw.security_params().clone(), DecodeConfig::DEFAULT)
            .map_err(|_| NotPassed { reason: Some("no SNMP message"), answer: None })?
            .value;
        let expects_answer = raw.global_data().msg_flags().reportable;
        let is_ours = *parameters.engine_id() == self.engine.id;
        if parameters.engine_id().is_empty() || (expects_answer && !is_ours) {
            let reason = (!parameters.engine_id().is_empty()).then_some("engine id is not ours");
            return Err(self.report(raw, &parameters, reason, report_oids::unknown_engine_ids()));
        }
        let Some((user, authenticated)) = self.users.iter().find(|(user, _)| user.username() == parameters.username())
        else {
            return Err(self.report(
                raw,
                &parameters,
                Some("user is not configured"),
                report_oids::unknown_user_names(),
            ));
        };
        let (user, authenticated) = (user.clone(), authenticated.clone());
        if raw.security_level() != user.security_level() {
            let reason = Some("security level is not the user's");
            return Err(self.report(raw, &parameters, reason, report_oids::unsupported_sec_levels()));
        }
        let keys = user
            .derive_keys(parameters.engine_id())
            .map_err(|_| NotPassed { reason: Some("keys cannot be derived"), answer: None })?;
        let checked = Checked {
            engine_id: parameters.engine_id().clone(),
            user_name: parameters.username().clone(),
            keys,
            user,
            parameters,
        };
        if raw.security_level() == SecurityLevel::NoAuthNoPriv {
            return Ok(checked);
        }
        if !is_authentic(&checked, datagram) {
            let reason = Some("authentication failed");
            return Err(self.report(raw, &checked.parameters, reason, report_oids::wrong_digests()));
        }
        if is_ours {
            self.check_own_time(raw, &checked, &authenticated)?;
        } else {
            self.check_senders_time(&checked)?;
        }
        Ok(checked)
    }

    /// Step 7a: the sender's notion of our clock. The report is authenticated, so that the sender can believe it.
    fn check_own_time(&mut self, raw: &RawV3Message, checked: &Checked, user: &UsmConfig) -> Result<(), NotPassed> {
        let (boots, time) = (checked.parameters.engine_boots(), checked.parameters.engine_time());
        if boots == self.engine.boots && time.abs_diff(self.engine.time()) <= TIME_WINDOW_S {
            return Ok(());
        }
        // A sender that has only just found out the engine asks for its time by sending none.
        let reason = ((boots, time) != (0, 0)).then_some("time of the message is not ours");
        let count = self.count("time");
        let answer = report_pdu(report_oids::not_in_time_windows(), count)
            .and_then(|pdu| self.encode(&pdu, raw.msg_id(), user, Some(&checked.keys)));
        Err(NotPassed { reason, answer: answer.ok() })
    }

    /// Step 7b: a sender's clock runs on; a message from before is a repeated one.
    fn check_senders_time(&mut self, checked: &Checked) -> Result<(), NotPassed> {
        let (boots, time) = (checked.parameters.engine_boots(), checked.parameters.engine_time());
        let late = NotPassed { reason: Some("time of the message lies behind"), answer: None };
        let now = Instant::now();
        if let Some((known_boots, known_time, at)) = self.clocks.get_mut(&checked.engine_id) {
            let passed = u32::try_from(now.duration_since(*at).as_secs()).unwrap_or(u32::MAX);
            let expected = known_time.saturating_add(passed);
            if boots < *known_boots || (boots == *known_boots && time.saturating_add(TIME_WINDOW_S) < expected) {
                return Err(late);
            }
            if boots > *known_boots || time > *known_time {
                (*known_boots, *known_time, *at) = (boots, time, now);
            }
        } else if self.clocks.len() < ENGINES_MAX {
            self.clocks.insert(checked.engine_id.clone(), (boots, time, now));
        } else {
            return Err(NotPassed { reason: Some("engines beyond 20000"), answer: None });
        }
        Ok(())
    }

    /// Decrypts what a message that has passed holds.
    pub fn decrypt(&self, checked: &Checked, data: &[u8]) -> Option<Bytes> {
        let parameters = &checked.parameters;
        let key = checked.keys.priv_key.as_ref()?;
        key.decrypt(data, parameters.engine_boots(), parameters.engine_time(), parameters.priv_params()).ok()
    }

    /// Writes an answer to a message that has passed.
    pub fn seal(&self, checked: &Checked, pdu: &Pdu, message_id: i32) -> async_snmp::Result<Vec<u8>> {
        self.encode(pdu, message_id, &checked.user, Some(&checked.keys))
    }

    fn count(&mut self, reason: &'static str) -> u32 {
        let count = self.reports.entry(reason).or_default();
        *count = count.wrapping_add(1);
        *count
    }

    fn report(
        &mut self,
        raw: &RawV3Message,
        parameters: &UsmSecurityParams,
        reason: Option<&'static str>,
        what: Oid,
    ) -> NotPassed {
        let count = self.count(reason.unwrap_or("discovery"));
        if !raw.global_data().msg_flags().reportable {
            return NotPassed { reason: reason.or(Some("engine id is missing")), answer: None };
        }
        let nobody = UsmConfig::new(parameters.username().clone());
        let answer = report_pdu(what, count).and_then(|pdu| self.encode(&pdu, raw.msg_id(), &nobody, None));
        NotPassed { reason, answer: answer.ok() }
    }

    /// Writes a message of our engine (RFC 3414 section 3.1): encrypted and authenticated as the user has it.
    fn encode(
        &self,
        pdu: &Pdu,
        message_id: i32,
        user: &UsmConfig,
        keys: Option<&DerivedKeys>,
    ) -> async_snmp::Result<Vec<u8>> {
        let (engine, level, time) = (&self.engine, user.security_level(), self.engine.time());
        let wrong = |what: &str| Box::new(async_snmp::Error::Config(what.into()));
        let auth_key = keys.and_then(|keys| keys.auth_key.as_ref()).filter(|_| level != SecurityLevel::NoAuthNoPriv);
        let scoped = ScopedPdu::new(engine.id.clone(), user.configured_context_name().clone(), pdu.clone());
        let mut parameters = UsmSecurityParams::new(engine.id.clone(), engine.boots, time, user.username().clone())?;
        if let Some(key) = auth_key {
            parameters = parameters.with_auth_placeholder(key.mac_len())?;
        }
        let flags = MsgFlags::new(level, false);
        let header = MsgGlobalData::new(message_id, UDP_RECEIVE_LIMITS.advertised(), flags)?;
        let message = if level == SecurityLevel::AuthPriv {
            let key = keys.and_then(|keys| keys.priv_key.as_ref()).ok_or_else(|| wrong("the user has no key"))?;
            let plain = scoped.encode_to_bytes()?;
            let is_des = matches!(key.protocol(), PrivProtocol::Des | PrivProtocol::Des3);
            let sealed = if is_des {
                key.encrypt_des_family(&plain, &engine.des_salts)
            } else {
                key.encrypt_aes(&plain, engine.boots, time, &engine.salts)
            };
            let (encrypted, salt) = sealed.map_err(|error| wrong(&error.to_string()))?;
            let parameters = parameters.with_priv_params(salt)?.encode()?;
            V3Message::new_with_opaque_encrypted_scoped_pdu(header, parameters, encrypted)?
        } else {
            V3Message::new(header, parameters.encode()?, scoped)?
        };
        let mut bytes = message.encode()?.to_vec();
        if let Some(key) = auth_key {
            let place = UsmSecurityParams::find_auth_params_offset(&bytes);
            let (offset, length) = place.ok_or_else(|| wrong("the message has no place for its authentication"))?;
            authenticate_message(key, &mut bytes, offset, length).map_err(|error| wrong(&error.to_string()))?;
        }
        Ok(bytes)
    }
}

fn report_pdu(what: Oid, count: u32) -> async_snmp::Result<Pdu> {
    Ok(ResponsePdu::report(0, vec![VarBind::new(what, Value::Counter32(count))])?.into_raw())
}

fn is_authentic(checked: &Checked, datagram: &[u8]) -> bool {
    let Some(key) = &checked.keys.auth_key else { return false };
    let Some((offset, length)) = UsmSecurityParams::find_auth_params_offset(datagram) else { return false };
    length == key.mac_len() && verify_message(key, datagram, offset, length).unwrap_or(false)
}
