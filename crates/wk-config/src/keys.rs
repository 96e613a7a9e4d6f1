//! The keys of the file, with their defaults.

mod receivers;
mod relabel;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wk_types::{EdgeKind, Severity};

use crate::network::Network;

pub use receivers::{ElasticsearchConfig, ForwardConfig, OtlpConfig, StatsdConfig};
pub use relabel::{RelabelAction, RelabelConfig};

/// The number of the file format this version reads.
pub const FORMAT: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Number of the file format; 1.
    pub format: u32,
    /// The ship's name, as people know it.
    pub name: String,
    /// The HTTP interface: console, API, ingest.
    pub http: HttpConfig,
    /// Metrics of this machine.
    pub host: HostConfig,
    /// Logs of this machine.
    pub logs: LogsConfig,
    /// Syslog from others.
    pub syslog: SyslogConfig,
    /// OpenTelemetry from others.
    pub otlp: OtlpConfig,
    /// Documents as they are sent to Elasticsearch.
    pub elasticsearch: ElasticsearchConfig,
    /// Logs from Fluentd and Fluent Bit.
    pub forward: ForwardConfig,
    /// Metrics over StatsD.
    pub statsd: StatsdConfig,
    /// Prometheus targets to scrape.
    pub scrape: Vec<ScrapeConfig>,
    /// Assets and the names they answer to.
    pub asset: Vec<AssetConfig>,
    /// Edges between assets.
    pub edge: Vec<EdgeConfig>,
    /// Alerting rules.
    pub rules: RulesConfig,
    /// How incidents end.
    pub incident: IncidentConfig,
    /// Who is told by mail; nobody while it is missing.
    pub mail: Option<MailConfig>,
    /// Bounds of what is kept.
    pub storage: StorageConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: FORMAT,
            name: "unnamed vessel".to_owned(),
            http: HttpConfig::default(),
            host: HostConfig::default(),
            logs: LogsConfig::default(),
            syslog: SyslogConfig::default(),
            otlp: OtlpConfig::default(),
            elasticsearch: ElasticsearchConfig::default(),
            forward: ForwardConfig::default(),
            statsd: StatsdConfig::default(),
            scrape: Vec::new(),
            asset: Vec::new(),
            edge: Vec::new(),
            rules: RulesConfig::default(),
            incident: IncidentConfig::default(),
            mail: None,
            storage: StorageConfig::default(),
        }
    }
}

/// The HTTP interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address of console and API. Anything but loopback is served over TLS.
    pub listen: SocketAddr,
    /// Certificate chain in PEM; the node's own authority signs one where it is missing.
    pub tls_certificate: Option<PathBuf>,
    /// Private key in PEM that belongs to the certificate.
    pub tls_key: Option<PathBuf>,
    /// Whether ingest from loopback needs no token.
    pub ingest_from_loopback: bool,
    /// Largest body taken, in bytes, before and after decompression.
    pub body_bytes_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8484),
            tls_certificate: None,
            tls_key: None,
            ingest_from_loopback: true,
            body_bytes_max: 32 << 20,
        }
    }
}

/// Metrics of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// Whether this machine is watched.
    pub enabled: bool,
    /// Seconds between two rounds.
    pub interval_s: u32,
    /// Services that must always run, by process group or systemd unit name without `.service`.
    pub services: Vec<String>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { enabled: true, interval_s: 15, services: Vec::new() }
    }
}

/// Logs of this machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogsConfig {
    /// Whether the journal is read where journald runs; where it is, the default files are not read as well.
    pub journald: bool,
    /// Files to follow, with `*` in the last part; the usual ones under `/var/log` where it is missing.
    pub files: Option<Vec<String>>,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self { journald: true, files: None }
    }
}

/// Syslog from others. It carries no token, so it listens on loopback unless `allow_networks` is set too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogConfig {
    /// Whether syslog is taken in at all.
    pub enabled: bool,
    /// Address for UDP and TCP.
    pub listen: SocketAddr,
    /// Networks that may send, such as `10.20.0.0/16`; needed where `listen` is not loopback.
    pub allow_networks: Vec<Network>,
    /// Address for syslog over TLS, usually port 6514, with the certificate of `[http]`; not served where it is missing.
    pub tls_listen: Option<SocketAddr>,
    /// File in PEM with the authorities whose certificates clients have to show; then they may come from anywhere.
    pub tls_client_authority_file: Option<PathBuf>,
    /// Zone of times that do not name theirs, such as `Europe/Oslo`; this machine's where it is missing.
    pub zone: Option<String>,
    /// Zones of single senders, by the address that they send from.
    pub zones: BTreeMap<IpAddr, String>,
    /// Seconds of silence after which a connection is ended.
    pub idle_s: u32,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1514),
            allow_networks: Vec::new(),
            tls_listen: None,
            tls_client_authority_file: None,
            zone: None,
            zones: BTreeMap::new(),
            idle_s: 1_800,
        }
    }
}

