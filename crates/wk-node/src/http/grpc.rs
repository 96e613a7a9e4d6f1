//! As much of gRPC as calls with one message each way need: the frame around a message, and the status in the trailers.
//!
//! *Source*: "gRPC over HTTP2" (grpc/grpc, doc/PROTOCOL-HTTP2.md). hyper speaks HTTP/2, and tonic would add nothing to
//! two such calls but a second server beside the router.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Full};
use wk_ingest::gzip::{self, GzipError};

use crate::http::problem::{Problem, chain};

/// How many bytes stand in front of a message: whether it is packed, and its length.
pub const PREFIX_BYTES: usize = 5;
/// The header that says how messages are packed.
pub const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/grpc");

/// The codes of gRPC that are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// The request is wrong, and stays so.
    InvalidArgument = 3,
    /// The caller may not do this.
    PermissionDenied = 7,
    /// The request is larger than is taken.
    ResourceExhausted = 8,
    /// There is no such call.
    Unimplemented = 12,
    /// Something failed that should not.
    Internal = 13,
    /// It can be tried again later.
    Unavailable = 14,
    /// The caller did not say who it is.
    Unauthenticated = 16,
}

impl Code {
    /// The code that says the same as an HTTP status. Exporters give up what is answered with anything but
    /// [`Code::Unavailable`].
    #[must_use]
    pub fn of(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthenticated,
            StatusCode::FORBIDDEN => Self::PermissionDenied,
            StatusCode::PAYLOAD_TOO_LARGE => Self::ResourceExhausted,
            StatusCode::NOT_FOUND => Self::Unimplemented,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Self::Unavailable
            }
            status if status.is_client_error() => Self::InvalidArgument,
            _ => Self::Internal,
        }
    }
}

/// The one message of a request, unpacked.
///
/// # Errors
/// A body that is not one message, packed in another way, or larger than `max` bytes.
pub fn message(body: &Bytes, encoding: Option<&str>, max: usize) -> Result<Bytes, Problem> {
    let not_one = || Problem::bad_request("the body is not one gRPC message");
    let (prefix, rest) = body.split_first_chunk::<PREFIX_BYTES>().ok_or_else(not_one)?;
    let [packed, length @ ..] = *prefix;
    if u32::from_be_bytes(length) as usize != rest.len() {
        return Err(not_one());
    }
    match (packed, encoding.unwrap_or("identity")) {
        (0, _) => Ok(body.slice(PREFIX_BYTES..)),
        (1, "gzip") => match gzip::unpack(rest, max) {
            Ok(plain) => Ok(plain.into()),
            Err(error @ GzipError::TooLarge { .. }) => Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, chain(&error))),
            Err(error @ GzipError::Damaged(_)) => Err(Problem::bad_request(chain(&error))),
        },
        (_, encoding) => {
            Err(Problem::bad_request(format!("messages packed with {encoding:?} are not taken; send gzip or none")))
        }
    }
}

/// The answer to a call that succeeded.
#[must_use]
pub fn answered(message: &[u8]) -> Response {
    let length = u32::try_from(message.len()).expect("answers are short");
    let mut framed = Vec::with_capacity(PREFIX_BYTES + message.len());
    framed.push(0);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from_static("0"));
    let body = Full::new(Bytes::from(framed)).with_trailers(std::future::ready(Some(Ok(trailers))));
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], Body::new(body)).into_response()
}

/// The answer to a call that failed: a status without a message.
#[must_use]
pub fn refused(code: Code, message: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (STATUS, HeaderValue::from(code as u16)),
        (MESSAGE, HeaderValue::from_str(&percent_encoded(message)).expect("only plain characters are left")),
    ];
    (headers, Body::empty()).into_response()
}

/// A text as `grpc-message` has it: percent-encoded but for printable ASCII.
fn percent_encoded(text: &str) -> String {
    let each = |byte: u8| match byte {
        b' '..=b'$' | b'&'..=b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(each).collect()
}

/// Gives a refusal of the layers in front of the calls the form of gRPC, whose clients look at no body.
pub async fn explain(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    if parts.headers.get(header::CONTENT_TYPE) == Some(&CONTENT_TYPE) {
        return Response::from_parts(parts, body);
    }
    let said = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let problem: Option<serde_json::Value> = serde_json::from_slice(&said).ok();
    let message = problem.as_ref().and_then(|problem| problem["error"].as_str()).map(str::to_owned);
    let message = message.unwrap_or_else(|| format!("refused with status {}", parts.status));
    refused(Code::of(parts.status), &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(packed: u8, body: &[u8]) -> Bytes {
        let mut framed = vec![packed];
        framed.extend_from_slice(&(body.len() as u32).to_be_bytes());
        framed.extend_from_slice(body);
        framed.into()
    }

    #[test]
    fn a_request_is_exactly_one_message() {
        assert_eq!(message(&framed(0, b"abc"), None, 10).unwrap(), "abc");
        let two = [framed(0, b"a"), framed(0, b"b")].concat();
        for bad in [&b""[..], b"\0\0\0", &framed(0, b"abc")[..7], &two] {
            assert_eq!(message(&Bytes::copy_from_slice(bad), None, 10).unwrap_err().status, 400, "{bad:?}");
        }
        assert_eq!(message(&framed(1, b"abc"), Some("snappy"), 10).unwrap_err().status, 400);
        assert_eq!(message(&framed(1, b"abc"), Some("gzip"), 10).unwrap_err().status, 400);
    }

    #[test]
    fn only_what_may_succeed_later_is_unavailable() {
        let cases = [
            (503, Code::Unavailable),
            (401, Code::Unauthenticated),
            (400, Code::InvalidArgument),
            (413, Code::ResourceExhausted),
            (500, Code::Internal),
        ];
        for (status, code) in cases {
            assert_eq!(Code::of(StatusCode::from_u16(status).unwrap()), code);
        }
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("50 % größer"), "50 %25 gr%C3%B6%C3%9Fer");
    }
}
