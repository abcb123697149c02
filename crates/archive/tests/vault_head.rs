//! What a device that remembers nothing learns from the head that the vault keeps.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{Archive, DeviceMemory, Error, OpenOptions, Progress};
use support::{Fixture, copy_folder, destination, key, merge_folder};

fn options(head: &[u8]) -> OpenOptions {
    OpenOptions { vault_head: Some(head.to_vec()), ..OpenOptions::default() }
}

/// A device that remembers nothing.
fn open(archive: &Path, head: &[u8]) -> Result<Archive, Error> {
    Archive::open(destination(archive), &key(), options(head))
}

/// Backs up at `archive`, from a device that remembers nothing, and returns the head to keep.
fn back_up(fixture: &Fixture, archive: &Path, diary: &str) -> Vec<u8> {
    fs::write(fixture.source.join("diary"), diary).unwrap();
    let mut archive = Archive::open(destination(archive), &key(), OpenOptions::default()).unwrap();
    archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    archive.seal_head().unwrap().unwrap()
}

fn copy(fixture: &Fixture, name: &str) -> PathBuf {
    let copy = fixture.folder.path().join(name);
    copy_folder(&fixture.archive, &copy);
    copy
}

fn snapshot_object(archive: &Path, number: u64) -> PathBuf {
    let opened = Archive::open(destination(archive), &key(), OpenOptions::default()).unwrap();
    let found = opened.snapshots().iter().find(|snapshot| snapshot.head.number == number);
    archive.join("snapshots").join(found.unwrap().name.to_string())
}

/// Two snapshots that do not know of each other, in one archive. Returns the two objects.
fn fork(fixture: &Fixture) -> [PathBuf; 2] {
    back_up(fixture, &fixture.archive, "day 1");
    let fork = copy(fixture, "fork");
    back_up(fixture, &fixture.archive, "day 2 here");
    back_up(fixture, &fork, "day 2 there");
    let objects = [&fixture.archive, &fork].map(|archive| {
        let name = snapshot_object(archive, 2).file_name().unwrap().to_owned();
        fixture.archive.join("snapshots").join(name)
    });
    for folder in ["packs", "index", "snapshots"] {
        merge_folder(&fork.join(folder), &fixture.archive.join(folder));
    }
    objects
}

#[test]
fn an_archive_without_snapshots_has_no_head() {
    assert_eq!(Fixture::new().open().seal_head().unwrap(), None);
}

#[test]
fn a_new_device_opens_the_archive_that_the_head_is_of() {
    let fixture = Fixture::new();
    let head = back_up(&fixture, &fixture.archive, "day 1");
    assert_eq!(head.len(), 512);
    assert!(open(&fixture.archive, &head).is_ok());
    back_up(&fixture, &fixture.archive, "day 2");
    assert!(open(&fixture.archive, &head).is_ok(), "an older head of the same archive is fine");
}

#[test]
fn refuses_an_older_copy_of_the_archive_on_a_new_device() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let older = copy(&fixture, "older");
    let head = back_up(&fixture, &fixture.archive, "day 2");
    match open(&older, &head) {
        Err(Error::Rollback { remembered, newest: Some(newest) }) => {
            assert_eq!((remembered.number, newest.number), (2, 1));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_a_fork_on_a_new_device_even_if_it_is_longer() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let fork = copy(&fixture, "fork");
    let head = back_up(&fixture, &fixture.archive, "day 2");
    for day in 2..5 {
        back_up(&fixture, &fork, &format!("day {day} elsewhere"));
    }
    assert!(matches!(open(&fork, &head), Err(Error::Rollback { remembered, .. }) if remembered.number == 2));
}

#[test]
fn refuses_an_archive_whose_snapshots_are_all_gone_on_a_new_device() {
    let fixture = Fixture::new();
    let head = back_up(&fixture, &fixture.archive, "day 1");
    fs::remove_dir_all(fixture.archive.join("snapshots")).unwrap();
    assert!(matches!(open(&fixture.archive, &head), Err(Error::Rollback { newest: None, .. })));
}

#[test]
fn a_head_after_a_fork_holds_both_branches() {
    let fixture = Fixture::new();
    let objects = fork(&fixture);
    let head = Archive::seal_head(&fixture.open_elsewhere()).unwrap().unwrap();
    assert_eq!(head.len(), 512, "it does not tell that there are two");
    assert_eq!(open(&fixture.archive, &head).unwrap().snapshots().len(), 3);
    for object in &objects {
        let hidden = fs::read(object).unwrap();
        fs::remove_file(object).unwrap();
        assert!(
            matches!(open(&fixture.archive, &head), Err(Error::Rollback { remembered, .. }) if remembered.number == 2)
        );
        fs::write(object, hidden).unwrap();
    }
    // The next backup joins them, and its head stands for both.
    back_up(&fixture, &fixture.archive, "day 3");
    assert!(open(&fixture.archive, &head).is_ok());
}

#[test]
fn refuses_the_head_of_another_archive_of_the_same_key() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    back_up(&fixture, &fixture.archive, "day 1");
    let head = back_up(&other, &other.archive, "day 1");
    let error = open(&fixture.archive, &head).unwrap_err();
    assert!(matches!(error, Error::VaultHead { .. }));
    assert!(
        error.to_string().starts_with("what the vault keeps of the newest snapshots does not belong to this archive")
    );
}

