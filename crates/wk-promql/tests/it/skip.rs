//! Says which tests did not run, and why.

/// Notes that a test was skipped, for the table at the end of the run; where data are required it fails instead.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("WATCHKEEPER_REQUIRE_DATA").is_none(), "{test}: {why}");
    eprintln!("skipped: {test}: {why}");
    if let Some(list) = std::env::var_os("WATCHKEEPER_SKIPPED") {
        use std::io::Write as _;
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        writeln!(list, "{test}: {why}").unwrap();
    }
}
