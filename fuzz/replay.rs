//! Replays a fuzz target's seeds in the test suite: each as it is, cut at every length, and with every byte changed.
//!
//! The tests of the crates that have targets include this file.

use std::path::Path;

/// Calls `entry` with every seed of `target` and with what is close to it; a defect shows as a panic.
pub fn replay(target: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut seeds = 0;
    for seed in std::fs::read_dir(&folder).unwrap() {
        let seed = std::fs::read(seed.unwrap().path()).unwrap();
        seeds += 1;
        entry(&seed);
        (0..seed.len()).for_each(|length| entry(&seed[..length]));
        for at in 0..seed.len() {
            let mut changed = seed.clone();
            changed[at] ^= 1 << (at % 8);
            entry(&changed);
        }
    }
    assert!(seeds > 0, "{} has no seeds", folder.display());
}
