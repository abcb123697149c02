//! How what goes wrong in the vault is answered.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use coffer_proto::ProblemType;
use coffer_vault_core::{Clock as _, Refusal, VaultError};

use crate::world::SystemClock;

/// Where nothing better is known.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);
const TOO_MANY_FOR: Duration = Duration::from_secs(3600);

/// A request that was not done, for a reason of HTTP's or of the vault's.
#[derive(Debug)]
pub(crate) struct Failure(coffer_service::Failure);

impl Failure {
    pub(crate) fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        Self(coffer_service::Failure::new(problem_type, detail))
    }

    /// The one answer to everybody without a valid token.
    pub(crate) fn unauthorized() -> Self {
        Self(coffer_service::Failure::unauthorized())
    }
}

impl From<coffer_service::Failure> for Failure {
    fn from(failure: coffer_service::Failure) -> Self {
        Self(failure)
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        if error == VaultError::Unauthorized {
            return Self::unauthorized();
        }
        let mut failure = coffer_service::Failure::new(error.problem_type(), format!("{error}."));
        let problem = failure.problem_mut();
        problem.next_number = error.next_number();
        problem.retry_at = error.retry_at();
        if error == VaultError::Refused(Refusal::Locked) {
            problem.attempts_remaining = Some(0);
        }
        let wait = match (&error, error.retry_at()) {
            (VaultError::Unavailable, _) => Some(UNAVAILABLE_FOR),
            (VaultError::Refused(Refusal::TooMany), _) => Some(TOO_MANY_FOR),
            (_, retry_at) => retry_at.map(|at| at.since(SystemClock.now())),
        };
        Self(wait.into_iter().fold(failure, coffer_service::Failure::retry_after))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
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
            every_error().into_iter().map(|error| Failure::from(error).0.problem_mut().problem_type).collect();
        let all = types.len();
        types.sort_by_key(|problem_type| format!("{problem_type:?}"));
        types.dedup();
        // A signature that does not hold can be found out in two places.
        assert_eq!(types.len(), all - 1);
    }

    #[test]
    fn a_wait_is_told_in_seconds_and_as_a_time() {
        let mut failure = Failure::from(VaultError::from(Refusal::Wait { retry_at: later() }));
        assert_eq!(failure.0.problem_mut().retry_at, Some(later()));
        let seconds: u64 = failure.into_response().headers()[RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((99..=100).contains(&seconds), "{seconds}");
    }
}
