//! One site's count against a coordinator and a record store that say whatever they like: they ask for any attempt at
//! any time, replay every proof, and the site crashes between any two steps.

use std::collections::BTreeSet;

use coffer_proto::{Base64, Nonce, Receipt, SiteCertificate, SiteNumber};
use coffer_vault_core::{Admission, Evaluation, Held};
use stateright::{Checker as _, Model, Property};

use super::{BUDGET, attempt_id, ke1_hash, policy, registration, time};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Variant {
    Right,
    /// Evaluates before the row is durable.
    EvaluateFirst,
    /// A proof empties the whole count, not only what came before the mark that it names.
    ForgivesAll,
    /// A mark stays good after it was used.
    MarksLive,
}

struct Site {
    variant: Variant,
    attempts: u8,
    proofs: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    durable: Held,
    /// An admitted attempt whose row is not yet durable.
    in_memory: Option<(u8, Held)>,
    marks: u8,
    seen: u8,
    evaluated: BTreeSet<u8>,
    /// Marks that the owner has signed: each can be replayed for ever.
    signed: BTreeSet<u8>,
    /// Evaluations that had been paid for when the owner last signed.
    paid_when_signed: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    Ask(u8),
    Write,
    Crash,
    Evaluate(u8),
    /// The owner proves the newest evaluation.
    Sign,
    Deliver(u8),
}

fn held() -> Held {
    let certificate = SiteCertificate {
        site: SiteNumber(1),
        receipt_key: Base64([0; 32]),
        transport_key: Base64([2; 33]),
        not_before: time(0),
        not_after: time(1),
        signature: Base64([0; 64]),
    };
    let (point, signature) = (Base64([2; 33]), Base64([0; 64]));
    let receipt = Receipt { site: SiteNumber(1), point, ledger_number: 0, at: time(0), signature, certificate };
    Held { activated: true, ..Held::new(registration(1), Vec::new(), receipt, time(0)) }
}

fn evaluation(number: u8, nonce: Nonce) -> Evaluation {
    let (attempt, ke1_hash) = (attempt_id(number), ke1_hash(number));
    Evaluation { attempt, number: u64::from(number) + 1, ke1_hash, nonce, at: time(0) }
}

impl Model for Site {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let (evaluated, signed) = (BTreeSet::new(), BTreeSet::new());
        vec![World { durable: held(), in_memory: None, marks: 0, seen: 0, evaluated, signed, paid_when_signed: 0 }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.in_memory.is_some() {
            steps.extend([Step::Write, Step::Crash]);
        } else {
            // Attempts differ in their names only: the next new one stands for all.
            steps.extend((0..self.attempts.min(world.seen + 1)).map(Step::Ask));
        }
        steps.extend((0..world.seen).map(Step::Evaluate));
        if world.signed.len() < self.proofs {
            steps.push(Step::Sign);
        }
        steps.extend(world.signed.iter().map(|mark| Step::Deliver(*mark)));
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        match step {
            Step::Ask(number) => {
                let mut row = world.durable.clone();
                let mark = Base64([world.marks; 16]);
                let admission = row.admit(evaluation(number, mark), &policy()).ok()?;
                if admission != Admission::Added {
                    return None;
                }
                next.marks += 1;
                next.seen = next.seen.max(number + 1);
                next.in_memory = Some((number, row));
                if self.variant == Variant::EvaluateFirst {
                    next.evaluated.insert(number);
                }
            }
            Step::Write => (next.in_memory, next.durable) = (None, world.in_memory.clone()?.1),
            Step::Crash => next.in_memory = None,
            Step::Evaluate(number) => {
                // Only what is durable: the attempt stands in the row that was read.
                let mut row = world.durable.clone();
                let mark = Base64([0xff; 16]);
                let admission = row.admit(evaluation(number, mark), &policy()).ok()?;
                if admission != Admission::PaidFor || !next.evaluated.insert(number) {
                    return None;
                }
            }
            Step::Sign => {
                if !next.signed.insert(world.durable.newest_nonce()?.0[0]) {
                    return None;
                }
                let paid = world.durable.evaluations.iter().map(|evaluation| evaluation.attempt.as_bytes()[0]);
                next.paid_when_signed = paid.chain(world.evaluated.iter().copied()).collect::<BTreeSet<_>>().len();
            }
            Step::Deliver(mark) => {
                let before = world.durable.clone();
                match self.variant {
                    Variant::ForgivesAll if next.durable.forgive(&Base64([mark; 16])) => {
                        next.durable.evaluations.clear()
                    }
                    Variant::MarksLive => next.durable.evaluations.clear(),
                    _ => drop(next.durable.forgive(&Base64([mark; 16]))),
                }
                if next.durable == before || next.in_memory.is_some() {
                    return None;
                }
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("budget", |_, world: &World| world.evaluated.len() <= BUDGET + world.paid_when_signed),
            Property::sometimes("all guesses can be used", |_, world: &World| world.evaluated.len() >= BUDGET),
            Property::sometimes("a proof opens a new budget", |_, world: &World| world.evaluated.len() > BUDGET),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.marks <= 7
    }
}

fn explore(variant: Variant) -> Vec<&'static str> {
    let checker = Site { variant, attempts: 5, proofs: 1 }.checker().threads(2).spawn_bfs().join();
    checker.discoveries().keys().copied().collect()
}

#[test]
fn a_hostile_coordinator_gets_no_more_than_the_budget_out_of_a_site() {
    let found = explore(Variant::Right);
    assert!(!found.contains(&"budget"));
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn catches_an_evaluation_before_the_row_is_durable() {
    assert!(explore(Variant::EvaluateFirst).contains(&"budget"));
}

#[test]
fn catches_a_proof_that_forgives_what_came_after_it() {
    assert!(explore(Variant::ForgivesAll).contains(&"budget"));
}

#[test]
fn catches_a_mark_that_can_be_used_again() {
    assert!(explore(Variant::MarksLive).contains(&"budget"));
}
