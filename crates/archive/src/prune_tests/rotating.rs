//! Rotating the key: interrupted between every two operations, and beside others.

use coffer_keys::BackupKey;

use super::beside::{interleave, may_be_busy};
use super::world::*;
use crate::archive::Archive;
use crate::backup::BackupOptions;
use crate::copy::CopyReport;
use crate::destination::Destination;
use crate::envelope::epoch_of;
use crate::error::Error;
use crate::faults::Fault;
use crate::header;
use crate::report::Progress;
use crate::rotate::RotateOptions;

#[test]
fn a_rotation_that_dies_before_any_change_loses_nothing() {
    let (world, start) = world();
    let known = heads(&start);
    for count in 0.. {
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let rotated = rotate(&place);
        let why = format!("dead at change {count}");
        let there = another(&place);
        world.restore_all(&there, &why);
        assert_eq!(heads(&there), known, "{why}");
        unlock(&there);
        rotate(&there).unwrap_or_else(|error| panic!("{why}: {error}"));
        assert!(!open(&there).unwrap().has_older_keys() && heads(&there) == known, "{why}");
        assert!(matches!(open_with(&there, &key()), Err(Error::WrongKey)), "{why}");
        world.check_and_clean(&there, &why);
        if !place.faults.has_struck() {
            return assert!(rotated.is_ok() && count > 25, "{count} changes");
        }
    }
}

#[test]
fn a_rotation_is_known_to_others_by_its_name_up_to_its_end() {
    let (_, start) = world();
    let mut of_the_new_epoch = 0;
    for count in 0.. {
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let _ = rotate(&place);
        let archive = open(&another(&place)).unwrap();
        let left = archive.locks().unwrap();
        assert!(left.iter().all(|lock| lock.operation == "rotate"), "dead at change {count}: {left:?}");
        of_the_new_epoch += usize::from(archive.has_older_keys() && !left.is_empty());
        if !place.faults.has_struck() {
            break;
        }
    }
    assert!(of_the_new_epoch > 5, "{of_the_new_epoch} while it pruned");
}

#[test]
fn a_rotation_one_operation_of_which_fails_loses_nothing() {
    let (world, start) = world();
    for count in (0..).step_by(stride()) {
        let place = copy(&start);
        place.faults.strike(count, Fault::Once);
        let rotated = rotate(&place);
        let why = format!("operation {count} failed");
        world.restore_all(&another(&place), &why);
        unlock(&another(&place));
        rotate(&another(&place)).unwrap_or_else(|error| panic!("{why}: {error}"));
        world.check_and_clean(&place, &why);
        if !place.faults.has_struck() {
            return assert!(rotated.is_ok() && count > 100, "{count} operations");
        }
    }
}

fn may_be_refused(done: Result<(), Error>) {
    assert!(
        matches!(
            &done,
            Ok(()) | Err(Error::Busy(_) | Error::Disturbed | Error::Rotating | Error::Rotated | Error::WrongKey)
        ),
        "{done:?}"
    );
}

#[test]
fn a_backup_between_any_two_operations_of_a_rotation_is_whole_or_has_not_happened() {
    interleave(
        |world, place| {
            world.expect(place);
            may_be_refused(rotate(place).map(drop));
            world.check_exactly(place, "beside a rotation");
        },
        |world, place| may_be_refused(world.back_up(place)),
    );
}

#[test]
fn a_rotation_between_any_two_operations_of_a_backup_costs_nothing_that_was_said_to_be_there() {
    interleave(
        |world, place| {
            world.expect(place);
            may_be_refused(world.back_up(place));
            world.check_exactly(place, "beside a backup");
        },
        |_, place| may_be_refused(rotate(place).map(drop)),
    );
}

/// As when its owner takes the lock for one of a dead run.
#[test]
fn a_rotation_that_ignores_the_lock_of_a_backup_costs_nothing_that_was_said_to_be_there() {
    let second = |_: &World, place: &Destination| {
        unlock(place);
        may_be_refused(rotate(place).map(drop));
    };
    interleave(
        |world, place| {
            world.expect(place);
            may_be_refused(world.back_up(place));
            world.check_exactly(place, "beside a backup");
        },
        second,
    );
}

#[test]
fn a_rotation_and_a_prune_at_once_lose_nothing() {
    let may_fail = |pruned: Result<_, Error>| match pruned {
        Err(Error::Rotating | Error::Rotated | Error::WrongKey) => {}
        other => may_be_busy(other),
    };
    interleave(move |_, place| may_fail(prune(place)), |_, place| may_be_refused(rotate(place).map(drop)));
    let second = move |_: &World, place: &Destination| {
        unlock(place);
        may_be_refused(rotate(place).map(drop));
    };
    interleave(move |_, place| may_fail(prune(place)), second);
}

#[test]
fn two_rotations_at_once_lose_nothing() {
    interleave(|_, place| may_be_refused(rotate(place).map(drop)), |_, place| may_be_refused(rotate(place).map(drop)));
}

/// Both keys open it, and nothing is written.
#[test]
fn refuses_to_write_while_a_rotation_has_not_come_to_its_end() {
    let (world, place) = world();
    open(&place).unwrap().prepare_rotation(&key(), &next_key(), "test").unwrap();
    let before = objects(&place);
    for key in [key(), next_key()] {
        let mut archive = open_with(&place, &key).unwrap();
        assert!(archive.is_rotating() && archive.is_by_next_key() == (key == next_key()));
        let options = BackupOptions { sources: vec![world.source()], ..BackupOptions::default() };
        let progress = Progress::default();
        assert!(matches!(archive.backup(&options, &progress), Err(Error::Rotating)));
        assert!(matches!(archive.forget(&[]), Err(Error::Rotating)));
        assert!(matches!(archive.prune(&super::world::options(), &progress), Err(Error::Rotating)));
        assert!(matches!(archive.repair_index("test", &progress), Err(Error::Rotating)));
        let to = Destination::memory().unwrap();
        assert!(matches!(archive.copy_to(&to, "test", &progress), Err(Error::Rotating)));
    }
    assert_eq!(objects(&place), before);
    world.restore_all(&place, "while it is rotated");
}

