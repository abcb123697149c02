//! A key is rotated, by processes that are killed at any moment; with a password and a real vault; and read by a second
//! program.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::device::{Coffer, Run, finish};
use crate::interop::Decoder;
use crate::noise::Noise;
use crate::server::Server;
use crate::tree::{Tree, files_below};
use crate::vault::{RIGHT, new_device, protected, restore, with_password};

const ROTATE: [&str; 4] = ["--json", "key", "rotate", "--yes"];
/// Stops when both keys open the archive.
const UNFINISHED: [&str; 5] = ["key", "rotate", "--yes", "--grace", "1h"];

/// `make test-faults` has it go on for longer.
fn kills() -> usize {
    if env::var_os("COFFER_TEST_THOROUGHLY").is_some() { 200 } else { 20 }
}

/// A device with some snapshots, one of them forgotten; and what each holds.
fn with_days(noise: &mut Noise) -> (Coffer, Vec<(String, Tree)>) {
    let device = Coffer::with_archive();
    for day in 0..4 {
        for number in 0..8 {
            if day == 0 || noise.below(2) == 0 {
                device.write(&format!("mine/{number}.txt"), &noise.text(60_000));
                device.write(
                    &format!("mine/{number}.jpg"),
                    &[&[0xff, 0xd8, 0xff, 0xe0][..], &noise.bytes(300_000)].concat(),
                );
            }
        }
        device.back_up(&device.path("mine"));
    }
    let newest = Tree::of(&device.path("mine"));
    device.run(["forget", "--keep-last", "2"]).succeeds();
    let third = Tree::of(&device.restore("3").path().join("mine"));
    (device, vec![("3".to_owned(), third), ("4".to_owned(), newest)])
}

fn is_whole(device: &Coffer, known: &[(String, Tree)]) {
    let report = device.run(["--json", "verify", "--read-data"]).succeeds().json();
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
    for (number, tree) in known {
        tree.is_restored_in(&device.restore(number).path().join("mine"));
    }
}

/// Runs it and kills it at some moment, which may lie behind its end.
fn strike(device: &Coffer, arguments: &[&str], whole: Duration, noise: &mut Noise) -> Run {
    let child = device.start(arguments);
    thread::sleep(whole.mul_f64(noise.fraction() * 1.1));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    finish(child)
}

/// What the device keeps opens it: its key, or the one that an interrupted run was about to put in its place.
fn opens_with_one_of_two(device: &Coffer) -> &'static str {
    let with = |file: &str| {
        let (archive, file) = (device.archive.as_os_str(), device.home.join(file));
        let options = ["--archive".as_ref(), archive, "--recovery-key-file".as_ref(), file.as_os_str()];
        let run = device.with_home("no home").run(options.into_iter().chain([OsStr::new("snapshots")]));
        assert!(matches!(run.code, Some(0 | 10)) || !file.exists(), "{}", run.stderr);
        run.code == Some(0)
    };
    if with("key") {
        return "key";
    }
    assert!(with("next-key"), "neither key opens the archive");
    "next-key"
}

#[test]
fn rotations_killed_at_any_moment_lose_nothing() {
    let mut noise = Noise::seeded();
    let (device, known) = with_days(&mut noise);
    let begin = Instant::now();
    device.run(ROTATE).succeeds();
    let whole = begin.elapsed();
    let (mut killed, mut ended) = (0, 0);
    while killed < kills() {
        let run = strike(&device, &ROTATE, whole, &mut noise);
        match run.code {
            None => killed += 1,
            Some(code) => {
                assert_eq!(code, 0, "{}", run.stderr);
                ended += 1;
            }
        }
        let file = opens_with_one_of_two(&device);
        if killed % 4 == 0 || noise.below(4) == 0 {
            // As a person would with the digits that were shown last.
            let other = device.with_home("other");
            let _ = fs::remove_dir_all(&other.home);
            let (paper, archive) = (device.home.join(file), device.archive.as_os_str());
            let join = ["init", "--join", "--recovery-key-file"].map(OsStr::new);
            other.run(join.into_iter().chain([paper.as_os_str(), archive])).succeeds();
            is_whole(&other, &known);
        }
        assert!(ended < 10 * kills(), "no run can be killed");
    }
    eprintln!("{killed} killed, {ended} came to their end, of {whole:?} each");
    let report = device.run(ROTATE).succeeds().json();
    assert_eq!((&report["rotated"], &report["finished"]), (&true.into(), &true.into()), "{report}");
    is_whole(&device, &known);
    device.run(["backup", "mine"]).succeeds();
    device.run(["prune"]).succeeds();
    device.verify_all();
    assert!(!device.home.join("next-key").exists() && !device.archive.join("coffer.next.json").exists());
}

