//! From where senders without a token are let in.

use std::net::IpAddr;

pub use wk_config::Network;

/// Tells whether a sender may send: from loopback always, from elsewhere only out of an allowed network.
#[must_use]
pub fn allowed(networks: &[Network], peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback() || networks.iter().any(|network| network.contains(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_needs_no_network() {
        assert!(allowed(&[], "127.0.0.1".parse().unwrap()));
        assert!(!allowed(&[], "10.0.0.1".parse().unwrap()));
        assert!(allowed(&[network("10.0.0.0/8")], "10.0.0.1".parse().unwrap()));
    }
}
