//! The record's budget over time: proofs, replays of them, attempts that are asked again, and a second registration that
//! waits and takes over. Each step is whole here; `record.rs` takes them apart.

use std::collections::BTreeSet;

use coffer_proto::{Base64, RegistrationId};
use coffer_vault_core::{AttemptState, KeptProof, VaultRecord};
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use super::{BUDGET, activation, attempt, attempt_id, ke1_hash, policy, registration, time};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Variant {
    /// The vault's own.
    Right,
    /// Takes a proof again that has been used.
    RefillTwice,
    /// Takes a proof of the registration before.
    RefillByAnother,
    /// Evaluates an attempt that a later proof has forgiven.
    EvaluateForgiven,
    /// A registration that took over begins with a full budget.
    FreshAfterTakeover,
}

struct Budget {
    variant: Variant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    record: VaultRecord,
    ticks: u8,
    /// For each attempt that was spent, the registration that it was spent for.
    spent: Vec<u8>,
    evaluated: BTreeSet<u8>,
    proved: BTreeSet<u8>,
    /// Evaluations that had been made when a password was last proved for the first time.
    before_proof: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    Spend,
    Evaluate(u8),
    Prove(u8),
    Tick,
}

fn live(record: &VaultRecord) -> Option<RegistrationId> {
    record.live.as_ref().map(|live| live.registration.id)
}

impl Budget {
    fn refill(&self, world: &World, record: &mut VaultRecord, number: u8) -> bool {
        let made_for = registration(world.spent[usize::from(number)]).id;
        let is_its_own = live(record) == Some(made_for);
        match (&mut record.live, self.variant) {
            (Some(live), Variant::RefillByAnother) if !is_its_own => {
                (live.carried, live.attempts) = (None, Vec::new());
                return true;
            }
            (Some(live), Variant::RefillTwice) => {
                live.attempts.iter_mut().for_each(|attempt| attempt.state = AttemptState::Forgiven);
                return true;
            }
            _ => {}
        }
        let proof = KeptProof {
            attempt: attempt_id(number),
            number: u64::from(number) + 1,
            nonces: Vec::new(),
            unlock_signature: Base64([0; 64]),
        };
        let hash = Base64([number; 32]);
        record.refill(proof, &ke1_hash(number), hash, &policy(), time(world.ticks)).is_ok()
    }

    fn is_open(&self, world: &World, number: u8) -> bool {
        let Some(live) = &world.record.live else { return false };
        if self.variant == Variant::EvaluateForgiven && live.attempt(&attempt_id(number)).is_some() {
            return true;
        }
        live.open_attempt(&attempt_id(number), &ke1_hash(number), &policy(), time(world.ticks)).is_ok()
    }
}

impl Model for Budget {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut record = VaultRecord::default();
        let first = record.activate(registration(1), activation(None, time(0)), &policy(), time(0));
        let second = record.activate(registration(2), activation(Some(1), time(0)), &policy(), time(0));
        assert!(first.is_ok() && second.is_ok() && record.waiting.is_some());
        let (evaluated, proved) = (BTreeSet::new(), BTreeSet::new());
        vec![World { record, ticks: 0, spent: Vec::new(), evaluated, proved, before_proof: 0 }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        steps.push(Step::Spend);
        steps.extend((0_u8..).zip(&world.spent).map(|(number, _)| Step::Evaluate(number)));
        steps.extend(world.evaluated.iter().map(|number| Step::Prove(*number)));
        steps.push(Step::Tick);
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let now = time(world.ticks);
        match step {
            Step::Spend => {
                let number = u8::try_from(world.spent.len()).ok().filter(|number| *number < 5)?;
                let named = live(&world.record)?;
                next.record.spend(&named, attempt(number, now), &policy(), now).ok()?;
                next.spent.push(named.as_bytes()[0]);
            }
            Step::Evaluate(number) => {
                if !self.is_open(world, number) || !next.evaluated.insert(number) {
                    return None;
                }
            }
            Step::Prove(number) => {
                if !self.refill(world, &mut next.record, number) {
                    return None;
                }
                let made_for = registration(world.spent[usize::from(number)]).id;
                if live(&world.record) == Some(made_for) && next.proved.insert(number) {
                    next.before_proof = world.evaluated.len();
                }
            }
            Step::Tick => {
                next.ticks = Some(world.ticks + 1).filter(|ticks| *ticks <= 2)?;
                next.record.settle(&policy(), time(next.ticks));
                if let (Some(live), Variant::FreshAfterTakeover) = (&mut next.record.live, self.variant) {
                    live.carried = None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Each right password opens one fresh budget, once.
            Property::always("budget", |_, world: &World| world.evaluated.len() <= BUDGET + world.before_proof),
            Property::sometimes("a proof opens a new budget", |_, world: &World| world.evaluated.len() > BUDGET),
            Property::sometimes("the second one takes over with what is left", |_, world: &World| {
                live(&world.record) == Some(registration(2).id) && world.spent == [1, 2]
            }),
        ]
    }
}

fn explore(variant: Variant) -> Vec<&'static str> {
    let checker = Budget { variant }.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut found: Vec<_> = checker.discoveries().keys().copied().collect();
    found.sort_unstable();
    found
}

#[test]
fn no_takeover_and_no_replayed_proof_exceeds_the_budget() {
    let found = explore(Variant::Right);
    assert_eq!(found, ["a proof opens a new budget", "the second one takes over with what is left"]);
}

#[test]
fn catches_a_proof_that_refills_twice() {
    assert!(explore(Variant::RefillTwice).contains(&"budget"));
}

#[test]
fn catches_a_refill_by_another_registrations_proof() {
    assert!(explore(Variant::RefillByAnother).contains(&"budget"));
}

#[test]
fn catches_the_evaluation_of_a_forgiven_attempt() {
    assert!(explore(Variant::EvaluateForgiven).contains(&"budget"));
}

#[test]
fn catches_a_takeover_with_a_fresh_budget() {
    assert!(explore(Variant::FreshAfterTakeover).contains(&"budget"));
}
