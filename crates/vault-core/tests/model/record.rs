//! The record's budget over a compare-and-swap register whose writes may be lost, delayed, repeated, and reported as
//! unknown; coordinators crash between any two steps; proofs are replayed; a second registration waits and takes over.

use std::collections::BTreeSet;

use coffer_proto::{Base64, Hash};
use coffer_vault_core::{AttemptState, KeptProof, Spend, VaultRecord};
use stateright::{Checker as _, HasDiscoveries, Model, Property};

use super::{BUDGET, activation, attempt, attempt_id, ke1_hash, policy, registration, time};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Variant {
    /// The vault's own.
    Right,
    /// Evaluates when the check has passed, and spends afterwards.
    CheckThenSpend,
    /// Takes an unknown outcome for a success.
    EvaluateOnUnknown,
    /// Gives a guess back when the outcome is unknown.
    Refund,
    /// Writes whatever the record has become in the meantime.
    NoGuard,
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
    coordinators: usize,
    attempts: u8,
    refills: u8,
    versions: u8,
    takeover: bool,
    under_way: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    version: u8,
    record: VaultRecord,
    ticks: u8,
    coordinators: Vec<Coordinator>,
    /// Writes under way: guard, and what they write.
    under_way: Vec<(u8, VaultRecord)>,
    next_attempt: u8,
    /// Which registration an attempt was made for.
    made_for: Vec<u8>,
    evaluated: BTreeSet<u8>,
    refilled_by: BTreeSet<u8>,
    refills: u8,
    /// Evaluations that were made or granted when a right password was last proved for the first time.
    before_proof: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Coordinator {
    Idle,
    /// Has read a record that may be stale by the time it is used.
    Read {
        attempt: u8,
        version: u8,
        record: VaultRecord,
    },
    /// Waits for the outcome of a write.
    Waits {
        attempt: u8,
        guard: u8,
        record: VaultRecord,
    },
    /// Knows that the spend is committed.
    Granted {
        attempt: u8,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    Begin(usize),
    /// The same client sends the same attempt again, to any coordinator.
    Retry(usize, u8),
    Propose(usize),
    Deliver(usize),
    /// As `Deliver`, and a copy stays under way.
    DeliverCopy(usize),
    Lose(usize),
    Learn(usize),
    GiveUp(usize),
    Crash(usize),
    Evaluate(usize),
    Prove(u8),
    Tick,
}

impl Budget {
    fn spend(&self, record: &mut VaultRecord, number: u8, made_for: u8, now: u8) -> Option<Spend> {
        let id = registration(made_for).id;
        record.spend(&id, attempt(number, time(now)), &policy(), time(now)).ok()
    }

    fn refill(&self, record: &mut VaultRecord, number: u8, made_for: u8, now: u8) -> bool {
        let live = record.live.as_ref().map(|live| live.registration.id);
        match self.variant {
            Variant::RefillTwice => {
                let Some(live) = &mut record.live else { return false };
                live.attempts.iter_mut().for_each(|attempt| attempt.state = AttemptState::Forgiven);
                return true;
            }
            Variant::RefillByAnother if live != Some(registration(made_for).id) => {
                let Some(live) = &mut record.live else { return false };
                (live.carried, live.attempts) = (None, Vec::new());
                return true;
            }
            _ => {}
        }
        let proof = KeptProof { attempt: attempt_id(number), nonces: Vec::new(), unlock_signature: Base64([0; 64]) };
        let hash: Hash = Base64([number; 32]);
        let before = record.clone();
        record.refill(proof, &ke1_hash(number), hash, &policy(), time(now)).is_ok() && *record != before
    }

    /// What a coordinator knows when it has read a record that holds its attempt.
    fn may_evaluate(&self, record: &VaultRecord, number: u8, now: u8) -> bool {
        let Some(live) = &record.live else { return false };
        if self.variant == Variant::EvaluateForgiven {
            return live.attempt(&attempt_id(number)).is_some();
        }
        live.open_attempt(&attempt_id(number), &ke1_hash(number), &policy(), time(now)).is_ok()
    }
}

impl Model for Budget {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut record = VaultRecord::default();
        let activated = record.activate(registration(1), activation(None, time(0)), &policy(), time(0));
        assert!(activated.is_ok());
        if self.takeover {
            let waits = record.activate(registration(2), activation(Some(1), time(0)), &policy(), time(0));
            assert!(waits.is_ok() && record.waiting.is_some());
        }
        vec![World {
            version: 1,
            record,
            ticks: 0,
            coordinators: vec![Coordinator::Idle; self.coordinators],
            under_way: Vec::new(),
            next_attempt: 0,
            made_for: Vec::new(),
            evaluated: BTreeSet::new(),
            refilled_by: BTreeSet::new(),
            refills: 0,
            before_proof: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        for (number, coordinator) in world.coordinators.iter().enumerate() {
            match coordinator {
                Coordinator::Idle => {
                    if world.next_attempt < self.attempts {
                        steps.push(Step::Begin(number));
                    }
                    steps.extend((0..world.next_attempt).map(|attempt| Step::Retry(number, attempt)));
                }
                Coordinator::Read { .. } => steps.push(Step::Propose(number)),
                Coordinator::Waits { .. } => steps.extend([Step::Learn(number), Step::GiveUp(number)]),
                Coordinator::Granted { .. } => steps.extend([Step::Evaluate(number), Step::Crash(number)]),
            }
        }
        for write in 0..world.under_way.len() {
            steps.extend([Step::Deliver(write), Step::DeliverCopy(write), Step::Lose(write)]);
        }
        if world.refills < self.refills {
            steps.extend(world.evaluated.iter().map(|attempt| Step::Prove(*attempt)));
        }
        if self.takeover && world.ticks < 1 {
            steps.push(Step::Tick);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let now = world.ticks;
        match step {
            Step::Begin(number) => {
                let attempt = next.next_attempt;
                next.next_attempt += 1;
                let mut settled = next.record.clone();
                settled.settle(&policy(), time(now));
                next.made_for.push(settled.live.as_ref().map_or(0, |live| live.registration.id.as_bytes()[0]));
                let (version, record) = (next.version, next.record.clone());
                next.coordinators[number] = Coordinator::Read { attempt, version, record };
            }
            Step::Retry(number, attempt) => {
                let (version, record) = (next.version, next.record.clone());
                next.coordinators[number] = Coordinator::Read { attempt, version, record };
            }
            Step::Propose(number) => {
                let Coordinator::Read { attempt, version, record } = &world.coordinators[number] else { return None };
                let mut after = record.clone();
                let made_for = world.made_for[usize::from(*attempt)];
                next.coordinators[number] = match self.spend(&mut after, *attempt, made_for, now) {
                    None if self.variant == Variant::EvaluateForgiven && self.may_evaluate(record, *attempt, now) => {
                        Coordinator::Granted { attempt: *attempt }
                    }
                    None => Coordinator::Idle,
                    // It is there already: that is good if it still is, in the newest record.
                    Some(Spend::There) if self.may_evaluate(&world.record, *attempt, now) => {
                        Coordinator::Granted { attempt: *attempt }
                    }
                    Some(Spend::There) => Coordinator::Idle,
                    Some(Spend::Added) => {
                        if self.variant == Variant::CheckThenSpend {
                            next.evaluated.insert(*attempt);
                        }
                        next.under_way.push((*version, after.clone()));
                        Coordinator::Waits { attempt: *attempt, guard: *version, record: after }
                    }
                };
            }
            Step::Deliver(write) | Step::DeliverCopy(write) => {
                let (guard, record) = world.under_way[write].clone();
                if guard == world.version || self.variant == Variant::NoGuard {
                    next.version += 1;
                    next.record = record;
                } else if matches!(step, Step::DeliverCopy(_)) {
                    return None;
                }
                if matches!(step, Step::Deliver(_)) {
                    next.under_way.remove(write);
                }
            }
            Step::Lose(write) => {
                next.under_way.remove(write);
            }
            Step::Learn(number) => {
                let Coordinator::Waits { attempt, guard, record } = &world.coordinators[number] else { return None };
                let is_there =
                    world.record.live.as_ref().is_some_and(|live| live.attempt(&attempt_id(*attempt)).is_some());
                next.coordinators[number] = if is_there && self.may_evaluate(&world.record, *attempt, now) {
                    Coordinator::Granted { attempt: *attempt }
                } else if is_there {
                    Coordinator::Idle
                } else if world.version != *guard {
                    let (version, record) = (world.version, world.record.clone());
                    Coordinator::Read { attempt: *attempt, version, record }
                } else if world.under_way.iter().all(|(under_way, _)| under_way != guard) {
                    // Unknown: the identical write again.
                    next.under_way.push((*guard, record.clone()));
                    world.coordinators[number].clone()
                } else {
                    return None;
                };
            }
            Step::GiveUp(number) => {
                let Coordinator::Waits { attempt, .. } = world.coordinators[number] else { return None };
                next.coordinators[number] = Coordinator::Idle;
                if self.variant == Variant::EvaluateOnUnknown {
                    next.coordinators[number] = Coordinator::Granted { attempt };
                }
                if self.variant == Variant::Refund {
                    next.record.live.as_mut()?.attempts.pop()?;
                    next.version += 1;
                }
            }
            Step::Crash(number) => next.coordinators[number] = Coordinator::Idle,
            Step::Evaluate(number) => {
                let Coordinator::Granted { attempt } = world.coordinators[number] else { return None };
                next.evaluated.insert(attempt);
                next.coordinators[number] = Coordinator::Idle;
            }
            Step::Prove(attempt) => {
                let made_for = world.made_for[usize::from(attempt)];
                if !self.refill(&mut next.record, attempt, made_for, now) {
                    return None;
                }
                next.version += 1;
                next.refills += 1;
                let live = world.record.live.as_ref().map(|live| live.registration.id);
                if live == Some(registration(made_for).id) && next.refilled_by.insert(attempt) {
                    let granted = world.coordinators.iter().filter_map(|coordinator| match coordinator {
                        Coordinator::Granted { attempt } => Some(*attempt),
                        _ => None,
                    });
                    next.before_proof = granted.chain(world.evaluated.iter().copied()).collect::<BTreeSet<_>>().len();
                }
            }
            Step::Tick => {
                next.ticks += 1;
                let before = next.record.clone();
                next.record.settle(&policy(), time(next.ticks));
                if self.variant == Variant::FreshAfterTakeover
                    && let Some(live) = &mut next.record.live
                {
                    live.carried = None;
                }
                next.version += u8::from(next.record != before);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // Each right password opens one fresh budget, once.
            Property::always("budget", |_, world: &World| world.evaluated.len() <= BUDGET + world.before_proof),
            Property::sometimes("all guesses can be used", |_, world: &World| world.evaluated.len() >= BUDGET),
            Property::sometimes("a proof opens a new budget", |model: &Budget, world: &World| {
                world.evaluated.len() > BUDGET || model.refills == 0
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.version <= self.versions && world.under_way.len() <= self.under_way
    }
}

fn explore(budget: Budget) -> (usize, Vec<&'static str>) {
    let checker = budget.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    (checker.unique_state_count(), checker.discoveries().keys().copied().collect())
}

fn holds(budget: Budget) {
    let (states, found) = explore(budget);
    assert!(!found.contains(&"budget"), "the budget was exceeded");
    assert!(found.contains(&"all guesses can be used"), "{found:?}");
    assert!(found.contains(&"a proof opens a new budget"), "{found:?}");
    assert!(states > 1000, "{states} states are too few to mean anything");
}

fn small(variant: Variant) -> Budget {
    Budget { variant, coordinators: 2, attempts: 3, refills: 0, versions: 5, takeover: false, under_way: 2 }
}

#[test]
fn no_interleaving_of_two_coordinators_exceeds_the_budget() {
    holds(Budget { refills: 1, ..small(Variant::Right) });
}

#[test]
fn no_takeover_and_no_replayed_proof_exceeds_the_budget() {
    holds(sequential(Variant::Right));
}

fn is_caught(budget: Budget) {
    let (_, found) = explore(budget);
    assert!(found.contains(&"budget"), "the model does not see what is wrong with this");
}

#[test]
fn catches_check_then_spend() {
    is_caught(small(Variant::CheckThenSpend));
}

#[test]
fn catches_an_evaluation_on_an_unknown_commit() {
    is_caught(small(Variant::EvaluateOnUnknown));
}

#[test]
fn catches_a_refund() {
    is_caught(small(Variant::Refund));
}

#[test]
fn catches_a_write_without_a_guard() {
    is_caught(small(Variant::NoGuard));
}

fn sequential(variant: Variant) -> Budget {
    Budget { variant, coordinators: 1, attempts: 4, refills: 2, versions: 7, takeover: true, under_way: 1 }
}

#[test]
fn catches_a_proof_that_refills_twice() {
    is_caught(sequential(Variant::RefillTwice));
}

#[test]
fn catches_a_refill_by_another_registrations_proof() {
    is_caught(sequential(Variant::RefillByAnother));
}

#[test]
fn catches_a_takeover_with_a_fresh_budget() {
    is_caught(sequential(Variant::FreshAfterTakeover));
}

#[test]
fn catches_the_evaluation_of_a_forgiven_attempt() {
    is_caught(Budget {
        coordinators: 2,
        attempts: 6,
        refills: 1,
        versions: 9,
        ..sequential(Variant::EvaluateForgiven)
    });
}
