//! Pruning and forgetting, interrupted between every two operations, on a full disk, with others at work at the same
//! time and with listings that are old. After everything, every snapshot is there in full.

mod attacks;
mod beside;
mod old_key;
mod rotating;
mod world;

use std::path::Path;

use tempfile::TempDir;

use self::world::*;
use crate::archive::{Archive, OpenOptions};
use crate::backup::BackupOptions;
use crate::destination::Destination;
use crate::device::DeviceMemory;
use crate::envelope::ObjectType;
use crate::error::{DestinationErrorKind, Error};
use crate::faults::Fault;
use crate::prune::PruneOptions;
use crate::report::Progress;
use crate::restore::RestoreOptions;

#[test]
fn removes_what_no_snapshot_needs_and_nothing_else() {
    let (world, place) = world();
    let size =
        |place: &Destination| place.list("packs/").unwrap().iter().map(|path| place.len(path).unwrap()).sum::<u64>();
    let before = size(&place);
    let told = open(&place).unwrap().prune(&PruneOptions { dry_run: true, ..options() }, &Progress::default()).unwrap();
    assert_eq!(size(&place), before, "a dry run removes nothing");
    assert!(told.packs_unused > 0 && told.packs_repacked > 0 && told.bytes_freed > 0, "{told:?}");
    let report = prune(&place).unwrap();
    assert_eq!((report.packs_unused, report.packs_repacked), (told.packs_unused, told.packs_repacked));
    assert_eq!(report.packs_removed, report.packs_unused + report.packs_repacked);
    assert!(report.bytes_freed > report.bytes_stored, "{report:?}");
    assert!(size(&place) < before);
    world.check_and_clean(&place, "after a prune");
    // It goes on as before.
    world.live();
    world.back_up(&place).unwrap();
    assert_eq!(world.check(&place, "after a backup"), 3);
}

/// Else there would be one more for each backup that was ever made.
#[test]
fn gathers_what_backups_have_indexed_one_by_one() {
    let (world, place) = world();
    let before = place.list("index/").unwrap().len();
    prune(&place).unwrap();
    assert!(before > 5, "{before}");
    assert_eq!(place.list("index/").unwrap().len(), 1);
    world.check_and_clean(&place, "after a prune");
}

/// Each day leaves a pack of data and one of trees, all of which are needed.
#[test]
fn the_small_packs_of_some_days_become_two_and_the_next_prune_finds_nothing() {
    let (world, place) = World::with_days(5);
    let packs = |place: &Destination| place.list("packs/").unwrap().len();
    assert_eq!(packs(&place), 10);
    let report = prune(&place).unwrap();
    assert_eq!((report.packs_unused, report.packs_repacked, report.packs_removed), (0, 10, 10), "{report:?}");
    assert_eq!(packs(&place), 2);
    let again = prune(&place).unwrap();
    assert_eq!((again.packs_unused, again.packs_repacked, again.packs_removed), (0, 0, 0), "{again:?}");
    world.check_and_clean(&place, "after small packs were joined");
    // A few more are left alone.
    world.live();
    world.back_up(&place).unwrap();
    assert_eq!((prune(&place).unwrap().packs_repacked, packs(&place)), (0, 4));
}

fn assert_dies_harmlessly((world, start): (World, Destination)) {
    for count in 0.. {
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let pruned = prune(&place);
        if !place.faults.has_struck() {
            assert!(count > 8, "{count} changes");
            return assert!(pruned.is_ok());
        }
        world.check_and_clean(&place, &format!("dead at change {count}"));
    }
}

#[test]
fn a_prune_that_dies_while_small_packs_are_joined_loses_nothing() {
    assert_dies_harmlessly(World::with_days(4));
}

#[test]
fn a_prune_that_dies_before_any_change_loses_nothing() {
    assert_dies_harmlessly(world());
}

#[test]
fn a_prune_one_operation_of_which_fails_loses_nothing() {
    let (world, start) = world();
    for count in (0..).step_by(stride()) {
        let place = copy(&start);
        place.faults.strike(count, Fault::Once);
        let pruned = prune(&place);
        if !place.faults.has_struck() {
            assert!(count > 40, "{count} operations");
            return assert!(pruned.is_ok());
        }
        world.check_and_clean(&place, &format!("operation {count} failed"));
    }
}

