//! Snapshots are forgotten and packs removed, by processes that are killed at any moment, beside others that back up.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::device::{Coffer, Run, finish};
use crate::interop::Decoder;
use crate::noise::Noise;
use crate::tree::{Tree, assert_same};

/// So many newest snapshots of each source stay.
const KEPT: usize = 3;
const FORGET: [&str; 3] = ["forget", "--keep-last", "3"];

/// `make test-faults` has it go on for longer.
fn rounds() -> usize {
    if env::var_os("COFFER_TEST_THOROUGHLY").is_some() { 100 } else { 10 }
}

/// A source that changes in part each day: text and media, small and large.
fn live(device: &Coffer, name: &str, noise: &mut Noise) -> PathBuf {
    for number in 0..6 {
        let (text, media) = (format!("{name}/{number}.txt"), format!("{name}/{number}.jpg"));
        if noise.below(2) == 0 || !device.path(&text).exists() {
            let len = 10_000 + noise.below(50_000) as usize;
            device.write(&text, &noise.text(len));
        }
        if noise.below(3) == 0 || !device.path(&media).exists() {
            device.write(&media, &[&[0xff, 0xd8, 0xff, 0xe0][..], &noise.bytes(200_000)].concat());
        }
    }
    device.path(name)
}

fn timed(device: &Coffer, arguments: &[&str]) -> Duration {
    let begin = Instant::now();
    device.run(arguments).succeeds();
    begin.elapsed()
}

/// Runs it and kills it at some moment, which may lie behind its end.
fn strike(device: &Coffer, arguments: &[&str], whole: Duration, noise: &mut Noise) -> Run {
    let child = device.start(arguments);
    thread::sleep(whole.mul_f64(noise.fraction() * 1.1));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    finish(child)
}

/// Snapshots by their names, and what each holds.
struct Known {
    trees: BTreeMap<String, (u64, String, Tree)>,
}

impl Known {
    /// What is listed now: all that was to stay, and perhaps new ones of the sources as they are now.
    fn update(&mut self, device: &Coffer) {
        let listed = device.run(["--json", "snapshots"]).succeeds().json();
        assert_eq!(listed["damaged"].as_array().map(Vec::len), Some(0), "{listed}");
        let mut there = BTreeMap::new();
        for one in listed["snapshots"].as_array().unwrap() {
            let source = one["sources"][0]["path"].as_str().unwrap().to_owned();
            let name = one["name"].as_str().unwrap().to_owned();
            let known = self.trees.remove(&name);
            let made = || (one["number"].as_u64().unwrap(), source.clone(), Tree::of(&device.path(&source)));
            there.insert(name, known.unwrap_or_else(made));
        }
        // Those that are gone must have been followed by as many of their source as are kept.
        for (name, (number, source, _)) in &self.trees {
            let newer = there.values().filter(|(other, of, _)| of == source && other > number).count();
            assert!(newer >= KEPT, "snapshot {number} of {source} ({name}) is gone, with {newer} newer ones");
        }
        self.trees = there;
    }

    fn restore_any(&self, device: &Coffer, noise: &mut Noise) {
        let (name, known) = self.trees.iter().nth(noise.below(self.trees.len() as u64) as usize).unwrap();
        restores(device, name, known);
    }
}

fn restores(device: &Coffer, name: &str, (_, source, tree): &(u64, String, Tree)) {
    tree.is_restored_in(&device.restore(name).path().join(source));
}

fn is_whole(device: &Coffer) {
    let report = device.run(["--json", "verify", "--read-data"]).succeeds().json();
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
}

