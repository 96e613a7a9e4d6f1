//! The words of an SQL statement, as SQLite divides it.

/// What sort of token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name.
    Word,
    /// A name in quotes of any sort.
    Quoted,
    /// A text, a blob or a number.
    Value,
    /// Anything else, one character each but for operators of two.
    Sign,
}

/// A piece of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
}

impl Token<'_> {
    /// Tells whether it is this word, in any case.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }
}

/// Divides a statement; `None` where a quote or comment is not ended or a character is unknown.
pub(crate) fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Some(tokens) };
        let (kind, length) = match first {
            '-' if rest.starts_with("--") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = &rest[rest.find("*/")? + 2..];
                continue;
            }
            '\'' => (Kind::Value, quoted(rest, '\'')?),
            '"' | '`' => (Kind::Quoted, quoted(rest, first)?),
            '[' => (Kind::Quoted, rest.find(']')? + 1),
            '0'..='9' => (Kind::Value, length_while(rest, |c| c.is_ascii_alphanumeric() || c == '.')),
            _ if is_word(first) => (Kind::Word, length_while(rest, is_word)),
            _ if ["<=", ">=", "<>", "!=", "==", "||", "->", "<<", ">>"].iter().any(|sign| rest.starts_with(sign)) => {
                (Kind::Sign, 2)
            }
            _ if first.is_ascii_punctuation() => (Kind::Sign, 1),
            _ => return None,
        };
        tokens.push(Token { kind, text: &rest[..length] });
        rest = &rest[length..];
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

fn length_while(text: &str, is_in: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_in(c)).unwrap_or(text.len())
}

/// The length of a text in quotes; two quotes stand for one within.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}
