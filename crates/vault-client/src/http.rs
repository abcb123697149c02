//! The transport over HTTP.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, Url, redirect};

use crate::address::VaultAddress;
use crate::transport::{MAX_ANSWER, Method, Request, Response, Transport, TransportError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For all of a request. Argon2 is the client's, so that no right answer takes long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// HTTP/1.1 to one vault, over TLS but for this machine's own. Follows no redirects, keeps no cookies.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: Client,
    root: Url,
}

/// Why there can be no connection at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The certificates that were given are none.
    #[error("these are not certificates in PEM form")]
    Certificates,
    /// TLS cannot be set up here.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

impl HttpTransport {
    /// To the vault at `address`. With `authorities` (certificates in PEM form) those are trusted for TLS, otherwise the
    /// system's are. TLS only hides who talks to whom about what: what the vault says is trusted for its signatures.
    ///
    /// # Errors
    /// [`HttpError`].
    pub fn new(address: &VaultAddress, authorities: Option<&[u8]>) -> Result<Self, HttpError> {
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .https_only(address.url().scheme() == "https")
            .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")));
        if address.url().scheme() == "http" {
            // To this machine, and not by way of a proxy of the environment's, which would read the token.
            builder = builder.no_proxy();
        }
        if let Some(pem) = authorities {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|_| HttpError::Certificates)?;
            if certificates.is_empty() {
                return Err(HttpError::Certificates);
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| HttpError::Tls(described(&error)))?;
        Ok(Self { client, root: address.url().clone() })
    }
}

impl Transport for HttpTransport {
    async fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let mut url = self.root.clone();
        url.set_path(request.path);
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
            Method::Post => reqwest::Method::POST,
        };
        let mut builder = self.client.request(method, url);
        if let Some(token) = request.token {
            builder = builder.header(AUTHORIZATION, bearer(token)?);
        }
        if let Some(body) = request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let mut answer = builder.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(TransportError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Response { status, body })
    }
}

/// Marked, so that nothing on the way logs it.
fn bearer(token: &str) -> Result<HeaderValue, TransportError> {
    let not_sent = |_| TransportError::Unreachable("the token cannot be sent".to_owned());
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(not_sent)?;
    value.set_sensitive(true);
    Ok(value)
}

fn failed(error: reqwest::Error) -> TransportError {
    let described = described(&error);
    if is_certificate(&error) { TransportError::Untrusted(described) } else { TransportError::Unreachable(described) }
}

/// Whether it is the certificate that TLS does not accept. What an [`io::Error`] wraps is not among its sources.
fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref().and_then(io::Error::get_ref).map(|wrapped| wrapped as &(dyn Error + 'static));
    matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
        || wrapped.or_else(|| error.source()).is_some_and(is_certificate)
}

/// The innermost cause: what is around it says no more than that a request failed.
fn described(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() { "it does not answer in time".to_owned() } else { cause.to_string() }
}
