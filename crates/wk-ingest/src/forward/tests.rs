use std::sync::Arc;

use rmp::encode;
use sha2::{Digest as _, Sha512};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::message::tests::{array, binary, map, message, seconds};
use super::msgpack::{Scanner, Token, next};
use super::*;
use crate::testing::{RecordingIntake, context};

struct Running {
    address: SocketAddr,
    context: SourceContext,
    intake: Arc<RecordingIntake>,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut ForwardSettings)) -> Running {
    let (context, intake) = context("forward");
    let mut settings = ForwardSettings::new("127.0.0.1:0".parse().unwrap(), "watch");
    change(&mut settings);
    let forward = Forward::bind(settings).await.unwrap();
    let address = forward.local_address().unwrap();
    let cancel = CancellationToken::new();
    let task = tokio::spawn(forward.run(context.clone(), cancel.clone()));
    Running { address, context, intake, cancel, task }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn end(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

/// One value as the server wrote it.
async fn answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while Scanner::default().end(&bytes).unwrap() != Some(bytes.len()) {
        bytes.push(stream.read_u8().await.unwrap());
    }
    bytes
}

fn chunk(text: &str) -> Vec<u8> {
    let entries = [array(&[seconds(1_780_315_199), map(&[("message", text), ("host", "bridge-pc")])])].concat();
    message("vsat.modem", &[binary(&entries), map(&[("chunk", "abc=")])])
}

#[tokio::test]
async fn a_chunk_is_acknowledged_once_it_is_on_disk() {
    let running = start(|_| {}).await;
    running.intake.hold();
    let mut stream = running.connect().await;
    stream.write_all(&chunk("rain fade")).await.unwrap();
    running.intake.until(|intake| intake.offered() == 1).await;
    let mut byte = [0];
    assert!(futures::poll!(Box::pin(stream.read(&mut byte))).is_pending());
    running.intake.release();
    assert_eq!(answer(&mut stream).await, b"\x81\xa3ack\xa4abc=");
    let log = running.intake.logs().remove(0);
    assert_eq!((&*log.app, &*log.message, log.asset.as_str()), ("vsat.modem", "rain fade", "bridge-pc"));
    assert_eq!((log.time.0, &*log.attributes["tag"]), (1_780_315_199_000, "vsat.modem"));
    drop(stream);
    running.end().await;
}

#[tokio::test]
async fn a_busy_log_makes_the_sender_wait_and_nothing_is_lost() {
    let running = start(|_| {}).await;
    running.intake.set_busy(true);
    let mut stream = running.connect().await;
    stream.write_all(&chunk("a")).await.unwrap();
    running.intake.until(|intake| intake.offered() >= 2).await;
    running.intake.set_busy(false);
    assert_eq!(answer(&mut stream).await, b"\x81\xa3ack\xa4abc=");
    let counted = running.context.stats.snapshot();
    assert_eq!((counted.accepted, counted.lost.len()), (1, 0));
    drop(stream);
    running.end().await;
}

#[tokio::test]
async fn what_is_not_stored_at_the_end_is_not_acknowledged() {
    let running = start(|_| {}).await;
    running.intake.set_busy(true);
    let mut stream = running.connect().await;
    stream.write_all(&chunk("a")).await.unwrap();
    running.intake.until(|intake| intake.offered() >= 1).await;
    running.cancel.cancel();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    running.task.await.unwrap();
}

#[tokio::test]
async fn messages_without_a_chunk_are_taken_in_order_however_they_are_cut() {
    let running = start(|_| {}).await;
    let mut stream = running.connect().await;
    let both = [
        message("t", &[seconds(1), map(&[("log", "a")])]),
        vec![0xc0],
        message("t", &[seconds(1), map(&[("log", "b")])]),
    ]
    .concat();
    for byte in both {
        stream.write_all(&[byte]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    running.intake.until(|intake| intake.logs().len() == 2).await;
    assert_eq!(running.intake.logs().iter().map(|log| &*log.message).collect::<Vec<_>>(), ["a", "b"]);
    running.end().await;
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_and_is_counted() {
    let running = start(|_| {}).await;
    for (bad, reason) in [
        (&b"GET / HTTP/1.1\r\n"[..], "message not taken"),
        (b"\xc1", "not MessagePack"),
        (b"\x93\xa1t", "connection ended within a message"),
    ] {
        let mut stream = running.connect().await;
        stream.write_all(bad).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(running.context.stats.snapshot().rejected[reason].count, 1, "{bad:?}");
    }
    running.end().await;
}

/// What a client answers to HELO, as Fluentd's out_forward works it out.
fn ping(helo: &[u8], key: &str) -> Vec<u8> {
    let mut rest = helo;
    assert_eq!(
        [next(&mut rest), next(&mut rest), next(&mut rest)],
        [Ok(Token::Array(2)), Ok(Token::Text(b"HELO")), Ok(Token::Map(3))]
    );
    assert_eq!(next(&mut rest), Ok(Token::Text(b"nonce")));
    let Ok(Token::Bytes(nonce)) = next(&mut rest) else { panic!("the nonce is bytes") };
    let digest = hex::encode(Sha512::digest([b"saltclient", nonce, key.as_bytes()].concat()));
    let mut bytes = Vec::new();
    encode::write_array_len(&mut bytes, 6).unwrap();
    for text in ["PING", "client", "salt", &digest, "", ""] {
        encode::write_str(&mut bytes, text).unwrap();
    }
    bytes
}

#[tokio::test]
async fn only_who_knows_the_shared_key_is_let_in() {
    let running = start(|settings| settings.shared_key = Some(SharedKey::new("deck 7"))).await;
    let mut stream = running.connect().await;
    let helo = answer(&mut stream).await;
    stream.write_all(&ping(&helo, "deck 7")).await.unwrap();
    let pong = answer(&mut stream).await;
    assert_eq!(&pong[..7], b"\x95\xa4PONG\xc3");
    stream.write_all(&chunk("in")).await.unwrap();
    assert_eq!(answer(&mut stream).await, b"\x81\xa3ack\xa4abc=");

    let mut stranger = running.connect().await;
    let helo = answer(&mut stranger).await;
    stranger.write_all(&[ping(&helo, "deck 8"), chunk("out")].concat()).await.unwrap();
    let mut said = Vec::new();
    let _ = stranger.read_to_end(&mut said).await;
    assert!(said.starts_with(b"\x95\xa4PONG\xc2"));
    assert_eq!(running.intake.logs().len(), 1);
    assert_eq!(running.context.stats.snapshot().rejected["shared key differs"].count, 1);
    drop(stream);
    running.end().await;
}
