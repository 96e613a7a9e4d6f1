//! Flow records: NetFlow v5 and v9, IPFIX, sFlow v5, summed up to the largest conversations of each exporter.
//!
//! Single flows are not kept. Each minute the sums go to the intake log as counters: exact totals, the largest
//! conversations by name, and all others together. A minute that the log does not take comes with the next one; at most
//! the current minute is lost when the node ends without being told to.

mod netflow;
mod packet;
mod record;
mod sflow;
mod top;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::net::UdpSocket;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, Body, DurationMs, Labels, NewRecord, Sample, Series, SeriesSamples, UtcMs};

use crate::Metadata;
use crate::contract::{Refused, Sender, SourceContext};
use crate::delivery::{Offer, offer};
use crate::network::{self, Network};
use crate::records;
use crate::series::Present;
use crate::syslog::NOT_ALLOWED;
use crate::udp::{self, DATAGRAM_BYTES_MAX, DROPS_EVERY, Drops, SOCKET_FULL};
use netflow::Domains;
use record::{BadFlows, Decoded};
use sflow::Agents;
use top::Talkers;

/// How long flows are summed up before they go to the log.
pub const PERIOD: Duration = Duration::from_secs(60);
/// How long the source waits at its end for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How many minutes an exporter is remembered that sends nothing.
const IDLE_MAX: u32 = 60;

/// Which protocols a socket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// NetFlow v5, v9 and IPFIX, told apart by their version.
    Netflow,
    /// sFlow v5.
    Sflow,
}

/// From whom flow records are taken, and what is made of them.
#[derive(Debug, Clone)]
pub struct FlowSettings {
    /// From where they are taken, besides loopback.
    pub allow_networks: Vec<Network>,
    /// How many conversations of each exporter are shown by name.
    pub top: usize,
    /// How many exporters are told apart.
    pub exporters_max: usize,
    /// How long flows are summed up.
    pub period: Duration,
}

/// A bound socket.
#[derive(Debug)]
pub struct FlowListener {
    socket: UdpSocket,
    protocol: Protocol,
    settings: FlowSettings,
}

impl FlowListener {
    /// Binds the socket.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(listen: SocketAddr, protocol: Protocol, settings: FlowSettings) -> std::io::Result<Self> {
        Ok(Self { socket: udp::bind(listen).await?, protocol, settings })
    }

    /// The address in use, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes datagrams in until cancelled, then sends the last sums to the log and waits shortly for them.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let Self { socket, protocol, settings } = self;
        let mut ticks = tokio::time::interval_at(Instant::now() + settings.period, settings.period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut collector = Collector {
            drops: Drops::of(&socket),
            context,
            protocol,
            settings,
            exporters: HashMap::new(),
            present: Present::default(),
            in_flight: FuturesUnordered::new(),
            pending: 0,
            last: None,
        };
        let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
        let mut drops_due = tokio::time::interval(DROPS_EVERY);
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                received = socket.recv_from(&mut datagram) => match received {
                    Ok((count, peer)) => collector.take(&datagram[..count], peer.ip()),
                    // An ICMP answer to an earlier datagram; the socket goes on.
                    Err(error) => tracing::debug!(%error, "could not receive a datagram"),
                },
                _ = ticks.tick() => collector.end_period().await,
                Some((answer, sums)) = collector.in_flight.next() => collector.settle(&answer, &sums),
                _ = drops_due.tick() => collector.count_drops(),
            }
        }
        collector.finish().await;
    }
}

/// What the node says about the metrics of this source.
pub fn metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    METRICS.iter().map(|(name, kind, help)| (*name, Metadata::new(kind, help, "")))
}

