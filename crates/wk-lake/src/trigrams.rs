//! A filter of three-byte runs per row group, so that a substring search opens only groups that may hold the text.
//!
//! It also holds the group's asset and app names. It may say "perhaps" wrongly, never "no" wrongly.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Texts shorter than this cannot be looked up.
pub(crate) const RUN_BYTES: usize = 3;

const RUNS: usize = 1 << (8 * RUN_BYTES);
/// With two probes a run, ten bits each give about 3 % of wrong "perhaps" per run.
const BITS_PER_RUN: usize = 10;
const FILTER_BITS_MIN: usize = 512;
/// 64 KiB, less than a byte a line in a full row group.
const FILTER_BITS_MAX: usize = 1 << 19;

/// What a name in the filter is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Asset = 1,
    App = 2,
}

/// How many runs are remembered that have just been added. Messages repeat themselves, and the map of all runs is too
/// large for the processor's nearest caches.
const RECENT_RUNS: usize = 1 << 12;

/// Collects what one row group holds.
pub(crate) struct FilterBuilder {
    seen: Vec<u64>,
    recent: Vec<u32>,
    names: Vec<u64>,
}

impl FilterBuilder {
    pub(crate) fn new() -> Self {
        Self { seen: vec![0; RUNS / 64], recent: vec![u32::MAX; RECENT_RUNS], names: Vec::new() }
    }

    /// Adds a message.
    pub(crate) fn add_text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let Some((head, rest)) = bytes.split_at_checked(RUN_BYTES - 1) else { return };
        let mut run = head.iter().fold(0, |run, byte| shift(run, *byte));
        for byte in rest {
            run = shift(run, *byte);
            let recent = &mut self.recent[(run ^ run >> 9) as usize % RECENT_RUNS];
            if *recent != run {
                *recent = run;
                self.seen[run as usize / 64] |= 1 << (run % 64);
            }
        }
    }

    /// Adds an asset's or app's name.
    pub(crate) fn add_name(&mut self, kind: NameKind, name: &str) {
        let hash = name_hash(kind, name);
        // Rows are sorted by app and asset, so that repetitions come in a row or two.
        if !self.names.iter().rev().take(2).any(|known| *known == hash) {
            self.names.push(hash);
        }
    }

    /// The filter of everything added; the builder is empty afterwards.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.recent.fill(u32::MAX);
        self.names.sort_unstable();
        self.names.dedup();
        let runs: usize = self.seen.iter().map(|word| word.count_ones() as usize).sum();
        let wanted = (runs + self.names.len()) * BITS_PER_RUN;
        let bits = wanted.next_power_of_two().clamp(FILTER_BITS_MIN, FILTER_BITS_MAX);
        let mut filter = vec![0_u8; bits / 8];
        for (index, word) in self.seen.iter_mut().enumerate() {
            let mut left = std::mem::take(word);
            while left != 0 {
                set(&mut filter, mix((index * 64) as u32 | left.trailing_zeros()));
                left &= left - 1;
            }
        }
        for hash in self.names.drain(..) {
            set(&mut filter, hash);
        }
        filter
    }
}

/// Tells whether a message with this text may have been added. `text` is in lower case (ASCII).
pub(crate) fn may_hold_text(filter: &[u8], text: &[u8]) -> bool {
    text.windows(RUN_BYTES).all(|window| has(filter, mix(window.iter().fold(0, |run, byte| shift(run, *byte)))))
}

/// Tells whether this asset or app may have been added.
pub(crate) fn may_hold_name(filter: &[u8], kind: NameKind, name: &str) -> bool {
    has(filter, name_hash(kind, name))
}

const fn shift(run: u32, byte: u8) -> u32 {
    (run << 8 | byte.to_ascii_lowercase() as u32) & (RUNS as u32 - 1)
}

fn name_hash(kind: NameKind, name: &str) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), kind as u64)
}

/// The finaliser of splitmix64: every bit of the run reaches every bit of the result.
const fn mix(run: u32) -> u64 {
    let mut hash = (run as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The two places of a hash; `filter.len()` is a power of two and not 0.
const fn places(filter: &[u8], hash: u64) -> [usize; 2] {
    let mask = filter.len() * 8 - 1;
    [hash as u32 as usize & mask, (hash >> 32) as usize & mask]
}

fn set(filter: &mut [u8], hash: u64) {
    for place in places(filter, hash) {
        filter[place / 8] |= 1 << (place % 8);
    }
}

/// A filter of an impossible size says "perhaps" to everything.
fn has(filter: &[u8], hash: u64) -> bool {
    !filter.len().is_power_of_two()
        || places(filter, hash).into_iter().all(|place| filter[place / 8] >> (place % 8) & 1 == 1)
}

#[cfg(test)]
mod tests;
