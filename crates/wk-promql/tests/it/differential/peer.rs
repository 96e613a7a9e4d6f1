//! A real Prometheus with given series, and just enough HTTP to ask it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wk_types::labels::METRIC_NAME;
use wk_types::{Labels, Sample, UtcMs};

/// How long it may take to be ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// A Prometheus that ends with the test.
pub struct Peer {
    child: Child,
    folder: PathBuf,
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Series and their samples, as a range query answers them.
pub type Matrix = Vec<(Labels, Vec<Sample>)>;

fn program(root: &Path, name: &str) -> Command {
    let mut command = Command::new(root.join("usr/bin").join(name));
    command.env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
    command
}

impl Peer {
    /// Starts it over `series`; `None` where there is no such program.
    pub fn start(series: &Matrix) -> Option<Self> {
        let root = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from)?;
        if !root.join("usr/bin/prometheus").exists() || !root.join("usr/bin/promtool").exists() {
            return None;
        }
        let folder = std::env::temp_dir().join(format!("watchkeeper-differential-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("series.txt"), open_metrics(series)).unwrap();
        std::fs::write(folder.join("prometheus.yml"), "scrape_configs: []\n").unwrap();
        let made = program(&root, "promtool")
            .args(["tsdb", "create-blocks-from", "openmetrics"])
            .args([folder.join("series.txt"), folder.join("data")])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = program(&root, "prometheus")
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg("--storage.tsdb.retention.time=100y")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let stream = loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                break BufReader::new(stream);
            }
            assert!(began.elapsed() < READY_MAX, "Prometheus does not listen");
            std::thread::yield_now();
        };
        let mut peer = Self { child, folder, port, stream };
        while peer.post("/api/v1/query", "query=1").is_none_or(|answer| answer["status"] != "success") {
            assert!(began.elapsed() < READY_MAX, "Prometheus is not ready");
            peer.stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
        }
        Some(peer)
    }

    /// Asks a range query; the words of its refusal where it refuses.
    pub fn range(&mut self, query: &str, (from, to, step): (UtcMs, UtcMs, i64)) -> Result<Matrix, String> {
        let seconds = |time: UtcMs| format!("{}.{:03}", time.0 / 1_000, time.0 % 1_000);
        let form =
            format!("query={}&start={}&end={}&step={}", escaped(query), seconds(from), seconds(to), step / 1_000);
        let answer = self.post("/api/v1/query_range", &form).expect("Prometheus answers");
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or("").to_owned());
        }
        Ok(answer["data"]["result"].as_array().unwrap().iter().map(line).collect())
    }

    /// Posts a form over the one connection; `None` where that is cut or the answer is no JSON.
    fn post(&mut self, path: &str, form: &str) -> Option<Value> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{form}",
            self.port,
            form.len()
        );
        self.stream.get_mut().write_all(head.as_bytes()).ok()?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header).ok().filter(|read| *read > 0)?;
            let header = header.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            length = header.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
            chunked |= header.strip_prefix("transfer-encoding:").is_some_and(|text| text.trim() == "chunked");
        }
        let mut body = Vec::new();
        if !chunked {
            body.resize(length, 0);
            self.stream.read_exact(&mut body).ok()?;
        }
        while chunked {
            let mut size = String::new();
            self.stream.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).ok()?;
            body.extend_from_slice(&chunk[..size]);
            chunked = size > 0;
        }
        serde_json::from_slice(&body).ok()
    }
}

fn line(entry: &Value) -> (Labels, Vec<Sample>) {
    let labels = entry["metric"].as_object().unwrap().iter();
    let point = |point: &Value| {
        let time = UtcMs((point[0].as_f64().unwrap() * 1_000.0).round() as i64);
        Sample::new(time, point[1].as_str().unwrap().parse().unwrap())
    };
    let samples = entry["values"].as_array().unwrap().iter().map(point).collect();
    (Labels::new(labels.map(|(name, value)| (name.as_str(), value.as_str().unwrap()))), samples)
}

fn open_metrics(series: &Matrix) -> String {
    let mut text = String::new();
    for (labels, samples) in series {
        let pairs = labels.iter().filter(|(name, _)| &***name != METRIC_NAME);
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = format!("{}{{{}}}", labels.name(), pairs.join(","));
        for sample in samples {
            let (seconds, ms) = (sample.time.0 / 1_000, sample.time.0 % 1_000);
            text += &format!("{labels} {} {seconds}.{ms:03}\n", sample.value);
        }
    }
    text + "# EOF\n"
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
