//! StatsD over UDP and TCP: values gathered over an interval into series.
//!
//! *Source*: <https://github.com/statsd/statsd/blob/master/docs/metric_types.md> and DogStatsD's datagram format 1.3. Series
//! are named and shaped as by Prometheus' `statsd_exporter`: counters only grow, gauges keep their last value, timers
//! are summaries in seconds, histograms and distributions summaries; a set is how many different values it held.
//! The protocol has no acknowledgement.

mod line;
mod table;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::accept::{Acceptor, NOT_ALLOWED, Stream};
use crate::contract::SourceContext;
use crate::datagrams::{self, DATAGRAM_BYTES_MAX, DROPPED, DROPS_EVERY, Drops};
use crate::delivery::{Delivered, deliver};
use crate::network::{self, Network};
use crate::records;
use crate::series::Present;
use table::Table;

/// How many bytes one line has at most.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// How many TCP connections are open at once.
pub const CONNECTIONS_MAX: usize = 128;
/// After how much silence a TCP connection is ended.
pub const IDLE_MAX: Duration = Duration::from_secs(600);
const READ_BYTES: usize = 16 * 1024;

pub use table::{SERIES_MAX, UNHEARD_MAX, VALUES_MAX};

/// Where and from whom values are taken, and over how long they are gathered.
#[derive(Debug, Clone)]
pub struct StatsdSettings {
    /// The address and port to listen on, over UDP and TCP.
    pub listen: SocketAddr,
    /// From where values are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// Over how long values are gathered into one sample.
    pub interval: Duration,
}

impl StatsdSettings {
    /// The shipped defaults on a given address: loopback senders only, ten seconds.
    #[must_use]
    pub const fn new(listen: SocketAddr) -> Self {
        Self { listen, allow_networks: Vec::new(), interval: Duration::from_secs(10) }
    }
}

/// The bound sockets.
pub struct Statsd {
    socket: UdpSocket,
    acceptor: Acceptor,
    settings: StatsdSettings,
}

impl Statsd {
    /// Binds the sockets.
    ///
    /// # Errors
    /// A port in use, an address that is not this machine's.
    pub async fn bind(settings: StatsdSettings) -> std::io::Result<Self> {
        let socket = datagrams::bind(settings.listen).await?;
        // Where the system was to choose the port, both get the same one.
        let mut acceptor = Acceptor::bind(socket.local_addr()?, CONNECTIONS_MAX).await?;
        acceptor.allow_networks = Some(settings.allow_networks.clone());
        Ok(Self { socket, acceptor, settings })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.acceptor.local_address()
    }

    /// Takes values in until cancelled, then writes down what was gathered.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let Self { socket, acceptor, settings } = self;
        let gathered = Arc::new(Gathered { context: context.clone(), table: Mutex::default() });
        let (tcp, stop) = (Arc::clone(&gathered), cancel.clone());
        let accepting = acceptor
            .run(&context, &cancel, move |stream, peer| read_lines(stream, peer, Arc::clone(&tcp), stop.clone()));
        let receiving = receive(&socket, &settings.allow_networks, &gathered, &cancel);
        let writing = write(&gathered, settings.interval, &cancel);
        let ((), (), mut present) = tokio::join!(accepting, receiving, writing);
        gathered.write(&mut present, settings.interval, &CancellationToken::new()).await;
    }
}

/// What was gathered since the last sample.
struct Gathered {
    context: SourceContext,
    table: Mutex<Table>,
}

impl Gathered {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Values stay right whatever a panicking holder was doing.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lines of a datagram, or one line.
    fn take(&self, text: &[u8], peer: IpAddr) {
        let now = self.context.now();
        let mut table = self.table();
        for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
            self.context.stats.received(1, line.len() as u64, now);
            let taken = std::str::from_utf8(line)
                .map_err(|_| "line is not UTF-8")
                .and_then(line::read)
                .and_then(|metric| table.take(&self.context, &metric, peer, now));
            if let Err(reason) = taken {
                self.context.stats.rejected(reason, 1, &String::from_utf8_lossy(line));
            }
        }
    }

    /// Writes down one sample of each series; what the log does not take within an interval is lost, and counted.
    async fn write(&self, present: &mut Present, interval: Duration, cancel: &CancellationToken) {
        let now = self.context.now();
        let series = self.table().samples(now);
        let gone = present.gone(&series, now);
        for record in records::of_series(&self.context, now, [series, gone].concat()) {
            let items = record.body.items() as u64;
            let wk_types::Body::Samples(samples) = record.body.clone() else { continue };
            match tokio::time::timeout(interval, deliver(&self.context, record, cancel)).await {
                Ok(Delivered::Stored) => present.stored(&samples),
                Ok(Delivered::Rejected) => {}
                Ok(Delivered::Ended) | Err(_) => self.context.stats.lost("intake busy", items),
            }
        }
    }
}

async fn write(gathered: &Gathered, interval: Duration, cancel: &CancellationToken) -> Present {
    let mut present = Present::default();
    let mut ticks = tokio::time::interval_at(Instant::now() + interval, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return present,
            _ = ticks.tick() => gathered.write(&mut present, interval, cancel).await,
        }
    }
}

async fn receive(socket: &UdpSocket, networks: &[Network], gathered: &Gathered, cancel: &CancellationToken) {
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    let mut drops = Drops::of(socket);
    let mut drops_due = tokio::time::interval(DROPS_EVERY);
    let take = |datagram: &[u8], peer: IpAddr| {
        if network::allowed(networks, peer) {
            gathered.take(datagram, peer);
        } else {
            gathered.context.stats.rejected(NOT_ALLOWED, 1, &peer.to_string());
        }
    };
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            received = socket.recv_from(&mut datagram) => match received {
                Ok((count, peer)) => take(&datagram[..count], peer.ip()),
                // An ICMP answer to an earlier datagram; the socket goes on.
                Err(error) => tracing::debug!(%error, "could not receive a datagram"),
            },
            _ = drops_due.tick() => gathered.context.stats.lost(DROPPED, drops.since_last()),
        }
    }
    while let Ok((count, peer)) = socket.try_recv_from(&mut datagram) {
        take(&datagram[..count], peer.ip());
    }
    gathered.context.stats.lost(DROPPED, drops.since_last());
}

async fn read_lines(mut stream: Box<dyn Stream>, peer: IpAddr, gathered: Arc<Gathered>, cancel: CancellationToken) {
    let mut waiting = Vec::new();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = tokio::select! {
            () = cancel.cancelled() => break,
            read = tokio::time::timeout(IDLE_MAX, stream.read(&mut bytes)) => read,
        };
        let Ok(Ok(count @ 1..)) = read else { break };
        waiting.extend_from_slice(&bytes[..count]);
        if let Some(end) = memchr::memrchr(b'\n', &waiting) {
            gathered.take(&waiting[..end], peer);
            waiting.drain(..=end);
        }
        if waiting.len() > LINE_BYTES_MAX {
            gathered.context.stats.rejected("line over 8 KiB", 1, &peer.to_string());
            return;
        }
    }
    gathered.take(&waiting, peer);
}

#[cfg(test)]
mod tests;
