//! Starting the sources as the configuration says.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::SyslogConfig;
use wk_ingest::syslog::SyslogSettings;
use wk_ingest::syslog::tcp::TcpSyslog;
use wk_ingest::syslog::udp::UdpSyslog;

use super::context;
use crate::error::NodeError;
use crate::node::Node;

/// The sockets for syslog, bound before anything else starts, so that a port in use stops the start.
pub struct SyslogSockets {
    udp: UdpSyslog,
    tcp: TcpSyslog,
}

/// Binds the sockets for syslog; `None` where it is switched off.
///
/// # Errors
/// A port in use, an address that is not this machine's.
pub async fn bind_syslog(config: &SyslogConfig) -> Result<Option<SyslogSockets>, NodeError> {
    if !config.enabled {
        return Ok(None);
    }
    let failed = |error: wk_ingest::syslog::SyslogError| {
        let wk_ingest::syslog::SyslogError::Listen { transport, address, source } = error;
        NodeError::Listen { what: if transport == "udp" { "syslog (UDP)" } else { "syslog (TCP)" }, address, source }
    };
    let mut settings = SyslogSettings::new(config.listen, jiff::tz::TimeZone::system());
    settings.allow_networks.clone_from(&config.allow_networks);
    let udp = UdpSyslog::bind(settings.clone()).await.map_err(failed)?;
    let tcp = TcpSyslog::bind(settings).await.map_err(failed)?;
    Ok(Some(SyslogSockets { udp, tcp }))
}

/// Starts every configured source; they end after `stop`.
pub fn start(node: &Arc<Node>, syslog: Option<SyslogSockets>, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(SyslogSockets { udp, tcp }) = syslog {
        tasks.spawn(udp.run(context(node, "syslog-udp", false), stop.clone()));
        tasks.spawn(tcp.run(context(node, "syslog-tcp", false), stop.clone()));
    }
}
