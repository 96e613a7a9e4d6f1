//! From text to tokens.

use std::sync::Arc;

use super::ast::TextLiteral;
use super::{TEXT_BYTES_MAX, TOKENS_MAX, duration, refused};
use crate::error::QueryError;

/// Operators that cut native histograms off.
pub(super) const TRIM_UPPER: &str = "</";
pub(super) const TRIM_LOWER: &str = ">/";
/// Operators and brackets, longer ones before those they begin with.
const MARKS: [&str; 26] = [
    TRIM_UPPER, TRIM_LOWER, "==", "!=", "<=", ">=", "=~", "!~", "(", ")", "{", "}", "[", "]", ",", ":", "@", "=", "<",
    ">", "+", "-", "*", "/", "%", "^",
];

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// A name or a keyword.
    Word(&'a str),
    Number(f64),
    /// In seconds.
    Duration(f64),
    Text(TextLiteral),
    Mark(&'static str),
    End,
}

impl Token<'_> {
    /// The token as a refusal shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("{word:?}"),
            Self::Number(value) => format!("number {value}"),
            Self::Duration(seconds) => format!("duration of {seconds} s"),
            Self::Text(text) => format!("text {:?}", text.value),
            Self::Mark(mark) => format!("{mark:?}"),
            Self::End => "end of the query".to_owned(),
        }
    }
}

/// Splits a query into tokens, each with the byte it begins at; the last one is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Token<'_>, usize)>, QueryError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(QueryError::TooLarge { max: TEXT_BYTES_MAX, of: "bytes of text" });
    }
    let mut lexer = Lexer { text, at: 0, in_brackets: false };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blank();
        let start = lexer.at;
        let token = lexer.next()?;
        let end = token == Token::End;
        tokens.push((token, start));
        if end {
            return Ok(tokens);
        }
        if tokens.len() > TOKENS_MAX {
            return Err(QueryError::TooLarge { max: TOKENS_MAX, of: "words and operators" });
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Between square brackets a colon stands for itself; elsewhere it is part of a name.
    in_brackets: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            let comment = if trimmed.starts_with('#') { trimmed.find('\n').unwrap_or(trimmed.len()) } else { 0 };
            self.at += rest.len() - trimmed.len() + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn next(&mut self) -> Result<Token<'a>, QueryError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && digit_follows) {
            return self.number();
        }
        if first.is_ascii_alphabetic() || first == '_' || (first == ':' && !self.in_brackets) {
            let colons = !self.in_brackets;
            let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_' || (colons && char == ':');
            let length = rest.find(|char| !is_part(char)).unwrap_or(rest.len());
            return Ok(Token::Word(self.take(length)));
        }
        if matches!(first, '"' | '\'' | '`') {
            return self.quoted(first);
        }
        let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) else {
            return Err(refused(self.text, self.at, format!("unexpected character {first:?}")));
        };
        self.at += mark.len();
        match mark {
            "[" => self.in_brackets = true,
            "]" => self.in_brackets = false,
            _ => {}
        }
        Ok(Token::Mark(mark))
    }

    fn number(&mut self) -> Result<Token<'a>, QueryError> {
        let rest = self.rest();
        let mut length = 0;
        let bytes = rest.as_bytes();
        let hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
        while let Some(byte) = bytes.get(length) {
            let exponent_sign = matches!(byte, b'+' | b'-')
                && !hexadecimal
                && length > 0
                && matches!(bytes[length - 1], b'e' | b'E')
                && !bytes[..length - 1].iter().any(|byte| byte.is_ascii_alphabetic());
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'_') && !exponent_sign {
                break;
            }
            length += 1;
        }
        let word = &rest[..length];
        let token = if let Some(seconds) = duration::literal(word) {
            Token::Duration(seconds)
        } else if let Some(value) = number(word) {
            Token::Number(value)
        } else {
            return Err(refused(self.text, self.at, format!("bad number or duration syntax: {word:?}")));
        };
        self.at += length;
        Ok(token)
    }

    fn quoted(&mut self, quote: char) -> Result<Token<'a>, QueryError> {
        let start = self.at;
        let body = &self.rest()[1..];
        let mut value: Vec<u8> = Vec::new();
        let mut chars = body.char_indices();
        let unterminated = || refused(self.text, start, "unterminated quoted text; close its quote");
        loop {
            let (index, char) = chars.next().ok_or_else(unterminated)?;
            match char {
                _ if char == quote => {
                    self.at += index + 2;
                    break;
                }
                '\\' if quote != '`' => {
                    let escape = &body[index + 1..];
                    let used = unescape(escape, &mut value)
                        .ok_or_else(|| refused(self.text, start + 1 + index, "unknown escape sequence"))?;
                    // A sequence is made of whole characters, so the iterator lands behind it.
                    chars = body.char_indices();
                    while chars.offset() < index + 1 + used {
                        chars.next();
                    }
                }
                '\n' if quote != '`' => return Err(unterminated()),
                _ => value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        let written: Arc<str> = (&self.text[start..self.at]).into();
        Ok(Token::Text(match String::from_utf8(value) {
            Ok(value) => TextLiteral { value: value.into(), broken: None },
            Err(error) => {
                TextLiteral { value: String::from_utf8_lossy(error.as_bytes()).into(), broken: Some(written) }
            }
        }))
    }
}

/// Reads a number as Go does: decimal with an exponent, hexadecimal, octal after a zero, with `_` between digits.
fn number(word: &str) -> Option<f64> {
    let plain: String = word.chars().filter(|char| *char != '_').collect();
    if word.contains("__") || word.ends_with('_') {
        return None;
    }
    if let Some(digits) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(|value| value as f64);
    }
    let octal = plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    if octal && let Ok(value) = u64::from_str_radix(&plain, 8) {
        return Some(value as f64);
    }
    plain.starts_with(|char: char| char.is_ascii_digit() || char == '.').then(|| plain.parse().ok())?
}

/// Reads what follows a backslash and answers how many bytes it takes.
fn unescape(text: &str, value: &mut Vec<u8>) -> Option<usize> {
    let first = text.chars().next()?;
    let simple = match first {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '"' | '\'' => first as u8,
        'x' => {
            value.push(u8::from_str_radix(digits(text.get(1..3)?)?, 16).ok()?);
            return Some(3);
        }
        '0'..='7' => {
            value.push(u8::from_str_radix(text.get(..3)?, 8).ok()?);
            return Some(3);
        }
        'u' | 'U' => {
            let length = if first == 'u' { 4 } else { 8 };
            let code = u32::from_str_radix(digits(text.get(1..=length)?)?, 16).ok()?;
            value.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(length + 1);
        }
        _ => return None,
    };
    value.push(simple);
    Some(1)
}

/// The text where it is hexadecimal digits throughout, which also rules a sign out.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(text)
}
