//! The record's budget over a compare-and-swap register whose writes may be lost, delayed, repeated, and reported as
//! unknown; coordinators crash between any two steps.

use std::collections::BTreeSet;

use coffer_vault_core::{Spend, VaultRecord};
use stateright::{Checker, HasDiscoveries, Model, Property};

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
}

struct Budget {
    variant: Variant,
    coordinators: usize,
    attempts: u8,
    versions: u8,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    version: u8,
    record: VaultRecord,
    coordinators: Vec<Coordinator>,
    /// Writes under way: guard, and what they write.
    under_way: Vec<(u8, VaultRecord)>,
    next_attempt: u8,
    evaluated: BTreeSet<u8>,
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
}

fn spend(record: &mut VaultRecord, number: u8) -> Option<Spend> {
    record.spend(&registration(1).id, attempt(number, time(0)), &policy(), time(0)).ok()
}

fn is_open(record: &VaultRecord, number: u8) -> bool {
    let live = record.live.as_ref();
    live.is_some_and(|live| live.open_attempt(&attempt_id(number), &ke1_hash(number), &policy(), time(0)).is_ok())
}

impl Budget {
    fn propose(&self, world: &World, next: &mut World, attempt: u8, version: u8, record: &VaultRecord) -> Coordinator {
        let mut after = record.clone();
        match spend(&mut after, attempt) {
            // It is there already: that is good if it still is, in the newest record.
            Some(Spend::There) if is_open(&world.record, attempt) => Coordinator::Granted { attempt },
            None | Some(Spend::There) => Coordinator::Idle,
            Some(Spend::Added) => {
                if self.variant == Variant::CheckThenSpend {
                    next.evaluated.insert(attempt);
                }
                next.under_way.push((version, after.clone()));
                Coordinator::Waits { attempt, guard: version, record: after }
            }
        }
    }
}

impl Model for Budget {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut record = VaultRecord::default();
        assert!(record.activate(registration(1), activation(None, time(0)), &policy(), time(0)).is_ok());
        let coordinators = vec![Coordinator::Idle; self.coordinators];
        let (under_way, evaluated) = (Vec::new(), BTreeSet::new());
        vec![World { version: 1, record, coordinators, under_way, next_attempt: 0, evaluated }]
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
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let (version, record) = (world.version, world.record.clone());
        match step {
            Step::Begin(number) => {
                next.next_attempt += 1;
                next.coordinators[number] = Coordinator::Read { attempt: world.next_attempt, version, record };
            }
            Step::Retry(number, attempt) => next.coordinators[number] = Coordinator::Read { attempt, version, record },
            Step::Propose(number) => {
                let Coordinator::Read { attempt, version, record } = &world.coordinators[number] else { return None };
                next.coordinators[number] = self.propose(world, &mut next, *attempt, *version, record);
            }
            Step::Deliver(write) | Step::DeliverCopy(write) => {
                let (guard, written) = world.under_way[write].clone();
                if guard == version || self.variant == Variant::NoGuard {
                    next.version += 1;
                    next.record = written;
                } else if matches!(step, Step::DeliverCopy(_)) {
                    return None;
                }
                if matches!(step, Step::Deliver(_)) {
                    next.under_way.remove(write);
                }
            }
            Step::Lose(write) => drop(next.under_way.remove(write)),
            Step::Learn(number) => {
                let Coordinator::Waits { attempt, guard, record: written } = &world.coordinators[number] else {
                    return None;
                };
                let is_under_way = world.under_way.iter().any(|(under_way, _)| under_way == guard);
                if is_open(&record, *attempt) {
                    next.coordinators[number] = Coordinator::Granted { attempt: *attempt };
                } else if version != *guard {
                    next.coordinators[number] = Coordinator::Read { attempt: *attempt, version, record };
                } else if !is_under_way {
                    // Unknown: the identical write again.
                    next.under_way.push((*guard, written.clone()));
                } else {
                    return None;
                }
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
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("budget", |_, world: &World| world.evaluated.len() <= BUDGET),
            Property::sometimes("all guesses can be used", |_, world: &World| world.evaluated.len() == BUDGET),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.version <= self.versions && world.under_way.len() <= 2
    }
}

fn explore(variant: Variant) -> (usize, Vec<&'static str>) {
    let budget = Budget { variant, coordinators: 2, attempts: 3, versions: 5 };
    let checker = budget.checker().threads(2).finish_when(HasDiscoveries::AnyFailures);
    // What is wrong is found sooner in depth.
    if variant == Variant::Right { found(&checker.spawn_bfs().join()) } else { found(&checker.spawn_dfs().join()) }
}

fn found(checker: &impl Checker<Budget>) -> (usize, Vec<&'static str>) {
    (checker.unique_state_count(), checker.discoveries().keys().copied().collect())
}

#[test]
fn no_interleaving_of_two_coordinators_exceeds_the_budget() {
    let (states, found) = explore(Variant::Right);
    assert_eq!(found, ["all guesses can be used"]);
    assert!(states > 1000, "{states} states are too few to mean anything");
}

fn is_caught(variant: Variant) {
    let (_, found) = explore(variant);
    assert!(found.contains(&"budget"), "the model does not see what is wrong with this");
}

#[test]
fn catches_check_then_spend() {
    is_caught(Variant::CheckThenSpend);
}

#[test]
fn catches_an_evaluation_on_an_unknown_commit() {
    is_caught(Variant::EvaluateOnUnknown);
}

#[test]
fn catches_a_refund() {
    is_caught(Variant::Refund);
}

#[test]
fn catches_a_write_without_a_guard() {
    is_caught(Variant::NoGuard);
}
