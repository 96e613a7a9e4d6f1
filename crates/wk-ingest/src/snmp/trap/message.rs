//! From a datagram to a notification and what its sender is owed.

use async_snmp::ber::Decoder;
use async_snmp::message::{CommunityMessage, CommunityPdu, RawMsgData, RawV3Message, ScopedPdu};
use async_snmp::notification::oids;
use async_snmp::pdu::{PduType, ResponsePdu};
use async_snmp::{Community, DecodeConfig, Oid, Pdu, SecurityLevel, Value, VarBind, Version};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::usm::{Checked, Engine, Usm};
use crate::snmp::credential::Credential;

/// How many values of one notification are kept; further ones are left out and counted.
pub const VALUES_MAX: usize = 60;

/// Why a datagram is no notification that is taken.
#[derive(Debug, thiserror::Error)]
pub enum BadTrap {
    /// The bytes are no SNMP message.
    #[error("{0}")]
    Undecodable(String),
    /// It is a message of another sort.
    #[error("the message is a {0}")]
    NotANotification(PduType),
    /// It does not name what happened.
    #[error("the notification does not begin with sysUpTime and snmpTrapOID")]
    NoName,
    /// Its community is not taken.
    #[error("the community is not among the configured ones")]
    Community,
    /// It did not pass the checks of its user.
    #[error("{0}")]
    Security(&'static str),
}

impl BadTrap {
    /// The reason under which it is counted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Undecodable(_) => "no SNMP message",
            Self::NotANotification(_) => "message is no trap or inform",
            Self::NoName => "notification without its name",
            Self::Community => "community is not configured",
            Self::Security(reason) => reason,
        }
    }
}

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Which SNMP it came in.
    pub version: Version,
    /// What happened.
    pub name: Oid,
    /// The time since the sender's management part began anew, in hundredths of a second.
    pub up_time: u32,
    /// What the sender adds.
    pub values: Vec<VarBind>,
    /// How many values were left out beyond [`VALUES_MAX`].
    pub left_out: usize,
    /// The address that an SNMPv1 trap names as its origin.
    pub origin: Option<[u8; 4]>,
    /// The user of an SNMPv3 message.
    pub user: Option<String>,
    /// The engine id of an SNMPv3 message, and whether that is authenticated.
    pub engine: Option<(Bytes, bool)>,
    /// The request id; 0 of an SNMPv1 trap.
    pub request_id: i32,
}

impl Notice {
    /// A digest of what the notification says.
    pub fn digest(&self) -> u128 {
        xxh3_128(format!("{:?} {} {:?}", self.name, self.up_time, self.values).as_bytes())
    }
}

/// What a datagram was.
pub enum Received {
    /// A notification, and for an inform its acknowledgement.
    Notice {
        /// The notification.
        notice: Box<Notice>,
        /// What is sent once it is stored.
        answer: Option<Vec<u8>>,
    },
    /// An SNMPv3 message that is answered with a report at once.
    Report {
        /// Why it is not taken; none where the sender only finds out the engine.
        reason: Option<&'static str>,
        /// The report.
        answer: Vec<u8>,
    },
}

/// Reads datagrams.
pub struct Reader {
    communities: Vec<Community>,
    any_community: bool,
    usm: Usm,
}

impl Reader {
    /// Makes a reader that takes these communities and users; any community where no credentials are given.
    pub fn new(credentials: &[Credential], engine: Engine) -> Self {
        let mut communities = Vec::new();
        let mut users = Vec::new();
        for credential in credentials {
            match credential {
                Credential::Community { community, .. } => communities.push(community.clone()),
                Credential::User { user, authenticated } => users.push((user.clone(), authenticated.clone())),
            }
        }
        Self { communities, any_community: credentials.is_empty(), usm: Usm::new(users, engine) }
    }

    /// Reads a datagram.
    pub fn read(&mut self, datagram: Bytes) -> Result<Received, BadTrap> {
        let undecodable = |error: Box<async_snmp::Error>| BadTrap::Undecodable(error.to_string());
        match RawV3Message::decode(datagram.clone(), DecodeConfig::DEFAULT) {
            Ok(raw) => self.read_v3(&raw.value, &datagram),
            Err(_) => {
                let message = CommunityMessage::decode(datagram, DecodeConfig::DEFAULT).map_err(undecodable)?;
                self.read_community(message.value)
            }
        }
    }

