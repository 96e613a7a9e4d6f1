//! Polling of very many SNMP devices: how much of one processor core it takes. The agents are our own and simulated;
//! they run in a thread of this process whose time is taken off.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;
use wk_ingest::snmp::credential::Credential;
use wk_ingest::snmp::profile::Profiles;
use wk_ingest::snmp::{Device, Poller};
use wk_ingest::{Ack, Attribution, Identity, Intake, Sender, SourceContext, SourceStats};
use wk_sim::snmp::Agent;
use wk_types::{AssetId, NewRecord, Seq, SourceName, UtcMs};

use super::table::Table;

/// Interfaces of a simulated switch: with 12 columns each and 4 single objects it has 40 objects.
const INTERFACES: u32 = 3;
/// The name of the agents' thread.
const AGENTS: &str = "agents";
/// Files that are open beside the agents' sockets.
const OTHER_FILES: u64 = 64;

/// How many devices are polled, how often, for how long.
#[derive(Args)]
pub struct Options {
    /// Devices
    #[arg(long, default_value_t = 2_000)]
    devices: u32,
    /// Seconds between two polls of a device
    #[arg(long, default_value_t = 60)]
    interval: u64,
    /// Intervals to measure, after a first one that is not
    #[arg(long, default_value_t = 1)]
    intervals: u64,
}

/// Takes records and counts their samples.
#[derive(Default)]
struct Counting {
    samples: AtomicU64,
    records: AtomicU64,
}

impl Intake for Counting {
    fn append(&self, record: NewRecord) -> Ack {
        self.samples.fetch_add(record.body.items() as u64, Relaxed);
        let seq = self.records.fetch_add(1, Relaxed);
        Box::pin(std::future::ready(Ok(Seq(seq))))
    }
}

/// Knows every device.
struct Known;

impl Identity for Known {
    fn resolve(&self, _: &SourceName, sender: &Sender<'_>) -> Attribution {
        let asset = sender.declared.cloned().unwrap_or_else(AssetId::unknown);
        Attribution { asset, unknown: None }
    }

    fn came_again(&self, _: &SourceName, _: &Sender<'_>, _: &str, _: u64) {}
}

/// Runs the benchmark.
pub fn run(options: &Options) -> Result<()> {
    raise_files(u64::from(options.devices) + OTHER_FILES)?;
    let stop = CancellationToken::new();
    let (agents, addresses) = start_agents(options.devices, stop.clone())?;
    let intake = Arc::new(Counting::default());
    let stats = Arc::new(SourceStats::default());
    let context = SourceContext {
        name: "snmp".into(),
        intake: Arc::clone(&intake) as Arc<dyn Intake>,
        identity: Arc::new(Known),
        stats: Arc::clone(&stats),
        clock: Arc::new(now),
    };
    let poller = Poller::new(devices(&addresses, options), Arc::new(Profiles::load(None)?));
    let interval = Duration::from_secs(options.interval);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(async {
        let poll = tokio::spawn(poller.run(context, stop.clone()));
        tokio::time::sleep(interval + Duration::from_secs(1)).await;
        let (cpu, samples) = (own_cpu()?, intake.samples.load(Relaxed));
        let begun = Instant::now();
        tokio::time::sleep(interval * u32::try_from(options.intervals)?).await;
        let wall = begun.elapsed();
        let used = own_cpu()?.saturating_sub(cpu);
        let taken = intake.samples.load(Relaxed) - samples;
        stop.cancel();
        poll.await??;
        anyhow::Ok((used, wall, taken))
    })?;
    agents.join().map_err(|_| anyhow::anyhow!("the agents failed"))??;
    print(options, measured, &stats)
}

fn print(options: &Options, (used, wall, samples): (Duration, Duration, u64), stats: &SourceStats) -> Result<()> {
    let share = 100.0 * used.as_secs_f64() / wall.as_secs_f64();
    let title = format!("{} simulated devices every {} s", options.devices, options.interval);
    let mut table = Table::with_columns(&title, &["ours".to_owned()]);
    table.row("samples", &[samples], u64::to_string);
    table.row("CPU seconds", &[used], |used| format!("{:.2}", used.as_secs_f64()));
    table.row("share of one core", &[share], |share| format!("{share:.1} %"));
    table.row("samples a CPU-second", &[samples as f64 / used.as_secs_f64()], |rate| format!("{rate:.0}"));
    table.print();
    let flagged = stats.snapshot().flagged;
    ensure!(flagged.is_empty(), "not every poll went well: {flagged:?}");
    Ok(())
}

fn now() -> UtcMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UtcMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn devices(addresses: &[SocketAddr], options: &Options) -> Vec<Device> {
    let device = |(number, address): (usize, &SocketAddr)| Device {
        address: *address,
        credential: Credential::Community { is_v1: false, community: "public".into() },
        asset: Some(format!("switch-{number}").as_str().into()),
        profiles: None,
        interval: Duration::from_secs(options.interval),
        timeout_max: Duration::from_secs(2),
        retries: 2,
        labels: BTreeMap::new(),
    };
    addresses.iter().enumerate().map(device).collect()
}

/// Starts the agents in a thread of their own.
fn start_agents(count: u32, stop: CancellationToken) -> Result<(std::thread::JoinHandle<Result<()>>, Vec<SocketAddr>)> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let agent = Arc::new(Agent::switch("simulated", INTERFACES, 5_000_000_000));
            let mut addresses = Vec::new();
            for _ in 0..count {
                let socket = UdpSocket::bind("127.0.0.1:0").await?;
                addresses.push(socket.local_addr()?);
                tokio::spawn(serve(socket, Arc::clone(&agent)));
            }
            sender.send(addresses)?;
            stop.cancelled().await;
            anyhow::Ok(())
        })
    };
    let thread = std::thread::Builder::new().name(AGENTS.to_owned()).spawn(work)?;
    let addresses = receiver.recv().context("the agents could not be started; is the limit of open files too low?")?;
    Ok((thread, addresses))
}

async fn serve(socket: UdpSocket, agent: Arc<Agent>) {
    let mut datagram = vec![0; 4_096];
    while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
        if let Some(answer) = agent.answer(&datagram[..length]) {
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

/// The time of this process' threads, those of the agents left out (`/proc/PID/task/TID/schedstat`, nanoseconds).
fn own_cpu() -> Result<Duration> {
    let mut all = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == AGENTS {
            continue;
        }
        let schedule = std::fs::read_to_string(task.join("schedstat"))?;
        let nanoseconds = schedule.split_ascii_whitespace().next().context("schedstat is empty")?;
        all += Duration::from_nanos(nanoseconds.parse()?);
    }
    Ok(all)
}

/// Raises the limit of open files as far as it may go.
fn raise_files(wanted: u64) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let current = limit.maximum.map_or(wanted, |most| most.min(wanted));
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum })
            .context("could not raise the limit of open files")?;
    }
    Ok(())
}
