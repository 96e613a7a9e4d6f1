//! NetFlow v5 and v9 (RFC 3954) and IPFIX (RFC 7011), by the library `netflow_parser` within bounds.

use std::collections::HashMap;
use std::net::IpAddr;

use netflow_parser::static_versions::v5::V5;
use netflow_parser::variable_versions::ipfix::lookup::{IANAIPFixField as Iana, IPFixField};
use netflow_parser::variable_versions::ipfix::{FlowSetBody as IpfixBody, IPFix};
use netflow_parser::variable_versions::v9::{FlowSetBody as V9Body, V9};
use netflow_parser::{FieldValue, NetflowError, NetflowPacket, NetflowParser};

use super::record::{BadFlows, Conversation, Decoded, Flow, Sequence};

/// How many observation domains of one exporter are told apart.
pub const DOMAINS_MAX: usize = 8;
/// How many templates are kept of each sort and domain; the least used goes.
const TEMPLATES_MAX: usize = 128;
/// How many fields a template may have.
const FIELDS_MAX: usize = 128;
/// How many records one set may have.
const RECORDS_MAX: usize = 1_024;
/// How many field values one message may have.
const VALUES_MAX: usize = 16_384;
/// How many samplers of one domain are told apart.
const SAMPLERS_MAX: usize = 64;
/// The part of NetFlow v5's sampling field that is the interval; the rest is the mode.
const V5_INTERVAL: u16 = 0x3fff;

/// The observation domains of one exporter.
#[derive(Default)]
pub struct Domains(HashMap<(u16, u32), Domain>);

/// One observation domain: its templates, sequence and samplers.
struct Domain {
    parser: NetflowParser,
    sequence: Sequence,
    /// Packets that one sampled packet stands for, by sampler; 0 is the one that no id names.
    samplers: HashMap<u64, u64>,
}

impl Domains {
    /// Reads a datagram.
    pub fn decode(&mut self, datagram: &[u8]) -> Result<Decoded, BadFlows> {
        let key = key(datagram)?;
        if self.0.len() >= DOMAINS_MAX && !self.0.contains_key(&key) {
            return Err(BadFlows::Domains);
        }
        let domain = match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => new.insert(Domain::new().ok_or(BadFlows::Damaged)?),
        };
        let parsed = domain.parser.parse_bytes(datagram);
        let mut decoded = Decoded::default();
        for packet in &parsed.packets {
            match packet {
                NetflowPacket::V5(packet) => domain.v5(packet, &mut decoded),
                NetflowPacket::V9(packet) => domain.v9(packet, &mut decoded),
                NetflowPacket::IPFix(packet) => domain.ipfix(packet, &mut decoded),
                _ => return Err(BadFlows::Version),
            }
        }
        match parsed.error {
            Some(error) if decoded.flows.is_empty() => Err(judge(&error)),
            Some(_) => {
                decoded.unreadable += 1;
                Ok(decoded)
            }
            None => Ok(decoded),
        }
    }
}

