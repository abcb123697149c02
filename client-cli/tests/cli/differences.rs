//! `coffer diff`.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::device::Device;

#[test]
fn shows_what_changed_between_two_snapshots() {
    let device = Device::new();
    for file in ["chats/gone/a", "chats/gone/b", "chats/same/deep", "chats/kind"] {
        device.write(file, b"x");
    }
    device.coffer(["init", device.archive()]).succeeds();
    device.back_up();
    fs::remove_dir_all(device.path("chats/gone")).unwrap();
    fs::remove_file(device.path("chats/kind")).unwrap();
    symlink("photo.jpg", device.path("chats/kind")).unwrap();
    device.write("chats/new/x", b"12345");
    device.write("chats/photo.jpg", b"smaller");
    fs::set_permissions(device.path("chats/anna/messages.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    device.back_up();
    let run = device.coffer(["diff", "1", "2"]).succeeds();
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "m chats/",
            "m chats/anna/messages.txt",
            "- chats/gone/",
            "- chats/gone/a",
            "- chats/gone/b",
            "M chats/kind",
            "+ chats/new/",
            "+ chats/new/x",
            "M chats/photo.jpg",
            "from snapshot 1 to 2: 2 added, 3 removed, 2 changed, 2 changes of metadata; 12 B more, 3.00 kB less",
        ]
    );
    let json = device.coffer(["--json", "diff", "1"]).succeeds().json();
    assert_eq!((&json["before"], &json["after"], &json["totals"]["added"]), (&1.into(), &2.into(), &2.into()));
    let photo = json["changes"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&photo["path"], &photo["change"], &photo["size_before"], &photo["size"]),
        (&"chats/photo.jpg".into(), &"changed".into(), &3000.into(), &7.into())
    );
    // The other way round, what was added is removed.
    let json = device.coffer(["--json", "diff", "2", "1"]).succeeds().json();
    assert_eq!((&json["totals"]["added"], &json["totals"]["removed"]), (&3.into(), &2.into()));
}

#[test]
fn equal_snapshots_do_not_differ() {
    let device = Device::with_backup();
    device.back_up();
    let run = device.coffer(["diff", "1", "--quiet"]).succeeds();
    assert_eq!(run.stdout, "");
    let json = device.coffer(["--json", "diff", "1", "2"]).succeeds().json();
    assert_eq!(json["changes"], serde_json::json!([]));
}

#[test]
fn snapshots_of_different_folders_are_not_compared() {
    let device = Device::with_backup();
    device.coffer(["backup", "chats/anna"]).succeeds();
    device.coffer(["diff", "1", "2"]).fails(2).warns("different folders").warns("coffer snapshots");
    device.coffer(["diff", "1", "7"]).fails(19);
}

#[test]
fn a_part_that_is_damaged_is_named() {
    let device = Device::with_backup();
    device.write("chats/new", b"x");
    device.back_up();
    for pack in crate::device::files_below(&device.path("archive/packs")) {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[100] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    device.coffer(["diff", "1", "2"]).fails(11).warns("damaged");
}
