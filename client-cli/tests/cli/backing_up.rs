//! `coffer backup`.

use std::fs;

use crate::device::Device;

#[test]
fn backs_up_and_says_what_it_did() {
    let device = Device::with_archive();
    // A file that was written within the last tick of the file system's clock is read again the next time.
    std::thread::sleep(std::time::Duration::from_millis(60));
    let run = device.back_up();
    assert!(run.stdout.contains("snapshot 1: 2 files"), "{}", run.stdout);
    let run = device.back_up();
    assert!(run.stdout.contains("0 new, 0 changed, 2 unchanged"), "{}", run.stdout);
    let run = device.coffer(["backup", "--force", "chats"]).succeeds();
    assert!(run.stdout.contains("0 new, 2 changed, 0 unchanged"), "{}", run.stdout);
}

#[test]
fn warns_until_the_key_is_protected() {
    let device = Device::with_archive();
    device.back_up().warns("the key is on this device only").warns("coffer protect recovery-key");
    device.coffer(["protect", "recovery-key"]).succeeds();
    assert_eq!(device.back_up().stderr, "");
}

#[test]
fn quiet_says_nothing_but_warnings() {
    let device = Device::with_archive();
    let run = device.coffer(["--quiet", "backup", "chats"]).succeeds().warns("warning:");
    assert_eq!(run.stdout, "");
    device.coffer(["protect", "recovery-key"]).succeeds();
    let run = device.coffer(["backup", "-q", "chats"]).succeeds();
    assert_eq!((run.stdout, run.stderr), (String::new(), String::new()));
}

#[test]
fn refuses_to_back_up_what_is_not_there() {
    let device = Device::with_archive();
    let run = device.coffer(["backup", "nowhere"]);
    assert_ne!(run.code, 0);
    run.warns("nowhere");
    device.coffer(["ls"]).fails(19).warns("holds no snapshot yet").warns("coffer backup PATH");
}

#[test]
fn refuses_to_back_up_before_there_is_an_archive() {
    let device = Device::new();
    device.coffer(["backup", "chats"]).fails(13).warns("coffer init URL");
}

#[test]
fn says_that_the_archive_is_gone() {
    let device = Device::with_archive();
    fs::remove_dir_all(device.archive()).unwrap();
    device.coffer(["backup", "chats"]).fails(13).warns("the address right?");
}

#[test]
fn refuses_an_archive_of_a_later_format() {
    let device = Device::with_archive();
    let header = String::from_utf8(device.read("archive/coffer.json")).unwrap();
    let mut header: serde_json::Value = serde_json::from_str(&header).unwrap();
    header["coffer"] = 3.into();
    device.write("archive/coffer.json", header.to_string().as_bytes());
    device.coffer(["backup", "chats"]).fails(18).warns("newer version");
}

#[test]
fn a_name_gives_the_terminal_no_commands() {
    let device = Device::with_archive();
    device.write("chats/\u{1b}[2Jphoto.jpg", b"x");
    device.back_up();
    let run = device.coffer(["ls", "-r"]).succeeds();
    assert!(run.stdout.contains("\\u{1b}[2Jphoto.jpg") && !run.stdout.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn a_gone_archive_is_not_to_be_made_anew() {
    let device = Device::with_archive();
    fs::rename(device.archive(), device.path("unmounted")).unwrap();
    let run = device.coffer(["backup", "chats"]).fails(13).warns("is the disk mounted");
    assert!(!run.stderr.contains("coffer init"), "{}", run.stderr);
}

#[test]
fn warns_of_a_snapshot_without_files() {
    let device = Device::with_archive();
    fs::create_dir(device.path("empty")).unwrap();
    device.coffer(["backup", "empty"]).succeeds().warns("the snapshot holds no file");
}

/// As the mount point of a disk, or a phone, that is not there tonight, nor tomorrow.
#[test]
fn a_source_that_is_empty_and_was_not_is_a_problem_each_time() {
    let device = Device::with_archive();
    device.write("phone/message", b"see you");
    fs::create_dir(device.path("new")).unwrap();
    let back_up = || device.coffer(["backup", "chats", "phone", "new"]);
    back_up().succeeds();
    fs::rename(device.path("phone"), device.path("elsewhere")).unwrap();
    fs::create_dir(device.path("phone")).unwrap();
    back_up().fails(3).warns("phone: it is empty, and was not in snapshot 1");
    let run = back_up().fails(3).warns("not mounted");
    assert!(!run.stderr.contains("/new: "), "{}", run.stderr);
    fs::remove_dir(device.path("phone")).unwrap();
    fs::rename(device.path("elsewhere"), device.path("phone")).unwrap();
    back_up().succeeds();
}

#[test]
fn a_backup_of_nothing_but_what_is_left_out_is_incomplete() {
    let device = Device::with_archive();
    let _socket = std::os::unix::net::UnixListener::bind(device.path("socket")).unwrap();
    device.coffer(["backup", "socket"]).fails(3).warns("is a socket").warns("everything was left out");
    device.coffer(["backup", "archive"]).fails(3).warns("everything was left out");
    device.coffer(["backup", "/dev/null"]).fails(3).warns("/dev/null: it is a device");
    let notes = device.coffer(["--json", "backup", "/dev/null"]).fails(3).json()["notes"].take();
    assert_eq!(notes[0]["path"], "/dev/null", "{notes}");
    device.coffer(["backup", "socket", "chats"]).succeeds().warns("is a socket");
}

#[test]
fn the_usage_names_no_option_that_the_surroundings_set() {
    let device = Device::new();
    for (command, usage) in [
        ("init", "init [OPTIONS] <URL>"),
        ("backup", "backup [OPTIONS] <PATH>..."),
        ("restore", "restore [OPTIONS] --to <DIR> [SNAPSHOT]"),
        ("man", "man [OPTIONS] <DIR>"),
        ("completions", "completions [OPTIONS] <SHELL>"),
    ] {
        device.coffer([command]).fails(2).warns(&format!("Usage: coffer {usage}\n"));
    }
}