#[test]
fn copies_of_a_rotated_archive_killed_at_any_moment_lose_nothing() {
    let mut noise = Noise::seeded();
    let (device, known) = with_days(&mut noise);
    let mut second = device.with_home("home");
    second.archive = device.path("second");
    let to = second.archive.to_str().unwrap().to_owned();
    let copy = ["copy", "--to", &to];
    let old = device.paper();
    device.run(copy).succeeds();
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills() / 2 {
        rounds += 1;
        assert!(rounds < 10 * kills(), "no run can be killed");
        device.run(ROTATE).succeeds();
        let fresh = device.with_home("home of the copy");
        loop {
            let run = strike(&device, &copy, Duration::from_millis(250), &mut noise);
            killed += usize::from(run.code.is_none());
            assert!(matches!(run.code, None | Some(0)), "{}", run.stderr);
            // Whatever came of it, one of the two keys opens the copy, and all of it.
            let new = device.home.join("key");
            let opened = [&old, &new].into_iter().any(|key| {
                let options = ["--archive", &to, "--recovery-key-file", key.to_str().unwrap(), "--json"];
                let verified = fresh.run(options.into_iter().chain(["verify", "--read-data"]));
                if verified.code == Some(10) {
                    return false;
                }
                let report = verified.succeeds().json();
                assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
                assert_eq!(report["snapshots"], 2);
                true
            });
            assert!(opened);
            if run.code.is_some() {
                break;
            }
        }
        fs::write(&old, device.run(["key", "show"]).succeeds().stdout).unwrap();
    }
    let at = ["--archive", &to];
    device.run(at.into_iter().chain(["prune"])).succeeds();
    for (number, tree) in &known {
        let target = device.path(&format!("from the copy {number}"));
        device.run(at.into_iter().chain(["restore", number, "--to", target.to_str().unwrap()])).succeeds();
        tree.is_restored_in(&target.join("mine"));
    }
    eprintln!("{killed} copies killed in {rounds} rotations");
}

#[test]
fn another_device_is_told_that_the_key_was_rotated_and_joins_with_the_new_one() {
    let device = Coffer::with_archive();
    device.write("mine/a.txt", b"see you at noon\n");
    device.back_up(&device.path("mine"));
    let old = device.paper();
    let other = device.joined_by("other home");
    let rotated = device.run(["key", "rotate", "--yes"]).succeeds();
    assert!(rotated.stdout.contains("the old key opens nothing there any more"), "{}", rotated.stdout);
    let shown = device.run(["key", "show"]).succeeds().stdout;
    assert!(rotated.stdout.starts_with(&shown), "the new digits are shown");
    let refused = other.run(["backup", "mine"]);
    refused.fails(10, "does not open the archive");
    assert!(refused.stderr.contains("rotated on another device"), "{}", refused.stderr);
    let join = |paper: &PathBuf| {
        let arguments = ["init", "--join", "--recovery-key-file"].map(OsStr::new);
        other.run(arguments.into_iter().chain([paper.as_os_str(), device.archive.as_os_str()]))
    };
    join(&old).fails(10, "does not open the archive");
    join(&device.paper()).succeeds();
    other.run(["backup", "mine"]).succeeds();
    assert_eq!(device.snapshots(), [1, 2]);
    device.verify_all();
}

#[test]
fn refuses_to_rotate_without_a_yes_and_goes_on_with_one() {
    let device = Coffer::with_archive();
    device.write("mine/a.txt", b"see you at noon\n");
    device.back_up(&device.path("mine"));
    device.run(["key", "rotate"]).fails(27, "without your yes");
    device.run(["backup", "mine"]).succeeds();
    device.run(UNFINISHED).succeeds();
    // Nothing is written until it is given; everything can be read.
    device.run(["key", "rotate"]).fails(27, "without your yes");
    let refused = device.run(["backup", "mine"]);
    refused.fails(28, "is being rotated");
    assert!(refused.stderr.contains("coffer key rotate"), "{}", refused.stderr);
    let listed = device.run(["snapshots"]).succeeds();
    assert!(listed.stderr.contains("it is only read"), "{}", listed.stderr);
    device.restore("latest");
    device.run(["key", "rotate", "--yes"]).succeeds();
    device.run(["backup", "mine"]).succeeds();
}