#[test]
fn a_prune_without_room_for_packs_removes_what_is_unused_and_loses_nothing() {
    let (world, start) = world();
    for count in 0..3 {
        let place = copy(&start);
        place.faults.strike(count, Fault::Full);
        match prune(&place) {
            Err(Error::Destination { kind: DestinationErrorKind::Full, .. }) => {
                assert!(place.list("packs/").unwrap().len() < start.list("packs/").unwrap().len());
            }
            other => assert!(other.is_ok() && !place.faults.has_struck(), "{other:?}"),
        }
        world.check_and_clean(&place, &format!("no room for pack {count}"));
    }
}

#[test]
fn a_forget_that_dies_before_any_change_loses_nothing_and_alarms_nobody() {
    let (world, start) = World::with_days(5);
    // A device that was away since the third day.
    let away = tempfile::tempdir().unwrap();
    let third = open(&start).unwrap().snapshots()[2].head;
    let memory = || DeviceMemory::at(away.path().to_owned()).unwrap();
    for count in 0.. {
        memory().remember(&[third], &[third].into(), true).unwrap();
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let forgotten = world.forget_all_but(&place, 1);
        let has_struck = place.faults.has_struck();
        let there = world.check(&another(&place), &format!("dead at change {count}"));
        assert!(if count == 0 { there == 5 } else { there == 1 }, "{count}: {there}");
        let options = OpenOptions { memory: Some(memory()), ..OpenOptions::default() };
        Archive::open(another(&place), &key(), options).unwrap();
        world.check_and_clean(&place, &format!("dead at change {count}"));
        assert_eq!(place.faults.another().listed("", another(&place).list("snapshots/").unwrap()).len(), there);
        if !has_struck {
            return assert!(forgotten.is_ok() && count > 4);
        }
    }
}

#[test]
fn a_prune_waits_for_nobody_and_says_for_whom() {
    let (world, place) = world();
    let archive = open(&place).unwrap();
    let lock = crate::lock::announce(&place, &archive.ring, "phone", "backup").unwrap();
    match prune(&place) {
        Err(Error::Busy(busy)) => assert_eq!((busy.name, busy.host.as_str()), (lock, "phone")),
        other => panic!("{other:?}"),
    }
    archive.unlock(&lock).unwrap();
    assert!(prune(&place).is_ok());
    world.check_and_clean(&place, "after an unlock");
}

#[test]
fn refuses_to_prune_beside_a_lock_that_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("locks/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    assert!(matches!(prune(&place), Err(Error::Damaged { object, .. }) if object.starts_with("locks/")));
}

#[test]
fn refuses_to_prune_while_a_snapshot_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("snapshots/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    let packs = place.list("packs/").unwrap().len();
    assert!(matches!(prune(&place), Err(Error::Damaged { object, .. }) if object.starts_with("snapshots/")));
    assert_eq!(place.list("packs/").unwrap().len(), packs);
}

/// A listing that leaves one out, as providers have served: what it alone needs would be gone for ever.
#[test]
fn refuses_to_prune_while_a_snapshot_is_missing() {
    let (world, place) = world();
    world.live();
    world.back_up(&place).unwrap();
    let archive = open(&place).unwrap();
    let hidden = ObjectType::Snapshot.path(&archive.snapshots()[0].name);
    let (bytes, packs) = (place.read(&hidden, 1 << 20).unwrap(), place.list("packs/").unwrap().len());
    place.delete(&hidden).unwrap();
    let lacks = archive.snapshots()[0].head.receipt();
    let refused = prune(&place);
    assert!(matches!(&refused, Err(Error::Rollback { remembered, .. }) if *remembered == lacks), "{refused:?}");
    assert_eq!(place.list("packs/").unwrap().len(), packs);
    // Whoever knows that it is lost may go on without it.
    let options = OpenOptions { allow_rollback: true, ..OpenOptions::default() };
    let without =
        Archive::open(copy(&place), &key(), options).unwrap().prune(&self::world::options(), &Progress::default());
    assert!(without.unwrap().packs_removed > 0);
    place.write(&hidden, bytes).unwrap();
    world.check_and_clean(&place, "it is back");
}

#[test]
fn refuses_to_prune_while_a_tree_cannot_be_read() {
    let (_world, start) = world();
    let mut refused = 0;
    for pack in start.list("packs/").unwrap() {
        let place = copy(&start);
        let mut bytes = place.read(&pack, 1 << 24).unwrap();
        bytes[100] ^= 1;
        place.delete(&pack).unwrap();
        place.write(&pack, bytes).unwrap();
        let packs = place.list("packs/").unwrap().len();
        if let Err(error) = prune(&place) {
            assert!(matches!(error, Error::Unreadable { .. }), "{error}");
            assert_eq!(place.list("packs/").unwrap().len(), packs);
            refused += 1;
        }
    }
    assert!(refused >= 1);
}

