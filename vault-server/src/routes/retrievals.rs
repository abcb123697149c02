//! Getting a key back.

use axum::extract::State;
use axum::{Extension, Json};
use coffer_proto::{AttemptId, Problem, ProofAnswer, ProofRequest, RetrievalAnswer, RetrievalRequest};
use coffer_service::{PathId, Strict};
use coffer_vault_core::AccountToken;

use crate::app::SharedApp;
use crate::observe::{Outcome, count_attempt};
use crate::problem::Failure;

/// Spends one attempt, once for each id, and answers KE1 by KE2.
#[utoipa::path(
    put, path = "/retrievals/{id}", operation_id = "put_retrieval", tag = "retrievals",
    params(("id" = inline(AttemptId), Path, description = "Chosen by the client, at random. The same id is paid for once.")),
    request_body = RetrievalRequest,
    responses(
        (status = 200, body = RetrievalAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<AttemptId>,
    Strict(request): Strict<RetrievalRequest>,
) -> Result<Json<RetrievalAnswer>, Failure> {
    let answer = app.vault.retrieve(token.expose(), &id, &request).await;
    count_attempt(if answer.is_ok() { Outcome::Answered } else { Outcome::Refused });
    Ok(Json(answer?))
}

/// Proves that the password was right, by KE3 and the unlock key; refills, and gives the wrapped backup key.
#[utoipa::path(
    put, path = "/retrievals/{id}/proof", operation_id = "put_proof", tag = "retrievals",
    params(("id" = inline(AttemptId), Path, description = "The attempt that was answered.")),
    request_body = ProofRequest,
    responses(
        (status = 200, body = ProofAnswer),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ),
    security(("device_token" = [])),
)]
pub(crate) async fn put_proof(
    State(app): State<SharedApp>,
    Extension(token): Extension<AccountToken>,
    PathId(id): PathId<AttemptId>,
    Strict(request): Strict<ProofRequest>,
) -> Result<Json<ProofAnswer>, Failure> {
    let answer = app.vault.prove(token.expose(), &id, &request).await?;
    count_attempt(Outcome::Proved);
    Ok(Json(answer))
}