const METRICS: [(&str, &str, &str); 8] = [
    (
        "flow_bytes_total",
        "counter",
        "Bytes of one of the exporter's largest conversations, at least; exact where the exporter has few.",
    ),
    ("flow_other_bytes_total", "counter", "Bytes of all conversations that have no series of their own."),
    ("flow_exporter_bytes_total", "counter", "Bytes of all flows of the exporter, exact."),
    ("flow_exporter_packets_total", "counter", "Packets of all flows of the exporter, exact."),
    ("flow_exporter_records_total", "counter", "Flow records of the exporter."),
    ("flow_exporter_unreadable_total", "counter", "Sets of a template that has not come, and records without bytes."),
    (
        "flow_exporter_lost_total",
        "counter",
        "Messages (NetFlow v9, sFlow) or records (NetFlow v5, IPFIX) missing by their sequence numbers.",
    ),
    ("flow_conversations", "gauge", "Conversations that have a series of their own."),
];

/// One sender of flow records.
struct Exporter {
    domains: Domains,
    agents: Agents,
    talkers: Talkers,
    asset: AssetId,
    /// Periods since it last sent something.
    idle: u32,
}

/// Sums on their way to disk.
struct Sums {
    series: Arc<[SeriesSamples]>,
    /// How many flow records they are the first to hold.
    records: u64,
}

type InFlight = BoxFuture<'static, (Result<wk_types::Seq, Refused>, Sums)>;

struct Collector {
    context: SourceContext,
    protocol: Protocol,
    settings: FlowSettings,
    exporters: HashMap<IpAddr, Exporter>,
    present: Present,
    drops: Drops,
    in_flight: FuturesUnordered<InFlight>,
    /// Flow records that are in no sum that was sent.
    pending: u64,
    /// When the last period ended.
    last: Option<UtcMs>,
}

impl Collector {
    fn take(&mut self, datagram: &[u8], peer: IpAddr) {
        let (peer, now) = (peer.to_canonical(), self.context.now());
        let stats = &self.context.stats;
        stats.received(0, datagram.len() as u64, now);
        if !network::allowed(&self.settings.allow_networks, peer) {
            stats.rejected(NOT_ALLOWED, 1, &peer.to_string());
            return;
        }
        if self.exporters.len() >= self.settings.exporters_max && !self.exporters.contains_key(&peer) {
            stats.rejected("exporters beyond flows.exporters_max", 1, &peer.to_string());
            return;
        }
        let top = self.settings.top;
        let exporter = self.exporters.entry(peer).or_insert_with(|| Exporter::new(top));
        match exporter.decode(self.protocol, datagram) {
            Ok(decoded) => {
                stats.received(decoded.flows.len() as u64, 0, now);
                stats.flagged("flow records that cannot be read", decoded.unreadable, &peer.to_string());
                stats.flagged("flow sequence gap", decoded.lost, &peer.to_string());
                self.pending += decoded.flows.len() as u64;
                exporter.add(&decoded);
            }
            Err(bad) => stats.rejected(&bad.to_string(), 1, &peer.to_string()),
        }
    }

    /// Ends a period for all exporters and sends their sums.
    async fn end_period(&mut self) {
        let now = self.context.now();
        let since = self.last.replace(now).unwrap_or_else(|| now - period_ms(self.settings.period));
        self.exporters.retain(|_, exporter| exporter.idle < IDLE_MAX);
        let mut series = Vec::new();
        for (peer, exporter) in &mut self.exporters {
            exporter.idle += 1;
            exporter.talkers.end_period();
            let sender = Sender { claimed: None, peer: Some(*peer), declared: None };
            exporter.asset = self.context.identity.resolve(&self.context.name, &sender).asset;
            exporter.emit(*peer, since, now, &mut series);
        }
        series.sort_by(|a, b| a.series.labels.cmp(&b.series.labels));
        let gone = self.present.gone(&series, now);
        let parts = records::of_series(&self.context, now, series.into_iter().chain(gone));
        let mut pending = std::mem::take(&mut self.pending);
        let last = parts.len().saturating_sub(1);
        for (position, record) in parts.into_iter().enumerate() {
            let records = if position == last { std::mem::take(&mut pending) } else { 0 };
            self.offer(record, records).await;
        }
        self.pending += pending;
    }

