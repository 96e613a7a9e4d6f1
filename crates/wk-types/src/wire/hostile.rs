//! Entry points for bytes that were not written by us: whatever comes in is an error or records.
//!
//! Fuzz targets call these, and so does the test run with the targets' seeds.
#![allow(clippy::unwrap_used, reason = "a defect shows as a panic")]

use super::{Decoder, encode};

/// Takes `bytes` for a batch; what can be decoded is encoded and decoded to the same bytes again.
pub fn batch(bytes: &[u8]) {
    let mut decoder = Decoder::new();
    let Ok(records) = decoder.decode(bytes) else { return };
    let encoded = encode(&records);
    let again = decoder.decode(&encoded).unwrap();
    assert_eq!(again.len(), records.len());
    assert_eq!(encode(&again), encoded);
    assert_eq!(encode(&Decoder::new().decode(&encoded).unwrap()), encoded, "what was met before changes nothing");
}

#[cfg(test)]
mod tests;
