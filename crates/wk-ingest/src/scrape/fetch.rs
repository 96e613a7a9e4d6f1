//! One HTTP request to a target.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, StatusCode};

use super::{Authorization, BODY_BYTES_MAX, ScrapeError, Target};
use crate::prometheus_text::Format;

const ACCEPTED: &str = "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: usize = 5;

/// Makes the HTTP client for scraping. It heeds no proxy settings, because targets are on board.
///
/// # Errors
/// No cryptography provider is installed in the process, or the client cannot be made.
pub fn client() -> Result<Client, ScrapeError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(ScrapeError::NoProvider);
    }
    let builder = || {
        Client::builder()
            .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .no_proxy()
    };
    // A machine without any certificates can still scrape over plain HTTP.
    builder().build().or_else(|_| builder().tls_certs_only([]).build()).map_err(ScrapeError::Client)
}

/// An answer: its text as bytes, and its format.
pub struct Fetched {
    pub body: Vec<u8>,
    pub format: Format,
}

/// Why a target gave no samples.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{}", chain(.0))]
    Request(reqwest::Error),
    #[error("could not read {file}: {source}")]
    Secret { file: String, source: std::io::Error },
    #[error("the target answered {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {BODY_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the answer has more than {0} samples")]
    TooManySamples(usize),
    #[error("the answer ends without # EOF")]
    Incomplete,
}

/// Fetches a target's metrics.
pub async fn fetch(client: &Client, target: &Target) -> Result<Fetched, FetchError> {
    let request = |error: reqwest::Error| FetchError::Request(error.without_url());
    let seconds = target.timeout.as_secs_f64().to_string();
    let mut response = authorized(client.get(target.url.clone()), &target.authorization)
        .await?
        .header(ACCEPT, ACCEPTED)
        .header("X-Prometheus-Scrape-Timeout-Seconds", seconds)
        .timeout(target.timeout)
        .send()
        .await
        .map_err(request)?;
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let format = Format::of(response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(request)? {
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched { body, format })
}

/// Adds what says who this side is; what a file holds is read anew each time.
async fn authorized(request: RequestBuilder, authorization: &Authorization) -> Result<RequestBuilder, FetchError> {
    Ok(match authorization {
        Authorization::Nobody => request,
        Authorization::Basic { user, password_file } => request.basic_auth(user, Some(secret(password_file).await?)),
        Authorization::Bearer { token_file } => request.bearer_auth(secret(token_file).await?),
    })
}

async fn secret(file: &Path) -> Result<String, FetchError> {
    let read = tokio::fs::read_to_string(file).await;
    read.map(|text| text.trim().to_owned())
        .map_err(|source| FetchError::Secret { file: file.display().to_string(), source })
}

/// The error and what caused it, each said once.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