    fn read_community(&self, message: CommunityMessage) -> Result<Received, BadTrap> {
        let (version, community, pdu) = message.into_parts();
        if !self.any_community && !self.communities.iter().any(|known| known.matches(community.as_bytes())) {
            return Err(BadTrap::Community);
        }
        match pdu {
            CommunityPdu::TrapV1(trap) => {
                let name = trap.v2_trap_oid().map_err(|error| BadTrap::Undecodable(error.to_string()))?;
                let mut notice = notice(version, name, trap.time_stamp(), trap.varbinds().to_vec());
                notice.origin = Some(trap.agent_addr()).filter(|address| *address != [0; 4]);
                Ok(Received::Notice { notice: Box::new(notice), answer: None })
            }
            CommunityPdu::Standard(pdu) => {
                let notice = read_pdu(version, &pdu)?;
                let answer = if pdu.pdu_type() == PduType::InformRequest {
                    Some(
                        acknowledge(community, version, &pdu)
                            .map_err(|error| BadTrap::Undecodable(error.to_string()))?,
                    )
                } else {
                    None
                };
                Ok(Received::Notice { notice: Box::new(notice), answer })
            }
        }
    }

    fn read_v3(&mut self, raw: &RawV3Message, datagram: &Bytes) -> Result<Received, BadTrap> {
        let checked = match self.usm.check(raw, datagram) {
            Ok(checked) => checked,
            Err(refused) => {
                return match refused.answer {
                    Some(answer) => Ok(Received::Report { reason: refused.reason, answer }),
                    None => Err(BadTrap::Security(refused.reason.unwrap_or("engine id is missing"))),
                };
            }
        };
        let plain = match raw.msg_data() {
            RawMsgData::Plaintext { data, .. } => data.clone(),
            RawMsgData::Encrypted(data) => {
                self.usm.decrypt(&checked, data).ok_or(BadTrap::Security("message cannot be decrypted"))?
            }
        };
        let scoped = ScopedPdu::decode(&mut Decoder::new(plain).with_decode_config(DecodeConfig::DEFAULT))
            .map_err(|error| BadTrap::Undecodable(error.to_string()))?;
        let mut notice = read_pdu(Version::V3, &scoped.pdu)?;
        let is_authenticated = raw.security_level() != SecurityLevel::NoAuthNoPriv;
        notice.engine = Some((checked.engine_id.clone(), is_authenticated));
        notice.user = Some(String::from_utf8_lossy(&checked.user_name).into_owned());
        let answer = if scoped.pdu.pdu_type() == PduType::InformRequest {
            Some(self.acknowledge_v3(&checked, &scoped.pdu, raw.msg_id())?)
        } else {
            None
        };
        Ok(Received::Notice { notice: Box::new(notice), answer })
    }

    fn acknowledge_v3(&self, checked: &Checked, pdu: &Pdu, message_id: i32) -> Result<Vec<u8>, BadTrap> {
        let failed = |error: Box<async_snmp::Error>| BadTrap::Undecodable(error.to_string());
        let response = ResponsePdu::success(Version::V3, pdu.request_id(), pdu.varbinds().to_vec()).map_err(failed)?;
        self.usm.seal(checked, &response.into_raw(), message_id).map_err(failed)
    }
}

fn acknowledge(community: Community, version: Version, pdu: &Pdu) -> async_snmp::Result<Vec<u8>> {
    let response = ResponsePdu::success(version, pdu.request_id(), pdu.varbinds().to_vec())?;
    Ok(CommunityMessage::v2c(community, response)?.encode()?.to_vec())
}

/// Reads an SNMPv2 trap or an inform (RFC 3416 section 4.2.6): its values begin with sysUpTime and snmpTrapOID.
fn read_pdu(version: Version, pdu: &Pdu) -> Result<Notice, BadTrap> {
    if !matches!(pdu.pdu_type(), PduType::TrapV2 | PduType::InformRequest) {
        return Err(BadTrap::NotANotification(pdu.pdu_type()));
    }
    let [up_time, name, values @ ..] = pdu.varbinds() else { return Err(BadTrap::NoName) };
    let (Value::TimeTicks(up_time), Value::ObjectIdentifier(oid)) = (&up_time.value, &name.value) else {
        return Err(BadTrap::NoName);
    };
    if name.oid != oids::snmp_trap_oid() {
        return Err(BadTrap::NoName);
    }
    let mut notice = notice(version, oid.clone(), *up_time, values.to_vec());
    notice.request_id = pdu.request_id();
    Ok(notice)
}

fn notice(version: Version, name: Oid, up_time: u32, mut values: Vec<VarBind>) -> Notice {
    let left_out = values.len().saturating_sub(VALUES_MAX);
    values.truncate(VALUES_MAX);
    Notice { version, name, up_time, values, left_out, origin: None, user: None, engine: None, request_id: 0 }
}
