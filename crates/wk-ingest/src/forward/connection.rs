//! One connection: handshake, messages, acknowledgements. It is read only as fast as the intake log takes its messages.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use wk_types::{LogRecord, NewRecord};

use super::handshake::{self, NONCE_BYTES, Ping};
use super::message::{BadMessage, Message};
use super::msgpack::Scanner;
use super::{ForwardSettings, MESSAGE_BYTES_MAX};
use crate::accept::{Stream, read_at_once};
use crate::contract::SourceContext;
use crate::delivery::{Delivered, Pipeline, deliver};
use crate::json_logs::ParsedLog;
use crate::logs::Senders;
use crate::records;
use crate::stats::{EXAMPLE_BYTES_MAX, shortened};

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;
/// How many reads at the end of the source take what the sender had already handed over.
const READS_AT_END_MAX: usize = 64;
/// How many bytes a client may send before it has proved that it knows the key.
const PING_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take to prove that it knows the key, and to take an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why a connection is ended by this side.
enum End {
    /// The client went away, or the source is told to end.
    Over,
    /// What came is counted under this reason.
    Bad(&'static str, String),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Over
    }
}

pub struct Connection {
    context: SourceContext,
    settings: ForwardSettings,
    peer: IpAddr,
    cancel: CancellationToken,
    pipeline: Pipeline,
    senders: Senders,
    buffer: Vec<u8>,
    /// Where the next message begins in the buffer.
    start: usize,
    scanner: Scanner,
}

impl Connection {
    pub fn new(context: SourceContext, settings: ForwardSettings, peer: IpAddr, cancel: CancellationToken) -> Self {
        Self {
            pipeline: Pipeline::new(context.clone(), cancel.clone()),
            context,
            settings,
            peer,
            cancel,
            senders: Senders::default(),
            buffer: Vec::new(),
            start: 0,
            scanner: Scanner::default(),
        }
    }

    /// Serves the connection until either side ends it.
    pub async fn run(mut self, mut stream: Box<dyn Stream>) {
        let ended = match self.greet(&mut *stream).await {
            Ok(()) => self.serve(&mut *stream).await,
            Err(end) => end,
        };
        if let End::Bad(reason, example) = ended {
            let example = format!("{}: {example}", self.peer);
            self.context.stats.rejected(reason, 1, shortened(&example, EXAMPLE_BYTES_MAX));
            tracing::warn!(source = %self.context.name, peer = %self.peer, reason, %example, "connection ended");
        }
        self.pipeline.finish().await;
        let _ = stream.shutdown().await;
    }

