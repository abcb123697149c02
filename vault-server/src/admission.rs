//! Who may ask. Everything under `/v1` passes here before anything of it is parsed, so that whoever has no valid token
//! learns nothing but that.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use coffer_service::{MAX_BODY, MAX_SEALED_BODY, bearer_token, declared_length, too_large};
use coffer_vault_core::AccountToken;

use crate::app::SharedApp;
use crate::problem::Failure;

/// Every request counts for its address, whatever it asks for.
pub(crate) async fn limit_address(
    State(app): State<SharedApp>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    app.limits.admit_address(peer.ip())?;
    Ok(next.run(request).await)
}

/// After the address's limit, in this order: the length that the body is said to have, the token, the account's limit.
pub(crate) async fn admit(State(app): State<SharedApp>, mut request: Request, next: Next) -> Result<Response, Failure> {
    let longest = if request.uri().path().ends_with("/sealed") { MAX_SEALED_BODY } else { MAX_BODY };
    if declared_length(request.headers()).is_some_and(|length| length > longest as u64) {
        return Err(too_large(longest).into());
    }
    let token = bearer_token(request.headers()).ok_or_else(Failure::unauthorized)?;
    let bearer = app.vault.authenticate(token)?;
    app.limits.admit_account(&bearer.account)?;
    let token = AccountToken::from(token);
    request.extensions_mut().insert(token);
    Ok(next.run(request).await)
}
