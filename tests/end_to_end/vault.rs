//! A password, a vault, and what comes of them: the real `coffer` against the real `coffer-vault` with SoftHSM.

use std::fs;
use std::path::PathBuf;

use crate::device::{Coffer, Run};
use crate::server::Server;
use crate::terminal::converse;
use crate::tree::{Tree, files_below};

pub(crate) const RIGHT: &str = "four dolphins under a lamp";
const OTHER: &str = "seven umbrellas on the moon";
pub(crate) const WRONG: &str = "four dolphins under a tent";

/// A device with a backup, whose key the password [`RIGHT`] protects.
pub(crate) fn protected(server: &Server) -> Coffer {
    let device = Coffer::with_archive();
    device.write("chats/anna.txt", b"see you at noon\n");
    device.back_up(&device.path("chats"));
    let run = with_password(&device, server, "home", RIGHT, &["protect", "password"]).succeeds();
    assert!(run.stdout.starts_with("protected: "), "{}", run.stdout);
    device
}

/// Runs a command with the vault, a token for the device, and the password in a file.
pub(crate) fn with_password(device: &Coffer, server: &Server, name: &str, password: &str, command: &[&str]) -> Run {
    let password = device.write("password", format!("{password}\n").as_bytes());
    let token = token(device, server, name);
    let mut command = device.command(command);
    command.args(["--vault", &server.address, "--token-file"]).arg(token).arg("--password-file").arg(password);
    crate::device::finish(
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap(),
    )
}

/// The file with a device's token. It is made once.
fn token(device: &Coffer, server: &Server, name: &str) -> PathBuf {
    let file = device.path(&format!("token of {name}"));
    if !file.exists() {
        let key = device.run(["vault", "device-key"]).succeeds().stdout;
        fs::write(&file, server.token("ada", key.trim())).unwrap();
    }
    file
}

/// A new device, which knows where the archive is and nothing else.
pub(crate) fn new_device(device: &Coffer, name: &str) -> Coffer {
    device.with_home(name)
}

pub(crate) fn restore(device: &Coffer, server: &Server, name: &str, password: &str) -> Run {
    let archive = device.archive.to_str().unwrap().to_owned();
    with_password(
        device,
        server,
        name,
        password,
        &["--archive", &archive, "restore", "--to", &format!("restored by {name}")],
    )
}

fn join(device: &Coffer, server: &Server, name: &str) -> Run {
    let archive = device.archive.to_str().unwrap().to_owned();
    with_password(device, server, name, RIGHT, &["init", "--join", &archive])
}

#[test]
fn a_lost_device_gets_everything_back_with_the_password() {
    let server = Server::start();
    let device = protected(&server);
    fs::remove_dir_all(&device.home).unwrap();
    let new = new_device(&device, "new");
    restore(&new, &server, "new", RIGHT).succeeds();
    assert_eq!(Tree::of(&new.path("restored by new/chats")), Tree::of(&device.path("chats")));
    assert!(!new.home.join("attempt").exists(), "the attempt is proved");
}

/// A fleet has as many addresses as it has names; an old manifest is old at each of them.
#[test]
fn refuses_an_older_manifest_than_was_seen_at_another_address_of_the_same_fleet_too() {
    let server = Server::start();
    let device = protected(&server);
    let (file, token) = (device.home.join("config.json"), token(&device, &server, "home"));
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    config["vault"]["fleet"]["version"] = 9.into();
    fs::write(&file, config.to_string()).unwrap();
    let other = server.address.replace("127.0.0.1", "localhost");
    for address in [&server.address, &other] {
        let asked = ["vault", "status", "--vault", address, "--token-file", token.to_str().unwrap()];
        device.run(asked).fails(26, "the vault shows an old manifest: version 1 after 9");
    }
}

