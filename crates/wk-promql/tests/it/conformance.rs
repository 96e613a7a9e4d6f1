//! Prometheus' own test scripts, from recorded data.

use std::path::PathBuf;

use crate::script::{self, Names};

/// The scripts, how many evaluations each has, and how many of them may fail because they are about native histograms.
/// Everything else passes, with metric names removed at the end (as the scripts assume) and at once (as we do by
/// default).
const SCRIPTS: [(&str, usize, [usize; 2]); 21] = [
    ("aggregators", 160, [7, 7]),
    ("at_modifier", 78, [0, 0]),
    ("collision", 2, [0, 0]),
    ("duration_expression", 59, [0, 0]),
    ("extended_vectors", 169, [0, 0]),
    ("fill-modifier", 46, [0, 0]),
    ("functions", 431, [0, 0]),
    ("histograms", 185, [0, 0]),
    ("info", 53, [0, 0]),
    ("limit", 37, [0, 0]),
    ("literals", 25, [0, 0]),
    ("name_label_dropping", 30, [0, 0]),
    ("native_histograms", 522, [0, 0]),
    ("operators", 214, [0, 0]),
    ("range_queries", 18, [0, 0]),
    ("selectors", 31, [0, 0]),
    ("staleness", 17, [0, 0]),
    ("start_timestamps", 26, [0, 0]),
    ("subquery", 34, [0, 0]),
    ("trig_functions", 19, [0, 0]),
    ("type_and_unit", 58, [0, 0]),
];

#[test]
fn prometheus_own_scripts_pass_but_for_native_histograms() {
    let Some(root) = std::env::var_os("WATCHKEEPER_DATA").map(PathBuf::from) else {
        assert!(std::env::var_os("WATCHKEEPER_REQUIRE_DATA").is_none(), "WATCHKEEPER_DATA is not set");
        println!("skipped: WATCHKEEPER_DATA is not set, Prometheus' test scripts are not at hand");
        return;
    };
    let mut wrong = Vec::new();
    for (name, cases, natives) in SCRIPTS {
        let path = root.join("promqltest").join(format!("{name}.test"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            assert!(std::env::var_os("WATCHKEEPER_REQUIRE_DATA").is_none(), "cannot read {}", path.display());
            println!("skipped: cannot read {}", path.display());
            continue;
        };
        for (names, native) in [Names::Delayed, Names::AtOnce].into_iter().zip(natives) {
            let outcome = script::run(&text, names);
            let total = outcome.passed + outcome.native + outcome.failed.len();
            let (passed, told_apart, failed) = (outcome.passed, outcome.native, outcome.failed.len());
            println!("{name:20} {names:8?} {passed:4} of {total:4} pass, {told_apart:3} native, {failed:3} fail");
            for (line, why) in &outcome.failed {
                println!("    {names:?} {name}.test:{line}: {why}");
            }
            if failed > 0 || told_apart > native || total != cases {
                wrong.push(format!("{name} {names:?}: {passed} of {total} (of {cases}), native {told_apart} ({native})"));
            }
        }
    }
    assert!(wrong.is_empty(), "evaluations fail, more are about native histograms, or the scripts changed: {wrong:#?}");
}
