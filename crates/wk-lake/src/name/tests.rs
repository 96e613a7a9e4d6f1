use proptest::prelude::*;

use super::*;

fn name(first: u64, last: u64) -> FileName {
    FileName {
        received: "2026-11-24T02:14:00.250Z".parse().unwrap(),
        first: Seq(first),
        last: Seq(last),
        from: UtcMs(-5),
        to: UtcMs(1_795_486_440_250),
        rows: 17,
        check: 0xab,
    }
}

#[test]
fn names_read_well_and_sort_by_receipt() {
    assert_eq!(
        name(1, 900).to_string(),
        "20261124T021400.250Z_000000000001_000000000900_-5_1795486440250_17_00000000000000ab.parquet"
    );
}

#[test]
fn a_file_covers_the_ranges_within_its_own() {
    assert!(name(1, 900).covers(&name(1, 400)));
    assert!(name(1, 900).covers(&name(401, 900)));
    assert!(!name(1, 900).covers(&name(401, 901)));
    assert!(!name(1, 900).covers(&name(1, 900)), "a file does not cover itself");
}

#[test]
fn foreign_names_are_refused() {
    let good = name(1, 900).to_string();
    assert!(good.parse::<FileName>().is_ok());
    for foreign in ["", "a.parquet", "logs.tmp", &good.replace("_17_", "_017_"), &good.replace(".parquet", ".tmp")] {
        assert_eq!(foreign.parse::<FileName>(), Err(ForeignName), "{foreign}");
    }
}

proptest! {
    #[test]
    fn names_print_and_parse(received in 0..NAMED_TIME_MAX, first: u64, more: u32, from: i64, span: u32, rows: u64, check: u64) {
        let written = FileName {
            received: UtcMs(received),
            first: Seq(first),
            last: Seq(first.saturating_add(u64::from(more))),
            from: UtcMs(from),
            to: UtcMs(from.saturating_add(i64::from(span))),
            rows,
            check,
        };
        prop_assert_eq!(written.to_string().parse(), Ok(written));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,120}") {
        let _ = text.parse::<FileName>();
    }
}
