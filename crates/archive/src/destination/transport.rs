//! HTTP for every service that speaks it: one client, TLS unless the address says otherwise, plain words for the answers
//! that all services mean the same by.

use std::io;
use std::time::Duration;

use futures_util::StreamExt as _;
use opendal::{Buffer, ErrorKind, HttpBody, HttpTransport, HttpTransporter};
use opendal_http_transport_reqwest::ReqwestTransport;

use super::address::{Address, Service};
use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of the longest answer that is taken: no object and no page of a listing is half as long.
const LONGEST_ANSWER: usize = 64 << 20;

/// How one service is spoken to.
struct Http {
    inner: ReqwestTransport,
    service: Service,
}

/// A connection to the service at `address`. Proxies are those that the system names; a peer that takes no byte for 30
/// seconds counts as gone.
pub(super) fn to(address: &Address) -> Result<HttpTransporter, Error> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(Duration::from_secs(30))
        .https_only(!address.is_insecure())
        .user_agent(concat!("coffer/", env!("CARGO_PKG_VERSION")))
        .build();
    let client = client.map_err(|error| Error::BadUrl { url: address.to_string(), why: error.to_string() })?;
    Ok(HttpTransporter::new(Http { inner: ReqwestTransport::new(client), service: address.service }))
}

impl HttpTransport for Http {
    async fn fetch(&self, request: http::Request<Buffer>) -> opendal::Result<http::Response<HttpBody>> {
        let answer = self.inner.fetch(request).await?;
        match refusal(self.service, answer.status().as_u16()) {
            Some(refusal) => Err(refusal),
            None => Ok(answer.map(bounded)),
        }
    }
}

/// A body that fails where it becomes longer than any should. OpenDAL gathers all that comes, whatever was asked for.
fn bounded(body: HttpBody) -> HttpBody {
    let mut left = LONGEST_ANSWER;
    let too_long = || opendal::Error::new(ErrorKind::Unexpected, "the answer is longer than any object");
    body.map_inner(|pieces| {
        Box::new(pieces.map(move |piece| {
            let piece: Buffer = piece?;
            left = left.checked_sub(piece.len()).ok_or_else(too_long)?;
            Ok(piece)
        }))
    })
}

/// What a status means whatever comes with it. OpenDAL tries a forbidden WebDAV request again and again, and shows the
/// page that comes with a 401.
fn refusal(service: Service, status: u16) -> Option<opendal::Error> {
    let refused = |why: &str| Some(opendal::Error::new(ErrorKind::PermissionDenied, why));
    let busy = |why: &str| Some(opendal::Error::new(ErrorKind::RateLimited, why).set_temporary());
    match (service, status) {
        (Service::WebDav, 401) => refused("401: user name or password are missing or wrong"),
        (Service::WebDav, 403) => refused("403: it is forbidden"),
        (Service::WebDav, 423) => busy("423: it is locked"),
        (_, 429) => busy("429: too many requests"),
        (_, 507) => Some(
            opendal::Error::new(ErrorKind::Unexpected, "507: there is no room left")
                .set_source(io::Error::from(io::ErrorKind::StorageFull)),
        ),
        _ => None,
    }
}
