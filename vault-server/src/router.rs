//! The table of contents of the API. Each handler's attributes name its route; the OpenAPI document is made of them.

use axum::extract::OriginalUri;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use coffer_proto::ProblemType;
use coffer_service::observe;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admission::{admit, limit_address};
use crate::app::SharedApp;
use crate::observe::METRICS;
use crate::openapi;
use crate::problem::Failure;
use crate::routes::sealed::Inside;
use crate::routes::{archive_head, fleet, registrations, retrievals, sealed};

/// What is taken from everybody with a token, a gateway too.
fn open() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(fleet::get)).routes(routes!(sealed::post))
}

/// What is taken inside of a seal; without a gateway, outside as well.
fn sealable() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(registrations::get))
        .routes(routes!(registrations::put, registrations::delete))
        .routes(routes!(registrations::put_activation))
        .routes(routes!(registrations::put_keep))
        .routes(routes!(retrievals::put))
        .routes(routes!(retrievals::put_proof))
        .routes(routes!(archive_head::get, archive_head::put))
}

/// The document alone.
pub(crate) fn document() -> OpenApi {
    openapi::complete(OpenApiRouter::new().nest("/v1", open().merge(sealable())).into_openapi())
}

/// Everything that is served to clients.
pub(crate) fn router(app: SharedApp) -> Router {
    let document = openapi::to_json(&document());
    let v1: Router<SharedApp> = if app.sealed_only {
        open().fallback(sealed_only).into()
    } else {
        open().merge(sealable()).fallback(no_such_route).into()
    };
    let v1 = v1.method_not_allowed_fallback(method_not_allowed).layer(Extension(inside(app.clone())));
    Router::new()
        .nest("/v1", v1.layer(middleware::from_fn_with_state(app.clone(), admit)))
        .route("/openapi.json", get(async move || ([(CONTENT_TYPE, "application/json")], document)))
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(app.clone(), limit_address))
        .layer(middleware::from_fn_with_state(METRICS, observe))
        .with_state(app)
}

/// What an opened request is put to. Its envelope was admitted: here no token is asked for again, and nothing is counted.
fn inside(app: SharedApp) -> Inside {
    let v1: Router<SharedApp> = sealable().into();
    let routes = Router::new()
        .nest("/v1", v1)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(METRICS, observe))
        .with_state(app);
    Inside(routes)
}

async fn sealed_only() -> Failure {
    Failure::new(ProblemType::NoSuchRoute, "This site takes everything but /v1/fleet sealed: /v1/sites/{site}/sealed.")
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
