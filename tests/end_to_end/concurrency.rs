//! Several runs on one archive at the same time.

use std::fs;
use std::path::PathBuf;

use crate::device::{Coffer, finish};
use crate::noise::Noise;
use crate::tree::{Tree, assert_same};

/// Some of it is the same for every seed, some is not.
fn chats(device: &Coffer, name: &str, seed: u64) -> PathBuf {
    let (mut own, mut shared) = (Noise::new(seed), Noise::new(0));
    for number in 0..20 {
        device.write(&format!("{name}/{number}.txt"), &own.text(100_000));
        device.write(&format!("{name}/shared {number}.txt"), &shared.text(100_000));
    }
    device.write(&format!("{name}/video.mp4"), &[b"\0\0\0\x20ftypisom", &own.bytes(20_000_000)[..]].concat());
    device.path(name)
}

#[test]
fn two_devices_that_back_up_at_once_both_have_their_snapshot() {
    let one = Coffer::with_archive();
    let other = one.joined_by("other home");
    for round in 0..4 {
        let mine = chats(&one, "mine", 2 * round + 1);
        let theirs = chats(&one, "theirs", 2 * round + 2);
        let runs = [one.start(["backup", "mine"]), other.start(["backup", "theirs"])];
        for run in runs.map(finish) {
            run.succeeds();
        }
        let listed = one.run(["--json", "snapshots"]).succeeds().json();
        for source in [&mine, &theirs] {
            let name = source.file_name().unwrap().to_str().unwrap();
            let of_it = |one: &&serde_json::Value| one["sources"][0]["path"] == name;
            let newest = listed["snapshots"].as_array().unwrap().iter().rev().find(of_it).unwrap();
            let restored = one.restore(newest["name"].as_str().unwrap());
            assert_same(source, &restored.path().join(name));
        }
        assert_eq!(listed["snapshots"].as_array().map(Vec::len), Some(2 * round as usize + 2));
    }
    one.verify_all();
    assert_eq!(one.stored("locks"), Vec::<PathBuf>::new());
    // Neither takes the other's snapshots for a rollback.
    one.run(["backup", "mine"]).succeeds();
    other.run(["backup", "theirs"]).succeeds();
    other.verify_all();
}

#[test]
fn a_backup_does_not_look_like_damage_to_those_who_verify_and_restore_meanwhile() {
    let device = Coffer::with_archive();
    let other = device.joined_by("other home");
    let source = chats(&device, "mine", 1);
    device.back_up(&source);
    let first = Tree::of(&source);
    let (mut verified, mut restored) = (0, 0);
    for round in 2..6 {
        chats(&device, "mine", round);
        let mut backup = device.start(["backup", "mine"]);
        while backup.try_wait().unwrap().is_none() {
            let whole =
                if verified % 2 == 0 { &["--json", "verify", "--read-data"][..] } else { &["--json", "verify"] };
            let report = other.run(whole).succeeds().json();
            assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
            verified += 1;
            first.is_restored_in(&other.restore("1").path().join("mine"));
            restored += 1;
        }
        finish(backup).succeeds();
        assert_same(&source, &other.restore("latest").path().join("mine"));
    }
    eprintln!("verified {verified} and restored {restored} times while a backup ran");
    assert!(verified >= 4);
    device.verify_all();
}

#[test]
fn two_restores_into_one_folder_leave_it_whole() {
    let device = Coffer::with_archive();
    let source = chats(&device, "mine", 1);
    device.back_up(&source);
    let target = device.path("target");
    let arguments = ["restore".as_ref(), "--to".as_ref(), target.as_os_str()];
    let runs = [device.start(arguments), device.start(arguments)].map(finish);
    // They get in each other's way, and may say so; what lies there in the end is right all the same.
    for run in &runs {
        assert!(matches!(run.code, Some(0 | 3)), "{}", run.stderr);
    }
    device.run(arguments).succeeds();
    assert_same(&source, &target.join("mine"));
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}