/// Version and domain of a message: engine, source id or observation domain id.
fn key(datagram: &[u8]) -> Result<(u16, u32), BadFlows> {
    let word = |at: usize| datagram.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let long =
        |at: usize| datagram.get(at..at + 4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
    let version = word(0).ok_or(BadFlows::Damaged)?;
    let domain = match version {
        5 => word(20).map(u32::from),
        9 => long(16),
        10 => long(12),
        _ => return Err(BadFlows::Version),
    };
    Ok((version, domain.ok_or(BadFlows::Damaged)?))
}

fn judge(error: &NetflowError) -> BadFlows {
    match error {
        NetflowError::UnsupportedVersion { .. } | NetflowError::FilteredVersion { .. } => BadFlows::Version,
        NetflowError::DecodedOutputLimitExceeded { .. } => BadFlows::TooMuch,
        _ => BadFlows::Damaged,
    }
}

impl Domain {
    fn new() -> Option<Self> {
        let parser = NetflowParser::builder()
            .with_cache_size(TEMPLATES_MAX)
            .with_max_field_count(FIELDS_MAX)
            .with_max_records_per_flowset(RECORDS_MAX)
            .with_max_decoded_field_values_per_message(VALUES_MAX)
            .with_allowed_versions(&[5, 9, 10])
            .with_max_error_sample_size(0)
            .build()
            .ok()?;
        Some(Self { parser, sequence: Sequence::default(), samplers: HashMap::new() })
    }

    fn v5(&mut self, packet: &V5, decoded: &mut Decoded) {
        let header = &packet.header;
        decoded.lost += self.sequence.next(header.flow_sequence, header.count.into());
        let rate = u64::from((header.sampling_interval & V5_INTERVAL).max(1));
        decoded.flows.extend(packet.flowsets.iter().map(|flow| Flow {
            conversation: Some(Conversation::new(
                flow.src_addr.into(),
                flow.dst_addr.into(),
                flow.protocol_number,
                (flow.src_port, flow.dst_port),
            )),
            bytes: u64::from(flow.d_octets) * rate,
            packets: u64::from(flow.d_pkts) * rate,
        }));
    }

    fn v9(&mut self, packet: &V9, decoded: &mut Decoded) {
        decoded.lost += self.sequence.next(packet.header.sequence_number, 1);
        for set in &packet.flowsets {
            match &set.body {
                V9Body::OptionsData(data) => {
                    for options in &data.fields {
                        let fields = options.options_fields.iter().map(|(field, value)| (u16::from(*field), value));
                        self.learn_sampler(&Fields::read(fields));
                    }
                }
                V9Body::Data(data) => {
                    for record in &data.fields {
                        let fields = record.iter().map(|(field, value)| (u16::from(*field), value));
                        self.add(&Fields::read(fields), decoded);
                    }
                }
                V9Body::NoTemplate(_) => decoded.unreadable += 1,
                _ => {}
            }
        }
    }

    fn ipfix(&mut self, packet: &IPFix, decoded: &mut Decoded) {
        let (mut records, mut all_read) = (0_u32, true);
        for set in &packet.flowsets {
            match &set.body {
                IpfixBody::OptionsData(data) => {
                    records += data.fields.len() as u32;
                    for record in &data.fields {
                        self.learn_sampler(&Fields::read(ipfix_fields(record)));
                    }
                }
                IpfixBody::Data(data) => {
                    records += data.fields.len() as u32;
                    for record in &data.fields {
                        self.add(&Fields::read(ipfix_fields(record)), decoded);
                    }
                }
                IpfixBody::NoTemplate(_) => {
                    decoded.unreadable += 1;
                    all_read = false;
                }
                _ => {}
            }
        }
        // IPFIX numbers records, so that a set whose records cannot be counted leaves the next number open.
        decoded.lost += self.sequence.next(packet.header.sequence_number, records);
        if !all_read {
            self.sequence.forget();
        }
    }

    fn learn_sampler(&mut self, fields: &Fields) {
        let Some(rate) = fields.rate() else { return };
        let id = fields.sampler.unwrap_or(0);
        if self.samplers.len() < SAMPLERS_MAX || self.samplers.contains_key(&id) {
            self.samplers.insert(id, rate);
        }
    }

    fn add(&self, fields: &Fields, decoded: &mut Decoded) {
        let Some(bytes) = fields.bytes() else {
            decoded.unreadable += 1;
            return;
        };
        let known = || self.samplers.get(&fields.sampler.unwrap_or(0)).copied();
        let rate = fields.rate().or_else(known).unwrap_or(1).max(1);
        decoded.flows.push(Flow {
            conversation: fields.conversation(),
            bytes: bytes.saturating_mul(rate),
            packets: fields.packets().saturating_mul(rate),
        });
    }
}

/// The fields of a record that matter here.
#[derive(Debug, Default)]
struct Fields {
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
    bytes_both_ways: Option<u64>,
    packets_in: Option<u64>,
    packets_out: Option<u64>,
    packets_both_ways: Option<u64>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: u8,
    ports: (u16, u16),
    sampler: Option<u64>,
    interval: Option<u64>,
    space: Option<u64>,
}

impl Fields {
    /// Reads fields by their number in the registry of IPFIX, which that of NetFlow v9 is the beginning of.
    fn read<'a>(fields: impl Iterator<Item = (u16, &'a FieldValue)>) -> Self {
        let mut read = Self::default();
        for (number, value) in fields {
            let add = |sum: &mut Option<u64>| *sum = Some(sum.unwrap_or(0).saturating_add(value.as_u64().unwrap_or(0)));
            match number {
                1 => read.bytes_in = value.as_u64(),
                2 => read.packets_in = value.as_u64(),
                4 => read.protocol = protocol(value),
                7 => read.ports.0 = value.as_u16().unwrap_or(0),
                11 => read.ports.1 = value.as_u16().unwrap_or(0),
                8 | 27 => read.source = address(value).or(read.source),
                12 | 28 => read.destination = address(value).or(read.destination),
                23 => read.bytes_out = value.as_u64(),
                24 => read.packets_out = value.as_u64(),
                34 | 50 | 305 => read.interval = value.as_u64(),
                306 => read.space = value.as_u64(),
                48 | 302 => read.sampler = value.as_u64(),
                231 | 232 => add(&mut read.bytes_both_ways),
                298 | 299 => add(&mut read.packets_both_ways),
                _ => {}
            }
        }
        read
    }

    fn bytes(&self) -> Option<u64> {
        self.bytes_in.or(self.bytes_out).or(self.bytes_both_ways)
    }

    fn packets(&self) -> u64 {
        self.packets_in.or(self.packets_out).or(self.packets_both_ways).unwrap_or(0)
    }

    /// How many packets one stands for: `interval` are taken, then `space` are passed over.
    fn rate(&self) -> Option<u64> {
        let interval = self.interval.filter(|interval| *interval > 0)?;
        Some(self.space.map_or(interval, |space| interval.saturating_add(space) / interval))
    }

    fn conversation(&self) -> Option<Conversation> {
        Some(Conversation::new(self.source?, self.destination?, self.protocol, self.ports))
    }
}

