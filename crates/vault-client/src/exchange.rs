//! One request and its answer, typed.

use std::time::Duration;

use coffer_proto::{Problem, ProblemType, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::transport::{Method, Request, Response, Transport, TransportError};

/// What can go wrong with any request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// There is no way to the vault. Try again later.
    #[error("the vault cannot be reached: {0}")]
    Unreachable(String),
    /// Its TLS certificate is not one that is trusted here. Name its authority, or check the address.
    #[error("the vault's TLS certificate is not trusted: {0}")]
    Certificate(String),
    /// The vault cannot do it just now. Try again later: nothing was given away.
    #[error("the vault cannot do it just now")]
    Unavailable,
    /// It was asked too often.
    #[error("the vault is asked too often")]
    TooManyRequests {
        /// When it takes requests again, if it says so.
        retry_at: Option<Time>,
    },
    /// The token has expired, or is for another device or vault. Get a new one.
    #[error("the vault does not accept the account token")]
    Unauthorized,
    /// What answers does not speak this API: another server, or a much later version. Check the address.
    #[error("what answers is not a vault that this version knows: {0}")]
    NotAVault(&'static str),
    /// The vault's keys have changed, and the fleet that it shows does not name those of now; or this device's clock is
    /// wrong.
    #[error("the vault's keys are not those that hold at this device's time")]
    StaleKeys,
    /// The vault refuses for a reason that no retry mends.
    #[error("the vault refuses the request: {0:?}")]
    Refused(ProblemType),
}

/// Why a request came to nothing: each verb knows which problems it can act on.
#[derive(Debug)]
pub(crate) enum Failure {
    Problem(Problem),
    Request(RequestError),
}

impl From<Failure> for RequestError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Request(error) => error,
            Failure::Problem(problem) => match problem.problem_type {
                ProblemType::Unauthorized => Self::Unauthorized,
                ProblemType::Unavailable | ProblemType::SiteUnreachable => Self::Unavailable,
                ProblemType::TooManyRequests => Self::TooManyRequests { retry_at: problem.retry_at },
                other => Self::Refused(other),
            },
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl Failure {
    /// Whether it says nothing of what was asked: another site may do it.
    pub(crate) const fn is_of_the_way(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(
                    problem.problem_type,
                    ProblemType::Unavailable | ProblemType::SiteUnreachable | ProblemType::NotDelivered
                )
            }
            Self::Request(error) => matches!(
                error,
                RequestError::Unreachable(_)
                    | RequestError::Unavailable
                    | RequestError::StaleKeys
                    | RequestError::NotAVault(_)
            ),
        }
    }

    /// Whether the identical request is worth sending again a moment later.
    pub(crate) const fn is_brief(&self) -> bool {
        match self {
            Self::Problem(problem) => {
                matches!(problem.problem_type, ProblemType::Unavailable | ProblemType::SiteUnreachable)
            }
            Self::Request(error) => matches!(error, RequestError::Unreachable(_) | RequestError::Unavailable),
        }
    }

    /// This one, or the other if that says more.
    pub(crate) fn or_worse(self, other: Self) -> Self {
        let weight = |failure: &Self| match failure {
            Self::Request(RequestError::NotAVault(_)) => 3,
            Self::Request(RequestError::StaleKeys) => 2,
            Self::Request(RequestError::Unavailable) => 0,
            _ => 1,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }

    /// The problem, if it is one.
    pub(crate) const fn problem_type(&self) -> Option<ProblemType> {
        match self {
            Self::Problem(problem) => Some(problem.problem_type),
            Self::Request(_) => None,
        }
    }
}

/// How long to wait before the same request is sent again, for as long as its outcome is unknown.
pub(crate) const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(1000)];

/// Asks for what needs no way to a site, until the outcome is known or a few times.
pub(crate) async fn get<T: Transport, A: DeserializeOwned>(
    transport: &T,
    path: &str,
    token: &str,
) -> Result<A, Failure> {
    let request = Request { method: Method::Get, path, token: Some(token), body: None };
    let mut pauses = PAUSES.into_iter();
    loop {
        match (pauses.next(), send_once(transport, &request).await) {
            (Some(pause), Err(failure)) if failure.is_brief() => tokio::time::sleep(pause).await,
            (_, said) => return parse(&said?),
        }
    }
}

/// The bytes of a request.
pub(crate) fn body<B: Serialize>(body: &B) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(body).map_err(|_| RequestError::Refused(ProblemType::Malformed).into())
}

/// Reads an answer.
pub(crate) fn parse<A: DeserializeOwned>(body: &[u8]) -> Result<A, Failure> {
    serde_json::from_slice(body).map_err(|_| not_a_vault("its answer is not the expected JSON"))
}

const fn not_a_vault(why: &'static str) -> Failure {
    Failure::Request(RequestError::NotAVault(why))
}

/// Sends a request once, and reads what came of it.
pub(crate) async fn send_once<T: Transport>(transport: &T, request: &Request<'_>) -> Result<Vec<u8>, Failure> {
    judge(transport.send(request).await)
}

fn judge(outcome: Result<Response, TransportError>) -> Result<Vec<u8>, Failure> {
    let answer = outcome.map_err(|error| match error {
        TransportError::Unreachable(reason) => Failure::Request(RequestError::Unreachable(reason)),
        TransportError::Untrusted(reason) => Failure::Request(RequestError::Certificate(reason)),
        TransportError::TooLong => not_a_vault("its answer is too long"),
        TransportError::StaleKeys => Failure::Request(RequestError::StaleKeys),
        TransportError::Unsealed => not_a_vault("its answer was made or changed by somebody in between"),
    })?;
    match answer.status {
        200..=299 => return Ok(answer.body),
        401 => return Err(Failure::Request(RequestError::Unauthorized)),
        _ => {}
    }
    match serde_json::from_slice(&answer.body) {
        Ok(problem) => Err(Failure::Problem(problem)),
        Err(_) if answer.status == 429 => Err(Failure::Request(RequestError::TooManyRequests { retry_at: None })),
        Err(_) if answer.status >= 500 => Err(Failure::Request(RequestError::Unavailable)),
        Err(_) => Err(not_a_vault("it states a problem that no vault has")),
    }
}
