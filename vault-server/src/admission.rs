//! Who may ask. Everything under `/v1` passes here before anything of it is parsed, so that whoever has no valid token
//! learns nothing but that.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH};
use axum::middleware::Next;
use axum::response::Response;
use coffer_proto::ProblemType;
use coffer_vault_core::AccountToken;

use crate::app::SharedApp;
use crate::body::MAX_BODY;
use crate::problem::Failure;

/// In this order: the address's limit, the length that the body is said to have, the token, the account's limit.
pub(crate) async fn admit(
    State(app): State<SharedApp>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    app.limits.admit_address(peer.ip())?;
    if declared_length(request.headers()).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let token = bearer_token(request.headers()).ok_or_else(Failure::unauthorized)?;
    let bearer = app.vault.authenticate(token)?;
    app.limits.admit_account(&bearer.account)?;
    let token = AccountToken::from(token);
    request.extensions_mut().insert(token);
    Ok(next.run(request).await)
}

pub(crate) fn too_large() -> Failure {
    Failure::new(ProblemType::TooLarge, format!("No request has a body of more than {MAX_BODY} bytes."))
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// RFC 6750, section 2.1. Two of them are none.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
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
