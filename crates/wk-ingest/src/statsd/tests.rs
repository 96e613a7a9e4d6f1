use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::*;
use crate::testing::{context, series_text};

#[tokio::test]
async fn values_over_udp_and_tcp_are_gathered_and_written_down_at_the_end() {
    let (context, intake) = context("statsd");
    let mut settings = StatsdSettings::new("127.0.0.1:0".parse().unwrap());
    settings.interval = Duration::from_secs(3_600);
    let statsd = Statsd::bind(settings).await.unwrap();
    let address = statsd.local_address().unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(statsd.run(context.clone(), cancel.clone()));

    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(b"errors:1|c\nerrors:2|c\nnonsense\n", address).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"errors:4|c\nfuel:").await.unwrap();
    stream.write_all(b"7|g").await.unwrap();
    stream.shutdown().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while context.stats.snapshot().received < 5 {
        assert!(Instant::now() < deadline, "every line is read in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cancel.cancel();
    task.await.unwrap();
    insta::assert_snapshot!(series_text(&intake.series()), @r#"
    errors{instance="127.0.0.1", job="statsd"} 7@0
    fuel{instance="127.0.0.1", job="statsd"} 7@0
    "#);
    assert_eq!(context.stats.snapshot().rejected["no value"].count, 1);
}

#[tokio::test]
async fn a_line_without_an_end_ends_its_connection() {
    let (context, _) = context("statsd");
    let statsd = Statsd::bind(StatsdSettings::new("127.0.0.1:0".parse().unwrap())).await.unwrap();
    let address = statsd.local_address().unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(statsd.run(context.clone(), cancel.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(&vec![b'x'; 4 * LINE_BYTES_MAX]).await;
    let mut end = Vec::new();
    let _ = stream.read_to_end(&mut end).await;
    assert_eq!(context.stats.snapshot().rejected["line over 8 KiB"].count, 1);
    cancel.cancel();
    task.await.unwrap();
}
