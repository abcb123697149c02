//! What is read of a request before it is admitted.

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use coffer_proto::ProblemType;

use crate::Failure;

/// A body that is longer than it may be.
pub fn too_large(longest: usize) -> Failure {
    Failure::new(ProblemType::TooLarge, format!("No such request has a body of more than {longest} bytes."))
}

/// How long the body is, if the request says so.
pub fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The token of RFC 6750, section 2.1. Two of them are none.
pub fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use axum::http::HeaderMap;
    use axum::http::header::AUTHORIZATION;

    use super::bearer_token;

    fn of(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        bearer_token(&headers).map(str::to_owned)
    }

    #[test]
    fn takes_the_token_of_the_one_header() {
        assert_eq!(of(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(of(&["bearer abc"]).as_deref(), Some("abc"));
    }

    #[test]
    fn refuses_another_scheme_and_two_headers() {
        for values in [&[][..], &["Basic abc"], &["abc"], &["Bearer"], &["Bearer abc", "Bearer abc"]] {
            assert_eq!(of(values), None, "{values:?}");
        }
    }
}
