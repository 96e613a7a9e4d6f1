//! Metric stores outside: written by Prometheus remote write 1.0, asked over the Prometheus HTTP API.
//!
//! *Source*: <https://prometheus.io/docs/specs/prw/remote_write_spec/>,
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>,
//! <https://docs.victoriametrics.com/>, <https://grafana.com/docs/mimir/latest/references/http-api/>.

mod ask;
mod batch;
mod send;
mod write;

use std::time::Duration;

use crate::endpoint::{ConnectError, Credentials, Endpoint, EndpointSettings};

pub use ask::{Answer, AskError, Question};
pub use batch::Batch;
pub use send::{Limits, Refused, Sent, Unsent};
pub use write::WriteError;

/// The header that names the tenant.
const TENANT: &str = "x-scope-orgid";
/// How long one request of remote write may take.
const WRITE_MAX: Duration = Duration::from_secs(30);

/// Which of the metric stores it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `VictoriaMetrics`.
    VictoriaMetrics,
    /// Grafana Mimir, and what has its paths.
    Mimir,
    /// Prometheus with `--web.enable-remote-write-receiver`.
    Prometheus,
}

impl Kind {
    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VictoriaMetrics => "VictoriaMetrics",
            Self::Mimir => "Mimir",
            Self::Prometheus => "Prometheus",
        }
    }

    /// Where remote write goes, behind the address.
    const fn write_path(self) -> &'static [&'static str] {
        match self {
            Self::Mimir => &["api", "v1", "push"],
            Self::VictoriaMetrics | Self::Prometheus => &["api", "v1", "write"],
        }
    }

    /// What stands before `api/v1/query`, behind the address.
    const fn query_prefix(self) -> &'static [&'static str] {
        match self {
            Self::Mimir => &["prometheus"],
            Self::VictoriaMetrics | Self::Prometheus => &[],
        }
    }

    /// How long after it has taken something the store may still lose it where it is killed. `VictoriaMetrics` writes to
    /// disk every 5 s (`-inmemoryDataFlushInterval`); the others keep a log of what they have acknowledged.
    #[must_use]
    pub const fn settles_after(self) -> Duration {
        match self {
            Self::VictoriaMetrics => Duration::from_secs(10),
            Self::Mimir | Self::Prometheus => Duration::ZERO,
        }
    }

    /// Whether a refused request was refused as a whole, so that its parts may be taken. Mimir keeps what it can of a
    /// request and names the first sample that it could not keep.
    const fn refuses_wholly(self) -> bool {
        !matches!(self, Self::Mimir)
    }
}

/// Where a metric store is and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSettings {
    /// Which one it is.
    pub kind: Kind,
    /// Its address, with what stands before the paths of its API.
    pub url: String,
    /// The address that queries go to, where it is another one.
    pub query_url: Option<String>,
    /// The tenant, sent as `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Who we are to it.
    pub credentials: Option<Credentials>,
    /// File in PEM with the authority that signed its certificate, beside those of the system.
    pub authority_file: Option<std::path::PathBuf>,
}

/// A metric store outside; clones share its connections.
#[derive(Debug, Clone)]
pub struct OutsideStore {
    kind: Kind,
    writing: Endpoint,
    asking: Endpoint,
}

impl OutsideStore {
    /// Makes one; nothing is sent yet.
    ///
    /// # Errors
    /// An address, tenant or file that cannot be used.
    pub fn new(settings: &MetricSettings) -> Result<Self, ConnectError> {
        let endpoint = |url: &String| {
            Endpoint::new(&EndpointSettings {
                url: url.clone(),
                credentials: settings.credentials.clone(),
                headers: settings.tenant.iter().map(|tenant| (TENANT, tenant.clone())).collect(),
                authority_file: settings.authority_file.clone(),
            })
        };
        let writing = endpoint(&settings.url)?;
        let asking = settings.query_url.as_ref().map_or_else(|| Ok(writing.clone()), endpoint)?;
        Ok(Self { kind: settings.kind, writing, asking })
    }

    /// Which one it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its address, which holds no secret.
    #[must_use]
    pub fn url(&self) -> &str {
        self.writing.url()
    }
}

#[cfg(test)]
mod tests;