#[test]
fn a_damaged_object_of_doom_stops_backups_until_the_next_prune() {
    let (world, place) = world();
    place.write(&format!("doomed/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    assert!(matches!(world.back_up(&place), Err(Error::Damaged { object, .. }) if object.starts_with("doomed/")));
    unlock(&place);
    prune(&place).unwrap();
    world.back_up(&place).unwrap();
    world.check_and_clean(&place, "after damage");
}

/// A copy that was made because the first one is damaged must not be taken for one too many.
#[test]
fn a_damaged_copy_is_no_reason_to_remove_the_other() {
    let (world, place) = World::with_days(1);
    // The second run does not see what the first has stored, as if both ran at once.
    let behind = copy(&place);
    for path in behind.list("packs/").unwrap().iter().chain(&behind.list("index/").unwrap()) {
        behind.delete(path).unwrap();
    }
    for path in behind.list("snapshots/").unwrap() {
        behind.delete(&path).unwrap();
    }
    world.back_up(&behind).unwrap();
    for path in behind.list("/").unwrap() {
        place.write(&path, behind.read(&path, 1 << 30).unwrap()).unwrap();
    }
    for damaged in place.list("packs/").unwrap() {
        let place = copy(&place);
        let mut bytes = place.read(&damaged, 1 << 24).unwrap();
        bytes[100] ^= 1;
        place.delete(&damaged).unwrap();
        place.write(&damaged, bytes).unwrap();
        let report = prune(&place).unwrap();
        assert!(report.packs_removed > 0, "{report:?}");
        let archive = open(&place).unwrap();
        for snapshot in archive.snapshots() {
            let target = tempfile::tempdir().unwrap();
            let to = RestoreOptions { target: target.path().to_owned(), ..RestoreOptions::default() };
            let restored = archive.restore(snapshot, &to, &Progress::default()).unwrap();
            assert_eq!(restored.problems, [], "with {damaged} damaged");
        }
    }
}

/// What a device with this memory sees.
fn open_on(memory: &Path, place: &Destination) -> Archive {
    let memory = Some(DeviceMemory::at(memory.to_owned()).unwrap());
    Archive::open(another(place), &key(), OpenOptions { memory, ..OpenOptions::default() }).unwrap()
}

/// Archives with a damaged pack whose content a device that noticed, whose memory comes with it, has stored again. Which of
/// the two packs has the lesser name is left to chance.
fn with_a_second_copy() -> impl Iterator<Item = (Destination, TempDir)> {
    let (world, start) = World::with_days(1);
    let sizes = |path: &String| std::cmp::Reverse(start.len(path).unwrap());
    let damaged = start.list("packs/").unwrap().into_iter().min_by_key(sizes).unwrap();
    (0..8).map(move |_| {
        let (place, memory) = (copy(&start), tempfile::tempdir().unwrap());
        let mut bytes = place.read(&damaged, 1 << 24).unwrap();
        bytes[100] ^= 1;
        place.delete(&damaged).unwrap();
        place.write(&damaged, bytes).unwrap();
        let verified = open_on(memory.path(), &place).verify(true, &Progress::default()).unwrap();
        assert!(!verified.problems.is_empty());
        let sources = vec![world.source()];
        let again = BackupOptions { sources, host: "test".to_owned(), ..BackupOptions::default() };
        let report = open_on(memory.path(), &place).backup(&again, &Progress::default()).unwrap();
        assert!(report.bytes_stored > 1000, "{report:?}");
        (place, memory)
    })
}

/// So many prunes find something to do, at most.
fn assert_settles_after(prunes: usize, place: &Destination, memory: &Path) {
    let pruned = || open_on(memory, place).prune(&options(), &Progress::default()).unwrap();
    (0..prunes).for_each(|_| drop(pruned()));
    let report = pruned();
    assert_eq!((report.packs_repacked, report.bytes_stored), (0, 0), "{report:?}");
}

#[test]
fn damage_that_is_known_is_not_what_the_other_copy_gives_way_to() {
    with_a_second_copy().for_each(|(place, memory)| assert_settles_after(1, &place, memory.path()));
}

/// Else each prune from there would write the other copy anew, not only the one that meets it. The next one may find that
/// little of the damaged pack is needed now.
#[test]
fn damage_that_a_prune_met_is_known_to_the_next_one() {
    for (place, _) in with_a_second_copy() {
        assert_settles_after(2, &place, tempfile::tempdir().unwrap().path());
    }
}
