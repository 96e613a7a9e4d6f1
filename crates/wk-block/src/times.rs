//! Time vectors: first time, first step, then how each step differs from the one before.

use crate::bytes::{Cursor, put_signed};
use crate::error::BlockError;

const NAME: &str = "times";

/// The stored form of ascending `times`, counted from `base`; equal vectors have equal forms.
pub(crate) fn encode_times(times: impl Iterator<Item = i64>, base: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut previous, mut step) = (base, 0_i64);
    for (position, time) in times.enumerate() {
        let next_step = time.wrapping_sub(previous);
        put_signed(&mut out, if position < 2 { next_step } else { next_step.wrapping_sub(step) });
        (previous, step) = (time, next_step);
    }
    out
}

/// Undoes [`encode_times`] for `count` times.
pub(crate) fn decode_times(bytes: &[u8], count: usize, base: i64) -> Result<Vec<i64>, BlockError> {
    if count > bytes.len() {
        return Err(BlockError::corrupt(NAME, "a vector counts more times than it has bytes"));
    }
    let mut cursor = Cursor::new(bytes, NAME);
    let mut times = Vec::with_capacity(count);
    let (mut previous, mut step) = (base, 0_i64);
    for position in 0..count {
        let stored = cursor.signed()?;
        step = if position < 2 { stored } else { step.wrapping_add(stored) };
        let time = previous.wrapping_add(step);
        if position > 0 && time <= previous {
            return Err(BlockError::corrupt(NAME, "times do not ascend"));
        }
        times.push(time);
        previous = time;
    }
    cursor.finish()?;
    Ok(times)
}
