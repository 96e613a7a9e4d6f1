use std::io::Write as _;

use proptest::prelude::*;
use rmp::encode;

use super::*;

/// `[tag, …, options]` as a client writes it.
pub fn message(tag: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_array_len(&mut bytes, parts.len() as u32 + 1).unwrap();
    encode::write_str(&mut bytes, tag).unwrap();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_map_len(&mut bytes, pairs.len() as u32).unwrap();
    for (name, value) in pairs {
        encode::write_str(&mut bytes, name).unwrap();
        encode::write_str(&mut bytes, value).unwrap();
    }
    bytes
}

pub fn seconds(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_uint(&mut bytes, number).unwrap();
    bytes
}

fn event_time_of(seconds: u32, nanoseconds: u32) -> Vec<u8> {
    [&[0xd7, 0x00][..], &seconds.to_be_bytes(), &nanoseconds.to_be_bytes()].concat()
}

pub fn array(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::write_array_len(&mut bytes, parts.len() as u32).unwrap();
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

pub fn binary(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    encode::write_bin(&mut packed, bytes).unwrap();
    packed
}

pub fn gzipped(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn texts(bytes: &[u8]) -> Result<Vec<String>, BadMessage> {
    let message = Message::read(bytes).and_then(Message::unpacked)?;
    let mut texts = Vec::new();
    message.each(|entry| {
        texts.push(match entry {
            Ok(log) => format!("{} {}", log.time.map_or(-1, |time| time.0), log.message),
            Err(reason) => reason.to_owned(),
        });
    })?;
    Ok(texts)
}

#[test]
fn every_mode_holds_the_same_entries() {
    let (first, second) = (map(&[("message", "rain fade")]), map(&[("log", "link down")]));
    let entries = [array(&[seconds(7), first.clone()]), array(&[event_time_of(8, 500_000_000), second])];
    let packed = entries.concat();
    let options = map(&[("chunk", "p8n9gmxTQVC8/nh2wlKKeQ=="), ("compressed", "gzip")]);
    let expected = ["7000 rain fade", "8500 link down"];
    let modes = [
        message("vsat", &[array(&entries)]),
        message("vsat", &[array(&entries), map(&[("size", "2")])]),
        message("vsat", &[binary(&packed)]),
        message("vsat", &[binary(&gzipped(&packed)), options.clone()]),
        // Members behind each other, as Fluentd writes them when it joins chunks.
        message("vsat", &[binary(&[gzipped(&entries[0]), gzipped(&entries[1])].concat()), options]),
    ];
    for mode in modes {
        assert_eq!(texts(&mode).unwrap(), expected);
    }
    assert_eq!(texts(&message("vsat", &[seconds(7), first])).unwrap(), ["7000 rain fade"]);
}

/// As Fluent Bit 2 and later writes entries: metadata beside the time.
#[test]
fn contract_fluent_bits_times_with_metadata_are_read() {
    let time = array(&[event_time_of(8, 1_000_000), map(&[])]);
    let entries = array(&[array(&[time.clone(), map(&[("log", "a")])]), array(&[time.clone(), map(&[("log", "b")])])]);
    assert_eq!(texts(&message("t", &[entries])).unwrap(), ["8001 a", "8001 b"]);
    assert_eq!(texts(&message("t", &[time, map(&[("log", "c")])])).unwrap(), ["8001 c"]);
}

#[test]
fn the_chunk_is_found_among_the_options() {
    let read = |options: Vec<u8>| {
        let bytes = message("t", &[array(&[]), options]);
        Message::read(&bytes).unwrap().options.chunk
    };
    assert_eq!(read(map(&[("size", "1"), ("chunk", "abc")])).as_deref(), Some(&b"abc"[..]));
    assert_eq!(read(vec![0xc0]), None);
}

#[test]
fn values_of_every_kind_become_attributes() {
    let record = [
        &[0x85][..],
        &[0xa1, b'a', 0xc0],
        &[0xa1, b'b', 0x92, 0x01, 0xc3],
        &[0xa1, b'c', 0x81, 0xa1, b'd', 0xff],
        &[0xa1, b'e', 0xca, 0x3f, 0, 0, 0],
        &[0xa1, b'f', 0xa2, 0xff, b'x'],
    ]
    .concat();
    let bytes = message("t", &[seconds(1), record]);
    Message::read(&bytes)
        .unwrap()
        .each(|entry| {
            let log = entry.unwrap();
            insta::assert_debug_snapshot!(log.attributes, @r#"
            {
                "b": "[1,true]",
                "c.d": "-1",
                "e": "0.5",
                "f": "�x",
            }
            "#);
        })
        .unwrap();
}

#[test]
fn what_cannot_be_taken_is_named() {
    let refused = |bytes: &[u8]| texts(bytes).unwrap_err().to_string();
    insta::assert_snapshot!(refused(&message("t", &[binary(b"x"), map(&[("compressed", "zstd")])])), @r#"entries packed with "zstd" are not taken; send gzip or none"#);
    insta::assert_snapshot!(refused(&message("t", &[binary(b"x"), map(&[("compressed", "gzip")])])), @"could not unpack the gzip");
    insta::assert_snapshot!(refused(&[0x91, 0xa1, b't']), @"not a message of the Forward protocol");
    assert_eq!(texts(&message("t", &[array(&[seconds(1)])])).unwrap(), ["not an entry of time and record"]);
    assert_eq!(texts(&message("t", &[seconds(1), seconds(2)])).unwrap(), ["record is not a map"]);
}

#[test]
fn very_many_entries_are_refused_as_a_whole() {
    let many = vec![0x92; ENTRIES_MAX + 1].iter().flat_map(|_| array(&[seconds(1), map(&[])])).collect::<Vec<_>>();
    assert!(matches!(texts(&message("t", &[binary(&many)])), Err(BadMessage::TooMany)));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, at in 0_usize..60, byte: u8) {
        let _ = texts(&bytes);
        let mut damaged = message("t", &[array(&[array(&[seconds(1), map(&[("a", "b"), ("log", "c")])])]), map(&[("chunk", "x")])]);
        let length = damaged.len();
        damaged[at % length] = byte;
        let _ = texts(&damaged);
    }
}
