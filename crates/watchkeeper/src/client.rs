//! The way to the node: its Unix socket where it runs, else its data folder, opened for reading.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use wk_node::folder::socket_path;
use wk_node::{NodeError, OfflineNode};

/// Longest time a call may take.
const CALL_MAX: Duration = Duration::from_secs(65);

/// Where answers come from.
pub enum Client {
    /// The running node.
    Running(reqwest::Client),
    /// The data folder of a node that is down.
    Offline(Box<OfflineNode>),
}

/// How long to wait for a folder that another process uses.
const IN_USE_MAX: Duration = Duration::from_secs(3);
/// The status of an answer that is nothing.
const NO_CONTENT: u16 = 204;
/// Longest time a recording, an export or an import may go on.
const DOWNLOAD_MAX: Duration = Duration::from_secs(7 * 86_400);

impl Client {
    /// Reaches the node that uses `data`, or the folder itself where no node runs.
    ///
    /// # Errors
    /// A folder that does not exist or cannot be read.
    pub async fn open(data: &Path) -> Result<Self> {
        if let Some(running) = Self::connect(data).await? {
            return Ok(running);
        }
        if !data.join("format").exists() {
            bail!(
                "there is no node at {0} and no data folder either; start one: watchkeeper ship --data {0}",
                data.display()
            );
        }
        eprintln!("no node runs on {}; answering from the folder", data.display());
        let deadline = Instant::now() + IN_USE_MAX;
        loop {
            match OfflineNode::open(data).await {
                Ok(node) => return Ok(Self::Offline(Box::new(node))),
                // A node that is just starting or stopping, or another look at the folder: both end soon.
                Err(NodeError::InUse { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if let Some(running) = Self::connect(data).await? {
                        return Ok(running);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reaches the node over its socket; `None` where none listens.
    async fn connect(data: &Path) -> Result<Option<Self>> {
        let socket = socket_path(data);
        if tokio::net::UnixStream::connect(&socket).await.is_err() {
            return Ok(None);
        }
        let client = reqwest::Client::builder().unix_socket(socket).timeout(CALL_MAX).no_proxy().build()?;
        Ok(Some(Self::Running(client)))
    }

    /// Tells whether a node runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Reaches the running node.
    ///
    /// # Errors
    /// No node runs on the folder.
    pub async fn running(data: &Path) -> Result<Self> {
        Self::connect(data).await?.with_context(|| {
            format!("this needs the running node; start it: watchkeeper ship --data {}", data.display())
        })
    }

    /// Calls the node's API.
    ///
    /// # Errors
    /// A node that cannot be reached, or its refusal.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, bytes) = match self {
            Self::Running(client) => {
                let mut request = client.request(method, format!("http://localhost{path}"));
                if let Some(body) = body {
                    request = request.json(body);
                }
                let response = request.send().await.context("could not reach the node over its socket")?;
                (response.status().as_u16(), response.bytes().await?.to_vec())
            }
            Self::Offline(node) => node.call(method, path, body).await?,
        };
        if bytes.is_empty() && (200..300).contains(&status) {
            return Ok(Value::Null);
        }
        if (200..300).contains(&status) {
            return serde_json::from_slice(&bytes).context("the node answered no JSON");
        }
        Err(refusal(&bytes))
    }

    /// Writes what the node answers into a file and returns its size in bytes; `None`, and no file, where the node says
    /// that there is nothing.
    ///
    /// # Errors
    /// As [`Self::call`], and a file that cannot be written.
    pub async fn download(&self, path: &str, out: &Path) -> Result<Option<u64>> {
        let (status, mut stream) = self.pieces(path).await?;
        if status == NO_CONTENT {
            return Ok(None);
        }
        if status != 200 {
            let mut said = Vec::new();
            while let Some(piece) = stream.try_next().await? {
                said.extend_from_slice(&piece);
            }
            return Err(refusal(&said));
        }
        let mut file = create(out).await?;
        let mut size = 0;
        while let Some(piece) = stream.try_next().await.context("the answer broke off")? {
            file.write_all(&piece).await.with_context(|| format!("could not write {}", out.display()))?;
            size += piece.len() as u64;
        }
        file.sync_all().await.with_context(|| format!("could not write {}", out.display()))?;
        Ok(Some(size))
    }

    async fn pieces(&self, path: &str) -> Result<(u16, BoxStream<'_, Result<Bytes>>)> {
        Ok(match self {
            Self::Running(client) => {
                let request = client.get(format!("http://localhost{path}")).timeout(DOWNLOAD_MAX);
                let response = request.send().await.context("could not reach the node over its socket")?;
                (response.status().as_u16(), response.bytes_stream().map_err(Into::into).boxed())
            }
            Self::Offline(node) => {
                let (status, stream) = node.stream(path).await?;
                (status, stream.map_err(Into::into).boxed())
            }
        })
    }

    /// Sends a file to the running node.
    ///
    /// # Errors
    /// As [`Self::call`], a node that is down, and a file that cannot be read.
    pub async fn upload(&self, path: &str, file: &Path) -> Result<Value> {
        let Self::Running(client) = self else { bail!("only a running node takes anything in") };
        let content =
            tokio::fs::File::open(file).await.with_context(|| format!("could not read {}", file.display()))?;
        let request = client.post(format!("http://localhost{path}")).timeout(DOWNLOAD_MAX).body(content);
        let response = request.send().await.context("could not reach the node over its socket")?;
        let (status, bytes) = (response.status(), response.bytes().await?);
        if !status.is_success() {
            return Err(refusal(&bytes));
        }
        serde_json::from_slice(&bytes).context("the node answered no JSON")
    }

    /// Reads server-sent events of the running node until it ends them, and passes the data of each to `take`.
    ///
    /// # Errors
    /// A node that is down or ends the stream, or its refusal.
    pub async fn follow(&self, path: &str, mut take: impl FnMut(&str)) -> Result<()> {
        let Self::Running(client) = self else { bail!("only a running node can be followed") };
        let request = client.get(format!("http://localhost{path}")).timeout(DOWNLOAD_MAX);
        let mut response = request.send().await.context("could not reach the node over its socket")?;
        if !response.status().is_success() {
            return Err(refusal(&response.bytes().await?));
        }
        let mut pending = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            pending.extend_from_slice(&chunk);
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                if let Some(data) = String::from_utf8_lossy(&line).trim_end().strip_prefix("data: ") {
                    take(data);
                }
            }
        }
        bail!("the node has ended the stream")
    }

    /// Reads from the node's API.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Posts to the node's API.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }
}

/// What the node said, in its own words.
fn refusal(bytes: &[u8]) -> anyhow::Error {
    let said = serde_json::from_slice::<Value>(bytes).ok();
    let error = said.as_ref().and_then(|answer| answer["error"].as_str());
    anyhow!(error.unwrap_or("the node refused without saying why").to_owned())
}

async fn create(out: &Path) -> Result<tokio::fs::File> {
    tokio::fs::File::create(out).await.with_context(|| format!("could not write {}", out.display()))
}

/// The data folder where none is named: `$XDG_DATA_HOME/watchkeeper`, or `~/.local/share/watchkeeper`.
#[must_use]
pub fn default_data() -> PathBuf {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    std::env::var_os("XDG_DATA_HOME")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| home().join(".local/share"), PathBuf::from)
        .join("watchkeeper")
}