#[test]
fn a_wrong_password_says_how_many_attempts_are_left_and_ten_lock_it() {
    let server = Server::start();
    let device = protected(&server);
    let new = new_device(&device, "new");
    for left in (1..10).rev() {
        let run = restore(&new, &server, "new", WRONG);
        if left >= 2 {
            run.fails(20, &format!("the password is wrong; {left} attempt"));
            continue;
        }
        // Of the last two none is made without a question.
        run.fails(27, "without your yes");
        assert!(run.stderr.contains("2 attempts are left"), "{}", run.stderr);
    }
    let archive = new.archive.to_str().unwrap().to_owned();
    let insist = ["--archive", &archive, "restore", "--to", "restored by new", "--yes"];
    for left in ["1 attempt is left", "no attempt is left"] {
        with_password(&new, &server, "new", WRONG, &insist).fails(20, left);
    }
    let locked = with_password(&new, &server, "new", RIGHT, &insist);
    locked.fails(21, "no attempt is left");
    assert!(!new.path("restored by new").exists());

    let status = device.run(["status"]).succeeds();
    assert!(status.stderr.contains("10 wrong passwords since the last right one"), "{}", status.stderr);
}

#[test]
fn a_new_password_opens_and_the_old_one_does_not() {
    let server = Server::start();
    let device = protected(&server);
    with_password(&device, &server, "home", OTHER, &["password", "change"]).succeeds();
    let new = new_device(&device, "new");
    restore(&new, &server, "new", RIGHT).fails(20, "9 attempts are left");
    restore(&new, &server, "new", OTHER).succeeds();
    let verify = |password| with_password(&device, &server, "home", password, &["key", "verify"]);
    verify(RIGHT).fails(20, "9 attempts are left");
    verify(OTHER).succeeds();
}

#[test]
fn a_move_to_the_recovery_key_ends_the_password() {
    let server = Server::start();
    let device = protected(&server);
    let before = Tree::of(&device.archive);
    let asked = device.run(["protect", "recovery-key"]).succeeds();
    assert!(asked.stderr.contains("the password opens the archive too"), "{}", asked.stderr);
    let run = device.run(["protect", "recovery-key", "--yes"]).succeeds();
    assert!(run.stderr.contains("the vault has deleted the registration"), "{}", run.stderr);
    assert_eq!(Tree::of(&device.archive), before, "nothing is encrypted anew");
    restore(&new_device(&device, "new"), &server, "new", RIGHT).fails(23, "keeps no key");
    let protected_by = &device.run(["--json", "status"]).succeeds().json()["device"]["protected_by"];
    assert_eq!(*protected_by, serde_json::json!(["recovery key, written down"]));
}

#[test]
fn a_move_to_the_recovery_key_ends_the_password_that_another_device_has_set() {
    let server = Server::start();
    let device = protected(&server);
    let second = new_device(&device, "second");
    join(&second, &server, "second").succeeds();
    with_password(&second, &server, "second", OTHER, &["password", "change"]).succeeds();
    let run = device.run(["protect", "recovery-key", "--yes"]).succeeds();
    assert!(run.stderr.contains("the vault has deleted the registration"), "{}", run.stderr);
    restore(&new_device(&device, "new"), &server, "new", OTHER).fails(23, "keeps no key");
}

#[test]
fn a_move_to_the_recovery_key_does_not_end_what_another_key_s_owner_has_registered() {
    let server = Server::start();
    let device = protected(&server);
    let second = new_device(&device, "second");
    join(&second, &server, "second").succeeds();
    second.run(["vault", "delete", "--yes"]).succeeds();
    let stranger = Coffer::with_archive();
    with_password(&stranger, &server, "stranger", OTHER, &["protect", "password"]).succeeds();

    let run = device.run(["protect", "recovery-key", "--yes"]).succeeds();
    assert!(run.stderr.contains("another backup key: it stays"), "{}", run.stderr);
    let protected_by = &device.run(["--json", "status"]).succeeds().json()["device"]["protected_by"];
    assert_eq!(*protected_by, serde_json::json!(["recovery key, written down"]));
    let live = &stranger.run(["--json", "vault", "status"]).succeeds().json()["live"];
    assert_eq!((&live["own"], &live["deletion_at"]), (&true.into(), &serde_json::Value::Null), "{live}");
    with_password(&stranger, &server, "stranger", OTHER, &["key", "verify"]).succeeds();
}