#[test]
fn refuses_a_header_of_before_the_rotation() {
    let device = Coffer::with_archive();
    device.write("mine/a.txt", b"see you at noon\n");
    device.back_up(&device.path("mine"));
    device.run(UNFINISHED).succeeds();
    let header = device.archive.join("coffer.json");
    let prepared = fs::read(&header).unwrap();
    device.run(["key", "rotate", "--yes"]).succeeds();
    fs::write(&header, prepared).unwrap();
    device.run(["snapshots"]).fails(12, "the archive's header has been rolled back");
}

const OTHER: &str = "seven umbrellas on the moon";

/// A device with two backups whose vault has the new key, protected by the password [`OTHER`], and whose archive has
/// not.
fn moved_to_the_new_key_at_the_vault(server: &Server) -> Coffer {
    let device = protected(server);
    device.write("chats/anna.txt", b"see you at nine\n");
    device.back_up(&device.path("chats"));
    let waiting = with_password(&device, server, "home", OTHER, &["key", "rotate", "--grace", "1h"]).succeeds();
    assert!(waiting.stdout.contains("both keys open the archive"), "{}", waiting.stdout);
    device
}

#[test]
fn between_the_vault_and_the_archive_nobody_is_led_to_protect_the_old_key_again() {
    let server = Server::start();
    let device = moved_to_the_new_key_at_the_vault(&server);
    let said = device.run(["status"]).succeeds().stderr;
    assert!(said.starts_with("warning: the archive's key is being rotated: until `coffer key rotate`"), "{said}");
    for command in ["status", "vault"] {
        let command = ["--json", command, "status"];
        let command = if command[1] == "status" { &command[..2] } else { &command };
        let said = device.run(command).succeeds().stdout;
        assert!(!said.contains("of another key") && !said.contains("protect it again"), "{said}");
    }
    for command in [["protect", "password"], ["password", "change"]] {
        with_password(&device, &server, "home", RIGHT, &command).fails(28, "is being rotated");
    }
    device.run(["protect", "recovery-key", "--yes"]).fails(28, "is being rotated");
    // What the vault has is the new key still, and the rotation ends with it.
    let ended = with_password(&device, &server, "home", OTHER, &["key", "rotate"]).succeeds();
    assert!(ended.stdout.contains("the old key opens nothing there any more"), "{}", ended.stdout);
    with_password(&device, &server, "home", OTHER, &["key", "verify"]).succeeds();
    device.run(["backup", "chats"]).succeeds();
}

#[test]
fn a_new_device_gets_everything_back_when_the_old_one_is_lost_in_the_middle_of_a_rotation() {
    let server = Server::start();
    let device = moved_to_the_new_key_at_the_vault(&server);
    fs::remove_dir_all(&device.home).unwrap();
    let new = new_device(&device, "new");
    let restored = restore(&new, &server, "new", OTHER).succeeds();
    assert!(restored.stderr.contains("the archive's key is being rotated"), "{}", restored.stderr);
    assert_eq!(Tree::of(&new.path("restored by new/chats")), Tree::of(&device.path("chats")));
    // It can take the place of the other, and end what that has begun.
    let archive = device.archive.to_str().unwrap();
    with_password(&new, &server, "new", OTHER, &["init", "--join", archive]).succeeds();
    new.run(["key", "rotate"]).succeeds();
    new.run(["backup", "chats"]).succeeds();
    restore(&new_device(&device, "third"), &server, "third", OTHER).succeeds();
}

