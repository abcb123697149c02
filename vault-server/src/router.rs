//! The table of contents of the API. Each handler's attributes name its route; the OpenAPI document is made of them.

use axum::Router;
use axum::extract::OriginalUri;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use coffer_proto::ProblemType;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admission::admit;
use crate::app::SharedApp;
use crate::observe::observe;
use crate::openapi;
use crate::problem::Failure;
use crate::routes::{archive_head, fleet, registrations, retrievals};

fn v1() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(fleet::get))
        .routes(routes!(registrations::get))
        .routes(routes!(registrations::put, registrations::delete))
        .routes(routes!(registrations::put_activation))
        .routes(routes!(registrations::put_keep))
        .routes(routes!(retrievals::put))
        .routes(routes!(retrievals::put_proof))
        .routes(routes!(archive_head::get, archive_head::put))
        .fallback(no_such_route)
}

/// The document alone.
pub(crate) fn document() -> OpenApi {
    openapi::complete(OpenApiRouter::new().nest("/v1", v1()).into_openapi())
}

/// Everything that is served to clients.
pub(crate) fn router(app: SharedApp) -> Router {
    let document = openapi::to_json(&document());
    let v1: Router<SharedApp> = v1().into();
    let v1 = v1.method_not_allowed_fallback(method_not_allowed);
    Router::new()
        .nest("/v1", v1.layer(middleware::from_fn_with_state(app.clone(), admit)))
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], document)))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(observe))
        .with_state(app)
}

async fn no_such_route(OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    let version = uri.path().split('/').nth(1).unwrap_or_default();
    let is_version = version.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    let detail = if is_version && version != "v1" {
        "This vault speaks version 1 of the API, under /v1, and no other."
    } else {
        "The routes of this version are in /openapi.json."
    };
    Failure::new(ProblemType::NoSuchRoute, detail)
}

async fn method_not_allowed() -> Failure {
    Failure::new(ProblemType::MethodNotAllowed, "The methods that the route takes are in the header `Allow`.")
}
