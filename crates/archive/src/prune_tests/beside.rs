//! Others at work between any two operations, and listings that are old.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use super::world::*;
use crate::destination::Destination;
use crate::error::Error;
use crate::faults::{Fault, Faults};
use crate::report::{Progress, PruneReport, Wait};

/// Runs `first`, and `second` on another device between any two of its operations, one after the other.
pub(super) fn interleave(
    first: impl Fn(&World, &Destination),
    second: impl Fn(&World, &Destination) + Send + Sync + 'static,
) {
    let second = Arc::new(second);
    let (world, start) = world();
    let world = Arc::new(world);
    world.live();
    // Another share of them each time.
    let from = std::process::id() as usize % stride();
    for count in (from as u64..).step_by(stride()) {
        let place = copy(&start);
        let other = another(&place);
        let (mut left, has_run) = (count, Arc::new(AtomicU64::new(0)));
        let (run, by, in_world) = (Arc::clone(&has_run), Arc::clone(&second), Arc::clone(&world));
        place.faults.between(move |_, _| {
            if left == 0 {
                run.store(1, Ordering::Relaxed);
                by(&in_world, &other);
            }
            left = u64::wrapping_sub(left, 1);
        });
        first(&world, &place);
        world.check_and_clean(&place, &format!("at operation {count}"));
        if has_run.load(Ordering::Relaxed) == 0 {
            return assert!(count > 20, "{count} operations");
        }
    }
}

pub(super) fn may_be_busy(pruned: Result<PruneReport, Error>) {
    assert!(matches!(&pruned, Ok(_) | Err(Error::Busy(_) | Error::Disturbed)), "{pruned:?}");
}

#[test]
fn a_backup_between_any_two_operations_of_a_prune_is_whole() {
    interleave(|_, place| may_be_busy(prune(place)), |world, place| world.back_up(place).unwrap());
}

#[test]
fn a_prune_between_any_two_operations_of_a_backup_costs_it_nothing() {
    interleave(|world, place| world.back_up(place).unwrap(), |_, place| may_be_busy(prune(place)));
}

/// As when a prune takes a lock for one of a dead process, or its owner does.
#[test]
fn a_prune_that_ignores_the_lock_of_a_backup_costs_it_nothing() {
    let second = |_: &World, place: &Destination| {
        unlock(place);
        may_be_busy(prune(place));
    };
    interleave(|world, place| world.back_up(place).unwrap(), second);
}

#[test]
fn two_prunes_at_once_lose_nothing() {
    interleave(|_, place| may_be_busy(prune(place)), |_, place| may_be_busy(prune(place)));
    let second = |_: &World, place: &Destination| {
        unlock(place);
        may_be_busy(prune(place));
    };
    interleave(|_, place| may_be_busy(prune(place)), second);
}

#[test]
fn a_forget_and_a_prune_at_once_lose_nothing() {
    let second = |world: &World, place: &Destination| assert!(world.forget_all_but(place, 1).is_ok());
    interleave(|_, place| may_be_busy(prune(place)), second);
}

/// The copy counts on what is there; some of that is what the prune removes.
#[test]
fn a_copy_between_any_two_operations_of_a_prune_is_whole() {
    let (world, from) = World::with_days(6);
    let behind = copy(&from);
    world.forget_all_but(&behind, 2).unwrap();
    world.live();
    world.back_up(&from).unwrap();
    for count in (0_u64..).step_by(stride()) {
        let place = copy(&behind);
        let (from, to, is_copied) = (another(&from), another(&place), Arc::new(AtomicU64::new(0)));
        let (mut left, has_copied) = (count, Arc::clone(&is_copied));
        place.faults.between(move |_, _| {
            if left == 0 {
                let copied = open(&from).unwrap().copy_to(&to, "test", &Progress::default());
                assert!(matches!(&copied, Ok(_) | Err(Error::Doomed { .. } | Error::Disturbed)), "{copied:?}");
                has_copied.store(if copied.is_ok() { 1 } else { 2 }, Ordering::Relaxed);
            }
            left = left.wrapping_sub(1);
        });
        may_be_busy(prune(&place));
        match is_copied.load(Ordering::Relaxed) {
            0 => return assert!(count > 20, "{count} operations"),
            1 => world.check_and_clean(&place, &format!("at operation {count}")),
            _ => {}
        }
    }
}

/// Where listings are late, what is removed still seems to be there, or is about to be.
#[test]
fn a_copy_does_not_count_on_what_is_doomed() {
    let (world, from) = World::with_days(6);
    let to = copy(&from);
    world.forget_all_but(&to, 2).unwrap();
    to.faults.list_late(Duration::ZERO, 1);
    prune(&to).unwrap();
    world.live();
    world.back_up(&from).unwrap();
    let copied = open(&from).unwrap().copy_to(&to, "test", &Progress::default());
    assert!(matches!(&copied, Err(Error::Doomed { .. })), "{copied:?}");
    for _ in 0..2 {
        to.faults.pass(DAY);
        prune(&to).unwrap();
    }
    open(&from).unwrap().copy_to(&to, "test", &Progress::default()).unwrap();
    to.faults.pass(DAY);
    world.check_exactly(&to, "two days later");
}

