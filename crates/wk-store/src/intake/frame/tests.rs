use proptest::prelude::*;
use wk_types::{Body, UtcMs, wire};

use super::*;

fn meta(count: u32) -> FrameMeta {
    FrameMeta {
        kind: FrameKind::Facts,
        holds: Kinds::NONE,
        count,
        first: Seq(8),
        previous: Seq(5),
        received: (UtcMs(-3), UtcMs(1_700_000_000_000)),
        written_at: UtcMs(1_800_000_000_000),
    }
}

fn ticks(count: u64) -> Vec<IntakeRecord> {
    (1..=count)
        .map(|seq| IntakeRecord { seq: Seq(seq), received: UtcMs(seq as i64), source: "node".into(), body: Body::Tick })
        .collect()
}

/// Two ticks, written at 7 ms: header to the time of receipt, the rest of the header, payload.
const FORMAT_1: [&str; 3] = [
    "f7574b46010104001a0000001100000052c664f40200000001000000000000000000000000000000",
    "01000000000000000200000000000000070000000000000035f0e7e6",
    "28b52ffd201189000001020100046e6f64650302020003020200",
];

/// Sets the header's checksum right again, as only somebody who means harm does.
fn forge(bytes: &mut [u8]) {
    let crc = crc32c::crc32c(&bytes[..64]);
    bytes[64..68].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn frames_of_all_kinds_follow_each_other_in_a_stream() {
    let records = ticks(3);
    let mut stream = Vec::new();
    let about = FrameMeta::of_records(&records, Seq(0), UtcMs(9));
    write(&mut stream, &about, &wire::encode(&records)).unwrap();
    write(&mut stream, &meta(2), b"facts").unwrap();
    let snapshot = FrameMeta { kind: FrameKind::Snapshot, ..meta(0) };
    write(&mut stream, &snapshot, &[]).unwrap();

    let mut rest = &stream[..];
    let first = read(&mut rest).unwrap().unwrap();
    assert_eq!((first.meta, first.records(&mut Decoder::new()).unwrap()), (about, records));
    let second = read(&mut rest).unwrap().unwrap();
    assert_eq!((second.meta, &second.content[..]), (meta(2), &b"facts"[..]));
    assert!(matches!(second.records(&mut Decoder::new()), Err(FrameError::Damaged { .. })));
    assert_eq!(read(&mut rest).unwrap().unwrap().meta.kind, FrameKind::Snapshot);
    assert!(read(&mut rest).unwrap().is_none());
}

#[test]
fn format_1_is_read_for_ever() {
    let bytes = hex::decode(FORMAT_1.concat()).unwrap();
    let frame = read(&mut &bytes[..]).unwrap().unwrap();
    assert_eq!(frame.meta, FrameMeta::of_records(&ticks(2), Seq(0), UtcMs(7)));
    assert_eq!(frame.records(&mut Decoder::new()).unwrap(), ticks(2));
}

#[test]
fn the_header_stands_as_documented() {
    let bytes = encode(&meta(2), b"facts").unwrap();
    assert_eq!(bytes[..8], [0xf7, b'W', b'K', b'F', 1, 3, 0, 0]);
    assert_eq!(u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize, bytes.len() - HEADER_BYTES);
    assert_eq!(bytes[12], 5);
    assert_eq!(bytes[20], 2);
    assert_eq!((bytes[24], bytes[32]), (8, 5));
    assert_eq!(i64::from_le_bytes(bytes[40..48].try_into().unwrap()), -3);
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = encode(&meta(2), b"facts").unwrap();
    bytes[4] = 2;
    let error = read(&mut &bytes[..]).unwrap_err();
    assert!(matches!(error, FrameError::Damaged { .. }), "a flipped bit is no newer format");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    forge(&mut bytes);
    let error = read(&mut &bytes[..]).unwrap_err();
    assert!(error.is_newer());
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn content_beyond_the_bounds_is_refused() {
    let error = encode(&meta(2), &vec![0; PAYLOAD_BYTES_MAX + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(encode(&meta(RECORDS_MAX as u32 + 1), b"").is_err());
}

#[test]
fn a_forged_length_costs_no_memory_and_a_bomb_stops_at_its_stated_size() {
    let mut bytes = encode(&meta(2), &vec![0; 1 << 20]).unwrap();
    bytes[8..12].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32).to_le_bytes());
    forge(&mut bytes);
    assert!(matches!(read(&mut &bytes[..]), Err(FrameError::Damaged { what: "the payload is cut off" })));

    let mut bytes = encode(&meta(2), &vec![0; 1 << 20]).unwrap();
    bytes[12..16].copy_from_slice(&1_000_u32.to_le_bytes());
    forge(&mut bytes);
    assert!(read(&mut &bytes[..]).is_err());

    bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    forge(&mut bytes);
    assert!(read(&mut &bytes[..]).is_err());
}

#[test]
fn records_that_do_not_fit_their_header_are_refused() {
    let records = ticks(3);
    let about = FrameMeta { count: 2, ..FrameMeta::of_records(&records, Seq(0), UtcMs(9)) };
    let bytes = encode(&about, &wire::encode(&records)).unwrap();
    assert!(read(&mut &bytes[..]).unwrap().unwrap().records(&mut Decoder::new()).is_err());
}

proptest! {
    #[test]
    fn any_content_comes_back(content in proptest::collection::vec(any::<u8>(), 0..5_000), count in 0..1_000_u32) {
        let bytes = encode(&meta(count), &content).unwrap();
        let frame = read(&mut &bytes[..]).unwrap().unwrap();
        prop_assert_eq!(frame, Frame { meta: meta(count), content });
    }

    #[test]
    fn any_flipped_bit_is_found(content in proptest::collection::vec(any::<u8>(), 0..200), at in any::<usize>(), bit in 0_u8..8) {
        let mut bytes = encode(&meta(1), &content).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(read(&mut &bytes[..]).is_err());
    }

    #[test]
    fn hostile_bytes_give_an_error_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..400)) {
        prop_assert!(read(&mut &bytes[..]).is_err());
    }

    /// With right checksums around them even random headers and payloads get past the first checks.
    #[test]
    fn forged_frames_give_an_error_or_content_never_a_panic(
        mut header in proptest::collection::vec(any::<u8>(), HEADER_BYTES),
        payload in proptest::collection::vec(any::<u8>(), 0..400),
        plausible in any::<bool>(),
    ) {
        header[..4].copy_from_slice(&MAGIC);
        header[4] = FORMAT;
        header[5] = 1;
        header[8..12].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[16..20].copy_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
        if plausible {
            header[12..16].copy_from_slice(&1_000_u32.to_le_bytes());
            header[20..40].fill(0);
            header[24] = 1;
        }
        forge(&mut header);
        let bytes = [header, payload].concat();
        if let Ok(Some(frame)) = read(&mut &bytes[..]) {
            let _ = frame.records(&mut Decoder::new());
        }
    }
}
