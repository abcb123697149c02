//! How what goes wrong is answered: titles, `Retry-After`, and the form of RFC 9457.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use coffer_proto::{Problem, ProblemType};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A request that was not done.
#[derive(Debug)]
pub struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    retry_after: Option<Duration>,
}

impl Failure {
    /// With a sentence that says what to do.
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        let problem = Problem {
            problem_type,
            title: title(problem_type).to_owned(),
            status: problem_type.status(),
            detail: Some(detail.into()),
            attempts_remaining: None,
            retry_at: None,
            next_number: None,
        };
        Self(Box::new(Parts { problem, retry_after: None }))
    }

    /// The one answer to everybody without a valid token.
    pub fn unauthorized() -> Self {
        Self::new(ProblemType::Unauthorized, "Send `Authorization: Bearer` with a token that is valid now.")
    }

    /// Not a request of this API.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// More requests than the limits allow.
    pub fn too_many_requests(wait: Duration) -> Self {
        Self::new(ProblemType::TooManyRequests, "More requests than are allowed in a minute.").retry_after(wait)
    }

    /// Says in seconds when to come again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// The problem, to say more in it.
    pub fn problem_mut(&mut self) -> &mut Problem {
        &mut self.0.problem
    }
}

/// A few words for each.
const fn title(problem_type: ProblemType) -> &'static str {
    use ProblemType as Type;
    match problem_type {
        Type::Unauthorized => "No valid token",
        Type::Malformed => "Not a request of this API",
        Type::TooLarge => "The body is too long",
        Type::NoSuchRoute => "No such route",
        Type::MethodNotAllowed => "Another method is needed",
        Type::UnsupportedMediaType => "The body has to be application/json",
        Type::InvalidSignature => "A signature does not hold",
        Type::InvalidShare => "The sealed share does not fit",
        Type::InvalidReceipt => "The receipts do not hold",
        Type::InvalidProof => "The proof does not hold",
        Type::AttemptClosed => "The attempt is closed",
        Type::RetrieveAgain => "Send the retrieval again",
        Type::IdReused => "The id was used before",
        Type::RegistrationChanged => "Another registration is live",
        Type::Erased => "The registration was erased",
        Type::NotDelivered => "Deliver the share first",
        Type::NotRegistered => "Nothing is registered",
        Type::Locked => "No guess is left",
        Type::Wait => "The next guess is taken later",
        Type::CoolDown => "The next registration is taken later",
        Type::StaleHead => "Not the next archive head",
        Type::UnknownManifest => "The fleet manifest is not known here",
        Type::InvalidSeal => "The seal does not hold",
        Type::UnknownTransportKey => "Sealed to a key that is not known here",
        Type::SiteUnreachable => "The site cannot be reached",
        Type::TooManyRequests => "Too many requests",
        Type::Unavailable => "Not just now",
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Parts { problem, retry_after } = *self.0;
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"coffer\""));
        }
        if let Some(wait) = retry_after {
            // Whole seconds, upwards, so that nobody comes too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response.extensions_mut().insert(problem.problem_type);
        response
    }
}
