//! Signal K: what its server has from NMEA 0183, NMEA 2000 and AIS, as delta messages over a WebSocket (Signal K 1.7.0,
//! streaming API). The subscription stands in the address, so nothing is sent to the server.

mod delta;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;
use wk_types::{AssetId, ErrorKind};

use crate::backoff::Backoff;
use crate::contract::SourceContext;
use crate::instruments::{InstrumentSettings, Instruments};
use crate::preference::Preference;
use delta::{Delta, Stream, Taken};

/// How many bytes a message has at most.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// After how much silence the connection is made anew.
const SILENT_MAX: Duration = Duration::from_secs(120);
/// The path of the stream, with everything of the own vessel subscribed to.
const STREAM_PATH: &str = "/signalk/v1/stream?subscribe=self";

/// Where a Signal K server is.
#[derive(Debug, Clone)]
pub struct SignalKSettings {
    /// The source's name: the label `instance`.
    pub name: String,
    /// The server, such as `ws://10.0.0.5:3000`.
    pub url: String,
    /// A token for a server that asks for one.
    pub token: Option<Token>,
    /// The asset that its series belong to.
    pub asset: AssetId,
    /// How often a value is kept.
    pub resolution: Duration,
    /// Signal K sources (`$source`), the one to be preferred first.
    pub sources: Vec<String>,
    /// Further paths and the metric each becomes, in the unit of Signal K.
    pub metrics: BTreeMap<String, String>,
}

/// A secret that is shown nowhere.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(a token)")
    }
}

/// Why a source of Signal K cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalKError {
    /// The address is none of a WebSocket.
    #[error("could not read {url:?} as a signal k server; write a URL such as ws://10.0.0.5:3000")]
    Url {
        /// The text as written.
        url: String,
    },
    /// The token holds characters that no header can.
    #[error("the signal k token holds characters that a token cannot have")]
    Token,
}

impl SignalKError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl Token {
    /// Takes a token as the server gave it out.
    ///
    /// # Errors
    /// Characters that no header can have.
    pub fn new(text: &str) -> Result<Self, SignalKError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim())).map_err(|_| SignalKError::Token)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl SignalKSettings {
    /// Checks the address.
    ///
    /// # Errors
    /// An address that is none of a WebSocket.
    pub fn check(&self) -> Result<(), SignalKError> {
        let is_plain = self.url.starts_with("ws://");
        if is_plain && self.stream_url().into_client_request().is_ok() {
            return Ok(());
        }
        Err(SignalKError::Url { url: self.url.clone() })
    }

    fn stream_url(&self) -> String {
        format!("{}{STREAM_PATH}", self.url.trim_end_matches('/'))
    }
}

/// Reads deltas until cancelled.
pub async fn run(settings: SignalKSettings, context: SourceContext, cancel: CancellationToken) {
    let instruments = InstrumentSettings {
        job: "signalk",
        instance: settings.name.clone(),
        asset: settings.asset.clone(),
        resolution: settings.resolution,
        labels: BTreeMap::new(),
    };
    let mut source = Source {
        instruments: Instruments::start(context.clone(), instruments, &cancel),
        preference: Preference::new(settings.sources.clone()),
        settings,
        context,
        cancel,
        backoff: Backoff::default(),
    };
    while !source.cancel.is_cancelled() {
        if let Err(error) = source.session().await {
            source.context.stats.flagged("connection failed", 1, &error);
            tracing::debug!(source = %source.context.name, %error, "the signal k server is connected to again");
        }
        let pause = source.backoff.pause();
        source.instruments.idle(pause, &source.cancel).await;
    }
    source.instruments.finish().await;
}

struct Source {
    settings: SignalKSettings,
    instruments: Instruments,
    preference: Preference,
    context: SourceContext,
    cancel: CancellationToken,
    backoff: Backoff,
}

impl Source {
    async fn session(&mut self) -> Result<(), String> {
        let mut socket = tokio::select! {
            () = self.cancel.cancelled() => return Ok(()),
            socket = connect(&self.settings) => socket?,
        };
        let mut beat = self.instruments.beat();
        let mut stream = Stream::default();
        let mut silent_at = Instant::now() + SILENT_MAX;
        loop {
            let message = tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                _ = beat.tick() => {
                    self.instruments.flush();
                    continue;
                }
                () = tokio::time::sleep_until(silent_at) => return Err("the server said nothing for two minutes".to_owned()),
                message = socket.next() => message,
            };
            silent_at = Instant::now() + SILENT_MAX;
            match message {
                Some(Ok(Message::Text(text))) => self.message(&mut stream, text.as_str()),
                Some(Ok(Message::Close(_))) | None => return Err("the server ended the connection".to_owned()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(told(&error)),
            }
        }
    }

    fn message(&mut self, stream: &mut Stream, text: &str) {
        let now = self.context.now();
        let delta: Delta = match serde_json::from_str(text) {
            Ok(delta) => delta,
            Err(_) => return self.instruments.reject("not a signal k message", text),
        };
        let Some(taken) = stream.take(&delta, &self.settings.metrics) else {
            self.context.stats.received(0, text.len() as u64, now);
            return;
        };
        self.instruments.heard(text.len());
        self.backoff.reset();
        for one in taken {
            match one {
                Taken::Reading { source, reading } => {
                    let counts =
                        !reading.quantity.holds(reading.value) || self.preference.takes(source, reading.quantity, now);
                    if counts {
                        self.instruments.read(&reading, now);
                    }
                }
                Taken::Metric { source, name, value } => {
                    self.instruments.note(name, &[("source", source)], value, now);
                }
            }
        }
    }
}

async fn connect(settings: &SignalKSettings) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, String> {
    let mut request = settings.stream_url().into_client_request().map_err(|error| told(&error))?;
    if let Some(token) = &settings.token {
        request.headers_mut().insert(header::AUTHORIZATION, token.0.clone());
    }
    let bounds =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = tokio_tungstenite::connect_async_with_config(request, Some(bounds), true);
    let (socket, _) = tokio::time::timeout(CONNECT_WITHIN, connecting)
        .await
        .map_err(|_| "no connection in time".to_owned())?
        .map_err(|error| told(&error))?;
    Ok(socket)
}

/// What went wrong; a server that wants a token says so by its status.
fn told(error: &Error) -> String {
    match error {
        Error::Http(response) if matches!(response.status().as_u16(), 401 | 403) => {
            format!("the server answered {}; put its token into token_file", response.status())
        }
        Error::Http(response) => format!("the server answered {}", response.status()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
