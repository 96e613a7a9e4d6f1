//! From a fresh connection to a session: TLS, cancel requests, and who the client is.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, GssEncRequest, NegotiateProtocolVersion, ParameterStatus, SecretKey, SslRequest,
    Startup,
};
use pgwire::messages::{DecodeContext, Message as _};
use tokio::net::TcpStream;
use wk_store::state::Role;

use super::catalog::{Asker, SETTINGS};
use super::failure::{Failure, Refusal, code};
use super::wire::{STARTUP_BYTES_MAX, Stream, Wire};
use super::{Server, frontend};
use crate::http::auth;

/// The code of a cancel request, where others have a protocol's version.
const CANCEL_CODE: u32 = 80_877_102;
/// Protocol 3, as its versions are numbered.
const PROTOCOL_3: i32 = 3 << 16;
/// The newest minor version of protocol 3 that is spoken.
const MINOR_MAX: u16 = 2;
/// Questions for encryption before a session begins: one for GSS, one for TLS.
const QUESTIONS_MAX: usize = 2;

/// A client that has signed in.
pub(super) struct Client {
    pub(super) wire: Wire<Box<dyn Stream>>,
    pub(super) asker: Asker,
    pub(super) token: Token,
    pub(super) key: Key,
}

/// The password that a client came with. It is asked again at every statement, so that a revoked one ends.
#[derive(Clone)]
pub(super) struct Token(pub(super) Arc<str>);

/// By what a cancel request names a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) process: i32,
    pub(super) secret: Vec<u8>,
}

/// Makes a session of a connection; `None` where the client only cancelled another one, or left.
pub(super) async fn open(server: &Server, tcp: TcpStream, peer: SocketAddr) -> Result<Option<Client>, Failure> {
    let mut plain = Wire::new(tcp);
    for _ in 0..=QUESTIONS_MAX {
        let Some(frame) = plain.startup().await? else { return Ok(None) };
        if GssEncRequest::is_gss_enc_request_packet(&frame) {
            plain.put_bytes(b"N");
            plain.flush().await?;
        } else if !SslRequest::is_ssl_request_packet(&frame) {
            let wire = plain.map(|stream| Box::new(stream) as Box<dyn Stream>);
            return begin(server, wire, frame, Link { peer, is_encrypted: false }).await;
        } else if let Some(acceptor) = &server.acceptor {
            plain.put_bytes(b"S");
            plain.flush().await?;
            let stream: Box<dyn Stream> = Box::new(acceptor.accept(plain.into_stream()?).await?);
            let mut wire = Wire::new(stream);
            let Some(frame) = wire.startup().await? else { return Ok(None) };
            return begin(server, wire, frame, Link { peer, is_encrypted: true }).await;
        } else {
            plain.put_bytes(b"N");
            plain.flush().await?;
        }
    }
    let refusal = Refusal::protocol("encryption was asked for again and again");
    plain.end(&refusal).await?;
    Ok(None)
}

/// The way that a client has come.
#[derive(Debug, Clone, Copy)]
struct Link {
    peer: SocketAddr,
    is_encrypted: bool,
}

impl Link {
    /// Refuses a way on which others could read the token.
    fn check(self) -> Result<(), Refusal> {
        if self.is_encrypted || self.peer.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let what = "a token would cross the network in the clear; connect with TLS: sslmode=require";
        Err(Refusal::new(code::INVALID_AUTHORIZATION, what))
    }
}

async fn begin(
    server: &Server,
    mut wire: Wire<Box<dyn Stream>>,
    frame: BytesMut,
    link: Link,
) -> Result<Option<Client>, Failure> {
    if let Some(key) = cancel_key(&frame) {
        server.cancel(&key);
        return Ok(None);
    }
    match sign_in(server, &mut wire, frame, link).await {
        Ok((asker, token)) => {
            let client = welcome(server, wire, asker, token).await?;
            Ok(Some(client))
        }
        Err(Failure::Refused(refusal)) => {
            server.counts.refuse();
            tracing::info!(peer = %link.peer, code = refusal.code, "a PostgreSQL client was refused");
            wire.end(&refusal).await?;
            Ok(None)
        }
        Err(broken) => Err(broken),
    }
}

