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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::fs;
    use std::net::SocketAddr;
    use std::path::Path;

    use axum::Router;
    use axum::routing::get;
    use rcgen::generate_simple_self_signed;

    use super::{MutualTlsFiles, load_mutual_tls};
    use crate::listener::Listener;

    /// Whoever this is; its own certificate is all that it believes.
    fn made(folder: &Path, name: &str) -> MutualTlsFiles {
        let certified = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        fs::write(&certificate, certified.cert.pem()).unwrap();
        fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
        MutualTlsFiles { authority: certificate.clone(), certificate, key }
    }

    /// What curl gets with this certificate, or with none; nothing where it is not let in.
    async fn asked(address: SocketAddr, client: Option<&MutualTlsFiles>) -> Option<String> {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--insecure", "--max-time", "10", &format!("https://{address}/")]);
        if let Some(files) = client {
            curl.arg("--cert").arg(&files.certificate).arg("--key").arg(&files.key);
        }
        let output = curl.output().await.unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn refuses_whoever_has_no_certificate_or_one_of_another_authority() {
        let folder = tempfile::tempdir().unwrap();
        let (own, stranger) = (made(folder.path(), "own"), made(folder.path(), "stranger"));
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address;
        let tls = load_mutual_tls(&own).unwrap();
        tokio::spawn(listener.serve(Router::new().route("/", get(async || "let in")), Some(tls)));
        assert_eq!(asked(address, None).await, None);
        assert_eq!(asked(address, Some(&stranger)).await, None);
        assert_eq!(asked(address, Some(&own)).await.as_deref(), Some("let in"));
    }

    #[test]
    fn refuses_files_that_are_no_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let good = made(folder.path(), "good");
        let bad = folder.path().join("bad.pem");
        fs::write(&bad, "no certificate").unwrap();
        for files in [
            MutualTlsFiles { key: bad.clone(), ..good.clone() },
            MutualTlsFiles { certificate: bad.clone(), ..good.clone() },
            MutualTlsFiles { authority: bad.clone(), ..good.clone() },
        ] {
            let error = load_mutual_tls(&files).unwrap_err().to_string();
            assert!(error.contains("bad.pem"), "{error}");
        }
    }
}
