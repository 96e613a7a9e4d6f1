//! The engine in a process of its own, and a proxy that makes its connections fail.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long the engine may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// The engine behind HTTP on loopback; it ends with the process that started it.
pub(super) struct Engine {
    child: Child,
    folder: tempfile::TempDir,
    sign_in: Vec<String>,
    pub(super) port: u16,
}

impl Engine {
    /// Starts the engine; `None`, and noted as skipped, where it cannot be had.
    pub(super) fn start(test: &str, sign_in: &[&str]) -> Option<Self> {
        let python = python(test)?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let sign_in: Vec<String> = sign_in.iter().map(|&word| word.to_owned()).collect();
        let child = launch(&python, folder.path(), port, &sign_in);
        Some(Self { child, folder, sign_in, port })
    }

    /// One engine for all tests that do not end it; each has a database of its own.
    pub(super) fn shared(test: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Engine>> = OnceLock::new();
        python(test)?;
        SHARED.get_or_init(|| Self::start(test, &[])).as_ref()
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on its folder and port.
    pub(super) fn restart(&mut self) {
        self.child = launch(&python("restart").unwrap(), self.folder.path(), self.port, &self.sign_in);
    }

    /// The processor time that the engine has taken, in seconds.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let mut fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11);
        let mut ticks = || fields.next().unwrap().parse::<f64>().unwrap();
        (ticks() + ticks()) / 100.0
    }

    /// Asks the engine itself; answers its text.
    pub(super) fn ask(&self, database: &str, sql: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "POST /?database={database} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            sql.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(sql.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{sql}: {body}");
        body.to_owned()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's real server, which is too old; `None`, and noted as skipped, where it cannot be had.
pub(super) struct OldServer {
    child: Child,
    _folder: tempfile::TempDir,
    pub(super) port: u16,
}

impl OldServer {
    pub(super) fn start(test: &str) -> Option<Self> {
        let root = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from).unwrap_or_default().join("clickhouse");
        let program = root.join("usr/sbin/clickhouse-server");
        if !program.exists() {
            skip(test, "clickhouse/usr/sbin/clickhouse-server is not in WATCHKEEPER_PEERS; fetch it: ./x peers");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, path) = (free_port(), folder.path().display());
        let server = format!(
            "<yandex><logger><level>error</level><console>1</console></logger><http_port>{port}</http_port>\
             <listen_host>127.0.0.1</listen_host><path>{path}/data/</path><tmp_path>{path}/tmp/</tmp_path>\
             <mark_cache_size>1000000</mark_cache_size><users_config>{path}/users.xml</users_config>\
             <default_profile>default</default_profile><default_database>default</default_database></yandex>"
        );
        let users = "<yandex><profiles><default/></profiles><users><default><password></password>\
                     <networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota></default></users>\
                     <quotas><default/></quotas></yandex>";
        std::fs::write(folder.path().join("server.xml"), server).unwrap();
        std::fs::write(folder.path().join("users.xml"), users).unwrap();
        let libraries = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|dir| root.join(dir));
        let mut child = Command::new(program)
            .arg(format!("--config-file={path}/server.xml"))
            .env("LD_LIBRARY_PATH", libraries.map(|path| path.display().to_string()).join(":"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&mut child, port);
        Some(Self { child, _folder: folder, port })
    }
}

impl Drop for OldServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn python(test: &str) -> Option<PathBuf> {
    let root = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from).unwrap_or_default();
    let python = root.join("chdb/bin/python");
    if python.exists() {
        return Some(python);
    }
    skip(test, "chdb/bin/python is not in WATCHKEEPER_PEERS; fetch it: ./x peers");
    None
}

/// Notes that a test was skipped, for the table at the end of the run.
fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(list) = std::env::var_os("WATCHKEEPER_SKIPPED") {
        let mut list = std::fs::File::options().append(true).create(true).open(list).unwrap();
        writeln!(list, "{test}: {why}").unwrap();
    }
}

/// Waits until a process listens on its port.
fn wait_for(child: &mut Child, port: u16) {
    let deadline = Instant::now() + START_MAX;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "the peer did not start");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn launch(python: &Path, folder: &Path, port: u16, sign_in: &[String]) -> Child {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clickhouse/serve.py");
    let mut command = Command::new(python);
    command.arg(script).arg(folder).arg(port.to_string()).args(sign_in).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for(&mut child, port);
    child
}

/// What a proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Hands everything on.
    None,
    /// Closes each connection at once.
    Closed,
    /// Hands requests on, and closes where the answer should come.
    AnswerLost,
    /// Answers for itself that the server is not available.
    Unavailable,
    /// Takes the request and says nothing.
    Silent,
}

const FAULTS: [Fault; 5] = [Fault::None, Fault::Closed, Fault::AnswerLost, Fault::Unavailable, Fault::Silent];

/// Stands before the engine.
pub(super) struct Proxy {
    fault: Arc<AtomicU8>,
    /// Answers that were lost.
    pub(super) lost: Arc<AtomicUsize>,
    pub(super) port: u16,
}

impl Proxy {
    pub(super) fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap().port();
        let (fault, lost) = (Arc::new(AtomicU8::new(0)), Arc::new(AtomicUsize::new(0)));
        let (faults, losses) = (Arc::clone(&fault), Arc::clone(&lost));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (fault, losses) = (FAULTS[usize::from(faults.load(Ordering::SeqCst))], Arc::clone(&losses));
                std::thread::spawn(move || hand_on(stream, port, fault, &losses));
            }
        });
        Self { fault, lost, port: own }
    }

    pub(super) fn set(&self, fault: Fault) {
        self.fault.store(FAULTS.iter().position(|one| *one == fault).unwrap() as u8, Ordering::SeqCst);
    }
}

/// Hands one connection on; the engine closes it after each answer.
fn hand_on(mut client: TcpStream, port: u16, fault: Fault, losses: &AtomicUsize) {
    match fault {
        Fault::Closed => return,
        Fault::Unavailable => {
            read_some(&mut client);
            let _ = client
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy");
            return;
        }
        Fault::Silent => {
            let _ = client.read_to_end(&mut Vec::new());
            return;
        }
        Fault::None | Fault::AnswerLost => {}
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let requests = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
    });
    let mut answer = Vec::new();
    let _ = server.read_to_end(&mut answer);
    if fault == Fault::AnswerLost && !answer.is_empty() {
        losses.fetch_add(1, Ordering::SeqCst);
    } else {
        let _ = client.write_all(&answer);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = requests.join();
}

/// Reads a request as far as it comes within a moment.
fn read_some(client: &mut TcpStream) {
    client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut buffer = [0; 65_536];
    while client.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
