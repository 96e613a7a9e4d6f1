//! Taking a text apart into its statements.

/// The statements of a text, without the comments before them and the semicolons between them; none for a text of
/// comments and semicolons alone.
pub(super) fn statements(text: &str) -> Vec<&str> {
    let (mut found, mut begin, mut at) = (Vec::new(), None, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let length = piece(&bytes[at..]);
        match bytes[at] {
            b';' => found.extend(begin.take().map(|begin| text[begin..at].trim_end())),
            _ if is_comment(&bytes[at..]) || bytes[at].is_ascii_whitespace() => {}
            _ => {
                begin.get_or_insert(at);
            }
        }
        at += length;
    }
    found.extend(begin.map(|begin| text[begin..].trim_end()));
    found
}

/// A statement in small letters, with single spaces, without comments and without what stands between single quotes.
pub(super) fn outline(statement: &str) -> String {
    let (mut out, mut at) = (String::with_capacity(statement.len()), 0);
    let bytes = statement.as_bytes();
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = piece(rest);
        if rest[0].is_ascii_whitespace() || is_comment(rest) {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else if rest[0] == b'\'' {
            out.push_str("''");
        } else {
            out.push_str(&String::from_utf8_lossy(&rest[..length]).to_lowercase());
        }
        at += length;
    }
    out.trim().to_owned()
}

/// What stands between single quotes, in order.
pub(super) fn literals(statement: &str) -> Vec<String> {
    let (mut found, mut at) = (Vec::new(), 0);
    let bytes = statement.as_bytes();
    while at < bytes.len() {
        let length = piece(&bytes[at..]);
        if bytes[at] == b'\'' {
            let inside = statement[at..at + length].trim_matches('\'');
            found.push(inside.replace("''", "'"));
        }
        at += length;
    }
    found
}

fn is_comment(rest: &[u8]) -> bool {
    rest.starts_with(b"--") || rest.starts_with(b"/*")
}

/// Bytes of what begins a text: something quoted, a comment, or one byte.
fn piece(rest: &[u8]) -> usize {
    let until = |from: usize, end: &[u8]| {
        let found = rest.get(from..).and_then(|inside| inside.windows(end.len()).position(|part| part == end));
        found.map_or(rest.len(), |found| from + found + end.len())
    };
    match rest {
        [quote @ (b'\'' | b'"' | b'`'), ..] => until(1, &[*quote]),
        [b'-', b'-', ..] => until(2, b"\n"),
        [b'/', b'*', ..] => until(2, b"*/"),
        _ => rest.iter().skip(1).position(|byte| byte & 0xc0 != 0x80).map_or(rest.len(), |more| 1 + more),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_not_quoted() {
        assert_eq!(statements("SELECT 1; SELECT ';' ;; -- end;\n"), ["SELECT 1", "SELECT ';'"]);
        assert_eq!(statements("/* a; */ SELECT \"a;b\""), ["SELECT \"a;b\""]);
        assert_eq!(statements("SELECT 'it''s; so'; x"), ["SELECT 'it''s; so'", "x"]);
        assert_eq!(statements("-- ping"), [""; 0]);
        assert_eq!(statements(" ;; \n"), [""; 0]);
        assert_eq!(statements("SELECT 'open; end"), ["SELECT 'open; end"]);
        assert_eq!(statements("é; ü"), ["é", "ü"]);
    }

    #[test]
    fn an_outline_leaves_out_what_is_quoted() {
        assert_eq!(outline("SELECT  a\n FROM t -- c\nWHERE b = 'X; Y'"), "select a from t where b = ''");
        assert_eq!(literals("a 'x' \"y\" 'it''s'"), ["x", "it", "s"]);
    }
}
