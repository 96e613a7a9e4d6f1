//! Syslog over UDP. The receiving loop never waits for the intake log: what it cannot take is counted as lost, as is
//! what the kernel dropped because its buffer was full.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::NewRecord;

use super::frames::Frame;
use super::record::Batch;
use super::tcp::wait_until;
use super::{BATCH_WAIT, NOT_ALLOWED, SyslogError, SyslogSettings};
use crate::contract::{Ack, Refused, SourceContext};
use crate::datagrams::{self, DATAGRAM_BYTES_MAX, DROPPED, DROPS_EVERY, Drops};
use crate::delivery::{Offer, offer, reject};
use crate::network;

/// How many records are on their way to disk at once; further ones are lost.
const IN_FLIGHT_MAX: usize = 64;
/// How long the source waits at its end for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// A bound socket.
#[derive(Debug)]
pub struct UdpSyslog {
    socket: UdpSocket,
    settings: SyslogSettings,
}

impl UdpSyslog {
    /// Binds the socket and raises its receive buffer.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(settings: SyslogSettings) -> Result<Self, SyslogError> {
        let address = settings.listen;
        let socket = datagrams::bind(address).await.map_err(|source| SyslogError::Listen {
            transport: "udp",
            address,
            source,
        })?;
        Ok(Self { socket, settings })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes datagrams in until cancelled, then waits shortly for those on their way.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let mut receiver = Receiver {
            batch: Batch::new(context.clone(), self.settings.clone()),
            drops: Drops::of(&self.socket),
            in_flight: FuturesUnordered::new(),
            due: None,
            context,
            settings: self.settings,
        };
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let mut drops_due = tokio::time::interval(DROPS_EVERY);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                received = self.socket.recv_from(&mut datagram) => match received {
                    Ok((count, peer)) => receiver.take(&datagram[..count], peer).await,
                    // An ICMP answer to an earlier datagram; the socket goes on.
                    Err(error) => tracing::debug!(%error, "could not receive a datagram"),
                },
                () = wait_until(receiver.due) => receiver.flush().await,
                Some((answer, items)) = receiver.in_flight.next() => receiver.settle(&answer, items),
                _ = drops_due.tick() => receiver.count_drops(),
            }
        }
        receiver.finish(&self.socket, &mut datagram).await;
    }
}

type InFlight = futures::future::BoxFuture<'static, (Result<wk_types::Seq, Refused>, u64)>;

struct Receiver {
    context: SourceContext,
    settings: SyslogSettings,
    batch: Batch,
    drops: Drops,
    in_flight: FuturesUnordered<InFlight>,
    due: Option<Instant>,
}

impl Receiver {
    async fn take(&mut self, datagram: &[u8], peer: SocketAddr) {
        if !network::allowed(&self.settings.allow_networks, peer.ip()) {
            self.context.stats.rejected(NOT_ALLOWED, 1, &peer.ip().to_string());
            return;
        }
        let end = datagram.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
        if end == 0 {
            self.context.stats.rejected("empty datagram", 1, &peer.to_string());
            return;
        }
        self.batch.add(&Frame { bytes: &datagram[..end], cut: false }, peer.ip());
        if self.batch.is_full() {
            self.flush().await;
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + BATCH_WAIT);
        }
    }

    async fn flush(&mut self) {
        self.due = None;
        if let Some(record) = self.batch.take() {
            self.offer(record).await;
        }
    }

    async fn offer(&mut self, record: NewRecord) {
        let items = record.body.items() as u64;
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            self.context.stats.lost("intake too slow", items);
            return;
        }
        match offer(&self.context, record).await {
            Offer::Stored => self.context.stats.accepted(items),
            Offer::Queued(ack) => self.in_flight.push(Box::pin(with_items(ack, items))),
            Offer::Refused(refused) => self.settle(&Err(refused), items),
        }
    }

    fn settle(&self, answer: &Result<wk_types::Seq, Refused>, items: u64) {
        match answer {
            Ok(_) => self.context.stats.accepted(items),
            Err(Refused::Busy) => self.context.stats.lost("intake busy", items),
            Err(Refused::Failed { .. }) => self.context.stats.lost("intake failed", items),
            Err(refused @ Refused::TooLarge { .. }) => reject(&self.context, refused, items),
        }
    }

    fn count_drops(&mut self) {
        self.context.stats.lost(DROPPED, self.drops.since_last());
    }

    /// Takes what the socket has already received, then waits for what is on its way.
    async fn finish(mut self, socket: &UdpSocket, datagram: &mut [u8]) {
        while let Ok((count, peer)) = socket.try_recv_from(datagram) {
            self.take(&datagram[..count], peer).await;
        }
        self.flush().await;
        self.count_drops();
        let settled = async {
            while let Some((answer, items)) = self.in_flight.next().await {
                self.settle(&answer, items);
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, settled).await.is_err() {
            tracing::warn!(records = self.in_flight.len(), "records were not acknowledged before the end");
        }
    }
}

async fn with_items(ack: Ack, items: u64) -> (Result<wk_types::Seq, Refused>, u64) {
    (ack.await, items)
}

#[cfg(test)]
mod tests;
