//! Power cuts at random moments, failing syncs, full disks: nothing acknowledged may be lost.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;

/// What a ship that crashes again and again remembers.
#[derive(Default)]
struct Truth {
    acknowledged: BTreeMap<Seq, String>,
    /// Every record ever handed in, acknowledged or not.
    submitted: Vec<String>,
    /// The reader's own durable cursor.
    cursor: Seq,
    highest: Seq,
}

fn faults(dice: &mut Dice) -> Faults {
    Faults {
        sync_errors_per_mille: if dice.chance(300) { dice.below(200) } else { 0 },
        leftovers: dice.chance(500),
        bytes_max: dice.chance(100).then(|| 20_000 + dice.below(50_000)),
        power_off_after: Some(dice.below(60)),
    }
}

fn crash_options() -> IntakeOptions {
    IntakeOptions { segment_bytes_max: 1_500, read_bytes_max: 0, batch_bytes_max: 1_200, ..options() }
}

/// One life of a node: start, check, write until the power goes off.
fn live(io: &CrashIo, dice: &mut Dice, truth: &mut Truth, label: &str) {
    let (log, report) = open(io, crash_options());
    log.register_reader("reader", truth.cursor);
    for damage in &report.damage {
        if let Some((first, last)) = damage.records {
            let lost: Vec<_> = truth.acknowledged.range(first..=last).collect();
            assert!(lost.is_empty(), "{label}: {damage:?} names acknowledged records {lost:?}");
        }
    }
    check(&log, truth, label);
    io.set_faults(faults(dice));
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    while !io.is_off() {
        submit_some(&log, dice, truth, &acknowledged);
        let mut durable = None;
        if dice.chance(200) {
            let cursor = Seq(truth.cursor.0 + dice.below(log.durable().0 - truth.cursor.0 + 1));
            log.advance("reader", cursor);
            durable = Some(cursor);
        }
        truth.cursor = durable.unwrap_or(truth.cursor);
    }
    log.close();
    for (seq, text) in acknowledged.lock().unwrap().drain(..) {
        assert!(seq > truth.highest, "{label}: {seq} was given out twice");
        truth.acknowledged.insert(seq, text);
    }
    truth.highest = truth.acknowledged.keys().last().copied().unwrap_or_default();
}

fn submit_some(log: &IntakeLog, dice: &mut Dice, truth: &mut Truth, acknowledged: &Arc<Mutex<Vec<(Seq, String)>>>) {
    let (answered, answers) = mpsc::channel::<()>();
    for _ in 0..=dice.below(6) {
        let length = dice.below(400) as usize;
        let text = format!("{} {}", truth.submitted.len(), noise(dice, length));
        truth.submitted.push(text.clone());
        let (acknowledged, answered) = (Arc::clone(acknowledged), answered.clone());
        let done = move |written: Result<Seq, IntakeError>| {
            if let Ok(seq) = written {
                acknowledged.lock().unwrap().push((seq, text));
            }
            answered.send(()).unwrap();
        };
        let record = record(truth.submitted.last().unwrap());
        log.submit(record, done).unwrap();
    }
    drop(answered);
    answers.iter().for_each(drop);
}

/// Everything acknowledged and not freed is there, once, as it was; nothing is there that was never handed in.
fn check(log: &IntakeLog, truth: &Truth, label: &str) {
    let (records, damage) = read_all(log, truth.cursor);
    let found: BTreeMap<Seq, &str> = records.iter().map(|record| (record.seq, text_of(record))).collect();
    assert!(records.is_sorted_by(|a, b| a.seq < b.seq), "{label}: seqs ascend");
    for (seq, text) in truth.acknowledged.range(truth.cursor.next()..) {
        assert_eq!(found.get(seq).copied(), Some(text.as_str()), "{label}: {seq} was acknowledged; {damage:?}");
    }
    for (seq, text) in &found {
        let number: usize = text.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(*text, truth.submitted[number], "{label}: {seq}");
    }
}

#[test]
fn two_hundred_power_cuts_lose_nothing_acknowledged() {
    let (mut total, mut starts) = (0, 0);
    for seed in 0..8 {
        let mut dice = Dice::new(seed);
        let mut io = CrashIo::new(seed);
        let mut truth = Truth::default();
        for round in 0..25 {
            live(&io, &mut dice, &mut truth, &format!("seed {seed} round {round}"));
            io = io.restart();
            starts += 1;
        }
        let (log, _) = open(&io, crash_options());
        check(&log, &truth, &format!("seed {seed} at last"));
        total += truth.acknowledged.len();
    }
    println!("{starts} power cuts, {total} acknowledged records, none lost");
    assert!(total > 1_000, "the rounds must write something, not {total} records");
}

#[test]
fn a_power_cut_at_any_operation_of_a_start_is_survived() {
    for cut in 0..40 {
        let io = CrashIo::new(cut);
        let (log, _) = open(&io, small_segments());
        let last = fill_segments(&log, 3);
        io.power_off();
        let io = io.restart();
        io.set_faults(Faults { power_off_after: Some(cut), leftovers: cut % 2 == 1, ..Faults::default() });
        if let Ok((log, _)) = IntakeLog::open(Arc::new(io.clone()), dir(), small_segments()) {
            let _ = log.append(record("may fail"));
        }
        let (log, report) = open(&io.restart(), small_segments());
        let (records, damage) = read_all(&log, Seq(0));
        let acknowledged = |damage: &Damage| damage.records.is_some_and(|(first, _)| first <= last);
        assert!(!damage.iter().chain(&report.damage).any(acknowledged), "{damage:?} {report:?}");
        assert_eq!(records.iter().filter(|record| record.seq <= last).count() as u64, last.0);
    }
}
