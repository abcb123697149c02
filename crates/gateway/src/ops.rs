//! For whoever operates the gateway, on a listener of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::app::SharedApp;

/// Whatever takes longer does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) struct Operations {
    pub(crate) app: SharedApp,
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

async fn metrics(State(operations): State<Arc<Operations>>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], operations.metrics.render())
}

/// Really asks. One site that answers is enough to be of use; those that do not are named.
async fn ready(State(operations): State<Arc<Operations>>) -> (StatusCode, String) {
    let asked = operations.app.sites.iter().map(async |site| {
        let answers = tokio::time::timeout(PATIENCE, site.answers()).await;
        (site.number, answers.unwrap_or(false))
    });
    let sites = join_all(asked).await;
    let down: Vec<String> = sites.iter().filter(|(_, is_up)| !is_up).map(|(number, _)| number.to_string()).collect();
    let mut lacking = Vec::new();
    if !down.is_empty() {
        lacking.push(format!("sites that do not answer: {}", down.join(", ")));
    }
    let is_ending = operations.is_ending.load(Ordering::Relaxed);
    if is_ending {
        lacking.push("ending".to_owned());
    }
    let is_ready = !is_ending && down.len() < sites.len();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let first = if is_ready { "ready".to_owned() } else { "not ready".to_owned() };
    (status, format!("{}\n", std::iter::once(first).chain(lacking).collect::<Vec<_>>().join("; ")))
}
