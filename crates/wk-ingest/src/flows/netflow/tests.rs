use proptest::prelude::*;

use super::*;

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A NetFlow v5 message with one flow of 1,000 bytes in 10 packets.
fn v5(number: u32, sampling: u16) -> Vec<u8> {
    let mut bytes = words(&[5, 1, 0, 1_000, 0, 0, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(sampling.to_be_bytes());
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 0]);
    bytes.extend(words(&[1, 2, 0, 10, 0, 1_000, 0, 0, 0, 0, 443, 50_000]));
    bytes.extend([0, 0, 6, 0]);
    bytes.extend(words(&[0, 0, 0, 0]));
    bytes
}

/// Fields of a template and the bytes of one record: addresses, ports, protocol, bytes, packets.
const FIELDS: [(u16, u16); 7] = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4)];

fn record() -> Vec<u8> {
    let mut bytes = vec![10, 0, 0, 1, 10, 0, 0, 2];
    bytes.extend(words(&[443, 50_000]));
    bytes.push(6);
    bytes.extend(1_000_u32.to_be_bytes());
    bytes.extend(10_u32.to_be_bytes());
    bytes
}

fn set(id: u16, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    [words(&[id, body.len() as u16 + 4]), body].concat()
}

fn template(id: u16) -> Vec<u8> {
    let fields: Vec<u16> = FIELDS.iter().flat_map(|(field, length)| [*field, *length]).collect();
    words(&[&[id, FIELDS.len() as u16][..], &fields].concat())
}

fn v9(number: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = words(&[9, sets.len() as u16, 0, 1_000, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.extend(7_u32.to_be_bytes());
    [bytes, sets.concat()].concat()
}

fn ipfix(number: u32, sets: &[Vec<u8>]) -> Vec<u8> {
    let body = sets.concat();
    let mut bytes = words(&[10, body.len() as u16 + 16, 0, 0]);
    bytes.extend(number.to_be_bytes());
    bytes.extend(7_u32.to_be_bytes());
    [bytes, body].concat()
}

fn expected(rate: u64) -> Flow {
    let conversation = Conversation::new("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), 6, (443, 50_000));
    Flow { conversation: Some(conversation), bytes: 1_000 * rate, packets: 10 * rate }
}

#[test]
fn version_5_is_read_multiplied_and_checked_for_gaps() {
    let mut domains = Domains::default();
    assert_eq!(domains.decode(&v5(1, 0)).unwrap().flows, [expected(1)]);
    let sampled = domains.decode(&v5(12, 0x4064)).unwrap();
    assert_eq!((sampled.flows, sampled.lost), (vec![expected(100)], 10));
}

#[test]
fn version_9_waits_for_its_template() {
    let mut domains = Domains::default();
    let early = domains.decode(&v9(1, &[set(256, record())])).unwrap();
    assert_eq!((early.flows.len(), early.unreadable), (0, 1));
    let both = domains.decode(&v9(2, &[set(0, template(256)), set(256, [record(), record()].concat())])).unwrap();
    assert_eq!((both.flows, both.lost), (vec![expected(1), expected(1)], 0));
    assert_eq!(domains.decode(&v9(5, &[set(256, record())])).unwrap().lost, 2);
}

#[test]
fn the_sampling_rate_of_version_9_comes_by_options() {
    let mut domains = Domains::default();
    // An options template with the scope "system" (4 bytes), then field 34.
    let options = words(&[257, 4, 4, 1, 4, 34, 4]);
    let values = [[0, 0, 0, 1], 64_u32.to_be_bytes()].concat();
    domains.decode(&v9(1, &[set(1, options), set(257, values), set(0, template(256))])).unwrap();
    assert_eq!(domains.decode(&v9(2, &[set(256, record())])).unwrap().flows, [expected(64)]);
}

#[test]
fn ipfix_numbers_its_records() {
    let mut domains = Domains::default();
    let first = domains.decode(&ipfix(0, &[set(2, template(256)), set(256, [record(), record()].concat())])).unwrap();
    assert_eq!((first.flows, first.lost), (vec![expected(1), expected(1)], 0));
    assert_eq!(domains.decode(&ipfix(5, &[set(256, record())])).unwrap().lost, 3);
}

#[test]
fn domains_are_told_apart_and_bounded() {
    let mut domains = Domains::default();
    let of = |domain: u32| {
        let mut bytes = v9(1, &[set(0, template(256))]);
        bytes[16..20].copy_from_slice(&domain.to_be_bytes());
        bytes
    };
    for domain in 0..DOMAINS_MAX as u32 {
        domains.decode(&of(domain)).unwrap();
    }
    assert_eq!(domains.decode(&of(99)), Err(BadFlows::Domains));
}

#[test]
fn hostile_templates_take_bounded_memory() {
    let mut domains = Domains::default();
    for id in 256..=u16::MAX {
        let _ = domains.decode(&v9(u32::from(id), &[set(0, template(id))]));
    }
    let (_, domain) = domains.0.iter().next().unwrap();
    assert!(domain.parser.v9_cache_info().current_size <= 2 * TEMPLATES_MAX);
    let wide: Vec<u16> = (0..2_000).flat_map(|field| [field, 1]).collect();
    let _ = domains.decode(&v9(1, &[set(0, words(&[&[300, 2_000][..], &wide].concat()))]));
    assert!(!domains.0.values().next().unwrap().parser.has_v9_template(300));
}

#[test]
fn what_is_no_flow_message_is_refused() {
    let mut domains = Domains::default();
    assert_eq!(domains.decode(&[]), Err(BadFlows::Damaged));
    assert_eq!(domains.decode(&words(&[7; 20])), Err(BadFlows::Version));
    assert!(domains.decode(&v5(1, 0)[..30]).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_fail(version in prop_oneof![Just(5_u16), Just(9), Just(10)], bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Domains::default().decode(&[version.to_be_bytes().to_vec(), bytes].concat());
    }

    #[test]
    fn no_changed_or_cut_message_makes_it_fail(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6), end in 0_usize..300) {
        let mut domains = Domains::default();
        for message in [v9(1, &[set(0, template(256)), set(256, record())]), ipfix(1, &[set(2, template(256)), set(256, record())])] {
            let mut bytes = message.clone();
            for (at, byte) in &changes {
                let at = at % bytes.len();
                bytes[at] = *byte;
            }
            bytes.truncate(end);
            let _ = domains.decode(&bytes);
            let _ = domains.decode(&message);
        }
    }
}
