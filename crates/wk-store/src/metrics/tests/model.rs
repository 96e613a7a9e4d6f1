//! Random histories against a plain map.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<(usize, Vec<(i64, u8)>)>),
    Again(usize),
    Flush,
    Maintain(i64),
    Restart,
    PowerCut(usize),
    Query(i64, i64),
}

const NAMES: [&str; 4] = ["a", "b@two", "c", "c@three"];

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![(0_i64..40).prop_map(|step| START + step * 5 * MINUTE), START..START + 4 * HOUR]
}

fn step() -> impl Strategy<Value = Step> {
    let samples = prop::collection::vec((time(), 0_u8..4), 1..8);
    prop_oneof![
        6 => prop::collection::vec((0..NAMES.len(), samples), 0..4).prop_map(Step::Append),
        1 => any::<usize>().prop_map(Step::Again),
        2 => Just(Step::Flush),
        2 => (0_i64..20).prop_map(|minutes| Step::Maintain(minutes * MINUTE)),
        1 => Just(Step::Restart),
        1 => (0_usize..12).prop_map(Step::PowerCut),
        2 => (time(), time()).prop_map(|(from, to)| Step::Query(from, to)),
    ]
}

fn value(kind: u8) -> f64 {
    [1.5, 2.0, f64::NAN, f64::from_bits(wk_types::series::STALE_NAN_BITS)][usize::from(kind)]
}

fn take(ship: &mut Ship, now: &mut i64, step: Step) {
    let received = START + 5 * HOUR;
    match step {
        Step::Append(record) => {
            let of = |samples: Vec<(i64, u8)>| samples.into_iter().map(|(time, kind)| (time, value(kind))).collect();
            ship.append(received, record.into_iter().map(|(name, samples)| (NAMES[name], of(samples))).collect());
        }
        Step::Again(which) if !ship.records.is_empty() => {
            let record = ship.records[which % ship.records.len()].1.clone();
            ship.append(received, record);
        }
        Step::Again(_) => {}
        Step::Flush => ship.store.flush().unwrap(),
        Step::Maintain(later) => {
            *now += later;
            ship.store.maintain(UtcMs(*now)).unwrap();
        }
        Step::Restart => drop(ship.reopen(ship.disk.clone())),
        Step::PowerCut(operations) => {
            ship.disk.cut_after(operations);
            drop(ship.store.flush());
            drop(ship.store.maintain(UtcMs(*now)));
            ship.reopen(ship.disk.after_cut());
        }
        Step::Query(from, to) => ship.check(from, to),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_history_answers_as_a_plain_map_would(steps in prop::collection::vec(step(), 1..40)) {
        let mut ship = Ship::new(MetricOptions { block_span: DurationMs::from_hours(1), ..MetricOptions::default() });
        let mut now = START;
        for step in steps {
            take(&mut ship, &mut now, step);
        }
        ship.check_all();
        let cursor = ship.store.cursor();
        ship.store.flush().unwrap();
        prop_assert!(ship.store.cursor() >= cursor);
        prop_assert_eq!(ship.store.cursor(), Seq(ship.records.len() as u64));
        ship.reopen(ship.disk.after_cut());
        ship.check_all();
    }
}
