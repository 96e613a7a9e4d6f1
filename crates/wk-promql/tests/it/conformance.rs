//! Prometheus' own test scripts, from recorded data.

use std::path::PathBuf;

use crate::script::{self, Names};
use crate::skip::skip;

/// The scripts: how many evaluations each has, how many of them fail because they are about native histograms (see
/// `script::run` for the rule), and how many hold only where metric names are removed at the end, as these scripts
/// assume throughout. Everything else passes, with names removed at the end and, as we do by default, at once.
const SCRIPTS: [(&str, usize, usize, usize); 21] = [
    ("aggregators", 160, 34, 0),
    ("at_modifier", 78, 0, 0),
    ("collision", 2, 0, 0),
    ("duration_expression", 59, 0, 0),
    ("extended_vectors", 169, 46, 0),
    ("fill-modifier", 46, 0, 0),
    ("functions", 431, 51, 0),
    ("histograms", 185, 92, 0),
    ("info", 53, 1, 0),
    ("limit", 37, 22, 0),
    ("literals", 25, 0, 0),
    ("name_label_dropping", 30, 0, 8),
    ("native_histograms", 522, 519, 0),
    ("operators", 214, 69, 0),
    ("range_queries", 18, 1, 0),
    ("selectors", 31, 0, 0),
    ("staleness", 17, 0, 0),
    ("start_timestamps", 26, 9, 0),
    ("subquery", 34, 2, 0),
    ("trig_functions", 19, 0, 0),
    ("type_and_unit", 58, 0, 4),
];

#[test]
fn prometheus_own_scripts_pass_but_for_native_histograms() {
    let Some(root) = std::env::var_os("WATCHKEEPER_DATA").map(PathBuf::from) else {
        return skip("prometheus_own_scripts_pass", "WATCHKEEPER_DATA is not set");
    };
    let mut wrong = Vec::new();
    for (name, cases, native_max, at_end_only) in SCRIPTS {
        let path = root.join("promqltest").join(format!("{name}.test"));
        let Ok(text) = std::fs::read_to_string(&path) else {
            skip("prometheus_own_scripts_pass", &format!("cannot read {}", path.display()));
            continue;
        };
        for (names, failed_max) in [(Names::Delayed, 0), (Names::AtOnce, at_end_only)] {
            let outcome = script::run(&text, names);
            let (passed, native, failed) = (outcome.passed, outcome.native, outcome.failed.len());
            let total = passed + native + failed;
            println!("{name:20} {names:8?} {passed:4} of {total:4} pass, {native:3} native, {failed:3} fail");
            for (line, why) in outcome.failed.iter().filter(|_| failed_max == 0) {
                println!("    {names:?} {name}.test:{line}: {why}");
            }
            if failed > failed_max || native > native_max || total != cases {
                wrong.push(format!("{name} {names:?}: {passed} of {total} pass, {native} native, {failed} fail"));
            }
        }
    }
    assert!(wrong.is_empty(), "evaluations fail, more are about native histograms, or the scripts changed: {wrong:#?}");
}
