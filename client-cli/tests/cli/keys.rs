//! Keys: shown, read, mistyped, wrong, missing, badly kept.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

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

/// A device with a rotation that stopped when both keys opened the archive.
fn in_the_middle_of_a_rotation() -> Device {
    let device = Device::with_backup();
    device.coffer(["protect", "recovery-key"]).succeeds();
    let waiting = device.coffer(["key", "rotate", "--yes", "--grace", "1h"]).succeeds();
    assert!(waiting.stdout.contains("both keys open the archive"), "{}", waiting.stdout);
    device
}

/// A device with a rotation that stopped when the archive had its new key, and the old packs had not gone.
fn with_old_packs() -> Device {
    let device = in_the_middle_of_a_rotation();
    let header = File::open(device.path("archive/coffer.json")).unwrap();
    header.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    let rotated = device.coffer(["key", "rotate", "--yes", "--grace", "1h", "--json"]).succeeds().json();
    assert_eq!((&rotated["rotated"], &rotated["finished"]), (&true.into(), &false.into()));
    device
}

#[test]
fn status_says_that_a_rotation_is_unfinished_and_what_finishes_it() {
    let device = in_the_middle_of_a_rotation();
    let status = device.coffer(["status"]).succeeds().warns("is being rotated: until `coffer key rotate` has ended");
    assert!(status.stdout.contains("rotation:     unfinished: no backup is made until"), "{}", status.stdout);
    let status = device.coffer(["status", "--json"]).succeeds().json();
    assert_eq!(
        (&status["device"]["rotation_unfinished"], &status["archive"]["rotating"]),
        (&true.into(), &true.into())
    );
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    let status = device.coffer(["status", "--json"]).succeeds().json();
    let archive = &status["archive"];
    let told = [&status["device"]["rotation_unfinished"], &archive["rotating"], &archive["older_keys"]];
    assert_eq!(told, [&false; 3]);
}

#[test]
fn status_says_it_also_where_the_device_has_not_taken_the_new_key_yet() {
    let device = in_the_middle_of_a_rotation();
    let old = device.read("home/key");
    let next = device.read("home/next-key");
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    // Killed between the second header and what the device keeps.
    for (file, content) in [("home/key", old), ("home/next-key", next)] {
        device.write(file, &content);
        fs::set_permissions(device.path(file), Permissions::from_mode(0o600)).unwrap();
    }
    device.coffer(["backup", "chats"]).fails(28).warns("run `coffer key rotate` again");
    device.coffer(["status"]).fails(28).warns("a rotation of the key is unfinished: `coffer key rotate` finishes it");
    device.coffer(["protect", "recovery-key"]).fails(28);
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    device.coffer(["status"]).succeeds();
}

#[test]
fn the_old_key_is_not_protected_while_a_rotation_is_unfinished() {
    let device = in_the_middle_of_a_rotation();
    for way in ["recovery-key", "password"] {
        let refused = device.coffer(["protect", way]).fails(28).warns("run `coffer key rotate` again");
        assert_eq!(refused.stdout, "", "no digits");
    }
    device.coffer(["key", "show"]).succeeds().warns("these are the digits of the old key");
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    let shown = device.coffer(["protect", "recovery-key"]).succeeds();
    open_with(&device, &shown.stdout).succeeds();
    assert!(!device.coffer(["key", "show"]).succeeds().stderr.contains("old key"));
}

#[test]
fn the_key_of_an_archive_that_is_away_is_still_shown_and_protected() {
    let device = Device::with_backup();
    fs::rename(device.archive(), device.path("away")).unwrap();
    device.coffer(["key", "show"]).succeeds();
    device.coffer(["protect", "recovery-key"]).succeeds();
}

#[test]
fn status_says_that_what_the_old_key_sealed_is_still_there() {
    let device = with_old_packs();
    let status = device.coffer(["status"]).succeeds();
    assert!(status.stdout.contains("rotation:     what the old key sealed is still there"), "{}", status.stdout);
    assert_eq!(device.coffer(["status", "--json"]).succeeds().json()["archive"]["older_keys"], true);
    // The key is the device's.
    device.coffer(["protect", "recovery-key"]).succeeds();
}

#[test]
fn key_rotate_finishes_a_rotation_and_begins_no_other() {
    let device = with_old_packs();
    let digits = device.digits();
    let done = device.coffer(["key", "rotate", "--yes", "--grace", "0h"]).succeeds();
    assert!(done.stdout.contains("the old key opens nothing there any more"), "{}", done.stdout);
    assert!(done.stdout.contains("for another key, run `coffer key rotate` once more"), "{}", done.stdout);
    assert_eq!(device.digits(), digits);
    assert!(!device.path("home/next-key").exists());
}

#[test]
fn key_rotate_begins_no_other_rotation_where_prune_has_finished_one() {
    let device = with_old_packs();
    let digits = device.digits();
    device.coffer(["prune", "--grace", "0h"]).succeeds();
    assert_eq!(device.coffer(["status", "--json"]).succeeds().json()["archive"]["older_keys"], false);
    let done = device.coffer(["key", "rotate", "--yes", "--json"]).succeeds().json();
    assert_eq!((&done["finished"], &done["earlier"]), (&true.into(), &true.into()));
    assert_eq!(device.digits(), digits);
    // The next command is the next rotation.
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    assert_ne!(device.digits(), digits);
}

#[test]
fn a_no_at_the_question_changes_nothing() {
    let device = Device::with_backup();
    let (header, digits) = (device.read("archive/coffer.json"), device.digits());
    device.coffer(["key", "rotate"]).fails(27);
    assert_eq!((device.read("archive/coffer.json"), device.digits()), (header, digits));
    assert!(!device.path("home/next-key").exists());
    device.coffer(["backup", "chats"]).succeeds();
}

#[test]
fn a_no_in_the_middle_says_that_backups_wait() {
    let device = in_the_middle_of_a_rotation();
    device.coffer(["key", "rotate"]).fails(27).warns("no backup is made until `coffer key rotate` is run again");
    device.coffer(["backup", "chats"]).fails(28);
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    device.coffer(["backup", "chats"]).succeeds();
}

#[test]
fn old_digits_open_a_copy_until_it_is_brought_up_to_date() {
    let device = Device::with_backup();
    let (old, copy) = (device.digits(), device.path("copy").to_str().unwrap().to_owned());
    let open = |digits: &str| {
        let arguments = ["--home", "other", "--archive", &copy, "--recovery-key-file", "-", "snapshots"];
        device.coffer_with_input(arguments, digits)
    };
    device.coffer(["copy", "--to", &copy]).succeeds();
    let rotated = device.coffer(["key", "rotate", "--yes"]).succeeds().warns("Keep them all the same");
    assert!(
        rotated.stdout.contains("keep the old digits until every copy is brought up to date"),
        "{}",
        rotated.stdout
    );
    open(&old).succeeds();
    open(&device.digits()).fails(10);
    device.coffer(["copy", "--to", &copy]).succeeds();
    open(&old).fails(10);
    open(&device.digits()).succeeds();
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
