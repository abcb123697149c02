//! Yesterday's archive served back, a fork, a snapshot withheld; and what must not be mistaken for it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{Archive, BackupOptions, DeviceMemory, Error, OpenOptions, Progress, Receipt, RestoreOptions};
use support::{Fixture, copy_folder, destination, key, noise, same_tree};

fn day(fixture: &Fixture, number: u64) {
    fs::write(fixture.source.join("diary"), format!("day {number}")).unwrap();
    fs::write(fixture.source.join(format!("photo {number}")), noise(5_000, number)).unwrap();
    fixture.backup();
}

fn open(fixture: &Fixture, memory: Option<&str>, expected: Option<Receipt>, allow: bool) -> Result<Archive, Error> {
    let memory = memory.map(|name| DeviceMemory::at(fixture.folder.path().join(name)).unwrap());
    let options = OpenOptions { memory, expected, allow_rollback: allow, ..OpenOptions::default() };
    Archive::open(destination(&fixture.archive), &key(), options)
}

fn snapshot_object(fixture: &Fixture, number: u64) -> PathBuf {
    let archive = open(fixture, None, None, false).unwrap();
    let found = archive.snapshots().iter().find(|snapshot| snapshot.head.number == number);
    fixture.archive.join("snapshots").join(found.unwrap().name.to_string())
}

#[test]
fn refuses_an_older_copy_of_the_archive() {
    let fixture = Fixture::new();
    let older = fixture.folder.path().join("older");
    day(&fixture, 1);
    day(&fixture, 2);
    copy_folder(&fixture.archive, &older);
    day(&fixture, 3);
    copy_folder(&older, &fixture.archive);
    match fixture.try_open() {
        Err(Error::Rollback { remembered, newest: Some(newest) }) => {
            assert_eq!((remembered.number, newest.number), (3, 2));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(fixture.try_restore("latest", false), Err(Error::Rollback { .. })));
    assert!(matches!(fixture.try_backup(), Err(Error::Rollback { .. })));
    assert!(!fixture.target.exists());
    assert_eq!(fixture.objects("snapshots").len(), 2);
    // It stays refused: looking does not make the device forget.
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { .. })));
    assert_eq!(open(&fixture, Some("memory"), None, true).unwrap().snapshots().len(), 2);
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { .. })), "looking past it is not forgetting either");
    let mut archive = open(&fixture, Some("memory"), None, true).unwrap();
    archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    assert!(fixture.try_open().is_ok(), "a backup with the user's consent corrects the memory");
}

#[test]
fn refuses_an_archive_whose_newest_snapshot_was_deleted() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    day(&fixture, 2);
    fs::remove_file(snapshot_object(&fixture, 2)).unwrap();
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { .. })));
    let archive = open(&fixture, Some("memory"), None, true).unwrap();
    let options = RestoreOptions { target: fixture.target.clone(), ..RestoreOptions::default() };
    archive.restore(archive.snapshot("latest").unwrap(), &options, &Progress::default()).unwrap();
    assert_eq!(fs::read_to_string(fixture.restored().join("diary")).unwrap(), "day 1");
}

#[test]
fn refuses_an_archive_whose_snapshots_are_all_gone_until_a_new_one_is_made() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    day(&fixture, 2);
    fs::remove_dir_all(fixture.archive.join("snapshots")).unwrap();
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { newest: None, .. })));
    let mut archive = open(&fixture, Some("memory"), None, true).unwrap();
    archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    assert_eq!(fixture.restore("latest").problems, [], "after allow_rollback and a new backup, the device is content");
    same_tree(&fixture.source, &fixture.restored());
}

#[test]
fn a_snapshot_in_the_middle_that_was_deleted_is_named_by_verify() {
    let fixture = Fixture::new();
    for number in 1..=3 {
        day(&fixture, number);
    }
    fs::remove_file(snapshot_object(&fixture, 2)).unwrap();
    assert!(fixture.try_open().is_ok());
    let problems = fixture.verify(false).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("missing"), "{problems:?}");
}

