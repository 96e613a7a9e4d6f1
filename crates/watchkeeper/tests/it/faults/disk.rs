//! A disk that is really full, and one that cannot be written: small file systems in namespaces of the test's own.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Node, until};

/// Large enough for the databases of a node and some segments, small enough to fill at once.
const DISK_MIB: u32 = 48;

/// What fills the disk to its last byte.
struct Filler(PathBuf);

impl Filler {
    fn fill(node: &Node) -> Self {
        let filler = Self(node.data().join("filler"));
        let mut file = File::create(&filler.0).unwrap();
        for piece in [1 << 20, 4_096, 1] {
            while file.write_all(&vec![0; piece]).is_ok() {}
        }
        filler
    }

    fn free(self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Sends numbered messages and keeps which of them were acknowledged.
struct Sender<'a> {
    node: &'a Node,
    next: u64,
    acknowledged: BTreeSet<String>,
}

impl<'a> Sender<'a> {
    fn new(node: &'a Node) -> Self {
        Self { node, next: 0, acknowledged: BTreeSet::new() }
    }

    /// Sends one message of about 2 KiB that does not compress; answers the refusal where it was refused.
    fn send(&mut self) -> Result<(), (u16, Value)> {
        self.send_with(&noise(self.next))
    }

    fn send_with(&mut self, text: &str) -> Result<(), (u16, Value)> {
        self.next += 1;
        let message = format!("log-{}-{text}", self.next);
        let (status, answer) = self.node.send_logs(&json!({"app": "disk", "message": message}).to_string());
        if status != 200 {
            return Err((status, answer));
        }
        self.acknowledged.insert(message);
        Ok(())
    }

    fn lost(&self, rows: &[Value]) -> Vec<&String> {
        let found: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str().unwrap()).collect();
        self.acknowledged.iter().filter(|message| !found.contains(message.as_str())).collect()
    }
}

/// Hexadecimal digits without a pattern, the same for the same number.
fn noise(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        format!("{state:016x}")
    };
    (0..128).map(|_| word()).collect()
}

/// What is stored of what was sent.
fn stored(node: &Node) -> Vec<Value> {
    node.sql("select message from logs where app = 'disk'")
}

/// Sends until the node refuses even what is short.
fn send_until_refused(sender: &mut Sender<'_>) -> (u16, Value) {
    for text in [noise(7).as_str(), ""] {
        let refused = (0..20_000).find_map(|_| sender.send_with(text).err());
        let (status, refusal) = refused.unwrap_or_else(|| panic!("a full disk took {} messages", sender.next));
        if text.is_empty() || status != 503 {
            return (status, refusal);
        }
    }
    unreachable!("the last text is empty")
}

