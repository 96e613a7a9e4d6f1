//! Lines out of a stream of bytes.

/// Gathers bytes until a line is whole; of a line that is too long nothing is kept but that there was one.
#[derive(Debug)]
pub struct Lines {
    bytes_max: usize,
    pending: Vec<u8>,
    skipping: bool,
    too_long: u64,
}

impl Lines {
    /// Makes an empty one for lines of at most `bytes_max` bytes.
    #[must_use]
    pub const fn new(bytes_max: usize) -> Self {
        Self { bytes_max, pending: Vec::new(), skipping: false, too_long: 0 }
    }

    /// Takes bytes in and passes every line that is whole to `take`, without its end; empty lines are left out.
    pub fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            self.gather(&bytes[..end]);
            if self.skipping {
                self.too_long += 1;
            } else if !self.pending.is_empty() {
                take(&self.pending);
            }
            self.pending.clear();
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
        self.gather(bytes);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > self.bytes_max {
            self.skipping = true;
            self.pending.clear();
        }
        if !self.skipping {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// How many lines were too long since the last call.
    pub fn too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }
}
