//! A simulated SNMP agent (v1 and v2c): from a request to its answer.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_snmp::message::{CommunityMessage, CommunityPdu};
use async_snmp::pdu::{ErrorIndex, OutboundErrorStatus, PduType, ResponsePdu};
use async_snmp::{DecodeConfig, Oid, Pdu, Value, VarBind, Version};
use bytes::Bytes;

/// How many values one answer holds at most.
const VALUES_MAX: usize = 512;

/// An agent: a community and objects.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The community it answers to.
    pub community: String,
    /// Its objects with their instances.
    pub objects: BTreeMap<Oid, Value>,
    /// An answer with more bytes is refused as too big.
    pub answer_bytes_max: usize,
}

impl Agent {
    /// An agent without objects.
    #[must_use]
    pub fn new(community: &str) -> Self {
        Self { community: community.to_owned(), objects: BTreeMap::new(), answer_bytes_max: 1_472 }
    }

    /// Adds an object or changes its value; a text that is no object identifier is an error of the caller's.
    ///
    /// # Panics
    /// On a text that is no object identifier.
    pub fn set(&mut self, oid: &str, value: Value) {
        self.objects.insert(Oid::parse(oid).expect("the caller writes object identifiers"), value);
    }

    /// A switch with `interfaces` interfaces whose counters stand at `octets`: system group, ifTable and ifXTable.
    #[must_use]
    pub fn switch(name: &str, interfaces: u32, octets: u64) -> Self {
        let mut agent = Self::new("public");
        let text = |text: &str| Value::OctetString(Bytes::copy_from_slice(text.as_bytes()));
        agent.set("1.3.6.1.2.1.1.1.0", text("simulated switch"));
        agent.set("1.3.6.1.2.1.1.2.0", Value::ObjectIdentifier(Oid::from_slice(&[1, 3, 6, 1, 4, 1, 8072, 3, 2, 10])));
        agent.set("1.3.6.1.2.1.1.3.0", Value::TimeTicks(8_640_000));
        agent.set("1.3.6.1.2.1.1.5.0", text(name));
        agent.set("1.3.6.1.2.1.2.1.0", Value::Integer(i32::try_from(interfaces).unwrap_or(i32::MAX)));
        for index in 1..=interfaces {
            let low = |column: u32| format!("1.3.6.1.2.1.2.2.1.{column}.{index}");
            let high = |column: u32| format!("1.3.6.1.2.1.31.1.1.1.{column}.{index}");
            agent.set(&low(2), text(&format!("port {index}")));
            agent.set(&low(7), Value::Integer(1));
            agent.set(&low(8), Value::Integer(1));
            for column in [13, 14, 19, 20] {
                agent.set(&low(column), Value::Counter32(index));
            }
            agent.set(&high(1), text(&format!("ge-0/0/{index}")));
            for column in [6, 7, 9, 10, 11] {
                agent.set(&high(column), Value::Counter64(octets));
            }
            agent.set(&high(15), Value::Gauge32(1_000));
            agent.set(&high(19), Value::TimeTicks(0));
        }
        agent
    }

    /// The answer to a datagram; none where a real agent would not answer.
    #[must_use]
    pub fn answer(&self, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = CommunityMessage::decode(Bytes::copy_from_slice(datagram), DecodeConfig::DEFAULT).ok()?.value;
        let (version, community, pdu) = message.into_parts();
        let CommunityPdu::Standard(pdu) = pdu else { return None };
        if community.as_bytes() != self.community.as_bytes() {
            return None;
        }
        let response = self.respond(version, &pdu)?;
        let encode = |response: ResponsePdu| {
            let message = match version {
                Version::V1 => CommunityMessage::v1(community.clone(), response.into_raw()),
                _ => CommunityMessage::v2c(community.clone(), response.into_raw()),
            };
            Some(message.ok()?.encode().ok()?.to_vec())
        };
        let bytes = encode(response)?;
        if bytes.len() <= self.answer_bytes_max {
            return Some(bytes);
        }
        encode(ResponsePdu::too_big(version, pdu.request_id(), Vec::new()).ok()?)
    }

    fn respond(&self, version: Version, pdu: &Pdu) -> Option<ResponsePdu> {
        let asked = pdu.varbinds();
        let values: Vec<VarBind> = match pdu.pdu_type() {
            PduType::GetRequest => asked.iter().map(|one| self.get(&one.oid)).collect(),
            PduType::GetNextRequest => asked.iter().map(|one| self.next(&one.oid)).collect(),
            PduType::GetBulkRequest => self.bulk(pdu),
            _ => return None,
        };
        let missing = values.iter().position(|one| one.value.is_exception()).filter(|_| version == Version::V1);
        let Some(missing) = missing else { return ResponsePdu::success(version, pdu.request_id(), values).ok() };
        let index = ErrorIndex::new(u32::try_from(missing).ok()? + 1, asked.len()).ok()?;
        let status = OutboundErrorStatus::NoSuchName;
        ResponsePdu::new(version, pdu.request_id(), status, Some(index), asked.to_vec()).ok()
    }

    fn get(&self, oid: &Oid) -> VarBind {
        VarBind::new(oid.clone(), self.objects.get(oid).cloned().unwrap_or(Value::NoSuchObject))
    }

    fn next(&self, oid: &Oid) -> VarBind {
        let behind = (Bound::Excluded(oid), Bound::Unbounded);
        match self.objects.range::<Oid, _>(behind).next() {
            Some((next, value)) => VarBind::new(next.clone(), value.clone()),
            None => VarBind::new(oid.clone(), Value::EndOfMibView),
        }
    }

    fn bulk(&self, pdu: &Pdu) -> Vec<VarBind> {
        let (single, repetitions) = pdu.get_bulk_fields().unwrap_or_default();
        let (single, repeated) = pdu.varbinds().split_at((single as usize).min(pdu.varbinds().len()));
        let mut values: Vec<VarBind> = single.iter().map(|one| self.next(&one.oid)).collect();
        let mut places: Vec<Oid> = repeated.iter().map(|one| one.oid.clone()).collect();
        for _ in 0..repetitions {
            if values.len() + places.len() > VALUES_MAX {
                break;
            }
            for place in &mut places {
                let next = self.next(place);
                place.clone_from(&next.oid);
                values.push(next);
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_snmp::pdu::RequestPdu;

    #[test]
    fn objects_are_answered_and_strangers_are_not() {
        let agent = Agent::switch("deck-5", 2, 7);
        let oid = Oid::parse("1.3.6.1.2.1.1.5.0").unwrap();
        let request = RequestPdu::get(Version::V2c, 1, &[oid]).unwrap();
        let datagram =
            |community: &str| CommunityMessage::v2c(community, request.clone().into_raw()).unwrap().encode().unwrap();
        let answer = agent.answer(&datagram("public")).unwrap();
        let message = CommunityMessage::decode(answer.into(), DecodeConfig::STRICT).unwrap().value;
        let pdu = message.into_pdu().unwrap();
        assert_eq!(pdu.varbinds()[0].value.as_str(), Some("deck-5"));
        assert_eq!(agent.answer(&datagram("private")), None);
        assert_eq!(agent.answer(b"nonsense"), None);
    }
}
