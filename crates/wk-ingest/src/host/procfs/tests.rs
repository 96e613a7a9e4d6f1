use proptest::prelude::*;
use std::path::PathBuf;

use super::*;

fn tree(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let root = folder.path().to_owned();
    (folder, root)
}

#[test]
fn whole_disks_are_shown_and_their_parts_are_not() {
    let shown = ["sda", "vda", "xvdb", "nvme0n1", "mmcblk0", "md0", "dm-3", "sdaa", "hdc"];
    let hidden = ["sda1", "vda12", "xvdb2", "nvme0n1p1", "mmcblk0p2", "loop0", "ram3", "zram0", "sr0", "fd0", "hdc1"];
    assert!(shown.into_iter().all(is_disk));
    assert!(!hidden.into_iter().any(is_disk));
}

#[test]
fn processor_times_never_run_backwards_a_little() {
    let mut cpus = Cpus::default();
    let mut read = |idle: u64| {
        let (_folder, root) = tree("stat", &format!("cpu0 1 0 0 {idle} 0 0 0 0\n"));
        let mut readings = Readings::default();
        cpus.read(&root, &mut readings);
        readings.values.iter().find(|(_, labels, _)| labels[1].1 == "idle").unwrap().2
    };
    assert_eq!(read(1_000), 10.0);
    assert_eq!(read(990), 10.0);
    assert_eq!(read(1_010), 10.1);
    assert_eq!(read(5), 0.05);
}

#[test]
fn kernels_without_pressure_say_nothing_about_it() {
    let (_folder, root) = tree("stat", "");
    let mut readings = Readings::default();
    pressure(&root, &mut readings);
    assert!(readings.values.is_empty() && readings.missing.is_empty());
}

proptest! {
    #[test]
    fn hostile_files_are_answered(text in "([a-z0-9]{0,4}|[ :\n]|cpu|total=|-|é){0,60}") {
        let folder = tempfile::tempdir().unwrap();
        for name in ["stat", "loadavg", "meminfo", "diskstats", "net/dev", "pressure/io"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &text).unwrap();
        }
        let mut readings = Readings::default();
        Cpus::default().read(folder.path(), &mut readings);
        for read in [load, memory, disks, network, pressure] {
            read(folder.path(), &mut readings);
        }
    }
}
