use super::*;

fn disk() -> (CrashIo, &'static Path) {
    let io = CrashIo::new(1);
    io.create_dir_all(Path::new("/data")).unwrap();
    (io, Path::new("/data/a"))
}

#[test]
fn synced_bytes_under_a_synced_name_survive_and_nothing_else() {
    let (io, path) = disk();
    let mut file = io.create(path).unwrap();
    file.write_all(b"kept").unwrap();
    file.sync().unwrap();
    io.sync_dir(Path::new("/data")).unwrap();
    file.write_all(b" lost").unwrap();
    io.create(Path::new("/data/b")).unwrap().sync().unwrap();
    assert_eq!(io.content(path).unwrap(), b"kept lost");

    let io = io.restart();
    assert_eq!(io.content(path).unwrap(), b"kept");
    assert_eq!(io.list(Path::new("/data")).unwrap(), ["a"]);
}

#[test]
fn a_rename_counts_once_the_folder_is_synced() {
    let (io, path) = disk();
    io.create(path).unwrap();
    io.sync_dir(Path::new("/data")).unwrap();
    io.rename(path, Path::new("/data/b")).unwrap();
    assert_eq!(io.list(Path::new("/data")).unwrap(), ["b"]);
    let io = io.restart();
    assert_eq!(io.list(Path::new("/data")).unwrap(), ["a"]);

    io.rename(path, Path::new("/data/b")).unwrap();
    io.sync_dir(Path::new("/data")).unwrap();
    assert_eq!(io.restart().list(Path::new("/data")).unwrap(), ["b"]);
}

#[test]
fn after_a_failed_sync_a_good_one_does_not_bring_the_bytes_back() {
    let (io, path) = disk();
    let mut file = io.create(path).unwrap();
    io.sync_dir(Path::new("/data")).unwrap();
    io.set_faults(Faults { sync_errors_per_mille: 1_000, ..Faults::default() });
    file.write_all(b"gone").unwrap();
    assert!(file.sync().is_err());
    io.set_faults(Faults::default());
    file.write_all(b"kept").unwrap();
    file.sync().unwrap();
    assert_eq!(io.restart().content(path).unwrap(), b"\0\0\0\0kept");
}

#[test]
fn handles_from_before_the_power_cut_stay_dead() {
    let (io, path) = disk();
    let mut file = io.create(path).unwrap();
    io.sync_dir(Path::new("/data")).unwrap();
    io.set_faults(Faults { power_off_after: Some(1), ..Faults::default() });
    file.write_all(b"one").unwrap();
    assert!(file.sync().is_err());
    assert!(io.is_off());
    let next = io.restart();
    assert!(file.write_all(b"two").is_err());
    assert!(io.list(Path::new("/data")).is_err());
    assert!(!next.is_off());
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (io, path) = disk();
    io.set_faults(Faults { bytes_max: Some(3), ..Faults::default() });
    let error = io.create(path).unwrap().write_all(b"12345").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(io.content(path).unwrap(), b"123");
}
