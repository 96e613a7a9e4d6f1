//! Networks from which senders without a token are let in.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A network in CIDR form, such as `10.1.0.0/16`; an address alone is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text was not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network; write an address and a prefix length, such as 10.1.0.0/16")]
pub struct ParseNetworkError(String);

impl Network {
    /// Tells whether the network holds `address`; IPv4 addresses mapped into IPv6 count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(mine), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                mine.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(mine), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                mine.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Tells whether a sender may send: from loopback always, from elsewhere only out of an allowed network.
#[must_use]
pub fn allowed(networks: &[Network], peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || networks.iter().any(|network| network.contains(peer))
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseNetworkError(text.to_owned());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.trim().parse().map_err(|_| refuse())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |text| text.trim().parse().map_err(|_| refuse()))?;
        if prefix > bits { Err(refuse()) } else { Ok(Self { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn membership_follows_the_prefix() {
        let cases = [
            ("10.1.0.0/16", "10.1.255.3", true),
            ("10.1.0.0/16", "10.2.0.1", false),
            ("10.1.0.0/16", "::ffff:10.1.0.9", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "fd00::1", false),
            ("fd00::/8", "fd12::1", true),
            ("10.0.0.5", "10.0.0.5", true),
            ("10.0.0.5", "10.0.0.6", false),
        ];
        for (mine, other, expected) in cases {
            assert_eq!(network(mine).contains(other.parse().unwrap()), expected, "{mine} {other}");
        }
    }

    #[test]
    fn loopback_needs_no_network() {
        assert!(allowed(&[], "127.0.0.1".parse().unwrap()));
        assert!(!allowed(&[], "10.0.0.1".parse().unwrap()));
        assert!(allowed(&[network("10.0.0.0/8")], "10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "10.0.0.0/33", "ship/8", "10.0.0.0/x"] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.to_string().contains("10.1.0.0/16"), "{text}");
        }
    }
}
