use super::*;

#[path = "../../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_of_the_fuzz_target_are_answered() {
    replay::replay("wire", batch);
}
