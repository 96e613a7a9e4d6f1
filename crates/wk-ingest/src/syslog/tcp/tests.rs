use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::contract::Refused;
use crate::delivery::TOO_LARGE;
use crate::syslog::{BATCH_MESSAGES_MAX, CUT, MESSAGE_BYTES_MAX, NOT_UTF8};
use crate::testing::{RecordingIntake, context};
use jiff::tz::TimeZone;
use wk_types::{AssetId, Severity};

struct Running {
    address: SocketAddr,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut SyslogSettings)) -> Running {
    let (context, intake) = context("syslog-tcp");
    let mut settings = SyslogSettings::new("127.0.0.1:0".parse().unwrap(), TimeZone::UTC);
    change(&mut settings);
    let listener = TcpSyslog::bind(settings, None).await.unwrap();
    let address = listener.local_address().unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(listener.run(context.clone(), cancel.clone()));
    Running { address, context, intake, cancel, task }
}

impl Running {
    async fn send(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn messages_arrive_attributed_with_their_severity_and_attributes() {
    let running = start(|_| {}).await;
    let first = "<27>1 2026-06-01T11:59:00Z bridge-pc gyro 41 ID1 [pos@1 deck=\"7\"] no signal";
    let second = "<13>Jun  1 11:59:30 galley-tv app[9]: hello\n";
    running.send(format!("{} {first}{second}", first.len()).as_bytes()).await;
    running.intake.until(|intake| intake.logs().len() == 2).await;
    let logs = running.intake.logs();
    assert_eq!((&logs[0].asset, &*logs[0].app, logs[0].severity), (&"bridge-pc".into(), "gyro", Severity::Major));
    assert_eq!(logs[0].time.to_string(), "2026-06-01T11:59:00.000Z");
    insta::assert_json_snapshot!([&logs[0].attributes, &logs[1].attributes], @r#"
    [
      {
        "facility": "daemon",
        "level": "err",
        "msgid": "ID1",
        "pid": "41",
        "sd.pos@1.deck": "7"
      },
      {
        "facility": "user",
        "host": "galley-tv",
        "level": "notice",
        "peer": "127.0.0.1",
        "pid": "9"
      }
    ]
    "#);
    assert_eq!(logs[1].asset, AssetId::unknown());
    running.end().await;
}

#[tokio::test]
async fn a_hundred_thousand_lines_all_arrive_in_order_in_large_records() {
    const LINES: usize = 100_000;
    let running = start(|_| {}).await;
    let stream: String = (0..LINES).map(|line| format!("<13>Jun  1 11:59:30 bridge-pc load: {line}\n")).collect();
    running.send(stream.as_bytes()).await;
    let stats = Arc::clone(&running.context.stats);
    running.intake.until(|_| stats.snapshot().received == LINES as u64).await;
    let intake = Arc::clone(&running.intake);
    running.end().await;
    let logs = intake.logs();
    assert_eq!(logs.len(), LINES);
    assert!(logs.iter().enumerate().all(|(line, log)| *log.message == *line.to_string()));
    assert!(intake.records().len() <= LINES / 200, "{} records", intake.records().len());
    assert!(intake.records().iter().all(|record| record.body.items() <= BATCH_MESSAGES_MAX));
    assert_eq!(stats.snapshot().accepted, LINES as u64);
}

#[tokio::test]
async fn a_busy_log_makes_the_sender_wait_and_loses_nothing() {
    let running = start(|_| {}).await;
    running.intake.set_busy(true);
    let line = format!("<13>bridge-pc: {}\n", "x".repeat(1_000));
    let lines = 20_000;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    let sending = tokio::spawn(async move {
        for _ in 0..lines {
            stream.write_all(line.as_bytes()).await.unwrap();
        }
    });
    running.intake.until(|intake| intake.offered() >= 4).await;
    assert!(!sending.is_finished(), "20 MB do not fit into buffers");
    assert!(running.context.stats.snapshot().received < lines / 2);
    running.intake.set_busy(false);
    sending.await.unwrap();
    running.intake.until(|intake| intake.logs().len() as u64 == lines).await;
    running.end().await;
}

#[tokio::test]
async fn a_record_that_is_too_large_does_not_stop_the_connection() {
    let running = start(|_| {}).await;
    running.intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    running.send(b"<13>large\n").await;
    running.intake.until(|intake| intake.offered() == 1).await;
    running.send(b"<13>small\n").await;
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let (context, intake) = (running.context.clone(), Arc::clone(&running.intake));
    running.end().await;
    let stats = context.stats.snapshot();
    assert_eq!((intake.offered(), stats.accepted, stats.rejected[TOO_LARGE].count), (2, 1, 1));
}

#[tokio::test]
async fn damaged_messages_are_kept_and_counted() {
    let running = start(|_| {}).await;
    let long = format!("<13>{}\n", "a".repeat(MESSAGE_BYTES_MAX));
    running.send(&[b"<13>caf\xe9\n", long.as_bytes(), b"30 <13>ends early"].concat()).await;
    running.intake.until(|intake| intake.logs().len() == 3).await;
    let flagged = running.context.stats.snapshot().flagged;
    assert_eq!((flagged[CUT].count, flagged[NOT_UTF8].count), (2, 1));
    assert_eq!(&*running.intake.logs()[0].message, "caf\u{fffd}");
    running.end().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_refused_and_counted() {
    let running = start(|settings| settings.connections_max = 1).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first.write_all(b"<13>held\n").await.unwrap();
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(second.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert_eq!(running.context.stats.snapshot().rejected["too many connections"].count, 1);
    running.end().await;
}

#[tokio::test]
async fn what_was_read_is_stored_when_the_source_ends() {
    let running = start(|_| {}).await;
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(b"<13>whole\n<13>partial").await.unwrap();
    let stats = Arc::clone(&running.context.stats);
    running.intake.until(|_| stats.snapshot().received >= 1).await;
    let intake = Arc::clone(&running.intake);
    running.end().await;
    assert_eq!(intake.logs().len(), 2);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let running = start(|_| {}).await;
    let settings = SyslogSettings::new(running.address, TimeZone::UTC);
    let Err(error) = TcpSyslog::bind(settings, None).await else { panic!("the port is in use") };
    assert_eq!(error.to_string(), format!("could not listen for syslog on tcp {}", running.address));
    assert_eq!(error.kind(), wk_types::ErrorKind::Conflict);
    running.end().await;
}

#[tokio::test]
async fn the_configured_asset_goes_before_the_name_in_the_message() {
    let running = start(|settings| settings.asset = Some("vsat".into())).await;
    running.send(b"<13>Jun  1 11:59:30 modem app: x\n").await;
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let log = &running.intake.logs()[0];
    assert_eq!((log.asset.as_str(), &*log.attributes["host"]), ("vsat", "modem"));
    running.end().await;
}
