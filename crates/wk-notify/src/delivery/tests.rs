use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use wk_store::state::{MessageFilter, MessageState, SpoolId};
use wk_types::Severity;

use super::*;
use crate::notifier::run_once;
use crate::notifier::tests::{NOW, fresh, open, settings};

/// What the server does with the next mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Take,
    Later,
    Never,
    /// Hangs up once the mail is there, without a reply.
    HangUp,
    /// Refuses at the greeting.
    Busy,
    /// Refuses the recipient for good.
    NoSuchUser,
    /// Wants to be signed in.
    SignIn,
}

/// A mail server on loopback that keeps what it took.
#[derive(Clone)]
struct Server {
    port: u16,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(moods: &[Mood]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self { port, moods: Arc::new(Mutex::new(moods.iter().copied().collect())), taken: Arc::default() };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mood = serving.moods.lock().unwrap().pop_front().unwrap_or(Mood::Take);
                let taken = Arc::clone(&serving.taken);
                // The client may be gone at any line, which ends the conversation.
                tokio::spawn(async move { drop(converse(stream, mood, &taken).await) });
            }
        });
        server
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn converse(stream: TcpStream, mood: Mood, taken: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if mood == Mood::Busy {
        return stream.write_all(b"421 too busy\r\n").await;
    }
    stream.write_all(b"220 relay\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let reply: &[u8] = match (verb.as_str(), mood) {
            ("EHLO", _) => b"250-relay\r\n250 8BITMIME\r\n",
            ("MAIL", Mood::SignIn) => b"530 5.7.0 authentication required\r\n",
            ("RCPT", Mood::NoSuchUser) => b"550 5.1.1 no such user\r\n",
            ("DATA", _) => {
                stream.write_all(b"354 go on\r\n").await?;
                let mail = read_mail(&mut stream).await?;
                match mood {
                    Mood::Later => b"451 4.3.0 try later\r\n",
                    Mood::Never => b"554 5.6.0 not this\r\n",
                    Mood::HangUp => return Ok(()),
                    _ => {
                        taken.lock().unwrap().push(mail);
                        b"250 2.0.0 Ok: queued as 4711\r\n"
                    }
                }
            }
            ("QUIT", _) => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        stream.write_all(reply).await?;
    }
}

async fn read_mail(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut mail = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(mail);
        }
        mail.push_str(&line);
    }
}

struct Bench {
    _dir: tempfile::TempDir,
    state: State,
    time: Arc<AtomicI64>,
    delivery: Arc<Delivery>,
    wake: Arc<Notify>,
}

fn bench(port: u16, mails: u64) -> Bench {
    let (dir, state) = fresh();
    for n in 1..=mails {
        open(&state, n, n, Severity::Major);
    }
    let smtp = format!("smtp://127.0.0.1:{port}").parse().unwrap();
    let settings = MailSettings { transport: Transport::Smtp(smtp), ..settings() };
    run_once(&state, &settings, NOW).unwrap();
    let time = Arc::new(AtomicI64::new(NOW.0));
    let (reading, wake) = (Arc::clone(&time), Arc::new(Notify::new()));
    let clock: Clock = Arc::new(move || UtcMs(reading.load(Ordering::SeqCst)));
    let delivery = Arc::new(Delivery::new(state.clone(), &settings, Arc::clone(&wake), clock).unwrap());
    Bench { _dir: dir, state, time, delivery, wake }
}

impl Bench {
    fn message(&self, id: i64) -> Message {
        let all = self.state.messages(&MessageFilter::default()).unwrap();
        all.into_iter().find(|message| message.id == SpoolId(id)).unwrap()
    }

