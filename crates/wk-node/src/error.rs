//! Why a node could not start or go on, with what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use wk_types::ErrorKind;

/// Why a node could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data folder cannot be used.
    #[error("could not use the data folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the data folder.
    #[error("the data folder {} is in use by another watchkeeper", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A newer version wrote the data folder.
    #[error("the data folder {} has format {found}, this version reads up to {}", path.display(), crate::folder::FORMAT)]
    NewerFolder {
        /// The folder.
        path: PathBuf,
        /// The format found.
        found: String,
    },
    /// An address cannot be listened on.
    #[error("could not listen on {address} for {what}")]
    Listen {
        /// What for, such as `console and API`.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("could not set up TLS: {what}")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// The settings of a source cannot be used.
    #[error("could not set up {source_name}: {what}")]
    Source {
        /// Which one, as its part of the configuration is called.
        source_name: &'static str,
        /// What is wrong.
        what: String,
    },
    /// An alerting rule file cannot be used.
    #[error("could not load the rules: {what}")]
    Rules {
        /// File, place and reason.
        what: String,
    },
    /// A scrape target cannot be used.
    #[error("could not set up scraping: {what}")]
    Scrape {
        /// What is wrong.
        what: String,
    },
    /// The mail settings cannot be used.
    #[error("could not set up mail: {what}")]
    Mail {
        /// What is wrong.
        what: String,
    },
    /// One of the stores cannot be opened or written.
    #[error("could not open the {store}")]
    Store {
        /// Which one.
        store: &'static str,
        /// What went wrong there.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl NodeError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Folder { .. } | Self::Listen { .. } | Self::Store { .. } => ErrorKind::Unavailable,
            Self::InUse { .. } | Self::NewerFolder { .. } => ErrorKind::Conflict,
            Self::Tls { .. } | Self::Rules { .. } | Self::Mail { .. } | Self::Scrape { .. } | Self::Source { .. } => {
                ErrorKind::InvalidInput
            }
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Folder { path, source } => folder_hint(path, source),
            Self::InUse { path } => format!(
                "stop the other one, or give this one its own folder: watchkeeper ship --data DIR \
                 (who holds it: fuser {}/lock)",
                path.display()
            ),
            Self::NewerFolder { .. } => "start the newer watchkeeper again; the folder was left as it is".to_owned(),
            Self::Listen { address, source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => format!(
                "another program uses the port: ss -ltunp 'sport = :{}' names it; stop it or choose another address",
                address.port()
            ),
            Self::Listen { address, source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                format!("port {} needs root; choose one above 1023", address.port())
            }
            Self::Listen { .. } => "choose an address of this machine: ip address".to_owned(),
            Self::Tls { .. } => "check http.tls_certificate and http.tls_key in the configuration".to_owned(),
            Self::Scrape { .. } => "mend [[scrape]] in the configuration".to_owned(),
            Self::Source { source_name, .. } => format!("mend [{source_name}] in the configuration"),
            Self::Mail { .. } => "mend [mail] in the configuration".to_owned(),
            Self::Rules { .. } => "mend the file and check it: watchkeeper rules check FILE".to_owned(),
            Self::Store { .. } => "watchkeeper doctor says more".to_owned(),
        }
    }
}

fn folder_hint(path: &std::path::Path, source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!("the folder must belong to the user who runs watchkeeper: ls -ld {}", path.display())
        }
        std::io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it writable, or choose another folder with --data".to_owned()
        }
        std::io::ErrorKind::StorageFull => format!("the disk is full: df -h {}", path.display()),
        _ => "choose another folder with --data DIR".to_owned(),
    }
}
