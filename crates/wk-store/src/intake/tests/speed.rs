//! Figures for `docs/measurements.md`; run with `--nocapture`.

use super::*;

fn appends_per_second(submitters: usize, each: usize) -> f64 {
    let root = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (log, _) = IntakeLog::open(Arc::new(SystemIo), root.path(), options()).unwrap();
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..submitters {
            scope.spawn(|| (0..each).for_each(|n| assert!(log.append(record(&format!("line {n}"))).is_ok())));
        }
    });
    let rate = (submitters * each) as f64 / begun.elapsed().as_secs_f64();
    let stats = log.stats();
    println!(
        "{submitters:>3} submitters: {rate:>8.0} appends/s, {} records, {} syncs",
        stats.written_records, stats.syncs
    );
    rate
}

#[test]
#[ignore = "measures the disk it runs on"]
fn appends_with_one_and_many_submitters() {
    appends_per_second(1, 500);
    appends_per_second(64, 200);
}

#[test]
#[ignore = "writes a gigabyte"]
fn a_start_with_a_large_backlog() {
    let root = tempfile::Builder::new().tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let open = || IntakeLog::open(Arc::new(SystemIo), root.path(), options()).unwrap();
    let (log, _) = open();
    let mut dice = Dice::new(1);
    let text = noise(&mut dice, 2_000);
    while log.stats().bytes < 1 << 30 {
        for n in 0..2_000 {
            let at = dice.below(1_000) as usize;
            let _ = log.submit(record(&format!("{n}{}{}", &text[at..], noise(&mut dice, 1_000))), |_| {});
        }
        log.append(record("wait")).unwrap();
    }
    log.close();
    for (label, without_index) in [("with index files", false), ("without any index file", true)] {
        if without_index {
            for entry in std::fs::read_dir(root.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|extension| extension == "idx") {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
        let begun = Instant::now();
        let (log, report) = open();
        println!("{label}: {} MiB in {} segments open in {:?}", report.bytes >> 20, report.segments, begun.elapsed());
        let begun = Instant::now();
        let records = read_all(&log, Seq(report.last.0 - 1_000)).0;
        println!("{} newest records read in {:?}", records.len(), begun.elapsed());
    }
}

#[test]
#[ignore = "takes seconds"]
fn a_start_after_a_crash_with_a_segment_full_of_tiny_frames() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, options());
    let mut written = 0_usize;
    while log.stats().bytes < 30 << 20 {
        (0..1_000).for_each(|_| assert!(log.append(record("tiny")).is_ok()));
        written += 1_000;
    }
    io.power_off();
    let io = io.restart();
    let begun = Instant::now();
    let (_, report) = open(&io, options());
    println!("{written} frames in {} MiB, none indexed: open in {:?}", report.bytes >> 20, begun.elapsed());
    assert_eq!(report.last, Seq(written as u64));
}
