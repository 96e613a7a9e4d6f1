//! Traps and informs: v1, v2c and v3 over UDP, as log messages. An inform is acknowledged once the intake log has taken
//! it, so its sender repeats what a busy or failing log refused; a trap that finds the log busy is counted as lost.

mod message;
mod names;
mod record;
mod usm;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::{AssetId, LogRecord, NewRecord, Seq};

use super::credential::Credential;
use crate::contract::{Ack, Refused, SourceContext};
use crate::delivery::{Offer, offer, reject};
use crate::network::{self, Network};
use crate::records;
use crate::syslog::{BATCH_WAIT, NOT_ALLOWED, wait_until};
use crate::udp::{self, DATAGRAM_BYTES_MAX, DROPS_EVERY, Drops, SOCKET_FULL};
use message::{Reader, Received};

pub use names::{Names, NamesError};
pub use usm::{Engine, EngineError, bytes_of};

/// How many notifications one record holds.
const BATCH_MAX: usize = 500;
/// How many records are on their way to disk at once; further ones are lost.
const IN_FLIGHT_MAX: usize = 64;
/// How many informs are remembered, so that one that is sent again is not stored again.
const INFORMS_KEPT: usize = 4_096;
/// How long the source waits at its end for what is on its way.
const FINISH_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// Where and from whom traps are taken.
#[derive(Debug, Clone)]
pub struct TrapSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// From where they are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// Communities and users that are taken; any community, and no user, where there are none.
    pub credentials: Vec<Credential>,
    /// Assets by the address that they send from.
    pub addresses: HashMap<IpAddr, AssetId>,
    /// Assets by the engine id of their authenticated messages.
    pub engines: HashMap<Vec<u8>, AssetId>,
}

/// A bound socket.
pub struct TrapListener {
    socket: UdpSocket,
    settings: TrapSettings,
    engine: Engine,
    names: Names,
}

impl TrapListener {
    /// Binds the socket.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(settings: TrapSettings, engine: Engine, names: Names) -> std::io::Result<Self> {
        let socket = udp::bind(settings.listen).await?;
        Ok(Self { socket, settings, engine, names })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes notifications in until cancelled, then waits shortly for those on their way.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let Self { socket, settings, engine, names } = self;
        let socket = Arc::new(socket);
        let mut receiver = Receiver {
            drops: Drops::of(&socket),
            reader: Reader::new(&settings.credentials, engine),
            records: record::Maker::new(&context, names),
            socket: Arc::clone(&socket),
            context,
            settings,
            batch: Batch::default(),
            informs: Informs::default(),
            in_flight: FuturesUnordered::new(),
            due: None,
        };
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let mut drops_due = tokio::time::interval(DROPS_EVERY);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                received = socket.recv_from(&mut datagram) => match received {
                    Ok((count, peer)) => receiver.take(&datagram[..count], peer).await,
                    // An ICMP answer to an earlier datagram; the socket goes on.
                    Err(error) => tracing::debug!(%error, "could not receive a datagram"),
                },
                () = wait_until(receiver.due) => receiver.flush().await,
                Some((answer, batch)) = receiver.in_flight.next() => receiver.settle(&answer, batch).await,
                _ = drops_due.tick() => receiver.count_drops(),
            }
        }
        receiver.finish().await;
    }
}

/// What tells an inform from others: its sender, its request id and its content.
type InformKey = (IpAddr, i32, u128);

/// Informs that are stored, or on their way.
#[derive(Default)]
struct Informs {
    on_their_way: HashSet<InformKey>,
    stored: HashSet<InformKey>,
    order: VecDeque<InformKey>,
}

impl Informs {
    fn store(&mut self, key: InformKey) {
        self.on_their_way.remove(&key);
        if self.stored.insert(key) {
            self.order.push_back(key);
        }
        if self.order.len() > INFORMS_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.stored.remove(&oldest);
        }
    }
}

/// The acknowledgement of an inform, to be sent once it is stored.
struct Owed {
    key: InformKey,
    answer: Vec<u8>,
    peer: SocketAddr,
}

/// Notifications gathered for one record.
#[derive(Default)]
struct Batch {
    logs: Vec<LogRecord>,
    owed: Vec<Owed>,
}

type InFlight = BoxFuture<'static, (Result<Seq, Refused>, Sent)>;

/// What a record on its way holds.
struct Sent {
    items: u64,
    owed: Vec<Owed>,
}

struct Receiver {
    context: SourceContext,
    settings: TrapSettings,
    socket: Arc<UdpSocket>,
    reader: Reader,
    records: record::Maker,
    drops: Drops,
    batch: Batch,
    informs: Informs,
    in_flight: FuturesUnordered<InFlight>,
    due: Option<Instant>,
}

