//! The way to one site past a gateway: whatever is asked goes sealed to the site's transport key.

use std::fmt;
use std::sync::Arc;

use coffer_channel::{Destination, PlainRequest, Sender, seal};
use coffer_proto::{
    AccountId, PointBytes, Problem, ProblemType, RouteTemplate, SealedAnswer, SealedMethod, SiteNumber, Time,
};
use thiserror::Error;

use crate::fleet::Fleet;
use crate::transport::{Method, Request, Response, Transport, TransportError};

/// What is asked for the time.
pub type ClockFn = Arc<dyn Fn() -> Time + Send + Sync>;

/// The fleet has shown no certificate for the site that holds now: it may be down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("site {0} has no certified transport key")]
pub struct NoCertificate(pub SiteNumber);

/// The way to one site: as it is, or sealed.
#[derive(Debug, Clone)]
pub enum SiteTransport<T> {
    /// A vault of one site without a gateway.
    Open(T),
    /// Everything else.
    Sealed(SealedTransport<T>),
}

/// Seals every request to one site, and believes only what that site has sealed.
#[derive(Clone)]
pub struct SealedTransport<T> {
    inner: T,
    destination: Destination,
    key: PointBytes,
    account: AccountId,
    clock: ClockFn,
}

impl<T> SiteTransport<T> {
    /// The way that a site of this fleet has to be gone. What a vault says of itself beside its manifest can make this more
    /// careful and never less: with several sites everything is sealed.
    ///
    /// # Errors
    /// [`NoCertificate`].
    pub fn new(
        inner: T,
        fleet: &Fleet,
        site: SiteNumber,
        account: &AccountId,
        clock: ClockFn,
    ) -> Result<Self, NoCertificate> {
        if !fleet.is_sealed() {
            return Ok(Self::Open(inner));
        }
        SealedTransport::new(inner, fleet, site, account, clock).map(Self::Sealed)
    }
}

impl<T: Transport> Transport for SiteTransport<T> {
    async fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        match self {
            Self::Open(inner) => inner.send(request).await,
            Self::Sealed(sealed) => sealed.send(request).await,
        }
    }
}

impl<T> SealedTransport<T> {
    /// To one site, by its newest certificate. `account` is that of the token which the requests will bear.
    ///
    /// # Errors
    /// [`NoCertificate`].
    pub fn new(
        inner: T,
        fleet: &Fleet,
        site: SiteNumber,
        account: &AccountId,
        clock: ClockFn,
    ) -> Result<Self, NoCertificate> {
        let certificate = fleet.certificate(site, clock()).ok_or(NoCertificate(site))?;
        let destination = Destination { fleet: fleet.id, manifest: fleet.manifest_hash, site };
        Ok(Self { inner, destination, key: certificate.transport_key, account: account.clone(), clock })
    }
}

impl<T: Transport> Transport for SealedTransport<T> {
    async fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let (Ok((route, id)), Some(token), Some(method)) =
            (RouteTemplate::of_path(request.path), request.token, sealed_method(request.method))
        else {
            return Err(TransportError::Unreachable("this request cannot be sealed".to_owned()));
        };
        let sender = Sender { account: &self.account, token };
        let body = request.body.unwrap_or_default();
        let plain = PlainRequest { method, route: &route, id, body, time: (self.clock)() };
        let (envelope, opener) = seal(&self.destination, &self.key, &sender, &plain)
            .map_err(|error| TransportError::Unreachable(error.to_string()))?;
        let envelope = serde_json::to_vec(&envelope).map_err(|error| TransportError::Unreachable(error.to_string()))?;
        let path = format!("/v1/sites/{}/sealed", self.destination.site);
        let posted = Request { method: Method::Post, path: &path, token: Some(token), body: Some(&envelope) };
        let answer = self.inner.send(&posted).await?;
        if answer.status != 200 {
            return in_the_clear(&answer);
        }
        let sealed: SealedAnswer = serde_json::from_slice(&answer.body).map_err(|_| TransportError::Unsealed)?;
        let opened = opener.open(answer.status, &sealed).map_err(|_| TransportError::Unsealed)?;
        Ok(Response { status: opened.status, body: opened.body })
    }
}

/// What a gateway may say, or the site before it opens anything: that it does not work. Whatever says more is not believed,
/// for a gateway that could say "locked" would be obeyed.
fn in_the_clear(answer: &Response) -> Result<Response, TransportError> {
    let problem = serde_json::from_slice::<Problem>(&answer.body).ok().map(|problem| problem.problem_type);
    let status = answer.status;
    match (status, problem) {
        (_, Some(ProblemType::UnknownTransportKey | ProblemType::InvalidSeal)) => Err(TransportError::StaleKeys),
        (401, _) => Ok(Response { status, body: Vec::new() }),
        (429 | 500.., Some(ProblemType::TooManyRequests | ProblemType::Unavailable | ProblemType::SiteUnreachable)) => {
            Ok(answer.clone())
        }
        (429 | 500.., _) => Ok(Response { status, body: Vec::new() }),
        _ => Err(TransportError::Unsealed),
    }
}

const fn sealed_method(method: Method) -> Option<SealedMethod> {
    match method {
        Method::Get => Some(SealedMethod::Get),
        Method::Put => Some(SealedMethod::Put),
        Method::Delete => Some(SealedMethod::Delete),
        Method::Post => None,
    }
}

impl<T> fmt::Debug for SealedTransport<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedTransport").field("destination", &self.destination).finish_non_exhaustive()
    }
}
