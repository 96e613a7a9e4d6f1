//! An incident from its first sample to the mail that tells its end, and the node's own coming and going.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Node, incident_in_state, until, watched};

fn incident(node: &Node) -> Option<Value> {
    node.cli_json(&["incidents"])["incidents"].as_array()?.first().cloned()
}

#[test]
fn an_incident_is_told_taken_traced_and_replayed() {
    let mut node = watched();
    let opened = incident_in_state(&node, "open");
    let id = opened["id"].as_str().unwrap().to_owned();
    assert_eq!(opened["severity"], "major");
    assert!(opened["title"].as_str().unwrap().contains("is known"), "{opened}");
    let mails = node.dir().join("mails");
    let text = until(Duration::from_secs(20), "the mail", || {
        std::fs::read_to_string(&mails).ok().filter(|text| text.contains(&id))
    });
    assert!(text.contains("Subject: "), "{text}");
    assert!(node.cli(&["incidents", "acknowledge", &id]).status.success());
    assert!(node.cli(&["incidents", "comment", &id, "looking into it"]).status.success());
    incident_in_state(&node, "acknowledged");
    let shown = node.cli_json(&["incidents", "show", &id]);
    let kinds: Vec<&str> =
        shown["timeline"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"incident_opened") && kinds.contains(&"incident_acknowledged"), "{kinds:?}");
    let trace = node.cli_json(&["trace", &id]);
    let stages: Vec<&str> =
        trace["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    for stage in ["observed", "on disk", "journal", "spool", "delivered"] {
        assert!(stages.contains(&stage), "{stage} is not among {stages:?}");
    }
    let recording = node.dir().join("recording");
    let recorded = node.cli(&["record", "--out", recording.to_str().unwrap()]);
    assert!(recorded.status.success(), "{}", String::from_utf8_lossy(&recorded.stderr));
    let replayed = node.cli(&["replay", recording.to_str().unwrap()]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
    assert!(node.terminate() < Duration::from_secs(5), "SIGTERM ends it within 5 s");
    assert!(node.cli(&["journal", "verify"]).status.success());
    node.launch();
    node.wait_ready();
    assert_eq!(incident(&node).unwrap()["id"], id.as_str(), "the same incident after a restart");
    assert_eq!(node.count("select count(*) from incidents"), 1, "a restart writes nothing twice");
}

#[test]
fn five_plain_questions_are_answered_and_others_refused() {
    let node = watched();
    incident_in_state(&node, "open");
    for question in
        ["how full are the disks", "what is open", "what changed in the last hour", "which source is silent"]
    {
        let answer = node.cli_json(&["ask", question]);
        assert_eq!(answer["status"], "answered", "{question}: {answer}");
    }
    until(Duration::from_secs(90), "the cpu has a rate", || {
        let output = node.cli(&["ask", "how busy is the cpu", "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
        (answer["status"] == "answered" && answer["text"].as_str()?.contains('%')).then_some(())
    });
    let refused = node.cli(&["ask", "please reboot the router"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stdout).contains("I cannot answer that yet"));
}

#[test]
fn an_idle_node_is_small() {
    let node = Node::start("");
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("resident memory of an idle node: {kib} KiB");
    assert!(kib <= 120 * 1024, "{kib} KiB");
}
