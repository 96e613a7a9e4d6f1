//! The node's signing key (`node.key`, readable by its owner only), random secrets, and how they are kept from view.

use std::fmt;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use super::error::StateError;

/// The key's file in the data folder.
pub(super) const KEY_FILE: &str = "node.key";
/// What the file begins with; the digit is the format.
const PREFIX: &str = "watchkeeper-node-key-1 ";
/// A key file is far smaller than this.
const FILE_BYTES_MAX: u64 = 1_024;
/// Bits above the owner's that a key file must not have.
const OTHERS: u32 = 0o077;

/// A password-like text that is shown once to whom it belongs and never printed otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret's text, for the one place that hands it to its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Fresh random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StateError::Random)?;
    Ok(bytes)
}

/// Where the node's key lies.
pub(super) fn key_path(dir: &Path) -> PathBuf {
    dir.join(KEY_FILE)
}

/// Reads the node's key; `None` where there is no such file.
pub(super) fn load(dir: &Path) -> Result<Option<SigningKey>, StateError> {
    let path = key_path(dir);
    let doing = "read the node key";
    let metadata = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StateError::file(doing, &path))?,
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(StateError::Key { path, what: "is no key file" });
    }
    if metadata.permissions().mode() & OTHERS != 0 {
        tracing::warn!(path = %path.display(), "node key was readable by others, now by its owner only");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(StateError::file(doing, &path))?;
    }
    let text = fs::read_to_string(&path).map_err(StateError::file(doing, &path))?;
    let mut seed = [0_u8; 32];
    let read = text.trim_end().strip_prefix(PREFIX).map(|digits| hex::decode_to_slice(digits, &mut seed));
    match read {
        Some(Ok(())) => Ok(Some(SigningKey::from_bytes(&seed))),
        _ => Err(StateError::Key { path, what: "cannot be read" }),
    }
}

/// Makes a new key and writes it so that after a crash it is there whole or not at all.
pub(super) fn create(dir: &Path) -> Result<SigningKey, StateError> {
    let key = SigningKey::from_bytes(&random::<32>()?);
    let path = key_path(dir);
    write_private(&path, &format!("{PREFIX}{}\n", hex::encode(key.to_bytes())))
        .map_err(StateError::file("write the node key", &path))?;
    Ok(key)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("key-tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
