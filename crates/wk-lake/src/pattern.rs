//! Text patterns on messages: a plain part, or SQL's LIKE. Case is folded in ASCII only, as SQLite does.

use memchr::memmem::Finder;

use crate::error::LakeError;

/// Longer patterns are refused: matching costs the product of both lengths at worst.
pub(crate) const PATTERN_BYTES_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// `%`: any run of characters.
    Run,
    /// `_`: any one character.
    One,
    /// This character, in lower case.
    Char(char),
}

/// A pattern that a message matches or not.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// What every matching message holds, in lower case.
    literals: Vec<Finder<'static>>,
    /// The exact test, where holding all literals is not enough.
    like: Option<Vec<Token>>,
}

impl Pattern {
    /// The pattern of all messages that hold `text`.
    ///
    /// # Errors
    /// A text of more than [`PATTERN_BYTES_MAX`].
    pub(crate) fn contains(text: &str) -> Result<Self, LakeError> {
        check_length(text)?;
        Ok(Self { literals: vec![finder(text)], like: None })
    }

    /// The pattern of all messages that are LIKE `pattern`, without an escape character.
    ///
    /// # Errors
    /// A pattern of more than [`PATTERN_BYTES_MAX`].
    pub(crate) fn like(pattern: &str) -> Result<Self, LakeError> {
        check_length(pattern)?;
        let literals: Vec<_> = pattern.split(['%', '_']).filter(|part| !part.is_empty()).map(finder).collect();
        let inner = pattern.strip_prefix('%').and_then(|rest| rest.strip_suffix('%'));
        let is_contains = inner.is_some_and(|inner| !inner.contains(['%', '_']));
        let tokens = pattern.chars().map(|c| match c {
            '%' => Token::Run,
            '_' => Token::One,
            other => Token::Char(other.to_ascii_lowercase()),
        });
        Ok(Self { literals, like: (!is_contains).then(|| tokens.collect()) })
    }

    /// What every matching message holds, in lower case.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.literals.iter().map(Finder::needle)
    }

    /// Tells whether a message matches; `scratch` is overwritten.
    pub(crate) fn matches(&self, message: &str, scratch: &mut String) -> bool {
        scratch.clear();
        scratch.push_str(message);
        scratch.make_ascii_lowercase();
        self.literals.iter().all(|literal| literal.find(scratch.as_bytes()).is_some())
            && self.like.as_ref().is_none_or(|tokens| is_like(tokens, scratch))
    }
}

pub(crate) fn check_length(text: &str) -> Result<(), LakeError> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(LakeError::query(format!("the text searched for is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn finder(text: &str) -> Finder<'static> {
    Finder::new(text.to_ascii_lowercase().as_bytes()).into_owned()
}

/// Matches greedily: on a mismatch the latest run takes one character more.
fn is_like(tokens: &[Token], text: &str) -> bool {
    let (mut token, mut rest) = (0, text);
    let mut latest_run: Option<(usize, &str)> = None;
    loop {
        let mut chars = rest.chars();
        match (tokens.get(token), chars.next()) {
            (Some(Token::Run), _) => {
                token += 1;
                latest_run = Some((token, rest));
            }
            (Some(Token::One), Some(_)) => (token, rest) = (token + 1, chars.as_str()),
            (Some(Token::Char(wanted)), Some(found)) if *wanted == found => (token, rest) = (token + 1, chars.as_str()),
            (None, None) => return true,
            _ => {
                let Some((after_run, taken)) = latest_run else { return false };
                let mut chars = taken.chars();
                if chars.next().is_none() {
                    return false;
                }
                latest_run = Some((after_run, chars.as_str()));
                (token, rest) = (after_run, chars.as_str());
            }
        }
    }
}

#[cfg(test)]
mod tests;
