//! What all flow protocols have in common.

use std::net::IpAddr;

/// One flow, or what a sampled packet stands for; already multiplied by the sampling rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who talks with whom; none where the record does not say.
    pub conversation: Option<Conversation>,
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

/// Who talks with whom, in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// The number of the IP protocol.
    pub protocol: u8,
    /// The port of the service: the lower one of the two that is not 0.
    pub port: u16,
}

impl Conversation {
    /// Makes a conversation of what stands in a packet's headers.
    pub fn new(source: IpAddr, destination: IpAddr, protocol: u8, ports: (u16, u16)) -> Self {
        let port = match ports {
            (0, port) | (port, 0) => port,
            (a, b) => a.min(b),
        };
        Self { source, destination, protocol, port }
    }

    /// The protocol's name, its number where it is a rare one.
    pub fn protocol_name(&self) -> String {
        match self.protocol {
            1 => "icmp",
            2 => "igmp",
            4 => "ipip",
            6 => "tcp",
            17 => "udp",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "ipv6-icmp",
            89 => "ospf",
            112 => "vrrp",
            132 => "sctp",
            number => return number.to_string(),
        }
        .to_owned()
    }
}

/// Why a datagram is not taken; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFlows {
    /// The bytes are cut off or contradict themselves.
    #[error("damaged flow datagram")]
    Damaged,
    /// It is another protocol, or a version that is not read.
    #[error("unknown flow protocol or version")]
    Version,
    /// It holds more than a datagram may.
    #[error("flow datagram above the limits")]
    TooMuch,
    /// The exporter has too many observation domains.
    #[error("too many observation domains")]
    Domains,
}

/// What a datagram held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Its flows.
    pub flows: Vec<Flow>,
    /// Records that cannot be counted as flows: of an unknown template (sets), or without bytes.
    pub unreadable: u64,
    /// Messages or records that were lost before this one.
    pub lost: u64,
}

/// How far a number may lie behind and still be one that came late, not that of an exporter that began anew.
const LATE_MAX: u32 = 1_000;
/// The largest step that counts as a gap.
const GAP_MAX: u32 = 1 << 31;

/// The sequence numbers of one stream of messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sequence {
    expected: Option<u32>,
}

impl Sequence {
    /// Notes a message with number `number` that counts for `units`; answers how many units are missing before it.
    pub fn next(&mut self, number: u32, units: u32) -> u64 {
        let Some(expected) = self.expected else {
            self.expected = Some(number.wrapping_add(units));
            return 0;
        };
        let ahead = number.wrapping_sub(expected);
        if ahead < GAP_MAX {
            self.expected = Some(number.wrapping_add(units));
            return u64::from(ahead);
        }
        if expected.wrapping_sub(number) > LATE_MAX {
            self.expected = Some(number.wrapping_add(units));
        }
        0
    }

    /// Forgets what was expected, because nobody knows how much a message counted for.
    pub fn forget(&mut self) {
        self.expected = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_are_counted_and_late_or_new_numbers_are_not() {
        let mut sequence = Sequence::default();
        // 5010 came late after it was counted as missing; then the exporter began anew.
        let gaps = [(5_000, 5), (5_005, 5), (5_015, 5), (5_010, 5), (5_020, 5), (0, 1), (1, 1)]
            .map(|(number, units)| sequence.next(number, units));
        assert_eq!(gaps, [0, 0, 5, 0, 0, 0, 0]);
    }

    #[test]
    fn the_port_of_a_service_is_the_lower_one() {
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let port = |ports| Conversation::new(address, address, 6, ports).port;
        assert_eq!([port((443, 50_000)), port((50_000, 443)), port((0, 80)), port((0, 0))], [443, 443, 80, 0]);
    }

    proptest! {
        #[test]
        fn what_is_dropped_from_a_stream_is_what_is_missing(
            start in any::<u32>(),
            stream in proptest::collection::vec((1_u32..30, any::<bool>()), 1..100),
        ) {
            let mut sequence = Sequence::default();
            let (mut number, mut missing, mut dropped, mut pending, mut begun) = (start, 0, 0, 0, false);
            for (units, arrives) in stream {
                if arrives {
                    missing += sequence.next(number, units);
                    dropped += if begun { pending } else { 0 };
                    (pending, begun) = (0, true);
                } else {
                    pending += u64::from(units);
                }
                number = number.wrapping_add(units);
            }
            prop_assert_eq!(missing, dropped);
        }
    }
}
