//! An older copy of the archive in its place.

use std::fs;

use crate::device::{Device, copy_folder};

/// A device with two snapshots whose archive was put back to the first.
fn rolled_back() -> Device {
    let device = Device::with_backup();
    let (archive, copy) = (device.path("archive"), device.path("copy"));
    copy_folder(&archive, &copy);
    device.back_up();
    fs::rename(&archive, device.path("newer")).unwrap();
    fs::rename(&copy, &archive).unwrap();
    device
}

#[test]
fn refuses_an_archive_older_than_it_remembers() {
    let device = rolled_back();
    let run = device.coffer(["restore", "--to", "back"]).fails(12);
    run.warns("rolled back: it lacks snapshot 2-").warns("--allow-rollback");
    assert!(!device.path("back").exists());
    device.coffer(["backup", "chats"]).fails(12);
}

#[test]
fn accepts_it_when_told_to() {
    let device = rolled_back();
    device.coffer(["restore", "--to", "back", "--allow-rollback"]).succeeds();
    assert!(device.path("back/chats/photo.jpg").exists());
}

#[test]
fn a_new_device_refuses_it_with_the_receipt() {
    let device = rolled_back();
    let digits = device.digits();
    let status = device.coffer(["status", "--json"]).fails(12).json();
    let receipt = status["device"]["remembered_receipt"].as_str().unwrap();
    let restore = |receipt: &str| {
        let archive = device.archive();
        let arguments = ["--home", "other", "--archive", archive, "--recovery-key-file", "-", "--receipt", receipt];
        device.coffer_with_input(arguments.into_iter().chain(["restore", "--to", "back"]), &digits)
    };
    restore(receipt).fails(12);
    fs::rename(device.archive(), device.path("older")).unwrap();
    fs::rename(device.path("newer"), device.archive()).unwrap();
    restore(receipt).succeeds();
}

#[test]
fn status_says_what_the_device_remembers() {
    let device = rolled_back();
    let run = device.coffer(["status"]).fails(12);
    assert!(run.stdout.contains("last seen:    2-"), "{}", run.stdout);
}

#[test]
fn says_what_was_accepted() {
    let device = rolled_back();
    let run = device.coffer(["snapshots", "--allow-rollback"]).succeeds();
    run.warns("warning: accepted an archive that lacks snapshot 2-").warns("its newest is 1-");
    // Where nothing is lacking, nothing is accepted.
    device.coffer(["backup", "chats", "--allow-rollback"]).succeeds().warns("accepted");
    assert_eq!(device.coffer(["snapshots", "--allow-rollback"]).succeeds().stderr, "");
}

#[test]
fn a_receipt_of_another_history_is_told_from_an_older_copy() {
    let device = Device::with_backup();
    let run = device.coffer(["snapshots", "--receipt", "1-0000-0000-0000"]).fails(12);
    assert!(!run.stderr.contains("older copy"), "{}", run.stderr);
    run.warns("mistyped, or of another history");
    device.coffer(["snapshots", "--receipt", "2-0000-0000-0000"]).fails(12).warns("an older copy");
}
