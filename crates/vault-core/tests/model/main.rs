//! The guess budget, explored exhaustively: every interleaving of concurrent clients, crashes, lost and late writes,
//! replays and passing time, up to a bound. The transitions are the vault's own. Each wrong variant beside them must be
//! caught, or the model proves nothing.

mod ledger;
mod record;
mod refill;
mod succession;

use coffer_proto::{Argon2, AttemptId, Base64, Base64Vec, Hash, Registration, RegistrationId, Time, UPLOAD_LEN};
use coffer_vault_core::{Activation, Attempt, AttemptState, Policy};
use std::time::Duration;

/// Guesses in the model.
const BUDGET: usize = 2;

/// One tick of the model's clock.
const TICK: Duration = Duration::from_secs(1000);

fn time(ticks: u8) -> Time {
    Time::from_unix_seconds(1_800_000_000) + TICK * u32::from(ticks)
}

/// A budget of two, no waiting times, and everything else far away.
fn policy() -> Policy {
    Policy { max_attempts: 2, free_failures: 2, waits: vec![Duration::ZERO], takeover_after: TICK, ..Policy::default() }
}

fn registration(number: u8) -> Registration {
    Registration {
        id: RegistrationId([number; 16]),
        manifest_version: 1,
        argon2: Argon2 { memory_kib: 65536, passes: 3, lanes: 1 },
        commitments: Vec::new(),
        sealed_share_hashes: Vec::new(),
        unlock_key: Base64([number; 32]),
        owner_key: Base64([number; 32]),
        upload: Base64([0; UPLOAD_LEN]),
        wrapped_backup_key: Base64Vec::new(vec![0]).expect("one byte"),
    }
}

fn activation(replaces: Option<u8>, at: Time) -> Activation {
    Activation {
        at,
        replaces: replaces.map(|number| RegistrationId([number; 16])),
        token: "".into(),
        device_signature: Base64([0; 64]),
        authorization: None,
        receipts: Vec::new(),
    }
}

fn attempt_id(number: u8) -> AttemptId {
    AttemptId([number; 16])
}

fn ke1_hash(number: u8) -> Hash {
    Base64([number; 32])
}

fn attempt(number: u8, at: Time) -> Attempt {
    let state = AttemptState::Unproved { token: "".into(), device_signature: Base64([0; 64]) };
    Attempt { id: attempt_id(number), number: u64::from(number) + 1, ke1_hash: ke1_hash(number), at, state }
}
