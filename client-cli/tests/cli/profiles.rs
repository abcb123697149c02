//! `coffer profile`, and hooks.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::device::{Device, files_below, noise};

/// A program that writes what it is told to a file, and ends as asked.
fn hook(device: &Device, name: &str, code: u8) -> String {
    let told = device.path(&format!("{name}.json"));
    let path = device
        .write(name, format!("#!/bin/sh\ncat >'{}'\necho done by the hook\nexit {code}\n", told.display()).as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn told(device: &Device, name: &str) -> serde_json::Value {
    serde_json::from_slice(&device.read(&format!("{name}.json"))).unwrap()
}

#[test]
fn a_profile_backs_up_what_it_was_told() {
    let device = Device::with_archive();
    device.write("chats/a.tmp", b"x");
    device.coffer(["profile", "add", "chats", "chats", "--exclude", "*.tmp", "--host", "phone"]).succeeds();
    assert_eq!(device.coffer(["profile", "list"]).succeeds().stdout, "chats\n");
    // From wherever it is run: what was relative then is not now.
    let mut command = device.command(["backup", "--profile", "chats", "--json"]);
    let output = command.current_dir("/").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["snapshot"]["files"], &report["snapshot"]["host"]), (&2.into(), &"phone".into()));
    assert_eq!(report["excluded_files"], 1);
    let shown = device.coffer(["profile", "show", "chats", "--json"]).succeeds().json();
    assert_eq!((&shown["backup"]["exclude"][0], &shown["backup"]["host"]), (&"*.tmp".into(), &"phone".into()));
    device.coffer(["profile", "remove", "chats"]).succeeds();
    device.coffer(["backup", "--profile", "chats"]).fails(2).warns("there is no profile chats").warns("profile add");
}

#[test]
fn a_profile_is_replaced_only_when_asked() {
    let device = Device::with_archive();
    device.coffer(["profile", "add", "chats", "chats"]).succeeds();
    device.coffer(["profile", "add", "chats", "chats/anna"]).fails(2).warns("already").warns("--replace");
    device.coffer(["profile", "add", "chats", "chats/anna", "--replace"]).succeeds();
    let shown = device.coffer(["profile", "show", "chats"]).succeeds().stdout;
    assert!(shown.contains("chats/anna"), "{shown}");
    device.coffer(["profile", "show", "other"]).fails(2).warns("there are chats");
    device.coffer(["profile", "add", "Chats!", "chats"]).fails(2).warns("a-z");
    device.coffer(["profile", "add", "none"]).fails(2).warns("required");
    device.coffer(["profile", "add", "none", "--signal", "chats"]).fails(2).warns("not Signal's files");
}

