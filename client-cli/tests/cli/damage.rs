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
    let run = device.coffer(["snapshots"]).fails(11).warns("warning: 1 snapshot is damaged: snapshots/");
    assert_eq!(run.stderr.matches(": snapshots/").count(), 1, "{}", run.stderr);
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    let status = device.coffer(["status"]).fails(11).stdout;
    assert!(status.contains("damaged:      1 snapshot\n"), "{status}");
}

#[test]
fn every_command_warns_once_of_a_damaged_snapshot() {
    let device = Device::with_backup();
    let first = files_below(&Path::new(device.archive()).join("snapshots"));
    device.back_up();
    damage(&first[0]);
    for command in [&["ls", "2"][..], &["restore", "2", "--to", "back"], &["backup", "chats"], &["status"], &["verify"]]
    {
        let run = device.coffer(command).warns("name an older one (`coffer restore ");
        assert_eq!(run.stderr.matches("1 snapshot is damaged").count(), 1, "{}", run.stderr);
    }
}

#[test]
fn a_latest_that_is_damaged_is_to_be_replaced_by_name() {
    let device = Device::with_backup();
    let first = files_below(&Path::new(device.archive()).join("snapshots"));
    device.back_up();
    let all = files_below(&Path::new(device.archive()).join("snapshots"));
    damage(all.iter().find(|path| !first.contains(path)).unwrap());
    let run = device.coffer(["restore", "--to", "back"]).fails(11);
    run.warns("`coffer restore 1 --to …`").warns("those that are whole: name one, as in `coffer restore 3 --to DIR`");
    device.coffer(["restore", "1", "--to", "back"]).succeeds();
}

#[test]
fn a_damaged_object_is_named_once() {
    let device = Device::with_backup();
    packs(&device).iter().for_each(|pack| damage(pack));
    let run = device.coffer(["verify", "--read-data"]).fails(11);
    let doubled = |line: &str| {
        line.split_once(": ")
            .is_some_and(|(_, text)| text.split_once(": ").is_some_and(|(path, rest)| rest.starts_with(path)))
    };
    assert!(!run.stderr.lines().any(doubled), "{}", run.stderr);
}

#[test]
fn an_archive_without_a_whole_snapshot_has_a_hint_of_its_own() {
    let device = Device::with_backup();
    files_below(&Path::new(device.archive()).join("snapshots")).iter().for_each(|path| damage(path));
    let run = device.coffer(["snapshots"]).fails(11).warns("no snapshot of the archive is whole: snapshots/");
    assert!(!run.stderr.contains("`coffer snapshots`"), "{}", run.stderr);
    device.coffer(["verify", "--allow-rollback"]).fails(11).warns("1 snapshot is damaged");
}

#[test]
fn a_damaged_snapshot_is_removed_when_that_is_asked_for() {
    let device = Device::with_backup();
    device.write("chats/later.txt", b"later\n");
    device.back_up();
    let snapshots = || files_below(&Path::new(device.archive()).join("snapshots"));
    let first = device.coffer(["snapshots", "--json"]).succeeds().json()["snapshots"][0]["name"].clone();
    damage(snapshots().iter().find(|path| path.ends_with(first.as_str().unwrap())).unwrap());
    device.coffer(["prune"]).fails(11).warns("hint: ").warns("repair snapshots");
    device.coffer(["repair", "snapshots", "--dry-run"]).fails(11);
    assert_eq!(snapshots().len(), 2);
    let run = device.coffer(["repair", "snapshots"]).succeeds().warns("warning: snapshots/");
    assert!(run.stdout.contains("snapshot 1-") && run.stdout.contains("given up"), "{}", run.stdout);
    assert_eq!(snapshots().len(), 1);
    device.coffer(["prune"]).succeeds();
    device.coffer(["verify", "--read-data"]).succeeds();
}