    /// Lets a client in that knows the key, where one is set.
    async fn greet(&mut self, stream: &mut dyn Stream) -> Result<(), End> {
        let Some(key) = self.settings.shared_key.clone() else { return Ok(()) };
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| End::Bad("no random numbers", error.to_string()))?;
        let proving = async {
            stream.write_all(&handshake::helo(&nonce)).await?;
            let message = self.next_message(stream, PING_BYTES_MAX).await?;
            let ping = Ping::read(&message, &nonce, &key).map_err(|bad| End::Bad("no handshake", bad.to_string()))?;
            stream.write_all(&ping.pong(&self.settings.own_name, &nonce, &key)).await?;
            if ping.knows_key() { Ok(()) } else { Err(End::Bad("shared key differs", ping.name)) }
        };
        match tokio::time::timeout(ANSWER_MAX, proving).await {
            Ok(proved) => proved,
            Err(_) => Err(End::Bad("no handshake", "it took too long".to_owned())),
        }
    }

    async fn serve(&mut self, stream: &mut dyn Stream) -> End {
        loop {
            let message = match self.next_message(stream, MESSAGE_BYTES_MAX).await {
                Ok(message) => message,
                Err(End::Over) => return self.take_the_rest(stream).await,
                Err(end) => return end,
            };
            if let Err(end) = self.take(stream, &message).await {
                return end;
            }
        }
    }

    /// Takes what the sender had handed over when the source was told to end.
    async fn take_the_rest(&mut self, stream: &mut dyn Stream) -> End {
        let mut bytes = vec![0; READ_BYTES];
        for _ in 0..READS_AT_END_MAX {
            let Some(count) = read_at_once(stream, &mut bytes) else { break };
            self.extend(&bytes[..count]);
        }
        loop {
            match self.buffered(MESSAGE_BYTES_MAX) {
                Ok(Some(message)) => {
                    if let Err(end) = self.take(stream, &message).await {
                        return end;
                    }
                }
                Ok(None) if self.start == self.buffer.len() => return End::Over,
                Ok(None) => return End::Bad("connection ended within a message", String::new()),
                Err(end) => return end,
            }
        }
    }

    /// The next whole message.
    async fn next_message(&mut self, stream: &mut dyn Stream, bytes_max: usize) -> Result<Vec<u8>, End> {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            if let Some(message) = self.buffered(bytes_max)? {
                return Ok(message);
            }
            let count = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(End::Over),
                outcome = self.pipeline.next_outcome() => {
                    self.pipeline.conclude(outcome).await;
                    continue;
                }
                read = tokio::time::timeout(self.settings.idle, stream.read(&mut bytes)) => match read {
                    Ok(read) => read?,
                    Err(_) => return Err(End::Over),
                },
            };
            if count == 0 {
                return Err(End::Over);
            }
            self.extend(&bytes[..count]);
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.start));
        self.buffer.extend_from_slice(bytes);
    }

    /// A whole message that has been read, `None` while it is not all there.
    fn buffered(&mut self, bytes_max: usize) -> Result<Option<Vec<u8>>, End> {
        let waiting = &self.buffer[self.start..];
        let end = self.scanner.end(waiting).map_err(|bad| End::Bad("not MessagePack", bad.to_string()))?;
        match end {
            Some(end) if end <= bytes_max => {
                let message = waiting[..end].to_vec();
                self.start += end;
                Ok(Some(message))
            }
            None if waiting.len() <= bytes_max => Ok(None),
            _ => Err(End::Bad("message too large", format!("more than {bytes_max} bytes"))),
        }
    }

    /// Takes a message, and acknowledges it once it is on disk where the sender asks for that.
    async fn take(&mut self, stream: &mut dyn Stream, bytes: &[u8]) -> Result<(), End> {
        // Between messages, clients may say nothing to show that they are alive.
        if bytes == [0xc0] {
            return Ok(());
        }
        let bad = |error: BadMessage| End::Bad("message not taken", error.to_string());
        let message = Message::read(bytes).and_then(Message::unpacked).map_err(bad)?;
        let records = self.records(&message, bytes.len()).map_err(bad)?;
        let Some(chunk) = message.options.chunk else {
            for record in records {
                self.pipeline.push(record).await;
            }
            return Ok(());
        };
        self.pipeline.settle_all().await;
        for record in records {
            // What is not acknowledged is kept by the sender, so it does not count as lost.
            if deliver(&self.context, record, &self.cancel).await == Delivered::Ended {
                return Err(End::Over);
            }
        }
        match tokio::time::timeout(ANSWER_MAX, stream.write_all(&handshake::ack(&chunk))).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(End::Bad("acknowledgement not taken", String::new())),
        }
    }

    /// The records of a message; entries behind one that cannot be read are lost with it, and counted as one.
    fn records(&mut self, message: &Message<'_>, bytes: usize) -> Result<Vec<NewRecord>, BadMessage> {
        let received = self.context.now();
        let (mut logs, mut rejected): (Vec<LogRecord>, Vec<&'static str>) = (Vec::new(), Vec::new());
        let (context, senders, peer) = (&self.context, &mut self.senders, Some(self.peer));
        let read = message.each(|entry| match entry {
            Ok(log) => logs.push(tagged(log, &message.tag).attributed(context, senders, peer, received)),
            Err(reason) => rejected.push(reason),
        });
        senders.end_round(context);
        match read {
            Err(BadMessage::Pack(_)) => rejected.push("rest of a chunk cannot be read"),
            other => other?,
        }
        context.stats.received((logs.len() + rejected.len()) as u64, bytes as u64, received);
        for reason in rejected {
            context.stats.rejected(reason, 1, &message.tag);
        }
        Ok(records::of_logs(context, received, logs))
    }
}

/// Notes the tag of a message, which also names the application where the record does not.
fn tagged<'a>(mut log: ParsedLog<'a>, tag: &'a str) -> ParsedLog<'a> {
    if log.app.is_empty() {
        log.app = tag.into();
    }
    log.attributes.entry("tag".into()).or_insert_with(|| tag.into());
    log
}
