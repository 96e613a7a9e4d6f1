use proptest::prelude::*;

use super::*;
use crate::intake::frame::{self, FrameKind, FrameMeta, HEADER_BYTES};

fn header(first: u64, count: u32, payload: &[u8]) -> Header {
    let meta = FrameMeta {
        kind: FrameKind::Records,
        holds: wk_types::Kinds::LOGS,
        count,
        first: Seq(first),
        previous: Seq(first - 1),
        received: (UtcMs(first as i64), UtcMs(first as i64 + 1)),
        written_at: UtcMs(77),
    };
    let bytes = frame::encode(&meta, payload).unwrap();
    Header::from_bytes(bytes.first_chunk::<HEADER_BYTES>().unwrap()).unwrap()
}

fn segment(frames: u64) -> Segment {
    let mut segment = Segment::new(10, Seq(9));
    let header = |n| header(10 + 3 * n, 3, &[]);
    for n in 0..frames {
        segment.add(&header(n), n * MARK_BYTES / 3);
    }
    segment
}

#[test]
fn an_index_file_says_what_the_segment_knows() {
    for frames in [0, 1, 100] {
        let segment = segment(frames);
        let back = Segment::from_index(&segment.to_index()).unwrap().unwrap();
        assert_eq!(back, Segment { sealed: true, ..segment });
    }
}

#[test]
fn a_newer_index_file_is_told_from_a_damaged_one() {
    let mut bytes = segment(3).to_index();
    bytes[4] = INDEX_FORMAT + 1;
    assert_eq!(Segment::from_index(&bytes), Ok(None));
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(Segment::from_index(&bytes), Err(2));
}

#[test]
fn a_search_begins_at_the_last_known_place_before_the_record() {
    let segment = segment(100);
    assert_eq!(segment.offset_before(Seq(9)), 0);
    assert_eq!(segment.offset_before(Seq(10)), 0);
    assert_eq!(segment.offset_before(Seq(18)), 0);
    assert_eq!(segment.offset_before(Seq(19)), MARK_BYTES);
    assert_eq!(segment.offset_before(Seq(309)), 99 * MARK_BYTES / 3);
}

#[test]
fn records_after_a_cursor_are_counted() {
    let segment = segment(4);
    let counts: Vec<u64> = [0, 9, 10, 20, 21, 50].into_iter().map(|seq| segment.records_after(Seq(seq))).collect();
    assert_eq!(counts, [12, 12, 11, 1, 0, 0]);
}

#[test]
fn file_names_state_the_base() {
    let path = segment_path(Path::new("/d"), 42);
    assert_eq!(path, Path::new("/d/00000000000000000042.seg"));
    assert_eq!(base_of("00000000000000000042.seg", "seg"), Some(42));
    for name in ["42.seg", "00000000000000000042.idx", "0000000000000000004x.seg", "99999999999999999999.seg"] {
        assert_eq!(base_of(name, "seg"), None, "{name}");
    }
}

proptest! {
    #[test]
    fn hostile_index_files_are_damaged_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), sign in any::<bool>()) {
        let mut bytes = [&INDEX_MAGIC[..], &[INDEX_FORMAT, 0, 0, 0], &bytes].concat();
        let body = bytes.len();
        if sign {
            bytes.extend(crc32c::crc32c(&bytes[..body]).to_le_bytes());
        }
        let _ = Segment::from_index(&bytes);
    }
}
