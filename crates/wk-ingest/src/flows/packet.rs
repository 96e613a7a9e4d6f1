//! The headers of a sampled packet: Ethernet, VLAN tags, IPv4 or IPv6, ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::record::Conversation;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_VLAN_OUTER: u16 = 0x88a8;
/// How many VLAN tags are passed over.
const TAGS_MAX: usize = 2;
/// Protocols whose header begins with two ports.
const WITH_PORTS: [u8; 4] = [6, 17, 33, 132];
/// The part of IPv4's second flags word that is the fragment's offset.
const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Reads an Ethernet frame; none where it is no IP.
pub fn ethernet(frame: &[u8]) -> Option<Conversation> {
    let mut rest = frame.get(12..)?;
    for _ in 0..=TAGS_MAX {
        let (kind, behind) = word(rest)?;
        match kind {
            ETHERTYPE_IPV4 => return ipv4(behind),
            ETHERTYPE_IPV6 => return ipv6(behind),
            ETHERTYPE_VLAN | ETHERTYPE_VLAN_OUTER => rest = behind.get(2..)?,
            _ => return None,
        }
    }
    None
}

/// Reads an IPv4 packet.
pub fn ipv4(packet: &[u8]) -> Option<Conversation> {
    let header = packet.get(..20)?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let protocol = header[9];
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let is_first = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT_OFFSET == 0;
    let behind = packet.get(usize::from(header[0] & 0xf) * 4..).filter(|_| is_first).unwrap_or_default();
    let (source, destination) = (IpAddr::V4(address(12)), IpAddr::V4(address(16)));
    Some(Conversation::new(source, destination, protocol, ports(protocol, behind)))
}

/// Reads an IPv6 packet; ports only where no extension header stands before them.
pub fn ipv6(packet: &[u8]) -> Option<Conversation> {
    let header = packet.get(..40)?;
    if header[0] >> 4 != 6 {
        return None;
    }
    let address =
        |at: usize| <[u8; 16]>::try_from(&header[at..at + 16]).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
    Some(Conversation::new(address(8)?, address(24)?, header[6], ports(header[6], &packet[40..])))
}

fn ports(protocol: u8, header: &[u8]) -> (u16, u16) {
    if !WITH_PORTS.contains(&protocol) {
        return (0, 0);
    }
    let both = word(header).and_then(|(source, rest)| Some((source, word(rest)?.0)));
    both.unwrap_or_default()
}

fn word(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*head), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(protocol: u8) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([0x1f, 0x90, 0xc0, 0x00]);
        packet
    }

    #[test]
    fn tagged_and_untagged_frames_are_read() {
        let expected = Conversation::new("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 6, (8_080, 49_152));
        let plain = [&[0_u8; 12][..], &[0x08, 0x00], &ip(6)].concat();
        let tagged = [&[0_u8; 12][..], &[0x81, 0x00, 0, 5, 0x08, 0x00], &ip(6)].concat();
        assert_eq!((ethernet(&plain), ethernet(&tagged)), (Some(expected), Some(expected)));
    }

    #[test]
    fn later_fragments_and_protocols_without_ports_have_none() {
        let mut fragment = ip(17);
        fragment[7] = 1;
        assert_eq!([ipv4(&fragment).unwrap().port, ipv4(&ip(1)).unwrap().port], [0, 0]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = (ethernet(&bytes), ipv4(&bytes), ipv6(&bytes));
        }
    }
}