#[test]
fn a_header_that_is_lost_while_it_is_replaced_is_found_under_its_second_name() {
    let (world, start) = world();
    for count in 0.. {
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let rotated = rotate(&place);
        let there = another(&place);
        if there.exists("coffer.next.json").unwrap() {
            for torn in [b"{\"coffer\": 2".as_slice(), b""] {
                replace(&there, header::PATH, torn.to_vec());
                world.restore_all(&there, &format!("torn at change {count}"));
            }
            there.delete(header::PATH).unwrap();
            world.restore_all(&there, &format!("gone at change {count}"));
            assert!(matches!(Archive::init(there.clone(), &key()), Err(Error::HeaderMissing { .. })));
        }
        unlock(&there);
        rotate(&there).unwrap();
        assert!(there.exists(header::PATH).unwrap() && !there.exists("coffer.next.json").unwrap(), "change {count}");
        world.check_and_clean(&there, "after a torn header");
        if !place.faults.has_struck() {
            return assert!(rotated.is_ok());
        }
    }
}

#[test]
fn refuses_to_rotate_while_a_snapshot_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("snapshots/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    assert!(matches!(advance(&place), Err(Error::Damaged { object, .. }) if object.starts_with("snapshots/")));
    assert!(open_with(&place, &key()).is_ok(), "the old key opens it still");
}

#[test]
fn refuses_to_rotate_beside_another_run() {
    let (_world, place) = world();
    let archive = open(&place).unwrap();
    let lock = crate::lock::announce(&place, &archive.ring, "phone", "backup").unwrap();
    assert!(matches!(advance(&place), Err(Error::Busy(busy)) if busy.name == lock));
    assert!(!open(&place).unwrap().is_rotating());
}

#[test]
fn a_rotation_whose_device_was_lost_is_begun_anew_by_another() {
    let (world, place) = world();
    let lost = BackupKey::from_bytes([77; 32]);
    open(&place).unwrap().prepare_rotation(&key(), &lost, "test").unwrap();
    let lost_archive = open_with(&place, &lost).unwrap();
    lost_archive.seal_anew().unwrap();
    rotate(&place).unwrap();
    assert!(matches!(open_with(&place, &lost), Err(Error::WrongKey)));
    assert!(objects(&place).iter().all(|(.., bytes)| epoch_of(bytes) == Some(3)));
    world.check_and_clean(&place, "after a second device's rotation");
}

#[test]
fn where_listings_are_late_a_rotation_waits_a_day_at_each_step() {
    let (world, place) = world();
    place.faults.list_late(std::time::Duration::ZERO, 1);
    assert_eq!(advance(&place).unwrap().waits, Some(DAY));
    assert!(open(&place).unwrap().is_rotating());
    place.faults.pass(DAY);
    assert_eq!(advance(&place).unwrap().waits, None);
    assert!(!prune(&place).unwrap().older_keys_given_up, "the packs are only doomed");
    for _ in 0..2 {
        place.faults.pass(DAY);
        world.check(&place, "between");
        prune(&place).unwrap();
    }
    assert!(!open(&place).unwrap().has_older_keys());
    world.check_and_clean(&another(&place), "after some days");
}

fn copied(place: &Destination, to: &Destination) -> Result<CopyReport, Error> {
    open(place)?.copy_to(to, "test", &Progress::default())
}

#[test]
fn a_copy_of_before_the_rotation_is_brought_up_to_date() {
    let (world, place) = world();
    let to = Destination::memory().unwrap();
    copied(&place, &to).unwrap();
    let behind = copy(&to);
    for is_pruned in [false, true] {
        if is_pruned {
            prune(&place).unwrap();
        } else {
            advance(&place).unwrap();
        }
        for count in 0.. {
            let there = copy(&to);
            there.faults.strike(count, Fault::Death);
            let done = copied(&place, &there);
            unlock(&place);
            let why = format!("dead at change {count} of a copy");
            world.check(&another(&there), &why);
            unlock(&another(&there));
            copied(&place, &another(&there)).unwrap();
            assert!(matches!(open_with(&another(&there), &key()), Err(Error::WrongKey)), "{why}");
            world.check_and_clean(&another(&there), &why);
            assert!(objects(&another(&there)).iter().all(|(.., bytes)| epoch_of(bytes) == Some(2)), "{why}");
            if !there.faults.has_struck() {
                assert!(done.is_ok() && count > 3, "{count} changes");
                break;
            }
        }
    }
    // The other way round it is none that is to be overwritten.
    let archive = open_with(&behind, &key()).unwrap();
    let refused = archive.copy_to(&place, "test", &Progress::default());
    assert!(matches!(refused, Err(Error::OtherArchive { .. })), "{refused:?}");
    // Nor is one that was rotated elsewhere.
    open_with(&behind, &key()).unwrap().prepare_rotation(&key(), &BackupKey::from_bytes([9; 32]), "test").unwrap();
    let mut other = open_with(&behind, &BackupKey::from_bytes([9; 32])).unwrap();
    other.rotate(&RotateOptions::default()).unwrap();
    assert!(matches!(copied(&place, &behind), Err(Error::OtherArchive { .. })));
}
