//! What the vault shows of itself: one log line and some numbers for each request. Never a token, a body, an account.

use std::sync::OnceLock;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{CACHE_CONTROL, HeaderName};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use coffer_hsm_adapter::Operations;
use coffer_proto::{ProblemType, Time};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::Instrument as _;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 64;

const REQUESTS: &str = "coffer_vault_requests_total";
const DURATION: &str = "coffer_vault_request_duration_seconds";
const ATTEMPTS: &str = "coffer_vault_attempts_total";
const UNKNOWN_WRITES: &str = "coffer_vault_store_unknown_writes_total";
const HSM_OPERATIONS: &str = "coffer_vault_hsm_operations_total";
const MANIFEST_END: &str = "coffer_vault_manifest_not_after_seconds";

/// Seconds.
const BUCKETS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Starts counting, once in the life of the process.
pub(crate) fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), BUCKETS)?
        .install_recorder()?;
    describe_counter!(REQUESTS, "Requests by route, method and status.");
    describe_histogram!(DURATION, "How long answers took, by route.");
    describe_counter!(ATTEMPTS, "Guesses: answered (retries too), proved, refused.");
    describe_counter!(UNKNOWN_WRITES, "Writes to the record store whose outcome was not known.");
    describe_gauge!(MANIFEST_END, "When the fleet manifest expires: seconds since 1970.");
    describe_counter!(HSM_OPERATIONS, "What the HSM did. Evaluations beyond the proofs are guesses that failed.");
    for outcome in [Outcome::Answered, Outcome::Proved, Outcome::Refused] {
        counter!(ATTEMPTS, "outcome" => outcome.name()).absolute(0);
    }
    counter!(UNKNOWN_WRITES).absolute(0);
    Ok(handle)
}

/// What became of a guess.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Answered,
    Proved,
    Refused,
}

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Proved => "proved",
            Self::Refused => "refused",
        }
    }
}

pub(crate) fn count_attempt(outcome: Outcome) {
    counter!(ATTEMPTS, "outcome" => outcome.name()).increment(1);
}

pub(crate) fn count_unknown_write() {
    counter!(UNKNOWN_WRITES).increment(1);
}

/// Takes over what the HSM's adapter has counted.
#[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact in a double")]
pub(crate) fn show_end_of_manifest(not_after: Time) {
    gauge!(MANIFEST_END).set(not_after.unix_seconds() as f64);
}

pub(crate) fn count_hsm(operations: &Operations) {
    let Operations { imports, evaluations, agreements, macs, signatures, connections } = *operations;
    let all = [
        ("import", imports),
        ("evaluation", evaluations),
        ("agreement", agreements),
        ("mac", macs),
        ("signature", signatures),
        ("connection", connections),
    ];
    for (operation, count) in all {
        counter!(HSM_OPERATIONS, "operation" => operation).absolute(count);
    }
}

/// Around every request.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method(request.method());
    let route =
        request.extensions().get::<MatchedPath>().map_or_else(|| "other".into(), |path| path.as_str().to_owned());
    let id = request_id(request.headers().get(REQUEST_ID));
    let span = tracing::info_span!("request", id = %id.to_str().unwrap_or_default(), method, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));

    let status = response.status().as_u16();
    let took = start.elapsed();
    let problem = response.extensions().get::<ProblemType>().map(tracing::field::debug);
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::info!(status, problem, micros, "answered"));
    counter!(REQUESTS, "route" => route.clone(), "method" => method, "status" => status.to_string()).increment(1);
    histogram!(DURATION, "route" => route).record(took.as_secs_f64());
    response
}

/// The methods that there are. Anybody can invent others.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::PUT => "PUT",
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
