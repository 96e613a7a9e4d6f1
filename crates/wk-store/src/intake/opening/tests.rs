use super::*;
use crate::intake::tests::{dir, open as open_log, options, record};
use crate::io::crash::CrashIo;
use crate::io::write_whole;

#[test]
fn leftovers_are_removed_and_foreign_files_left_alone() {
    let io = CrashIo::new(1);
    let (log, _) = open_log(&io, options());
    log.append(record("one")).unwrap();
    log.close();
    for name in ["00000000000000000777.idx", "notes.txt"] {
        write_whole(&io, &dir().join(name), b"x").unwrap();
    }
    io.create(&dir().join("00000000000000000001.tmp")).unwrap();
    let (_, report) = open_log(&io, options());
    assert_eq!((report.segments, report.last), (1, Seq(1)));
    let names = io.list(dir()).unwrap();
    assert_eq!(names, ["00000000000000000001.idx", "00000000000000000001.seg", "notes.txt"]);
}

#[test]
fn after_a_crash_seqs_go_on_behind_all_that_may_have_been_used_and_stay_there() {
    let io = CrashIo::new(1);
    let (log, _) = open_log(&io, options());
    log.append(record("one")).unwrap();
    io.power_off();
    let io = io.restart();
    for _ in 0..3 {
        assert_eq!(open(&io, dir()).unwrap().next, 1 + SEQS_MAX);
    }
    let (log, _) = open_log(&io, options());
    assert_eq!(log.append(record("two")).unwrap(), Seq(1 + SEQS_MAX));
    log.close();
    assert_eq!(open(&io, dir()).unwrap().next, 2 + SEQS_MAX);
}
