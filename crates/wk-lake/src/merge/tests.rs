use proptest::prelude::*;

use super::*;

fn file(position: u64, day: i64, rows: u64) -> Mergeable {
    Mergeable { first: position * 100 + 1, last: position * 100 + 100, day, rows, bytes: rows * 20 }
}

fn days(days: &[(i64, u64)]) -> Vec<Mergeable> {
    days.iter().enumerate().map(|(position, (day, rows))| file(position as u64, *day, *rows)).collect()
}

#[test]
fn eight_small_neighbours_are_merged() {
    assert_eq!(choose(&days(&[(1, 100); 7]), 1), None);
    assert_eq!(choose(&days(&[(1, 100); 8]), 1), Some(Merge::Rewrite(0..8)));
    let mut files = days(&[(1, 100_000); 3]);
    files.extend((3..11).map(|position| file(position, 1, 100)));
    assert_eq!(choose(&files, 1), Some(Merge::Rewrite(3..11)), "small ones first");
}

#[test]
fn large_neighbours_are_joined_within_bounds() {
    assert_eq!(choose(&days(&[(1, 60_000); 7]), 1), None);
    assert_eq!(choose(&days(&[(1, 60_000); 8]), 1), Some(Merge::Join(0..8)));
    assert_eq!(choose(&days(&[(1, 3_000_000); 9]), 1), Some(Merge::Join(0..2)));
    assert_eq!(choose(&days(&[(1, 8_000_000); 9]), 1), None);
}

#[test]
fn rewritten_files_make_one_row_group() {
    assert_eq!(choose(&days(&[(1, 20_000); 8]), 1), Some(Merge::Rewrite(0..3)));
}

#[test]
fn days_and_gaps_are_not_merged_across() {
    assert_eq!(
        choose(&days(&[(1, 100), (1, 100), (1, 100), (1, 100), (2, 100), (2, 100), (2, 100), (2, 100)]), 1),
        None
    );
    let mut files = days(&[(1, 100); 9]);
    files.remove(4);
    assert_eq!(choose(&files, 1), None);
}

#[test]
fn what_is_left_of_a_day_gone_by_is_merged() {
    let files = days(&[(1, 200_000), (1, 100), (1, 100), (2, 100)]);
    assert_eq!(choose(&files, 1), None);
    assert_eq!(choose(&files, 2), Some(Merge::Rewrite(1..3)), "small ones first");
    assert_eq!(choose(&days(&[(1, 200_000), (1, 200), (2, 100)]), 2), Some(Merge::Join(0..2)));
    assert_eq!(choose(&days(&[(1, ROWS_MAX), (1, 200), (2, 100)]), 2), None);
}

proptest! {
    #[test]
    fn merging_ends_and_keeps_all_rows(
        sizes in proptest::collection::vec((0_i64..3, 1_u64..100_000), 0..200),
    ) {
        let mut sizes = sizes;
        sizes.sort_by_key(|(day, _)| *day);
        let mut files = days(&sizes);
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        for _ in 0..400 {
            let Some(merge) = choose(&files, 3) else { break };
            let run = merge.files();
            prop_assert!(run.len() >= 2);
            let merged = Mergeable {
                first: files[run.start].first,
                last: files[run.end - 1].last,
                day: files[run.start].day,
                rows: files[run.clone()].iter().map(|file| file.rows).sum(),
                bytes: files[run.clone()].iter().map(|file| file.bytes).sum(),
            };
            let rows_max = if matches!(merge, Merge::Rewrite(_)) { REWRITTEN_ROWS_MAX } else { ROWS_MAX };
            prop_assert!(merged.rows <= rows_max);
            files.splice(run, [merged]);
        }
        prop_assert_eq!(choose(&files, 3), None);
        prop_assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), rows);
    }
}
