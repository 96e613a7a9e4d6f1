//! Regular expressions: Go's dialect in the words of Rust's.

/// Writes a pattern of Go's dialect so that Rust reads the same out of it: braces that are no repetition and brackets
/// within a class are literal, and the classes of a letter behind a backslash are those of ASCII.
pub(crate) fn from_go(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut in_class = false;
    let mut chars = pattern.char_indices().peekable();
    while let Some((index, char)) = chars.next() {
        let rest = &pattern[index..];
        match char {
            '\\' => match chars.next() {
                Some((_, escaped)) => {
                    written.push_str(&escape(escaped, in_class));
                    // The braces of `\p{…}` and `\x{…}` are part of the escape.
                    if matches!(escaped, 'p' | 'P' | 'x') && chars.peek().is_some_and(|(_, next)| *next == '{') {
                        for (_, char) in chars.by_ref() {
                            written.push(char);
                            if char == '}' {
                                break;
                            }
                        }
                    }
                }
                None => written.push('\\'),
            },
            '[' if in_class && rest.starts_with("[:") => written.push('['),
            '[' if in_class => written.push_str("\\["),
            '[' => {
                in_class = true;
                written.push('[');
                // A bracket right behind the opening one is a literal.
                if chars.next_if(|(_, next)| *next == '^').is_some() {
                    written.push('^');
                }
                if chars.next_if(|(_, next)| *next == ']').is_some() {
                    written.push_str("\\]");
                }
            }
            ']' if in_class && pattern[..index].ends_with(':') && pattern[..index].contains("[:") => written.push(']'),
            ']' => {
                in_class = false;
                written.push(']');
            }
            '&' | '~' if in_class => {
                written.push('\\');
                written.push(char);
            }
            '{' if !in_class && !is_repetition(rest) => written.push_str("\\{"),
            _ => written.push(char),
        }
    }
    written
}

/// Tells whether the text begins with `{n}`, `{n,}` or `{n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((inside, _)) = text[1..].split_once('}') else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, "0"));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !low.is_empty() && is_number(low) && is_number(high)
}

fn escape(char: char, in_class: bool) -> String {
    let class = match char {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => "\\t\\n\\f\\r ",
        'b' | 'B' if !in_class => return format!("(?-u:\\{char})"),
        _ => return format!("\\{char}"),
    };
    match (char.is_ascii_uppercase(), in_class) {
        (false, true) => class.to_owned(),
        (false, false) => format!("[{class}]"),
        // Rust takes a class within a class, Go has the letter for it.
        (true, _) => format!("[^{class}]"),
    }
}