    fn later(&self, seconds: i64) {
        self.time.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_mail_arrives_with_its_headers_and_the_reply_enters_ledger_and_journal() {
    let server = Server::start(&[]).await;
    let bench = bench(server.port, 1);
    let round = bench.delivery.deliver_due().await.unwrap();
    assert_eq!(round, Round { delivered: 1, ..Round::default() });
    let message = bench.message(1);
    assert_eq!((message.state, message.attempts), (MessageState::Delivered, 1));
    assert_eq!(message.receipt.as_deref(), Some("250 2.0.0 Ok: queued as 4711"));
    let mail = server.taken().remove(0);
    for header in [
        "From: Watchkeeper <watch@ship.example>",
        "To: eto@ship.example",
        "Subject: [Watchkeeper] MAJOR: the cpu of bridge-pc is busy",
        "Date: Mon, 24 Nov 2025 16:00:00 +0000",
        "Auto-Submitted: auto-generated",
        "X-Watchkeeper-Severity: major",
        "X-Watchkeeper-Incident: inc-0000000000000001",
        &format!("Message-ID: <{}>", message.message_id),
    ] {
        assert!(mail.contains(&format!("{header}\r\n")), "{header} in\n{mail}");
    }
    let last = bench.state.journal_after(2, 10).unwrap().pop().unwrap();
    assert_eq!(last.kind, "mail_delivered");
    assert_eq!(last.body["said"], "250 2.0.0 Ok: queued as 4711");
    assert!(!last.body.to_string().contains("eto@ship.example"), "no address in the journal: {}", last.body);
    let timeline = bench.state.incident(message.incident.as_ref().unwrap()).unwrap().unwrap().timeline;
    assert_eq!(timeline.last().unwrap().kind, "mail_delivered");
}

#[tokio::test]
async fn mail_waits_while_nothing_listens_and_goes_when_something_does() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let bench = bench(port, 3);
    let round = bench.delivery.deliver_due().await.unwrap();
    assert_eq!((round.waiting, round.delivered), (1, 0), "one try is enough to know");
    let paused = round.paused_until.unwrap();
    assert!(paused > NOW + DurationMs(7_000) && paused <= NOW + BACKOFF_FIRST, "{paused}");
    assert!(bench.message(1).error.unwrap().contains(&format!("127.0.0.1:{port}: ")));

    bench.later(10);
    let server = Server::start(&[]).await;
    let delivery = redirect(&bench, server.port);
    assert_eq!(delivery.deliver_due().await.unwrap().delivered, 3);
    assert_eq!(server.taken().len(), 3);
}

#[tokio::test]
async fn a_relay_that_was_away_for_hours_is_looked_for_every_minute() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let bench = bench(port, 1);
    let mut waited = Vec::new();
    for _ in 0..10 {
        let round = bench.delivery.deliver_due().await.unwrap();
        let now = UtcMs(bench.time.load(Ordering::SeqCst));
        waited.push(round.paused_until.unwrap().since(now).as_secs_f64());
        bench.later(60);
    }
    assert!(waited.iter().all(|seconds| *seconds <= 60.0), "{waited:?}");
    assert!(waited.last().unwrap() >= &45.0, "{waited:?}");
}

#[tokio::test]
async fn the_first_mail_that_goes_takes_along_all_that_wait() {
    let server = Server::start(&[Mood::Busy]).await;
    let bench = bench(server.port, 2);
    bench.delivery.deliver_due().await.unwrap();
    for id in [1, 2] {
        bench.state.message_failed(SpoolId(id), "no way out", Some(NOW + RETRY_WAIT_MAX), NOW).unwrap();
    }
    open(&bench.state, 3, 3, Severity::Major);
    run_once(&bench.state, &settings(), NOW).unwrap();
    assert_eq!(bench.delivery.deliver_due().await.unwrap().delivered, 3);
}

/// The same spool with another way out.
fn redirect(bench: &Bench, port: u16) -> Delivery {
    let smtp = format!("smtp://127.0.0.1:{port}").parse().unwrap();
    let settings = MailSettings { transport: Transport::Smtp(smtp), ..settings() };
    let reading = Arc::clone(&bench.time);
    let clock: Clock = Arc::new(move || UtcMs(reading.load(Ordering::SeqCst)));
    Delivery::new(bench.state.clone(), &settings, Arc::clone(&bench.wake), clock).unwrap()
}

