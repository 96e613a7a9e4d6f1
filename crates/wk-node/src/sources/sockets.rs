//! Sources with sockets of their own, bound before anything else starts, so that a port in use stops the start.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, ForwardConfig, StatsdConfig, SyslogConfig};
use wk_ingest::forward::{Forward, ForwardSettings, SharedKey};
use wk_ingest::statsd::{Statsd, StatsdSettings};
use wk_ingest::syslog::tcp::TcpSyslog;
use wk_ingest::syslog::udp::UdpSyslog;
use wk_ingest::syslog::{SyslogError, SyslogSettings};
use wk_ingest::times::Zone;

use super::context;
use crate::error::NodeError;
use crate::http::tls::{Tls, acceptor, acceptor_of_known};
use crate::node::Node;
use crate::ship::hostname;

/// The bound sockets; of those that are not configured there are none.
pub struct Sockets {
    syslog: Option<(UdpSyslog, TcpSyslog)>,
    syslog_tls: Option<TcpSyslog>,
    forward: Option<Forward>,
    statsd: Option<Statsd>,
}

impl Sockets {
    /// Binds what is configured; relative paths are meant from `base`, and `data` holds the node's own authority.
    ///
    /// # Errors
    /// A port in use, an address that is not this machine's, files or zones that cannot be used.
    pub async fn bind(config: &Config, base: &Path, data: &Path) -> Result<Self, NodeError> {
        let tls = |listen: SocketAddr| Tls::of(&config.http, listen, base, data);
        let (syslog, syslog_tls) = bind_syslog(&config.syslog, tls).await?;
        let forward = match config.forward.listen {
            None => None,
            Some(listen) => {
                let encrypts = config.forward.tls.then(|| acceptor(&tls(listen), &[])).transpose()?;
                Some(bind_forward(&config.forward, listen, base, encrypts).await?)
            }
        };
        let statsd = match config.statsd.listen {
            None => None,
            Some(listen) => Some(bind_statsd(&config.statsd, listen).await?),
        };
        Ok(Self { syslog, syslog_tls, forward, statsd })
    }

    /// Starts to take in what comes; it ends after `stop`.
    pub fn start(self, node: &Arc<Node>, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some((udp, tcp)) = self.syslog {
            tasks.spawn(udp.run(context(node, "syslog-udp", false), stop.clone()));
            tasks.spawn(tcp.run(context(node, "syslog-tcp", false), stop.clone()));
        }
        if let Some(syslog) = self.syslog_tls {
            tasks.spawn(syslog.run(context(node, "syslog-tls", false), stop.clone()));
        }
        if let Some(forward) = self.forward {
            tasks.spawn(forward.run(context(node, "forward", false), stop.clone()));
        }
        if let Some(statsd) = self.statsd {
            tasks.spawn(statsd.run(context(node, "statsd", false), stop.clone()));
        }
    }
}

type Syslog = (Option<(UdpSyslog, TcpSyslog)>, Option<TcpSyslog>);

async fn bind_syslog<'a>(config: &SyslogConfig, tls: impl Fn(SocketAddr) -> Tls<'a>) -> Result<Syslog, NodeError> {
    if !config.enabled {
        return Ok((None, None));
    }
    let failed = |error: SyslogError| {
        let SyslogError::Listen { transport, address, source } = error;
        let what = match transport {
            "udp" => "syslog (UDP)",
            "tls" => "syslog (TLS)",
            _ => "syslog (TCP)",
        };
        NodeError::Listen { what, address, source }
    };
    let mut settings = SyslogSettings::new(config.listen, zone(config.zone.as_deref())?);
    settings.allow_networks.clone_from(&config.allow_networks);
    settings.idle = Duration::from_secs(config.idle_s.into());
    settings.zones = zones(config)?.into();
    let udp = UdpSyslog::bind(settings.clone()).await.map_err(failed)?;
    let tcp = TcpSyslog::bind(settings.clone(), None).await.map_err(failed)?;
    let Some(listen) = config.tls_listen else { return Ok((Some((udp, tcp)), None)) };
    settings.listen = listen;
    settings.clients_are_known = config.tls_client_authority_file.is_some();
    let encrypts = match &config.tls_client_authority_file {
        Some(clients) => acceptor_of_known(&tls(listen), clients)?,
        None => acceptor(&tls(listen), &[])?,
    };
    let encrypted = TcpSyslog::bind(settings, Some(encrypts)).await.map_err(failed)?;
    Ok((Some((udp, tcp)), Some(encrypted)))
}

/// A time zone by its name; this machine's where there is none.
fn zone(name: Option<&str>) -> Result<TimeZone, NodeError> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name).map_err(|error| NodeError::Source {
        source_name: "syslog",
        what: format!("{error}; write a name such as \"Europe/Oslo\" or \"UTC\""),
    })
}

fn zones(config: &SyslogConfig) -> Result<HashMap<IpAddr, Zone>, NodeError> {
    let each = config.zones.iter().map(|(address, name)| Ok((address.to_canonical(), Zone::new(zone(Some(name))?))));
    each.collect()
}

async fn bind_forward(
    config: &ForwardConfig,
    listen: SocketAddr,
    base: &Path,
    tls: Option<TlsAcceptor>,
) -> Result<Forward, NodeError> {
    let mut settings = ForwardSettings::new(listen, &hostname());
    settings.allow_networks.clone_from(&config.allow_networks);
    settings.tls = tls;
    if let Some(file) = &config.shared_key_file {
        let file = base.join(file);
        let wrong = |what: String| NodeError::Source { source_name: "forward", what };
        let key = std::fs::read_to_string(&file)
            .map_err(|error| wrong(format!("could not read {}: {error}", file.display())))?;
        if key.trim().is_empty() {
            return Err(wrong(format!("{} holds no key", file.display())));
        }
        settings.shared_key = Some(SharedKey::new(key.trim()));
    }
    let what = "the Forward protocol";
    Forward::bind(settings).await.map_err(|source| NodeError::Listen { what, address: listen, source })
}

async fn bind_statsd(config: &StatsdConfig, listen: SocketAddr) -> Result<Statsd, NodeError> {
    let mut settings = StatsdSettings::new(listen);
    settings.allow_networks.clone_from(&config.allow_networks);
    settings.interval = Duration::from_secs(config.interval_s.into());
    Statsd::bind(settings).await.map_err(|source| NodeError::Listen { what: "StatsD", address: listen, source })
}
