//! Tables of neighbours: LLDP (IEEE 802.1AB) and CDP.

use std::collections::BTreeMap;

use async_snmp::{Oid, Value};
use wk_types::{Neighbour, NeighbourProtocol};

use super::profile::NeighbourTable;
use super::session::{AskError, Session};
use super::value;

/// lldpRemEntry's columns chassis id subtype, chassis id, port id subtype, port id, port description, system name.
const LLDP_REMOTE: [&str; 6] = [
    "1.0.8802.1.1.2.1.4.1.1.4",
    "1.0.8802.1.1.2.1.4.1.1.5",
    "1.0.8802.1.1.2.1.4.1.1.6",
    "1.0.8802.1.1.2.1.4.1.1.7",
    "1.0.8802.1.1.2.1.4.1.1.8",
    "1.0.8802.1.1.2.1.4.1.1.9",
];
/// lldpLocPortEntry's columns port id subtype, port id, description.
const LLDP_LOCAL: [&str; 3] = ["1.0.8802.1.1.2.1.3.7.1.2", "1.0.8802.1.1.2.1.3.7.1.3", "1.0.8802.1.1.2.1.3.7.1.4"];
/// cdpCacheEntry's columns address type, address, device id, device port, platform.
const CDP_CACHE: [&str; 5] = [
    "1.3.6.1.4.1.9.9.23.1.2.1.1.3",
    "1.3.6.1.4.1.9.9.23.1.2.1.1.4",
    "1.3.6.1.4.1.9.9.23.1.2.1.1.6",
    "1.3.6.1.4.1.9.9.23.1.2.1.1.7",
    "1.3.6.1.4.1.9.9.23.1.2.1.1.8",
];
/// ifName.
const IF_NAME: &str = "1.3.6.1.2.1.31.1.1.1.1";
/// The subtypes of chassis and port ids that are a network address: one byte of family, then the address.
const CHASSIS_NETWORK_ADDRESS: i32 = 5;
const PORT_NETWORK_ADDRESS: i32 = 4;
/// The address family numbers of IPv4 and IPv6.
const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
/// The CDP address type of IP.
const CDP_ADDRESS_IP: i32 = 1;

/// Reads the neighbours of a device; none where it does not have the table.
pub async fn read(session: &mut Session, table: NeighbourTable) -> Result<Vec<Neighbour>, AskError> {
    match table {
        NeighbourTable::Lldp => lldp(session).await,
        NeighbourTable::Cdp => cdp(session).await,
    }
}

fn oids(texts: &[&str]) -> Vec<Oid> {
    texts.iter().map(|text| Oid::parse(text).expect("the constants are object identifiers")).collect()
}

async fn lldp(session: &mut Session) -> Result<Vec<Neighbour>, AskError> {
    let remote = session.walk(&oids(&LLDP_REMOTE)).await?.rows;
    if remote.is_empty() {
        return Ok(Vec::new());
    }
    let local = session.walk(&oids(&LLDP_LOCAL)).await?.rows;
    let ports: BTreeMap<u32, String> = local
        .iter()
        .filter_map(|(index, row)| {
            Some((*index.first()?, id_text(row[1].as_ref()?, row[0].as_ref(), PORT_NETWORK_ADDRESS)))
        })
        .collect();
    let neighbour = |index: &[u32], row: &[Option<Value>]| {
        let port = *index.get(1)?;
        let text = |at: usize| row[at].as_ref().and_then(value::label).unwrap_or_default();
        let id = |at: usize, network| row[at].as_ref().map(|id| id_text(id, row[at - 1].as_ref(), network));
        Some(Neighbour {
            protocol: NeighbourProtocol::Lldp,
            local_port: ports.get(&port).cloned().unwrap_or_else(|| port.to_string()),
            chassis_id: id(1, CHASSIS_NETWORK_ADDRESS).unwrap_or_default(),
            remote_port: id(3, PORT_NETWORK_ADDRESS).unwrap_or_default(),
            remote_name: text(5),
            remote_address: None,
            platform: text(4),
        })
    };
    Ok(remote.iter().filter_map(|(index, row)| neighbour(index, row)).collect())
}

async fn cdp(session: &mut Session) -> Result<Vec<Neighbour>, AskError> {
    let cache = session.walk(&oids(&CDP_CACHE)).await?.rows;
    if cache.is_empty() {
        return Ok(Vec::new());
    }
    let names = session.walk(&oids(&[IF_NAME])).await?.rows;
    let neighbour = |index: &[u32], row: &[Option<Value>]| {
        let port = *index.first()?;
        let text = |at: usize| row[at].as_ref().and_then(value::label).unwrap_or_default();
        let name = names.get(&[port][..]).and_then(|row| row[0].as_ref()).and_then(value::label);
        let is_ip = row[0].as_ref().and_then(Value::as_i32) == Some(CDP_ADDRESS_IP);
        let address = row[1].as_ref().and_then(Value::as_bytes).filter(|_| is_ip);
        Some(Neighbour {
            protocol: NeighbourProtocol::Cdp,
            local_port: name.unwrap_or_else(|| port.to_string()),
            chassis_id: text(2),
            remote_port: text(3),
            remote_name: text(2),
            remote_address: address.and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(Into::into),
            platform: text(4),
        })
    };
    Ok(cache.iter().filter_map(|(index, row)| neighbour(index, row)).collect())
}

/// A chassis or port id as text; a network address as such.
fn id_text(id: &Value, subtype: Option<&Value>, network_address: i32) -> String {
    let bytes = id.as_bytes().unwrap_or_default();
    if subtype.and_then(Value::as_i32) == Some(network_address) {
        match bytes {
            [FAMILY_IPV4, rest @ ..] if rest.len() == 4 => {
                return std::net::Ipv4Addr::new(rest[0], rest[1], rest[2], rest[3]).to_string();
            }
            [FAMILY_IPV6, rest @ ..] => {
                if let Ok(octets) = <[u8; 16]>::try_from(rest) {
                    return std::net::Ipv6Addr::from(octets).to_string();
                }
            }
            _ => {}
        }
    }
    value::label(id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_by_their_subtype() {
        let check = |bytes: &[u8], subtype: i32| {
            id_text(&Value::OctetString(bytes.to_vec().into()), Some(&Value::Integer(subtype)), CHASSIS_NETWORK_ADDRESS)
        };
        assert_eq!(check(&[1, 10, 0, 0, 7], 5), "10.0.0.7");
        assert_eq!(check(&[2, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 5), "fd00::1");
        assert_eq!(check(&[0, 0x1b, 0x21, 0x3c, 0x9d, 0xf8], 4), "00:1b:21:3c:9d:f8");
        assert_eq!(check(b"sw-deck-5", 7), "sw-deck-5");
        assert_eq!(check(&[1, 10], 5), "01:0a");
    }
}
