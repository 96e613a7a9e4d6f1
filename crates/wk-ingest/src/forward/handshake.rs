//! The handshake of peers that share a key: HELO, PING, PONG.
//!
//! *Source*: "Authorization" in the Forward protocol specification v1
//! (<https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>).

use rmp::encode;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

use super::msgpack::{BadPack, Token, next};

/// How many bytes the nonce has.
pub const NONCE_BYTES: usize = 16;

/// What both sides know.
#[derive(Clone)]
pub struct SharedKey(Vec<u8>);

impl SharedKey {
    /// Takes a key.
    #[must_use]
    pub fn new(key: impl Into<Vec<u8>>) -> Self {
        Self(key.into())
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKey")
    }
}

/// `["HELO", {"nonce": …, "auth": "", "keepalive": true}]`: no user is asked for.
pub fn helo(nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    let written = (|| -> Result<(), encode::ValueWriteError> {
        encode::write_array_len(&mut bytes, 2)?;
        encode::write_str(&mut bytes, "HELO")?;
        encode::write_map_len(&mut bytes, 3)?;
        encode::write_str(&mut bytes, "nonce")?;
        encode::write_bin(&mut bytes, nonce)?;
        encode::write_str(&mut bytes, "auth")?;
        encode::write_str(&mut bytes, "")?;
        encode::write_str(&mut bytes, "keepalive")?;
        encode::write_bool(&mut bytes, true).map_err(encode::ValueWriteError::InvalidMarkerWrite)
    })();
    written.expect("memory can be written to");
    bytes
}

/// What a client says of itself, and whether it knows the key.
#[derive(Debug, PartialEq, Eq)]
pub struct Ping {
    /// The client's name.
    pub name: String,
    salt: Vec<u8>,
    knows: bool,
}

impl Ping {
    /// Reads `["PING", name, salt, digest, user, password]`.
    pub fn read(mut bytes: &[u8], nonce: &[u8], key: &SharedKey) -> Result<Self, BadPack> {
        let Token::Array(6) = next(&mut bytes)? else { return Err(BadPack::Kind) };
        let mut text = || match next(&mut bytes)? {
            Token::Text(text) | Token::Bytes(text) => Ok(text),
            _ => Err(BadPack::Kind),
        };
        if text()? != b"PING" {
            return Err(BadPack::Kind);
        }
        let (name, salt, digest) = (text()?, text()?, text()?);
        let expected = key_digest(salt, name, nonce, key);
        let knows = expected.as_bytes().ct_eq(digest).into();
        Ok(Self { name: String::from_utf8_lossy(name).into_owned(), salt: salt.to_vec(), knows })
    }

    /// Tells whether the client knows the key.
    #[must_use]
    pub const fn knows_key(&self) -> bool {
        self.knows
    }

    /// `["PONG", accepted, reason, name, digest]`, which proves that the server knows the key too.
    pub fn pong(&self, own_name: &str, nonce: &[u8], key: &SharedKey) -> Vec<u8> {
        let digest = if self.knows { key_digest(&self.salt, own_name.as_bytes(), nonce, key) } else { String::new() };
        let reason = if self.knows { "" } else { "shared_key mismatch" };
        let mut bytes = Vec::with_capacity(256);
        let written = (|| -> Result<(), encode::ValueWriteError> {
            encode::write_array_len(&mut bytes, 5)?;
            encode::write_str(&mut bytes, "PONG")?;
            encode::write_bool(&mut bytes, self.knows).map_err(encode::ValueWriteError::InvalidMarkerWrite)?;
            encode::write_str(&mut bytes, reason)?;
            encode::write_str(&mut bytes, own_name)?;
            encode::write_str(&mut bytes, &digest)
        })();
        written.expect("memory can be written to");
        bytes
    }
}

/// SHA-512 of salt, name, nonce and key, in hexadecimal.
fn key_digest(salt: &[u8], name: &[u8], nonce: &[u8], key: &SharedKey) -> String {
    let digest = Sha512::new().chain_update(salt).chain_update(name).chain_update(nonce).chain_update(&key.0);
    hex::encode(digest.finalize())
}

/// `{"ack": chunk}`.
pub fn ack(chunk: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunk.len() + 16);
    let written = (|| -> Result<(), encode::ValueWriteError> {
        encode::write_map_len(&mut bytes, 1)?;
        encode::write_str(&mut bytes, "ack")?;
        encode::write_str_len(&mut bytes, u32::try_from(chunk.len()).unwrap_or(u32::MAX)).map(drop)
    })();
    written.expect("memory can be written to");
    bytes.extend_from_slice(chunk);
    bytes
}