fn address(value: &FieldValue) -> Option<IpAddr> {
    let address = IpAddr::try_from(value).ok()?;
    // Templates for both families leave the one that is not used at zero.
    (!address.is_unspecified()).then_some(address)
}

fn protocol(value: &FieldValue) -> u8 {
    match value {
        FieldValue::ProtocolType(protocol) => u8::from(*protocol),
        other => other.as_u8().unwrap_or(0),
    }
}

fn ipfix_fields(record: &[(IPFixField, FieldValue)]) -> impl Iterator<Item = (u16, &FieldValue)> {
    record.iter().filter_map(|(field, value)| {
        let IPFixField::IANA(field) = field else { return None };
        let number = match field {
            Iana::OctetDeltaCount => 1,
            Iana::PacketDeltaCount => 2,
            Iana::ProtocolIdentifier => 4,
            Iana::SourceTransportPort => 7,
            Iana::SourceIpv4address => 8,
            Iana::DestinationTransportPort => 11,
            Iana::DestinationIpv4address => 12,
            Iana::PostOctetDeltaCount => 23,
            Iana::PostPacketDeltaCount => 24,
            Iana::SourceIpv6address => 27,
            Iana::DestinationIpv6address => 28,
            Iana::SamplingInterval => 34,
            Iana::SamplerId => 48,
            Iana::SamplerRandomInterval => 50,
            Iana::InitiatorOctets => 231,
            Iana::ResponderOctets => 232,
            Iana::InitiatorPackets => 298,
            Iana::ResponderPackets => 299,
            Iana::SelectorId => 302,
            Iana::SamplingPacketInterval => 305,
            Iana::SamplingPacketSpace => 306,
            _ => return None,
        };
        Some((number, value))
    })
}

#[cfg(test)]
mod tests;
