//! Relabelling as Prometheus does it, of targets and of samples.
//!
//! *Source*: `model/relabel/relabel.go` of Prometheus 3, whose own cases the tests are.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use regex::Regex;
use wk_config::{RelabelAction, RelabelConfig};

/// How many bytes a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Labels by name.
pub type LabelMap = BTreeMap<String, String>;

/// Why a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadRule {
    /// The pattern does not compile.
    #[error("could not read the regular expression {pattern:?}")]
    Pattern {
        /// As written.
        pattern: String,
        /// What the compiler said.
        #[source]
        source: regex::Error,
    },
    /// The action needs something that is missing.
    #[error("the action {action} needs {what}")]
    Missing {
        /// The action's name.
        action: &'static str,
        /// The key that is missing.
        what: &'static str,
    },
    /// A target label can never be a label's name.
    #[error("{name:?} is no name of a label")]
    Target {
        /// As written.
        name: String,
    },
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    source_labels: Vec<String>,
    separator: String,
    pattern: Regex,
    modulus: u64,
    target: String,
    replacement: String,
    action: RelabelAction,
}

impl Rule {
    /// Reads a rule as it is configured.
    ///
    /// # Errors
    /// A pattern that does not compile, a rule that lacks what its action needs.
    pub fn new(config: &RelabelConfig) -> Result<Self, BadRule> {
        // Dots match line feeds, and the whole text has to match.
        let pattern = regex::RegexBuilder::new(&format!("^(?s:{})$", config.regex))
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|source| BadRule::Pattern { pattern: config.regex.clone(), source })?;
        let rule = Self {
            source_labels: config.source_labels.clone(),
            separator: config.separator.clone(),
            pattern,
            modulus: config.modulus,
            target: config.target_label.clone(),
            replacement: config.replacement.clone(),
            action: config.action,
        };
        rule.check()?;
        Ok(rule)
    }

    fn check(&self) -> Result<(), BadRule> {
        use RelabelAction as Action;
        let action = self.action.as_str();
        let needs_target = !matches!(
            self.action,
            Action::Keep | Action::Drop | Action::LabelMap | Action::LabelDrop | Action::LabelKeep
        );
        if needs_target && self.target.is_empty() {
            return Err(BadRule::Missing { action, what: "target_label" });
        }
        if self.action == Action::HashMod && self.modulus == 0 {
            return Err(BadRule::Missing { action, what: "modulus" });
        }
        let may_expand = self.action == Action::Replace;
        if needs_target && !is_target(&self.target, may_expand) {
            return Err(BadRule::Target { name: self.target.clone() });
        }
        Ok(())
    }

    /// Applies the rule; false where what the labels stand for is dropped.
    fn apply(&self, labels: &mut LabelMap) -> bool {
        use RelabelAction as Action;
        let of = |labels: &LabelMap, name: &str| labels.get(name).cloned().unwrap_or_default();
        let values: Vec<String> = self.source_labels.iter().map(|name| of(labels, name)).collect();
        let value = values.join(&self.separator);
        match self.action {
            Action::Keep => return self.pattern.is_match(&value),
            Action::Drop => return !self.pattern.is_match(&value),
            Action::KeepEqual => return of(labels, &self.target) == value,
            Action::DropEqual => return of(labels, &self.target) != value,
            Action::Replace => self.replace(labels, &value),
            Action::Lowercase => set(labels, &self.target, value.to_lowercase()),
            Action::Uppercase => set(labels, &self.target, value.to_uppercase()),
            Action::HashMod => {
                let digest = Md5::digest(value.as_bytes());
                let number = digest[8..].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
                set(labels, &self.target, (number % self.modulus).to_string());
            }
            Action::LabelMap => {
                let matching = labels.iter().filter(|(name, _)| self.pattern.is_match(name));
                let mapped: Vec<(String, String)> = matching
                    .map(|(name, value)| {
                        (self.pattern.replace_all(name, self.replacement.as_str()).into_owned(), value.clone())
                    })
                    .collect();
                mapped.into_iter().for_each(|(name, value)| set(labels, &name, value));
            }
            Action::LabelDrop => labels.retain(|name, _| !self.pattern.is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.pattern.is_match(name)),
        }
        true
    }

    fn replace(&self, labels: &mut LabelMap, value: &str) {
        let Some(found) = self.pattern.captures(value) else { return };
        let (mut target, mut replaced) = (String::new(), String::new());
        found.expand(&self.target, &mut target);
        found.expand(&self.replacement, &mut replaced);
        if is_target(&target, false) {
            set(labels, &target, replaced);
        }
    }
}

/// An empty value is none.
fn set(labels: &mut LabelMap, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else {
        labels.insert(name.to_owned(), value);
    }
}

/// Tells whether a text is a label's name, or may become one where `$1`, `$name` and `${name}` are replaced.
fn is_target(name: &str, may_expand: bool) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let at_begin = rest.len() == name.len();
        if is_word(first) && !(at_begin && first.is_ascii_digit()) {
            rest = &rest[1..];
            continue;
        }
        let Some(behind) = rest.strip_prefix('$').filter(|_| may_expand) else { return false };
        let (inner, behind) = match behind.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some(parts) => parts,
                None => return false,
            },
            None => behind.split_at(behind.find(|c| !is_word(c)).unwrap_or(behind.len())),
        };
        if inner.is_empty() || !inner.chars().all(is_word) {
            return false;
        }
        rest = behind;
    }
    !name.is_empty()
}

/// Applies rules one after the other; false where what the labels stand for is dropped.
#[must_use]
pub fn apply(rules: &[Rule], labels: &mut LabelMap) -> bool {
    rules.iter().all(|rule| rule.apply(labels))
}

#[cfg(test)]
mod tests;
