//! SNMP: polls devices by profiles (v1, v2c, v3), and takes their traps and informs in.
//!
//! Each device has a task of its own that asks one thing at a time, so that a slow device delays no other; all share one
//! socket. How long an answer is waited for and how much is asked for at once follows the device (`pace`). A device
//! that does not answer is asked once in each interval until it does.

mod counter;
pub mod credential;
mod device;
mod neighbour;
mod pace;
pub mod profile;
mod session;
mod table;
pub mod trap;
mod value;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_snmp::{Client, DesSaltState, EngineCache, Retry, UdpTransport};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_types::{AssetId, ErrorKind};

use crate::contract::SourceContext;
use credential::Credential;
use device::DeviceState;
use profile::{Profile, Profiles};
use session::Session;

/// The receive buffer that is asked for; answers of many devices may come at once.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Longer than any wait of a session, whose own time out comes first.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(600);

/// A device to poll.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its address and port.
    pub address: SocketAddr,
    /// What it is asked with.
    pub credential: Credential,
    /// The asset it is, where the configuration says so.
    pub asset: Option<AssetId>,
    /// Profiles to read; those that fit its sysObjectID where there are none.
    pub profiles: Option<Vec<Arc<Profile>>>,
    /// How often it is polled.
    pub interval: Duration,
    /// The longest wait for one answer.
    pub timeout_max: Duration,
    /// How often a request is sent again.
    pub retries: u32,
    /// Further labels of its series.
    pub labels: BTreeMap<String, String>,
}

impl Device {
    /// The label `instance`: its address, with the port where that is not the usual one.
    #[must_use]
    pub fn instance(&self) -> String {
        if self.address.port() == 161 { self.address.ip().to_string() } else { self.address.to_string() }
    }

    /// When in its interval the device is polled, so that devices do not all come at once.
    fn offset(&self) -> Duration {
        let mut hasher = DefaultHasher::new();
        self.address.hash(&mut hasher);
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(hasher.finish() % interval)
    }
}

/// Why polling cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SnmpError {
    /// A socket cannot be had.
    #[error("could not open a socket for SNMP")]
    Socket(#[source] Box<async_snmp::Error>),
    /// A device's settings cannot be used.
    #[error("could not set up the device {address}")]
    Device {
        /// Its address.
        address: SocketAddr,
        /// What is wrong.
        #[source]
        source: Box<async_snmp::Error>,
    },
    /// The state from which DES takes its salts cannot be made.
    #[error("could not set up DES: {what}")]
    Des {
        /// What is wrong.
        what: String,
    },
}

impl SnmpError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Socket(_) | Self::Des { .. } => ErrorKind::Unavailable,
            Self::Device { .. } => ErrorKind::InvalidInput,
        }
    }
}

/// Polls devices.
pub struct Poller {
    devices: Vec<Device>,
    profiles: Arc<Profiles>,
}

impl Poller {
    /// Makes a poller of these devices.
    #[must_use]
    pub const fn new(devices: Vec<Device>, profiles: Arc<Profiles>) -> Self {
        Self { devices, profiles }
    }

    /// What the profiles say about their metrics.
    #[must_use]
    pub fn metadata(&self) -> Vec<(String, crate::Metadata)> {
        self.profiles.metadata()
    }

    /// Polls all devices until cancelled.
    ///
    /// # Errors
    /// No socket, or settings of a device that the library refuses.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) -> Result<(), SnmpError> {
        let shared = Shared::open(&self.devices, &context).await?;
        let tracker = TaskTracker::new();
        for device in self.devices {
            let session = shared.session(&device).await?;
            let state = DeviceState::new(device.clone(), session, Arc::clone(&self.profiles));
            tracker.spawn(poll(state, device, context.clone(), cancel.clone()));
        }
        tracker.close();
        tracker.wait().await;
        Ok(())
    }
}

async fn poll(mut state: DeviceState, device: Device, context: SourceContext, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval_at(Instant::now() + device.offset(), device.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let begun = Instant::now();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = state.round(&context, &cancel) => {}
        }
        if begun.elapsed() > device.interval {
            context.stats.flagged("poll took longer than its interval", 1, &device.instance());
        }
    }
}

/// What all devices share.
struct Shared {
    ipv4: Option<UdpTransport>,
    ipv6: Option<UdpTransport>,
    engines: Arc<EngineCache>,
    salts: DesSaltState,
}

impl Shared {
    async fn open(devices: &[Device], context: &SourceContext) -> Result<Self, SnmpError> {
        let needs = |is_ipv4: bool| devices.iter().any(|device| device.address.is_ipv4() == is_ipv4);
        let ipv4 = if needs(true) { Some(bind("0.0.0.0:0").await?) } else { None };
        let ipv6 = if needs(false) { Some(bind("[::]:0").await?) } else { None };
        // The salt of DES must not come twice with one key: its upper half is the time of the start in seconds, which
        // no earlier start had.
        let boots = u32::try_from(context.now().0 / 1_000).unwrap_or(1).clamp(1, i32::MAX as u32 - 1);
        let des = |what: String| SnmpError::Des { what };
        let before = async_snmp::PersistedDesSaltState::new(boots).map_err(|error| des(error.to_string()))?;
        let salts = DesSaltState::restart(before, |_| Ok::<(), std::convert::Infallible>(()))
            .map_err(|error| des(error.to_string()))?;
        Ok(Self { ipv4, ipv6, engines: Arc::new(EngineCache::new()), salts })
    }

    async fn session(&self, device: &Device) -> Result<Session, SnmpError> {
        let transport = if device.address.is_ipv4() { &self.ipv4 } else { &self.ipv6 };
        let transport = transport.as_ref().expect("a socket was opened for each family that a device has");
        let client = Client::builder(device.address, device.credential.auth())
            .request_timeout(CLIENT_TIMEOUT)
            .retry(Retry::none())
            .strict_source(true)
            .engine_cache(Arc::clone(&self.engines))
            .des_salt_state(self.salts.clone())
            .build_with(transport)
            .await
            .map_err(|source| SnmpError::Device { address: device.address, source })?;
        Ok(Session::new(client, device.timeout_max, device.retries))
    }
}

async fn bind(address: &str) -> Result<UdpTransport, SnmpError> {
    UdpTransport::builder()
        .bind(address)
        .recv_buffer_size(RECEIVE_BUFFER_BYTES)
        .build()
        .await
        .map_err(SnmpError::Socket)
}

#[cfg(test)]
mod tests;