#[test]
fn a_receipt_protects_a_device_that_remembers_nothing() {
    let fixture = Fixture::new();
    let older = fixture.folder.path().join("older");
    day(&fixture, 1);
    copy_folder(&fixture.archive, &older);
    day(&fixture, 2);
    let receipt = fixture.open().snapshots()[1].head.receipt();
    let written_down = Receipt::parse(&receipt.to_string()).unwrap();
    assert!(open(&fixture, None, Some(written_down), false).is_ok());
    day(&fixture, 3);
    assert!(open(&fixture, None, Some(written_down), false).is_ok(), "an older receipt of the same archive is fine");
    copy_folder(&older, &fixture.archive);
    for memory in [None, Some("new device")] {
        let opened = open(&fixture, memory, Some(written_down), false);
        assert!(matches!(opened, Err(Error::Rollback { remembered, .. }) if remembered == receipt));
    }
    assert!(open(&fixture, None, Some(written_down), true).is_ok());
    let wrong = Receipt { number: receipt.number, prefix: [0; Receipt::PREFIX_LEN] };
    assert!(matches!(open(&fixture, None, Some(wrong), false), Err(Error::Rollback { .. })));
}

#[test]
fn refuses_a_fork_even_if_it_is_longer() {
    let fixture = Fixture::new();
    let fork = fixture.folder.path().join("fork");
    day(&fixture, 1);
    copy_folder(&fixture.archive, &fork);
    day(&fixture, 2);
    let mut other = Archive::open(destination(&fork), &key(), OpenOptions::default()).unwrap();
    for _ in 0..3 {
        other.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    }
    copy_folder(&fork, &fixture.archive);
    match fixture.try_open() {
        Err(Error::Rollback { remembered, newest: Some(newest) }) => {
            assert_eq!((remembered.number, newest.number), (2, 4));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_another_archive_of_the_same_key() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    let other = Fixture::new();
    day(&other, 1);
    day(&other, 2);
    copy_folder(&other.archive, &fixture.archive);
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { .. })));
}

#[test]
fn a_damaged_newest_snapshot_is_damage_and_older_ones_restore_when_named() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    day(&fixture, 2);
    let newest = snapshot_object(&fixture, 2);
    let mut bytes = fs::read(&newest).unwrap();
    bytes[200] ^= 4;
    fs::write(&newest, &bytes).unwrap();
    let archive = fixture.open();
    assert_eq!(archive.damaged_snapshots().len(), 1);
    assert!(matches!(archive.snapshot("latest"), Err(Error::Damaged { object, .. }) if newest.ends_with(&object)));
    let options = RestoreOptions { target: fixture.target.clone(), ..RestoreOptions::default() };
    let report = archive.restore(archive.snapshot("1").unwrap(), &options, &Progress::default()).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(fs::read_to_string(fixture.restored().join("diary")).unwrap(), "day 1");
    // Repaired by the provider, it is welcome again.
    bytes[200] ^= 4;
    fs::write(&newest, &bytes).unwrap();
    assert_eq!(fixture.open().snapshots().len(), 2);
}

/// What a damaged snapshot costs is that snapshot.
#[test]
fn a_backup_after_a_damaged_newest_snapshot_is_the_latest() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    day(&fixture, 2);
    fs::write(snapshot_object(&fixture, 2), "garbage").unwrap();
    day(&fixture, 3);
    assert_eq!(fixture.open().snapshot("latest").unwrap().head.number, 3);
    assert_eq!(fixture.restore("latest").problems, []);
    assert_eq!(fs::read_to_string(fixture.restored().join("diary")).unwrap(), "day 3");
}

/// Damage that is known and explained must not cover for a newer snapshot that was taken away.
#[test]
fn an_old_damaged_snapshot_does_not_hide_that_the_newest_is_gone() {
    let fixture = Fixture::new();
    for number in 1..=4 {
        day(&fixture, number);
    }
    fs::write(snapshot_object(&fixture, 2), "garbage").unwrap();
    assert_eq!(fixture.open().snapshot("latest").unwrap().head.number, 4);
    fs::remove_file(snapshot_object(&fixture, 4)).unwrap();
    assert!(matches!(fixture.open().snapshot("latest"), Err(Error::Damaged { .. })));
}

/// A provider shows one device's snapshot to nobody else, lets the others go on, and then takes it away: its numbers have
/// been overtaken, but nothing follows it.
#[test]
fn a_snapshot_of_this_device_that_others_overtook_cannot_be_taken_away() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    let fork = fixture.folder.path().join("fork");
    copy_folder(&fixture.archive, &fork);
    day(&fixture, 2);
    let mine = snapshot_object(&fixture, 2);
    for number in [2, 3] {
        fs::write(fixture.source.join("diary"), format!("elsewhere {number}")).unwrap();
        let mut other = Archive::open(destination(&fork), &key(), OpenOptions::default()).unwrap();
        other.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    }
    for folder in ["packs", "index", "snapshots"] {
        support::merge_folder(&fork.join(folder), &fixture.archive.join(folder));
    }
    assert_eq!(fixture.open().snapshots().len(), 4);
    let hidden = fs::read(&mine).unwrap();
    fs::remove_file(&mine).unwrap();
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { remembered, .. }) if remembered.number == 2));
    // Put back, the next backup follows both branches, and one memory does for both.
    fs::write(&mine, hidden).unwrap();
    day(&fixture, 4);
    assert_eq!(fixture.open().snapshots().last().unwrap().previous.len(), 2);
}

