//! What a service shows of itself: one log line and some numbers for each request. Never a token, a body, an account.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use coffer_proto::ProblemType;
use metrics::{counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Instrument as _;

/// Names a request in every log on its way.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 64;

/// Seconds.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What the numbers of each request are called.
#[derive(Debug, Clone, Copy)]
pub struct Metrics {
    /// A counter.
    pub requests: &'static str,
    /// A histogram.
    pub duration: &'static str,
}

impl Metrics {
    /// Starts counting, once in the life of the process.
    ///
    /// # Errors
    /// When it was done before.
    pub fn start(&self) -> Result<PrometheusHandle, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(self.duration.to_owned()), BUCKETS)?
            .install_recorder()?;
        describe_counter!(self.requests, "Requests by route, method and status.");
        describe_histogram!(self.duration, "How long answers took, by route.");
        Ok(handle)
    }
}

/// Around every request.
pub async fn observe(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method(request.method());
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "other".into(), |path| path.as_str().to_owned());
    let id = request_id(request.headers().get(REQUEST_ID));
    let span = tracing::info_span!("request", id = %id.to_str().unwrap_or_default(), method, route);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));

    let status = response.status().as_u16();
    let took = start.elapsed();
    let problem = response.extensions().get::<ProblemType>().map(tracing::field::debug);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status, problem, micros, "answered"));
    counter!(metrics.requests, "route" => route.clone(), "method" => method, "status" => status.to_string())
        .increment(1);
    histogram!(metrics.duration, "route" => route).record(took.as_secs_f64());
    response
}

/// The methods that there are. Anybody can invent others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// The client's own, if a log can bear it; otherwise a new one.
fn request_id(given: Option<&HeaderValue>) -> HeaderValue {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    match given {
        Some(id) if (1..=MAX_REQUEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_plain) => id.clone(),
        _ => generated_id(),
    }
}

fn generated_id() -> HeaderValue {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PROCESS: OnceLock<u64> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = PROCESS.get_or_init(|| getrandom::u64().unwrap_or_default());
    let id = format!("{process:016x}-{:x}", NEXT.fetch_add(1, Ordering::Relaxed));
    HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::request_id;

    #[test]
    fn keeps_a_well_formed_request_id() {
        let id = HeaderValue::from_static("3f1c-a.b_C");
        assert_eq!(request_id(Some(&id)), id);
    }

    #[test]
    fn replaces_a_request_id_that_a_log_cannot_bear() {
        let long = "x".repeat(65);
        for text in ["", "a b", "a\"b", "ä", long.as_str()] {
            let Ok(given) = HeaderValue::from_bytes(text.as_bytes()) else { continue };
            let id = request_id(Some(&given));
            assert_ne!(id, given);
            assert!(!id.is_empty());
        }
    }

    #[test]
    fn no_two_generated_ids_are_the_same() {
        assert_ne!(request_id(None), request_id(None));
    }
}