#[test]
fn what_the_vault_was_told_before_a_rotation_counts_as_long_as_the_archive_has_older_keys() {
    let server = Server::start();
    let device = moved_to_the_new_key_at_the_vault(&server);
    let new = new_device(&device, "new");
    let archive = device.archive.to_str().unwrap();
    with_password(&new, &server, "new", OTHER, &["init", "--join", archive]).succeeds();
    let header = fs::File::open(device.archive.join("coffer.json")).unwrap();
    header.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    let (scheme, fleet) = server.address.split_once("127.0.0.1").unwrap();
    let away = format!("{scheme}127.0.0.1:1/{}", &fleet[fleet.find('#').unwrap()..]);
    let untold = new.run(["key", "rotate", "--grace", "1h", "--vault", &away]).succeeds();
    assert!(untold.stderr.contains("the vault was not told of the newest snapshot"), "{}", untold.stderr);
    restore(&new_device(&device, "third"), &server, "third", OTHER).succeeds();
    new.run(["prune", "--grace", "0h"]).succeeds();
    let fourth = new_device(&device, "fourth");
    restore(&fourth, &server, "fourth", OTHER).fails(26, "is not signed with this key");
    new.run(["backup", "chats"]).succeeds();
    restore(&fourth, &server, "fourth", OTHER).succeeds();
}

#[test]
fn refuses_an_older_archive_in_the_middle_of_a_rotation_too() {
    let server = Server::start();
    let device = moved_to_the_new_key_at_the_vault(&server);
    let newest = |file: &PathBuf| fs::metadata(file).unwrap().modified().unwrap();
    fs::remove_file(device.stored("snapshots").iter().max_by_key(|file| newest(file)).unwrap()).unwrap();
    restore(&new_device(&device, "new"), &server, "new", OTHER).fails(12, "lacks snapshot 2");
}

#[test]
fn refuses_what_the_vault_notes_of_another_archive() {
    let server = Server::start();
    let device = protected(&server);
    device.run(["vault", "delete", "--yes"]).succeeds();
    // It has made no backup that the vault could have noted.
    let other = Coffer::with_archive();
    with_password(&other, &server, "other", OTHER, &["protect", "password"]).succeeds();
    let archive = other.archive.to_str().unwrap().to_owned();
    let join = ["init", "--join", &archive];
    let refused = with_password(&new_device(&other, "new"), &server, "new", OTHER, &join);
    refused.fails(26, "is not signed with this key");
}

#[test]
fn a_vault_that_is_away_keeps_a_rotation_from_beginning() {
    let server = Server::start();
    let device = protected(&server);
    let header = fs::read(device.archive.join("coffer.json")).unwrap();
    drop(server);
    let away = device.run(["key", "rotate"]);
    assert_ne!(away.code, Some(0));
    assert_eq!(fs::read(device.archive.join("coffer.json")).unwrap(), header);
    assert!(!device.home.join("next-key").exists());
    device.run(["backup", "chats"]).succeeds();
}

#[test]
fn a_password_gives_the_new_key_on_a_new_device() {
    let server = Server::start();
    let device = protected(&server);
    with_password(&device, &server, "home", OTHER, &["key", "rotate"]).succeeds();
    restore(&new_device(&device, "first"), &server, "first", RIGHT).fails(20, "9 attempts are left");
    let new = new_device(&device, "new");
    restore(&new, &server, "new", OTHER).succeeds();
    assert_eq!(Tree::of(&new.path("restored by new/chats")), Tree::of(&device.path("chats")));
    // The vault's head is the new one, and the device goes on as before.
    device.run(["backup", "chats"]).succeeds();
    let verify = with_password(&device, &server, "home", OTHER, &["key", "verify"]);
    verify.succeeds();
    let paper = device.paper();
    let digits = fs::read_to_string(&paper).unwrap();
    for file in files_below(&device.archive) {
        assert!(!fs::read(&file).unwrap().windows(19).any(|bytes| bytes == &digits.as_bytes()[..19]));
    }
}

#[test]
fn a_second_program_restores_a_rotated_archive() {
    let Some(python) = crate::interop::python() else { return };
    let mut noise = Noise::new(7);
    let (device, known) = with_days(&mut noise);
    for round in 0..2 {
        device.run(ROTATE).succeeds();
        let decoder = Decoder::of(&device, python.clone());
        decoder.succeeds("check", &[]);
        for (number, tree) in &known {
            let target = device.path(&format!("{round} to {number}"));
            decoder
                .succeeds("restore", &["--to".as_ref(), target.as_os_str(), "--snapshot".as_ref(), OsStr::new(number)]);
            tree.is_restored_in(&target.join("mine"));
        }
    }
}
