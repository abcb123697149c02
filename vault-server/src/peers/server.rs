//! What this site does for others.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use coffer_proto::SiteNumber;
use coffer_vault_core::{EvaluateRequest, SiteKeep, SiteProof, SiteRefusal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{MAX_LEN, Of, WireAnswer, WireRefusal, encode, parse};
use crate::app::SharedApp;

type Answer = Result<Vec<u8>, StatusCode>;

/// The routes for other sites.
pub(crate) fn router(app: SharedApp) -> Router {
    Router::new()
        .route("/peer/v1/evaluate", post(evaluate))
        .route("/peer/v1/mark", post(mark))
        .route("/peer/v1/count", post(count))
        .route("/peer/v1/height", post(height))
        .route("/peer/v1/heard", post(heard))
        .route("/peer/v1/proof", post(proof))
        .route("/peer/v1/keep", post(keep))
        .layer(DefaultBodyLimit::max(MAX_LEN))
        .with_state(app)
}

async fn evaluate(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let request: EvaluateRequest = read(&body)?;
    Ok(answer(app.vault.site().evaluate(&request).await.map(WireAnswer::from)))
}

async fn mark(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let Of { account, registration } = read(&body)?;
    Ok(answer(app.vault.site().newest_mark(&account, &registration).await))
}

async fn count(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let Of { account, registration } = read(&body)?;
    Ok(answer(app.vault.site().count(&account, &registration).await))
}

async fn height(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let about: SiteNumber = read(&body)?;
    Ok(answer(app.vault.site().height_of(about).await.map_err(SiteRefusal::from)))
}

async fn heard(State(app): State<SharedApp>, body: Bytes) -> Answer {
    app.vault.site().hear_height(read(&body)?);
    Ok(answer(Ok(())))
}

async fn proof(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let request: SiteProof = read(&body)?;
    Ok(answer(app.vault.site().apply_proof(&request).await))
}

async fn keep(State(app): State<SharedApp>, body: Bytes) -> Answer {
    let request: SiteKeep = read(&body)?;
    Ok(answer(app.vault.site().apply_keep(&request).await))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, StatusCode> {
    parse(body).ok_or(StatusCode::BAD_REQUEST)
}

fn answer<T: Serialize>(outcome: Result<T, SiteRefusal>) -> Vec<u8> {
    encode(&outcome.map_err(WireRefusal::from))
}
