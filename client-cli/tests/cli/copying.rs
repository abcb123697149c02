//! `coffer copy`.

use std::fs;

use crate::device::{Device, files_below};

fn objects(device: &Device, place: &str) -> Vec<(String, Vec<u8>)> {
    let top = device.path(place);
    let mut all: Vec<_> = files_below(&top)
        .into_iter()
        .map(|path| (path.strip_prefix(&top).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

#[test]
fn a_copy_is_the_same_archive() {
    let device = Device::with_backup();
    let run = device.coffer(["copy", "--to", "second"]).succeeds();
    assert!(run.stdout.starts_with("copied 4 objects"), "{}", run.stdout);
    assert_eq!(objects(&device, "archive"), objects(&device, "second"));
    device.coffer(["--archive", "second", "verify", "--read-data"]).succeeds();
    device.coffer(["--archive", "second", "restore", "--to", "back"]).succeeds();
    assert_eq!(device.read("back/chats/photo.jpg"), [0x5a; 3000]);
    let run = device.coffer(["copy", "--to", "second"]).succeeds();
    assert!(
        run.stdout.starts_with("copied 0 objects") && run.stdout.contains("4 were there already"),
        "{}",
        run.stdout
    );
}

#[test]
fn only_what_is_missing_is_copied_and_in_both_directions() {
    let device = Device::with_backup();
    device.coffer(["copy", "--to", "second"]).succeeds();
    device.write("chats/new", b"more");
    device.back_up();
    // The copy has fallen behind: whoever serves it serves an older archive.
    device.coffer(["--archive", "second", "snapshots"]).fails(12);
    let json = device.coffer(["--json", "copy", "--to", "second"]).succeeds().json();
    assert_eq!((&json["objects"], &json["already_there"]), (&4.into(), &4.into()));
    assert_eq!(objects(&device, "archive"), objects(&device, "second"));
    // What the first place loses comes back from the second.
    let whole = objects(&device, "archive");
    for pack in files_below(&device.path("archive/packs")) {
        fs::remove_file(pack).unwrap();
    }
    device.coffer(["--archive", "second", "copy", "--to", device.archive()]).succeeds();
    assert_eq!(objects(&device, "archive"), whole);
    device.coffer(["verify", "--read-data"]).succeeds();
}

#[test]
fn nothing_else_is_ever_overwritten() {
    let device = Device::with_backup();
    let other = Device::with_backup();
    let place = other.path("archive");
    let before = objects(&other, "archive");
    device.coffer(["copy", "--to", place.to_str().unwrap()]).fails(14).warns("another archive").warns("earlier copy");
    assert_eq!(objects(&other, "archive"), before);
    device.write("documents/letter", b"mine");
    device.coffer(["copy", "--to", "documents"]).fails(14).warns("not empty");
    assert_eq!(objects(&device, "documents").len(), 1);
    device.coffer(["copy", "--to", device.archive()]).fails(2).warns("the archive itself");
    device.coffer(["copy", "--to", "archive/../archive"]).fails(2).warns("the archive itself");
}

/// Each place keeps what it was told to keep.
#[test]
fn what_was_forgotten_in_one_place_is_not_in_the_other() {
    let device = Device::with_backup();
    device.coffer(["copy", "--to", "early"]).succeeds();
    for day in 2..=4 {
        device.write("chats/anna/messages.txt", format!("day {day}\n").as_bytes());
        device.back_up();
    }
    device.coffer(["copy", "--to", "second"]).succeeds();
    device.coffer(["--archive", "second", "forget", "--keep-last", "1"]).succeeds();
    device.coffer(["--archive", "second", "prune"]).succeeds();
    let snapshots = |place: &str| {
        let run = device.coffer(["--archive", place, "--json", "snapshots"]).succeeds();
        run.json()["snapshots"].as_array().unwrap().len()
    };
    // What the first lost comes back from there, and takes nothing with it.
    for _ in 0..2 {
        device.coffer(["--archive", "second", "copy", "--to", device.archive()]).succeeds();
        device.coffer(["prune"]).succeeds();
        assert_eq!(snapshots(device.archive()), 4);
        device.coffer(["verify", "--read-data"]).succeeds();
    }
    // A place that has fallen behind has the first snapshot, and learns what became of the others.
    device.coffer(["--archive", "second", "copy", "--to", "early"]).succeeds();
    assert_eq!(snapshots("early"), 2);
    device.coffer(["--archive", "early", "verify", "--read-data"]).succeeds();
    device.coffer(["--archive", "early", "restore", "--to", "back", "1"]).succeeds();
    assert_eq!(device.read("back/chats/anna/messages.txt"), b"see you at noon\n");
}

/// By the new key nobody could open what it keeps.
#[test]
fn refuses_a_copy_of_before_a_rotation_that_keeps_more() {
    let device = Device::with_backup();
    device.write("chats/new", b"more");
    device.back_up();
    device.coffer(["copy", "--to", "second"]).succeeds();
    device.write("old digits", device.digits().as_bytes());
    let snapshots = |key: &[&str]| {
        let listed = device.coffer(key.iter().chain(&["--archive", "second", "--json", "snapshots"])).succeeds();
        listed.json()["snapshots"].as_array().unwrap().len()
    };
    device.coffer(["forget", "1"]).succeeds();
    // Before the rotation it goes on as a copy, …
    device.coffer(["copy", "--to", "second"]).succeeds();
    assert_eq!(snapshots(&[]), 2);
    let before = objects(&device, "second");
    // … and after it there is one key for what it keeps: the old one.
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    let run = device.coffer(["--json", "copy", "--to", "second"]).fails(14);
    assert_eq!(run.json_error()["kind"], "copy-keeps-more");
    assert_eq!(objects(&device, "second"), before);
    assert_eq!(snapshots(&["--recovery-key-file", "old digits", "--allow-rollback"]), 2);
}

#[test]
fn damage_is_not_spread() {
    let device = Device::with_backup();
    let pack = files_below(&device.path("archive/packs")).remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    bytes[100] ^= 1;
    fs::write(&pack, bytes).unwrap();
    device.coffer(["copy", "--to", "second"]).fails(11).warns("damaged");
    let name = pack.file_name();
    let copied = files_below(&device.path("second/packs"));
    assert!(!copied.is_empty() && copied.iter().all(|copy| copy.file_name() != name), "{copied:?}");
}

/// What an interruption leaves is an archive that says what it lacks, and the next run ends the work.
#[test]
fn an_interrupted_copy_goes_on() {
    let device = Device::with_backup();
    device.write("chats/new", b"more");
    device.back_up();
    device.coffer(["copy", "--to", "whole"]).succeeds();
    let all = objects(&device, "whole");
    // Objects come in this order, each whole or not at all: after any of them the run may end.
    let place =
        |name: &str| ["coffer.json", "packs", "index", "snapshots"].iter().position(|kind| name.starts_with(kind));
    let snapshots = device.coffer(["--json", "snapshots"]).succeeds().json();
    let number = |name: &str| {
        let all = snapshots["snapshots"].as_array().unwrap();
        all.iter().position(|one| name.ends_with(one["name"].as_str().unwrap()))
    };
    let mut ordered = all.clone();
    ordered.sort_by_key(|(name, _)| (place(name), number(name)));
    for done in 0..=ordered.len() {
        let folder = format!("second-{done}");
        for (name, bytes) in &ordered[..done] {
            device.write(&format!("{folder}/{name}"), bytes);
        }
        if done > 0 && done < ordered.len() {
            device.coffer(["--archive", &folder, "restore", "--to", "never"]).fails(12);
        }
        device.coffer(["copy", "--to", &folder]).succeeds();
        assert_eq!(objects(&device, &folder), all, "{done}");
    }
}

/// The device keeps one key: with the copy's, it could not open its own archive.
#[test]
fn refuses_to_rotate_the_key_elsewhere() {
    let device = Device::with_backup();
    device.coffer(["copy", "--to", "second"]).succeeds();
    let before = ["archive", "second", "home"].map(|place| objects(&device, place));
    let run = device.coffer(["--json", "--archive", "second", "key", "rotate", "--yes"]).fails(2);
    assert_eq!(run.json_error()["kind"], "rotated-elsewhere");
    let run = device.coffer(["--archive", "second", "key", "rotate", "--yes"]).fails(2);
    run.warns("where this device's archive is").warns("hint: without --archive");
    // No new key has come anywhere, not even into the home.
    assert_eq!(["archive", "second", "home"].map(|place| objects(&device, place)), before);
    // A copy of before a rotation is not the place to end one, either.
    device.coffer(["key", "rotate", "--yes"]).succeeds();
    let run = device.coffer(["--json", "--archive", "second", "key", "rotate", "--yes"]).fails(2);
    assert_eq!(run.json_error()["kind"], "rotated-elsewhere");
    assert_eq!(objects(&device, "second"), before[1]);
}
