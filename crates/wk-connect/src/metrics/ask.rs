//! Questions in the Prometheus HTTP API, handed on.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, Response};
use wk_types::ErrorKind;

use super::OutsideStore;
use crate::endpoint::chain;

/// Largest answer that is taken, in bytes after decompression.
pub const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One question.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// What stands behind `api/v1`, such as `["label", "job", "values"]`.
    pub path: &'a [&'a str],
    /// Its parameters, in the form of a query string.
    pub form: String,
    /// Whether it is to be sent by POST, which the API takes for what may be long.
    pub is_form: bool,
    /// How long it may take.
    pub time_max: Duration,
}

/// An answer as the store gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status: 200, or that of a question that could not be answered.
    pub status: u16,
    /// JSON in the form of the Prometheus API.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The store is away or busy.
    #[error("the outside metric store at {url} does not answer: {what}; watchkeeper doctor says since when")]
    Away {
        /// Where it is.
        url: String,
        /// What happened.
        what: String,
    },
    /// The time was over.
    #[error("the outside metric store at {url} did not answer within {} s; ask for less, or give it more time", time_max.as_secs())]
    TimeOut {
        /// Where it is.
        url: String,
        /// How long it was waited for.
        time_max: Duration,
    },
    /// The store is set up in another way than the node thinks.
    #[error(
        "the outside metric store at {url} answered {status}; check [storage.outside_metrics]: address, tenant, credentials"
    )]
    Misfit {
        /// Where it is.
        url: String,
        /// What it answered.
        status: u16,
    },
    /// The answer is too large.
    #[error(
        "the answer of the outside metric store has more than {ANSWER_BYTES_MAX} bytes; ask for fewer series or a longer step"
    )]
    TooLarge,
    /// A file with a secret cannot be read.
    #[error("{0}")]
    Secret(String),
}

impl AskError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::InvalidInput,
            Self::Away { .. } | Self::TimeOut { .. } | Self::Misfit { .. } | Self::Secret(_) => ErrorKind::Unavailable,
        }
    }
}

impl OutsideStore {
    /// Asks, and hands on what is said: an answer, or why the question is none.
    ///
    /// # Errors
    /// A store that is away, too slow or set up in another way, an answer that is too large.
    pub async fn ask(&self, question: &Question<'_>) -> Result<Answer, AskError> {
        let path = [self.kind.query_prefix(), &["api", "v1"], question.path].concat();
        let method = if question.is_form { Method::POST } else { Method::GET };
        let query = (!question.is_form && !question.form.is_empty()).then_some(question.form.as_str());
        let request = self.asking.request(method, &path, query).map_err(|error| AskError::Secret(chain(&error)))?;
        let mut request = request.timeout(question.time_max).header(ACCEPT, "application/json");
        if question.is_form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(question.form.clone());
        }
        let failed = |error: reqwest::Error| self.failed(error, question.time_max);
        let response = request.send().await.map_err(failed)?;
        let status = response.status();
        let body = self.body(response, question.time_max).await?;
        // Whatever answers HTML is no metric store, whatever its status.
        let is_object = body.trim_ascii_start().starts_with(b"{");
        match status.as_u16() {
            200 | 400 | 422 if is_object => Ok(Answer { status: status.as_u16(), body }),
            429 | 500.. => {
                let said = String::from_utf8_lossy(&body[..body.len().min(300)]).trim().to_owned();
                Err(AskError::Away { url: self.asking.url().to_owned(), what: format!("it answered {status}: {said}") })
            }
            status => Err(AskError::Misfit { url: self.asking.url().to_owned(), status }),
        }
    }

    fn failed(&self, error: reqwest::Error, time_max: Duration) -> AskError {
        let url = self.asking.url().to_owned();
        if error.is_timeout() && !error.is_connect() {
            return AskError::TimeOut { url, time_max };
        }
        AskError::Away { url, what: chain(&error.without_url()) }
    }

    async fn body(&self, mut response: Response, time_max: Duration) -> Result<Vec<u8>, AskError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error, time_max))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(AskError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
