//! MQTT: topics of a broker, each mapped by the configuration to a metric or to log messages.
//!
//! Messages are acknowledged to the broker only once the intake log has them, and the session outlives the connection,
//! so that what is published with quality of service 1 or 2 while the node is away is not lost.

mod map;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, SubscribeFilter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wk_types::{AssetId, ErrorKind, LogRecord, SeriesSamples, UtcMs};

use crate::backoff::Backoff;
use crate::contract::{Sender, SourceContext};
use crate::delivery::{Delivered, deliver};
use crate::instruments::{InstrumentSettings, Instruments};
use crate::records;

pub use map::{BadMapping, LogMapping, Mapping, MetricMapping, Origin, Target};

/// How many bytes a message has at most; longer ones are acknowledged and counted as rejected.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// How many bytes a message may have before the connection is given up. A broker sends such a message again and again,
/// so the bound lies far above what is read.
pub const PACKET_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many messages wait for the intake log; further ones wait at the broker.
const QUEUE_MESSAGES_MAX: usize = 512;
/// How many messages are written as one record.
const BATCH_MESSAGES_MAX: usize = 256;
/// How often the broker is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How often it is told whether the broker lives; it answers the keep-alive within three beats.
const BEAT_EVERY: Duration = Duration::from_secs(15);
/// How many messages the broker sends before the first is acknowledged.
const IN_FLIGHT_MAX: u16 = 100;
/// How many requests to the broker wait; acknowledgements are requests.
const REQUESTS_MAX: usize = QUEUE_MESSAGES_MAX + 16;
/// How long a source waits at its end for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// Where a broker is, and what its topics mean.
#[derive(Debug, Clone)]
pub struct MqttSettings {
    /// The source's name: the label `instance`.
    pub name: String,
    /// The broker's host.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// The client's id, under which the broker keeps the session.
    pub client_id: String,
    /// The user at the broker.
    pub user: Option<String>,
    /// The file with the user's password, read at every connection.
    pub password_file: Option<PathBuf>,
    /// The asset that everything belongs to.
    pub asset: AssetId,
    /// What the topics mean, the first that fits a message counts.
    pub mappings: Vec<Mapping>,
}

impl MqttSettings {
    fn instruments(&self) -> InstrumentSettings {
        InstrumentSettings {
            job: "mqtt",
            instance: self.name.clone(),
            asset: self.asset.clone(),
            resolution: BEAT_EVERY,
            labels: BTreeMap::new(),
        }
    }
}

/// Why a source of MQTT cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MqttError {
    /// The broker's address cannot be read.
    #[error("could not read {url:?} as an mqtt broker; write a URL such as mqtt://10.0.0.5:1883")]
    Url {
        /// The text as written.
        url: String,
    },
}

impl MqttError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

/// Reads the address of a broker: `mqtt://host` or `mqtt://host:port`.
///
/// # Errors
/// Text that is no such address.
pub fn read_url(url: &str) -> Result<(String, u16), MqttError> {
    let refuse = || MqttError::Url { url: url.to_owned() };
    let rest = url.strip_prefix("mqtt://").ok_or_else(refuse)?.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => (host, port.parse().map_err(|_| refuse())?),
        _ => (rest, 1_883),
    };
    let is_plain =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
    if is_plain { Ok((host.trim_matches(['[', ']']).to_owned(), port)) } else { Err(refuse()) }
}

/// Takes messages in until cancelled.
pub async fn run(settings: MqttSettings, context: SourceContext, cancel: CancellationToken) {
    let sender = Sender { claimed: Some(&settings.name), peer: None, declared: Some(&settings.asset) };
    let asset = context.identity.resolve(&context.name, &sender).asset;
    let mut instruments = Instruments::start(context.clone(), settings.instruments(), &cancel);
    let mut backoff = Backoff::default();
    while !cancel.is_cancelled() {
        let session = Session {
            settings: &settings,
            context: &context,
            cancel: &cancel,
            asset: asset.clone(),
            spoke: AtomicBool::new(false),
        };
        let what = session.run(&mut backoff, &mut instruments).await;
        if !cancel.is_cancelled() {
            context.stats.flagged("connection failed", 1, &what);
            tracing::debug!(source = %context.name, %what, "the broker is connected to again");
            instruments.idle(backoff.pause(), &cancel).await;
        }
    }
    instruments.finish().await;
}

/// Tells by `up` whether the broker speaks.
async fn beat(instruments: &mut Instruments, spoke: &AtomicBool) -> ! {
    let mut beat = instruments.beat();
    loop {
        beat.tick().await;
        if spoke.swap(false, Ordering::Relaxed) {
            instruments.heard(0);
        }
        instruments.flush();
    }
}

/// One connection to the broker.
struct Session<'a> {
    settings: &'a MqttSettings,
    context: &'a SourceContext,
    cancel: &'a CancellationToken,
    asset: AssetId,
    /// Whether the broker has said anything since it was last looked at.
    spoke: AtomicBool,
}

