//! What every server is put through.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::device::{Device, Run, files_below, noise};
use crate::server::Server;

const DAMAGED: i32 = 11;
const ROLLED_BACK: i32 = 12;

/// Runs that are interrupted, and the bytes that each has to store.
const ROUNDS: u64 = 3;
const FILM: usize = 24_000_000;

/// A device, and the server that its archive is with.
pub(crate) struct At<'a> {
    pub(crate) device: Device,
    pub(crate) server: &'a Server,
}

impl<'a> At<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self { device: Device::new(), server }
    }

    pub(crate) fn with_archive(server: &'a Server) -> Self {
        let at = Self::new(server);
        at.run(["init", "--key-store", "file", &server.url]).succeeds();
        at
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.device.command(arguments);
        command.stdin(Stdio::null()).envs(self.server.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        crate::device::run(&mut self.command(arguments))
    }

    pub(crate) fn back_up(&self) -> Run {
        self.run(["--json".as_ref(), "backup".as_ref(), self.device.path("chats").as_os_str()]).succeeds()
    }

    /// Restores a snapshot and compares it with a folder.
    pub(crate) fn restores(&self, snapshot: &str, expected: &Path) {
        let target = self.device.path(&format!("restored {snapshot}"));
        let _ = fs::remove_dir_all(&target);
        self.run(["restore".as_ref(), snapshot.as_ref(), "--to".as_ref(), target.as_os_str()]).succeeds();
        let (found, expected) = (content(&target.join("chats")), content(expected));
        assert_eq!(found.len(), expected.len());
        assert!(found == expected, "the restored files are not those that were backed up");
    }

    pub(crate) fn verifies(&self) {
        self.run(["verify", "--read-data"]).succeeds();
    }

    /// The names of stored objects of one kind.
    pub(crate) fn stored(&self, kind: &str) -> BTreeSet<String> {
        self.server.objects().into_iter().filter(|name| name.starts_with(kind)).collect()
    }
}

/// All files of a folder, and what is in them.
fn content(folder: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let name = |file: &Path| file.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files_below(folder).into_iter().map(|file| (name(&file), fs::read(&file).unwrap())).collect()
}

pub(crate) fn backs_up_and_restores(server: &Server) {
    let at = At::with_archive(server);
    at.device.write("chats/film.mp4", &[b"\0\0\0\x20ftypisom", &noise(40_000_000, 1)[..]].concat());
    at.back_up();
    let first = at.device.path("first");
    crate::device::copy_folder(&at.device.path("chats"), &first);
    at.device.write("chats/anna/messages.txt", b"see you at one\n");
    let second = at.back_up().json();
    assert!(second["bytes_stored"].as_u64().unwrap() < 50_000, "{second}");
    at.restores("1", &first);
    at.restores("latest", &at.device.path("chats"));
    at.verifies();
    assert_eq!(at.stored("locks"), BTreeSet::new());
    assert_eq!(at.stored("tmp"), BTreeSet::new());
    assert!(at.stored("packs").len() >= 3);
    // Another device, which has seen nothing of it.
    let paper = at.device.write("paper", at.run(["key", "show"]).succeeds().stdout.as_bytes());
    let other = At::new(server);
    let join = ["init", "--join", "--key-store", "file", &server.url, "--recovery-key-file"].map(OsStr::new);
    other.run(join.into_iter().chain([paper.as_os_str()])).succeeds();
    other.restores("latest", &at.device.path("chats"));
    // What was typed is what is kept, and none of it is secret.
    let config = String::from_utf8(at.device.read("home/config.json")).unwrap();
    assert!(!config.contains(crate::server::PASSWORD));
}

pub(crate) fn an_interrupted_backup_uploads_nothing_again(server: &Server) {
    let at = At::with_archive(server);
    let chats = at.device.path("chats");
    let stored = |at: &At<'_>| at.stored("packs").iter().map(|name| server.get(name).len()).sum::<usize>();
    let mut interrupted = 0;
    for round in 0..ROUNDS {
        // More each time, and a moment that comes later each time.
        at.device.write(&format!("chats/film {round}.mp4"), &[b"\0\0\0\x20ftypisom", &noise(FILM, round)[..]].concat());
        let mut child = at
            .command(["backup".as_ref(), chats.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let before = at.stored("packs").len();
        let patience = Instant::now() + Duration::from_secs(60);
        while at.stored("packs").len() == before && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < patience, "nothing is stored");
            thread::sleep(Duration::from_millis(2));
        }
        thread::sleep(Duration::from_millis(3 * round));
        child.kill().unwrap();
        interrupted += usize::from(!child.wait().unwrap().success());
    }
    assert!(interrupted >= 2, "{interrupted} runs were interrupted");
    let (packs, len) = (at.stored("packs"), stored(&at));
    let last = at.back_up().json();
    assert!(at.stored("packs").is_superset(&packs), "a pack that was stored is gone");
    // All of it is noise: what lay there did not go over the line again.
    let (again, all) = (last["bytes_stored"].as_u64().unwrap() as usize, ROUNDS as usize * FILM);
    assert!(len > FILM && again + len < all + all / 50 + (1 << 20), "{again} bytes on top of {len}");
    at.restores("latest", &chats);
    at.verifies();
    assert_eq!(at.stored("locks"), BTreeSet::new());
}

