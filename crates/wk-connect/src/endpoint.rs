//! One outside system over HTTP: its address, who it is told that we are, and whom it is believed to be.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Url};
use wk_types::ErrorKind;

/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a connection is kept that nothing is sent over.
const IDLE_MAX: Duration = Duration::from_secs(90);
/// A file with a password, a token or an authority is far smaller than this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who we are to an outside system. The files are read for each request, so that a new secret needs no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// HTTP basic authentication.
    Basic {
        /// The user.
        user: String,
        /// File whose first line is the password.
        password_file: PathBuf,
    },
    /// `Authorization: Bearer`.
    Bearer {
        /// File whose first line is the token.
        token_file: PathBuf,
    },
}

/// Where an outside system is and how it is spoken to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointSettings {
    /// Its address, with what stands before the paths of its API; without credentials.
    pub url: String,
    /// Who we are.
    pub credentials: Option<Credentials>,
    /// Further headers of every request.
    pub headers: Vec<(&'static str, String)>,
    /// File in PEM with the authority that signed its certificate, beside those of the system.
    pub authority_file: Option<PathBuf>,
}

/// Why an outside system cannot be spoken to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("{url:?} is no address of an outside system: {what}")]
    Url {
        /// The address as written.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A header cannot be sent.
    #[error("{name} cannot be sent as a header")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// A file cannot be read or used.
    #[error("could not use {}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The client cannot be made.
    #[error("could not set up HTTP: {0}")]
    Client(String),
}

impl ConnectError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } | Self::Header { .. } | Self::File { .. } => ErrorKind::InvalidInput,
            Self::Client(_) => ErrorKind::Unavailable,
        }
    }
}

/// An outside system that can be asked; clones share its connections.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    base: Url,
    client: Client,
    credentials: Option<Credentials>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("base", &self.0.base.as_str()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Makes one; nothing is sent yet. Neither proxies nor redirects are followed: credentials go where they were meant
    /// to go.
    ///
    /// # Errors
    /// An address, header or file that cannot be used, a process without a TLS library.
    pub fn new(settings: &EndpointSettings) -> Result<Self, ConnectError> {
        let wrong = |what: &str| ConnectError::Url { url: settings.url.clone(), what: what.to_owned() };
        let base: Url = settings.url.trim_end_matches('/').parse().map_err(|error| wrong(&format!("{error}")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong("it must begin with http:// or https:// and name a host"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            // Not repeated: it holds a secret.
            let what = "it holds a user or a password; these have keys of their own".to_owned();
            return Err(ConnectError::Url { url: base.host_str().unwrap_or_default().to_owned(), what });
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("it must end with its path, without ? or #"));
        }
        let headers = settings.headers.iter().map(|(name, value)| {
            let sent = HeaderName::try_from(*name).ok().zip(HeaderValue::try_from(value.as_str()).ok());
            sent.ok_or(ConnectError::Header { name })
        });
        let inner = Inner {
            base,
            client: client(settings.authority_file.as_deref())?,
            credentials: settings.credentials.clone(),
            headers: headers.collect::<Result<_, _>>()?,
        };
        inner.authorization()?;
        Ok(Self(Arc::new(inner)))
    }

    /// The address, which holds no secret.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.base.as_str().trim_end_matches('/')
    }

    /// Begins a request; `path` is put behind the address, and `query` behind that.
    ///
    /// # Errors
    /// A file with a secret that cannot be read.
    pub fn request(&self, method: Method, path: &[&str], query: Option<&str>) -> Result<RequestBuilder, ConnectError> {
        let mut url = self.0.base.clone();
        url.set_query(query);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let mut request = self.0.client.request(method, url);
        for (name, value) in &self.0.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = self.0.authorization()? {
            request = match authorization {
                Authorization::Basic(user, password) => request.basic_auth(user, Some(password)),
                Authorization::Bearer(token) => request.bearer_auth(token),
            };
        }
        Ok(request)
    }
}

enum Authorization<'a> {
    Basic(&'a str, String),
    Bearer(String),
}

impl Inner {
    fn authorization(&self) -> Result<Option<Authorization<'_>>, ConnectError> {
        Ok(match &self.credentials {
            None => None,
            Some(Credentials::Basic { user, password_file }) => {
                Some(Authorization::Basic(user, first_line(password_file)?))
            }
            Some(Credentials::Bearer { token_file }) => Some(Authorization::Bearer(first_line(token_file)?)),
        })
    }
}

fn client(authority_file: Option<&Path>) -> Result<Client, ConnectError> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err(ConnectError::Client("no TLS library is installed in the process".to_owned()));
    }
    let authorities = match authority_file {
        None => Vec::new(),
        Some(path) => {
            let wrong = |what: String| ConnectError::File { path: path.to_owned(), what };
            let found = Certificate::from_pem_bundle(&read(path)?).map_err(|error| wrong(chain(&error)))?;
            if found.is_empty() {
                return Err(wrong("it holds no certificate in PEM".to_owned()));
            }
            found
        }
    };
    let builder = || {
        Client::builder()
            .user_agent(concat!("watchkeeper/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
    };
    let first = if authorities.is_empty() { builder() } else { builder().tls_certs_merge(authorities.clone()) };
    // A machine without any certificates can still speak plain HTTP, and to whom the given authority signed for.
    first
        .build()
        .or_else(|_| builder().tls_certs_only(authorities).build())
        .map_err(|error| ConnectError::Client(chain(&error)))
}

fn first_line(path: &Path) -> Result<String, ConnectError> {
    let bytes = read(path)?;
    let wrong = |what: &str| ConnectError::File { path: path.to_owned(), what: what.to_owned() };
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is no text"))?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.is_empty() { Err(wrong("its first line is empty")) } else { Ok(line.to_owned()) }
}

fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let wrong = |what: String| ConnectError::File { path: path.to_owned(), what };
    let bytes = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(wrong(format!("it has {bytes} bytes, more than the {FILE_BYTES_MAX} that are read")));
    }
    std::fs::read(path).map_err(|error| wrong(error.to_string()))
}

/// An error with its causes in one line, each said once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
