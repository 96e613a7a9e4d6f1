//! Bad input and bad places: each has a clear error that says what to do.

mod clock;
mod disk;
mod input;
mod slow;

use std::process::Output;

use crate::harness::{Node, free_port, program};

/// Runs the node until it refuses, and answers what it said.
fn refusal(arguments: &[&str]) -> String {
    let output = program().arg("ship").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["ship", "--nonsense"][..], &["query"], &["journal", "prove"]] {
        assert_eq!(program().args(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn two_nodes_on_one_folder_are_told_apart() {
    let node = Node::start("");
    let listen = format!("127.0.0.1:{}", free_port());
    let data = node.data();
    let text = refusal(&["--data", data.to_str().unwrap(), "--listen", &listen]);
    assert!(text.contains("is in use by another watchkeeper") && text.contains("hint:"), "{text}");
}

#[test]
fn a_port_in_use_is_named_with_the_command_that_finds_who_has_it() {
    let node = Node::start("");
    let other = tempfile::tempdir().unwrap();
    let data = other.path().join("data");
    let text = refusal(&["--data", data.to_str().unwrap(), "--listen", &node.http.to_string()]);
    assert!(text.contains(&format!("could not listen on {}", node.http)) && text.contains("ss -ltunp"), "{text}");
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_kept() {
    let mut node = Node::start("");
    node.terminate();
    let format = node.data().join("format");
    std::fs::write(&format, "2\n").unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let data = node.data();
    let text = refusal(&["--data", data.to_str().unwrap(), "--listen", &listen]);
    assert!(text.contains("has format 2, this version reads up to 1"), "{text}");
    assert_eq!(std::fs::read_to_string(format).unwrap(), "2\n");
}

#[test]
fn a_folder_that_cannot_be_made_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let inside = file.join("data");
    let listen = format!("127.0.0.1:{}", free_port());
    let text = refusal(&["--data", inside.to_str().unwrap(), "--listen", &listen]);
    assert!(text.contains("could not use the data folder") && text.contains("hint:"), "{text}");
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("watchkeeper.toml");
    std::fs::write(&file, "[http]\nlisten_on = \"127.0.0.1:1\"\n").unwrap();
    let text = refusal(&["--config", file.to_str().unwrap(), "--data", dir.path().join("data").to_str().unwrap()]);
    assert!(text.contains(r#"the key "listen_on" does not exist (line 2); did you mean "listen"?"#), "{text}");
}

#[test]
fn a_rule_that_cannot_work_stops_the_start_and_names_its_place() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bad.yaml"), "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: rate(\n")
        .unwrap();
    let file = dir.path().join("watchkeeper.toml");
    std::fs::write(&file, "[rules]\nfiles = [\"bad.yaml\"]\n").unwrap();
    let text = refusal(&["--config", file.to_str().unwrap(), "--data", dir.path().join("data").to_str().unwrap()]);
    assert!(text.contains("bad.yaml") && text.contains("watchkeeper rules check"), "{text}");
}

#[test]
fn an_address_for_all_is_served_over_tls_and_without_only_on_purpose() {
    let mut node = Node::prepare("");
    let file = node.dir().join("watchkeeper.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let port = node.http.port();
    std::fs::write(&file, text.replace(&format!("127.0.0.1:{port}"), &format!("0.0.0.0:{port}"))).unwrap();
    node.launch();
    let authority = node.data().join("tls/authority.pem");
    crate::harness::until(crate::harness::READY_WITHIN, "the authority is made", || authority.exists().then_some(()));
    let pem = std::fs::read(&authority).unwrap();
    let client = crate::harness::client_builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let answer = crate::harness::until(crate::harness::READY_WITHIN, "https answers", || {
        client.get(format!("https://127.0.0.1:{port}/healthz")).send().ok()
    });
    assert_eq!(answer.status(), 200);
    assert_eq!(node.get_status("/healthz"), None, "plain http is not served");
}

#[test]
fn a_node_that_is_down_still_answers() {
    let mut node = Node::start("");
    let body = r#"{"message":"before the end","app":"bridge"}"#;
    assert!(node.request("POST", "/api/v1/logs").body(body).send().unwrap().status().is_success());
    node.kill();
    assert_eq!(node.count("select count(*) from logs where app = 'bridge'"), 1);
    let refused = node.cli(&["token", "create", "--role", "viewer"]);
    assert!(!refused.status.success() && said(&refused).contains("needs the running node"), "{}", said(&refused));
    let nowhere = program().args(["--data", "/nonexistent/watchkeeper", "status"]).output().unwrap();
    assert!(said(&nowhere).contains("watchkeeper ship --data"), "{}", said(&nowhere));
}

#[test]
fn doctor_names_what_is_missing_and_the_command_that_mends_it() {
    let node = Node::start("");
    let findings = node.cli_json(&["doctor"])["findings"].clone();
    let text = findings.to_string();
    assert!(text.contains("nobody is told by mail") && text.contains("[mail]"), "{text}");
    assert!(text.contains("nobody has an account yet"), "{text}");
}
