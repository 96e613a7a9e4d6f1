use proptest::prelude::*;
use wk_types::{ErrorKind, Severity};

use super::super::tests::{NOW, fresh};
use super::*;

fn new(key: &str) -> NewMessage {
    NewMessage {
        key: key.to_owned(),
        recipient: "eto@ship.example".to_owned(),
        subject: "subject".to_owned(),
        body: "body".to_owned(),
        severity: Severity::Major,
        class: MessageClass::Alert,
        incident: Some(IncidentId::from("inc-1")),
        message_id: format!("{key}@vessel"),
        in_reply_to: None,
        supersedes: Vec::new(),
    }
}

fn batch(upto_entry: u64, keys: &[&str]) -> SpoolBatch {
    let messages = keys.iter().map(|key| new(key)).collect();
    SpoolBatch { reader: "notify".to_owned(), upto_entry, messages, untold: 2 }
}

fn states(state: &State) -> Vec<(String, MessageState)> {
    let mut all = state.messages(&MessageFilter::default()).unwrap();
    all.reverse();
    all.into_iter().map(|message| (message.key, message.state)).collect()
}

fn later(seconds: i64) -> UtcMs {
    NOW + DurationMs::from_secs(seconds)
}

#[test]
fn messages_and_cursor_move_together_and_only_once() {
    let (_dir, state) = fresh();
    assert_eq!(state.spool(&batch(5, &["a", "b"]), NOW).unwrap(), 2);
    assert_eq!(state.spool(&batch(5, &["c"]), NOW).unwrap(), 0, "these entries were read before");
    assert_eq!(state.spool(&batch(6, &["b", "d"]), NOW).unwrap(), 1);
    assert_eq!(state.cursor("notify").unwrap(), 6);
    let counts = state.spool_counts().unwrap();
    assert_eq!((counts.queued, counts.untold, counts.oldest_queued), (3, 4, Some(NOW)));
}

#[test]
fn a_failed_message_waits_until_its_time_and_a_delivered_one_is_done() {
    let (_dir, state) = fresh();
    state.spool(&batch(1, &["a"]), NOW).unwrap();
    let id = state.due_messages(NOW, 10).unwrap()[0].id;
    state.message_failed(id, "connection refused", Some(later(10)), NOW).unwrap();
    assert_eq!(state.due_messages(later(9), 10).unwrap(), []);
    assert_eq!(state.next_due().unwrap(), Some(later(10)));
    let message = state.due_messages(later(10), 10).unwrap().remove(0);
    assert_eq!((message.attempts, message.error.as_deref()), (1, Some("connection refused")));
    state.message_delivered(id, "250 eto@ship.example taken", later(10)).unwrap();
    assert_eq!(state.next_due().unwrap(), None);
    let done = state.messages(&MessageFilter { state: Some(MessageState::Delivered), ..Default::default() }).unwrap();
    assert_eq!((done[0].attempts, done[0].finished, done[0].error.clone()), (2, Some(later(10)), None));
    let entry = state.journal_after(0, 9).unwrap().remove(0);
    let person = state.person("eto@ship.example").unwrap();
    assert_eq!(entry.body["said"], format!("250 {person} taken"));
    assert_eq!(entry.body["recipient"], person.as_str());
}

#[test]
fn no_wait_outlasts_its_bound_even_when_the_clock_is_set_back() {
    let (_dir, state) = fresh();
    state.spool(&batch(1, &["a"]), NOW).unwrap();
    let id = state.due_messages(NOW, 10).unwrap()[0].id;
    state.message_failed(id, "no", Some(later(86_400)), NOW).unwrap();
    assert_eq!(state.next_due().unwrap(), Some(NOW + RETRY_WAIT_MAX));
    assert_eq!(state.due_messages(later(-86_400), 10).unwrap().len(), 1);
}

