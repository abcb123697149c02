//! What SFTP servers and `ssh` refuse, each with few words of its own.

use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime};

use crate::device::noise;
use crate::server::Server;
use crate::suite::At;

const NO_ARCHIVE: i32 = 13;
const FULL: i32 = 16;
const REFUSED: i32 = 17;

/// What a server that says nothing of why is given. Nine tries take far longer.
const SOON: Duration = Duration::from_secs(50);

#[test]
fn a_full_server_is_named_as_full_and_keeps_no_half_uploads() {
    let server = Server::sftp_without_room();
    let at = At::with_archive(&server);
    at.device.write("chats/film.mp4", &[b"\0\0\0\x20ftypisom", &noise(9_000_000, 1)[..]].concat());
    let begun = Instant::now();
    let run = at.run(["backup".as_ref(), at.device.path("chats").as_os_str()]).fails(FULL);
    run.warns("takes a part of it").warns("hint: make room");
    assert!(begun.elapsed() < SOON);
    assert_eq!(at.stored("tmp").len(), 0);
    assert_eq!(at.stored("locks").len(), 0);
}

#[test]
fn a_server_that_only_reads_refuses_soon() {
    let server = Server::sftp_that_only_reads();
    let at = At::new(&server);
    let begun = Instant::now();
    at.run(["init", "--key-store", "file", &server.url]).fails(REFUSED).warns("read-only").warns("hint: make room");
    assert!(begun.elapsed() < SOON);
}

#[test]
fn what_removes_objects_sweeps_old_half_uploads_first() {
    let server = Server::sftp();
    let at = At::with_archive(&server);
    for round in 0..2 {
        at.device.write("chats/film.mp4", &noise(100_000, round));
        at.back_up();
    }
    let (young, old) = (format!("tmp/{}", "0".repeat(32)), format!("tmp/{}", "1".repeat(32)));
    for command in [&["prune"][..], &["forget", "1"], &["key", "rotate", "--yes"]] {
        for (name, age) in [(&young, 0), (&old, 120)] {
            server.put(name, b"half an object");
            let file = File::options().write(true).open(server.place().join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        at.run(command).succeeds();
        assert!(at.stored("tmp").into_iter().eq([young.clone()]), "{command:?}");
    }
}

#[test]
fn a_host_that_ssh_does_not_know_is_refused() {
    let server = Server::sftp();
    fs::write(server.known_hosts(), "").unwrap();
    let at = At::new(&server);
    let run = at.run(["init", "--key-store", "file", &server.url]).fails(REFUSED);
    let run = run.warns("the host's key is not known to ssh").warns("hint: run `ssh user@host true`");
    assert!(!run.stderr.contains("trying again"), "{}", run.stderr);
}

#[test]
fn a_host_whose_key_has_changed_is_refused() {
    let server = Server::sftp();
    let known = fs::read_to_string(server.known_hosts()).unwrap();
    let user = fs::read_to_string(server.known_hosts().with_file_name("user.pub")).unwrap();
    fs::write(server.known_hosts(), format!("{} {user}", known.split(' ').next().unwrap())).unwrap();
    let at = At::new(&server);
    let run = at.run(["init", "--key-store", "file", &server.url]).fails(REFUSED);
    let run = run.warns("the host's key has changed: it is SHA256:").warns("known:1").warns("`ssh-keygen -R");
    assert!(!run.stderr.contains("trying again") && !run.stderr.contains("@@@"), "{}", run.stderr);
}

#[test]
fn what_only_looks_makes_no_folders() {
    let server = Server::sftp();
    let at = At::new(&server);
    let above = server.place().parent().unwrap();
    at.run(["--archive", &format!("{}/typo/deep", server.url), "snapshots"]).fails(NO_ARCHIVE);
    assert!(!above.exists());
    at.run(["init", "--check", &server.url]).succeeds();
    assert!(!above.exists());
    fs::create_dir_all(server.place()).unwrap();
    fs::write(server.place().join("notes"), "not ours").unwrap();
    at.run(["init", "--check", &format!("{}/new", server.url)]).succeeds();
    assert_eq!(fs::read_dir(server.place()).unwrap().count(), 1);
}
