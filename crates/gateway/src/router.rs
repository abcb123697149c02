//! The table of contents.

use axum::Router;
use axum::middleware;
use axum::routing::{get, post};
use coffer_proto::ProblemType;
use coffer_service::{Failure, Metrics, observe};

use crate::admission::{admit, limit_address};
use crate::app::SharedApp;
use crate::{fleet, relay};

/// Of each request.
pub(crate) const METRICS: Metrics =
    Metrics { requests: "coffer_gateway_requests_total", duration: "coffer_gateway_request_duration_seconds" };

/// Everything that is served to clients.
pub(crate) fn router(app: SharedApp) -> Router {
    let v1 = Router::new()
        .route("/fleet", get(fleet::get))
        .route("/sites/{site}/sealed", post(relay::post))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .nest("/v1", v1.layer(middleware::from_fn_with_state(app.clone(), admit)))
        .fallback(no_such_route)
        .layer(middleware::from_fn_with_state(app.clone(), limit_address))
        .layer(middleware::from_fn_with_state(METRICS, observe))
        .with_state(app)
}

async fn no_such_route() -> Failure {
    Failure::new(
        ProblemType::NoSuchRoute,
        "A gateway has /v1/fleet and /v1/sites/{site}/sealed: everything else goes sealed.",
    )
}

async fn method_not_allowed() -> Failure {
    Failure::new(ProblemType::MethodNotAllowed, "The methods that the route takes are in the header `Allow`.")
}
