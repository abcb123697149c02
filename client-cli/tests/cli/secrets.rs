//! The digits appear where they were asked for, and nowhere else.

use crate::device::{Device, Run, files_below};

/// Whether eight digits in a row of the key are anywhere in these bytes, grouped or not.
fn shows(bytes: &[u8], digits: &str) -> bool {
    let text: String = String::from_utf8_lossy(bytes).to_lowercase().split_whitespace().collect();
    let digits: String = digits.split_whitespace().collect();
    (0..=digits.len() - 8).any(|start| text.contains(&digits[start..start + 8]))
}

#[track_caller]
fn is_silent(run: &Run, digits: &str) {
    assert!(!shows(run.stdout.as_bytes(), digits), "{}", run.stdout);
    assert!(!shows(run.stderr.as_bytes(), digits), "{}", run.stderr);
}

#[test]
fn no_other_command_shows_the_key() {
    let device = Device::new();
    let made = device.coffer(["init", device.archive()]).succeeds();
    let digits = device.digits();
    assert!(shows(digits.as_bytes(), &digits));
    is_silent(&made, &digits);
    for arguments in [
        &["backup", "chats"] as &[_],
        &["snapshots"],
        &["ls", "-rl"],
        &["restore", "--to", "back"],
        &["verify", "--read-data"],
        &["status"],
        &["status", "--json"],
        &["ls", "9"],
        &["init", "elsewhere"],
    ] {
        is_silent(&device.coffer(arguments), &digits);
    }
}

#[test]
fn no_error_shows_the_key_that_was_typed() {
    let device = Device::with_backup();
    let digits = device.digits();
    let tail = digits.trim_end().chars().rev().skip(1).collect::<Vec<_>>();
    let cut: String = tail.into_iter().rev().collect();
    for typed in [cut.clone(), format!("{cut}x"), format!("{digits}0"), cut + "0"] {
        for more in [None, Some("--json")] {
            let arguments = ["--home", "other", "--archive", device.archive(), "--recovery-key-file", "-", "snapshots"];
            is_silent(&device.coffer_with_input(arguments.into_iter().chain(more), &typed), &digits);
        }
    }
}

#[test]
fn a_broken_key_file_is_not_quoted() {
    let device = Device::with_backup();
    let digits = device.digits();
    std::fs::write(device.key_file(), &digits[..70]).unwrap();
    is_silent(&device.coffer(["snapshots"]).fails(10), &digits);
}

#[test]
fn the_key_is_in_no_file_but_its_own() {
    let device = Device::with_backup();
    let digits = device.digits();
    device.coffer(["protect", "recovery-key"]).succeeds();
    for file in files_below(&device.path("")) {
        let shown = shows(&std::fs::read(&file).unwrap(), &digits);
        assert_eq!(shown, file == device.key_file(), "{}", file.display());
    }
}
