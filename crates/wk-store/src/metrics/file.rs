//! Block files: their names, from which the cursor is derived, and reading them part by part.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use wk_block::{Header, PartSource};
use wk_types::{Seq, UtcMs};

use crate::io::{Io, ReadFile};

const EXTENSION: &str = ".wkb";
/// What is appended to the name of a file that is set aside.
const DAMAGED: &str = ".damaged";

/// A block on disk. Its name says which records of the intake log it holds: a file whose range lies within another's has
/// been merged into that one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockFile {
    /// The file's name.
    pub(super) name: String,
    /// The records it holds, first and last.
    pub(super) seqs: (Seq, Seq),
    /// The time of its earliest sample.
    pub(super) first: UtcMs,
    /// The time of its latest sample.
    pub(super) last: UtcMs,
    /// Its size.
    pub(super) bytes: u64,
    /// How many series it has.
    pub(super) series: u32,
    /// How many samples it has.
    pub(super) samples: u64,
}

impl BlockFile {
    /// The file for a block with this header, holding the records of `seqs`.
    pub(super) fn new(seqs: (Seq, Seq), header: &Header) -> Self {
        let name = format!("{:016x}-{:016x}_{}_{}{EXTENSION}", seqs.0.0, seqs.1.0, header.first.0, header.last.0);
        Self {
            name,
            seqs,
            first: header.first,
            last: header.last,
            bytes: header.file_bytes,
            series: header.series,
            samples: header.samples,
        }
    }

    /// Tells whether a sample may lie in `from..=to`.
    pub(super) fn meets(&self, from: UtcMs, to: UtcMs) -> bool {
        self.first <= to && self.last >= from
    }

    /// Tells whether every record of `other` is in this file, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.seqs != other.seqs && self.seqs.0 <= other.seqs.0 && self.seqs.1 >= other.seqs.1
    }
}

/// The records and times that a block file's name carries; `None` for any other file.
pub(super) fn parse_name(name: &str) -> Option<((Seq, Seq), (UtcMs, UtcMs))> {
    let mut fields = name.strip_suffix(EXTENSION)?.split('_');
    let (first, last) = fields.next()?.split_once('-')?;
    let seq = |text: &str| u64::from_str_radix(text, 16).ok().map(Seq);
    let seqs = (seq(first)?, seq(last)?);
    let mut time = || fields.next()?.parse().ok().map(UtcMs);
    let times = (time()?, time()?);
    (fields.next().is_none() && seqs.0 <= seqs.1).then_some((seqs, times))
}

/// Takes a damaged file out of the way without losing it.
pub(super) fn set_aside(io: &dyn Io, dir: &Path, name: &str) -> io::Result<()> {
    io.rename(&dir.join(name), &dir.join(format!("{name}{DAMAGED}")))?;
    io.sync_dir(dir)
}

/// A block file being read.
pub(super) struct FileSource(Box<dyn ReadFile>);

impl FileSource {
    pub(super) fn open(io: &dyn Io, path: &Path) -> io::Result<Self> {
        io.open(path).map(Self)
    }
}

impl PartSource for FileSource {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }

    fn read(&self, offset: u64, bytes: usize) -> io::Result<Cow<'_, [u8]>> {
        let mut buffer = vec![0; bytes];
        let read = self.0.read_at(offset, &mut buffer)?;
        buffer.truncate(read);
        Ok(Cow::Owned(buffer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_holds() {
        let bytes = wk_block::encode(&[]).unwrap();
        let mut header = Header::read(&bytes[..]).unwrap();
        (header.first, header.last) = (UtcMs(-5), UtcMs(1_790_000_000_000));
        let file = BlockFile::new((Seq(17), Seq(300)), &header);
        assert_eq!(file.name, "0000000000000011-000000000000012c_-5_1790000000000.wkb");
        assert_eq!(parse_name(&file.name), Some((file.seqs, (file.first, file.last))));
    }

    #[test]
    fn other_names_are_not_taken_for_blocks() {
        for name in ["", "a.wkb", "1-2_3.wkb", "2-1_3_4.wkb", "1-2_3_4.tmp", "1-2_3_4.wkb.damaged", "1-2_3_4_5.wkb"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
