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
    device.coffer(["backup", "chats"]).fails(13).warns("check the address");
}

#[test]
fn refuses_an_archive_of_a_later_format() {
    let device = Device::with_archive();
    let header = String::from_utf8(device.read("archive/coffer.json")).unwrap();
    let mut header: serde_json::Value = serde_json::from_str(&header).unwrap();
    header["coffer"] = 2.into();
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