#[test]
fn status_says_what_the_vault_has_and_works_without_it() {
    let server = Server::start();
    let device = protected(&server);
    let status = device.run(["--json", "status"]).succeeds().json();
    let live = &status["vault"]["live"];
    assert_eq!((live["own"].as_bool(), live["attempts_remaining"].as_u64()), (Some(true), Some(10)), "{status}");
    assert_eq!((live["holders"].as_u64(), live["spare"].as_u64()), (Some(1), Some(0)));

    restore(&new_device(&device, "thief"), &server, "thief", WRONG).fails(20, "9 attempts");
    let status = device.run(["status"]).succeeds();
    assert!(status.stderr.contains("1 wrong password since the last right one"), "{}", status.stderr);
    assert!(status.stdout.contains("9 of 10"), "{}", status.stdout);

    drop(server);
    let offline = device.run(["status"]).succeeds();
    assert!(offline.stderr.contains("the vault cannot be asked"), "{}", offline.stderr);
    assert!(offline.stdout.contains("password, with the vault"), "{}", offline.stdout);
    let backup = device.run(["backup", "chats"]).succeeds();
    assert!(backup.stderr.contains("the vault was not told of the new snapshot"), "{}", backup.stderr);
}

#[test]
fn a_device_that_restored_by_password_takes_part_by_password_and_goes_on() {
    let server = Server::start();
    let device = protected(&server);
    fs::remove_dir_all(&device.home).unwrap();
    let new = new_device(&device, "new");
    restore(&new, &server, "new", RIGHT).succeeds();
    join(&new, &server, "new").succeeds();
    let status = new.run(["--json", "status"]).succeeds().json();
    assert_eq!(status["device"]["protected_by"], serde_json::json!(["password, with the vault"]), "{status}");

    let older = new.path("older");
    copy(&new.archive, &older);
    new.write("chats/ben.txt", b"me too\n");
    let run = new.back_up(&new.path("chats"));
    assert!(!run.stderr.contains("the vault"), "{}", run.stderr);
    fs::remove_dir_all(&new.archive).unwrap();
    fs::rename(&older, &new.archive).unwrap();
    restore(&new_device(&new, "third"), &server, "third", RIGHT).fails(12, "rolled back");
}

#[test]
fn a_backup_says_what_became_of_the_registration() {
    let server = Server::start();
    let device = protected(&server);
    let quietly = || device.run(["backup", "-q", "chats"]).succeeds().stderr;
    let thief = Coffer::with_archive();
    with_password(&thief, &server, "thief", OTHER, &["protect", "password"]).fails(22, "another key of this account");
    assert!(quietly().contains("warning: a registration that this device did not make"));
    device.run(["vault", "keep"]).succeeds();
    assert_eq!(quietly(), "");

    let second = new_device(&device, "second");
    join(&second, &server, "second").succeeds();
    second.run(["vault", "delete", "--yes"]).succeeds();
    let gone = "warning: the vault keeps nothing for this account: the password does not protect the key any more";
    assert!(quietly().contains(gone));
    let status = device.run(["status"]).succeeds().stderr;
    assert!(status.contains(gone), "{status}");
}

#[test]
fn the_owner_is_told_that_another_key_has_taken_the_place() {
    let server = Server::start_with(&["--policy-takeover-after=0s"]);
    let device = protected(&server);
    let thief = Coffer::with_archive();
    with_password(&thief, &server, "thief", OTHER, &["protect", "password"]);
    let gone =
        "what the vault keeps for this account is of another key: the password does not protect the key any more";
    for command in [&["status"][..], &["vault", "status"], &["backup", "-q", "chats"]] {
        let said = device.run(command).succeeds().stderr;
        assert!(said.contains(gone) && !said.contains("was not told"), "{command:?}: {said}");
    }
    for command in [&["--json", "backup", "chats"][..], &["--json", "vault", "status"]] {
        let said = device.run(command).succeeds().json();
        assert!(said["alarms"][0].as_str().is_some_and(|alarm| alarm.starts_with(gone)), "{said}");
    }
    device.run(["vault", "keep"]).fails(10, "was not registered with this device's key");
}

