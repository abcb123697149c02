//! Reading requests, strictly: what is not exactly of this API is refused, and nothing is guessed.

use std::str::FromStr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use coffer_proto::ProblemType;
use serde::de::DeserializeOwned;

use crate::{Failure, too_large};

/// Bytes. The longest body there is, a registration, has some 3 KiB for one site and 5 KiB for five.
pub const MAX_BODY: usize = 16 << 10;

/// The same in base64, padded, in an envelope.
pub const MAX_SEALED_BODY: usize = 32 << 10;

/// A client that sends for longer than this is not waited for.
const ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// A JSON body, whole and of the right form: unknown fields, fields that are there twice, deep nesting (serde_json stops
/// at 128 levels, and no type here has more than four) and bytes after the end are refused.
#[derive(Debug)]
pub struct Strict<T, const MAX: usize = MAX_BODY>(pub T);

/// An id out of the path.
#[derive(Debug)]
pub struct PathId<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync, const MAX: usize> FromRequest<S> for Strict<T, MAX> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, MAX).await?;
        serde_json::from_slice(bytes.as_ref()).map(Self).map_err(|error| Failure::malformed(format!("{error}.")))
    }
}

/// A JSON body as it came.
///
/// # Errors
/// `unsupported-media-type`, `too-large`, `malformed`.
pub async fn read_body(headers: &HeaderMap, body: Body, max: usize) -> Result<impl AsRef<[u8]> + Into<Body>, Failure> {
    if !is_json(headers) {
        return Err(Failure::new(ProblemType::UnsupportedMediaType, "Send `Content-Type: application/json`."));
    }
    read(body, max).await
}

async fn read(body: Body, max: usize) -> Result<impl AsRef<[u8]> + Into<Body>, Failure> {
    let Ok(read) = tokio::time::timeout(ARRIVES_WITHIN, to_bytes(body, max)).await else {
        return Err(Failure::malformed("The body did not arrive in time."));
    };
    read.map_err(|error| {
        // axum says in this way alone that the limit was passed; everything else is a connection that broke.
        let is_long = std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("limit"));
        if is_long { too_large(max) } else { Failure::malformed("The body did not arrive.") }
    })
}

/// `application/json`, and at most a charset with it, which is UTF-8 in any case (RFC 8259).
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

impl<T: FromStr<Err: std::fmt::Display>, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Failure::malformed("The path is not UTF-8."))?;
        text.parse().map(Self).map_err(|error| Failure::malformed(format!("{error}.")))
    }
}
