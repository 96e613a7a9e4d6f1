//! Block files: their names, from which the cursor is derived, and reading them part by part.

use std::borrow::Cow;
use std::io;
use std::path::Path;

use wk_block::{Header, PartSource};
use wk_types::{DurationMs, Resolution, Seq, UtcMs};

use crate::io::{Io, ReadFile};

const EXTENSION: &str = ".wkb";
const LATE: &str = "_late";
const LATES: &str = "_lates";
const ROLLUP: &str = "rollup-";
/// What is appended to the name of a file that is set aside.
const DAMAGED: &str = ".damaged";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Samples as they came in; the cursor follows from these files.
    Normal,
    /// Samples that came later, or lay further ahead, than the window that a normal file may span.
    Late,
    /// Files of late samples, joined. Only these replace others: what a crash left of a late file without its normal one
    /// may hold less than what is written for the same records later.
    Lates,
    /// Rollups of one stretch of time.
    Rollup(Resolution),
}

/// A block on disk.
///
/// The name of a file of samples says which records of the intake log it holds: one whose range lies within another's of
/// the same kind has been merged into that one. The name of a file of rollups says which stretch it sums up, and up to
/// which record: of two for one stretch the one with the later record counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockFile {
    /// The file's name.
    pub(super) name: String,
    /// What it holds.
    pub(super) kind: Kind,
    /// The records it holds, first and last; of rollups the record they reach up to, twice.
    pub(super) seqs: (Seq, Seq),
    /// The time of its earliest sample; of rollups the beginning of the stretch.
    pub(super) first: UtcMs,
    /// The time of its latest sample; of rollups the end of the stretch.
    pub(super) last: UtcMs,
    /// Its size.
    pub(super) bytes: u64,
    /// How many samples it has.
    pub(super) samples: u64,
}

impl BlockFile {
    /// The file for a block with this header, holding the records of `seqs`.
    pub(super) fn new(kind: Kind, seqs: (Seq, Seq), header: &Header) -> Self {
        let (first, last) = (header.first, header.last);
        let ending = match kind {
            Kind::Late => LATE,
            Kind::Lates => LATES,
            _ => "",
        };
        let name = format!("{:016x}-{:016x}_{}_{}{ending}{EXTENSION}", seqs.0.0, seqs.1.0, first.0, last.0);
        Self { name, kind, seqs, first, last, bytes: header.file_bytes, samples: header.samples }
    }

    /// The file for a block of rollups of the stretch that begins at `begin`.
    pub(super) fn rollup(resolution: Resolution, begin: UtcMs, upto: Seq, header: &Header) -> Self {
        let name = format!("{ROLLUP}{}_{}_{:016x}{EXTENSION}", resolution.name(), begin.0, upto.0);
        let last = begin + stretch(resolution) - DurationMs(1);
        let (bytes, samples) = (header.file_bytes, header.samples);
        Self { name, kind: Kind::Rollup(resolution), seqs: (upto, upto), first: begin, last, bytes, samples }
    }

    /// The file that is called `name`, for a block with this header.
    pub(super) fn named(name: Name, header: &Header) -> Self {
        match name.kind {
            Kind::Rollup(resolution) => Self::rollup(resolution, name.times.0, name.seqs.1, header),
            kind => Self::new(kind, name.seqs, header),
        }
    }

    /// Tells whether a sample may lie in `from..=to`.
    pub(super) fn meets(&self, from: UtcMs, to: UtcMs) -> bool {
        self.samples > 0 && self.first <= to && self.last >= from
    }

    /// Tells whether everything of `other` is in this file, too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let within = self.seqs.0 <= other.seqs.0 && self.seqs.1 >= other.seqs.1;
        match (self.kind, other.kind) {
            (Kind::Normal, Kind::Normal) | (Kind::Lates, Kind::Lates) => within && self.seqs != other.seqs,
            (Kind::Lates, Kind::Late) => within,
            (Kind::Rollup(mine), Kind::Rollup(others)) => {
                mine == others && self.first == other.first && self.seqs.1 > other.seqs.1
            }
            _ => false,
        }
    }

    /// Of rollups, which stretch they sum up and how finely.
    pub(super) const fn stretch(&self) -> Option<(Resolution, UtcMs)> {
        match self.kind {
            Kind::Rollup(resolution) => Some((resolution, self.first)),
            _ => None,
        }
    }

    /// Tells whether it holds samples rather than rollups.
    pub(super) const fn is_raw(&self) -> bool {
        !matches!(self.kind, Kind::Rollup(_))
    }
}

/// How long a stretch of time one file of rollups sums up; stretches begin at whole multiples of it.
pub(super) const fn stretch(resolution: Resolution) -> DurationMs {
    match resolution {
        Resolution::FiveMinutes => DurationMs::from_hours(6),
        Resolution::Hour => DurationMs::from_hours(24),
    }
}