fn cancel_key(frame: &[u8]) -> Option<Key> {
    let mut body = frame.get(4..)?;
    let is_cancel = body.try_get_u32().is_ok_and(|code| code == CANCEL_CODE);
    let process = is_cancel.then(|| body.try_get_i32().ok()).flatten()?;
    Some(Key { process, secret: body.to_vec() })
}

async fn sign_in(
    server: &Server,
    wire: &mut Wire<Box<dyn Stream>>,
    mut frame: BytesMut,
    link: Link,
) -> Result<(Asker, Token), Failure> {
    let startup = Startup::decode(&mut frame, &DecodeContext::default())
        .ok()
        .flatten()
        .ok_or_else(|| Refusal::protocol("this is no start of a session; PostgreSQL's protocol 3 is spoken here"))?;
    link.check()?;
    let parameter = |name: &str| startup.parameters.get(name).cloned();
    let user = parameter("user")
        .ok_or_else(|| Refusal::new(code::INVALID_AUTHORIZATION, "no user is named; any name will do"))?;
    negotiate(wire, &startup)?;
    wire.put(&Authentication::CleartextPassword)?;
    wire.flush().await?;
    let (kind, body) = wire
        .message(STARTUP_BYTES_MAX)
        .await?
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::UnexpectedEof))?;
    if kind != b'p' {
        return Err(Refusal::protocol("a password was awaited").into());
    }
    let token = Token(frontend::password(body)?.into());
    server.permit(&token).await?;
    let database = parameter("database").unwrap_or_else(|| user.clone());
    Ok((Asker { user, database, process: 0 }, token))
}

/// Tells a client that asked for more than is spoken what it gets.
fn negotiate(wire: &mut Wire<Box<dyn Stream>>, startup: &Startup) -> Result<(), Refusal> {
    let unknown: Vec<String> = startup.parameters.keys().filter(|name| name.starts_with("_pq_.")).cloned().collect();
    if startup.protocol_number_minor <= MINOR_MAX && unknown.is_empty() {
        return Ok(());
    }
    let minor = startup.protocol_number_minor.min(MINOR_MAX);
    wire.put(&NegotiateProtocolVersion::new(PROTOCOL_3 | i32::from(minor), unknown))
}

async fn welcome(
    server: &Server,
    mut wire: Wire<Box<dyn Stream>>,
    mut asker: Asker,
    token: Token,
) -> Result<Client, Failure> {
    let key = server.new_key()?;
    asker.process = key.process;
    wire.put(&Authentication::Ok)?;
    for (name, value) in SETTINGS {
        wire.put(&ParameterStatus::new(name.to_owned(), value.to_owned()))?;
    }
    let secret = SecretKey::Bytes(key.secret.clone().into());
    wire.put(&BackendKeyData::new(key.process, secret))?;
    Ok(Client { wire, asker, token, key })
}

impl Server {
    /// Tells whether a token may read.
    ///
    /// # Errors
    /// A token that is not known, was revoked or may not read; a state database that cannot be read.
    pub(super) async fn permit(&self, token: &Token) -> Result<(), Refusal> {
        let principal = auth::by_token(&self.node, &token.0).await?;
        auth::permit(principal, Role::Viewer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, is_encrypted: bool) -> Result<(), Refusal> {
        Link { peer: peer.parse().unwrap(), is_encrypted }.check()
    }

    #[test]
    fn a_token_crosses_no_network_in_the_clear() {
        for peer in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(check(peer, false), Ok(()), "{peer}");
        }
        for peer in ["10.20.0.5:5", "[fd00::1]:5", "[::ffff:10.20.0.5]:5"] {
            let refusal = check(peer, false).unwrap_err();
            assert!(refusal.code == "28000" && refusal.message.contains("sslmode=require"), "{peer}: {refusal:?}");
            assert_eq!(check(peer, true), Ok(()), "{peer}");
        }
    }

    #[test]
    fn a_cancel_request_names_a_session() {
        let frame = [&[0, 0, 0, 16][..], &CANCEL_CODE.to_be_bytes(), &7_i32.to_be_bytes(), &[1, 2, 3, 4]].concat();
        assert_eq!(cancel_key(&frame), Some(Key { process: 7, secret: vec![1, 2, 3, 4] }));
        assert_eq!(cancel_key(&frame[..10]), None);
        assert_eq!(cancel_key(&[0, 0, 0, 8, 0, 3, 0, 0]), None);
    }
}