/// The device remembers that the newest is whole and there: an older one that is damaged cannot be the latest.
#[test]
fn a_damaged_old_snapshot_does_not_stand_in_the_way_of_the_latest() {
    let fixture = Fixture::new();
    day(&fixture, 1);
    day(&fixture, 2);
    fs::write(snapshot_object(&fixture, 1), "").unwrap();
    assert_eq!(fixture.restore("latest").problems, []);
}

#[test]
fn two_devices_that_take_turns_are_fine() {
    let fixture = Fixture::new();
    for round in 0..4_u64 {
        for device in ["laptop", "phone"] {
            fs::write(fixture.source.join("diary"), format!("{round} {device}")).unwrap();
            let mut archive = open(&fixture, Some(device), None, false).unwrap();
            let options = BackupOptions {
                sources: vec![fixture.source.clone()],
                host: device.to_owned(),
                ..BackupOptions::default()
            };
            archive.backup(&options, &Progress::default()).unwrap();
        }
    }
    let archive = open(&fixture, Some("laptop"), None, false).unwrap();
    let numbers: Vec<_> = archive.snapshots().iter().map(|snapshot| snapshot.head.number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    assert_eq!(archive.verify(true, &Progress::default()).unwrap().problems, []);
}

fn source_of(fixture: &Fixture, device: &str, seed: u64) -> PathBuf {
    let source = fixture.folder.path().join(format!("source of {device}"));
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("own"), noise(3_000_000, seed)).unwrap();
    fs::write(source.join("common"), noise(3_000_000, 99)).unwrap();
    source
}

fn back_up_at_once(fixture: &Fixture, devices: [(&str, &str); 2]) {
    std::thread::scope(|scope| {
        let runs = devices.map(|(device, memory)| {
            scope.spawn(move || {
                let options = BackupOptions {
                    sources: vec![source_of(fixture, device, 7)],
                    host: device.to_owned(),
                    ..BackupOptions::default()
                };
                let mut archive = open(fixture, Some(memory), None, false).unwrap();
                archive.backup(&options, &Progress::default()).unwrap()
            })
        });
        for run in runs {
            assert_eq!(run.join().unwrap().problems, []);
        }
    });
}

fn all_restore(fixture: &Fixture, archive: &Archive) {
    for snapshot in archive.snapshots() {
        fixture.clear_restored();
        let options = RestoreOptions { target: fixture.target.clone(), ..RestoreOptions::default() };
        let report = archive.restore(snapshot, &options, &Progress::default()).unwrap();
        assert_eq!(report.problems, []);
        let source: &Path = &snapshot.sources[0];
        same_tree(&snapshot.base.join(source), &fixture.target.join(source));
    }
}

#[test]
fn two_backups_at_once_from_two_devices_both_succeed_and_restore() {
    for round in 0..5 {
        let fixture = Fixture::new();
        back_up_at_once(&fixture, [("laptop", "laptop"), ("phone", "phone")]);
        for device in ["laptop", "phone"] {
            let archive = open(&fixture, Some(device), None, false).unwrap();
            assert_eq!(archive.snapshots().len(), 2, "round {round}");
            all_restore(&fixture, &archive);
            assert_eq!(archive.verify(true, &Progress::default()).unwrap().problems, []);
        }
        back_up_at_once(&fixture, [("laptop", "laptop"), ("phone", "phone")]);
        assert!(open(&fixture, Some("laptop"), None, false).is_ok());
    }
}

/// Two terminals, one device: they share what the device remembers.
#[test]
fn two_backups_at_once_on_one_device_both_succeed_and_restore() {
    for _ in 0..10 {
        let fixture = Fixture::new();
        back_up_at_once(&fixture, [("one", "memory"), ("two", "memory")]);
        let archive = fixture.open();
        assert_eq!(archive.snapshots().len(), 2);
        all_restore(&fixture, &archive);
        let remembered = fixture.memory().head().unwrap().unwrap();
        let newest = archive.snapshots().last().unwrap().head.number;
        assert_eq!(remembered.number, newest, "the device remembers the newest");
    }
}
