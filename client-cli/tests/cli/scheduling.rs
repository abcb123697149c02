//! `coffer schedule`, with a home of its own and a systemctl that only writes down what it is asked. Needs
//! systemd-analyze.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use crate::device::Device;

fn with_profile() -> Device {
    let device = Device::with_archive();
    device.coffer(["profile", "add", "chats", "chats"]).succeeds();
    device
}

/// Runs the program where systemctl is what `systemctl` says.
fn run(device: &Device, systemctl: &str, arguments: &[&str]) -> Output {
    command(device, systemctl, arguments).output().unwrap()
}

fn command(device: &Device, systemctl: &str, arguments: &[&str]) -> Command {
    let path = device.write(
        "bin/systemctl",
        format!("#!/bin/sh\necho \"$@\" >>'{}'\n{systemctl}\n", device.path("asked").display()).as_bytes(),
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = device.command(arguments);
    let path = format!("{}:/usr/bin:/bin", device.path("bin").display());
    command.env("PATH", path).env("XDG_CONFIG_HOME", device.path("config"));
    command
}

const UNITS: &str = "config/systemd/user";

#[test]
fn a_profile_gets_a_timer_that_systemd_accepts() {
    let device = with_profile();
    let done = run(&device, "exit 0", &["schedule", "enable", "--profile", "chats", "--daily", "03:00"]);
    assert!(done.status.success(), "{done:?}");
    let asked = fs::read_to_string(device.path("asked")).unwrap();
    assert_eq!(asked, "--user daemon-reload\n--user restart coffer-backup-chats.timer\n");
    let [service, timer] = ["service", "timer"].map(|kind| device.path(&format!("{UNITS}/coffer-backup-chats.{kind}")));
    let wanted = device.path(&format!("{UNITS}/timers.target.wants/coffer-backup-chats.timer"));
    assert_eq!(fs::canonicalize(wanted).unwrap(), fs::canonicalize(&timer).unwrap());
    let mut check = Command::new("systemd-analyze");
    check.args(["--user", "--man=no", "verify"]).args([&service, &timer]);
    let checked = check.env("XDG_RUNTIME_DIR", device.path("config")).output();
    let checked = checked.expect("systemd-analyze is needed: .ci/install packages");
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    let next = Command::new("systemd-analyze").args(["calendar", "*-*-* 03:00:00"]).output().unwrap();
    assert!(next.status.success(), "{next:?}");
    assert!(fs::read_to_string(timer).unwrap().contains("OnCalendar=*-*-* 03:00:00\nPersistent=true\n"));
    // What it runs is what a person would.
    let text = fs::read_to_string(service).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let ran = Command::new("sh")
        .args(["-c", line])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    assert!(device.coffer(["snapshots"]).succeeds().stdout.contains("2 files"));
}

#[test]
fn a_schedule_backs_up_into_the_archive_that_was_named() {
    let device = with_profile();
    device.coffer(["copy", "--to", "sec ond"]).succeeds();
    let arguments = ["--archive", "sec ond", "schedule", "enable", "--profile", "chats", "--hourly"];
    assert!(run(&device, "exit 0", &arguments).status.success());
    let text = fs::read_to_string(device.path(&format!("{UNITS}/coffer-backup-chats.service"))).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let mut sh = Command::new("sh");
    let ran = sh.args(["-c", line]).current_dir("/").env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    assert!(ran.output().unwrap().status.success());
    assert_eq!(fs::read_dir(device.path("sec ond/snapshots")).unwrap().count(), 1);
    assert!(!device.path("archive/snapshots").exists());
}

#[test]
fn who_keeps_credentials_in_the_environment_alone_is_warned() {
    let device = with_profile();
    let arguments = ["--archive", "s3://bucket/a", "schedule", "enable", "--profile", "chats", "--hourly"];
    let warns = || {
        let mut command = command(&device, "exit 0", &arguments);
        let done = command.env("AWS_ACCESS_KEY_ID", "anna").env("AWS_SECRET_ACCESS_KEY", "hunter2").output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stderr).unwrap().contains("which a scheduled run does not see")
    };
    assert!(warns());
    let path = device.write("home/credentials", b"[s3]\naccess_key_id = anna\nsecret_access_key = hunter2\n");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!warns());
}

#[test]
fn a_schedule_is_shown_changed_and_taken_back() {
    let device = with_profile();
    run(&device, "exit 0", &["schedule", "enable", "--profile", "chats", "--daily", "03:00"]);
    let done = run(&device, "exit 0", &["schedule", "enable", "--profile", "chats", "--hourly"]);
    assert!(done.status.success(), "{done:?}");
    let answers = "case \"$*\" in *ActiveState*) echo active;; *Next*) echo tomorrow;; *Last*) echo today;; *Result*) echo success;; esac";
    let shown = run(&device, answers, &["schedule", "status"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), "chats  hourly  next tomorrow, last today (success)\n");
    let shown = run(&device, "exit 1", &["schedule", "status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!((&json["schedules"][0]["when"], &json["schedules"][0]["active"]), (&"hourly".into(), &false.into()));
    run(&device, "exit 0", &["schedule", "disable", "--profile", "chats"]);
    assert_eq!(crate::device::files_below(&device.path("config")), [] as [std::path::PathBuf; 0]);
    let again = run(&device, "exit 0", &["schedule", "disable", "--profile", "chats"]);
    assert!(
        again.status.success() && String::from_utf8_lossy(&again.stderr).contains("was not scheduled"),
        "{again:?}"
    );
}

#[test]
fn who_removes_a_profile_that_is_scheduled_is_told_so() {
    let device = with_profile();
    run(&device, "exit 0", &["schedule", "enable", "--profile", "chats", "--hourly"]);
    let removed = run(&device, "exit 0", &["profile", "remove", "chats"]);
    let said = String::from_utf8_lossy(&removed.stderr).into_owned();
    assert!(removed.status.success() && said.contains("coffer schedule disable --profile chats"), "{said}");
    run(&device, "exit 0", &["profile", "add", "chats", "chats"]);
    run(&device, "exit 0", &["schedule", "disable", "--profile", "chats"]);
    let removed = run(&device, "exit 0", &["profile", "remove", "chats"]);
    assert!(removed.status.success() && removed.stderr.is_empty(), "{removed:?}");
}

#[test]
fn without_a_running_systemd_the_timer_waits_for_the_next_login() {
    let device = with_profile();
    let done = run(&device, "echo no bus >&2; exit 1", &["schedule", "enable", "--profile", "chats", "--hourly"]);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("no bus") && said.contains("next login"), "{said}");
    assert!(device.path(&format!("{UNITS}/timers.target.wants/coffer-backup-chats.timer")).exists());
}

#[test]
fn refuses_a_profile_that_is_not_there_and_a_time_that_is_none() {
    let device = with_profile();
    for (arguments, said) in [
        (&["--profile", "other", "--hourly"][..], "there is no profile other"),
        (&["--profile", "chats", "--daily", "25:00"], "03:00"),
        (&["--profile", "chats"], "required"),
        (&["--profile", "chats", "--hourly", "--daily", "03:00"], "cannot be used with"),
        (&["--profile", "../x", "--hourly"], "a-z"),
    ] {
        let refused = run(&device, "exit 0", &[&["schedule", "enable"], arguments].concat());
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(said), "{refused:?}");
    }
    assert!(!device.path("config").exists());
}
