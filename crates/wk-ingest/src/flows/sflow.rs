//! sFlow version 5 (sflow.org, sflow_version_5.txt): flow samples. Counter samples are passed over, since SNMP tells the
//! same.
//!
//! Read in place: the parsers that exist as libraries reserve what a length field claims, up to 100 MB, and give a
//! whole datagram up for one record that they cannot read.

use std::collections::HashMap;

use super::packet;
use super::record::{BadFlows, Conversation, Decoded, Flow, Sequence};

/// How many samples one datagram may have, and records one sample.
const SAMPLES_MAX: u32 = 1_024;
/// How many sub-agents of one exporter are told apart.
const AGENTS_MAX: usize = 64;

const VERSION: u32 = 5;
const ADDRESS_IPV4: u32 = 1;
const ADDRESS_IPV6: u32 = 2;
const FLOW_SAMPLE: u32 = 1;
const FLOW_SAMPLE_EXPANDED: u32 = 3;
const SAMPLED_HEADER: u32 = 1;
const SAMPLED_IPV4: u32 = 3;
const SAMPLED_IPV6: u32 = 4;
const HEADER_ETHERNET: u32 = 1;
const HEADER_IPV4: u32 = 11;
const HEADER_IPV6: u32 = 12;

/// The sub-agents of one exporter.
#[derive(Debug, Default)]
pub struct Agents(HashMap<u32, Sequence>);

/// Bytes in the external data representation (RFC 4506).
struct Xdr<'a>(&'a [u8]);

impl<'a> Xdr<'a> {
    fn number(&mut self) -> Result<u32, BadFlows> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or(BadFlows::Damaged)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*head))
    }

    fn skip(&mut self, numbers: usize) -> Result<(), BadFlows> {
        self.0 = self.0.get(numbers * 4..).ok_or(BadFlows::Damaged)?;
        Ok(())
    }

    /// Bytes with their length before them, filled up to a multiple of four.
    fn opaque(&mut self) -> Result<&'a [u8], BadFlows> {
        let length = self.number()? as usize;
        let whole = length.checked_next_multiple_of(4).ok_or(BadFlows::Damaged)?;
        let bytes = self.0.get(..length).ok_or(BadFlows::Damaged)?;
        self.0 = self.0.get(whole..).ok_or(BadFlows::Damaged)?;
        Ok(bytes)
    }

    fn count(&mut self) -> Result<u32, BadFlows> {
        let count = self.number()?;
        if count > SAMPLES_MAX { Err(BadFlows::TooMuch) } else { Ok(count) }
    }
}

impl Agents {
    /// Reads a datagram.
    pub fn decode(&mut self, datagram: &[u8]) -> Result<Decoded, BadFlows> {
        let mut xdr = Xdr(datagram);
        if xdr.number()? != VERSION {
            return Err(BadFlows::Version);
        }
        match xdr.number()? {
            ADDRESS_IPV4 => xdr.skip(1)?,
            ADDRESS_IPV6 => xdr.skip(4)?,
            _ => return Err(BadFlows::Damaged),
        }
        let (agent, number, _up_time) = (xdr.number()?, xdr.number()?, xdr.number()?);
        let mut decoded = Decoded::default();
        for _ in 0..xdr.count()? {
            let (kind, body) = (xdr.number()?, xdr.opaque()?);
            let read = match kind {
                FLOW_SAMPLE => flow_sample(Xdr(body), false),
                FLOW_SAMPLE_EXPANDED => flow_sample(Xdr(body), true),
                _ => continue,
            };
            match read {
                Ok(Some(flow)) => decoded.flows.push(flow),
                Ok(None) | Err(_) => decoded.unreadable += 1,
            }
        }
        if self.0.len() < AGENTS_MAX || self.0.contains_key(&agent) {
            decoded.lost = self.0.entry(agent).or_default().next(number, 1);
        }
        Ok(decoded)
    }
}

