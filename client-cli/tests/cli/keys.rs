//! Keys: shown, read, mistyped, wrong, missing, badly kept.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::device::{Device, Run};

/// Lists the snapshots of a device's archive from another, with a key from standard input.
fn open_with(device: &Device, digits: &str) -> Run {
    let arguments = ["--home", "other", "--archive", device.archive(), "--recovery-key-file", "-", "snapshots"];
    device.coffer_with_input(arguments, digits)
}

/// The digits with the one at `position` (counted from 0) changed.
fn mistyped(digits: &str, position: usize) -> String {
    let mut typed: Vec<char> = digits.chars().filter(char::is_ascii_hexdigit).collect();
    typed[position] = if typed[position] == '0' { '1' } else { '0' };
    typed.into_iter().collect()
}

#[test]
fn the_key_that_is_shown_opens_the_archive() {
    let device = Device::with_backup();
    let digits = device.digits();
    assert_eq!(digits.lines().map(|row| row.split(' ').count()).collect::<Vec<_>>(), [4, 4, 4, 4]);
    open_with(&device, &digits).succeeds();
    open_with(&device, &digits.to_uppercase().replace([' ', '\n'], "-")).succeeds();
}

#[test]
fn the_key_that_protect_shows_opens_the_archive() {
    let device = Device::with_backup();
    let shown = device.coffer(["protect", "recovery-key"]).succeeds().warns("keep them where this device is not");
    open_with(&device, &shown.stdout).succeeds();
}

#[test]
fn digits_of_a_rotated_key_that_nobody_saw_protect_nothing() {
    let device = Device::with_backup();
    device.coffer(["protect", "recovery-key"]).succeeds();
    let rotated = device.coffer(["key", "rotate", "--yes", "--json"]).succeeds().json();
    assert_eq!((&rotated["finished"], &rotated["key_protected"]), (&true.into(), &false.into()));
    assert!(device.coffer(["status"]).succeeds().stdout.contains("nothing yet: run `coffer protect recovery-key`"));
    device.coffer(["backup", "chats"]).succeeds().warns("the key is on this device only");
    let shown = device.coffer(["protect", "recovery-key"]).succeeds();
    open_with(&device, &shown.stdout).succeeds();
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    assert!(device.coffer(["status"]).succeeds().stdout.contains("recovery key, written down"));
}

#[test]
fn the_key_can_be_shown_as_a_qr_code() {
    let device = Device::with_archive();
    let run = device.coffer(["key", "show", "--qr"]).succeeds();
    assert!(run.stdout.contains('▀') && run.stdout.starts_with(&device.digits()), "{}", run.stdout);
}

#[test]
fn refuses_a_wrong_key() {
    let device = Device::with_backup();
    open_with(&device, &"5a".repeat(32)).fails(10).warns("does not open the archive").warns("compare all 16 groups");
}

#[test]
fn names_the_group_in_which_one_digit_is_mistyped() {
    let device = Device::with_backup();
    let digits = device.digits();
    for (position, group) in [(0, 1), (26, 7), (63, 16)] {
        let said = format!("hint: one digit of group {group} looks mistyped");
        open_with(&device, &mistyped(&digits, position)).fails(10).warns(&said);
    }
}

#[test]
fn says_which_character_is_no_digit() {
    let device = Device::with_backup();
    let digits = device.digits().replacen(|digit: char| digit.is_ascii_hexdigit(), "O", 1);
    open_with(&device, &digits).fails(10).warns("digit 1 (group 1) is 'O'").warns("did you mean 0?");
}

#[test]
fn says_how_many_digits_are_missing() {
    let device = Device::with_backup();
    open_with(&device, &"ab ".repeat(31)).fails(10).warns("2 missing");
    open_with(&device, "").fails(10).warns("64 missing");
}

#[test]
fn reads_the_recovery_key_from_a_file() {
    let device = Device::with_backup();
    device.write("paper.txt", device.digits().as_bytes());
    device.coffer(["--recovery-key-file", "paper.txt", "snapshots"]).succeeds();
    device.coffer(["--recovery-key-file", "nowhere.txt", "snapshots"]).fails(1).warns("nowhere.txt");
}

#[test]
fn a_device_without_the_key_and_without_a_terminal_is_told_of_the_file() {
    let device = Device::with_backup();
    let arguments = ["--home", "other", "--archive", device.archive(), "snapshots"];
    device.coffer(arguments).fails(10).warns("holds no key").warns("--recovery-key-file FILE");
}

#[test]
fn refuses_a_key_file_that_others_can_read() {
    let device = Device::with_backup();
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(device.key_file(), Permissions::from_mode(mode)).unwrap();
        let run = device.coffer(["snapshots"]).fails(1);
        run.warns("others on this machine may read the key").warns("hint: chmod 600 ");
    }
    fs::set_permissions(device.key_file(), Permissions::from_mode(0o600)).unwrap();
    device.coffer(["snapshots"]).succeeds();
}

#[test]
fn says_where_a_key_is_missing() {
    let device = Device::with_backup();
    let digits = device.digits();
    fs::remove_file(device.key_file()).unwrap();
    device.coffer(["snapshots"]).fails(10).warns("missing from the file").warns("--recovery-key-file");
    device.coffer_with_input(["--recovery-key-file", "-", "snapshots"], &digits).succeeds();
}

#[test]
fn says_that_a_key_file_holds_no_key() {
    let device = Device::with_backup();
    fs::write(device.key_file(), "0123\n").unwrap();
    device.coffer(["snapshots"]).fails(10).warns("does not hold a key").warns("60 missing");
}

#[test]
fn refuses_the_key_of_another_archive() {
    let device = Device::with_backup();
    let other = Device::with_backup();
    fs::copy(other.key_file(), device.key_file()).unwrap();
    device.coffer(["snapshots"]).fails(10).warns("this key does not open the archive");
}

#[test]
fn a_key_is_verified_with_what_protects_it_and_the_error_says_with_what() {
    let device = Device::with_backup();
    device.coffer(["protect", "recovery-key"]).succeeds();
    let run = device.coffer(["key", "verify"]).fails(2);
    assert!(run.stderr.starts_with("error: the 64 digits are needed"), "{}", run.stderr);
    let run = device.coffer(["key", "verify", "--password-file", "password"]).fails(23);
    assert!(run.stderr.starts_with("error: this device's key is not protected by a password"), "{}", run.stderr);
}