#[test]
fn forgets_and_prunes_killed_at_any_moment_beside_backups_lose_nothing() {
    let mut noise = Noise::seeded();
    let one = Coffer::with_archive();
    let other = one.joined_by("other home");
    let mut known = Known { trees: BTreeMap::new() };
    for _ in 0..KEPT + 2 {
        for (device, name) in [(&one, "mine"), (&other, "theirs")] {
            live(&one, name, &mut noise);
            device.run(["backup", name]).succeeds();
            known.update(&one);
        }
    }
    let backup = timed(&other, &["backup", "theirs"]);
    known.update(&one);
    let forget = timed(&one, &FORGET);
    let prune = timed(&one, &["prune"]).max(Duration::from_millis(200));
    let (mut killed, mut pruned) = (0, 0);
    for _ in 0..rounds() {
        known.update(&one);
        live(&one, "mine", &mut noise);
        live(&one, "theirs", &mut noise);
        one.run(["backup", "mine"]).succeeds();
        known.update(&one);
        let beside = (noise.below(2) == 0).then(|| {
            let delay = backup.mul_f64(noise.fraction());
            (other.start(["backup", "theirs"]), delay, noise.below(2) == 0)
        });
        for (arguments, whole) in [(&FORGET[..], forget), (&["prune", "--max-unused", "0"][..], prune)] {
            let run = strike(&one, arguments, whole, &mut noise);
            killed += usize::from(run.code.is_none());
            pruned += usize::from(run.code == Some(0));
            // Beside a backup a prune does not begin.
            assert!(matches!(run.code, None | Some(0 | 28)), "{arguments:?}: {}", run.stderr);
        }
        if let Some((backup, delay, is_to_die)) = beside {
            if is_to_die {
                thread::sleep(delay);
                kill_process(Pid::from_child(&backup), Signal::KILL).unwrap();
            }
            let run = finish(backup);
            assert!(matches!(run.code, None | Some(0)), "{}", run.stderr);
        }
        is_whole(&other);
        known.update(&other);
        known.restore_any(&other, &mut noise);
    }
    one.run(FORGET).succeeds();
    let report = one.run(["--json", "prune"]).succeeds().json();
    assert_eq!((&report["packs_waiting"], &report["waits_for"]), (&0.into(), &serde_json::Value::Null), "{report}");
    known.update(&one);
    assert_eq!(known.trees.len(), 2 * KEPT);
    known.trees.iter().for_each(|(name, known)| restores(&one, name, known));
    one.verify_all();
    assert_eq!(one.stored("doomed"), Vec::<PathBuf>::new());
    eprintln!("{killed} killed, {pruned} came to their end");
    assert!(killed >= rounds() / 4);
}

#[test]
fn a_second_program_restores_what_is_left_after_a_prune() {
    let Some(python) = crate::interop::python() else { return };
    let device = Coffer::with_archive();
    let mut noise = Noise::new(5);
    let mut trees = Vec::new();
    for _ in 0..5 {
        let source = live(&device, "mine", &mut noise);
        device.back_up(&source);
        trees.push(Tree::of(&source));
    }
    device.run(FORGET).succeeds();
    let report = device.run(["--json", "prune", "--max-unused", "0"]).succeeds().json();
    assert!(report["packs_removed"].as_u64() > Some(0) && report["packs_repacked"].as_u64() > Some(0), "{report}");
    let decoder = Decoder::of(&device, python);
    decoder.succeeds("check", &[]);
    for (number, tree) in (1..).zip(&trees).skip(2) {
        let (target, number) = (device.path(&format!("to {number}")), format!("{number}"));
        decoder.succeeds("restore", &["--to".as_ref(), target.as_os_str(), "--snapshot".as_ref(), OsStr::new(&number)]);
        tree.is_restored_in(&target.join("mine"));
    }
    assert_same(&device.path("mine"), Path::new(&device.path("to 5")).join("mine").as_path());
    let gone = ["--snapshot".as_ref(), OsStr::new("1"), "--to".as_ref(), OsStr::new("nowhere")];
    assert_eq!(decoder.run("restore", &gone).status.code(), Some(2), "snapshot 1 was forgotten");
}

#[test]
fn a_lock_of_another_host_stops_a_prune_until_it_is_removed() {
    let device = Coffer::with_archive();
    let mut noise = Noise::new(6);
    let source = live(&device, "mine", &mut noise);
    let mut backup = device.start([OsStr::new("backup"), source.as_os_str(), "--host".as_ref(), "phone".as_ref()]);
    let locked = Instant::now();
    while device.stored("locks").is_empty() {
        assert!(backup.try_wait().unwrap().is_none() && locked.elapsed() < Duration::from_secs(60));
    }
    kill_process(Pid::from_child(&backup), Signal::KILL).unwrap();
    finish(backup);
    if device.stored("locks").is_empty() {
        return eprintln!("it was too quick to be killed");
    }
    let lock = device.stored("locks")[0].file_name().unwrap().to_str().unwrap().to_owned();
    let refused = device.run(["prune"]);
    refused.fails(28, "on phone");
    assert!(refused.stderr.contains(&lock), "{}", refused.stderr);
    let listed = device.run(["--json", "unlock"]).succeeds().json();
    assert_eq!(listed["locks"][0]["host"], "phone");
    device.run(["unlock", &lock[..8]]).succeeds();
    device.run(["prune"]).succeeds();
    assert!(fs::read_dir(device.archive.join("locks")).unwrap().next().is_none());
}