#[test]
fn profiles_that_make_no_sense_are_refused() {
    let device = Device::with_archive();
    for (text, said) in [
        (r#"{"version": 1, "profiles": {"a": {"backup": {"pahts": ["/x"]}}}}"#, "pahts"),
        (r#"{"version": 1, "profiles": {"a": {"backup": {}, "hooks": {"bevore": "/x"}}}}"#, "bevore"),
        (r#"{"version": 1, "profiles": {"../a": {"backup": {}}}}"#, "a-z"),
        (r#"{"version": 0, "profiles": {}}"#, "version 0"),
        ("", "EOF"),
    ] {
        device.write("home/profiles.json", text.as_bytes());
        device.coffer(["profile", "list"]).fails(1).warns(said).warns("profiles.json");
    }
    device.write("home/profiles.json", br#"{"version": 2}"#);
    device.coffer(["profile", "list"]).fails(18).warns("newer version");
}

/// Their hooks would run as whoever backs up, and read what they must not.
#[test]
fn profiles_that_others_may_write_are_refused() {
    let device = Device::with_archive();
    device.coffer(["profile", "add", "chats", "chats"]).succeeds();
    let path = device.path("home/profiles.json");
    for mode in [0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        device.coffer(["backup", "--profile", "chats"]).fails(1).warns("others may write to it").warns("hint: ");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    device.coffer(["backup", "--profile", "chats"]).succeeds();
    // Root alone can give a file away, and has the most to lose.
    if std::os::unix::fs::chown(&path, Some(65534), None).is_ok() {
        device.coffer(["backup", "--profile", "chats"]).fails(1).warns("belongs to somebody else");
    }
}

#[test]
fn a_profile_and_paths_are_not_given_together() {
    let device = Device::with_archive();
    device.coffer(["backup", "--profile", "chats", "chats"]).fails(2).warns("cannot be used with");
    device.coffer(["backup", "--profile", "chats", "--exclude", "x"]).fails(2).warns("cannot be used with");
}

#[test]
fn hooks_learn_what_happened() {
    let device = Device::with_archive();
    let [before, success, failure] = ["before", "success", "failure"].map(|name| hook(&device, name, 0));
    let hooks = ["--before", &before, "--after-success", &success, "--after-failure", &failure];
    device.coffer(["profile", "add", "chats", "chats"].into_iter().chain(hooks)).succeeds();
    let report = device.coffer(["--json", "backup", "--profile", "chats"]).succeeds().warns("done by the hook").json();
    assert_eq!(told(&device, "before"), serde_json::json!({"event": "before", "profile": "chats"}));
    let done = told(&device, "success");
    assert_eq!((&done["event"], &done["report"]), (&"success".into(), &report));
    assert!(!device.path("failure.json").exists());
    fs::remove_dir_all(device.archive()).unwrap();
    device.coffer(["backup", "--profile", "chats"]).fails(13);
    let failed = told(&device, "failure");
    assert_eq!((&failed["event"], &failed["error"]["code"]), (&"failure".into(), &13.into()));
}

#[test]
fn a_backup_with_problems_counts_as_a_failure_to_its_hooks() {
    let device = Device::with_archive();
    let failure = hook(&device, "failure", 0);
    device.coffer(["profile", "add", "null", "/dev/null", "--after-failure", &failure]).succeeds();
    device.coffer(["backup", "--profile", "null"]).fails(3);
    assert_eq!(told(&device, "failure")["report"]["snapshot"]["number"], 1);
}

#[test]
fn a_hook_that_fails_before_stops_the_backup() {
    let device = Device::with_archive();
    let before = hook(&device, "before", 3);
    device.coffer(["profile", "add", "chats", "chats", "--before", &before]).succeeds();
    device.coffer(["backup", "--profile", "chats"]).fails(29).warns("the hook before").warns("exit status: 3");
    assert_eq!(device.coffer(["snapshots"]).succeeds().stdout, "");
    fs::remove_file(&before).unwrap();
    device.coffer(["backup", "--profile", "chats"]).fails(29).warns("cannot be run");
}

/// Who is told of failures by a hook learns of this one too.
#[test]
fn a_hook_that_fails_before_is_a_failure_to_the_hook_after_it() {
    let device = Device::with_archive();
    let (before, failure) = (hook(&device, "before", 3), hook(&device, "failure", 0));
    let hooks = ["--before", &before, "--after-failure", &failure];
    device.coffer(["profile", "add", "chats", "chats"].into_iter().chain(hooks)).succeeds();
    device.coffer(["backup", "--profile", "chats"]).fails(29).warns("the hook before");
    let failed = told(&device, "failure");
    assert_eq!((&failed["event"], &failed["error"]["code"]), (&"failure".into(), &29.into()));
}

#[test]
fn a_hook_that_fails_afterwards_does_not_hide_what_happened() {
    let device = Device::with_archive();
    let [success, failure] = ["success", "failure"].map(|name| hook(&device, name, 1));
    let hooks = ["--after-success", &success, "--after-failure", &failure];
    device.coffer(["profile", "add", "chats", "chats"].into_iter().chain(hooks)).succeeds();
    device.coffer(["backup", "--profile", "chats"]).fails(29).warns("after-success");
    assert!(device.coffer(["snapshots"]).succeeds().stdout.contains("2 files"));
    fs::remove_dir_all(device.archive()).unwrap();
    device.coffer(["backup", "--profile", "chats"]).fails(13).warns("after-failure");
}

/// A name that a shell would take apart.
#[test]
fn nothing_is_ever_run_through_a_shell() {
    let device = Device::with_archive();
    let name = "chats/$(touch owned); touch owned `touch owned`";
    device.write(name, b"x");
    let success = hook(&device, "a hook; touch owned", 0);
    device.coffer(["profile", "add", "chats", name, "--after-success", &success]).succeeds();
    device.coffer(["backup", "--profile", "chats"]).succeeds();
    assert_eq!(told(&device, "a hook; touch owned")["event"], "success");
    assert!(!device.path("owned").exists());
}

#[test]
fn a_profile_keeps_of_its_own_snapshots_what_its_rules_say() {
    let device = Device::with_backup();
    device.coffer(["profile", "add", "chats", "chats", "--host", "phone", "--keep-last", "2"]).succeeds();
    let back_up = |number: u8| {
        device.write("chats/photo.jpg", &[number; 70_000]);
        device.coffer(["backup", "--profile", "chats", "--json"]).succeeds().json()
    };
    (1..3).for_each(|number| assert!(back_up(number)["forgot"].is_null()));
    let third = back_up(3);
    assert_eq!((&third["forgot"]["removed"], &third["forgot"]["forgotten"][0]["number"]), (&1.into(), &2.into()));
    assert!(third["forgot"]["pruned"]["packs_removed"].as_u64().unwrap() > 0, "{third}");
    // The first is another device's.
    let left = device.coffer(["snapshots", "--json"]).succeeds().json();
    let numbers: Vec<_> = left["snapshots"].as_array().unwrap().iter().map(|one| one["number"].clone()).collect();
    assert_eq!(numbers, [1, 3, 4]);
    device.coffer(["verify", "--read-data"]).succeeds();
    let shown = device.coffer(["profile", "show", "chats", "--json"]).succeeds().json();
    assert_eq!(shown["keep"], serde_json::json!({"last": 2}));
}

#[test]
fn a_backup_with_problems_costs_no_older_snapshot() {
    let device = Device::with_archive();
    device.write("later/a.txt", b"a");
    device.coffer(["profile", "add", "both", "chats", "later", "--keep-last", "1"]).succeeds();
    device.coffer(["backup", "--profile", "both"]).succeeds();
    device.coffer(["backup", "--profile", "both"]).succeeds();
    std::fs::remove_dir_all(device.path("later")).unwrap();
    let run = device.coffer(["backup", "--profile", "both"]);
    assert_ne!(run.code, 0);
    // A disk that is not mounted may leave an empty folder.
    std::fs::create_dir(device.path("later")).unwrap();
    device.coffer(["backup", "--profile", "both"]).fails(3).warns("no older snapshot is forgotten");
    let left = device.coffer(["snapshots", "--json"]).succeeds().json();
    assert!(left["snapshots"].as_array().unwrap().iter().any(|one| one["number"] == 2), "{left}");
}

/// What the new snapshot says is unchanged may be damaged where it lies.
#[test]
fn damage_that_the_prune_after_a_backup_finds_is_told() {
    let device = Device::with_archive();
    let failure = hook(&device, "failure", 0);
    let rules = ["--keep-last", "1", "--after-failure", &failure];
    device.coffer(["profile", "add", "chats", "chats"].into_iter().chain(rules)).succeeds();
    device.write("chats/gone.bin", &noise(300_000, 1));
    device.write("chats/kept.bin", &noise(300_000, 2));
    device.coffer(["backup", "--profile", "chats"]).succeeds();
    let packs = files_below(&device.path("archive/packs"));
    let of_data = packs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(of_data).unwrap();
    bytes[1000] ^= 1;
    fs::write(of_data, bytes).unwrap();
    fs::remove_file(device.path("chats/gone.bin")).unwrap();
    let run = device.coffer(["backup", "--profile", "chats", "--json"]).fails(11);
    let problems = &run.json()["forgot"]["pruned"]["problems"];
    assert!(of_data.to_str().unwrap().ends_with(problems[0]["path"].as_str().unwrap()), "{problems}");
    assert!(of_data.exists());
    assert_eq!(told(&device, "failure")["event"], "failure");
}
