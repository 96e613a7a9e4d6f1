//! Remote write bodies, made before anything is measured, and the sending of them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use wk_connect::remote_write::WriteRequest;
use wk_types::{Labels, Sample};

use super::store::{Store, client};

/// Connections at once.
pub const CONNECTIONS: usize = 2;
/// Samples in one request.
const REQUEST_SAMPLES: usize = 2_000;
/// How many requests one connection may be ahead of the other, so that no store sees time run apart.
const LEAD_MAX: usize = 40;
/// How often a request is sent that the store cannot take yet.
const TRIES_MAX: usize = 600;
/// Between two of them.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// Bodies in a file for each connection.
pub struct Bodies {
    lanes: Vec<Lane>,
    /// Samples in all of them.
    pub samples: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

struct Lane {
    file: File,
    /// Where each body begins and how long it is.
    bodies: Vec<(u64, usize)>,
}

/// Writes bodies.
pub struct Recorder {
    lanes: Vec<(BufWriter<File>, WriteRequest, Lane)>,
    samples: u64,
    bytes: u64,
}

impl Recorder {
    /// Begins files in a folder.
    pub fn new(folder: &Path) -> Result<Self> {
        let mut lanes = Vec::new();
        for lane in 0..CONNECTIONS {
            let path = folder.join(format!("bodies-{lane}"));
            let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
            lanes.push((BufWriter::new(file.try_clone()?), WriteRequest::default(), Lane { file, bodies: Vec::new() }));
        }
        Ok(Self { lanes, samples: 0, bytes: 0 })
    }

    /// Adds a sample of a target; those of one target go over one connection, in their order.
    pub fn push(&mut self, target: usize, labels: &Labels, sample: Sample) -> Result<()> {
        let lane = target % CONNECTIONS;
        let (_, request, _) = &mut self.lanes[lane];
        request.push(labels.iter(), [sample]);
        self.samples += 1;
        if request.samples() == REQUEST_SAMPLES { self.end_body(lane) } else { Ok(()) }
    }

    fn end_body(&mut self, lane: usize) -> Result<()> {
        let (out, request, lane) = &mut self.lanes[lane];
        let body = request.take_body();
        let from = lane.bodies.last().map_or(0, |(from, length)| from + *length as u64);
        out.write_all(&body)?;
        lane.bodies.push((from, body.len()));
        self.bytes += body.len() as u64;
        Ok(())
    }

    /// How many bodies a connection has so far, one that is begun included.
    pub fn bodies(&self, lane: usize) -> usize {
        let (_, request, lane) = &self.lanes[lane];
        lane.bodies.len() + usize::from(request.samples() > 0)
    }

    /// Ends the files.
    pub fn finish(mut self) -> Result<Bodies> {
        for lane in 0..self.lanes.len() {
            if self.lanes[lane].1.samples() > 0 {
                self.end_body(lane)?;
            }
            self.lanes[lane].0.flush()?;
        }
        let lanes = self.lanes.into_iter().map(|(_, _, lane)| lane).collect();
        Ok(Bodies { lanes, samples: self.samples, bytes: self.bytes })
    }
}

/// How far each connection has come.
struct Progress {
    sent: Vec<AtomicUsize>,
    failed: AtomicBool,
    refused: AtomicUsize,
}

/// What sending took.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Wall time.
    pub took: Duration,
    /// Requests that had to be sent again because the store could not take them yet.
    pub refused: usize,
}

impl Bodies {
    /// How many bodies a connection has.
    pub fn count(&self, lane: usize) -> usize {
        self.lanes[lane].bodies.len()
    }

    /// One body.
    pub fn body(&self, lane: usize, number: usize) -> Result<Vec<u8>> {
        let Lane { file, bodies } = &self.lanes[lane];
        let (from, length) = bodies[number];
        let mut body = vec![0; length];
        file.read_exact_at(&mut body, from)?;
        Ok(body)
    }

    /// Sends everything to a store; a refusal that is not meant for good is tried again, as any sender does.
    pub fn send(&self, store: &Store) -> Result<Sent> {
        let progress = Progress {
            sent: self.lanes.iter().map(|_| AtomicUsize::new(0)).collect(),
            failed: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
        };
        let url = format!("{}/api/v1/write", store.url);
        let began = Instant::now();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..self.lanes.len())
                .map(|lane| {
                    let (progress, url) = (&progress, &url);
                    scope.spawn(move || {
                        let result = self.send_lane(lane, url, progress);
                        if result.is_err() {
                            progress.failed.store(true, Ordering::Relaxed);
                        }
                        // The other connection need not wait for this one any more.
                        progress.sent[lane].store(usize::MAX / 2, Ordering::Relaxed);
                        result
                    })
                })
                .collect();
            for sender in senders {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            anyhow::Ok(())
        })
        .with_context(|| format!("sending to {}", store.kind.name()))?;
        Ok(Sent { took: began.elapsed(), refused: progress.refused.load(Ordering::Relaxed) })
    }

    fn send_lane(&self, lane: usize, url: &str, progress: &Progress) -> Result<()> {
        let client = client()?;
        for number in 0..self.count(lane) {
            let behind = |sent: &AtomicUsize| sent.load(Ordering::Relaxed) + LEAD_MAX < number;
            while progress.sent.iter().any(behind) && !progress.failed.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if progress.failed.load(Ordering::Relaxed) {
                bail!("the other connection failed");
            }
            send(&client, url, self.body(lane, number)?, &progress.refused)?;
            progress.sent[lane].store(number + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Sends one body, again where the store cannot take it yet.
pub fn send(client: &reqwest::blocking::Client, url: &str, body: Vec<u8>, refused: &AtomicUsize) -> Result<()> {
    let body = bytes::Bytes::from(body);
    for _ in 0..TRIES_MAX {
        let answer = client
            .post(url)
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(body.clone())
            .send()?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        if !(status.is_server_error() || status.as_u16() == 429) {
            bail!("{status}: {}", answer.text().unwrap_or_default());
        }
        refused.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(TRY_EVERY);
    }
    bail!("refused {TRIES_MAX} times")
}