#[test]
fn a_full_disk_refuses_answers_loses_nothing_and_goes_on_by_itself() {
    let mut node = Node::prepare("");
    if !node.enclose("a_full_disk_refuses_answers_loses_nothing_and_goes_on_by_itself", DISK_MIB) {
        return;
    }
    node.launch();
    node.wait_ready();
    let viewer = node.token("viewer");
    let mut sender = Sender::new(&node);
    for _ in 0..20 {
        sender.send().unwrap();
    }
    for round in 0..2 {
        let filler = Filler::fill(&node);
        let (status, refusal) = send_until_refused(&mut sender);
        assert_eq!(status, 503, "{refusal}");
        let text = refusal["error"].as_str().unwrap();
        assert!(text.contains("space") || text.contains("full"), "the refusal names the disk: {text}");
        until(Duration::from_secs(20), "the node says what ails it", || {
            let ailments = node.cli_json(&["pipeline"])["ailments"].to_string();
            (ailments.contains("space") || ailments.contains("full")).then_some(())
        });
        // What was refused stays refused while the disk is full, and nothing else stops.
        for _ in 0..10 {
            if let Err((status, refusal)) = sender.send() {
                assert_eq!(status, 503, "{refusal}");
            }
        }
        for (method, path, body) in [
            ("GET", "/healthz", Value::Null),
            ("GET", "/api/v1/status", Value::Null),
            ("GET", "/api/v1/incidents", Value::Null),
            ("GET", "/api/v1/pipeline", Value::Null),
            ("GET", "/api/v1/query?query=vector(1)", Value::Null),
            ("GET", "/api/v1/doctor", Value::Null),
            ("POST", "/api/v1/sql", json!({"query": "select count(*) from logs"})),
            ("POST", "/api/v1/ask", json!({"question": "what is open?"})),
        ] {
            let request = node.request(method, path).bearer_auth(&viewer);
            let request = if body.is_null() { request } else { request.json(&body) };
            let response = request.send().unwrap();
            let status = response.status();
            assert!(status.is_success(), "round {round}: {path} answered {status}: {}", response.text().unwrap());
        }
        // Doctor's exit code tells that something is wrong, as it should.
        let doctor = String::from_utf8(node.cli(&["doctor"]).stdout).unwrap();
        assert!(doctor.contains("MB left") || doctor.contains("space"), "doctor names the disk: {doctor}");
        filler.free();
        until(Duration::from_secs(20), "the node takes in again by itself", || sender.send().ok());
        for _ in 0..20 {
            sender.send().unwrap();
        }
        until(Duration::from_secs(20), "everything acknowledged is there", || {
            sender.lost(&stored(&node)).is_empty().then_some(())
        });
        until(Duration::from_secs(20), "nothing ails the node any more", || {
            node.cli_json(&["pipeline"])["ailments"].as_array().unwrap().is_empty().then_some(())
        });
    }
    let Sender { next, acknowledged, .. } = sender;
    node.kill();
    node.launch();
    node.wait_ready();
    let sender = Sender { node: &node, next, acknowledged };
    assert_eq!(sender.lost(&stored(&node)), Vec::<&String>::new(), "after a restart");
    let verified = node.cli(&["journal", "verify"]);
    assert!(verified.status.success(), "the journal holds: {verified:?}");
}

#[test]
fn a_start_on_a_full_disk_says_so_and_works_once_there_is_room() {
    let mut node = Node::prepare("");
    if !node.enclose("a_start_on_a_full_disk_says_so_and_works_once_there_is_room", DISK_MIB) {
        return;
    }
    node.launch();
    node.wait_ready();
    assert_eq!(node.send_logs(r#"{"message":"before","app":"disk"}"#).0, 200);
    node.kill();
    let filler = Filler::fill(&node);
    let text = refusal(&node);
    assert!(text.contains("space") || text.contains("full"), "{text}");
    assert!(text.contains("hint:"), "{text}");
    filler.free();
    node.launch();
    node.wait_ready();
    assert_eq!(stored(&node), [json!(["before"])]);
}

#[test]
fn a_folder_that_became_read_only_says_so_and_is_kept() {
    let mut node = Node::prepare("");
    if !node.enclose("a_folder_that_became_read_only_says_so_and_is_kept", DISK_MIB) {
        return;
    }
    node.launch();
    node.wait_ready();
    assert_eq!(node.send_logs(r#"{"message":"before","app":"disk"}"#).0, 200);
    node.terminate();
    let remount = |how: &str| {
        let status = node.inside("mount").args(["-o", &format!("remount,{how}")]).arg(node.own_data()).status();
        assert!(status.unwrap().success());
    };
    remount("ro");
    let text = refusal(&node);
    assert!(text.to_lowercase().contains("read-only") && text.contains("hint:"), "{text}");
    // The command line answers from it, or says just as clearly why not.
    let read = node.cli(&["query", "sql", "select message from logs where app = 'disk'", "--json"]);
    let said = String::from_utf8_lossy(&read.stderr).into_owned();
    let is_clear = said.to_lowercase().contains("read-only") && said.contains("hint:");
    assert!(read.status.success() || is_clear, "{said}");
    remount("rw");
    node.launch();
    node.wait_ready();
    assert_eq!(stored(&node), [json!(["before"])]);
}

/// Runs the node until it refuses to start, and answers what it said.
fn refusal(node: &Node) -> String {
    let output = node
        .command()
        .args(["ship", "--config"])
        .arg(node.dir().join("watchkeeper.toml"))
        .arg("--data")
        .arg(node.own_data())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}
