use super::*;

#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn seeds_of_syslog_are_answered() {
    replay::replay("syslog", syslog);
}

#[test]
fn seeds_of_journald_are_answered() {
    replay::replay("journald", journald);
}

#[test]
fn seeds_of_json_logs_are_answered() {
    replay::replay("json_logs", json_logs);
}

#[test]
fn seeds_of_prometheus_text_are_answered() {
    replay::replay("prometheus_text", prometheus_text);
}

#[test]
fn seeds_of_remote_write_v1_are_answered() {
    replay::replay("remote_write_v1", remote_write_v1);
}

#[test]
fn seeds_of_remote_write_v2_are_answered() {
    replay::replay("remote_write_v2", remote_write_v2);
}
