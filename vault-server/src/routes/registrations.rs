//! Escrowing a key, and ending it.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use coffer_proto::{
    Activated, ActivationRequest, DeletionAnswer, DeletionRequest, KeepRequest, Problem, Receipt, RegistrationId,
    RegistrationRequest, RegistrationsAnswer,
};
use coffer_service::{PathId, Strict};
use coffer_vault_core::AccountToken;

use crate::app::SharedApp;
use crate::problem::Failure;

/// The live registration and a waiting one, guesses that are left, and when the next is taken. Spends nothing.
#[utoipa::path(
    get, path = "/registrations", operation_id = "get_registrations", tag = "registrations",
    responses(
        (status = 200, body = RegistrationsAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn get(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
) -> Result<Json<RegistrationsAnswer>, Failure> {
    Ok(Json(app.vault.registrations(token.expose()).await?))
}

/// Delivers a complete, signed registration and this site's sealed share; gives this site's receipt.
#[utoipa::path(
    put, path = "/registrations/{id}", operation_id = "put_registration", tag = "registrations",
    params(("id" = RegistrationId, Path, description = "Chosen by the client, at random; never used again.")),
    request_body = RegistrationRequest,
    responses(
        (status = 200, body = Receipt),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<RegistrationId>,
    Strict(request): Strict<RegistrationRequest>,
) -> Result<Json<Receipt>, Failure> {
    Ok(Json(app.vault.register(token.expose(), &id, &request).await?))
}

/// Makes a delivered registration the live one, at once or after the waiting time.
#[utoipa::path(
    put, path = "/registrations/{id}/activation", operation_id = "put_activation", tag = "registrations",
    params(("id" = RegistrationId, Path, description = "The registration that was delivered.")),
    request_body = ActivationRequest,
    responses(
        (status = 200, body = Activated),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put_activation(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<RegistrationId>,
    Strict(request): Strict<ActivationRequest>,
) -> Result<Json<Activated>, Failure> {
    Ok(Json(app.vault.activate(token.expose(), &id, &request).await?))
}

/// A key of the live registration ends a waiting one, or a waiting deletion.
#[utoipa::path(
    put, path = "/registrations/{id}/keep", operation_id = "put_keep", tag = "registrations",
    params(("id" = RegistrationId, Path, description = "The live registration.")),
    request_body = KeepRequest,
    responses(
        (status = 204),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put_keep(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<RegistrationId>,
    Strict(request): Strict<KeepRequest>,
) -> Result<StatusCode, Failure> {
    app.vault.keep(token.expose(), &id, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erases a registration, at once or after the waiting time.
#[utoipa::path(
    delete, path = "/registrations/{id}", operation_id = "delete_registration", tag = "registrations",
    params(("id" = RegistrationId, Path, description = "The registration that is to go.")),
    request_body = DeletionRequest,
    responses(
        (status = 200, body = DeletionAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn delete(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<RegistrationId>,
    Strict(request): Strict<DeletionRequest>,
) -> Result<Json<DeletionAnswer>, Failure> {
    let due_at = app.vault.delete(token.expose(), &id, &request).await?;
    Ok(Json(DeletionAnswer { due_at }))
}
