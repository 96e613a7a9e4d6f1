//! TLS of the console and API: given files, or a certificate signed by the node's own authority.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use wk_config::HttpConfig;

use crate::error::NodeError;
use crate::folder::{create_private, write_private};

fn failed(what: impl std::fmt::Display) -> NodeError {
    NodeError::Tls { what: what.to_string() }
}

/// Makes the acceptor: from the configured files, whose paths are meant from `base`, else from the node's own authority in `root/tls`.
///
/// # Errors
/// Files that cannot be read, or a certificate and key that do not belong together.
pub fn acceptor(config: &HttpConfig, base: &Path, root: &Path, hostname: &str) -> Result<TlsAcceptor, NodeError> {
    let (certificate, key) = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => (read(&base.join(certificate))?, read(&base.join(key))?),
        _ => own_certificate(&root.join("tls"), hostname, config.listen)?,
    };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(failed)?;
    Ok(TlsAcceptor::from(Arc::new(server)))
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
