//! The journal's signed head: how many entries there are and the hash of the last one. A copy stands outside the
//! database in `journal.head`, so that a cut tail is found, and an exported head is a witness against a rewrite.

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use wk_types::VesselId;

use super::error::StateError;
use crate::io::{Io as _, SystemIo, read_all, write_whole};

/// The number of the format of a head.
pub const HEAD_FORMAT: u32 = 1;
/// The head's file in the data folder.
pub(super) const HEAD_FILE: &str = "journal.head";
/// A head file is far smaller than this.
const FILE_BYTES_MAX: u64 = 4_096;

/// A signed statement of a vessel's node: "my journal has this many entries, and the last one has this hash".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`HEAD_FORMAT`].
    pub format: u32,
    /// Whose journal it is.
    pub vessel: VesselId,
    /// How many entries the journal has.
    pub entries: u64,
    /// The last entry's hash, 64 hexadecimal digits.
    pub hash: String,
    /// The node's public key (Ed25519), 64 hexadecimal digits.
    pub key: String,
    /// The signature over all of the above, 128 hexadecimal digits.
    pub signature: String,
}

impl Head {
    pub(super) fn sign(vessel: &VesselId, entries: u64, hash: &[u8; 32], key: &SigningKey) -> Self {
        let mut head = Self {
            format: HEAD_FORMAT,
            vessel: vessel.clone(),
            entries,
            hash: hex::encode(hash),
            key: hex::encode(key.verifying_key().to_bytes()),
            signature: String::new(),
        };
        head.signature = hex::encode(key.sign(head.signed_text().as_bytes()).to_bytes());
        head
    }

    /// Tells whether the signature is the named key's over the rest of the head.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        let (mut key, mut signature) = ([0_u8; 32], [0_u8; 64]);
        let decoded = hex::decode_to_slice(&self.key, &mut key).is_ok()
            && hex::decode_to_slice(&self.signature, &mut signature).is_ok();
        decoded
            && VerifyingKey::from_bytes(&key).is_ok_and(|key| {
                key.verify_strict(self.signed_text().as_bytes(), &Signature::from_bytes(&signature)).is_ok()
            })
    }

    fn signed_text(&self) -> String {
        let Self { format, vessel, entries, hash, key, .. } = self;
        format!("watchkeeper journal head {format}\n{vessel}\n{entries}\n{hash}\n{key}\n")
    }
}

/// Where the head's file lies.
pub(super) fn head_path(dir: &Path) -> PathBuf {
    dir.join(HEAD_FILE)
}

/// Writes the head beside the database, whole or not at all.
pub(super) fn write(dir: &Path, head: &Head) -> Result<(), StateError> {
    let path = head_path(dir);
    let text = serde_json::to_string(head).expect("a head has only texts and numbers") + "\n";
    write_whole(&SystemIo, &path, text.as_bytes()).map_err(StateError::file("write the journal's head", &path))
}

/// What stands in a head file.
#[derive(Debug)]
pub(super) enum HeadFile {
    Missing,
    Unreadable,
    Read(Head),
}

/// Reads one head file.
pub(super) fn read(path: &Path) -> Result<HeadFile, StateError> {
    let bytes = match read_all(&SystemIo, path, FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HeadFile::Missing),
        Err(error) if error.kind() == io::ErrorKind::Other => return Ok(HeadFile::Unreadable),
        other => other.map_err(StateError::file("read the journal's head", path))?,
    };
    Ok(serde_json::from_slice(&bytes).map_or(HeadFile::Unreadable, HeadFile::Read))
}

/// Puts a head file aside that contradicts the journal: it is evidence, and the next head must not overwrite it.
pub(super) fn put_aside(dir: &Path) -> Result<PathBuf, StateError> {
    let path = head_path(dir);
    let doing = "put aside the journal's head";
    let bytes = read_all(&SystemIo, &path, FILE_BYTES_MAX).unwrap_or_default();
    let name = format!("{HEAD_FILE}.doubted-{}", &blake3::hash(&bytes).to_hex()[..16]);
    let aside = dir.join(name);
    SystemIo.rename(&path, &aside).map_err(StateError::file(doing, &path))?;
    SystemIo.sync_dir(dir).map_err(StateError::file(doing, &path))?;
    Ok(aside)
}

/// The head files in the folder: `journal.head` and those put aside.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, StateError> {
    let names = SystemIo.list(dir).map_err(StateError::file("list the data folder", dir))?;
    Ok(names.into_iter().filter(|name| name.starts_with(HEAD_FILE)).map(|name| dir.join(name)).collect())
}
