use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use async_snmp::Value;
use tokio::net::UdpSocket;
use wk_sim::snmp::Agent;
use wk_types::SeriesSamples;

use super::*;
use crate::testing::{RecordingIntake, context};

/// An agent on a socket that can be made deaf.
struct Server {
    address: SocketAddr,
    agent: Arc<Mutex<Agent>>,
    deaf: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(agent: Agent) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (agent, deaf) = (Arc::new(Mutex::new(agent)), Arc::new(AtomicBool::new(false)));
        let asked = Arc::new(AtomicU64::new(0));
        let (shared, is_deaf, count) = (Arc::clone(&agent), Arc::clone(&deaf), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut datagram = [0; 65_536];
            while let Ok((length, peer)) = socket.recv_from(&mut datagram).await {
                count.fetch_add(1, Relaxed);
                let answer = shared.lock().unwrap().answer(&datagram[..length]);
                if let Some(answer) = answer.filter(|_| !is_deaf.load(Relaxed)) {
                    let _ = socket.send_to(&answer, peer).await;
                }
            }
        });
        Self { address, agent, deaf, asked, task }
    }

    fn device(&self, is_v1: bool) -> Device {
        Device {
            address: self.address,
            credential: Credential::Community { is_v1, community: "public".into() },
            asset: None,
            profiles: None,
            interval: Duration::from_secs(60),
            timeout_max: Duration::from_millis(300),
            retries: 1,
            labels: BTreeMap::from([("deck".to_owned(), "5".to_owned())]),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A device's state and where its records go.
struct Polled {
    state: DeviceState,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
    seen: usize,
}

impl Polled {
    async fn new(device: Device) -> Self {
        let (context, intake) = context("snmp");
        let shared = Shared::open(std::slice::from_ref(&device), &context).await.unwrap();
        let session = shared.session(&device).await.unwrap();
        let profiles = Arc::new(Profiles::load(None).unwrap());
        Self { state: DeviceState::new(device, session, profiles), context, intake, seen: 0 }
    }

    /// Polls once; answers name and value of each series, without the labels that all share.
    async fn round(&mut self) -> BTreeMap<String, f64> {
        self.state.round(&self.context, &CancellationToken::new()).await;
        let all = self.intake.series();
        let new = all[self.seen..].to_vec();
        self.seen = all.len();
        let text = |one: &SeriesSamples| {
            let labels = one.series.labels.filtered(|name| !matches!(name, "job" | "instance" | "deck"));
            (labels.to_string(), one.samples[0].value)
        };
        new.iter().map(text).collect()
    }
}

#[tokio::test]
async fn a_switch_is_read_by_the_profiles_that_fit_it() {
    let server = Server::start(Agent::switch("deck-5", 3, 5_000_000_000)).await;
    let mut polled = Polled::new(server.device(false)).await;
    let series = polled.round().await;
    let port = r#"ifDescr="port 2", ifIndex="2", ifName="ge-0/0/2""#;
    assert_eq!(series[&format!("ifHCInOctets_total{{{port}}}")], 5e9);
    assert_eq!(series[&format!("ifSpeed_bits_per_second{{{port}}}")], 1e9);
    assert_eq!(series[&format!("ifInErrors_total{{{port}}}")], 2.0);
    assert_eq!(series["sysUpTime_seconds"], 86_400.0);
    assert_eq!((series["up"], series["snmp_poll_complete"]), (1.0, 1.0));
    assert!(series.keys().any(|name| name.starts_with("snmp_system_info{") && name.contains(r#"sysName="deck-5""#)));
    let labels = &polled.intake.series()[0].series.labels;
    assert_eq!((labels.get("job"), labels.get("deck")), (Some("snmp"), Some("5")));
    assert_eq!(labels.get("instance"), Some(server.address.to_string().as_str()));
}

#[tokio::test]
async fn an_snmpv1_device_without_64_bit_counters_gives_the_same_series() {
    let mut agent = Agent::switch("old", 2, 0);
    agent.objects.retain(|oid, _| !oid.to_string().starts_with("1.3.6.1.2.1.31."));
    for (index, octets) in [(1, u32::MAX - 10), (2, 7)] {
        agent.set(&format!("1.3.6.1.2.1.2.2.1.10.{index}"), Value::Counter32(octets));
        agent.set(&format!("1.3.6.1.2.1.2.2.1.5.{index}"), Value::Gauge32(100_000_000));
    }
    let server = Server::start(agent).await;
    let mut polled = Polled::new(server.device(true)).await;
    let name = r#"ifHCInOctets_total{ifDescr="port 1", ifIndex="1"}"#;
    let first = polled.round().await;
    assert_eq!(first[name], f64::from(u32::MAX - 10), "{first:?}");
    assert_eq!(first[r#"ifSpeed_bits_per_second{ifDescr="port 1", ifIndex="1"}"#], 1e8);
    server.agent.lock().unwrap().set("1.3.6.1.2.1.2.2.1.10.1", Value::Counter32(9));
    assert_eq!(polled.round().await[name], f64::from(u32::MAX) + 10.0);
}

#[tokio::test]
async fn less_is_asked_for_where_answers_are_too_big() {
    let mut agent = Agent::switch("small", 20, 1);
    agent.answer_bytes_max = 400;
    let server = Server::start(agent).await;
    let mut polled = Polled::new(server.device(false)).await;
    let series = polled.round().await;
    assert_eq!(series["snmp_poll_complete"], 1.0);
    assert_eq!(series.keys().filter(|name| name.starts_with("ifHCInOctets_total")).count(), 20);
}

#[tokio::test]
async fn a_device_that_falls_silent_is_down_and_its_series_end() {
    let server = Server::start(Agent::switch("deck-5", 1, 1)).await;
    let mut polled = Polled::new(server.device(false)).await;
    polled.round().await;
    server.deaf.store(true, Relaxed);
    let series = polled.round().await;
    assert_eq!((series["up"], series["snmp_poll_complete"]), (0.0, 0.0));
    let ended = series.iter().filter(|(name, value)| name.starts_with("ifHC") && value.is_nan()).count();
    assert_eq!(ended, 5);
    assert_eq!(polled.context.stats.snapshot().flagged["device does not answer"].count, 1);
    let before = server.asked.load(Relaxed);
    polled.round().await;
    assert_eq!(server.asked.load(Relaxed) - before, 1, "a silent device is asked once a round");
    server.deaf.store(false, Relaxed);
    assert_eq!(polled.round().await["up"], 1.0);
}

#[tokio::test]
async fn what_a_device_does_not_have_is_not_asked_for_each_time() {
    let server = Server::start(Agent::switch("deck-5", 1, 1)).await;
    let mut polled = Polled::new(server.device(false)).await;
    polled.round().await;
    let first = server.asked.load(Relaxed);
    polled.round().await;
    let second = server.asked.load(Relaxed) - first;
    assert!(second < first / 2, "{first} then {second}");
}

#[tokio::test]
async fn a_silent_device_does_not_delay_another() {
    let (silent, quick) =
        (Server::start(Agent::new("nobody")).await, Server::start(Agent::switch("quick", 1, 1)).await);
    let devices = [&silent, &quick].map(|server| {
        let mut device = server.device(false);
        device.interval = Duration::from_millis(200);
        device.timeout_max = Duration::from_secs(5);
        device
    });
    let (context, intake) = context("snmp");
    let poller = Poller::new(devices.to_vec(), Arc::new(Profiles::load(None).unwrap()));
    let cancel = CancellationToken::new();
    let running = tokio::spawn(poller.run(context, cancel.clone()));
    let polls = |intake: &RecordingIntake| {
        intake.series().iter().filter(|one| one.series.labels.name() == "up" && one.samples[0].value == 1.0).count()
    };
    intake.until(|intake| polls(intake) >= 3).await;
    cancel.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn neighbours_are_read_from_lldp() {
    let mut agent = Agent::switch("deck-5", 1, 1);
    let text = |text: &str| Value::OctetString(text.as_bytes().to_vec().into());
    let remote = |column: u32| format!("1.0.8802.1.1.2.1.4.1.1.{column}.0.7.1");
    agent.set(&remote(4), Value::Integer(4));
    agent.set(&remote(5), Value::OctetString(vec![0, 0x1b, 0x21, 0x3c, 0x9d, 0xf8].into()));
    agent.set(&remote(6), Value::Integer(5));
    agent.set(&remote(7), text("Gi1/0/24"));
    agent.set(&remote(9), text("core"));
    agent.set("1.0.8802.1.1.2.1.3.7.1.2.7", Value::Integer(5));
    agent.set("1.0.8802.1.1.2.1.3.7.1.3.7", text("ge-0/0/1"));
    let server = Server::start(agent).await;
    let mut polled = Polled::new(server.device(false)).await;
    let series = polled.round().await;
    let name = r#"snmp_neighbour_info{chassis_id="00:1b:21:3c:9d:f8", local_port="ge-0/0/1", protocol="lldp", remote_name="core", remote_port="Gi1/0/24"}"#;
    assert_eq!((series.get(name), series["snmp_neighbours"]), (Some(&1.0), 1.0), "{series:?}");
}

#[test]
fn a_device_is_attributed_by_its_name_where_its_address_is_unknown() {
    let table = crate::AssetTable::new(&"bridge-pc".into(), ["deck-5"]);
    let sender = crate::Sender { claimed: Some("deck-5"), peer: None, declared: None };
    assert_eq!(table.look_up(&sender).asset.as_str(), "bridge-pc");
}
