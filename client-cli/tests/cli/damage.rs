//! A damaged archive: named, and with an exit code of its own.

use std::fs;
use std::path::{Path, PathBuf};

use crate::device::{Device, files_below};

fn packs(device: &Device) -> Vec<PathBuf> {
    files_below(&Path::new(device.archive()).join("packs"))
}

/// Flips a bit in the middle.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_archive_that_is_whole_verifies() {
    let device = Device::with_backup();
    let run = device.coffer(["verify"]).succeeds();
    assert!(run.stdout.contains("nothing is missing"), "{}", run.stdout);
    let run = device.coffer(["verify", "--read-data"]).succeeds();
    assert!(run.stdout.contains("all is whole"), "{}", run.stdout);
}

#[test]
fn verify_names_a_missing_pack() {
    let device = Device::with_backup();
    for pack in packs(&device) {
        fs::remove_file(pack).unwrap();
    }
    device.coffer(["verify"]).fails(11).warns("warning: ");
}

#[test]
fn verify_names_a_damaged_pack_when_it_reads_the_data() {
    let device = Device::with_backup();
    packs(&device).iter().for_each(|pack| damage(pack));
    device.coffer(["verify", "--read-data"]).fails(11).warns("warning: ");
}

#[test]
fn a_restore_of_lost_files_says_so() {
    let device = Device::with_backup();
    packs(&device).iter().for_each(|pack| damage(pack));
    device.coffer(["restore", "--to", "back"]).fails(11);
}

#[test]
fn a_damaged_header_is_named() {
    let device = Device::with_backup();
    let header = Path::new(device.archive()).join("coffer.json");
    fs::write(&header, &fs::read(&header).unwrap()[..40]).unwrap();
    device.coffer(["snapshots"]).fails(11).warns("coffer.json").warns("hint: ");
}

#[test]
fn a_damaged_snapshot_is_named_and_the_others_are_listed() {
    let device = Device::with_backup();
    let first = files_below(&Path::new(device.archive()).join("snapshots"));
    device.back_up();
    damage(&first[0]);
    let run = device.coffer(["snapshots"]).fails(11).warns("warning: ");
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    let status = device.coffer(["status"]).fails(11).stdout;
    assert!(status.contains("damaged:      1 snapshot\n"), "{status}");
}
