use std::collections::{BTreeMap, BTreeSet};

use wk_types::{Edge, EdgeKind};

use super::super::tests::{NOW, fresh};
use super::*;

fn asset(id: &str, ip: &str) -> Asset {
    let identifiers = BTreeMap::from([("ip".to_owned(), BTreeSet::from([ip.to_owned()]))]);
    Asset { id: AssetId::from(id), role: "host".to_owned(), identifiers }
}

fn seen(sender: &str, count: u64, at: i64) -> UnknownSender {
    UnknownSender {
        sender: sender.to_owned(),
        source: "syslog-udp".to_owned(),
        reason: "no asset has this address".to_owned(),
        count,
        first: UtcMs(NOW.0 + at),
        last: UtcMs(NOW.0 + at),
    }
}

#[test]
fn assets_are_kept_by_id_and_replaced() {
    let (_dir, state) = fresh();
    state.upsert_asset(&asset("b", "10.0.0.2")).unwrap();
    state.upsert_asset(&asset("a", "10.0.0.1")).unwrap();
    state.upsert_asset(&asset("b", "10.0.0.3")).unwrap();
    assert_eq!(state.assets().unwrap(), [asset("a", "10.0.0.1"), asset("b", "10.0.0.3")]);
}

fn ids(state: &State) -> Vec<String> {
    state.assets().unwrap().into_iter().map(|asset| asset.id.to_string()).collect()
}

#[test]
fn what_the_configuration_no_longer_declares_is_removed() {
    let (_dir, state) = fresh();
    state.upsert_asset(&asset("found", "10.0.0.1")).unwrap();
    state.assets_from_configuration(&[asset("a", "10.0.0.2"), asset("b", "10.0.0.3"), asset("a", "10.0.0.4")]).unwrap();
    assert_eq!(state.assets().unwrap()[0], asset("a", "10.0.0.4"));
    assert_eq!(ids(&state), ["a", "b", "found"]);
    state.assets_from_configuration(&[asset("b", "10.0.0.5"), asset("c", "10.0.0.6")]).unwrap();
    assert_eq!(state.assets().unwrap()[0], asset("b", "10.0.0.5"));
    assert_eq!(ids(&state), ["b", "c", "found"]);
    state.assets_from_configuration(&[]).unwrap();
    assert_eq!(ids(&state), ["found"]);
}

#[test]
fn an_asset_that_was_there_before_the_configuration_declared_it_stays() {
    let (_dir, state) = fresh();
    state.upsert_asset(&asset("a", "10.0.0.1")).unwrap();
    state.assets_from_configuration(&[asset("a", "10.0.0.2")]).unwrap();
    assert_eq!(state.assets().unwrap(), [asset("a", "10.0.0.2")]);
    state.assets_from_configuration(&[asset("a", "10.0.0.3")]).unwrap();
    state.assets_from_configuration(&[]).unwrap();
    assert_eq!(state.assets().unwrap(), [asset("a", "10.0.0.3")]);
}

#[test]
fn a_configured_asset_that_is_written_in_another_way_stays() {
    let (_dir, state) = fresh();
    state.assets_from_configuration(&[asset("a", "10.0.0.1"), asset("b", "10.0.0.2")]).unwrap();
    state.upsert_asset(&asset("a", "10.0.0.3")).unwrap();
    state.assets_from_configuration(&[]).unwrap();
    assert_eq!(state.assets().unwrap(), [asset("a", "10.0.0.3")]);
}

#[test]
fn the_configured_assets_are_known_after_a_restart() {
    let (dir, state) = fresh();
    state.assets_from_configuration(&[asset("a", "10.0.0.1")]).unwrap();
    drop(state);
    let state = State::open(dir.path(), NOW).unwrap();
    state.assets_from_configuration(&[asset("b", "10.0.0.2")]).unwrap();
    assert_eq!(ids(&state), ["b"]);
}

#[test]
fn unknown_senders_are_counted_with_first_and_last() {
    let (_dir, state) = fresh();
    state.note_unknown_all(&[seen("10.0.0.9", 3, 10), seen("10.0.0.8", 1, 11)]).unwrap();
    state.note_unknown_all(&[seen("10.0.0.9", 1, 19), seen("10.0.0.9", 3, 20)]).unwrap();
    state.note_unknown_all(&[]).unwrap();
    let known = state.unknown_senders().unwrap();
    assert_eq!(known[0], UnknownSender { first: UtcMs(NOW.0 + 10), ..seen("10.0.0.9", 7, 20) });
    assert_eq!(known[1], seen("10.0.0.8", 1, 11));
}

#[test]
fn only_so_many_unknown_senders_are_kept_and_their_text_is_bounded() {
    let (_dir, state) = fresh();
    let long = "x".repeat(10_000);
    state.note_unknown_all(&[seen(&long, 1, 0)]).unwrap();
    assert_eq!(state.unknown_senders().unwrap()[0].sender.len(), TEXT_CHARS_MAX);
    state
        .db()
        .write("test", |transaction| {
            let mut insert = transaction.prepare("INSERT INTO unknown_senders VALUES (?1, 's', 'r', 1, ?2, ?2)")?;
            for n in 1..=UNKNOWN_SENDERS_MAX as i64 {
                insert.execute(params![format!("sender{n}"), NOW.0 + n])?;
            }
            Ok(())
        })
        .unwrap();
    state.note_unknown_all(&[seen("newest", 1, 1_000_000)]).unwrap();
    let known = state.unknown_senders().unwrap();
    assert_eq!(known.len() as u64, UNKNOWN_SENDERS_MAX);
    assert_eq!(known[0].sender, "newest");
    assert!(!known.iter().any(|sender| sender.sender == "sender1"));
}

#[test]
fn the_topology_is_given_back_as_it_was_declared() {
    let (_dir, state) = fresh();
    assert_eq!(state.topology().unwrap(), Topology::default());
    let edge = Edge { from: AssetId::from("ups"), kind: EdgeKind::Powers, to: AssetId::from("bridge-pc") };
    let topology = Topology { edges: BTreeSet::from([edge]) };
    state.set_topology(&topology).unwrap();
    assert_eq!(state.topology().unwrap(), topology);
}
