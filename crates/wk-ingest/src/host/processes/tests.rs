use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn start(root: &TempDir, (id, command): (u32, &str), cgroup: &str, ticks: (u64, u64), pages: u64) {
    let folder = root.path().join(id.to_string());
    fs::create_dir_all(&folder).unwrap();
    let flags = if command.starts_with("kworker") { KERNEL_THREAD } else { 0 };
    let stat = format!(
        "{id} ({command}) S 1 1 1 0 -1 {flags} 0 0 0 0 {} {} 0 0 20 0 1 0 {id}00 1000 {pages} 0 0\n",
        ticks.0, ticks.1
    );
    fs::write(folder.join("stat"), stat).unwrap();
    fs::write(folder.join("cgroup"), cgroup).unwrap();
}

fn end(root: &TempDir, id: u32) {
    fs::remove_dir_all(root.path().join(id.to_string())).unwrap();
}

/// Each group as `name processes user+system seconds pages`.
fn read(processes: &mut Processes, root: &TempDir) -> Vec<String> {
    let mut readings = Readings::default();
    processes.read(root.path(), &mut readings);
    assert!(readings.missing.is_empty());
    let value = |name: &str, group: &str| -> f64 {
        readings.values.iter().filter(|(n, labels, _)| *n == name && labels[0].1 == group).map(|one| one.2).sum()
    };
    let names = readings.values.iter().filter(|(name, ..)| *name == "namedprocess_namegroup_num_procs");
    names
        .map(|(_, labels, count)| {
            let group = &labels[0].1;
            let cpu = value("namedprocess_namegroup_cpu_seconds_total", group);
            let pages = value("namedprocess_namegroup_memory_bytes", group) / processes.page_bytes;
            format!("{group} {count} {cpu} {pages}")
        })
        .collect()
}

#[test]
fn processes_stand_under_their_unit_or_command() {
    let root = tempfile::tempdir().unwrap();
    start(&root, (1, "nginx"), "0::/system.slice/web.service\n", (100, 50), 10);
    start(&root, (2, "nginx"), "0::/system.slice/web.service\n", (100, 0), 10);
    start(&root, (3, "bash"), "0::/user.slice/user-1000.slice/session-3.scope\n", (10, 0), 1);
    start(&root, (4, "sleep"), "0::/system.slice/docker-0a1b.scope\n", (0, 0), 1);
    start(&root, (5, "odd) name ("), "1:name=systemd:/system.slice/a@b.service\n0::/\n", (0, 1), 1);
    start(&root, (6, "kworker/0:1"), "0::/\n", (7, 0), 0);
    let shown = read(&mut Processes::new(&[]), &root);
    assert_eq!(shown, ["a@b 1 0.01 1", "bash 1 0.1 1", "kernel 1 0.07 0", "sleep 1 0 1", "web 2 2.5 20"]);
}

#[test]
fn counters_go_on_when_processes_end_and_come_back() {
    let root = tempfile::tempdir().unwrap();
    let mut processes = Processes::new(&[]);
    start(&root, (1, "job"), "", (100, 0), 1);
    start(&root, (2, "job"), "", (100, 0), 1);
    assert_eq!(read(&mut processes, &root), ["job 2 2 2"]);
    end(&root, 1);
    start(&root, (2, "job"), "", (150, 0), 1);
    assert_eq!(read(&mut processes, &root), ["job 1 2.5 1"]);
    end(&root, 2);
    assert!(read(&mut processes, &root).is_empty());
    start(&root, (3, "job"), "", (20, 0), 1);
    assert_eq!(read(&mut processes, &root), ["job 1 2.7 1"]);
}

#[test]
fn an_id_that_is_used_again_counts_as_a_new_process() {
    let root = tempfile::tempdir().unwrap();
    let mut processes = Processes::new(&[]);
    start(&root, (1, "job"), "", (100, 0), 1);
    read(&mut processes, &root);
    let path = root.path().join("1/stat");
    let again = fs::read_to_string(&path).unwrap().replace(" 100 1000 ", " 999 1000 ");
    fs::write(&path, again).unwrap();
    assert_eq!(read(&mut processes, &root), ["job 1 2 1"]);
}

#[test]
fn configured_services_are_shown_without_processes() {
    let root = tempfile::tempdir().unwrap();
    let services = ["ais.service".to_owned(), "a-very-long-service-name".to_owned()];
    let mut processes = Processes::new(&services);
    start(&root, (1, "a-very-long-ser"), "", (0, 0), 1);
    assert_eq!(read(&mut processes, &root), ["a-very-long-service-name 1 0 1", "ais 0 0 0"]);
}

#[test]
fn groups_beyond_the_bound_stand_under_other_and_its_counter_never_runs_backwards() {
    let root = tempfile::tempdir().unwrap();
    let mut processes = Processes { groups_max: 2, ..Processes::new(&[]) };
    start(&root, (1, "a"), "", (300, 0), 1);
    start(&root, (2, "b"), "", (200, 0), 1);
    start(&root, (3, "c"), "", (100, 0), 1);
    start(&root, (4, "d"), "", (0, 0), 5);
    assert_eq!(read(&mut processes, &root), ["a 1 3 1", "b 1 2 1", "other 2 1 6"]);
    // `c` becomes far busier than `b`, takes its place and counts from there on; `b` goes on under `other`.
    start(&root, (2, "b"), "", (201, 0), 1);
    start(&root, (3, "c"), "", (900, 0), 1);
    assert_eq!(read(&mut processes, &root), ["a 1 3 1", "c 1 8 1", "other 2 1.01 6"]);
}

#[test]
fn a_group_that_stays_empty_makes_room() {
    let root = tempfile::tempdir().unwrap();
    let mut processes = Processes { groups_max: 1, ..Processes::new(&[]) };
    start(&root, (1, "a"), "", (0, 0), 1);
    read(&mut processes, &root);
    end(&root, 1);
    for _ in 0..IDLE_ROUNDS_MAX + 1 {
        read(&mut processes, &root);
    }
    start(&root, (2, "b"), "", (0, 0), 1);
    assert_eq!(read(&mut processes, &root), ["b 1 0 1"]);
}

#[test]
fn units_are_the_innermost_service() {
    let cases = [
        ("0::/system.slice/ssh.service", Some("ssh")),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/mail.service", Some("mail")),
        ("0::/user.slice/user-0.slice/user@0.service/init.scope", None),
        ("12:cpu:/\n1:name=systemd:/system.slice/cron.service\n0::/\n", Some("cron")),
        ("0::/", None),
        ("", None),
        ("nonsense", None),
    ];
    for (cgroup, expected) in cases {
        assert_eq!(unit(cgroup), expected, "{cgroup}");
    }
}

proptest! {
    #[test]
    fn hostile_files_are_answered(text in "([0-9]{0,20}|[() \n]|é|::|/a.service){0,60}") {
        let _ = (stat(&text), unit(&text));
    }
}