pub(crate) fn damage_and_rollback_are_named(server: &Server) {
    let at = At::with_archive(server);
    at.device.write("chats/film.mp4", &noise(3_000_000, 1));
    at.back_up();
    let first = at.device.path("first");
    crate::device::copy_folder(&at.device.path("chats"), &first);
    let before = at.stored("snapshots");
    at.device.write("chats/anna/messages.txt", b"see you at one\n");
    at.back_up();
    let snapshots = at.stored("snapshots");
    let newest = snapshots.difference(&before).next().unwrap();
    let kept = server.get(newest);
    server.remove(newest);
    at.run(["backup".as_ref(), at.device.path("chats").as_os_str()]).fails(ROLLED_BACK);
    at.run(["snapshots"]).fails(ROLLED_BACK);
    server.put(newest, &kept);
    at.restores("latest", &at.device.path("chats"));

    let packs = at.stored("packs");
    let largest = packs.iter().max_by_key(|name| server.get(name).len()).unwrap();
    let whole = server.get(largest);
    let mut broken = whole.clone();
    broken[1_000_000] ^= 1;
    server.put(largest, &broken);
    at.run(["verify", "--read-data"]).fails(DAMAGED).warns("film.mp4");
    server.put(largest, &whole[..whole.len() / 2]);
    at.run(["verify", "--read-data"]).fails(DAMAGED).warns("film.mp4");
    server.remove(largest);
    at.run(["verify"]).fails(DAMAGED).warns(largest);
    server.put(largest, &whole);
    at.verifies();
    at.restores("1", &first);
}

pub(crate) fn a_key_is_rotated(server: &Server) {
    let at = At::with_archive(server);
    at.device.write("chats/film.mp4", &[b"\0\0\0\x20ftypisom", &noise(3_000_000, 1)[..]].concat());
    at.back_up();
    let before: BTreeSet<_> = ["packs", "snapshots"].into_iter().flat_map(|kind| at.stored(kind)).collect();
    let old = at.device.write("paper", at.run(["key", "show"]).succeeds().stdout.as_bytes());
    for _ in 0..2 {
        let report = at.run(["--json", "key", "rotate", "--yes"]).succeeds().json();
        assert_eq!((&report["rotated"], &report["finished"]), (&true.into(), &true.into()), "{report}");
        at.verifies();
        at.restores("latest", &at.device.path("chats"));
    }
    let listed: BTreeSet<_> = server.objects().into_iter().collect();
    assert!(listed.contains("coffer.json") && !listed.contains("coffer.next.json"), "{listed:?}");
    assert!(before.is_disjoint(&listed), "what the old key opens is gone");
    at.run(["--recovery-key-file".as_ref(), old.as_os_str(), "snapshots".as_ref()]).fails(10);
    at.back_up();
}

pub(crate) fn is_tried_out_without_a_trace(server: &Server) {
    let at = At::new(server);
    let report = at.run(["--json", "init", "--check", &server.url]).succeeds().json();
    assert_eq!(report["failed"], serde_json::Value::Null, "{report}");
    assert_eq!(report["passed"].as_array().map(Vec::len), Some(8), "{report}");
    assert_eq!(report["lists_at_once"], true, "{report}");
    assert_eq!(report["clock_ahead_seconds"], 0, "{report}");
    assert_eq!(report["refuses_to_overwrite"], server.url.starts_with("s3:"), "{report}");
    assert!(
        report["latency_ms"].as_u64().is_some() && report["upload_bytes_per_second"].as_u64() > Some(0),
        "{report}"
    );
    assert_eq!(server.objects(), Vec::<String>::new());
    assert!(!at.device.home().join("config.json").exists(), "a device was set up");
    at.run(["init", "--check", &server.url]).succeeds();
}
