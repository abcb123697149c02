//! Who this vault is.

use axum::Json;
use axum::extract::State;
use coffer_proto::{FleetAnswer, Problem};

use crate::app::SharedApp;
use crate::problem::Failure;

/// The signed fleet manifest, and the sites' certified keys.
#[utoipa::path(
    get, path = "/fleet", operation_id = "get_fleet", tag = "fleet",
    responses(
        (status = 200, body = FleetAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn get(State(app): State<SharedApp>) -> Result<Json<FleetAnswer>, Failure> {
    let certificates = vec![app.vault.certificate().await?];
    Ok(Json(FleetAnswer { manifest: app.signed_manifest(), certificates, sealed_only: app.sealed_only }))
}
