use super::crash::{CrashIo, Faults};
use super::*;

#[test]
fn a_whole_write_is_there_whole_or_not_at_all_wherever_the_power_goes_off() {
    let path = Path::new("/data/file.bin");
    for cut in 0..12 {
        let io = CrashIo::new(cut);
        io.create_dir_all(Path::new("/data")).unwrap();
        write_whole(&io, path, b"old").unwrap();
        io.set_faults(Faults { power_off_after: Some(cut), leftovers: cut % 2 == 0, ..Faults::default() });
        let written = write_whole(&io, path, b"new and longer");
        let io = io.restart();
        let found = read_all(&io, path, 100).unwrap();
        assert!(found == b"old" || found == b"new and longer", "cut at {cut} left {found:?}");
        assert!(written.is_err() || found == b"new and longer");
        write_whole(&io, path, b"again").unwrap();
    }
}

#[test]
fn the_system_creates_missing_folders_and_lists_files_only() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    SystemIo.create_dir_all(&dir).unwrap();
    SystemIo.create_dir_all(&dir).unwrap();
    write_whole(&SystemIo, &dir.join("file"), b"content").unwrap();
    assert_eq!(SystemIo.list(&dir).unwrap(), ["file"]);
    assert!(SystemIo.list(root.path()).unwrap().is_empty());
    assert!(read_all(&SystemIo, &dir.join("file"), 3).is_err());
}
