//! Prometheus' own test scripts, from recorded data.

use std::path::PathBuf;

use crate::script::{self, Names};

/// How many evaluations of each file pass at least, with names removed at the end (as the scripts assume) and at once
/// (as we do by default), of how many there are. What is missing needs native histograms,
/// start timestamps, `info()`, modifiers and functions that are experimental in Prometheus, or duration expressions.
const FLOORS: [(&str, [usize; 2], usize); 21] = [
    ("aggregators", [153, 153], 160),
    ("at_modifier", [77, 77], 78),
    ("collision", [2, 2], 2),
    ("duration_expression", [8, 8], 59),
    ("extended_vectors", [38, 38], 169),
    ("fill-modifier", [1, 1], 46),
    ("functions", [313, 313], 431),
    ("histograms", [58, 58], 185),
    ("info", [2, 2], 53),
    ("limit", [0, 0], 37),
    ("literals", [25, 25], 25),
    ("name_label_dropping", [30, 22], 30),
    ("native_histograms", [14, 14], 522),
    ("operators", [207, 207], 214),
    ("range_queries", [15, 15], 18),
    ("selectors", [31, 31], 31),
    ("staleness", [17, 17], 17),
    ("start_timestamps", [3, 3], 26),
    ("subquery", [32, 32], 34),
    ("trig_functions", [19, 19], 19),
    ("type_and_unit", [43, 43], 58),
];

#[test]
fn prometheus_own_scripts_pass_at_least_as_often_as_before() {
    let Some(root) = std::env::var_os("WATCHKEEPER_DATA").map(PathBuf::from) else {
        assert!(std::env::var_os("WATCHKEEPER_REQUIRE_DATA").is_none(), "WATCHKEEPER_DATA is not set");
        println!("skipped: WATCHKEEPER_DATA is not set, Prometheus' test scripts are not at hand");
        return;
    };
    let mut fallen = Vec::new();
    for (name, floors, cases) in FLOORS {
        let path = root.join("promqltest").join(format!("{name}.test"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert!(std::env::var_os("WATCHKEEPER_REQUIRE_DATA").is_none(), "cannot read {}", path.display());
            println!("skipped: cannot read {}", path.display());
            continue;
        };
        for (names, floor) in [Names::Delayed, Names::AtOnce].into_iter().zip(floors) {
            let outcome = script::run(&text, names);
            let total = outcome.passed + outcome.failed.len();
            println!("{name:24} {names:?} {:4} of {total:4} pass (floor {floor})", outcome.passed);
            for (line, why) in &outcome.failed {
                println!("    {names:?} {name}.test:{line}: {why}");
            }
            if outcome.passed < floor || total != cases {
                fallen.push(format!("{name} {names:?}: {} of {total}, floor {floor} of {cases}", outcome.passed));
            }
        }
    }
    assert!(fallen.is_empty(), "fewer cases pass than before, or the scripts changed: {fallen:#?}");
}
