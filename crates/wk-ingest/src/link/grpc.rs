//! One unary gRPC call without TLS: a POST over HTTP/2 with one message framed by five bytes, and the status in the
//! trailers (gRPC over HTTP2). Little enough that no gRPC library is needed for it.

use std::time::Duration;

use http_body_util::BodyExt;
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use reqwest::{Client, Url};

use super::LinkError;
use crate::scrape::client_with;

/// How many bytes an answer has at most.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a call may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How many bytes stand before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// A method that can be called.
pub struct Method {
    client: Client,
    url: Url,
}

impl Method {
    /// Makes the client for one method of a server.
    ///
    /// # Errors
    /// An address that cannot be read, or no HTTP client.
    pub fn new(address: &str, path: &str, profile: &str) -> Result<Self, LinkError> {
        let url = Url::parse(&format!("{}{path}", address.trim_end_matches('/'))).map_err(|_| LinkError::Address {
            address: address.to_owned(),
            profile: profile.to_owned(),
            example: "http://192.168.100.1:9200",
        })?;
        let client = client_with(reqwest::ClientBuilder::http2_prior_knowledge).map_err(LinkError::Client)?;
        Ok(Self { client, url })
    }

    /// Calls the method and answers its message, with how many bytes it had.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub async fn call<Q: Message, A: Message + Default>(&self, request: &Q) -> Result<(A, usize), String> {
        let response = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, HeaderValue::from_static("trailers"))
            .timeout(ANSWER_WITHIN)
            .body(framed(request))
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        if !response.status().is_success() {
            return Err(format!("the device answered {}", response.status()));
        }
        // A call that failed at once has its status among the headers.
        check(response.headers())?;
        let mut body = reqwest::Body::from(response);
        let (mut bytes, mut trailers) = (Vec::new(), None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| error.to_string())?.into_data() {
                Ok(data) if bytes.len() + data.len() > ANSWER_BYTES_MAX => {
                    return Err(format!("the answer is larger than {ANSWER_BYTES_MAX} bytes"));
                }
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let trailers = trailers.ok_or("the device ended the call without a status")?;
        check(&trailers)?;
        let message = unframed(&bytes)?;
        let answer = A::decode(message).map_err(|error| format!("the answer cannot be read: {error}"))?;
        Ok((answer, bytes.len()))
    }
}

fn framed(message: &impl Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).expect("requests are a few bytes long");
    let mut bytes = vec![0];
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes
}

/// The one message of an answer.
pub(super) fn unframed(bytes: &[u8]) -> Result<&[u8], String> {
    let (prefix, message) = bytes.split_at_checked(PREFIX_BYTES).ok_or("the answer is cut short")?;
    if prefix[0] != 0 {
        return Err("the answer is compressed, which was not asked for".to_owned());
    }
    let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]);
    if usize::try_from(length) != Ok(message.len()) {
        return Err("the answer has another length than it says".to_owned());
    }
    Ok(message)
}

/// Refuses a status other than 0.
fn check(headers: &HeaderMap) -> Result<(), String> {
    match headers.get("grpc-status").map(HeaderValue::as_bytes) {
        None | Some(b"0") => Ok(()),
        Some(code) => {
            let message = headers.get("grpc-message").map(HeaderValue::as_bytes).unwrap_or_default();
            Err(format!("grpc status {}: {}", String::from_utf8_lossy(code), String::from_utf8_lossy(message)))
        }
    }
}
