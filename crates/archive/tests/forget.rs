//! What stays protected after snapshots were forgotten, and what an index made anew holds.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{
    Archive, DeviceMemory, Error, OpenOptions, Progress, PruneOptions, PruneReport, Receipt, SnapshotsReport,
};
use support::{Fixture, copy_folder, destination, key, merge_folder, noise, same_tree};

fn day(fixture: &Fixture, number: u64) {
    fs::write(fixture.source.join("diary"), format!("day {number}")).unwrap();
    fs::write(fixture.source.join("photo"), noise(5_000, number)).unwrap();
    fixture.backup();
}

fn days(count: u64) -> Fixture {
    let fixture = Fixture::new();
    (1..=count).for_each(|number| day(&fixture, number));
    fixture
}

fn forget(fixture: &Fixture, numbers: &[u64]) -> Result<u64, Error> {
    let mut archive = fixture.open_elsewhere();
    let named = archive.snapshots().iter().filter(|one| numbers.contains(&one.head.number));
    let names: Vec<_> = named.map(|one| one.name).collect();
    archive.forget(&names)
}

fn try_to_prune(fixture: &Fixture) -> Result<PruneReport, Error> {
    let options = PruneOptions { host: "test".to_owned(), max_unused: 0, grace: None, dry_run: false };
    fixture.open_elsewhere().prune(&options, &Progress::default())
}

fn prune(fixture: &Fixture) {
    try_to_prune(fixture).unwrap();
}

fn numbers(archive: &Archive) -> Vec<u64> {
    archive.snapshots().iter().map(|one| one.head.number).collect()
}

/// What a device remembers that has seen the snapshots up to this one.
fn memory_of(fixture: &Fixture, name: &str) -> PathBuf {
    let folder = fixture.folder.path().join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(fixture.folder.path().join("memory/head"), folder.join("head")).unwrap();
    folder
}

fn open(fixture: &Fixture, memory: &Path) -> Result<Archive, Error> {
    let memory = Some(DeviceMemory::at(memory.to_owned()).unwrap());
    Archive::open(destination(&fixture.archive), &key(), OpenOptions { memory, ..OpenOptions::default() })
}

#[test]
fn a_device_that_was_away_accepts_that_what_it_remembers_was_forgotten() {
    let fixture = days(2);
    let away = memory_of(&fixture, "away");
    (3..=5).for_each(|number| day(&fixture, number));
    assert_eq!(forget(&fixture, &[1, 2, 3]).unwrap(), 3);
    prune(&fixture);
    assert_eq!(numbers(&open(&fixture, &away).unwrap()), [4, 5]);
    assert_eq!(fixture.verify(true).problems, []);
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    // It has learned what is new.
    fs::remove_dir_all(fixture.archive.join("snapshots")).unwrap();
    assert!(matches!(open(&fixture, &away), Err(Error::Rollback { remembered, .. }) if remembered.number == 5));
}

#[test]
fn refuses_an_older_copy_of_the_archive_served_with_what_was_forgotten_since() {
    let fixture = days(2);
    let older = fixture.folder.path().join("older");
    copy_folder(&fixture.archive, &older);
    let memories = [memory_of(&fixture, "second")];
    day(&fixture, 3);
    let third = memory_of(&fixture, "third");
    day(&fixture, 4);
    forget(&fixture, &[2, 3]).unwrap();
    let fourth = memory_of(&fixture, "fourth");
    let newer = fixture.folder.path().join("newer");
    copy_folder(&fixture.archive, &newer);
    copy_folder(&older, &fixture.archive);
    merge_folder(&newer.join("forgotten"), &fixture.archive.join("forgotten"));
    for memory in [&third, &fourth] {
        assert!(matches!(open(&fixture, memory), Err(Error::Rollback { .. })), "{memory:?}");
    }
    // Who has seen no more sees no less: what was forgotten for a newer one is there, as that one is not.
    assert_eq!(numbers(&open(&fixture, &memories[0]).unwrap()), [1, 2]);
    // Taken away beside what says that it was forgotten, it is missed.
    let second = fixture.open_elsewhere().snapshot("2").unwrap().name.to_string();
    fs::remove_file(fixture.archive.join("snapshots").join(second)).unwrap();
    assert!(matches!(open(&fixture, &memories[0]), Err(Error::Rollback { remembered, .. }) if remembered.number == 2));
}