/// What a file's name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) seqs: (Seq, Seq),
    pub(super) times: (UtcMs, UtcMs),
}

/// What a block file's name says; `None` for any other file.
pub(super) fn parse_name(name: &str) -> Option<Name> {
    let stem = name.strip_suffix(EXTENSION)?;
    let seq = |text: &str| u64::from_str_radix(text, 16).ok().map(Seq);
    if let Some(rollup) = stem.strip_prefix(ROLLUP) {
        let (resolution, rest) = rollup.split_once('_')?;
        let (begin, upto) = rest.split_once('_')?;
        let resolution = Resolution::ALL.into_iter().find(|one| one.name() == resolution)?;
        let (begin, upto) = (UtcMs(begin.parse().ok()?), seq(upto)?);
        let times = (begin, begin + stretch(resolution) - DurationMs(1));
        return Some(Name { kind: Kind::Rollup(resolution), seqs: (upto, upto), times });
    }
    let (stem, kind) = match (stem.strip_suffix(LATES), stem.strip_suffix(LATE)) {
        (Some(stem), _) => (stem, Kind::Lates),
        (None, Some(stem)) => (stem, Kind::Late),
        (None, None) => (stem, Kind::Normal),
    };
    let mut fields = stem.split('_');
    let (first, last) = fields.next()?.split_once('-')?;
    let seqs = (seq(first)?, seq(last)?);
    let mut time = || fields.next()?.parse().ok().map(UtcMs);
    let times = (time()?, time()?);
    (fields.next().is_none() && seqs.0 <= seqs.1).then_some(Name { kind, seqs, times })
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

    fn header() -> Header {
        let bytes = wk_block::encode(&[]).unwrap();
        let mut header = Header::read(&bytes[..]).unwrap();
        (header.first, header.last) = (UtcMs(-5), UtcMs(1_790_000_000_000));
        header
    }

    #[test]
    fn names_say_what_a_file_holds() {
        let seqs = (Seq(17), Seq(300));
        let files = [
            BlockFile::new(Kind::Normal, seqs, &header()),
            BlockFile::new(Kind::Late, seqs, &header()),
            BlockFile::new(Kind::Lates, seqs, &header()),
            BlockFile::rollup(Resolution::FiveMinutes, UtcMs(1_790_000_000_000), Seq(300), &header()),
            BlockFile::rollup(Resolution::Hour, UtcMs(-86_400_000), Seq(17), &header()),
        ];
        assert_eq!(
            files.each_ref().map(|file| &*file.name),
            [
                "0000000000000011-000000000000012c_-5_1790000000000.wkb",
                "0000000000000011-000000000000012c_-5_1790000000000_late.wkb",
                "0000000000000011-000000000000012c_-5_1790000000000_lates.wkb",
                "rollup-5m_1790000000000_000000000000012c.wkb",
                "rollup-1h_-86400000_0000000000000011.wkb",
            ]
        );
        for file in files {
            let name = parse_name(&file.name).unwrap();
            assert_eq!(name, Name { kind: file.kind, seqs: file.seqs, times: (file.first, file.last) });
            assert_eq!(BlockFile::named(name, &header()), file);
        }
    }

    #[test]
    fn other_names_are_not_taken_for_blocks() {
        for name in [
            "",
            "a.wkb",
            "1-2_3.wkb",
            "2-1_3_4.wkb",
            "1-2_3_4.tmp",
            "1-2_3_4.wkb.damaged",
            "1-2_3_4_5.wkb",
            "1-2_3_late.wkb",
            "rollup-5m_3.wkb",
            "rollup-2m_3_4.wkb",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_replaces_only_what_is_of_its_kind() {
        let of = |kind, seqs: (u64, u64)| BlockFile::new(kind, (Seq(seqs.0), Seq(seqs.1)), &header());
        assert!(of(Kind::Normal, (1, 9)).covers(&of(Kind::Normal, (3, 9))));
        assert!(!of(Kind::Normal, (1, 9)).covers(&of(Kind::Late, (3, 9))));
        assert!(!of(Kind::Normal, (1, 9)).covers(&of(Kind::Normal, (1, 10))));
        assert!(of(Kind::Lates, (1, 9)).covers(&of(Kind::Late, (1, 9))));
        assert!(!of(Kind::Late, (1, 9)).covers(&of(Kind::Late, (3, 9))));
        let rollup = |begin, upto| BlockFile::rollup(Resolution::Hour, UtcMs(begin), Seq(upto), &header());
        assert!(rollup(0, 9).covers(&rollup(0, 8)));
        assert!(!rollup(0, 9).covers(&rollup(86_400_000, 8)));
    }
}
