use proptest::prelude::*;

use super::*;

/// Feeds a stream in pieces and returns every message, `+` behind those that were cut.
fn frames(pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();
    let show = |frame: Frame<'_>| String::from_utf8_lossy(frame.bytes).into_owned() + if frame.cut { "+" } else { "" };
    for piece in pieces {
        decoder.extend(piece);
        while let Some(frame) = decoder.next_frame() {
            found.push(show(frame));
        }
    }
    found.extend(decoder.last_frame().map(show));
    found
}

#[test]
fn both_framings_are_told_apart_within_one_connection() {
    let stream = b"<13>one\n7 <13>two<13>three\r\n9 <13>f\nour<13>five\0<13>six";
    assert_eq!(frames(&[stream]), ["<13>one", "<13>two", "<13>three", "<13>f\nour", "<13>five", "<13>six"]);
}

#[test]
fn a_line_that_begins_with_a_number_is_a_line() {
    assert_eq!(frames(&[b"2026 was a year\n12 apples\n"]), ["2026 was a year", "12 apples"]);
    assert_eq!(frames(&[b"999999999 <13>x\n07 <13>y\n"]), ["999999999 <13>x", "07 <13>y"]);
}

#[test]
fn empty_lines_are_no_messages() {
    assert_eq!(frames(&[b"\n\r\n\0<13>x\n\n"]), ["<13>x"]);
}

#[test]
fn a_connection_that_ends_within_a_counted_message_gives_it_as_cut() {
    assert_eq!(frames(&[b"20 <13>half"]), ["<13>half+"]);
    assert_eq!(frames(&[b"20 "]), ["20 "]);
}

#[test]
fn a_line_over_the_bound_is_cut_and_its_rest_read_over() {
    let long = [b"<13>".to_vec(), vec![b'a'; MESSAGE_BYTES_MAX * 2], b"\n<13>next\n".to_vec()].concat();
    let found = frames(&long.chunks(1_000).collect::<Vec<_>>());
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].len(), found[0].ends_with('+')), (MESSAGE_BYTES_MAX + 1, true));
    assert_eq!(found[1], "<13>next");
}

#[test]
fn a_line_of_just_the_bound_is_whole() {
    let line = [vec![b'a'; MESSAGE_BYTES_MAX], b"\nb\n".to_vec()].concat();
    let found = frames(&[&line]);
    assert_eq!((found[0].len(), found[1].as_str()), (MESSAGE_BYTES_MAX, "b"));
}

#[test]
fn a_counted_message_over_the_bound_is_cut_and_its_rest_read_over() {
    let length = MESSAGE_BYTES_MAX + 70_000;
    let mut stream = format!("{length} <13>").into_bytes();
    stream.resize(stream.len() - 4 + length, b'a');
    stream.extend_from_slice(b"8 <13>next");
    let found = frames(&stream.chunks(999).collect::<Vec<_>>());
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].len(), found[1].as_str()), (MESSAGE_BYTES_MAX + 1, "<13>next"));
}

#[test]
fn the_buffer_holds_no_more_than_one_message_and_one_piece() {
    let mut decoder = Decoder::default();
    for _ in 0..1_000 {
        decoder.extend(&[b'a'; 4_096]);
        while decoder.next_frame().is_some() {}
        assert!(decoder.waiting() <= MESSAGE_BYTES_MAX + 4_096);
    }
}

proptest! {
    #[test]
    fn the_pieces_in_which_a_stream_arrives_do_not_matter(
        messages in proptest::collection::vec(("[ -~]{1,30}", any::<bool>()), 1..8),
        cuts in proptest::collection::vec(1_usize..9, 1..40),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        for (text, counted) in &messages {
            let message = format!("<13>{text}");
            if *counted {
                stream.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
            } else {
                stream.extend_from_slice(format!("{message}\n").as_bytes());
            }
            expected.push(message);
        }
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(frames(&pieces), expected);
    }

    #[test]
    fn hostile_bytes_end_and_stay_within_the_bound(
        pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'1'), Just(b' '), Just(b'<')], 0..60), 0..20)
    ) {
        let mut decoder = Decoder::default();
        let mut kept = 0;
        for piece in &pieces {
            decoder.extend(piece);
            while let Some(frame) = decoder.next_frame() {
                kept += frame.bytes.len();
            }
        }
        kept += decoder.last_frame().map_or(0, |frame| frame.bytes.len());
        prop_assert!(kept <= pieces.iter().map(Vec::len).sum());
    }
}
