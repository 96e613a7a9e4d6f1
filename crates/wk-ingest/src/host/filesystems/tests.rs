use std::sync::Mutex;
use std::sync::mpsc;

use proptest::prelude::*;

use super::*;

const MOUNTINFO: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/x
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /sys rw - sysfs sysfs rw
25 22 0:23 / /dev rw - tmpfs tmpfs rw
26 25 0:24 / /dev/shm rw - tmpfs shm rw
27 22 8:1 / /data rw,noatime shared:1 - ext4 /dev/sda1 rw
28 22 8:1 /etc /very/long/bind/mount rw - ext4 /dev/sda1 rw
29 22 8:2 / /media/usb\\040stick ro - vfat /dev/sdb1 ro
30 22 0:30 / /nfs rw - nfs4 nas:/export rw
31 22 0:31 / /merged rw - overlay overlay rw
32 22 0:32 / /run/credentials/x ro - tmpfs none ro
33 22 0:33 / /proc/acpi ro - tmpfs tmpfs ro
34 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
35 27 0:35 / /data rw - tmpfs over rw
";

#[test]
fn real_file_systems_are_shown_once_each() {
    let shown: Vec<String> = mounts(MOUNTINFO)
        .iter()
        .map(|mount| format!("{} {} {} {}", mount.point, mount.kind, mount.device, mount.read_only))
        .collect();
    assert_eq!(
        shown,
        [
            "/ overlay overlay false",
            "/data tmpfs over false",
            "/dev/shm tmpfs shm false",
            "/media/usb stick vfat /dev/sdb1 true",
            "/nfs nfs4 nas:/export false",
            "/very/long/bind/mount ext4 /dev/sda1 false",
        ]
    );
}

#[test]
fn bind_mounts_collapse_to_the_shortest_point() {
    let text = "1 0 8:1 / /var/lib/x rw - ext4 /dev/sda1 rw\n2 0 8:1 / /data rw - ext4 /dev/sda1 rw\n";
    let points: Vec<String> = mounts(text).into_iter().map(|mount| mount.point).collect();
    assert_eq!(points, ["/data"]);
}

fn usage(size: f64) -> Usage {
    Usage { size, free: size / 2.0, available: size / 4.0, files: 10.0, files_free: 5.0, read_only: false }
}

fn tree(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("self")).unwrap();
    std::fs::write(folder.path().join("self/mountinfo"), text).unwrap();
    folder
}

fn sizes(readings: &Readings) -> Vec<(String, f64)> {
    let of_size = readings.values.iter().filter(|(name, ..)| *name == "node_filesystem_size_bytes");
    of_size.map(|(_, labels, value)| (labels[2].1.clone(), *value)).collect()
}

#[tokio::test]
async fn a_hanging_mount_does_not_hold_up_the_others_and_is_not_asked_again_meanwhile() {
    let folder = tree("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 0 0:9 / /nfs rw - nfs4 nas:/ rw\n");
    let (release, wait) = mpsc::channel::<()>();
    let (wait, asked) = (Mutex::new(wait), Arc::new(Mutex::new(0)));
    let count = Arc::clone(&asked);
    let ask: Ask = Arc::new(move |path: &Path| {
        if path == Path::new("/nfs") {
            *count.lock().unwrap() += 1;
            let _ = wait.lock().unwrap().recv();
        }
        Ok(usage(100.0))
    });
    let mut file_systems = FileSystems::asking(folder.path().to_owned(), ask, Duration::from_millis(50));
    for _ in 0..2 {
        let readings = file_systems.read().await;
        assert_eq!(sizes(&readings), [("/".to_owned(), 100.0)]);
        assert_eq!(readings.missing, [(NO_ANSWER, "/nfs".to_owned())]);
    }
    assert_eq!(*asked.lock().unwrap(), 1);
    release.send(()).unwrap();
    release.send(()).unwrap();
    let answer = file_systems.silent.get_mut("/nfs").unwrap();
    answer.await.unwrap().unwrap();
    file_systems.silent.clear();
    assert_eq!(sizes(&file_systems.read().await).len(), 2);
}

#[tokio::test]
async fn empty_file_systems_and_failures_are_left_out() {
    let folder = tree("1 0 8:1 / /a rw - tmpfs a rw\n2 0 8:2 / /b rw - tmpfs b ro\n3 0 8:3 / /c rw - ext4 c rw\n");
    let ask: Ask = Arc::new(|path: &Path| match path.to_str() {
        Some("/a") => Ok(usage(0.0)),
        Some("/b") => Ok(usage(8.0)),
        _ => Err(std::io::Error::other("stale file handle")),
    });
    let readings = FileSystems::asking(folder.path().to_owned(), ask, ANSWER_WITHIN).read().await;
    assert_eq!(sizes(&readings), [("/b".to_owned(), 8.0)]);
    let read_only = readings.values.iter().find(|(name, ..)| *name == "node_filesystem_readonly").unwrap();
    assert_eq!(read_only.2, 1.0);
    assert_eq!(readings.missing, [("file system cannot be asked", "/c: stale file handle".to_owned())]);
}

#[tokio::test]
async fn the_system_is_asked_for_real_sizes() {
    let folder = tree("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
    let readings = FileSystems::new(folder.path().to_owned()).read().await;
    let size = sizes(&readings)[0].1;
    let value = |wanted: &str| readings.values.iter().find(|(name, ..)| *name == wanted).unwrap().2;
    assert!(size > 1e6 && value("node_filesystem_avail_bytes") <= value("node_filesystem_free_bytes"));
    assert!(value("node_filesystem_free_bytes") <= size);
}

proptest! {
    #[test]
    fn hostile_mountinfo_is_answered(text in "([0-9:/]{0,4}|[ \n]| - |\\\\[0-9]{0,4}|é|tmpfs){0,60}") {
        let _ = mounts(&text);
    }
}
