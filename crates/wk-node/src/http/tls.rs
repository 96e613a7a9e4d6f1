//! TLS of the console and API: given files, or a certificate signed by the node's own authority.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};
use tokio_rustls::TlsAcceptor;
use wk_config::HttpConfig;

use crate::error::NodeError;
use crate::folder::{create_private, write_private};

fn failed(what: impl std::fmt::Display) -> NodeError {
    NodeError::Tls { what: what.to_string() }
}

/// What a server needs to prove who it is.
#[derive(Debug)]
pub struct Tls<'a> {
    /// Certificate and key, where they are given.
    pub config: &'a HttpConfig,
    /// The address that is served.
    pub listen: SocketAddr,
    /// The folder that the paths in the configuration are meant from.
    pub base: &'a Path,
    /// The data folder.
    pub data: &'a Path,
}

impl<'a> Tls<'a> {
    /// What a server on `listen` needs.
    #[must_use]
    pub const fn of(config: &'a HttpConfig, listen: SocketAddr, base: &'a Path, data: &'a Path) -> Self {
        Self { config, listen, base, data }
    }
}

/// Makes the acceptor: from the configured files, else from the node's own authority in the data folder; `protocols` are
/// offered by ALPN.
///
/// # Errors
/// Files that cannot be read, or a certificate and key that do not belong together.
pub fn acceptor(tls: &Tls<'_>, protocols: &[&[u8]]) -> Result<TlsAcceptor, NodeError> {
    let (chain, key) = identity(tls)?;
    let server = builder()?.with_no_client_auth().with_single_cert(chain, key);
    let mut server = server.map_err(failed)?;
    server.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(server)))
}

/// Makes the acceptor of a server whose clients have to show a certificate of one of the authorities in `clients`, a
/// file in PEM.
///
/// # Errors
/// Files that cannot be read, or a certificate and key that do not belong together.
pub fn acceptor_of_known(tls: &Tls<'_>, clients: &Path) -> Result<TlsAcceptor, NodeError> {
    let mut authorities = RootCertStore::empty();
    let file = tls.base.join(clients);
    for authority in CertificateDer::pem_slice_iter(read(&file)?.as_bytes()) {
        authorities.add(authority.map_err(failed)?).map_err(failed)?;
    }
    if authorities.is_empty() {
        return Err(failed(format!("{} holds no certificate", file.display())));
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    let (chain, key) = identity(tls)?;
    let server = builder()?.with_client_cert_verifier(verifier.build().map_err(failed)?).with_single_cert(chain, key);
    Ok(TlsAcceptor::from(Arc::new(server.map_err(failed)?)))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, NodeError> {
    ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(failed)
}

/// The certificate chain of the server and its key.
fn identity(tls: &Tls<'_>) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), NodeError> {
    let (certificate, key) = match (&tls.config.tls_certificate, &tls.config.tls_key) {
        (Some(certificate), Some(key)) => (read(&tls.base.join(certificate))?, read(&tls.base.join(key))?),
        _ => own_certificate(&tls.data.join("tls"), &crate::ship::hostname(), tls.listen)?,
    };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed)?;
    Ok((chain, key))
}

fn read(path: &Path) -> Result<String, NodeError> {
    std::fs::read_to_string(path).map_err(|error| failed(format!("could not read {}: {error}", path.display())))
}

/// A fresh server certificate, signed by the authority in `dir`, which is made at first use. Browsers are taught to
/// trust `authority.pem` once; the server's certificate may then change with names and addresses.
fn own_certificate(dir: &Path, hostname: &str, listen: SocketAddr) -> Result<(String, String), NodeError> {
    create_private(dir).map_err(failed)?;
    let issuer = authority(dir)?;
    let mut names = vec![hostname.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    if listen.ip().is_unspecified() {
        names.extend(wk_ingest::host::addresses(Path::new("/proc")).iter().map(ToString::to_string));
    } else {
        names.push(listen.ip().to_string());
    }
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, hostname);
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.signed_by(&key, &issuer).map_err(failed)?;
    let chain = format!("{}{}", certificate.pem(), read(&dir.join("authority.pem"))?);
    Ok((chain, key.serialize_pem()))
}

/// The authority's certificate is made of these and its key alone, so that it can be made again to sign with.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "watchkeeper node authority");
    params
}

fn authority(dir: &Path) -> Result<Issuer<'static, KeyPair>, NodeError> {
    let key = dir.join("authority.key");
    if !key.exists() {
        let pair = KeyPair::generate().map_err(failed)?;
        let made = authority_params().self_signed(&pair).map_err(failed)?;
        std::fs::write(dir.join("authority.pem"), made.pem()).map_err(failed)?;
        write_private(&key, pair.serialize_pem().as_bytes()).map_err(failed)?;
    }
    let pair = KeyPair::from_pem(&read(&key)?).map_err(failed)?;
    Ok(Issuer::new(authority_params(), pair))
}