#[test]
fn refuses_an_archive_whose_newest_was_deleted_after_others_were_forgotten() {
    let fixture = days(5);
    forget(&fixture, &[1, 2, 4]).unwrap();
    let newest = fixture.open().snapshot("latest").unwrap().name.to_string();
    fs::remove_file(fixture.archive.join("snapshots").join(newest)).unwrap();
    assert!(matches!(fixture.try_open(), Err(Error::Rollback { remembered, .. }) if remembered.number == 5));
}

#[test]
fn a_snapshot_that_vanished_without_a_word_is_missed_beside_those_that_were_forgotten() {
    let fixture = days(5);
    let third = fixture.open().snapshot("3").unwrap().name.to_string();
    forget(&fixture, &[2, 4]).unwrap();
    assert_eq!(fixture.verify(false).problems, []);
    fs::remove_file(fixture.archive.join("snapshots").join(third)).unwrap();
    let problems = fixture.verify(false).problems;
    assert!(problems.len() == 1 && problems[0].what.contains("missing"), "{problems:?}");
}

#[test]
fn a_snapshot_served_again_after_it_was_forgotten_is_not_back() {
    let fixture = days(3);
    let before = fixture.folder.path().join("before");
    copy_folder(&fixture.archive, &before);
    forget(&fixture, &[1, 2]).unwrap();
    prune(&fixture);
    merge_folder(&before.join("snapshots"), &fixture.archive.join("snapshots"));
    assert_eq!(numbers(&fixture.open()), [3]);
    assert_eq!(fixture.verify(true).problems, []);
    forget(&fixture, &[]).unwrap();
    assert_eq!(fixture.objects("snapshots").len(), 1);
}

#[test]
fn refuses_to_forget_the_newest() {
    let fixture = days(2);
    assert!(matches!(forget(&fixture, &[2]), Err(Error::Newest { number: 2 })));
    assert!(matches!(forget(&fixture, &[1, 2]), Err(Error::Newest { number: 2 })));
    assert_eq!(numbers(&fixture.open()), [1, 2], "nothing was forgotten");
}

#[test]
fn a_receipt_of_a_forgotten_snapshot_is_good_as_long_as_a_newer_one_is_there() {
    let fixture = days(3);
    let receipt: Receipt = fixture.open().snapshot("2").unwrap().head.receipt();
    forget(&fixture, &[1, 2]).unwrap();
    let open = || {
        let options = OpenOptions { expected: Some(receipt), ..OpenOptions::default() };
        Archive::open(destination(&fixture.archive), &key(), options)
    };
    assert!(open().is_ok());
    fs::remove_dir_all(fixture.archive.join("snapshots")).unwrap();
    assert!(matches!(open(), Err(Error::Rollback { remembered, .. }) if remembered == receipt));
}

#[test]
fn a_head_of_the_vault_that_names_a_forgotten_snapshot_is_good_as_long_as_a_newer_one_is_there() {
    let fixture = days(2);
    let head = fixture.open().seal_head().unwrap();
    day(&fixture, 3);
    forget(&fixture, &[1, 2]).unwrap();
    let open = || {
        let options = OpenOptions { vault_head: head.clone(), ..OpenOptions::default() };
        Archive::open(destination(&fixture.archive), &key(), options)
    };
    let sealed_anew = open().unwrap().seal_head().unwrap();
    let options = OpenOptions { vault_head: sealed_anew, ..OpenOptions::default() };
    assert!(Archive::open(destination(&fixture.archive), &key(), options).is_ok());
    fs::remove_dir_all(fixture.archive.join("snapshots")).unwrap();
    assert!(matches!(open(), Err(Error::Rollback { .. })));
}

/// One fewer is missing among the numbers when the forgotten are counted as what they are.
#[test]
fn a_damaged_newest_snapshot_is_in_doubt_though_others_were_forgotten() {
    let fixture = days(5);
    forget(&fixture, &[2, 3]).unwrap();
    let newest = fixture.open().snapshot("latest").unwrap().name.to_string();
    fs::write(fixture.archive.join("snapshots").join(newest), "garbage").unwrap();
    assert!(matches!(fixture.open_elsewhere().snapshot("latest"), Err(Error::Damaged { .. })));
}

