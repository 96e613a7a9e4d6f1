//! gpsd: the positions and attitudes that its daemon has from whatever receivers it knows, as JSON over TCP (gpsd_json(5)).

mod report;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::AssetId;

use crate::backoff::Backoff;
use crate::contract::SourceContext;
use crate::instruments::{InstrumentSettings, Instruments};
use crate::lines::Lines;
use crate::preference::Preference;
use report::{Report, read};

/// The port that gpsd has by default.
pub const PORT: u16 = 2947;
/// How many bytes a report has at most; gpsd's own bound is 10,240.
pub const REPORT_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// After how much silence the connection is made anew; a receiver reports every second, a daemon without one nothing.
const SILENT_MAX: Duration = Duration::from_secs(120);
/// Asks for reports of every device.
const WATCH: &[u8] = b"?WATCH={\"enable\":true,\"json\":true};\n";
const READ_BYTES: usize = 4 * 1024;

/// Where gpsd is.
#[derive(Debug, Clone)]
pub struct GpsdSettings {
    /// The source's name: the label `instance`.
    pub name: String,
    /// Host and port.
    pub address: String,
    /// The asset that its series belong to.
    pub asset: AssetId,
    /// How often a value is kept.
    pub resolution: Duration,
    /// Devices such as `/dev/ttyUSB0`, the one to be preferred first.
    pub devices: Vec<String>,
}

/// Reads reports until cancelled.
pub async fn run(settings: GpsdSettings, context: SourceContext, cancel: CancellationToken) {
    let instruments = InstrumentSettings {
        job: "gpsd",
        instance: settings.name.clone(),
        asset: settings.asset.clone(),
        resolution: settings.resolution,
        labels: std::collections::BTreeMap::new(),
    };
    let mut source = Source {
        instruments: Instruments::start(context.clone(), instruments, &cancel),
        preference: Preference::new(settings.devices),
        context,
        cancel,
        backoff: Backoff::default(),
    };
    while !source.cancel.is_cancelled() {
        if let Err(error) = source.session(&settings.address).await {
            source.context.stats.flagged("connection failed", 1, &error.to_string());
            tracing::debug!(source = %source.context.name, %error, "gpsd is connected to again");
        }
        let pause = source.backoff.pause();
        source.instruments.idle(pause, &source.cancel).await;
    }
    source.instruments.finish().await;
}

struct Source {
    instruments: Instruments,
    preference: Preference,
    context: SourceContext,
    cancel: CancellationToken,
    backoff: Backoff,
}

impl Source {
    async fn session(&mut self, address: &str) -> io::Result<()> {
        let mut stream = tokio::select! {
            () = self.cancel.cancelled() => return Ok(()),
            stream = connect(address) => stream?,
        };
        let mut beat = self.instruments.beat();
        let (mut lines, mut bytes) = (Lines::new(REPORT_BYTES_MAX), vec![0; READ_BYTES]);
        let mut silent_at = Instant::now() + SILENT_MAX;
        loop {
            let count = tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                _ = beat.tick() => {
                    self.instruments.flush();
                    continue;
                }
                () = tokio::time::sleep_until(silent_at) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "gpsd said nothing for two minutes"));
                }
                read = stream.read(&mut bytes) => read?,
            };
            if count == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "gpsd ended the connection"));
            }
            silent_at = Instant::now() + SILENT_MAX;
            self.backoff.reset();
            lines.feed(&bytes[..count], |line| self.line(line));
            for _ in 0..lines.too_long() {
                self.instruments.reject("report too long", "");
            }
        }
    }

    fn line(&mut self, line: &[u8]) {
        let shown = || String::from_utf8_lossy(line).into_owned();
        let now = self.context.now();
        match read(line, now) {
            Ok(Report::Readings { device, readings }) => {
                self.instruments.heard(line.len());
                for reading in readings {
                    let counts =
                        !reading.quantity.holds(reading.value) || self.preference.takes(&device, reading.quantity, now);
                    if counts {
                        self.instruments.read(&reading, now);
                    }
                }
            }
            // The daemon lives, but that is no word of a receiver.
            Ok(Report::Other) => self.context.stats.received(0, line.len() as u64, now),
            Ok(Report::Trouble(what)) => self.context.stats.flagged("gpsd reports an error", 1, &what),
            Err(bad) => self.instruments.reject(&bad.to_string(), &shown()),
        }
    }
}

async fn connect(address: &str) -> io::Result<TcpStream> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    let mut stream = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await.map_err(|_| late())??;
    stream.write_all(WATCH).await?;
    Ok(stream)
}

#[cfg(test)]
mod tests;
