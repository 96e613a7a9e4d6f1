//! Truncated files, flipped bits and zeroed blocks at many places: what is lost is named, all else is read.

use super::*;

/// Lines of one file.
const LINES: i64 = 40;
/// How much of a file becomes zeros at once, as where a block of the disk is lost.
const BLOCK_BYTES: usize = 512;
/// Bytes between two places that are damaged.
const STRIDE: usize = 211;

#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip,
    Truncate,
    Zero,
}

impl Harm {
    fn apply(self, bytes: &mut Vec<u8>, at: usize) {
        match self {
            Self::Flip => bytes[at] ^= 1 << (at % 8),
            Self::Truncate => bytes.truncate(at),
            Self::Zero => {
                let end = bytes.len().min(at + BLOCK_BYTES);
                bytes[at..end].fill(0);
            }
        }
    }
}

/// A folder of three files, and the names of these in the order of their lines.
fn written(dir: &Path) -> Vec<String> {
    let (lake, _) = open(dir);
    for file in 0..3 {
        fill(&lake, file * LINES..(file + 1) * LINES);
        lake.flush().unwrap();
    }
    parquet(dir)
}

#[test]
fn damage_at_any_place_costs_no_more_than_its_file_and_is_named() {
    let sound = tempfile::tempdir().unwrap();
    let names = written(sound.path());
    for (which, name) in names.iter().enumerate() {
        let whole = fs::read(sound.path().join(name)).unwrap();
        let own = which as u64 * LINES as u64..(which as u64 + 1) * LINES as u64;
        for (at, harm) in (0..whole.len())
            .step_by(STRIDE)
            .flat_map(|at| [Harm::Flip, Harm::Truncate, Harm::Zero].map(|harm| (at, harm)))
        {
            let label = format!("{harm:?} at {at} of {}, file {which}", whole.len());
            let dir = tempfile::tempdir().unwrap();
            for name in &names {
                fs::copy(sound.path().join(name), dir.path().join(name)).unwrap();
            }
            let mut bytes = whole.clone();
            harm.apply(&mut bytes, at);
            fs::write(dir.path().join(name), &bytes).unwrap();

            let (lake, report) = open(dir.path());
            assert_eq!(report.foreign, Vec::<String>::new(), "{label}");
            let found = all(&lake);
            let missing: Vec<u64> =
                (0..3 * LINES as u64).filter(|number| !found.iter().any(|row| row.seq.0 == number + 1)).collect();
            assert!(missing.iter().all(|number| own.contains(number)), "{label}: {missing:?} are missing");
            for row in &found {
                let expected = line(i64::try_from(row.seq.0).unwrap() - 1);
                assert_eq!((&*row.message, row.time), (&*expected.message, expected.time), "{label}");
            }
            let problems = lake.stats().problems;
            let named = problems.iter().any(|problem| &problem.name == name && problem.is_damaged);
            assert!(named || missing.is_empty(), "{label}: {missing:?} are missing, {problems:?} is told");
            assert!(problems.iter().all(|problem| &problem.name == name), "{label}: {problems:?}");
            assert_eq!(lake.stats().damaged_files, usize::from(named), "{label}: it is kept for a person");
            // Taking in, writing and merging go on.
            fill(&lake, 3 * LINES..3 * LINES + 10);
            lake.flush().unwrap();
            lake.maintain(DAY + MINUTE).unwrap();
            assert_eq!(all(&lake).len(), found.len() + 10, "{label}");
        }
    }
}

#[test]
fn a_damaged_row_group_costs_its_rows_alone_also_when_its_file_is_joined() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, _) = open(dir.path());
    // Two files of two row groups each, of which the first group has 65,536 rows.
    for seq in 1..=2 {
        lake.append(Seq(seq), DAY, &(0..66_000).map(line).collect::<Vec<_>>()).unwrap();
        lake.flush().unwrap();
    }
    drop(lake);
    let name = parquet(dir.path())[0].clone();
    let mut bytes = fs::read(dir.path().join(&name)).unwrap();
    bytes[1_000] ^= 1;
    fs::write(dir.path().join(&name), bytes).unwrap();

    let (lake, report) = open(dir.path());
    assert_eq!((report.files, report.problems.len()), (2, 0));
    let count = |lake: &Lake| {
        let limits = SearchLimits::default();
        lake.top_values(&LogQuery::default(), &[crate::LogField::App], 9, &limits).unwrap().rows
    };
    let left = 2 * 66_000 - 65_536;
    assert_eq!((count(&lake), count(&lake)), (left, left));
    let problems = lake.stats().problems;
    assert_eq!(problems.len(), 1, "told once: {problems:?}");
    assert_eq!((problems[0].rows, problems[0].is_damaged, &problems[0].name), (65_536, true, &name));
    assert!(problems[0].what.starts_with("row group 0: "), "{}", problems[0].what);
    assert!(!rows(&lake, &LogQuery { limit: 3, ..LogQuery::default() }).is_empty());

    let tomorrow = DAY + DurationMs::from_hours(24);
    assert_eq!(lake.maintain(tomorrow).unwrap().files_merged, 2);
    assert_eq!((count(&lake), lake.stats().files, lake.stats().damaged_files), (left, 1, 1));
    assert!(files(dir.path()).contains(&format!("{name}.damaged")), "it is kept for a person");
    drop(lake);
    let (lake, report) = open(dir.path());
    assert_eq!((count(&lake), report.rows, report.cursor), (left, left, Seq(2)));
}
