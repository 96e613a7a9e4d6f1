//! Names of things. Each is its own type, so that one cannot stand in for another.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Position of a record in the intake log; the first record is 1, 0 means "before the first".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Makes the id from its text.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
    };
}

text_id! {
    /// An asset's id: the name its registry entry is kept under.
    AssetId
}
text_id! {
    /// Which configured source took a record in, such as `host` or `syslog-udp`.
    SourceName
}
text_id! {
    /// A signal's id, `sig-` and 16 hexadecimal digits derived from rule, subject, asset and start.
    SignalId
}
text_id! {
    /// An incident's id, `inc-` and 16 hexadecimal digits derived from its first signal.
    IncidentId
}
text_id! {
    /// A command's id, `cmd-` and random hexadecimal digits chosen by whoever sends it.
    CommandId
}
text_id! {
    /// A person, as the salted hash under which the erasable side table keeps the name.
    PersonRef
}
text_id! {
    /// The ship's immutable id, made at first start.
    VesselId
}

impl AssetId {
    /// The asset that records stand under when nobody can say whose they are.
    #[must_use]
    pub fn unknown() -> Self {
        Self::from("unknown")
    }
}

impl SignalId {
    /// Derives the id from what makes a signal that signal, so that a replay names it the same.
    #[must_use]
    pub fn derive(parts: &[&str]) -> Self {
        Self::from(format!("sig-{:016x}", digest(parts)))
    }
}

impl IncidentId {
    /// Derives the id from the incident's first signal.
    #[must_use]
    pub fn derive(first: &SignalId) -> Self {
        Self::from(format!("inc-{:016x}", digest(&[first.as_str()])))
    }
}

fn digest(parts: &[&str]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0xff]);
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_keep_part_borders() {
        assert_ne!(SignalId::derive(&["ab", "c"]), SignalId::derive(&["a", "bc"]));
    }
}
