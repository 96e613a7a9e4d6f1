use super::*;

fn bind() -> Vec<u8> {
    let mut body = b"portal\0statement\0".to_vec();
    body.extend([0, 1, 0, 1]);
    body.extend([0, 2, 0, 0, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff]);
    body.extend([0, 1, 0, 0]);
    body
}

#[test]
fn a_bind_message_is_read() {
    let message = read(b'B', Bytes::from(bind())).unwrap();
    let wanted = Bind {
        portal: "portal".to_owned(),
        statement: "statement".to_owned(),
        formats: vec![1],
        values: vec![Some(Bytes::from_static(b"ab")), None],
        result_formats: vec![0],
    };
    assert_eq!(message, Frontend::Bind(wanted));
}

#[test]
fn no_message_cut_short_or_drawn_out_is_read() {
    let parse = b"name\0SELECT 1\0\0\x01\0\0\0\x17".to_vec();
    let execute = b"portal\0\0\0\0\x05".to_vec();
    let whole =
        [(b'B', bind()), (b'P', parse), (b'E', execute), (b'D', b"Sname\0".to_vec()), (b'Q', b"SELECT 1\0".to_vec())];
    for (kind, body) in whole {
        assert!(read(kind, Bytes::from(body.clone())).is_ok(), "{}", char::from(kind));
        for end in 0..body.len() {
            assert!(read(kind, Bytes::from(body[..end].to_vec())).is_err(), "{} of {end} bytes", char::from(kind));
        }
        let longer = [body, vec![0]].concat();
        assert!(read(kind, Bytes::from(longer)).is_err(), "{} and a byte", char::from(kind));
    }
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let (kind, length) = (b"QPBDECSHX"[usize::from(next()) % 9], usize::from(next()) % 40);
        let body: Vec<u8> = (0..length).map(|_| if next() < 128 { next() % 4 } else { next() }).collect();
        let _ = read(kind, Bytes::from(body));
    }
}

#[test]
fn a_negative_number_of_rows_is_all_of_them() {
    let message = read(b'E', Bytes::from_static(b"\0\xff\xff\xff\xff")).unwrap();
    assert_eq!(message, Frontend::Execute { portal: String::new(), rows_max: 0 });
}
