use super::*;

#[path = "../../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_of_the_frame_target_are_answered() {
    replay::replay("intake_frame", frames);
}

#[test]
fn seeds_of_the_segment_target_are_answered() {
    replay::replay("intake_segment", segment);
}
