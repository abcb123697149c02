//! What the checker has to catch: fleets that are wrong in one way each, with the clients of the fault tests; and
//! histories that no fleet of this code can be brought to, written by hand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use coffer_vault_core::{AttemptState, Freshness, Replaced, VaultRecord, Version, Versioned};

use crate::campaign;
use crate::checker::{Violation, check};
use crate::device::Device;
use crate::history::History;
use crate::model::{Model, Records, Right};

/// Requests after which what is wrong with a fleet has come out.
const REQUESTS: usize = 400;

fn found_in(records: impl Records + 'static) -> Vec<Violation> {
    let (model, history) = (Model::with(Arc::new(records)), History::new());
    campaign::run(&model, &history, || {
        while history.events().len() < REQUESTS {
            thread::sleep(Duration::from_millis(20));
        }
    })
}

#[track_caller]
fn assert_caught(found: &[Violation], is_it: impl Fn(&Violation) -> bool) {
    assert!(found.iter().any(is_it), "{found:?}");
}

fn is_budget(violation: &Violation) -> bool {
    matches!(violation, Violation::OverBudget { .. })
}

fn is_count(violation: &Violation) -> bool {
    matches!(violation, Violation::NotCounted { .. } | Violation::Unpaid { .. })
}

/// What `coffer_vault_core` writes: its format, then postcard.
fn change_record(value: &[u8], change: impl FnOnce(&mut VaultRecord)) -> Vec<u8> {
    let mut record: VaultRecord = postcard::from_bytes(&value[1..]).unwrap();
    change(&mut record);
    [&value[..1], &postcard::to_allocvec(&record).unwrap()].concat()
}

#[test]
fn finds_nothing_in_a_fleet_that_is_right() {
    assert_eq!(found_in(Right::default()), []);
}

/// Writes whatever it is told, whoever has written in the meantime; and takes its time for every third write.
#[derive(Default)]
struct NoGuard {
    right: Right,
    writes: AtomicU64,
}

impl Records for NoGuard {
    fn get(&self, key: &[u8], freshness: Freshness) -> Option<Versioned> {
        self.right.get(key, freshness)
    }

    fn replace(&self, key: &[u8], _: Option<Version>, value: &[u8]) -> Replaced {
        if self.writes.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) {
            thread::sleep(Duration::from_millis(100));
        }
        loop {
            let newest = self.right.get(key, Freshness::Newest).map(|there| there.version);
            if let Replaced::Applied(version) = self.right.replace(key, newest, value) {
                return Replaced::Applied(version);
            }
        }
    }
}

/// Wrong guesses alone, on two devices: with proofs in between, the sites' own counts refuse most of what is lost here.
#[test]
fn catches_a_store_without_a_guard() {
    let (model, history) = (Model::with(Arc::new(NoGuard::default())), History::new());
    let device = Device::new(&model, &history, "ada");
    let registered = device.register(None).unwrap();
    let guess = || {
        for _ in 0..8 {
            // What was overwritten before it was evaluated is refused.
            let _ = device.guess_wrong(&registered.id());
        }
    };
    thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(guess))));
    let found = check(&history.events(), &[], &history.complaints(), 10);
    assert_caught(&found, is_count);
}

/// By key and version.
type Values = BTreeMap<(Vec<u8>, u64), Vec<u8>>;

/// Says that a write was applied when it does not know: every third is lost. Whoever asks for that version sees it.
#[derive(Default)]
struct AppliedWhenUnknown {
    right: Right,
    writes: AtomicU64,
    lost: Mutex<Values>,
}

impl Records for AppliedWhenUnknown {
    fn get(&self, key: &[u8], freshness: Freshness) -> Option<Versioned> {
        if let Freshness::AtLeast(version) = freshness
            && let Some(value) = self.lost.lock().unwrap().get(&(key.to_vec(), version.0))
        {
            return Some(Versioned { value: value.clone(), version });
        }
        self.right.get(key, freshness)
    }

    fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        let is_lost = expected.is_some() && self.writes.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        if !is_lost {
            return self.right.replace(key, expected, value);
        }
        // A version that no other write gets.
        let version = (1 << 40) + self.writes.load(Ordering::Relaxed);
        self.lost.lock().unwrap().insert((key.to_vec(), version), value.to_vec());
        Replaced::Applied(Version(version))
    }
}

#[test]
fn catches_an_evaluation_on_an_unknown_outcome() {
    assert_caught(&found_in(AppliedWhenUnknown::default()), is_count);
}

/// Keeps something else than it is told.
struct Rewriting {
    right: Right,
    rewrite: fn(&mut VaultRecord),
}

impl Records for Rewriting {
    fn get(&self, key: &[u8], freshness: Freshness) -> Option<Versioned> {
        self.right.get(key, freshness)
    }

    fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        let value = change_record(value, self.rewrite);
        self.right.replace(key, expected, &value)
    }
}

/// Of several attempts without a proof, the newest alone is kept.
fn refund(record: &mut VaultRecord) {
    let Some(live) = &mut record.live else { return };
    let is_unproved = |state: &AttemptState| matches!(state, AttemptState::Unproved { .. });
    let newest = live.attempts.iter().rposition(|attempt| is_unproved(&attempt.state));
    let mut position = 0;
    live.attempts.retain(|attempt| {
        let is_kept = !is_unproved(&attempt.state) || Some(position) == newest;
        position += 1;
        is_kept
    });
}

#[test]
fn catches_a_refund() {
    let found = found_in(Rewriting { right: Right::default(), rewrite: refund });
    assert_caught(&found, is_count);
    assert_caught(&found, is_budget);
}

/// With the third guess after a proof, those before are forgiven once more.
fn refill_again(record: &mut VaultRecord) {
    let Some(live) = &mut record.live else { return };
    let is_unproved = |state: &AttemptState| matches!(state, AttemptState::Unproved { .. });
    let unproved = live.attempts.iter().filter(|attempt| is_unproved(&attempt.state)).count();
    if live.proved && unproved >= 3 {
        let before = live.attempts.len() - 1;
        let spent = live.attempts[..before].iter_mut().filter(|attempt| is_unproved(&attempt.state));
        spent.for_each(|attempt| attempt.state = AttemptState::Forgiven);
    }
}

#[test]
fn catches_a_refill_by_a_proof_that_was_used() {
    let found = found_in(Rewriting { right: Right::default(), rewrite: refill_again });
    assert_caught(&found, is_count);
}
