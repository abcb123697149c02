//! How what goes wrong is answered: the one place that knows of statuses, titles and `Retry-After`.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use coffer_proto::{Problem, ProblemType, Time};
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
        let (status, title) = words(problem_type);
        let problem = Problem {
            problem_type,
            title: title.to_owned(),
            status: status.as_u16(),
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

    fn retry_at(mut self, at: Time) -> Self {
        self.0.problem.retry_at = Some(at);
        self.retry_after(at.since(SystemClock.now()))
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        use ProblemType as Type;
        let because = |problem_type| Self::new(problem_type, format!("{error}."));
        match error {
            VaultError::Unauthorized => Self::unauthorized(),
            VaultError::Malformed(_) => because(Type::Malformed),
            VaultError::InvalidSignature => because(Type::InvalidSignature),
            VaultError::InvalidShare => because(Type::InvalidShare),
            VaultError::InvalidReceipt => because(Type::InvalidReceipt),
            VaultError::InvalidProof => because(Type::InvalidProof),
            VaultError::RetrieveAgain => because(Type::RetrieveAgain),
            VaultError::NotDelivered => because(Type::NotDelivered),
            VaultError::UnknownManifest => because(Type::UnknownManifest),
            VaultError::Unavailable => because(Type::Unavailable).retry_after(UNAVAILABLE_FOR),
            VaultError::Refused(refusal) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> Failure {
    use ProblemType as Type;
    let because = |problem_type| Failure::new(problem_type, format!("{refusal}."));
    match refusal {
        Refusal::NotRegistered => because(Type::NotRegistered),
        Refusal::Locked => {
            let mut failure = because(Type::Locked);
            failure.0.problem.attempts_remaining = Some(0);
            failure
        }
        Refusal::Wait { retry_at } => because(Type::Wait).retry_at(retry_at),
        Refusal::CoolDown { retry_at } => because(Type::CoolDown).retry_at(retry_at),
        Refusal::RegistrationChanged => because(Type::RegistrationChanged),
        Refusal::Erased => because(Type::Erased),
        Refusal::IdReused => because(Type::IdReused),
        Refusal::AttemptClosed => because(Type::AttemptClosed),
        Refusal::StaleHead { next } => {
            let mut failure = because(Type::StaleHead);
            failure.0.problem.next_number = Some(next);
            failure
        }
        Refusal::InvalidAuthorization => because(Type::InvalidSignature),
        Refusal::TooMany => because(Type::TooManyRequests).retry_after(TOO_MANY_FOR),
    }
}

/// Status and title of each.
const fn words(problem_type: ProblemType) -> (StatusCode, &'static str) {
    use ProblemType as Type;
    match problem_type {
        Type::Unauthorized => (StatusCode::UNAUTHORIZED, "No valid token"),
        Type::Malformed => (StatusCode::BAD_REQUEST, "Not a request of this API"),
        Type::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too long"),
        Type::NoSuchRoute => (StatusCode::NOT_FOUND, "No such route"),
        Type::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "Another method is needed"),
        Type::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body has to be application/json"),
        Type::InvalidSignature => (StatusCode::FORBIDDEN, "A signature does not hold"),
        Type::InvalidShare => (StatusCode::UNPROCESSABLE_ENTITY, "The sealed share does not fit"),
        Type::InvalidReceipt => (StatusCode::FORBIDDEN, "The receipts do not hold"),
        Type::InvalidProof => (StatusCode::FORBIDDEN, "The proof does not hold"),
        Type::AttemptClosed => (StatusCode::CONFLICT, "The attempt is closed"),
        Type::RetrieveAgain => (StatusCode::CONFLICT, "Send the retrieval again"),
        Type::IdReused => (StatusCode::CONFLICT, "The id was used before"),
        Type::RegistrationChanged => (StatusCode::CONFLICT, "Another registration is live"),
        Type::Erased => (StatusCode::GONE, "The registration was erased"),
        Type::NotDelivered => (StatusCode::CONFLICT, "Deliver the share first"),
        Type::NotRegistered => (StatusCode::NOT_FOUND, "Nothing is registered"),
        Type::Locked => (StatusCode::LOCKED, "No guess is left"),
        Type::Wait => (StatusCode::TOO_MANY_REQUESTS, "The next guess is taken later"),
        Type::CoolDown => (StatusCode::TOO_MANY_REQUESTS, "The next registration is taken later"),
        Type::StaleHead => (StatusCode::CONFLICT, "Not the next archive head"),
        Type::UnknownManifest => (StatusCode::CONFLICT, "The fleet manifest is not known here"),
        Type::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
        Type::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Not just now"),
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
