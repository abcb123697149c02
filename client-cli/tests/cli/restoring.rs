//! `coffer restore`.

use std::fs;

use crate::device::Device;

#[test]
fn restores_on_a_new_device_from_the_64_digits_alone() {
    let device = Device::with_backup();
    let digits = device.digits();
    fs::remove_dir_all(device.home()).unwrap();
    let restore = ["--archive", device.archive(), "--recovery-key-file", "-", "restore", "--to", "back"];
    let run = device.coffer_with_input(restore, &digits).succeeds();
    assert!(run.stdout.contains("restored 2 files"), "{}", run.stdout);
    for file in ["chats/anna/messages.txt", "chats/photo.jpg"] {
        assert_eq!(device.read(&format!("back/{file}")), device.read(file));
    }
}

#[test]
fn restores_one_path_of_an_older_snapshot() {
    let device = Device::with_backup();
    device.write("chats/anna/messages.txt", b"I am late\n");
    device.back_up();
    device.coffer(["restore", "1", "--to", "back", "--path", "chats/anna"]).succeeds();
    assert_eq!(device.read("back/chats/anna/messages.txt"), b"see you at noon\n");
    assert!(!device.path("back/chats/photo.jpg").exists());
}

#[test]
fn restores_a_path_by_the_name_it_had() {
    let device = Device::with_backup();
    let original = device.path("chats/photo.jpg");
    device.coffer(["restore", "--to", "back", "--path", original.to_str().unwrap()]).succeeds();
    assert!(device.path("back/chats/photo.jpg").exists() && !device.path("back/chats/anna").exists());
}

#[test]
fn refuses_to_overwrite_what_differs() {
    let device = Device::with_backup();
    device.write("back/chats/anna/messages.txt", b"mine\n");
    let run = device.coffer(["restore", "--to", "back"]).fails(3);
    run.warns("exists already with other content").warns("--force");
    assert_eq!(device.read("back/chats/anna/messages.txt"), b"mine\n");
    assert_eq!(device.read("back/chats/photo.jpg"), device.read("chats/photo.jpg"));
}

#[test]
fn overwrites_when_told_to() {
    let device = Device::with_backup();
    device.write("back/chats/anna/messages.txt", b"mine\n");
    device.coffer(["restore", "--to", "back", "--force"]).succeeds();
    assert_eq!(device.read("back/chats/anna/messages.txt"), b"see you at noon\n");
}

#[test]
fn a_second_restore_writes_nothing_again() {
    let device = Device::with_backup();
    device.coffer(["restore", "--to", "back"]).succeeds();
    let run = device.coffer(["restore", "--to", "back"]).succeeds();
    assert!(run.stdout.contains("restored 0 files") && run.stdout.contains("2 were there already"), "{}", run.stdout);
}

#[test]
fn says_that_the_snapshot_holds_no_such_path() {
    let device = Device::with_backup();
    device.coffer(["restore", "--to", "back", "--path", "chats/bert"]).fails(19).warns("chats/bert");
}

#[test]
fn refuses_a_target_that_is_a_file() {
    let device = Device::with_backup();
    device.write("back", b"");
    device.coffer(["restore", "--to", "back"]).fails(1).warns("back");
}

#[test]
fn the_root_restores_everything() {
    let device = Device::with_backup();
    let run = device.coffer(["restore", "--to", "back", "--path", "/"]).succeeds();
    assert!(run.stdout.contains("restored 2 files"), "{}", run.stdout);
}

#[test]
fn names_what_is_no_folder() {
    let device = Device::with_backup();
    device.write("back", b"");
    for target in ["back", "back/below"] {
        device.coffer(["restore", "--to", target]).fails(1).warns("/back is not a folder");
    }
}

#[test]
fn refuses_to_restore_into_the_archive() {
    let device = Device::with_backup();
    std::os::unix::fs::symlink(device.archive(), device.path("link")).unwrap();
    for target in ["archive", "archive/back/deep", "link/back", "chats/../archive", "new/../archive"] {
        device.coffer(["restore", "--to", target]).fails(2).warns("in the archive itself");
    }
    assert!(!device.path("archive/back").exists() && !device.path("new").exists());
    device.coffer(["restore", "--to", "archive-restored"]).succeeds();
}

#[test]
fn says_that_there_are_snapshots_of_other_sources() {
    let device = Device::with_backup();
    device.write("notes/a.txt", b"a");
    assert_eq!(device.coffer(["restore", "--to", "first"]).succeeds().stderr, "");
    device.coffer(["backup", "notes"]).succeeds();
    let run = device.coffer(["restore", "--to", "back"]).succeeds();
    run.warns("note: snapshots of other sources exist: 1 (/").warns("/chats); this restores only /").warns("/notes\n");
    assert_eq!(device.coffer(["-q", "restore", "--to", "quiet"]).succeeds().stderr, "");
}

#[test]
fn says_where_to_look_for_a_snapshot_that_is_not_there() {
    let device = Device::with_backup();
    device
        .coffer(["restore", "99", "--to", "back"])
        .fails(19)
        .warns("there is no snapshot 99")
        .warns("coffer snapshots");
}