#[tokio::test]
async fn temporary_refusals_are_tried_again_later_and_do_not_hold_up_others() {
    for mood in [Mood::Later, Mood::HangUp, Mood::SignIn] {
        let server = Server::start(&[mood]).await;
        let bench = bench(server.port, 2);
        let round = bench.delivery.deliver_due().await.unwrap();
        assert_eq!((round.delivered, round.waiting, round.dead), (1, 1, 0), "{mood:?}");
        let waiting = bench.message(1);
        assert_eq!((waiting.state, waiting.attempts), (MessageState::Queued, 1));
        assert!(waiting.error.is_some());
        assert_eq!(bench.delivery.deliver_due().await.unwrap(), Round::default(), "not before its time");
        bench.later(10);
        assert_eq!(bench.delivery.deliver_due().await.unwrap().delivered, 1);
        assert_eq!((bench.message(1).attempts, bench.message(1).error), (2, None));
    }
}

#[tokio::test]
async fn a_server_that_is_busy_at_the_greeting_is_left_alone_for_a_while() {
    let server = Server::start(&[Mood::Busy]).await;
    let bench = bench(server.port, 2);
    let round = bench.delivery.deliver_due().await.unwrap();
    assert_eq!((round.delivered, round.waiting), (0, 1));
    assert!(round.paused_until.is_some());
}

#[tokio::test]
async fn permanent_refusals_are_given_up_shown_and_can_be_tried_again_by_hand() {
    for mood in [Mood::Never, Mood::NoSuchUser] {
        let server = Server::start(&[mood]).await;
        let bench = bench(server.port, 2);
        let round = bench.delivery.deliver_due().await.unwrap();
        assert_eq!((round.delivered, round.dead), (1, 1), "{mood:?}");
        assert_eq!(bench.message(1).state, MessageState::Dead);
        assert!(bench.message(1).error.unwrap().contains("55"));
        let kinds: Vec<String> = bench.state.journal_after(4, 10).unwrap().into_iter().map(|e| e.kind).collect();
        assert_eq!(kinds, ["mail_dead", "mail_delivered"]);
        bench.state.requeue_message(SpoolId(1), NOW).unwrap();
        assert_eq!(bench.delivery.deliver_due().await.unwrap().delivered, 1);
    }
}

#[tokio::test]
async fn a_crash_before_the_note_sends_the_same_message_id_again() {
    let server = Server::start(&[]).await;
    let bench = bench(server.port, 1);
    let message = bench.message(1);
    // The server took it, the node died before it could write that down.
    assert!(matches!(bench.delivery.attempt(&message).await, Outcome::Delivered(_)));
    bench.delivery.deliver_due().await.unwrap();
    let mails = server.taken();
    assert_eq!(mails.len(), 2);
    assert_eq!(mails[0], mails[1], "byte for byte the same mail");
}

#[tokio::test]
async fn the_worker_wakes_for_new_mail_and_stops_when_told() {
    let server = Server::start(&[]).await;
    let bench = bench(server.port, 0);
    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (delivery, stop) = (Arc::clone(&bench.delivery), stop.clone());
        async move { delivery.run(stop).await }
    });
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    bench.state.on_journal(move |last| told.send(last).unwrap_or_default());
    open(&bench.state, 1, 1, Severity::Major);
    heard.recv().await.unwrap();
    run_once(&bench.state, &settings(), NOW).unwrap();
    bench.wake.notify_one();
    assert_eq!(heard.recv().await, Some(3), "the delivery is the journal's next entry");
    stop.cancel();
    worker.await.unwrap();
    assert_eq!(server.taken().len(), 1);
}

#[test]
fn waits_grow_to_a_quarter_of_an_hour_and_are_the_same_each_time() {
    let waits: Vec<i64> = (0..12).map(|attempts| backoff(attempts, RETRY_WAIT_MAX, "a@b").0).collect();
    assert!((7_500..=10_000).contains(&waits[0]), "{waits:?}");
    assert!(waits.windows(2).all(|pair| pair[0] <= pair[1]), "{waits:?}");
    assert!((675_000..=900_000).contains(waits.last().unwrap()), "{waits:?}");
    assert_eq!(backoff(3, RETRY_WAIT_MAX, "a@b"), backoff(3, RETRY_WAIT_MAX, "a@b"));
    assert!(
        (0..50)
            .map(|n| backoff(3, RETRY_WAIT_MAX, &format!("{n}@b")).0)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
            > 20
    );
}