/// One Prometheus target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrapeConfig {
    /// Label `job` of its series.
    pub job: String,
    /// Where its metrics are, such as `http://switch-exporter:9100/metrics`.
    pub url: String,
    /// Seconds between two scrapes.
    #[serde(default = "default_interval_s")]
    pub interval_s: u32,
    /// Seconds after which a scrape has failed.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u32,
    /// Further labels of its series.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The asset it belongs to; found by the host in the URL where it is missing.
    #[serde(default)]
    pub asset: Option<String>,
    /// Whether labels of the samples win over those of the target.
    #[serde(default)]
    pub honor_labels: bool,
    /// Whether times that the target gives are kept; the time of the scrape stands in for them else.
    #[serde(default = "default_true")]
    pub honor_timestamps: bool,
    /// Most samples a scrape may have; one with more fails as a whole.
    #[serde(default = "default_sample_limit")]
    pub sample_limit: usize,
    /// User at the target.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// File that holds a token, in place of user and password.
    #[serde(default)]
    pub bearer_token_file: Option<PathBuf>,
    /// Rules for the labels of the target, whose address stands in `__scheme__`, `__address__` and `__metrics_path__`;
    /// a target that they drop is not scraped.
    #[serde(default)]
    pub relabel: Vec<RelabelConfig>,
    /// Rules for the labels of its samples.
    #[serde(default)]
    pub metric_relabel: Vec<RelabelConfig>,
}

const fn default_true() -> bool {
    true
}

const fn default_sample_limit() -> usize {
    50_000
}

const fn default_interval_s() -> u32 {
    15
}

const fn default_timeout_s() -> u32 {
    10
}

/// An asset and the names it answers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetConfig {
    /// The name it is kept under.
    pub id: String,
    /// What it is, such as `switch`.
    #[serde(default)]
    pub role: String,
    /// Host names it sends under.
    #[serde(default)]
    pub hostname: Vec<String>,
    /// Addresses it sends from.
    #[serde(default)]
    pub ip: Vec<IpAddr>,
}

/// An edge between two assets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeConfig {
    /// Where it starts.
    pub from: String,
    /// What it means: `powers`, `connects`, `hosts`, `depends_on` or `routes_via`.
    pub kind: EdgeKind,
    /// Where it ends.
    pub to: String,
}

/// Alerting rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Whether the shipped rules for a host are in force.
    pub defaults: bool,
    /// Further files in the Prometheus rule file format.
    pub files: Vec<PathBuf>,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self { defaults: true, files: Vec::new() }
    }
}

/// How incidents end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IncidentConfig {
    /// Seconds without a signal after which an incident is resolved.
    pub hold_s: u32,
}

impl Default for IncidentConfig {
    fn default() -> Self {
        Self { hold_s: 60 }
    }
}

/// Who is told by mail, and by which way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Sender's address.
    pub from: String,
    /// Recipients' addresses.
    pub to: Vec<String>,
    /// Incidents below this are not told.
    #[serde(default = "default_severity_min")]
    pub severity_min: Severity,
    /// Relay: `smtp://host:port`, `smtp+starttls://host:port` or `smtps://host:port`.
    #[serde(default)]
    pub smtp: Option<String>,
    /// User at the relay.
    #[serde(default)]
    pub smtp_user: Option<String>,
    /// File that holds the user's password.
    #[serde(default)]
    pub smtp_password_file: Option<PathBuf>,
    /// File in PEM with the authority that signed the relay's certificate, beside those of the system.
    #[serde(default)]
    pub smtp_authority_file: Option<PathBuf>,
    /// A sendmail-compatible command with its arguments, in place of `smtp`.
    #[serde(default)]
    pub sendmail: Option<Vec<String>>,
    /// Address of the console for links in mails; `http://` and `http.listen` where it is missing.
    #[serde(default)]
    pub console_url: Option<String>,
}

const fn default_severity_min() -> Severity {
    Severity::Minor
}

/// Bounds of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// Largest size of the intake log in bytes.
    pub intake_bytes_max: u64,
    /// Days for which metrics are kept.
    pub metrics_days: u32,
    /// Days for which metrics are kept in steps of five minutes.
    pub metrics_5m_days: u32,
    /// Days for which metrics are kept in steps of an hour.
    pub metrics_1h_days: u32,
    /// Largest size of all metrics in bytes; a twentieth of it is kept free.
    pub metrics_bytes_max: u64,
    /// Largest share of the file system that metrics take, in hundredths; the smaller of the two bounds holds.
    pub metrics_disk_percent_max: u8,
    /// Most series taken in.
    pub series_max: usize,
    /// Most series taken in from one source, that is of one job.
    pub source_series_max: usize,
    /// Days for which logs are kept.
    pub logs_days: u32,
    /// Largest size of the logs in bytes.
    pub logs_bytes_max: u64,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            intake_bytes_max: 2 << 30,
            metrics_days: 30,
            metrics_5m_days: 180,
            metrics_1h_days: 1_095,
            metrics_bytes_max: 4 << 30,
            metrics_disk_percent_max: 50,
            series_max: 200_000,
            source_series_max: 100_000,
            logs_days: 30,
            logs_bytes_max: 8 << 30,
        }
    }
}
