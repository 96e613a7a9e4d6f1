use super::*;

#[test]
fn a_sample_out_of_the_window_goes_into_a_file_of_its_own() {
    let mut ship = Ship::new(MetricOptions::default());
    let now = START + 10 * HOUR;
    let near = now - 2 * HOUR;
    ship.append(
        now,
        vec![("a", vec![(now, 1.0), (near, 2.0), (near - 1, 3.0), (START, 4.0)]), ("b", vec![(now, 5.0)])],
    );
    ship.store.flush().unwrap();
    let names = ship.disk.names();
    assert_eq!(
        names,
        [
            format!("0000000000000001-0000000000000001_{START}_{}_late.wkb", near - 1),
            format!("0000000000000001-0000000000000001_{near}_{now}.wkb"),
        ]
    );
    ship.check_all();
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(1));
    ship.check_all();
}

#[test]
fn late_samples_alone_move_the_cursor_on() {
    let mut ship = Ship::new(MetricOptions::default());
    ship.append(START + 10 * HOUR, vec![("a", vec![(START, 4.0)])]);
    ship.store.flush().unwrap();
    assert_eq!(ship.store.cursor(), Seq(1));
    assert_eq!(ship.store.stats().oldest, Some(UtcMs(START)));
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(1));
    ship.check_all();
    ship.store.maintain(UtcMs(START + 10 * HOUR)).unwrap();
    ship.append(START + 10 * HOUR + 1, vec![("a", vec![(START + 10 * HOUR, 4.0)])]);
    ship.store.flush().unwrap();
    ship.store.maintain(UtcMs(START + 10 * HOUR)).unwrap();
    let names = ship.disk.names();
    assert!(
        !names.iter().any(|name| name.contains(&i64::MIN.to_string())),
        "the file without samples is gone: {names:?}"
    );
    ship.check_all();
    assert_eq!(ship.reopen(ship.disk.clone()).cursor, Seq(2));
}

#[test]
fn late_files_are_joined_and_replace_what_they_were_made_of() {
    let mut ship = Ship::new(MetricOptions::default());
    for at in 0..14 {
        let now = START + DAY + at * MINUTE;
        ship.append(now, vec![("a", vec![(START + at * HOUR, 5.0), (now, 7.0)]), ("b", vec![(START + at, 1.0)])]);
        ship.store.flush().unwrap();
    }
    assert_eq!(ship.store.maintain(UtcMs(START + DAY)).unwrap().files_merged, 14);
    assert_eq!(ship.disk.names().iter().filter(|name| name.ends_with("_lates.wkb")).count(), 1);
    ship.check_all();
    ship.reopen(ship.disk.clone());
    ship.check_all();
}

#[test]
fn what_a_crash_left_of_a_late_file_replaces_nothing() {
    let mut ship = Ship::new(MetricOptions::default());
    let now = START + DAY;
    ship.append(now, vec![("a", vec![(now, 1.0), (START, 2.0)])]);
    ship.append(now + 1, vec![("a", vec![(START + 7, 3.0)])]);
    // The late file takes five changes; the power goes before the other is whole.
    ship.disk.cut_after(7);
    ship.store.flush().unwrap_err();
    let records = ship.records.split_off(1);
    let disk = ship.disk.after_cut();
    assert_eq!(disk.names().len(), 1);
    assert_eq!(ship.reopen(disk).cursor, Seq(0));
    // Now the same records go to disk one by one.
    ship.store.flush().unwrap();
    for (received, record) in records {
        ship.append(received.0, record);
        ship.store.flush().unwrap();
    }
    ship.check_all();
    let report = ship.reopen(ship.disk.after_cut());
    assert_eq!((report.superseded, report.cursor), (0, Seq(2)));
    ship.check_all();
}

#[test]
fn a_time_that_no_calendar_has_is_refused() {
    let mut ship = Ship::new(MetricOptions::default());
    let appended = ship.append(START, vec![("a", vec![(i64::MIN, 1.0), (i64::MIN / 4 - 1, 1.0), (START, 1.0)])]);
    assert_eq!((appended.too_old, appended.stored), (2, 1));
}
