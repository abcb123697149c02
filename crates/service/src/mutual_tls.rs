//! TLS with a certificate on both sides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::error::ServiceError;

/// Who one is, and whom one believes, PEM.
#[derive(Debug, Clone)]
pub struct MutualTlsFiles {
    /// The own chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs those that may connect, and nobody else.
    pub authority: PathBuf,
}

/// Takes connections only of whoever shows a certificate of the authority.
///
/// # Errors
/// `Named`.
pub fn load_mutual_tls(config: &MutualTlsFiles) -> Result<RustlsConfig, ServiceError> {
    let named = |path: &Path| {
        let path = path.to_owned();
        move |why: &dyn std::fmt::Display| ServiceError::Named { path, why: why.to_string() }
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.authority)? {
        roots.add(certificate).map_err(|error| named(&config.authority)(&error))?;
    }
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
    let verifier = verifier.map_err(|error| named(&config.authority)(&error))?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| named(&config.key)(&error))?;
    let server = ServerConfig::builder().with_client_cert_verifier(verifier);
    let server = server.with_single_cert(certificates(&config.certificate)?, key);
    Ok(RustlsConfig::from_config(Arc::new(server.map_err(|error| named(&config.certificate)(&error))?)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServiceError> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().map_err(|error| ServiceError::Named { path: path.to_owned(), why: error.to_string() })
}
