use super::*;
use crate::intake::tests::{dir, open, options, record, small_segments};
use crate::io::crash::CrashIo;

#[test]
fn damage_is_counted_once_however_often_it_is_met() {
    let mut catalog = Catalog::new(VecDeque::new(), 1, vec![]);
    let damage = |records, what: &str| Damage { segment: 1, frames: 2, records, received: None, what: what.to_owned() };
    catalog.note_damage(&damage(Some((Seq(5), Seq(9))), "torn"));
    catalog.note_damage(&damage(Some((Seq(6), Seq(9))), "another word"));
    catalog.note_damage(&damage(None, "cut off"));
    catalog.note_damage(&damage(None, "cut off"));
    assert_eq!((catalog.damaged_frames, catalog.damaged_records), (4, 5));
}

#[test]
fn seqs_are_handed_out_once_and_behind_every_cursor() {
    let mut catalog = Catalog::new(VecDeque::new(), 1, vec![]);
    assert_eq!(catalog.take_seqs(3), Seq(1));
    assert!(catalog.advance("engine", Seq(10)).is_some());
    assert_eq!(catalog.take_seqs(1), Seq(11));
    assert!(catalog.advance("engine", Seq(2)).is_some(), "still more than the log holds");
    assert_eq!(catalog.readers()[0].cursor, Seq(10), "cursors do not run backwards");
}

#[test]
fn a_reader_at_the_end_goes_on_where_it_stopped() {
    let (log, _) = open(&CrashIo::new(1), options());
    for n in 0..20 {
        log.append(record(&format!("{n}"))).unwrap();
    }
    let next = log.read(Seq(0), usize::MAX).unwrap().next;
    log.append(record("new")).unwrap();
    let place = log.0.shared.catalog().place(next).unwrap();
    assert!(place.offset > 0 && place.offset < place.end);
    assert_eq!(log.read(next, 1).unwrap().records.len(), 1);
}

#[test]
fn positions_kept_and_index_files_missing_stay_within_their_bounds() {
    let io = CrashIo::new(1);
    let (log, _) = open(&io, small_segments());
    for n in 0..40 {
        log.append(record(&format!("{n}"))).unwrap();
        let _ = log.read(Seq(n), 1).unwrap();
    }
    assert_eq!(log.0.shared.catalog().positions.len(), POSITIONS_MAX);
    assert!(io.files().iter().all(|path| path.parent() == Some(dir())));
}
