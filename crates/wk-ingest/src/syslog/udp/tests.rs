use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::delivery::TOO_LARGE;
use crate::testing::{RecordingIntake, context};

struct Running {
    sender: UdpSocket,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start() -> Running {
    let (context, intake) = context("syslog-udp");
    let settings = SyslogSettings::new("127.0.0.1:0".parse().unwrap(), TimeZone::UTC);
    let source = UdpSyslog::bind(settings).await.unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.connect(source.local_address().unwrap()).await.unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(source.run(context.clone(), cancel.clone()));
    Running { sender, context, intake, cancel, task }
}

impl Running {
    async fn end(self) -> crate::stats::SourceSnapshot {
        self.cancel.cancel();
        self.task.await.unwrap();
        self.context.stats.snapshot()
    }
}

#[tokio::test]
async fn datagrams_become_messages() {
    let running = start().await;
    for message in ["<11>Jun  1 11:59:30 bridge-pc gps[3]: no fix\n", "<13>two\nlines\0"] {
        running.sender.send(message.as_bytes()).await.unwrap();
    }
    running.intake.until(|intake| intake.logs().len() == 2).await;
    let logs = running.intake.logs();
    assert_eq!((&*logs[0].app, &*logs[0].message), ("gps", "no fix"));
    assert_eq!(&*logs[1].message, "two\nlines");
    let stats = running.end().await;
    assert_eq!((stats.received, stats.accepted), (2, 2));
}

#[tokio::test]
async fn what_a_busy_log_does_not_take_is_counted_as_lost() {
    let running = start().await;
    running.intake.set_busy(true);
    running.sender.send(b"<13>lost").await.unwrap();
    running.intake.until(|intake| intake.offered() == 1).await;
    running.intake.set_busy(false);
    running.sender.send(b"<13>kept").await.unwrap();
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let stats = running.end().await;
    assert_eq!((stats.received, stats.accepted, stats.lost["intake busy"].count), (2, 1, 1));
}

#[tokio::test]
async fn receiving_goes_on_while_the_log_does_not_answer() {
    let running = start().await;
    running.intake.hold();
    for batch in 0..3 {
        running.sender.send(format!("<13>{batch}").as_bytes()).await.unwrap();
        running.intake.until(|intake| intake.records().len() == batch + 1).await;
    }
    running.intake.release();
    assert_eq!(running.end().await.accepted, 3);
}

#[tokio::test]
async fn records_that_fail_on_their_way_are_counted_as_lost() {
    let running = start().await;
    running.intake.fail_next([Refused::Failed { reason: "disk".to_owned() }]);
    running.sender.send(b"<13>x").await.unwrap();
    running.intake.until(|intake| intake.offered() == 1).await;
    assert_eq!(running.end().await.lost["intake failed"].count, 1);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_rejected_and_receiving_goes_on() {
    let running = start().await;
    running.intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    running.sender.send(b"<13>large").await.unwrap();
    running.intake.until(|intake| intake.offered() == 1).await;
    running.sender.send(b"<13>small").await.unwrap();
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let stats = running.end().await;
    assert_eq!((stats.accepted, stats.rejected[TOO_LARGE].count, stats.lost.len()), (1, 1, 0));
}

#[tokio::test]
async fn empty_datagrams_are_rejected() {
    let running = start().await;
    running.sender.send(b"\n\0").await.unwrap();
    running.sender.send(b"<13>x").await.unwrap();
    running.intake.until(|intake| intake.logs().len() == 1).await;
    assert_eq!(running.end().await.rejected["empty datagram"].count, 1);
}