impl Session<'_> {
    /// Goes on until the connection ends, and says why it did.
    async fn run(&self, backoff: &mut Backoff, instruments: &mut Instruments) -> String {
        let options = match self.options() {
            Ok(options) => options,
            Err(what) => return what,
        };
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        let (queue, waiting) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let writer = Writer {
            context: self.context.clone(),
            cancel: self.cancel.clone(),
            name: self.settings.name.clone(),
            mappings: self.settings.mappings.clone(),
            asset: self.asset.clone(),
            client: client.clone(),
        };
        let writing = tokio::spawn(writer.run(waiting));
        // Working on an event is never broken off for the beat: half a packet may be on its way.
        let what = tokio::select! {
            what = self.events(events, &client, queue, backoff) => what,
            never = beat(instruments, &self.spoke) => never,
        };
        // What was queued is stored; without the connection it cannot be acknowledged, and comes again.
        if tokio::time::timeout(FINISH_WITHIN, writing).await.is_err() {
            tracing::warn!(source = %self.context.name, "messages were not stored before the connection's end");
        }
        what
    }

    fn options(&self) -> Result<MqttOptions, String> {
        let settings = self.settings;
        let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
        options.set_keep_alive(KEEP_ALIVE).set_clean_session(false).set_manual_acks(true).set_inflight(IN_FLIGHT_MAX);
        options.set_max_packet_size(PACKET_BYTES_MAX, MESSAGE_BYTES_MAX);
        if let Some(user) = &settings.user {
            let password = match &settings.password_file {
                Some(file) => std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?,
                None => String::new(),
            };
            options.set_credentials(user, password.trim_end_matches(['\r', '\n']));
        }
        Ok(options)
    }

    async fn events(
        &self,
        mut events: EventLoop,
        client: &AsyncClient,
        queue: mpsc::Sender<Publish>,
        backoff: &mut Backoff,
    ) -> String {
        loop {
            let event = tokio::select! {
                () = self.cancel.cancelled() => return String::new(),
                event = events.poll() => event,
            };
            if matches!(event, Ok(Event::Incoming(_))) {
                self.spoke.store(true, Ordering::Relaxed);
            }
            match event {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    let filters = self
                        .settings
                        .mappings
                        .iter()
                        .map(|one| SubscribeFilter::new(one.filter().to_owned(), QoS::AtLeastOnce));
                    if let Err(error) = client.subscribe_many(filters).await {
                        return error.to_string();
                    }
                }
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    let refused = answer
                        .return_codes
                        .iter()
                        .filter(|code| matches!(code, rumqttc::SubscribeReasonCode::Failure))
                        .count();
                    self.context.stats.flagged(
                        "subscription refused by the broker",
                        refused as u64,
                        &self.settings.name,
                    );
                    backoff.reset();
                }
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    // While the queue is full the broker is not read from, and keeps what it has.
                    let room = tokio::select! {
                        () = self.cancel.cancelled() => return String::new(),
                        sent = queue.send(message) => sent,
                    };
                    if room.is_err() {
                        return "the writer has ended".to_owned();
                    }
                }
                Ok(_) => {}
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Turns messages into records, and acknowledges them once they are on disk.
struct Writer {
    context: SourceContext,
    cancel: CancellationToken,
    name: String,
    mappings: Vec<Mapping>,
    asset: AssetId,
    client: AsyncClient,
}

impl Writer {
    async fn run(self, mut waiting: mpsc::Receiver<Publish>) {
        let mut messages = Vec::with_capacity(BATCH_MESSAGES_MAX);
        while waiting.recv_many(&mut messages, BATCH_MESSAGES_MAX).await > 0 {
            let stored = self.store(&messages).await;
            for message in messages.drain(..) {
                // An acknowledgement that the connection no longer takes makes the broker send the message again.
                if stored && self.client.try_ack(&message).is_err() {
                    self.context.stats.flagged("message will come again", 1, &message.topic);
                }
            }
        }
    }

    async fn store(&self, messages: &[Publish]) -> bool {
        let now = self.context.now();
        let mut batch = Batch::default();
        for message in messages {
            self.context.stats.received(1, message.payload.len() as u64, now);
            if let Err((reason, example)) = self.map(message, now, &mut batch) {
                self.context.stats.rejected(reason, 1, &example);
            }
        }
        let series = records::of_series(&self.context, now, batch.series);
        let logs = records::of_logs(&self.context, now, batch.logs);
        for record in series.into_iter().chain(logs) {
            if deliver(&self.context, record, &self.cancel).await == Delivered::Ended {
                return false;
            }
        }
        true
    }

    fn map(&self, message: &Publish, now: UtcMs, batch: &mut Batch) -> Result<(), (&'static str, String)> {
        let topic = message.topic.as_str();
        let failed =
            |bad: BadMapping| (bad.reason(), format!("{topic}: {}", String::from_utf8_lossy(&message.payload)));
        if message.payload.len() > MESSAGE_BYTES_MAX {
            return Err(("message too long", topic.to_owned()));
        }
        if message.retain {
            return Err(("retained message of unknown age", topic.to_owned()));
        }
        let Some((mapping, parts)) = self.mappings.iter().find_map(|one| Some((one, one.fits(topic)?))) else {
            return Err(("topic without a mapping", topic.to_owned()));
        };
        let origin = Origin { instance: &self.name, asset: &self.asset, now };
        match &mapping.target {
            Target::Metric(metric) => {
                batch.series.push(metric.series(&message.payload, &parts, &origin).map_err(failed)?);
            }
            Target::Log(log) => batch.logs.push(log.record(&message.payload, topic, &origin).map_err(failed)?),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Batch {
    series: Vec<SeriesSamples>,
    logs: Vec<LogRecord>,
}

/// Labels by name, each a text in which `{1}` stands for what the first wildcard of the filter met.
pub type LabelTemplates = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
