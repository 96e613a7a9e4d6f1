//! Lists of metrics with their help and the range of their values.

/// Makes an enum of metrics; each row has the variant, the metric's name, its least and its greatest value, and its help.
macro_rules! vocabulary {
    ($(#[$about:meta])* $list:ident $($variant:ident, $name:literal, $least:expr, $most:expr, $help:literal;)+) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
        pub enum $list {
            $(#[doc = $help] #[serde(rename = $name)] $variant,)+
        }

        impl $list {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The metric's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What it measures.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)+ }
            }

            /// Tells whether a value can be one of this metric; what is not a number cannot.
            #[must_use]
            pub fn holds(self, value: f64) -> bool {
                let (least, most): (f64, f64) = match self { $(Self::$variant => ($least, $most),)+ };
                (least..=most).contains(&value)
            }
        }
    };
}

pub(crate) use vocabulary;
