//! SNMP and flow records: from the configuration to what the sources need.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, FlowsConfig, SnmpConfig, SnmpDeviceConfig};
use wk_ingest::flows::{self, FlowListener, FlowSettings, Protocol};
use wk_ingest::snmp::credential::Credential;
use wk_ingest::snmp::profile::Profiles;
use wk_ingest::snmp::trap::{self, Engine, Names, TrapListener, TrapSettings};
use wk_ingest::snmp::{Device, Poller};
use wk_types::AssetId;

use super::context;
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;

/// The file of the node's own SNMP engine in the data folder.
const ENGINE_FILE: &str = "snmp.engine";

/// What SNMP and flows need, read and bound before the start.
#[derive(Default)]
pub struct Prepared {
    poller: Option<Poller>,
    traps: Option<TrapListener>,
    flows: Vec<(&'static str, FlowListener)>,
}

/// Reads credentials and profiles, and binds the sockets.
///
/// # Errors
/// A secret or profile that cannot be read, a port in use.
pub async fn prepare(config: &Config, base: &Path, data: &Path) -> Result<Prepared, NodeError> {
    let credentials = credentials(&config.snmp, base)?;
    let poller = poller(&config.snmp, base, &credentials)?;
    let traps = if config.snmp.traps.enabled { Some(traps(&config.snmp, data, &credentials).await?) } else { None };
    Ok(Prepared { poller, traps, flows: flow_listeners(&config.flows).await? })
}

/// Starts what was prepared.
pub fn start(node: &Arc<Node>, prepared: Prepared, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(poller) = prepared.poller {
        node.metadata.note(poller.metadata());
        let (context, stop) = (context(node, "snmp", true), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = poller.run(context, stop).await {
                tracing::error!(error = %chain(&error), "devices are not polled");
            }
        });
    }
    if let Some(traps) = prepared.traps {
        tasks.spawn(traps.run(context(node, "snmp-traps", false), stop.clone()));
    }
    if !prepared.flows.is_empty() {
        node.metadata.note(flows::metadata().map(|(family, metadata)| (family.to_owned(), metadata)));
    }
    for (name, listener) in prepared.flows {
        tasks.spawn(listener.run(context(node, name, false), stop.clone()));
    }
}

fn failed(error: &dyn std::error::Error) -> NodeError {
    NodeError::Snmp { what: chain(error) }
}

fn credentials(config: &SnmpConfig, base: &Path) -> Result<HashMap<String, Credential>, NodeError> {
    let read = |one: &wk_config::SnmpCredentialConfig| {
        Credential::load(one, base).map(|credential| (one.name.clone(), credential)).map_err(|error| failed(&error))
    };
    config.credential.iter().map(read).collect()
}

fn poller(
    config: &SnmpConfig,
    base: &Path,
    credentials: &HashMap<String, Credential>,
) -> Result<Option<Poller>, NodeError> {
    if config.device.is_empty() {
        return Ok(None);
    }
    let folder = config.profiles_folder.as_ref().map(|folder| base.join(folder));
    let profiles = Arc::new(Profiles::load(folder.as_deref()).map_err(|error| failed(&error))?);
    let device = |declared: &SnmpDeviceConfig| -> Result<Device, NodeError> {
        let named = declared.profiles.as_ref().map(|names| profiles.named(names)).transpose();
        Ok(Device {
            address: (declared.address, declared.port).into(),
            credential: credential(credentials, &declared.credential)?,
            asset: declared.asset.as_deref().map(AssetId::from),
            profiles: named.map_err(|error| failed(&error))?,
            interval: Duration::from_secs(declared.interval_s.unwrap_or(config.interval_s).into()),
            timeout_max: Duration::from_millis(config.timeout_ms.into()),
            retries: config.retries,
            labels: declared.labels.clone(),
        })
    };
    let devices: Result<Vec<Device>, NodeError> = config.device.iter().map(device).collect();
    Ok(Some(Poller::new(devices?, profiles)))
}

fn credential(credentials: &HashMap<String, Credential>, name: &str) -> Result<Credential, NodeError> {
    let missing = || NodeError::Snmp { what: format!("no [[snmp.credential]] has the name {name:?}") };
    credentials.get(name).cloned().ok_or_else(missing)
}

async fn traps(
    config: &SnmpConfig,
    data: &Path,
    credentials: &HashMap<String, Credential>,
) -> Result<TrapListener, NodeError> {
    let listen = config.traps.listen;
    let taken: Result<Vec<Credential>, NodeError> =
        config.traps.credentials.iter().map(|name| credential(credentials, name)).collect();
    let asset = |device: &SnmpDeviceConfig| device.asset.as_deref().map(AssetId::from);
    let addresses = config.device.iter().filter_map(|device| Some((device.address.to_canonical(), asset(device)?)));
    let engines = config.device.iter().filter_map(|device| {
        let engine = trap::bytes_of(device.engine_id.as_deref()?)?;
        Some((engine, asset(device)?))
    });
    let settings = TrapSettings {
        listen,
        allow_networks: config.traps.allow_networks.clone(),
        credentials: taken?,
        addresses: addresses.collect(),
        engines: engines.collect(),
    };
    let engine = Engine::load(&data.join(ENGINE_FILE)).map_err(|error| failed(&error))?;
    let names = Names::shipped().map_err(|error| failed(&error))?;
    TrapListener::bind(settings, engine, names).await.map_err(|source| NodeError::Listen {
        what: "SNMP traps",
        address: listen,
        source,
    })
}

async fn flow_listeners(config: &FlowsConfig) -> Result<Vec<(&'static str, FlowListener)>, NodeError> {
    let settings = FlowSettings {
        allow_networks: config.allow_networks.clone(),
        top: config.top,
        exporters_max: config.exporters_max,
        period: flows::PERIOD,
    };
    let netflow = config.netflow_listen.iter().map(|listen| ("netflow", Protocol::Netflow, *listen));
    let sflow = config.sflow_listen.iter().map(|listen| ("sflow", Protocol::Sflow, *listen));
    let mut listeners = Vec::new();
    for (what, protocol, address) in netflow.chain(sflow) {
        let listener = FlowListener::bind(address, protocol, settings.clone())
            .await
            .map_err(|source| NodeError::Listen { what, address, source })?;
        listeners.push((what, listener));
    }
    Ok(listeners)
}
