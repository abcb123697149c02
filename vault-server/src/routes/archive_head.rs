//! The newest snapshot, as its owner last knew it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use coffer_proto::{ArchiveHead, Problem};
use coffer_service::Strict;
use coffer_vault_core::AccountToken;

use crate::app::SharedApp;
use crate::problem::Failure;

/// The head that is kept. `not-registered` when there is none.
#[utoipa::path(
    get, path = "/archive-head", operation_id = "get_archive_head", tag = "archive head",
    responses(
        (status = 200, body = ArchiveHead),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn get(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
) -> Result<Json<ArchiveHead>, Failure> {
    Ok(Json(app.vault.head(token.expose()).await?))
}

/// Keeps a head, if its number is the one after that which is kept.
#[utoipa::path(
    put, path = "/archive-head", operation_id = "put_archive_head", tag = "archive head",
    request_body = ArchiveHead,
    responses(
        (status = 204),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    Strict(request): Strict<ArchiveHead>,
) -> Result<StatusCode, Failure> {
    app.vault.keep_head(token.expose(), &request).await?;
    Ok(StatusCode::NO_CONTENT)
}