#[test]
fn a_dead_message_is_kept_shown_and_can_be_put_back() {
    let (_dir, state) = fresh();
    state.spool(&batch(1, &["a"]), NOW).unwrap();
    let id = state.due_messages(NOW, 10).unwrap()[0].id;
    state.message_failed(id, "550 no such user", None, NOW).unwrap();
    assert_eq!(states(&state), [("a".to_owned(), MessageState::Dead)]);
    assert_eq!(state.journal_after(0, 9).unwrap()[0].kind, "mail_dead");
    state.requeue_message(id, later(60)).unwrap();
    assert_eq!(state.requeue_message(id, NOW).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(state.due_messages(later(60), 10).unwrap().len(), 1);
    assert_eq!(state.message_delivered(SpoolId(99), "", NOW).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn only_what_still_waits_is_superseded() {
    let (_dir, state) = fresh();
    state.spool(&batch(1, &["a", "b"]), NOW).unwrap();
    let due = state.due_messages(NOW, 10).unwrap();
    state.message_delivered(due[0].id, "250", NOW).unwrap();
    let summary = NewMessage { supersedes: due.iter().map(|message| message.id).collect(), ..new("c") };
    state.spool(&SpoolBatch { messages: vec![summary], ..batch(2, &[]) }, NOW).unwrap();
    let of = |key: &str, state| (key.to_owned(), state);
    assert_eq!(
        states(&state),
        [of("a", MessageState::Delivered), of("b", MessageState::Superseded), of("c", MessageState::Queued)]
    );
    // The worker had it in its hands already: what was delivered is noted as delivered.
    state.message_delivered(due[1].id, "250", NOW).unwrap();
    assert_eq!(states(&state)[1].1, MessageState::Delivered);
}

#[test]
fn a_full_spool_moves_no_cursor() {
    let (_dir, state) = fresh();
    state
        .db()
        .write("test", |transaction| {
            for n in 0..QUEUED_MAX {
                enqueue(transaction, &new(&format!("m{n}")), NOW)?;
            }
            Ok(())
        })
        .unwrap();
    let full = state.spool(&batch(1, &["more"]), NOW).unwrap_err();
    assert!(matches!(full, StateError::SpoolFull { queued: QUEUED_MAX }), "{full:?}");
    assert!(full.is_retryable());
    assert_eq!(state.cursor("notify").unwrap(), 0);
    assert_eq!(state.spool(&batch(1, &[]), NOW).unwrap(), 0, "with nothing to tell reading goes on");
}

#[test]
fn bodies_are_bounded() {
    let (_dir, state) = fresh();
    let long = NewMessage { body: "x".repeat(MESSAGE_BYTES_MAX + 1), ..new("a") };
    let refused = state.spool(&SpoolBatch { messages: vec![long], ..batch(1, &[]) }, NOW).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}

#[test]
fn everything_that_waits_can_be_tried_at_once() {
    let (_dir, state) = fresh();
    state.spool(&batch(1, &["a", "b"]), NOW).unwrap();
    for message in state.due_messages(NOW, 10).unwrap() {
        state.message_failed(message.id, "no", Some(later(600)), NOW).unwrap();
    }
    assert_eq!(state.retry_queued_now(later(1)).unwrap(), 2);
    assert_eq!(state.due_messages(later(1), 10).unwrap().len(), 2);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize),
    Fail(usize),
    Kill(usize),
    Requeue(usize),
    Supersede(usize),
}

fn step() -> impl Strategy<Value = Step> {
    (0_usize..4, 0_usize..5).prop_map(|(at, what)| match what {
        0 => Step::Deliver(at),
        1 => Step::Fail(at),
        2 => Step::Kill(at),
        3 => Step::Requeue(at),
        _ => Step::Supersede(at),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens to messages, none vanishes, and one that was delivered stays so.
    #[test]
    fn no_message_vanishes_and_delivered_stays_delivered(steps in proptest::collection::vec(step(), 1..12)) {
        let (_dir, state) = fresh();
        state.spool(&batch(1, &["m0", "m1", "m2", "m3"]), NOW).unwrap();
        let ids: Vec<SpoolId> = state.due_messages(NOW, 10).unwrap().iter().map(|message| message.id).collect();
        let mut delivered = std::collections::BTreeSet::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Deliver(at) => {
                    state.message_delivered(ids[at], "250", NOW).unwrap();
                    delivered.insert(at);
                }
                Step::Fail(at) => state.message_failed(ids[at], "no", Some(later(10)), NOW).unwrap(),
                Step::Kill(at) => state.message_failed(ids[at], "never", None, NOW).unwrap(),
                Step::Requeue(at) => drop(state.requeue_message(ids[at], NOW)),
                Step::Supersede(at) => {
                    let summary = NewMessage { supersedes: vec![ids[at]], ..new(&format!("s{n}")) };
                    state.spool(&SpoolBatch { messages: vec![summary], ..batch(n as u64 + 2, &[]) }, NOW).unwrap();
                }
            }
        }
        let states = states(&state);
        for (at, (key, message)) in states.iter().take(4).enumerate() {
            prop_assert_eq!(key, &format!("m{at}"));
            prop_assert_eq!(delivered.contains(&at), *message == MessageState::Delivered);
        }
    }
}