#[test]
fn refuses_a_head_with_any_byte_flipped() {
    let fixture = Fixture::new();
    let head = back_up(&fixture, &fixture.archive, "day 1");
    for at in 0..head.len() {
        let mut flipped = head.clone();
        flipped[at] ^= 1;
        let refused = open(&fixture.archive, &flipped);
        assert!(matches!(refused, Err(Error::VaultHead { .. })), "byte {at}: {refused:?}");
    }
}

#[test]
fn refuses_a_head_that_is_cut_short() {
    let fixture = Fixture::new();
    let head = back_up(&fixture, &fixture.archive, "day 1");
    for len in [0, 79, 80, 511] {
        assert!(matches!(open(&fixture.archive, &head[..len]), Err(Error::VaultHead { .. })), "length {len}");
    }
}

#[test]
fn allow_rollback_opens_an_older_archive_and_the_next_backup_is_the_new_head() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let older = copy(&fixture, "older");
    let newer = back_up(&fixture, &fixture.archive, "day 2");
    let memory = Some(fixture.memory());
    let allowing = OpenOptions { allow_rollback: true, memory, ..options(&newer) };
    let mut archive = Archive::open(destination(&older), &key(), allowing).unwrap();
    archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    let head = archive.seal_head().unwrap().unwrap();
    assert!(open(&older, &head).is_ok());
    assert!(matches!(open(&fixture.archive, &head), Err(Error::Rollback { .. })));
}

/// The key alone opens an archive; a vault that answers nonsense cannot keep its owner out.
#[test]
fn allow_rollback_opens_with_a_head_that_is_none() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let allowing = OpenOptions { allow_rollback: true, ..options(b"nonsense") };
    assert!(Archive::open(destination(&fixture.archive), &key(), allowing).is_ok());
}

#[test]
fn a_snapshot_of_the_head_that_is_damaged_is_damage_and_not_a_rollback() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let head = back_up(&fixture, &fixture.archive, "day 2");
    let newest = snapshot_object(&fixture.archive, 2);
    fs::write(&newest, "garbage").unwrap();
    let archive = open(&fixture.archive, &head).unwrap();
    assert!(matches!(archive.snapshot("latest"), Err(Error::Damaged { .. })));
    assert_eq!(archive.snapshot("1").unwrap().head.number, 1);
}

/// Damage does not make a snapshot one that may be taken away: neither the next head nor the device forgets it.
#[test]
fn a_snapshot_that_is_damaged_stays_in_the_head() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let head = back_up(&fixture, &fixture.archive, "day 2");
    let damaged = snapshot_object(&fixture.archive, 2);
    fs::write(&damaged, "garbage").unwrap();
    let opened = OpenOptions { memory: Some(fixture.memory()), ..options(&head) };
    let mut archive = Archive::open(destination(&fixture.archive), &key(), opened).unwrap();
    archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
    assert_eq!(archive.snapshot("latest").unwrap().head.number, 3, "its number is not given twice");
    let head = archive.seal_head().unwrap().unwrap();
    assert!(open(&fixture.archive, &head).is_ok());
    fs::remove_file(&damaged).unwrap();
    assert!(matches!(open(&fixture.archive, &head), Err(Error::Rollback { remembered, .. }) if remembered.number == 2));
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { remembered, .. }) if remembered.number == 2));
}

#[test]
fn a_device_remembers_what_it_opened_with_a_head() {
    let fixture = Fixture::new();
    back_up(&fixture, &fixture.archive, "day 1");
    let older = copy(&fixture, "older");
    let head = back_up(&fixture, &fixture.archive, "day 2");
    let memory = || DeviceMemory::at(fixture.folder.path().join("new device")).unwrap();
    let opened = OpenOptions { memory: Some(memory()), ..options(&head) };
    assert!(Archive::open(destination(&fixture.archive), &key(), opened).is_ok());
    let offline = OpenOptions { memory: Some(memory()), ..OpenOptions::default() };
    assert!(matches!(Archive::open(destination(&older), &key(), offline), Err(Error::Rollback { .. })));
}