/// Runs `first` up to an operation, then `second` on another device up to one of its own, then the rest of the first, then
/// the rest of the second; for many such pairs of operations.
fn overlap(first: fn(&World, &Destination), second: fn(&World, &Destination), seed: u64) {
    let (world, start) = world();
    let world = Arc::new(world);
    world.live();
    let mut chance = Chance(seed);
    for _ in 0..if stride() == 1 { 600 } else { 40 } {
        let (here, there) = (chance.below(70), chance.below(70));
        let place = copy(&start);
        let other = another(&place);
        let (paused, is_paused) = mpsc::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let mut left = there;
        other.faults.between(move |_, _| {
            if left == 0 {
                paused.send(()).unwrap();
                may_go.recv().unwrap_err();
            }
            left = left.wrapping_sub(1);
        });
        let running = Arc::new(Mutex::new(None));
        let (run, in_world, mut with) = (Arc::clone(&running), Arc::clone(&world), Some((other, is_paused)));
        let mut left = here;
        place.faults.between(move |_, _| {
            if left == 0
                && let Some((other, is_paused)) = with.take()
            {
                let world = Arc::clone(&in_world);
                *run.lock().unwrap() = Some(thread::spawn(move || second(&world, &other)));
                // It pauses, or comes to its end.
                let _ = is_paused.recv();
            }
            left = left.wrapping_sub(1);
        });
        first(&world, &place);
        drop(go);
        if let Some(running) = running.lock().unwrap().take() {
            running.join().unwrap();
        }
        world.check_and_clean(&place, &format!("from operation {here} on, up to operation {there}"));
    }
}

fn backs_up(world: &World, place: &Destination) {
    world.back_up(place).unwrap();
}

fn prunes(_: &World, place: &Destination) {
    may_be_busy(prune(place));
}

fn prunes_in_spite(world: &World, place: &Destination) {
    unlock(place);
    prunes(world, place);
}

#[test]
fn a_backup_that_overlaps_with_a_prune_is_whole() {
    overlap(prunes, backs_up, 1);
    overlap(backs_up, prunes, 2);
}

#[test]
fn a_backup_that_overlaps_with_a_prune_that_ignores_its_lock_is_whole() {
    overlap(backs_up, prunes_in_spite, 3);
}

#[test]
fn two_prunes_that_overlap_lose_nothing() {
    overlap(prunes, prunes, 4);
    overlap(prunes, prunes_in_spite, 5);
}

#[test]
fn where_listings_are_late_packs_are_removed_a_day_later() {
    let (world, place) = world();
    place.faults.list_late(Duration::ZERO, 1);
    let before = place.list("packs/").unwrap().len();
    let first = prune(&place).unwrap();
    assert_eq!((first.waits, first.packs_removed), (Some(Wait::Grace(DAY)), 0));
    assert!(first.packs_waiting > 0 && place.list("packs/").unwrap().len() > before);
    place.faults.pass(DAY / 2);
    assert_eq!(prune(&place).unwrap().packs_removed, 0);
    place.faults.pass(DAY / 2);
    let third = prune(&place).unwrap();
    assert_eq!((third.waits, third.packs_removed), (None, first.packs_waiting));
    // What was removed stays named for another day.
    assert_eq!(place.list("doomed/").unwrap().len(), 1);
    place.faults.pass(DAY);
    prune(&place).unwrap();
    assert_eq!(place.list("doomed/").unwrap().len(), 0);
    world.check(&place, "two days later");
}

/// A small generator: what happens is the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// What a device does, whatever comes of it.
fn act(world: &World, place: &Destination, chance: &mut Chance) {
    match chance.below(8) {
        0 | 4 => drop(world.forget_all_but(place, 1 + chance.below(3) as usize)),
        1 | 5 => drop(prune(place)),
        2 => drop(advance(place)),
        _ => drop(world.back_up(place)),
    }
}

/// Devices that back up, forget and prune for weeks, die, are overtaken by another one in the middle, and take days for one
/// run, at a provider whose every listing is up to eleven hours old in any of its parts.
fn weeks_with_late_listings(seed: u64) {
    let (world, start) = World::with_days(1);
    let world = Arc::new(world);
    start.faults.list_late(DAY / 24 * 11, seed);
    let mut chance = Chance(seed);
    for step in 0..30 {
        let place = another(&start);
        let hours = |chance: &mut Chance, most| DAY / 24 * chance.below(most) as u32;
        match chance.below(6) {
            0 => place.faults.strike(chance.below(60), Fault::Death),
            1 => {
                let (in_world, other, mut others) =
                    (Arc::clone(&world), another(&start), Chance(chance.below(1 << 40)));
                let (mut left, late, after) = (chance.below(60), hours(&mut chance, 50), hours(&mut chance, 50));
                place.faults.between(move |_, _| {
                    if left == 0 {
                        other.faults.pass(late);
                        act(&in_world, &other, &mut others);
                        other.faults.pass(after);
                    }
                    left = left.wrapping_sub(1);
                });
            }
            _ => {}
        }
        world.live();
        act(&world, &place, &mut chance);
        start.faults.pass(hours(&mut chance, 40));
        if chance.below(4) == 0 {
            let mut exact = start.clone();
            exact.faults = Faults::default();
            unlock(&exact);
        }
        world.check_exactly(&start, &format!("seed {seed}, step {step}"));
    }
}

#[test]
fn weeks_with_late_listings_lose_nothing() {
    let seeds = if stride() == 1 { 60 } else { 6 };
    let first = std::process::id().into();
    (first..first + seeds).for_each(weeks_with_late_listings);
}
