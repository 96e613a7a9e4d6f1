//! Who is calling, and what they may do.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use wk_store::state::Role;
use wk_types::PersonRef;

use crate::clock::now;
use crate::http::problem::Problem;
use crate::http::server::Peer;
use crate::http::session::blocking;
use crate::node::Node;

/// The cookie that carries a session.
pub const SESSION_COOKIE: &str = "wk_session";
/// The header that the console sends with every change, which a foreign page cannot.
const CHANGE_HEADER: &str = "x-watchkeeper";

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Account name, token label, or `local` for the command line on this machine.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Principal {
    /// The person as the journal names them.
    ///
    /// # Errors
    /// A state database that cannot be written.
    pub fn person(&self, node: &Node) -> Result<PersonRef, Problem> {
        Ok(node.state.person(&self.name)?)
    }
}

async fn authenticate(parts: &Parts, node: &Arc<Node>) -> Result<Principal, Problem> {
    if parts.extensions.get::<Peer>() == Some(&Peer::Local) {
        return Ok(Principal { name: "local".to_owned(), role: Role::Admin });
    }
    if let Some(secret) = bearer(&parts.headers) {
        return by_token(node, secret.to_owned(), "viewer").await;
    }
    let secret = session_secret(&parts.headers)
        .map(str::to_owned)
        .ok_or_else(|| Problem::unauthorized("sign in, or send a token as Authorization: Bearer"))?;
    let account = blocking(node, move |node| node.state.session(&secret, now()))
        .await?
        .ok_or_else(|| Problem::unauthorized("the session has ended; sign in again"))?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !reads && !parts.headers.contains_key(CHANGE_HEADER) {
        return Err(Problem::forbidden("a change made with a session needs the header X-Watchkeeper: 1"));
    }
    Ok(Principal { name: account.name, role: account.role })
}

/// Whose token it is; `role` is the one that a new token should have.
async fn by_token(node: &Arc<Node>, secret: String, role: &str) -> Result<Principal, Problem> {
    let token = blocking(node, move |node| node.state.token(&secret, now())).await?.ok_or_else(|| {
        Problem::unauthorized(&format!(
            "the token is not known or was revoked; make one: watchkeeper token create --role {role}"
        ))
    })?;
    Ok(Principal { name: format!("token {} {}", token.id, token.label).trim_end().to_owned(), role: token.role })
}

/// The token that a sender of telemetry carries: as bearer, as the password of any user, or as the key of an API key,
/// because senders differ in what they can be told to send.
fn sender_secret(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !["basic", "apikey"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").map(str::trim)
}

/// The session's secret from the cookie.
pub fn session_secret(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value)
}

async fn require(parts: &Parts, node: &Arc<Node>, least: Role) -> Result<Principal, Problem> {
    let principal = authenticate(parts, node).await?;
    allow(principal, least)
}

fn allow(principal: Principal, least: Role) -> Result<Principal, Problem> {
    if principal.role.covers(least) {
        Ok(principal)
    } else {
        Err(Problem::forbidden(&format!(
            "this needs the role {}, {} has {}",
            least.as_str(),
            principal.name,
            principal.role.as_str()
        )))
    }
}

macro_rules! guard {
    ($(#[$doc:meta])* $name:ident, $role:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name(pub Principal);

        impl FromRequestParts<Arc<Node>> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
                require(parts, node, $role).await.map(Self)
            }
        }
    };
}

guard! {
    /// Somebody who may read.
    Viewer, Role::Viewer
}
guard! {
    /// Somebody who may work on incidents.
    Operator, Role::Operator
}
guard! {
    /// Somebody who may do everything.
    Admin, Role::Admin
}

/// Somebody who may write telemetry: a token with the role ingest, or a program on this machine.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// The sender's address; `None` over the node's own socket.
    pub peer: Option<IpAddr>,
}

impl FromRequestParts<Arc<Node>> for Ingest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let peer = match parts.extensions.get::<Peer>() {
            Some(Peer::Tcp { address, .. }) => Some(address.ip().to_canonical()),
            _ => None,
        };
        if let Some(secret) = sender_secret(&parts.headers).filter(|_| peer.is_some()) {
            allow(by_token(node, secret, "ingest").await?, Role::Ingest)?;
            return Ok(Self { peer });
        }
        if peer.is_none() {
            require(parts, node, Role::Ingest).await?;
            return Ok(Self { peer });
        }
        let loopback = peer.is_some_and(|peer| peer.is_loopback());
        if !loopback || !node.config.http.ingest_from_loopback {
            return Err(Problem::unauthorized(
                "ingest needs a token: watchkeeper token create --role ingest, sent as Authorization: Bearer, or as the \
                 password of any user",
            ));
        }
        match foreign_mark(&parts.headers) {
            None => Ok(Self { peer }),
            Some(mark) => Err(Problem::forbidden(&format!(
                "ingest without a token is for programs on this machine; the request carries {mark}, so it may come \
                 from elsewhere: send a token (watchkeeper token create --role ingest)"
            ))),
        }
    }
}

/// What shows that a request on loopback was relayed, or made by a page in a browser.
fn foreign_mark(headers: &HeaderMap) -> Option<String> {
    let forwarded = headers.keys().find(|name| {
        *name == header::ORIGIN || *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-")
    });
    if let Some(name) = forwarded {
        return Some(format!("the header {name}"));
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(name, _)| name);
    let loopback = name.eq_ignore_ascii_case("localhost")
        || name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    (!loopback).then(|| format!("the host name {host:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(pairs: &[(&'static str, &'static str)]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        foreign_mark(&headers)
    }

    #[test]
    fn programs_on_this_machine_carry_no_foreign_mark() {
        for host in ["127.0.0.1:8484", "localhost:8484", "localhost", "[::1]:8484", "127.0.0.1"] {
            assert_eq!(mark(&[("host", host)]), None, "{host}");
        }
    }

    #[test]
    fn pages_proxies_and_rebound_names_are_marked() {
        assert!(mark(&[("host", "localhost"), ("origin", "http://evil.example")]).is_some());
        assert!(mark(&[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")]).is_some());
        assert!(mark(&[("host", "localhost"), ("forwarded", "for=1.2.3.4")]).is_some());
        assert!(mark(&[("host", "ship.example:8484")]).is_some());
        assert!(mark(&[]).is_some());
    }

    #[test]
    fn senders_carry_the_token_as_they_can() {
        let secret = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            sender_secret(&headers)
        };
        // user:secret and id:secret in base 64.
        for value in ["Bearer secret", "Basic dXNlcjpzZWNyZXQ=", "ApiKey aWQ6c2VjcmV0", "basic dXNlcjpzZWNyZXQ="] {
            assert_eq!(secret(value).as_deref(), Some("secret"), "{value}");
        }
        for value in ["Basic %%", "Digest x", "Basic c2VjcmV0"] {
            assert_eq!(secret(value), None, "{value}");
        }
    }

    #[test]
    fn the_session_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; wk_session=secret; c=d".parse().unwrap());
        assert_eq!(session_secret(&headers), Some("secret"));
    }
}