/// Without the head, a new device could not tell.
#[test]
fn a_new_device_refuses_an_older_copy_of_the_archive() {
    let server = Server::start();
    let device = protected(&server);
    let older = device.path("older");
    copy(&device.archive, &older);
    device.write("chats/ben.txt", b"me too\n");
    device.back_up(&device.path("chats"));
    fs::remove_dir_all(&device.archive).unwrap();
    fs::rename(&older, &device.archive).unwrap();
    restore(&new_device(&device, "new"), &server, "new", RIGHT).fails(12, "rolled back");
}

#[test]
fn the_backup_of_a_second_device_is_not_lost_from_the_head() {
    let server = Server::start();
    let device = protected(&server);
    let second = device.joined_by("second");
    with_password(&second, &server, "second", RIGHT, &["protect", "password"]).succeeds();
    for device in [&second, &device, &second] {
        let run = device.back_up(&device.path("chats"));
        assert!(!run.stderr.contains("was not told"), "{}", run.stderr);
    }
    restore(&new_device(&device, "new"), &server, "new", RIGHT).succeeds();
}

#[test]
fn a_registration_of_another_key_is_announced_and_its_owner_objects() {
    let server = Server::start();
    let device = protected(&server);
    let thief = Coffer::with_archive();
    let waits = with_password(&thief, &server, "thief", OTHER, &["protect", "password"]);
    waits.fails(22, "another key of this account is registered");
    let status = device.run(["status"]).succeeds();
    assert!(status.stderr.contains("a registration that this device did not make"), "{}", status.stderr);
    device.run(["vault", "keep"]).succeeds();
    let status = device.run(["status"]).succeeds();
    assert!(!status.stderr.contains("did not make"), "{}", status.stderr);
}

#[test]
fn a_vault_that_is_away_costs_no_attempt() {
    let mut server = Server::start();
    let device = protected(&server);
    let new = new_device(&device, "new");
    token(&new, &server, "new");
    server.stop();
    restore(&new, &server, "new", WRONG).fails(24, "cannot be reached");
    server.start_again();
    let live = device.run(["--json", "vault", "status"]).succeeds().json();
    assert_eq!(live["live"]["attempts_remaining"].as_u64(), Some(10), "{live}");
    restore(&new, &server, "new", RIGHT).succeeds();
}

#[test]
fn the_password_is_in_no_file_no_output_and_no_log() {
    let server = Server::start();
    let device = protected(&server);
    let new = new_device(&device, "new");
    restore(&new, &server, "new", WRONG).fails(20, "wrong");
    let outputs = restore(&new, &server, "new", RIGHT).succeeds();
    fs::remove_file(device.path("password")).unwrap();
    let mut seen = vec![outputs.stdout.into_bytes(), outputs.stderr.into_bytes(), server.log().into_bytes()];
    let files = files_below(device.scratch()).into_iter().chain(files_below(&server.data()));
    seen.extend(files.map(|file| fs::read(file).unwrap_or_default()));
    for needle in [RIGHT, WRONG] {
        assert!(seen.iter().all(|bytes| !bytes.windows(needle.len()).any(|window| window == needle.as_bytes())));
    }
}

#[test]
fn a_password_is_typed_twice_and_never_seen() {
    let server = Server::start();
    let device = Coffer::with_archive();
    let token = token(&device, &server, "home");
    let mut command = device.command(["protect", "password", "--vault", &server.address, "--token-file"]);
    command.arg(token);
    let (new, again) = ("New password: ", "The same password again: ");
    let dialogue = [(new, "123456"), (new, RIGHT), (again, WRONG), (new, RIGHT), (again, RIGHT)];
    let (code, shown) = converse(command, &dialogue);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("would be guessed at once") && shown.contains("the two passwords differ"), "{shown}");

    let (code, also) = converse(device.command(["key", "verify"]), &[("Password: ", WRONG)]);
    assert_eq!(code, 20, "{also}");
    for typed in ["123456", RIGHT, WRONG] {
        assert!(!shown.contains(typed) && !also.contains(typed), "{shown}{also}");
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for file in files_below(from) {
        let copy = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(file, copy).unwrap();
    }
}
