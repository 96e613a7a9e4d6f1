use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn asset(id: &str, hostnames: &[&str], ips: &[&str]) -> Asset {
    let set = |values: &[&str]| values.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let identifiers = BTreeMap::from([("hostname".to_owned(), set(hostnames)), ("ip".to_owned(), set(ips))]);
    Asset { id: id.into(), role: "host".to_owned(), identifiers }
}

fn table() -> AssetTable {
    let mut table = AssetTable::new(&"bridge-pc".into(), ["Bridge-PC.ship.example", "bridge"]);
    table.add_own_address("10.0.0.2".parse().unwrap());
    assert!(table.add(&asset("core-switch", &["sw1.ship.example"], &["10.0.0.1", "fd00::1"])).is_empty());
    assert!(table.add(&asset("nav-a", &["nav.fore.example"], &[])).is_empty());
    assert!(table.add(&asset("nav-b", &["nav.aft.example"], &[])).is_empty());
    table
}

fn look_up(claimed: Option<&str>, peer: Option<&str>) -> String {
    let sender = Sender { claimed, peer: peer.map(|text| text.parse().unwrap()), declared: None };
    let found = table().look_up(&sender);
    found.unknown.map_or_else(|| found.asset.to_string(), |reason| format!("{}: {reason}", found.asset))
}

#[test]
fn names_match_in_any_case_with_port_dot_or_url_around_them() {
    for claimed in ["SW1.ship.example", "sw1.ship.example.", "sw1", "core-switch:161", "http://sw1:9100/metrics"] {
        assert_eq!(look_up(Some(claimed), None), "core-switch", "{claimed}");
    }
}

#[test]
fn a_short_name_that_fits_two_assets_fits_none() {
    assert_eq!(look_up(Some("nav"), None), "unknown: the short name \"nav\" fits several assets");
    assert_eq!(look_up(Some("nav.aft.example"), None), "nav-b");
    assert_eq!(look_up(Some("nav.mid.example"), None), "unknown: no asset has the name \"nav.mid.example\"");
}

#[test]
fn addresses_match_with_and_without_port_and_as_mapped_ones() {
    for claimed in ["10.0.0.1", "10.0.0.1:9100", "[fd00::1]:9100", "fd00::1", "fd00::1%eth0", "::ffff:10.0.0.1"] {
        assert_eq!(look_up(Some(claimed), None), "core-switch", "{claimed}");
    }
    assert_eq!(look_up(None, Some("::ffff:10.0.0.1")), "core-switch");
    assert_eq!(look_up(Some("10.9.9.9:1"), None), "unknown: no asset has the address 10.9.9.9");
}

#[test]
fn loopback_is_this_machine_unless_it_is_claimed_from_elsewhere() {
    assert_eq!(look_up(Some("localhost:9100"), Some("127.0.0.1")), "bridge-pc");
    assert_eq!(look_up(Some("127.0.0.1:9100"), None), "bridge-pc");
    assert_eq!(look_up(None, Some("::1")), "bridge-pc");
    assert_eq!(look_up(Some("localhost"), Some("10.0.0.1")), "core-switch");
    assert_eq!(look_up(Some("localhost"), Some("10.9.9.9")), "unknown: no asset has the address 10.9.9.9");
}

#[test]
fn own_names_and_addresses_are_this_machine() {
    for claimed in ["bridge-pc", "bridge-pc.ship.example", "BRIDGE", "10.0.0.2:9100"] {
        assert_eq!(look_up(Some(claimed), None), "bridge-pc", "{claimed}");
    }
}

#[test]
fn an_unknown_name_is_not_covered_by_a_known_relay_address() {
    assert_eq!(look_up(Some("galley-tv"), Some("10.0.0.1")), "unknown: no asset has the name \"galley-tv\"");
}

#[test]
fn without_any_claim_the_address_decides() {
    assert_eq!(look_up(Some("-"), Some("10.0.0.1")), "core-switch");
    assert_eq!(look_up(None, None), "unknown: the sender gave neither a name nor an address");
}

#[test]
fn a_declared_asset_goes_before_everything() {
    let declared = AssetId::from("ups-1");
    let sender = Sender { claimed: Some("sw1"), peer: None, declared: Some(&declared) };
    assert_eq!(table().look_up(&sender).asset, declared);
}

#[test]
fn an_identifier_stays_with_the_asset_that_had_it_first() {
    let mut table = table();
    let taken = table.add(&asset("impostor", &["sw1.ship.example"], &["10.0.0.1", "not an address"]));
    assert_eq!(taken, ["sw1.ship.example", "10.0.0.1", "not an address"]);
    assert_eq!(look_up(Some("10.0.0.1"), None), "core-switch");
}

proptest! {
    #[test]
    fn hostile_claims_are_answered(claimed in "\\PC{0,40}|[\\[\\]:/%.a0-9]{0,20}") {
        let sender = Sender { claimed: Some(&claimed), peer: None, declared: None };
        let _ = table().look_up(&sender);
    }
}
