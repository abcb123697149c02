//! What the vault counts beside its requests.

use coffer_hsm_adapter::Operations;
use std::collections::BTreeMap;

use coffer_proto::{SiteNumber, Time};
use coffer_service::Metrics;
use coffer_vault_store::CellHealth;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusHandle};

/// Of each request.
pub(crate) const METRICS: Metrics =
    Metrics { requests: "coffer_vault_requests_total", duration: "coffer_vault_request_duration_seconds" };

const ATTEMPTS: &str = "coffer_vault_attempts_total";
const UNKNOWN_WRITES: &str = "coffer_vault_store_unknown_writes_total";
const HSM_OPERATIONS: &str = "coffer_vault_hsm_operations_total";
const PEER_REQUESTS: &str = "coffer_vault_peer_requests_total";
const DISSENTS: &str = "coffer_vault_dissenting_answers_total";
const READY: &str = "coffer_vault_ready";
const CELL: &str = "coffer_vault_etcd";
const MANIFEST_END: &str = "coffer_vault_manifest_not_after_seconds";

/// Starts counting, once in the life of the process.
pub(crate) fn start() -> Result<PrometheusHandle, BuildError> {
    let handle = METRICS.start()?;
    describe_counter!(ATTEMPTS, "Guesses: answered (retries too), proved, refused.");
    describe_counter!(UNKNOWN_WRITES, "Writes to the record store whose outcome was not known.");
    describe_counter!(PEER_REQUESTS, "Requests to other sites, and whether there was an answer.");
    describe_counter!(
        DISSENTS,
        "Answers of a site that contradict what the others agree on: it is faulty, or hostile."
    );
    describe_gauge!(READY, "What /readyz says: 1, or 0 when the vault lacks something.");
    describe_gauge!(CELL, "A cell of the record store: 1 or 0 for a state, bytes, or entries.");
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

pub(crate) fn count_peer(site: SiteNumber, has_answered: bool) {
    let outcome = if has_answered { "answered" } else { "no answer" };
    counter!(PEER_REQUESTS, "site" => site.to_string(), "outcome" => outcome).increment(1);
}

/// Takes over what the vault has counted.
pub(crate) fn count_dissents(dissents: &BTreeMap<SiteNumber, u64>) {
    for (site, count) in dissents {
        counter!(DISSENTS, "site" => site.to_string()).absolute(*count);
    }
}

pub(crate) fn show_ready(is_ready: bool) {
    gauge!(READY).set(f64::from(u8::from(is_ready)));
}

pub(crate) fn show_cell(health: &CellHealth) {
    let cell = health.cell.to_string();
    let show = |what: &'static str, value: f64| gauge!(CELL, "cell" => cell.clone(), "what" => what).set(value);
    let is = |state: bool| f64::from(u8::from(state));
    show("serves", is(health.serves));
    show("own member", is(health.own_member));
    show("leader", is(health.has_leader));
    show("NOSPACE", is(health.no_space));
    show("CORRUPT", is(health.corrupt));
    let number = |value: u64| f64::from(u32::try_from(value >> 10).unwrap_or(u32::MAX)) * 1024.0;
    show("file bytes", number(health.file_bytes));
    show("used bytes", number(health.used_bytes));
    show("unapplied entries", f64::from(u32::try_from(health.unapplied).unwrap_or(u32::MAX)));
    if let Some(quota) = health.quota_bytes {
        show("quota bytes", number(quota));
    }
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
