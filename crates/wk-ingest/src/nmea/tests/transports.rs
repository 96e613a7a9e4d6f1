//! Real sockets and a real pseudo-terminal; each asserts that nothing is sent to the talker.

use std::net::SocketAddr;
use std::sync::Arc;

use super::*;
use crate::contract::SourceContext;
use crate::nmea::stream::StreamFrom;
use crate::nmea::udp::{UdpNmea, UdpSettings};

const SENTENCE: &str = "$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n";

fn settings() -> NmeaSettings {
    NmeaSettings { resolution: Duration::from_millis(50), ..NmeaSettings::new("bridge") }
}

fn has_speed(intake: &RecordingIntake) -> bool {
    series_text(&intake.series()).contains("vessel_speed_over_ground_knots")
}

fn udp(listen: SocketAddr) -> UdpSettings {
    UdpSettings {
        listen: vec![listen],
        interface: Some("127.0.0.1".parse().unwrap()),
        allow_networks: Vec::new(),
        nmea: settings(),
    }
}

struct Running {
    context: SourceContext,
    intake: Arc<RecordingIntake>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start<F: Future<Output = ()> + Send + 'static>(run: impl FnOnce(SourceContext, CancellationToken) -> F) -> Self {
        let (context, intake) = context("nmea-bridge");
        let cancel = CancellationToken::new();
        let task = tokio::spawn(run(context.clone(), cancel.clone()));
        Self { context, intake, cancel, task }
    }

    async fn end(self) -> crate::stats::SourceSnapshot {
        self.cancel.cancel();
        self.task.await.unwrap();
        self.context.stats.snapshot()
    }
}

#[tokio::test]
async fn datagrams_are_received_and_never_answered() {
    let source = UdpNmea::bind(udp("127.0.0.1:0".parse().unwrap())).unwrap();
    let address = source.local_addresses().unwrap()[0];
    let running = Running::start(|context, cancel| source.run(context, cancel));
    let talker = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let datagram = format!("UdPbC\0{}\r\n{SENTENCE}", tagged("s:GP0001,n:1", &sealed("HEHDT,1.0,T")));
    talker.send_to(datagram.as_bytes(), address).await.unwrap();
    talker.send_to(b"RaUdP\0\x01\x02", address).await.unwrap();
    running.intake.until(has_speed).await;
    let mut answer = [0; 64];
    assert!(talker.try_recv(&mut answer).is_err());
    let stats = running.end().await;
    assert!(talker.try_recv(&mut answer).is_err());
    assert_eq!(stats.rejected["part of a binary file"].count, 1);
}

#[tokio::test]
async fn multicast_groups_are_joined_where_the_machine_has_multicast() {
    let group: SocketAddr = "239.192.0.4:0".parse().unwrap();
    let source = UdpNmea::bind(udp(group)).unwrap();
    let port = source.local_addresses().unwrap()[0].port();
    let running = Running::start(|context, cancel| source.run(context, cancel));
    let talker = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    rustix::net::sockopt::set_ip_multicast_if(&talker, &std::net::Ipv4Addr::LOCALHOST).unwrap();
    let heard = async {
        while !has_speed(&running.intake) {
            if running.context.stats.snapshot().flagged.contains_key("multicast group not joined") {
                return false;
            }
            let _ = talker.send_to(format!("UdPbC\0{SENTENCE}").as_bytes(), ("239.192.0.4", port)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    };
    // A namespace whose loopback cannot do multicast refuses to join; that this is told is what is shown then.
    let joined = tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap();
    let stats = running.end().await;
    assert!(joined || stats.flagged["multicast group not joined"].example.contains("239.192.0.4"));
}

#[tokio::test]
async fn a_tcp_stream_is_read_and_opened_again_and_nothing_is_sent() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let from = StreamFrom::Tcp(server.local_addr().unwrap().to_string());
    let running = Running::start(|context, cancel| stream::run(settings(), from, context, cancel));
    let (mut first, _) = server.accept().await.unwrap();
    first.write_all(b"half a line without its e").await.unwrap();
    drop(first);
    let (mut second, _) = server.accept().await.unwrap();
    second.write_all(SENTENCE.as_bytes()).await.unwrap();
    running.intake.until(has_speed).await;
    let stats = running.end().await;
    let mut sent = Vec::new();
    second.read_to_end(&mut sent).await.unwrap();
    assert_eq!((sent.len(), stats.flagged["connection failed"].count), (0, 1));
}

#[tokio::test]
async fn a_serial_line_is_read_and_cannot_be_written() {
    let master = rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let name = rustix::pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let from = StreamFrom::Serial { path: name.clone().into(), baud: 9_600 };
    let running = Running::start(|context, cancel| stream::run(settings(), from, context, cancel));
    // What is written before the line is raw would be echoed, so the talker begins once it is; a pseudo-terminal begins
    // with another speed.
    let opened = async {
        while rustix::termios::tcgetattr(&master).unwrap().output_speed() != 9_600 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), opened).await.unwrap();
    rustix::io::write(&master, SENTENCE.as_bytes()).unwrap();
    running.intake.until(has_speed).await;
    let mut echo = [0; 16];
    rustix::io::ioctl_fionbio(&master, true).unwrap();
    assert!(rustix::io::read(&master, &mut echo).is_err(), "nothing was sent to the talker");
    running.end().await;
}
