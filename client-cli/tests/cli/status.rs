//! `coffer status`.

use crate::device::Device;

fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let found = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    found.trim()
}

#[test]
fn shows_the_archive_the_key_and_the_newest_snapshot() {
    let device = Device::with_backup();
    let status = device.coffer(["status"]).succeeds().stdout;
    assert_eq!(line(&status, "archive:"), format!("fs://{}", device.archive()));
    assert_eq!(line(&status, "archive id:").len(), 32);
    assert_eq!(line(&status, "key:"), format!("the file {}", device.key_file().display()));
    assert!(line(&status, "protected by:").starts_with("nothing yet"));
    assert_eq!(line(&status, "snapshots:"), "1");
    assert!(line(&status, "newest:").starts_with("1, 20"));
    assert_eq!(line(&status, "receipt:"), line(&status, "last seen:"));
    assert!(status.contains("Write the receipt down"), "{status}");
}

#[test]
fn shows_how_the_key_is_protected() {
    let device = Device::with_backup();
    device.coffer(["protect", "recovery-key"]).succeeds();
    let status = device.coffer(["status"]).succeeds().stdout;
    assert_eq!(line(&status, "protected by:"), "recovery key, written down");
}

#[test]
fn shows_what_it_can_when_the_archive_is_gone() {
    let device = Device::with_backup();
    std::fs::remove_dir_all(device.archive()).unwrap();
    let run = device.coffer(["status"]).fails(13).warns("there is no archive at");
    assert_eq!(line(&run.stdout, "archive:"), format!("fs://{}", device.archive()));
}

#[test]
fn shows_an_archive_of_which_this_device_has_no_key() {
    let device = Device::with_backup();
    let status = ["--home", "other", "--archive", device.archive(), "--recovery-key-file", "-", "status"];
    let run = device.coffer_with_input(status, &device.digits()).succeeds();
    assert_eq!(line(&run.stdout, "key:"), "not on this device");
    assert_eq!(line(&run.stdout, "snapshots:"), "1");
}
