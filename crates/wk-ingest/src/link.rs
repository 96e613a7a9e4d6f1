//! Satellite terminals, modems, antennas and routers: what each says about its link, in one vocabulary.
//!
//! How a device is asked and what its fields mean stands in a profile, a file of data; see [`profile`]. Devices are only
//! read from: no request changes anything on them.

pub mod grpc;
pub mod http;
pub mod kpi;
pub mod profile;
pub mod starlink;
pub mod text;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wk_types::{AssetId, ErrorKind};

use crate::backoff::Backoff;
use crate::contract::SourceContext;
use crate::instruments::{InstrumentSettings, Instruments};
use kpi::Value;
use profile::{Profile, Transport};

/// Which device, and how it is read.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// The source's name: the label `instance`.
    pub name: String,
    /// What its fields mean.
    pub profile: Profile,
    /// Where it is: `http://…` or `https://…`, or host and port for text.
    pub address: String,
    /// How often it is asked.
    pub interval: Duration,
    /// The user, or client id, at the device.
    pub user: Option<String>,
    /// The file with the password or secret, read at every sign-in.
    pub password_file: Option<PathBuf>,
    /// Takes any certificate: most devices sign their own.
    pub insecure_tls: bool,
    /// The asset that its series belong to.
    pub asset: AssetId,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
}

/// Why a link cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The profile is read by another source.
    #[error("the profile {profile:?} describes what is read over snmp; name it in [[snmp]] instead")]
    Snmp {
        /// The profile.
        profile: String,
    },
    /// The address does not fit the profile.
    #[error("could not read {address:?} as the address of {profile:?}; write {example}")]
    Address {
        /// The text as written.
        address: String,
        /// The profile.
        profile: String,
        /// What it looks like.
        example: &'static str,
    },
    /// The HTTP client cannot be made.
    #[error("could not make the http client")]
    Client(#[source] crate::scrape::ScrapeError),
}

impl LinkError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Client(error) => error.kind(),
            _ => ErrorKind::InvalidInput,
        }
    }
}

impl LinkSettings {
    /// Checks that profile and address fit each other.
    ///
    /// # Errors
    /// A profile for SNMP, or an address of another kind.
    pub fn check(&self) -> Result<(), LinkError> {
        let is_http = self.address.starts_with("http://") || self.address.starts_with("https://");
        let (fits, example) = match self.profile.transport {
            Transport::Snmp => return Err(LinkError::Snmp { profile: self.profile.name.clone() }),
            Transport::HttpJson => (is_http, "https://192.168.1.1"),
            Transport::StarlinkGrpc => (self.address.starts_with("http://"), "http://192.168.100.1:9200"),
            Transport::TcpText => (!is_http && self.address.contains(':'), "10.0.0.9:2003"),
        };
        if fits {
            return Ok(());
        }
        let (address, profile) = (self.address.clone(), self.profile.name.clone());
        Err(LinkError::Address { address, profile, example })
    }

    fn instruments(&self) -> InstrumentSettings {
        let mut labels = self.labels.clone();
        labels.insert("profile".to_owned(), self.profile.name.clone());
        InstrumentSettings {
            job: "link",
            instance: self.name.clone(),
            asset: self.asset.clone(),
            resolution: self.interval,
            labels,
        }
    }
}

/// A link that can be watched.
pub struct Link {
    settings: LinkSettings,
    reader: Reader,
}

enum Reader {
    Http(Box<http::Device>),
    Starlink(Box<starlink::Dish>),
    Text,
}

impl Link {
    /// Makes what is needed to read from the device; it is first asked when the link is watched.
    ///
    /// # Errors
    /// Settings that do not fit each other, or no HTTP client.
    pub fn new(settings: LinkSettings) -> Result<Self, LinkError> {
        settings.check()?;
        let reader = match settings.profile.transport {
            Transport::HttpJson => Reader::Http(Box::new(http::Device::new(&settings)?)),
            Transport::StarlinkGrpc => Reader::Starlink(Box::new(starlink::Dish::new(&settings.address)?)),
            Transport::TcpText | Transport::Snmp => Reader::Text,
        };
        Ok(Self { settings, reader })
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Watches the link until cancelled.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let Self { settings, mut reader } = self;
        let mut instruments = Instruments::start(context.clone(), settings.instruments(), &cancel);
        if matches!(reader, Reader::Text) {
            text::run(&settings, &mut instruments, &cancel).await;
            return instruments.finish().await;
        }
        let mut beat = tokio::time::interval(settings.interval);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut backoff = Backoff::default();
        while !cancel.is_cancelled() {
            tokio::select! {
                () = cancel.cancelled() => break,
                _ = beat.tick() => {}
            }
            let asked = tokio::select! {
                () = cancel.cancelled() => break,
                asked = ask(&mut reader, &settings.profile) => asked,
            };
            match asked {
                Ok(answer) => {
                    backoff.reset();
                    note(&mut instruments, answer);
                    instruments.flush();
                }
                Err(what) => {
                    context.stats.flagged("device did not answer", 1, &what);
                    instruments.flush();
                    // A device that does not answer is asked less often.
                    instruments.idle(backoff.pause(), &cancel).await;
                }
            }
        }
        instruments.finish().await;
    }
}

/// What a device answered.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    /// How many bytes it had.
    pub bytes: usize,
    /// The values it gave.
    pub values: Vec<Value>,
    /// What could not be read from it, with its reason.
    pub bad: Vec<String>,
}

async fn ask(reader: &mut Reader, profile: &Profile) -> Result<Answer, String> {
    match reader {
        Reader::Http(device) => device.ask(profile).await,
        Reader::Starlink(dish) => dish.ask(profile).await,
        Reader::Text => Err("text is not asked for".to_owned()),
    }
}

fn note(instruments: &mut Instruments, answer: Answer) {
    let now = instruments.context().now();
    instruments.heard(answer.bytes);
    for value in answer.values {
        let labels: Vec<(&str, &str)> =
            value.labels.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        instruments.note(value.kpi.name(), &labels, value.value, now);
    }
    for what in answer.bad {
        instruments.reject("value that its field cannot have", &what);
    }
}

#[cfg(test)]
mod tests;
