//! Regular expressions, and what every matching text must hold, so that filters can rule out row groups.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::error::LakeError;
use crate::pattern::{PATTERN_BYTES_MAX, check_length};

/// Memory that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub(crate) struct Regular {
    regex: Regex,
    literals: Vec<Vec<u8>>,
}

impl Regular {
    /// Compiles an expression.
    ///
    /// # Errors
    /// A text that is none, is too long, or would take too much memory.
    pub(crate) fn new(text: &str) -> Result<Self, LakeError> {
        check_length(text)?;
        let refuse = |error: String| LakeError::query(format!("could not read the regular expression: {error}"));
        let regex = RegexBuilder::new(text).size_limit(COMPILED_BYTES_MAX).build();
        let regex = regex.map_err(|error| refuse(error.to_string()))?;
        let hir = regex_syntax::parse(text).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { regex, literals: required(&hir) })
    }

    /// What every matching text holds, in lower case (ASCII).
    pub(crate) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        self.literals.iter().map(Vec::as_slice)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// The texts that every match holds, in lower case.
fn required(hir: &Hir) -> Vec<Vec<u8>> {
    let mut runs = Runs::default();
    runs.walk(hir);
    runs.end();
    runs.done
}

#[derive(Default)]
struct Runs {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Runs {
    fn end(&mut self) {
        if !self.open.is_empty() && self.open.len() <= PATTERN_BYTES_MAX {
            self.done.push(std::mem::take(&mut self.open));
        }
        self.open.clear();
    }

    fn walk(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Literal(literal) => self.open.extend(literal.0.to_ascii_lowercase()),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Class(class) => match one_letter(class) {
                Some(letter) => self.open.push(letter),
                None => self.end(),
            },
            // A look-around takes no text, so that what stands before and after it is neighbours.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Repetition(repetition) => {
                self.end();
                if repetition.min > 0 {
                    self.walk(&repetition.sub);
                    self.end();
                }
            }
            HirKind::Alternation(_) => self.end(),
        }
    }
}

/// The ASCII letter of which a class holds both cases and nothing else but its other Unicode foldings.
fn one_letter(class: &Class) -> Option<u8> {
    let mut letters = Vec::new();
    match class {
        Class::Unicode(class) => {
            for range in class.ranges() {
                // K and S have a third case beyond ASCII, which the filter does not fold.
                if !range.end().is_ascii() || range.len() > 2 {
                    return None;
                }
                letters.extend((range.start()..=range.end()).map(|letter| letter.to_ascii_lowercase() as u8));
            }
        }
        Class::Bytes(class) => {
            for range in class.ranges() {
                if range.len() > 2 {
                    return None;
                }
                letters.extend((range.start()..=range.end()).map(|letter| letter.to_ascii_lowercase()));
            }
        }
    }
    letters.dedup();
    match letters[..] {
        [letter] => Some(letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
