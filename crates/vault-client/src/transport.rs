//! How requests reach the vault: the one thing that this crate does not do itself.

use std::fmt;

use thiserror::Error;

/// Carries a request to the vault and its answer back.
pub trait Transport: Send + Sync {
    /// Sends a request once. An answer with any status is a success here.
    ///
    /// # Errors
    /// [`TransportError`]: the request may have arrived or not. Whoever sends it again sends the same bytes.
    fn send(&self, request: &Request<'_>) -> impl Future<Output = Result<Response, TransportError>> + Send;
}

/// What is sent.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// From the address's root: `/v1/…`.
    pub path: &'a str,
    /// For `Authorization: Bearer`: without one the vault answers nothing.
    pub token: Option<&'a str>,
    /// JSON.
    pub body: Option<&'a [u8]>,
}

/// What the API's routes take. Each of them may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Writes under an id that the client chose.
    Put,
    /// Erases.
    Delete,
    /// Carries a sealed request.
    Post,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// [`MAX_ANSWER`] bytes at most.
    pub body: Vec<u8>,
}

/// Bytes of an answer that are read at most; the longest right one, a fleet manifest, stays below.
pub const MAX_ANSWER: usize = 256 << 10;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TransportError {
    /// No connection, no time left, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// TLS does not trust what answers, and nothing was sent.
    #[error("{0}")]
    Untrusted(String),
    /// More than [`MAX_ANSWER`] bytes came: whatever that is, it is not the vault's API.
    #[error("the answer is longer than any of a vault")]
    TooLong,
    /// The site is said to take no seal that was made with what the fleet has shown: fetch the fleet again.
    #[error("the site's keys have changed")]
    StaleKeys,
    /// The answer is not one that the site has sealed for this request: somebody on the way has made or changed it.
    #[error("the answer is not sealed by the site")]
    Unsealed,
}

/// The token is no one's to read.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}