impl Receiver {
    async fn take(&mut self, datagram: &[u8], peer: SocketAddr) {
        let now = self.context.now();
        if !network::allowed(&self.settings.allow_networks, peer.ip()) {
            self.context.stats.rejected(NOT_ALLOWED, 1, &peer.ip().to_string());
            return;
        }
        self.context.stats.received(1, datagram.len() as u64, now);
        match self.reader.read(Bytes::copy_from_slice(datagram)) {
            Ok(Received::Notice { notice, answer }) => {
                let key = (peer.ip(), notice.request_id, notice.digest());
                if let Some(answer) = answer
                    && !self.owe(key, answer, peer).await
                {
                    return;
                }
                let log = self.records.make(&notice, peer.ip(), &self.settings, now);
                self.batch.logs.push(log);
                if self.batch.logs.len() >= BATCH_MAX {
                    self.flush().await;
                } else if self.due.is_none() {
                    self.due = Some(Instant::now() + BATCH_WAIT);
                }
            }
            Ok(Received::Report { reason, answer }) => {
                // Finding out the engine is how an SNMPv3 inform begins; it is no error.
                if let Some(reason) = reason {
                    self.context.stats.rejected(reason, 1, &peer.to_string());
                } else {
                    self.context.stats.accepted(1);
                }
                send(&self.context, &self.socket, &answer, peer).await;
            }
            Err(refused) => self.context.stats.rejected(refused.reason(), 1, &format!("{peer}: {refused}")),
        }
    }

    /// Notes that an inform is to be acknowledged; answers whether it has to be stored.
    async fn owe(&mut self, key: InformKey, answer: Vec<u8>, peer: SocketAddr) -> bool {
        if self.informs.stored.contains(&key) {
            self.context.stats.flagged("inform came again after it was stored", 1, &peer.to_string());
            send(&self.context, &self.socket, &answer, peer).await;
            return false;
        }
        if !self.informs.on_their_way.insert(key) {
            self.context.stats.flagged("inform came again before it was stored", 1, &peer.to_string());
            return false;
        }
        self.batch.owed.push(Owed { key, answer, peer });
        true
    }

    async fn flush(&mut self) {
        self.due = None;
        let Batch { logs, mut owed } = std::mem::take(&mut self.batch);
        let parts = records::of_logs(&self.context, self.context.now(), logs);
        let last = parts.len().saturating_sub(1);
        for (position, record) in parts.into_iter().enumerate() {
            // All are acknowledged with the last part, which the log takes after the others.
            let owed = if position == last { std::mem::take(&mut owed) } else { Vec::new() };
            let sent = Sent { items: record.body.items() as u64, owed };
            self.offer(record, sent).await;
        }
    }

    async fn offer(&mut self, record: NewRecord, sent: Sent) {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return self.settle(&Err(Refused::Busy), sent).await;
        }
        match offer(&self.context, record).await {
            Offer::Stored => self.settle(&Ok(Seq(0)), sent).await,
            Offer::Queued(ack) => self.in_flight.push(Box::pin(with_sent(ack, sent))),
            Offer::Refused(refused) => self.settle(&Err(refused), sent).await,
        }
    }

    async fn settle(&mut self, answer: &Result<Seq, Refused>, sent: Sent) {
        let informs = sent.owed.len() as u64;
        match answer {
            Ok(_) => {
                self.context.stats.accepted(sent.items);
                for owed in sent.owed {
                    self.informs.store(owed.key);
                    send(&self.context, &self.socket, &owed.answer, owed.peer).await;
                }
                return;
            }
            Err(Refused::Busy) => self.context.stats.lost("intake busy", sent.items.saturating_sub(informs)),
            Err(Refused::Failed { .. }) => self.context.stats.lost("intake failed", sent.items.saturating_sub(informs)),
            Err(refused @ Refused::TooLarge { .. }) => reject(&self.context, refused, sent.items),
        }
        self.context.stats.flagged("inform not acknowledged: the intake log did not take it", informs, "");
        for owed in sent.owed {
            self.informs.on_their_way.remove(&owed.key);
        }
    }

    fn count_drops(&mut self) {
        self.context.stats.lost(SOCKET_FULL, self.drops.since_last());
    }

    async fn finish(mut self) {
        self.flush().await;
        self.count_drops();
        let settled = async {
            while let Some((answer, sent)) = self.in_flight.next().await {
                self.settle(&answer, sent).await;
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, settled).await.is_err() {
            tracing::warn!(records = self.in_flight.len(), "records were not acknowledged before the end");
        }
    }
}

async fn send(context: &SourceContext, socket: &UdpSocket, answer: &[u8], peer: SocketAddr) {
    if let Err(error) = socket.send_to(answer, peer).await {
        context.stats.flagged("answer could not be sent", 1, &format!("{peer}: {error}"));
    }
}

async fn with_sent(ack: Ack, sent: Sent) -> (Result<Seq, Refused>, Sent) {
    (ack.await, sent)
}

#[cfg(test)]
mod tests;
