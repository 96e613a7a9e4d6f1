//! A real node: the built program in a folder of its own, on free ports of loopback, ended by its pid.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a node may take to be ready.
pub const READY_WITHIN: Duration = Duration::from_secs(10);

/// A free port of loopback.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `condition` answers something, or fails with `what`.
pub fn until<T>(within: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = condition() {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A running node and its folder.
pub struct Node {
    dir: tempfile::TempDir,
    child: Option<Child>,
    enclosure: Option<Enclosure>,
    environment: Vec<(String, PathBuf)>,
    pub http: SocketAddr,
    pub syslog: SocketAddr,
}

impl Node {
    /// Starts a node with further lines of configuration and waits until it is ready.
    pub fn start(extra: &str) -> Self {
        let mut node = Self::prepare(extra);
        node.launch();
        node.wait_ready();
        node
    }

    /// The same with further lines of the part on syslog.
    pub fn start_in_syslog(lines: &str) -> Self {
        let mut node = Self::prepare("");
        let file = node.dir.path().join("watchkeeper.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("[syslog]\n", &format!("[syslog]\n{lines}"))).unwrap();
        node.launch();
        node.wait_ready();
        node
    }

    /// A folder with a configuration, and no node yet. The node watches nothing but itself, so that tests see what
    /// they sent and nothing else.
    pub fn prepare(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let http = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let syslog = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let quiet = if extra.contains("[host]") { "" } else { "[host]\nenabled = false\n" };
        let config = format!(
            "name = \"MV Test\"\n[http]\nlisten = \"{http}\"\n[syslog]\nlisten = \"{syslog}\"\n[logs]\njournald = false\nfiles = []\n{quiet}{extra}\n"
        );
        std::fs::write(dir.path().join("watchkeeper.toml"), config).unwrap();
        Self { dir, child: None, enclosure: None, environment: Vec::new(), http, syslog }
    }

    /// Gives the node a data folder on a file system of its own, of so many MiB, which outlives the node. Answers
    /// whether this machine allows it; where not, `test` is noted as skipped.
    pub fn enclose(&mut self, test: &str, mib: u32) -> bool {
        let data = self.dir.path().join("data");
        std::fs::create_dir(&data).unwrap();
        self.enclosure = Enclosure::new(&data, mib);
        if self.enclosure.is_none() {
            skip(test, "this machine allows no user and mount namespaces");
        }
        self.enclosure.is_some()
    }

    /// What happens to the node's file system is done by such a command, in the node's own namespace.
    pub fn inside(&self, name: &str) -> Command {
        self.enclosure.as_ref().unwrap().command(name.as_ref())
    }

    /// A variable of the environment in which the node is started.
    pub fn set_environment(&mut self, name: &str, value: &Path) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The data folder, as it is reached from here.
    pub fn data(&self) -> PathBuf {
        let data = self.dir.path().join("data");
        self.enclosure.as_ref().map_or(data.clone(), |enclosure| enclosure.seen_from_outside(&data))
    }

    /// The data folder, as the node is told it.
    pub fn own_data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the program; its log goes to `node.log` in the folder.
    pub fn launch(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("node.log")).unwrap();
        let child = self
            .command()
            .args(["ship", "--config"])
            .arg(self.dir.path().join("watchkeeper.toml"))
            .arg("--data")
            .arg(self.own_data())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// The program as this node runs it.
    pub fn command(&self) -> Command {
        let mut command = self
            .enclosure
            .as_ref()
            .map_or_else(program, |enclosure| enclosure.command(env!("CARGO_BIN_EXE_watchkeeper").as_ref()));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn wait_ready(&mut self) {
        let deadline = Instant::now() + READY_WITHIN;
        while self.get_status("/readyz") != Some(200) {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "the node is not ready:\n{}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("node.log")).unwrap_or_default()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub fn get_status(&self, path: &str) -> Option<u16> {
        client().get(self.url(path)).send().ok().map(|response| response.status().as_u16())
    }

    /// A request without a token, as a program on this machine sends it.
    pub fn request(&self, method: &str, path: &str) -> reqwest::blocking::RequestBuilder {
        client().request(method.parse().unwrap(), self.url(path))
    }

    /// A token of a role, made over the node's own socket.
    pub fn token(&self, role: &str) -> String {
        self.cli_json(&["token", "create", "--role", role])["secret"].as_str().unwrap().to_owned()
    }

    /// Sends a body to the log interface and answers status and body.
    pub fn send_logs(&self, body: &str) -> (u16, Value) {
        let response = self.request("POST", "/api/v1/logs").body(body.to_owned()).send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }

    /// A source's counters as the pipeline page shows them.
    pub fn source(&self, name: &str) -> Value {
        let pipeline = self.cli_json(&["pipeline"]);
        let sources = pipeline["sources"].as_array().unwrap();
        sources.iter().find(|source| source["name"] == name).cloned().unwrap_or_default()
    }

    /// How many items a source has refused, whatever the reason.
    pub fn rejected(&self, source: &str) -> u64 {
        let source = self.source(source);
        let reasons = source["rejected"].as_array().map_or(&[][..], Vec::as_slice);
        reasons.iter().map(|reason| reason["count"].as_u64().unwrap()).sum()
    }

    /// Runs the command line against this node's folder.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.command().arg("--data").arg(self.own_data()).args(arguments).output().unwrap()
    }

    /// Runs a verb with `--json` and reads its answer.
    pub fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The rows of an SQL query.
    pub fn sql(&self, query: &str) -> Vec<Value> {
        self.cli_json(&["query", "sql", query])["rows"].as_array().unwrap().clone()
    }

    /// The single number an SQL query answers.
    pub fn count(&self, query: &str) -> u64 {
        self.sql(query)[0][0].as_u64().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Kills the node as a power cut would end it.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends the node cleanly and returns how long it took.
    pub fn terminate(&mut self) -> Duration {
        let mut child = self.child.take().unwrap();
        let began = Instant::now();
        let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(ended.success());
        let status = child.wait().unwrap();
        assert!(status.success(), "the node ended with {status}:\n{}", self.log());
        began.elapsed()
    }
}

/// A node and a token to read it with.
pub struct Read {
    pub node: Node,
    pub token: String,
}

impl Read {
    pub fn new(node: Node) -> Self {
        let token = node.token("viewer");
        Self { node, token }
    }

    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.node.request(method, path).bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }

    pub fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask("GET", path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }
}

/// A rule that holds from the first round of host metrics on.
const ALWAYS: &str = "groups:\n- name: test\n  interval: 5s\n  rules:\n  - alert: AlwaysThere\n    expr: node_load1{job=\"host\"} >= 0\n    labels: {severity: major}\n    annotations: {summary: \"load on {{ $labels.instance }} is known\"}\n";

/// A node with that rule, the shipped ones switched off, whose mails a script writes into a file.
pub fn watched() -> Node {
    let mut node = Node::prepare(
        "[host]\ninterval_s = 1\n[rules]\ndefaults = false\nfiles = [\"always.yaml\"]\n[incident]\nhold_s = 5\n\
         [mail]\nfrom = \"watch@ship.example\"\nto = [\"eto@ship.example\"]\nsendmail = [\"MAILER\", \"-t\"]\n",
    );
    std::fs::write(node.dir().join("always.yaml"), ALWAYS).unwrap();
    let mailer = node.dir().join("mailer");
    std::fs::write(&mailer, format!("#!/bin/sh\ncat >> {}/mails\n", node.dir().display())).unwrap();
    std::fs::set_permissions(&mailer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = node.dir().join("watchkeeper.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("MAILER", mailer.to_str().unwrap())).unwrap();
    node.launch();
    node.wait_ready();
    node
}

/// The node's incident, once it is in a state.
pub fn incident_in_state(node: &Node, state: &str) -> Value {
    until(Duration::from_secs(30), state, || {
        let incidents = node.cli_json(&["incidents"]);
        incidents["incidents"].as_array()?.first().filter(|incident| incident["state"] == state).cloned()
    })
}

/// A mount namespace with a small file system of its own, held open by a process, so that it outlives the node.
struct Enclosure(Ended);

impl Enclosure {
    /// Mounts a file system of so many MiB over `folder`; `None` where the machine does not allow it.
    fn new(folder: &Path, mib: u32) -> Option<Self> {
        let script = format!("mount -t tmpfs -o size={mib}m,mode=700 tmpfs \"$1\" && echo mounted && exec cat");
        let holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut holder = Ended(holder.ok()?);
        let mut line = String::new();
        BufReader::new(holder.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (line == "mounted\n").then_some(Self(holder))
    }

    /// A program that runs inside, with the process id that its child has.
    fn command(&self, name: &std::ffi::OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--preserve-credentials", "--user", "--mount", "--target"]).arg(self.0.0.id().to_string());
        command.arg("--").arg(name);
        command
    }

    fn seen_from_outside(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.0.0.id(), path.display()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A client that talks to nobody but the address it is given.
pub fn client() -> reqwest::blocking::Client {
    client_builder().build().unwrap()
}

/// As [`client`], to be given more.
pub fn client_builder() -> reqwest::blocking::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(30))
}

/// The built program.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_watchkeeper"));
    command.env_remove("WATCHKEEPER_PROGRAM");
    command
}

/// A peer's program from the folder that the test set-up unpacked, ready to run; `None`, and noted as skipped, where
/// it is not there.
pub fn peer(test: &str, path: &str) -> Option<Command> {
    let root = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from).unwrap_or_default();
    let file = root.join(path);
    if !file.exists() {
        skip(test, &format!("{path} is not in WATCHKEEPER_PEERS"));
        return None;
    }
    let mut command = Command::new(file);
    command.env("LD_LIBRARY_PATH", format!("{0}/usr/lib/x86_64-linux-gnu:{0}/usr/lib/postfix", root.display()));
    Some(command)
}

/// Notes that a test was skipped, for the table at the end of the run.
pub fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(list) = std::env::var_os("WATCHKEEPER_SKIPPED") {
        use std::io::Write as _;
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        writeln!(list, "{test}: {why}").unwrap();
    }
}

/// A process that is ended with the test.
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
