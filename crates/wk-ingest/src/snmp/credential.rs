//! Communities and users.

use std::path::{Path, PathBuf};

use async_snmp::{Auth, AuthProtocol, Community, MasterKeys, PrivProtocol, UsmConfig};
use wk_config::{SnmpAuthentication, SnmpCredentialConfig, SnmpPrivacy, SnmpVersion};
use wk_types::ErrorKind;

/// How long a password must be at least (RFC 3414 section 11.2).
const PASSWORD_BYTES_MIN: usize = 8;

/// A community or user, its secrets read from their files. It has no text form that shows them.
#[derive(Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are as many as credentials in the configuration, most of them users"
)]
pub enum Credential {
    /// SNMPv1 or v2c.
    Community {
        /// Whether it is for v1.
        is_v1: bool,
        /// The community.
        community: Community,
    },
    /// SNMPv3.
    User {
        /// The user.
        user: UsmConfig,
        /// The same without encryption.
        authenticated: UsmConfig,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Community { .. } => "Credential::Community(..)",
            Self::User { .. } => "Credential::User(..)",
        })
    }
}

/// Why a credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A secret's file cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The configuration or a secret does not do.
    #[error("the credential {name:?} cannot be used: {what}")]
    Unfit {
        /// The credential.
        name: String,
        /// What is wrong.
        what: String,
    },
}

impl CredentialError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } => ErrorKind::Unavailable,
            Self::Unfit { .. } => ErrorKind::InvalidInput,
        }
    }
}

impl Credential {
    /// Reads a credential's secrets; paths are relative to `base`.
    ///
    /// # Errors
    /// A file that cannot be read, a secret that is empty or too short.
    pub fn load(config: &SnmpCredentialConfig, base: &Path) -> Result<Self, CredentialError> {
        let unfit = |what: String| CredentialError::Unfit { name: config.name.clone(), what };
        if config.version != SnmpVersion::V3 {
            let file = config.community_file.as_ref().ok_or_else(|| unfit("community_file is missing".to_owned()))?;
            let community = secret(&base.join(file))?;
            if community.is_empty() {
                return Err(unfit(format!("{} is empty", file.display())));
            }
            return Ok(Self::Community { is_v1: config.version == SnmpVersion::V1, community: community.into() });
        }
        let user = UsmConfig::new(config.user.clone().unwrap_or_default()).context_name(config.context.clone());
        let Some(authentication) = config.authentication else {
            return Ok(Self::User { authenticated: user.clone(), user });
        };
        let password = |file: &Option<PathBuf>, key: &str| -> Result<String, CredentialError> {
            let file = file.as_ref().ok_or_else(|| unfit(format!("{key} is missing")))?;
            let password = secret(&base.join(file))?;
            if password.len() < PASSWORD_BYTES_MIN {
                return Err(unfit(format!("{} holds fewer than {PASSWORD_BYTES_MIN} characters", file.display())));
            }
            Ok(password)
        };
        let failed = |error: async_snmp::CryptoError| unfit(error.to_string());
        let own = password(&config.authentication_password_file, "authentication_password_file")?;
        let mut keys = MasterKeys::new(protocol(authentication), own.as_bytes()).map_err(failed)?;
        let authenticated = user.clone().with_master_keys(keys.clone()).map_err(failed)?;
        if let Some(privacy) = config.privacy {
            let own = password(&config.privacy_password_file, "privacy_password_file")?;
            keys = keys.with_privacy(cipher(privacy), own.as_bytes()).map_err(failed)?;
        }
        let user = user.with_master_keys(keys).map_err(failed)?;
        Ok(Self::User { user, authenticated })
    }

    /// What a client authenticates with.
    #[must_use]
    pub fn auth(&self) -> Auth {
        match self {
            Self::Community { is_v1: true, community } => Auth::v1(community.clone()),
            Self::Community { is_v1: false, community } => Auth::v2c(community.clone()),
            Self::User { user, .. } => Auth::Usm(user.clone()),
        }
    }
}

/// The first line of a file.
fn secret(path: &Path) -> Result<String, CredentialError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| CredentialError::Read { path: path.to_owned(), source })?;
    Ok(text.lines().next().unwrap_or("").trim_end_matches('\r').to_owned())
}

const fn protocol(authentication: SnmpAuthentication) -> AuthProtocol {
    match authentication {
        SnmpAuthentication::Md5 => AuthProtocol::Md5,
        SnmpAuthentication::Sha => AuthProtocol::Sha1,
        SnmpAuthentication::Sha224 => AuthProtocol::Sha224,
        SnmpAuthentication::Sha256 => AuthProtocol::Sha256,
        SnmpAuthentication::Sha384 => AuthProtocol::Sha384,
        SnmpAuthentication::Sha512 => AuthProtocol::Sha512,
    }
}

const fn cipher(privacy: SnmpPrivacy) -> PrivProtocol {
    match privacy {
        SnmpPrivacy::Des => PrivProtocol::Des,
        SnmpPrivacy::Aes => PrivProtocol::Aes128,
        SnmpPrivacy::Aes192 => PrivProtocol::Aes192Blumenthal,
        SnmpPrivacy::Aes256 => PrivProtocol::Aes256Blumenthal,
        SnmpPrivacy::Aes192Cisco => PrivProtocol::Aes192Reeder,
        SnmpPrivacy::Aes256Cisco => PrivProtocol::Aes256Reeder,
    }
}
