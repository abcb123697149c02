//! The recovery key typed at a terminal: a pseudo-terminal stands in for the person.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::device::Device;

/// Runs the program with `typed` on its terminal; its exit code, and what the terminal showed.
fn type_in(device: &Device, arguments: &[&str], typed: &str) -> (i32, String) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap();
    let name = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes())).to_owned();
    let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();

    let mut controller = File::from(controller);
    // The terminal keeps the lines until they are asked for.
    controller.write_all(typed.as_bytes()).unwrap();
    let mut command = device.command(arguments);
    command.stdin(terminal.try_clone().unwrap()).stdout(Stdio::null()).stderr(terminal);
    let mut child = command.spawn().unwrap();
    drop(command);

    let mut shown = Vec::new();
    let mut piece = [0; 4096];
    // A terminal that nobody holds any more answers with an error.
    while let Ok(len @ 1..) = controller.read(&mut piece) {
        shown.extend_from_slice(&piece[..len]);
    }
    (child.wait().unwrap().code().unwrap(), String::from_utf8_lossy(&shown).into_owned())
}

fn with_another_device(device: &Device) -> Vec<&str> {
    vec!["--home", "other", "--archive", device.archive(), "snapshots"]
}

#[test]
fn asks_for_the_key_and_takes_it_in_four_rows() {
    let device = Device::with_backup();
    let (code, shown) = type_in(&device, &with_another_device(&device), &device.digits());
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("Recovery key"), "{shown}");
}

#[test]
fn asks_again_after_a_typing_error() {
    let device = Device::with_backup();
    let digits = device.digits().replace('\n', " ");
    let typed = format!("0123 x\n{digits}\n");
    let (code, shown) = type_in(&device, &with_another_device(&device), &typed);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("digit 5 (group 2) is 'x'"), "{shown}");
}

#[test]
fn asks_again_after_a_wrong_key() {
    let device = Device::with_backup();
    let digits = device.digits().replace('\n', " ");
    let typed = format!("{}\n{digits}\n", "5a".repeat(32));
    let (code, shown) = type_in(&device, &with_another_device(&device), &typed);
    assert_eq!(code, 0, "{shown}");
}

#[test]
fn gives_up_after_three_wrong_keys() {
    let device = Device::with_backup();
    let typed = format!("{}\n", "5a".repeat(32)).repeat(4);
    let (code, shown) = type_in(&device, &with_another_device(&device), &typed);
    assert_eq!((code, shown.matches("does not open the archive").count()), (10, 3), "{shown}");
}

#[test]
fn an_empty_line_says_what_is_missing() {
    let device = Device::with_backup();
    let (code, shown) = type_in(&device, &with_another_device(&device), "0123 4567\n\n\n\n");
    assert_eq!(code, 10, "{shown}");
    assert!(shown.contains("56 missing"), "{shown}");
}

#[test]
fn joins_an_archive_with_digits_that_are_typed() {
    let device = Device::with_backup();
    let join = ["--home", "other", "init", "--join", device.archive()];
    let (code, shown) = type_in(&device, &join, &device.digits());
    assert_eq!(code, 0, "{shown}");
    device.coffer(["--home", "other", "snapshots"]).succeeds();
}

#[test]
fn the_end_of_the_input_ends_the_question() {
    let device = Device::with_backup();
    for typed in ["\x04", "0123 4567\n\x04"] {
        let (code, shown) = type_in(&device, &with_another_device(&device), typed);
        assert_eq!((code, shown.matches("Recovery key (").count()), (10, 1), "{shown}");
        assert!(shown.contains("holds no key"), "{shown}");
    }
}
