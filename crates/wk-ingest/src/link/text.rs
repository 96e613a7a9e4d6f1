//! Devices that send lines of text by themselves over TCP. Nothing is sent to them.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Answer, LinkSettings, note};
use crate::backoff::Backoff;
use crate::instruments::Instruments;
use crate::lines::Lines;

/// How many bytes a line has at most.
pub const LINE_BYTES_MAX: usize = 4 * 1024;
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// After how much silence the connection is made anew; status tables come every five minutes.
const SILENT_MAX: Duration = Duration::from_secs(660);
const READ_BYTES: usize = 4 * 1024;

/// Reads lines until cancelled.
pub async fn run(settings: &LinkSettings, instruments: &mut Instruments, cancel: &CancellationToken) {
    let mut backoff = Backoff::default();
    while !cancel.is_cancelled() {
        if let Err(what) = session(settings, instruments, cancel, &mut backoff).await {
            instruments.context().stats.flagged("connection failed", 1, &what);
        }
        instruments.idle(backoff.pause(), cancel).await;
    }
}

async fn session(
    settings: &LinkSettings,
    instruments: &mut Instruments,
    cancel: &CancellationToken,
    backoff: &mut Backoff,
) -> Result<(), String> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(&settings.address));
    let mut stream = tokio::select! {
        () = cancel.cancelled() => return Ok(()),
        stream = connecting => {
            stream.map_err(|_| "no connection in time".to_owned())?.map_err(|error| error.to_string())?
        }
    };
    let mut beat = instruments.beat();
    let (mut lines, mut bytes) = (Lines::new(LINE_BYTES_MAX), vec![0; READ_BYTES]);
    let mut silent_at = Instant::now() + SILENT_MAX;
    loop {
        let count = tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            _ = beat.tick() => {
                instruments.flush();
                continue;
            }
            () = tokio::time::sleep_until(silent_at) => return Err("the device said nothing for eleven minutes".to_owned()),
            read = stream.read(&mut bytes) => read.map_err(|error| error.to_string())?,
        };
        if count == 0 {
            return Err("the device ended the connection".to_owned());
        }
        silent_at = Instant::now() + SILENT_MAX;
        backoff.reset();
        lines.feed(&bytes[..count], |line| take(settings, instruments, line));
        for _ in 0..lines.too_long() {
            instruments.reject("line too long", "");
        }
    }
}

fn take(settings: &LinkSettings, instruments: &mut Instruments, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    let mut answer = Answer { bytes: line.len(), ..Answer::default() };
    for request in &settings.profile.requests {
        if let Some((values, bad)) = request.read_line(&text) {
            answer.values.extend(values);
            answer.bad.extend(bad);
        }
    }
    note(instruments, answer);
}
