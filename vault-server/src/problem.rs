//! How what goes wrong is answered: titles, `Retry-After`, and the form of RFC 9457.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use coffer_proto::{Problem, ProblemType};
use coffer_vault_core::{Clock as _, Refusal, VaultError};

use crate::world::SystemClock;

pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Where nothing better is known.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);
const TOO_MANY_FOR: Duration = Duration::from_secs(3600);

/// A request that was not done.
#[derive(Debug)]
pub(crate) struct Failure(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
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
    pub(crate) fn unauthorized() -> Self {
        Self::new(ProblemType::Unauthorized, "Send `Authorization: Bearer` with a token that is valid now.")
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// More requests than the limits allow.
    pub(crate) fn too_many_requests(wait: Duration) -> Self {
        Self::new(ProblemType::TooManyRequests, "More requests than are allowed in a minute.").retry_after(wait)
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        if error == VaultError::Unauthorized {
            return Self::unauthorized();
        }
        let mut failure = Self::new(error.problem_type(), format!("{error}."));
        failure.0.problem.next_number = error.next_number();
        if let Some(at) = error.retry_at() {
            failure.0.problem.retry_at = Some(at);
            failure.0.retry_after = Some(at.since(SystemClock.now()));
        }
        match error {
            VaultError::Unavailable => failure.0.retry_after = Some(UNAVAILABLE_FOR),
            VaultError::Refused(Refusal::TooMany) => failure.0.retry_after = Some(TOO_MANY_FOR),
            VaultError::Refused(Refusal::Locked) => failure.0.problem.attempts_remaining = Some(0),
            _ => {}
        }
        failure
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::time::Duration;

    use axum::http::StatusCode;
    use axum::http::header::RETRY_AFTER;
    use axum::response::IntoResponse as _;
    use coffer_proto::Time;
    use coffer_vault_core::{Clock as _, Refusal, VaultError};

    use super::Failure;
    use crate::world::SystemClock;

    fn later() -> Time {
        SystemClock.now() + Duration::from_secs(100)
    }

    fn every_error() -> Vec<VaultError> {
        let refusals = [
            Refusal::NotRegistered,
            Refusal::Locked,
            Refusal::Wait { retry_at: later() },
            Refusal::CoolDown { retry_at: later() },
            Refusal::RegistrationChanged,
            Refusal::Erased,
            Refusal::IdReused,
            Refusal::AttemptClosed,
            Refusal::StaleHead { next: 7 },
            Refusal::InvalidAuthorization,
            Refusal::TooMany,
        ];
        let others = [
            VaultError::Unauthorized,
            VaultError::Malformed("why"),
            VaultError::InvalidSignature,
            VaultError::InvalidShare,
            VaultError::InvalidReceipt,
            VaultError::InvalidProof,
            VaultError::RetrieveAgain,
            VaultError::NotDelivered,
            VaultError::UnknownManifest,
            VaultError::Unavailable,
        ];
        refusals.into_iter().map(VaultError::from).chain(others).collect()
    }

    #[test]
    fn every_429_and_503_says_when_to_come_again() {
        for error in every_error() {
            let response = Failure::from(error).into_response();
            let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&response.status());
            assert_eq!(response.headers().contains_key(RETRY_AFTER), later, "{error}");
        }
    }

    #[test]
    fn no_two_errors_of_different_meaning_are_the_same_problem() {
        let mut types: Vec<_> =
            every_error().into_iter().map(|error| Failure::from(error).0.problem.problem_type).collect();
        let all = types.len();
        types.sort_by_key(|problem_type| format!("{problem_type:?}"));
        types.dedup();
        // A signature that does not hold can be found out in two places.
        assert_eq!(types.len(), all - 1);
    }

    #[test]
    fn a_wait_is_told_in_seconds_and_as_a_time() {
        let failure = Failure::from(VaultError::from(Refusal::Wait { retry_at: later() }));
        assert_eq!(failure.0.problem.retry_at, Some(later()));
        let seconds: u64 = failure.into_response().headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((99..=100).contains(&seconds), "{seconds}");
    }
}