/// A flow sample: sequence, source, rate, pool, drops, input, output (each one number more where expanded), records.
fn flow_sample(mut xdr: Xdr<'_>, expanded: bool) -> Result<Option<Flow>, BadFlows> {
    xdr.skip(if expanded { 3 } else { 2 })?;
    let rate = xdr.number()?.max(1);
    xdr.skip(if expanded { 6 } else { 4 })?;
    let mut found: Option<(u32, Option<Conversation>)> = None;
    for _ in 0..xdr.count()? {
        let (kind, body) = (xdr.number()?, xdr.opaque()?);
        let read = match kind {
            SAMPLED_HEADER => sampled_header(Xdr(body)).ok(),
            SAMPLED_IPV4 | SAMPLED_IPV6 => sampled_ip(Xdr(body), kind == SAMPLED_IPV6).ok(),
            _ => None,
        };
        // A header says more than the fields that some agents send in its place.
        found = if kind == SAMPLED_HEADER { read.or(found) } else { found.or(read) };
    }
    Ok(found.map(|(length, conversation)| Flow {
        conversation,
        bytes: u64::from(length) * u64::from(rate),
        packets: u64::from(rate),
    }))
}

fn sampled_header(mut xdr: Xdr<'_>) -> Result<(u32, Option<Conversation>), BadFlows> {
    let (protocol, length, _stripped) = (xdr.number()?, xdr.number()?, xdr.number()?);
    let header = xdr.opaque()?;
    let conversation = match protocol {
        HEADER_ETHERNET => packet::ethernet(header),
        HEADER_IPV4 => packet::ipv4(header),
        HEADER_IPV6 => packet::ipv6(header),
        _ => None,
    };
    Ok((length, conversation))
}

/// Length, protocol, addresses, ports.
fn sampled_ip(mut xdr: Xdr<'_>, is_ipv6: bool) -> Result<(u32, Option<Conversation>), BadFlows> {
    let (length, protocol) = (xdr.number()?, xdr.number()?);
    let mut address = || -> Result<std::net::IpAddr, BadFlows> {
        if !is_ipv6 {
            return Ok(std::net::Ipv4Addr::from(xdr.number()?).into());
        }
        let (octets, rest) = xdr.0.split_first_chunk::<16>().ok_or(BadFlows::Damaged)?;
        xdr.0 = rest;
        Ok(std::net::Ipv6Addr::from(*octets).into())
    };
    let (source, destination) = (address()?, address()?);
    let port = |number: u32| u16::try_from(number).unwrap_or(0);
    let ports = (port(xdr.number()?), port(xdr.number()?));
    let protocol = u8::try_from(protocol).map_err(|_| BadFlows::Damaged)?;
    Ok((length, Some(Conversation::new(source, destination, protocol, ports))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A datagram with one flow sample of one raw Ethernet header, as sflow_version_5.txt lays it out.
    fn datagram(number: u32, rate: u32) -> Vec<u8> {
        let frame = [
            &[0_u8; 12][..],
            &[0x08, 0x00, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
            &[0x00, 0x35, 0xc0, 0x00],
        ]
        .concat();
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let mut header = [words(&[1, 74, 4, frame.len() as u32]), frame].concat();
        header.resize(header.len().next_multiple_of(4), 0);
        let sample = [words(&[9, 3, rate, 1_000, 0, 3, 4, 1, SAMPLED_HEADER, header.len() as u32]), header].concat();
        let head = words(&[5, 1, 0x0a00_0001, 0, number, 1_000, 1, FLOW_SAMPLE, sample.len() as u32]);
        [head, sample].concat()
    }

    #[test]
    fn a_sampled_packet_stands_for_as_many_as_the_rate_says() {
        let decoded = Agents::default().decode(&datagram(1, 512)).unwrap();
        let conversation =
            Conversation::new("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 17, (53, 49_152));
        let flow = Flow { conversation: Some(conversation), bytes: 74 * 512, packets: 512 };
        assert_eq!(decoded, Decoded { flows: vec![flow], unreadable: 0, lost: 0 });
    }

    #[test]
    fn missing_datagrams_are_counted() {
        let mut agents = Agents::default();
        let lost = [1, 2, 5].map(|number| agents.decode(&datagram(number, 1)).unwrap().lost);
        assert_eq!(lost, [0, 0, 2]);
    }

    #[test]
    fn a_count_that_nothing_can_hold_is_refused() {
        let mut bytes = datagram(1, 1);
        bytes[24..28].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(Agents::default().decode(&bytes), Err(BadFlows::TooMuch));
        assert_eq!(Agents::default().decode(&[0, 0, 0, 4]), Err(BadFlows::Version));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = Agents::default().decode(&bytes);
        }

        #[test]
        fn no_changed_or_cut_datagram_makes_it_fail(at in 0_usize..140, byte in any::<u8>(), end in 0_usize..200) {
            let mut bytes = datagram(1, 512);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(end);
            let _ = Agents::default().decode(&bytes);
        }
    }
}
