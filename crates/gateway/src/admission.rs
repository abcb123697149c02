//! Who may ask. Whoever has no valid token reaches no site.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use coffer_proto::Time;
use coffer_service::{Failure, MAX_SEALED_BODY, bearer_token, declared_length, too_large};

use crate::app::SharedApp;

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
pub(crate) async fn admit(State(app): State<SharedApp>, request: Request, next: Next) -> Result<Response, Failure> {
    if declared_length(request.headers()).is_some_and(|length| length > MAX_SEALED_BODY as u64) {
        return Err(too_large(MAX_SEALED_BODY));
    }
    let token = bearer_token(request.headers()).ok_or_else(Failure::unauthorized)?;
    let bearer = app.tokens.verify(token, now()).ok_or_else(Failure::unauthorized)?;
    app.limits.admit_account(&bearer.account)?;
    Ok(next.run(request).await)
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