    async fn offer(&mut self, record: NewRecord, records: u64) {
        let Body::Samples(series) = &record.body else { return };
        let sums = Sums { series: Arc::clone(series), records };
        match offer(&self.context, record).await {
            Offer::Stored => self.settle(&Ok(wk_types::Seq(0)), &sums),
            Offer::Queued(ack) => self.in_flight.push(Box::pin(async move { (ack.await, sums) })),
            Offer::Refused(refused) => self.settle(&Err(refused), &sums),
        }
    }

    fn settle(&mut self, answer: &Result<wk_types::Seq, Refused>, sums: &Sums) {
        match answer {
            Ok(_) => {
                self.context.stats.accepted(sums.records);
                self.present.stored(&sums.series);
            }
            Err(refused) => {
                self.pending += sums.records;
                self.context.stats.flagged("sums come with the next period", 1, &refused.to_string());
            }
        }
    }

    fn count_drops(&mut self) {
        self.context.stats.lost(SOCKET_FULL, self.drops.since_last());
    }

    async fn finish(mut self) {
        self.end_period().await;
        self.count_drops();
        let settled = async {
            while let Some((answer, sums)) = self.in_flight.next().await {
                self.settle(&answer, &sums);
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, settled).await.is_err() {
            tracing::warn!(records = self.in_flight.len(), "records were not acknowledged before the end");
        }
        self.context.stats.lost("sums not taken before the end", self.pending);
    }
}

fn period_ms(period: Duration) -> DurationMs {
    DurationMs(i64::try_from(period.as_millis()).unwrap_or(i64::MAX))
}

impl Exporter {
    fn new(top: usize) -> Self {
        Self {
            domains: Domains::default(),
            agents: Agents::default(),
            talkers: Talkers::new(top),
            asset: AssetId::unknown(),
            idle: 0,
        }
    }

    fn decode(&mut self, protocol: Protocol, datagram: &[u8]) -> Result<Decoded, BadFlows> {
        match protocol {
            Protocol::Netflow => self.domains.decode(datagram),
            Protocol::Sflow => self.agents.decode(datagram),
        }
    }

    fn add(&mut self, decoded: &Decoded) {
        self.idle = 0;
        decoded.flows.iter().for_each(|flow| self.talkers.add(flow));
        self.talkers.totals.unreadable += decoded.unreadable;
        self.talkers.totals.lost += decoded.lost;
    }

    fn emit(&self, peer: IpAddr, since: UtcMs, now: UtcMs, into: &mut Vec<SeriesSamples>) {
        let instance = peer.to_string();
        let series = |metric: &str, labels: &[(&str, &str)]| {
            let common = [("job", "flows"), ("instance", instance.as_str()), (METRIC_NAME, metric)];
            let labels = Labels::new(labels.iter().copied().chain(common));
            Arc::new(Series::new(labels, self.asset.clone()))
        };
        let totals = &self.talkers.totals;
        let plain = [
            ("flow_other_bytes_total", totals.other_bytes),
            ("flow_exporter_bytes_total", totals.bytes),
            ("flow_exporter_packets_total", totals.packets),
            ("flow_exporter_records_total", totals.records),
            ("flow_exporter_unreadable_total", totals.unreadable),
            ("flow_exporter_lost_total", totals.lost),
            ("flow_conversations", self.talkers.shown().count() as u64),
        ];
        for (metric, value) in plain {
            let samples = vec![Sample::new(now, value as f64)];
            into.push(SeriesSamples { series: series(metric, &[]), samples });
        }
        for (conversation, shown) in self.talkers.shown() {
            let (source, destination) = (conversation.source.to_string(), conversation.destination.to_string());
            let (protocol, port) = (conversation.protocol_name(), conversation.port.to_string());
            let labels = [("src", source.as_str()), ("dst", &destination), ("protocol", &protocol), ("port", &port)];
            let mut samples = Vec::with_capacity(2);
            if shown.is_new {
                // A counter that begins at its first period's sum would hide that sum from every rate.
                samples.push(Sample::new(since, 0.0));
            }
            samples.push(Sample::new(now, shown.bytes as f64));
            into.push(SeriesSamples { series: series("flow_bytes_total", &labels), samples });
        }
    }
}

#[cfg(test)]
mod tests;
