//! ClickHouse's HTTP interface: a statement and its parameters there, rows in RowBinary back.

use std::io::Write as _;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, Url};
use serde::Deserialize;

use super::row_binary::{Get, Input, Unread};
use super::statement::Statement;
use super::{ClickHouseError, ClickHouseOptions};

/// How long a connection may take to be made.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a connection is kept without use; ClickHouse closes its side after 3 s by default.
const IDLE_MAX: Duration = Duration::from_secs(2);
/// How long sending a batch and its acknowledgement may take.
const INSERT_MAX: Duration = Duration::from_secs(60);
/// How long a question may take at most, whatever its own limit.
const ASK_MAX: Duration = Duration::from_secs(300);
/// Bytes of an error's text that are read.
const ERROR_BYTES_MAX: usize = 16 << 10;
/// A single row of more than this is none of ours.
const ROW_BYTES_MAX: usize = 128 << 20;
/// The level of zstd at which batches are sent.
const COMPRESSION: i32 = 1;
const SUMMARY_HEADER: &str = "x-clickhouse-summary";
const EXCEPTION_HEADER: &str = "x-clickhouse-exception-code";

/// Parameters of a request beside the statement.
pub(super) type Settings<'a> = &'a [(&'a str, String)];

/// The server's address and who we are there.
pub(super) struct Http {
    client: Client,
    /// As it was configured, for people.
    url: String,
    address: Url,
    sign_in: Option<(String, String)>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Http {
    /// Makes the client; nothing is sent yet.
    pub(super) fn new(options: &ClickHouseOptions) -> Result<Self, ClickHouseError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| ClickHouseError::ReadFile { path: path.clone(), source })
        };
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .http1_only()
            .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &options.authority_file {
            let refuse = |what: String| ClickHouseError::Authority { path: path.clone(), what };
            let certificates = Certificate::from_pem_bundle(&read(path)?).map_err(|error| refuse(error.to_string()))?;
            if certificates.is_empty() {
                return Err(refuse("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let password = options.password_file.as_ref().map(read).transpose()?.unwrap_or_default();
        let password = String::from_utf8_lossy(&password).trim_end_matches(['\r', '\n']).to_owned();
        let sign_in = options.user.clone().map(|user| (user, password));
        let url = options.url.clone();
        let unusable = |error: Box<dyn std::error::Error + Send + Sync>| ClickHouseError::unreachable(&url, error);
        let address = Url::parse(&url).map_err(|error| unusable(error.into()))?;
        let client = builder.build().map_err(|error| unusable(error.into()))?;
        Ok(Self { client, url, address, sign_in })
    }

    fn request(&self, database: &str, settings: Settings<'_>, parameters: &[(String, String)]) -> RequestBuilder {
        let mut address = self.address.clone();
        address
            .query_pairs_mut()
            .append_pair("database", database)
            // The whole answer is awaited by the server, so that a failure half-way is a failure and no short answer.
            .append_pair("wait_end_of_query", "1")
            .append_pair("default_format", "RowBinary")
            .extend_pairs(settings)
            .extend_pairs(parameters);
        let request = self.client.post(address);
        match &self.sign_in {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClickHouseError> {
        let response = request.send().await.map_err(|error| self.failed(error))?;
        if response.status().is_success() && !response.headers().contains_key(EXCEPTION_HEADER) {
            return Ok(response);
        }
        let status = response.status().as_u16();
        Err(ClickHouseError::answered(&self.url, status, &error_text(response).await))
    }

    /// The failure without the address, which holds the statement's parameters.
    fn failed(&self, error: reqwest::Error) -> ClickHouseError {
        ClickHouseError::unreachable(&self.url, error.without_url())
    }

    /// Asks for rows.
    pub(super) async fn ask<T: Get>(
        &self,
        database: &str,
        statement: &Statement,
        settings: Settings<'_>,
    ) -> Result<Answer<T>, ClickHouseError> {
        let (text, parameters) = statement.render();
        let request = self.request(database, settings, &parameters);
        let response = self.send(request.timeout(ASK_MAX).body(text)).await?;
        let summary = response.headers().get(SUMMARY_HEADER).and_then(read_rows);
        Ok(Answer { response, url: self.url.clone(), bytes: Vec::new(), at: 0, read_rows: summary, rows: PhantomData })
    }

    /// Runs a statement that answers nothing.
    pub(super) async fn run(
        &self,
        database: &str,
        statement: &Statement,
        settings: Settings<'_>,
    ) -> Result<(), ClickHouseError> {
        let (text, parameters) = statement.render();
        let request = self.request(database, settings, &parameters).timeout(ASK_MAX).body(text);
        self.send(request).await?.bytes().await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Inserts rows, given in RowBinary.
    pub(super) async fn insert(
        &self,
        database: &str,
        insert: &str,
        rows: Rows,
        settings: Settings<'_>,
    ) -> Result<(), ClickHouseError> {
        let request = self.request(database, settings, &[("query".to_owned(), insert.to_owned())]);
        let request = request.header(CONTENT_ENCODING, HeaderValue::from_static("zstd")).timeout(INSERT_MAX);
        let body = rows.finish().map_err(|error| ClickHouseError::unreachable(&self.url, error))?;
        self.send(request.body(body)).await?.bytes().await.map_err(|error| self.failed(error))?;
        Ok(())
    }
}

/// Rows gathered for an insert, compressed as they come.
pub(super) struct Rows(zstd::stream::write::Encoder<'static, Vec<u8>>);

impl Rows {
    pub(super) fn new() -> std::io::Result<Self> {
        zstd::stream::write::Encoder::new(Vec::new(), COMPRESSION).map(Self)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    fn finish(self) -> std::io::Result<Vec<u8>> {
        self.0.finish()
    }
}

/// The text of an error, as much of it as is worth reading.
async fn error_text(mut response: Response) -> String {
    let code = response.headers().get(EXCEPTION_HEADER).and_then(|code| code.to_str().ok());
    let code = code.map(|code| format!("Code: {code}. "));
    let mut bytes = Vec::new();
    while bytes.len() < ERROR_BYTES_MAX
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8_lossy(&bytes);
    // The text names the code as well, but for some of a server's own.
    code.filter(|_| !text.contains("Code: ")).unwrap_or_default() + &text
}

#[derive(Deserialize)]
struct Summary {
    read_rows: String,
}

fn read_rows(header: &HeaderValue) -> Option<u64> {
    serde_json::from_slice::<Summary>(header.as_bytes()).ok()?.read_rows.parse().ok()
}

/// Rows as they come.
pub(super) struct Answer<T> {
    response: Response,
    url: String,
    bytes: Vec<u8>,
    at: usize,
    /// How many rows the server says it has read.
    pub(super) read_rows: Option<u64>,
    rows: PhantomData<fn() -> T>,
}

impl<T: Get> Answer<T> {
    /// The next row; `None` behind the last.
    pub(super) async fn next(&mut self) -> Result<Option<T>, ClickHouseError> {
        loop {
            let mut input = Input(&self.bytes[self.at..]);
            match T::get(&mut input) {
                Ok(row) => {
                    self.at = self.bytes.len() - input.0.len();
                    return Ok(Some(row));
                }
                Err(Unread::Wrong) => return Err(self.wrong("its answer is not in RowBinary")),
                Err(Unread::Short) => {
                    self.bytes.drain(..self.at);
                    self.at = 0;
                }
            }
            if self.bytes.len() > ROW_BYTES_MAX {
                return Err(self.wrong("a row of its answer is too large"));
            }
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| ClickHouseError::unreachable(&self.url, error.without_url()))? {
                Some(chunk) => self.bytes.extend_from_slice(&chunk),
                None if self.bytes.is_empty() => return Ok(None),
                None => return Err(self.wrong("its answer ends within a row")),
            }
        }
    }

    /// The rows that are left.
    pub(super) async fn all(mut self) -> Result<Vec<T>, ClickHouseError> {
        let mut rows = Vec::new();
        while let Some(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// The only row, or the first.
    pub(super) async fn one(mut self) -> Result<T, ClickHouseError> {
        let row = self.next().await?;
        row.ok_or_else(|| self.wrong("its answer has no row"))
    }

    fn wrong(&self, what: &'static str) -> ClickHouseError {
        ClickHouseError::unreachable(&self.url, what)
    }
}
