//! A thief with a token and a device key against an owner with the key: who ends up with what.

use coffer_proto::{Authorization, Base64, Change, DeletionId, KeyRole, RegistrationId};
use coffer_vault_core::{Activation, Cause, Deletion, KeptKeep, Policy, VaultRecord};
use stateright::{Checker as _, Model, Property};

use super::{TICK, activation, registration, time};

const OWNER: u8 = 1;

/// Ticks that a takeover waits.
const WAIT: u8 = 2;

fn policy() -> Policy {
    Policy { takeover_after: TICK * u32::from(WAIT), ..super::policy() }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Variant {
    Right,
    /// A token alone ends a registration at once.
    EraseOnToken,
    /// An objection is not heard.
    DeafToKeep,
}

struct Thief {
    variant: Variant,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    record: VaultRecord,
    ticks: u8,
    next: u8,
    /// When the owner last looked, and objected to whatever waited.
    objected_at: u8,
    owner_changed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    ThiefActivates,
    ThiefDeletes,
    OwnerKeeps,
    OwnerReplaces,
    Tick,
}

fn signed() -> Option<Authorization> {
    Some(Authorization { role: KeyRole::Owner, signature: Base64([0; 64]) })
}

impl Thief {
    fn live(record: &VaultRecord) -> Option<RegistrationId> {
        record.live.as_ref().map(|live| live.registration.id)
    }
}

impl Model for Thief {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut record = VaultRecord::default();
        assert!(record.activate(registration(OWNER), activation(None, time(0)), &policy(), time(0)).is_ok());
        vec![World { record, ticks: 0, next: 10, objected_at: 0, owner_changed: false }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.next < 13 {
            steps.extend([Step::ThiefActivates, Step::ThiefDeletes]);
        }
        if world.ticks < 5 {
            steps.push(Step::Tick);
        }
        // Only as long as one of the owner's registrations is live are the owner's keys good for anything.
        let is_owned = Self::live(&world.record).is_some_and(|id| id.as_bytes()[0] < 10);
        if is_owned {
            steps.push(Step::OwnerKeeps);
        }
        if is_owned && !world.owner_changed {
            steps.push(Step::OwnerReplaces);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = world.clone();
        let now = time(world.ticks);
        let live = Self::live(&world.record);
        match step {
            Step::ThiefActivates => {
                let mut asked: Activation = activation(live.map(|id| id.as_bytes()[0]), now);
                if self.variant == Variant::EraseOnToken {
                    asked.authorization = signed();
                }
                next.record.activate(registration(world.next), asked, &policy(), now).ok()?;
                next.next += 1;
            }
            Step::ThiefDeletes => {
                let authorization = (self.variant == Variant::EraseOnToken).then(signed).flatten();
                let (token, device_signature) = ("".into(), Base64([0; 64]));
                let asked =
                    Deletion { id: DeletionId([world.next; 16]), at: now, token, device_signature, authorization };
                next.record.delete(&live?, asked, &policy(), now).ok()?;
                next.next += 1;
            }
            Step::OwnerKeeps => {
                if self.variant == Variant::DeafToKeep {
                    next.objected_at = world.ticks;
                    return Some(next);
                }
                let waiting = world.record.waiting.as_ref();
                let waiting = waiting.map(|waiting| Change::Successor(waiting.registration.id));
                let deletion = world.record.live.as_ref().and_then(|live| live.deletion.as_ref());
                for against in waiting.into_iter().chain(deletion.map(|asked| Change::Deletion(asked.id))) {
                    let keep = KeptKeep { against, authorization: signed()? };
                    next.record.keep(&live?, keep, &policy(), now).ok()?;
                }
                next.objected_at = world.ticks;
            }
            Step::OwnerReplaces => {
                let asked = Activation { authorization: signed(), ..activation(live.map(|id| id.as_bytes()[0]), now) };
                next.record.activate(registration(OWNER + 1), asked, &policy(), now).ok()?;
                (next.owner_changed, next.objected_at) = (true, world.ticks);
            }
            Step::Tick => {
                next.ticks += 1;
                next.record.settle(&policy(), time(next.ticks));
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            // The owner who looked within the waiting time still has a live registration.
            Property::always("who looks in time loses nothing", |_, world: &World| {
                let owned = Self::live(&world.record).is_some_and(|id| id.as_bytes()[0] < 10);
                owned || world.ticks >= world.objected_at + WAIT
            }),
            Property::always("no id comes back", |_, world: &World| {
                let waiting = world.record.waiting.as_ref().map(|waiting| waiting.registration.id);
                let there = Self::live(&world.record).into_iter().chain(waiting);
                there.into_iter().all(|id| !world.record.erased.contains(&id))
            }),
            Property::always("every end has evidence that names it", |_, world: &World| {
                world.record.ends.iter().all(|end| match &end.cause {
                    Cause::Replaced { activation, .. } => activation.replaces == Some(end.id),
                    Cause::Deleted(_) | Cause::Locked { .. } => true,
                })
            }),
            Property::sometimes("who never looks loses", |_, world: &World| {
                Self::live(&world.record).is_some_and(|id| id.as_bytes()[0] >= 10)
            }),
        ]
    }
}

fn explore(variant: Variant) -> Vec<&'static str> {
    let checker = Thief { variant }.checker().threads(2).spawn_bfs().join();
    checker.discoveries().keys().copied().collect()
}

#[test]
fn a_stolen_token_takes_nothing_from_an_owner_who_looks_in_time() {
    assert_eq!(explore(Variant::Right), ["who never looks loses"]);
}

#[test]
fn catches_erasing_on_a_token_alone() {
    assert!(explore(Variant::EraseOnToken).contains(&"who looks in time loses nothing"));
}

#[test]
fn catches_a_vault_that_does_not_hear_an_objection() {
    assert!(explore(Variant::DeafToKeep).contains(&"who looks in time loses nothing"));
}
