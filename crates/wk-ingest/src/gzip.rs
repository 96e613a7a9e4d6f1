//! Gzip with a bound on what comes out of it.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

/// Why gzip was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum GzipError {
    /// More comes out than is taken.
    #[error("more than {max} bytes come out of the gzip; send smaller batches")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// It is no gzip, or damaged.
    #[error("could not unpack the gzip")]
    Damaged(#[source] std::io::Error),
}

/// Unpacks gzip, one member or several behind each other, to at most `max` bytes.
///
/// # Errors
/// Anything else than gzip, a damaged one, and one that holds more.
pub fn unpack(packed: &[u8], max: usize) -> Result<Vec<u8>, GzipError> {
    let mut plain = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(packed).take(limit).read_to_end(&mut plain).map_err(GzipError::Damaged)?;
    if plain.len() > max { Err(GzipError::TooLarge { max }) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn members_behind_each_other_are_one() {
        let both = [packed(b"link "), packed(b"down")].concat();
        assert_eq!(unpack(&both, 100).unwrap(), b"link down");
    }

    #[test]
    fn a_small_body_cannot_become_large() {
        let bomb = packed(&vec![0; 1_000_000]);
        assert!(bomb.len() < 10_000);
        assert!(matches!(unpack(&bomb, 999_999), Err(GzipError::TooLarge { .. })));
        assert_eq!(unpack(&bomb, 1_000_000).unwrap().len(), 1_000_000);
    }

    #[test]
    fn what_is_no_gzip_is_refused() {
        let good = packed(b"link down");
        for bad in [&b"plain"[..], b"", &good[..good.len() - 3]] {
            assert!(matches!(unpack(bad, 100), Err(GzipError::Damaged(_))), "{bad:?}");
        }
    }
}
