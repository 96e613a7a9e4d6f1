//! Regular expressions of the `regex` crate in the words of RE2, which ClickHouse has.
//!
//! The two differ in what `.`, `\w` and `(?i)` mean. So an expression is parsed with the crate's own parser and written
//! again in its most basic form, classes as ranges of characters. What remains: `\b` and `\B` look at ASCII letters only.

use std::fmt::Write as _;

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use wk_lake::LakeError;

/// Repetitions that RE2 takes at most.
const REPEATS_MAX: u32 = 1_000;

/// The expression as RE2 reads it.
///
/// # Errors
/// An expression that cannot be read, or that RE2 has no words for.
pub(super) fn to_re2(expression: &str) -> Result<String, LakeError> {
    let what = |error: String| LakeError::Query { what: format!("could not read the regular expression: {error}") };
    let hir = regex_syntax::parse(expression).map_err(|error| what(error.to_string()))?;
    let mut out = String::new();
    write(&hir, &mut out)
        .map_err(|why| what(format!("{why} cannot be asked of ClickHouse; leave it out of the expression")))?;
    Ok(out)
}

fn write(hir: &Hir, out: &mut String) -> Result<(), &'static str> {
    match hir.kind() {
        HirKind::Empty => out.push_str("(?:)"),
        HirKind::Literal(literal) => {
            let text = std::str::from_utf8(&literal.0).map_err(|_| "a byte that is no text")?;
            out.push_str(&regex_syntax::escape(text));
        }
        HirKind::Class(class) => write_class(class, out)?,
        HirKind::Look(look) => out.push_str(look_text(*look)?),
        HirKind::Repetition(repetition) => write_repetition(repetition, out)?,
        HirKind::Capture(capture) => write_group(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                if matches!(part.kind(), HirKind::Alternation(_)) {
                    write_group(part, out)?;
                } else {
                    write(part, out)?;
                }
            }
        }
        HirKind::Alternation(parts) => {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    out.push('|');
                }
                write(part, out)?;
            }
        }
    }
    Ok(())
}

fn write_group(hir: &Hir, out: &mut String) -> Result<(), &'static str> {
    out.push_str("(?:");
    write(hir, out)?;
    out.push(')');
    Ok(())
}

fn write_repetition(repetition: &Repetition, out: &mut String) -> Result<(), &'static str> {
    write_group(&repetition.sub, out)?;
    let Repetition { min, max, .. } = *repetition;
    if min > REPEATS_MAX || max.is_some_and(|max| max > REPEATS_MAX) {
        return Err("a repetition of more than 1000 times");
    }
    match (min, max) {
        (0, None) => out.push('*'),
        (1, None) => out.push('+'),
        (0, Some(1)) => out.push('?'),
        (min, None) => _ = write!(out, "{{{min},}}"),
        (min, Some(max)) => _ = write!(out, "{{{min},{max}}}"),
    }
    Ok(())
}

fn write_class(class: &Class, out: &mut String) -> Result<(), &'static str> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Bytes(class) if class.is_ascii() => {
            class.ranges().iter().map(|range| (range.start().into(), range.end().into())).collect()
        }
        Class::Bytes(_) => return Err("a class of bytes"),
    };
    if ranges.is_empty() {
        return Err("a class that holds nothing");
    }
    out.push('[');
    for (start, end) in ranges {
        _ = write!(out, "\\x{{{start:X}}}-\\x{{{end:X}}}");
    }
    out.push(']');
    Ok(())
}

const fn look_text(look: Look) -> Result<&'static str, &'static str> {
    Ok(match look {
        Look::Start => r"\A",
        Look::End => r"\z",
        Look::StartLF => "(?m:^)",
        Look::EndLF => "(?m:$)",
        Look::WordAscii | Look::WordUnicode => r"\b",
        Look::WordAsciiNegate | Look::WordUnicodeNegate => r"\B",
        Look::StartCRLF | Look::EndCRLF => return Err("the mode (?R)"),
        _ => return Err(r"\b{start}, \b{end} and their halves"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_written_in_basic_words() {
        let check = |from: &str, to: &str| assert_eq!(to_re2(from).unwrap(), to, "{from}");
        check("a.c", r"a[\x{0}-\x{9}\x{B}-\x{10FFFF}]c");
        check("(?i)ab", r"[\x{41}-\x{41}\x{61}-\x{61}][\x{42}-\x{42}\x{62}-\x{62}]");
        check("^a(b|cd)*$", r"\Aa(?:b|cd)*\z");
        check("x{2,3}?y", "(?:x){2,3}y");
        check(r"10%\.\?", r"10%\.\?");
        check("(?m)^a$", "(?m:^)a(?m:$)");
    }

    #[test]
    fn what_has_no_words_is_refused() {
        for from in ["a{1001}", r"\b{start}x", "(?R)a$(?mR:^)", r"[a&&b]"] {
            assert!(matches!(to_re2(from), Err(LakeError::Query { .. })), "{from}");
        }
    }
}