#[test]
fn what_says_what_was_forgotten_is_named_when_it_is_damaged_and_missed() {
    let fixture = days(2);
    let away = memory_of(&fixture, "away");
    day(&fixture, 3);
    forget(&fixture, &[1, 2]).unwrap();
    let object = fixture.objects("forgotten").pop().unwrap();
    fs::write(&object, "garbage").unwrap();
    assert!(matches!(open(&fixture, &away), Err(Error::Damaged { object, .. }) if object.starts_with("forgotten/")));
    assert!(fixture.try_open().is_ok(), "who remembers the newest does not miss it");
    assert!(fixture.verify(false).problems.iter().any(|problem| problem.path.starts_with("forgotten")));
    // And it stands in no one's way who may go on.
    day(&fixture, 4);
    forget(&fixture, &[3]).unwrap();
    assert_eq!(numbers(&fixture.open()), [4]);
}

#[test]
fn many_forgets_leave_one_object() {
    let fixture = days(6);
    for number in 1..=5 {
        forget(&fixture, &[number]).unwrap();
        assert_eq!(fixture.objects("forgotten").len(), 1);
    }
    assert_eq!(fixture.verify(true).problems, []);
}

#[test]
fn an_index_is_made_anew_from_the_packs() {
    let fixture = days(3);
    let index = fixture.objects("index");
    fs::write(&index[0], "garbage").unwrap();
    fs::remove_file(&index[1]).unwrap();
    let report = fixture.open().repair_index("test", &Progress::default()).unwrap();
    assert_eq!((report.packs, report.objects_removed, report.objects_damaged), (6, 2, 1));
    assert_eq!(fixture.objects("index").len(), 1);
    let verified = fixture.verify(true);
    assert_eq!((verified.problems, verified.notes), (vec![], vec![]));
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// Of a pack whose own table is damaged, the index is all that says where its content is.
#[test]
fn an_index_made_anew_keeps_what_only_the_old_one_knew() {
    let fixture = days(2);
    for pack in fixture.objects("packs") {
        let mut bytes = fs::read(&pack).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    let report = fixture.open().repair_index("test", &Progress::default()).unwrap();
    assert_eq!((report.packs, report.problems.len()), (4, 4));
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

#[test]
fn a_damaged_snapshot_object_stops_prunes_until_it_is_removed() {
    let fixture = days(3);
    let name = fixture.open().snapshot("2").unwrap().name.to_string();
    let second = fixture.objects("snapshots").into_iter().find(|path| path.ends_with(&name)).unwrap();
    let whole = fs::read(&second).unwrap();
    fs::write(&second, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(try_to_prune(&fixture), Err(Error::Damaged { .. })));
    let lost = fixture.open().repair_snapshots("test", true).unwrap();
    assert!(lost.damaged.len() == 1 && lost.missing[0].number == 2 && second.exists(), "{lost:?}");
    assert_eq!(fixture.open().repair_snapshots("test", false).unwrap(), lost);
    assert!(!second.exists());
    // The first had been followed by it, and can be forgotten.
    assert_eq!(forget(&fixture, &[1]).unwrap(), 1);
    prune(&fixture);
    assert_eq!(fixture.verify(true).problems, []);
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// It may have come damaged over the line once only.
#[test]
fn a_snapshot_object_that_opens_after_all_is_not_removed() {
    let fixture = days(2);
    let first = fixture.objects("snapshots").remove(0);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..90]).unwrap();
    let mut archive = fixture.open();
    fs::write(&first, whole).unwrap();
    assert_eq!(archive.repair_snapshots("test", false).unwrap(), SnapshotsReport::default());
    assert_eq!(fixture.open().snapshots().len(), 2);
}

/// Who remembers it has nothing newer to hold on to.
#[test]
fn the_newest_snapshot_is_not_given_up_without_a_word() {
    let fixture = days(2);
    let newest = fixture.open().snapshot("2").unwrap().name.to_string();
    let newest = fixture.objects("snapshots").into_iter().find(|path| path.ends_with(&newest)).unwrap();
    fs::write(newest, "garbage").unwrap();
    fixture.open().repair_snapshots("test", false).unwrap();
    assert!(matches!(open(&fixture, &fixture.folder.path().join("memory")), Err(Error::Rollback { .. })));
    assert_eq!(numbers(&fixture.open_elsewhere()), [1]);
}

#[test]
fn a_note_of_forgotten_snapshots_that_does_not_open_is_given_up_with_what_it_said() {
    let fixture = days(4);
    forget(&fixture, &[1, 2]).unwrap();
    fs::write(&fixture.objects("forgotten")[0], "garbage").unwrap();
    let lost = fixture.open().repair_snapshots("test", false).unwrap();
    assert!(lost.damaged.len() == 1 && lost.missing[0].number == 2, "{lost:?}");
    assert_eq!(fixture.verify(true).problems, []);
    assert_eq!(forget(&fixture, &[3]).unwrap(), 1);
}
