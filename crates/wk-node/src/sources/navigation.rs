//! Starting the sources of navigation data as the configuration says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, GpsdConfig, NmeaConfig, SignalKConfig};
use wk_ingest::gpsd::{self, GpsdSettings};
use wk_ingest::nmea::NmeaSettings;
use wk_ingest::nmea::stream::{self, StreamFrom};
use wk_ingest::nmea::udp::{UdpNmea, UdpSettings};
use wk_ingest::signalk::{self, SignalKSettings, Token};

use super::context;
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;

/// Everything that is bound or read before the start, so that a mistake stops it.
pub struct Navigation {
    datagrams: Vec<UdpNmea>,
    streams: Vec<(NmeaSettings, StreamFrom)>,
    gpsd: Vec<GpsdSettings>,
    signalk: Vec<SignalKSettings>,
}

/// Binds sockets and reads tokens.
///
/// # Errors
/// A port in use, an address or a token that cannot be used.
pub fn prepare(config: &Config, base: &Path) -> Result<Navigation, NodeError> {
    let (mut datagrams, mut streams) = (Vec::new(), Vec::new());
    for one in &config.nmea {
        if let Some(from) = stream_of(one) {
            streams.push((nmea_settings(one), from));
        } else {
            datagrams.push(bind(one)?);
        }
    }
    let signalk = config.signalk.iter().map(|one| signalk_settings(one, base)).collect::<Result<_, _>>()?;
    Ok(Navigation { datagrams, streams, gpsd: config.gpsd.iter().map(gpsd_settings).collect(), signalk })
}

/// Starts the sources; they end after `stop`.
pub fn start(node: &Arc<Node>, prepared: Navigation, tasks: &TaskTracker, stop: &CancellationToken) {
    let context = |kind: &str, name: &str| context(node, &format!("{kind}-{name}"), true);
    for source in prepared.datagrams {
        let context = context("nmea", source.name());
        tasks.spawn(source.run(context, stop.clone()));
    }
    for (settings, from) in prepared.streams {
        let context = context("nmea", &settings.name);
        tasks.spawn(stream::run(settings, from, context, stop.clone()));
    }
    for settings in prepared.gpsd {
        let context = context("gpsd", &settings.name);
        tasks.spawn(gpsd::run(settings, context, stop.clone()));
    }
    for settings in prepared.signalk {
        let context = context("signalk", &settings.name);
        tasks.spawn(signalk::run(settings, context, stop.clone()));
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

fn nmea_settings(one: &NmeaConfig) -> NmeaSettings {
    NmeaSettings {
        asset: one.asset.as_deref().unwrap_or(&one.name).into(),
        resolution: seconds(one.resolution_s),
        talkers: one.talkers.clone(),
        ..NmeaSettings::new(&one.name)
    }
}

fn stream_of(one: &NmeaConfig) -> Option<StreamFrom> {
    if let Some(address) = &one.tcp {
        return Some(StreamFrom::Tcp(address.clone()));
    }
    one.serial.as_ref().map(|path| StreamFrom::Serial { path: path.clone(), baud: one.baud })
}

fn bind(one: &NmeaConfig) -> Result<UdpNmea, NodeError> {
    let settings = UdpSettings {
        listen: one.udp.clone(),
        interface: one.interface,
        allow_networks: one.allow_networks.clone(),
        nmea: nmea_settings(one),
    };
    UdpNmea::bind(settings).map_err(|error| {
        let wk_ingest::nmea::NmeaError::Listen { address, source } = error;
        NodeError::Listen { what: "nmea (UDP)", address, source }
    })
}

fn gpsd_settings(one: &GpsdConfig) -> GpsdSettings {
    GpsdSettings {
        name: one.name.clone(),
        address: one.address.clone(),
        asset: one.asset.as_deref().unwrap_or(&one.name).into(),
        resolution: seconds(one.resolution_s),
        devices: one.devices.clone(),
    }
}

fn signalk_settings(one: &SignalKConfig, base: &Path) -> Result<SignalKSettings, NodeError> {
    let failed = |what: String| NodeError::Source { key: "signalk", what };
    let read = |file: &std::path::PathBuf| {
        let path = base.join(file);
        let text = std::fs::read_to_string(&path).map_err(|error| failed(format!("{}: {error}", path.display())))?;
        Token::new(&text).map_err(|error| failed(chain(&error)))
    };
    let settings = SignalKSettings {
        name: one.name.clone(),
        url: one.url.clone(),
        token: one.token_file.as_ref().map(read).transpose()?,
        asset: one.asset.as_deref().unwrap_or(&one.name).into(),
        resolution: seconds(one.resolution_s),
        sources: one.sources.clone(),
        metrics: one.metrics.clone(),
    };
    settings.check().map_err(|error| failed(chain(&error)))?;
    Ok(settings)
}
