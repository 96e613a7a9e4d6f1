//! Sentences in datagrams: plain ones, and those of IEC 61162-450 in multicast groups. The sockets only receive.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::tag::{Datagram, datagram};
use super::{LINE_BYTES_MAX, NmeaError, NmeaSettings, Receiver};
use crate::backoff::Backoff;
use crate::contract::SourceContext;
use crate::lines::Lines;
use crate::network::{self, Network};

/// The largest datagram there can be.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// How many datagrams of all sockets wait to be read; further ones are lost.
const QUEUE_DATAGRAMS_MAX: usize = 1_024;
/// The reason under which senders outside the allowed networks are counted.
const NOT_ALLOWED: &str = "sender is not in allow_networks";

/// Where datagrams are received, and from whom.
#[derive(Debug, Clone)]
pub struct UdpSettings {
    /// Addresses to listen on: own ones, or multicast groups, which are joined.
    pub listen: Vec<SocketAddr>,
    /// The address of the network interface on which groups are joined; the system chooses where it is missing.
    pub interface: Option<Ipv4Addr>,
    /// From where datagrams are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// How the sentences are read.
    pub nmea: NmeaSettings,
}

/// Bound sockets.
#[derive(Debug)]
pub struct UdpNmea {
    sockets: Vec<UdpSocket>,
    settings: UdpSettings,
}

impl UdpNmea {
    /// Binds the sockets.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub fn bind(settings: UdpSettings) -> Result<Self, NmeaError> {
        let mut sockets = Vec::with_capacity(settings.listen.len());
        for &address in &settings.listen {
            sockets.push(bind(address).map_err(|source| NmeaError::Listen { address, source })?);
        }
        Ok(Self { sockets, settings })
    }

    /// The source's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.nmea.name
    }

    /// The addresses in use, with the ports that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addresses(&self) -> std::io::Result<Vec<SocketAddr>> {
        self.sockets.iter().map(UdpSocket::local_addr).collect()
    }

    /// Takes datagrams in until cancelled.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let mut receiver = Receiver::start(&self.settings.nmea, context.clone(), &cancel);
        let (queue, mut waiting) = mpsc::channel(QUEUE_DATAGRAMS_MAX);
        let tracker = TaskTracker::new();
        for (socket, address) in self.sockets.into_iter().zip(&self.settings.listen) {
            let listener = Listener {
                socket,
                group: address.ip(),
                interface: self.settings.interface,
                allowed: self.settings.allow_networks.clone(),
                context: context.clone(),
                queue: queue.clone(),
            };
            tracker.spawn(listener.run(cancel.clone()));
        }
        drop(queue);
        let mut beat = receiver.instruments().beat();
        loop {
            tokio::select! {
                received = waiting.recv() => match received {
                    Some(bytes) => take(&mut receiver, &bytes),
                    None => break,
                },
                _ = beat.tick() => receiver.flush(),
            }
        }
        receiver.finish().await;
        tracker.close();
        tracker.wait().await;
    }
}

fn take(receiver: &mut Receiver, bytes: &[u8]) {
    let Datagram::Lines(text) = datagram(bytes) else {
        receiver.instruments().reject("part of a binary file", "");
        return;
    };
    let mut lines = Lines::new(LINE_BYTES_MAX);
    lines.feed(text, |line| receiver.line(line));
    // The last line of a datagram may lack its end.
    lines.feed(b"\n", |line| receiver.line(line));
    receiver.too_long(lines.too_long());
}

struct Listener {
    socket: UdpSocket,
    /// The address listened on, perhaps a multicast group.
    group: IpAddr,
    interface: Option<Ipv4Addr>,
    allowed: Vec<Network>,
    context: SourceContext,
    queue: mpsc::Sender<Vec<u8>>,
}

impl Listener {
    async fn run(self, cancel: CancellationToken) {
        if self.group.is_multicast() && !self.join_when_possible(&cancel).await {
            return;
        }
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        loop {
            let received = tokio::select! {
                () = cancel.cancelled() => break,
                received = self.socket.recv_from(&mut datagram) => received,
            };
            match received {
                Ok((count, peer)) => self.pass_on(&datagram[..count], peer),
                Err(error) => tracing::debug!(%error, "could not receive a datagram"),
            }
        }
        while let Ok((count, peer)) = self.socket.try_recv_from(&mut datagram) {
            self.pass_on(&datagram[..count], peer);
        }
    }

    /// Joins the group; an interface that is not up yet is waited for. Answers whether it was joined before the end.
    async fn join_when_possible(&self, cancel: &CancellationToken) -> bool {
        let mut backoff = Backoff::default();
        while let Err(error) = join(&self.socket, self.group, self.interface) {
            let what = format!("{}: {error}; check nmea.interface and the network interface", self.group);
            self.context.stats.flagged("multicast group not joined", 1, &what);
            tracing::warn!(source = %self.context.name, group = %self.group, %error, "could not join the multicast group");
            tokio::select! {
                () = cancel.cancelled() => return false,
                () = tokio::time::sleep(backoff.pause()) => {}
            }
        }
        true
    }

    fn pass_on(&self, bytes: &[u8], peer: SocketAddr) {
        if !network::allowed(&self.allowed, peer.ip()) {
            self.context.stats.rejected(NOT_ALLOWED, 1, &peer.ip().to_string());
        } else if self.queue.try_send(bytes.to_vec()).is_err() {
            self.context.stats.lost("datagrams waiting", 1);
        }
    }
}

/// Several programs may listen to one group on one machine, so the address is shared.
fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    if address.ip().is_multicast() {
        sockopt::set_socket_reuseaddr(socket.as_fd(), true)?;
    }
    rustix::net::bind(socket.as_fd(), &address)?;
    UdpSocket::from_std(socket.into())
}

fn join(socket: &UdpSocket, group: IpAddr, interface: Option<Ipv4Addr>) -> std::io::Result<()> {
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4(group, interface.unwrap_or(Ipv4Addr::UNSPECIFIED)),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, 0),
    }
}
