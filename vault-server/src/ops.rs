//! For whoever operates the vault, on a listener of its own: is it alive, can it serve, what does it count.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use coffer_vault_core::{Freshness, Hsm as _, Ledger as _, RecordStore as _};
use coffer_vault_store::EmbeddedLedger;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::SharedApp;
use crate::observe;
use crate::world::{Records, SharedHsm};

/// Whatever takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the vault cannot serve without.
pub(crate) struct Operations {
    pub(crate) app: SharedApp,
    pub(crate) hsm: SharedHsm,
    pub(crate) records: Records,
    pub(crate) ledger: EmbeddedLedger,
    pub(crate) metrics: PrometheusHandle,
    /// Set when the process is about to end.
    pub(crate) is_ending: AtomicBool,
}

pub(crate) fn router(operations: Arc<Operations>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(operations)
}

async fn ready(State(operations): State<Arc<Operations>>) -> (StatusCode, String) {
    let lacking = operations.lacking().await;
    if lacking.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", lacking.join(", ")))
}

async fn metrics(State(operations): State<Arc<Operations>>) -> impl IntoResponse {
    observe::show_ready(operations.lacking().await.is_empty());
    observe::count_hsm(&operations.hsm.operations());
    observe::count_dissents(&operations.app.vault.site().dissents());
    if let Records::Etcd(records) = &operations.records
        && let Ok(health) = tokio::time::timeout(PATIENCE, records.health()).await
    {
        health.iter().for_each(observe::show_cell);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], operations.metrics.render())
}

impl Operations {
    /// Really asks: an HMAC, a linearizable read, the ledger's number.
    async fn lacking(&self) -> Vec<&'static str> {
        let (hsm, records, ledger) = tokio::join!(
            answers(self.hsm.mac(b"coffer/v1/ready")),
            answers(self.records.get(b"ready", Freshness::Newest)),
            answers(self.ledger.highest_number()),
        );
        let is_ending = self.is_ending.load(Ordering::Relaxed);
        let others = self.app.vault.site().has_checked_height();
        let all = [
            (hsm, "the HSM"),
            (records, "the record store"),
            (ledger, "the ledger"),
            (others, "enough other sites"),
            (!is_ending, "ending"),
        ];
        all.into_iter().filter_map(|(is_there, name)| (!is_there).then_some(name)).collect()
    }
}

async fn answers<T, E>(asked: impl Future<Output = Result<T, E>>) -> bool {
    matches!(tokio::time::timeout(PATIENCE, asked).await, Ok(Ok(_)))
}
