//! `coffer init`, and what a device keeps of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::device::Device;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn makes_an_archive_and_keeps_its_key_for_the_owner_only() {
    let device = Device::new();
    let run = device.coffer(["init", device.archive()]).succeeds();
    assert!(run.stdout.contains("made an archive at fs://"), "{}", run.stdout);
    assert!(run.stdout.contains("its key is kept in the file"), "{}", run.stdout);
    assert_eq!((mode(&device.home()), mode(&device.key_file())), (0o700, 0o600));
    assert_eq!(mode(&device.home().join("config.json")), 0o600);
}

#[test]
fn says_what_to_do_next() {
    let device = Device::new();
    device.coffer(["init", device.archive()]).succeeds().warns("coffer protect recovery-key");
}

#[test]
fn refuses_a_second_archive_on_one_device() {
    let device = Device::with_archive();
    let key = device.read("home/key");
    device.coffer(["init", "elsewhere"]).fails(14).warns("this device has an archive already").warns("--home");
    assert!(!device.path("elsewhere").exists());
    assert_eq!(device.read("home/key"), key);
}

#[test]
fn refuses_to_make_an_archive_where_there_is_one() {
    let device = Device::with_archive();
    device.coffer(["--home", "other", "init", device.archive()]).fails(14).warns("--join");
    assert!(!device.path("other").exists());
}

#[test]
fn joins_an_archive_with_its_recovery_key() {
    let device = Device::with_backup();
    let digits = device.digits();
    let join = ["--home", "other", "--recovery-key-file", "-", "init", "--join", device.archive()];
    let run = device.coffer_with_input(join, &digits).succeeds();
    assert!(run.stdout.contains("holds 1 snapshot\n"), "{}", run.stdout);
    assert_eq!(device.coffer(["--home", "other", "key", "show"]).succeeds().stdout, digits);
    let status = device.coffer(["--home", "other", "status", "--json"]).succeeds().json();
    assert_eq!(status["device"]["protected_by"][0], "recovery key, written down");
}

#[test]
fn joins_nothing_with_a_wrong_key() {
    let device = Device::with_archive();
    let join = ["--home", "other", "--recovery-key-file", "-", "init", "--join", device.archive()];
    device.coffer_with_input(join, &"ab".repeat(32)).fails(10);
    assert!(!device.path("other/config.json").exists() && !device.path("other/key").exists());
}

#[test]
fn joins_nothing_where_there_is_no_archive() {
    let device = Device::new();
    device.coffer(["init", "--join", device.archive()]).fails(13).warns("there is no archive at");
}

#[test]
fn refuses_to_overwrite_a_key_that_nothing_explains() {
    let device = Device::with_archive();
    fs::remove_file(device.home().join("config.json")).unwrap();
    let key = device.read("home/key");
    device.coffer(["init", "elsewhere"]).fails(1).warns("holds a key");
    assert_eq!(device.read("home/key"), key);
}

#[test]
fn an_init_that_was_interrupted_goes_on() {
    let device = Device::with_archive();
    let (path, key) = (device.home().join("config.json"), device.read("home/key"));
    let whole: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut unfinished = whole.clone();
    unfinished["archive_id"] = serde_json::Value::Null;
    fs::write(&path, unfinished.to_string()).unwrap();

    device.coffer(["snapshots"]).fails(13);
    device.coffer(["init", device.archive()]).succeeds();
    assert_eq!(device.read("home/key"), key);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap(), whole);
    device.back_up();
}

#[test]
fn an_init_that_was_interrupted_does_not_take_over_another_archive() {
    let device = Device::with_archive();
    fs::create_dir(device.path("other")).unwrap();
    let unfinished = serde_json::json!({
        "version": 1, "archive_url": format!("fs://{}", device.archive()), "archive_id": null,
        "key_store": {"kind": "file"}, "protected_by": [], "created": "2026-07-01T12:00:00Z",
    });
    device.write("other/config.json", unfinished.to_string().as_bytes());
    device.coffer(["--home", "other", "init", device.archive()]).fails(14);
}

#[test]
fn refuses_a_configuration_of_a_later_version() {
    let device = Device::new();
    device.write("home/config.json", br#"{"version": 7, "archives": []}"#);
    device.coffer(["status"]).fails(18).warns("version 7").warns("newer version");
    device.coffer(["init", device.archive()]).fails(18);
}

#[test]
fn refuses_a_configuration_that_is_none() {
    let device = Device::new();
    device.write("home/config.json", b"{");
    device.coffer(["status"]).fails(1).warns("config.json");
}

#[test]
fn a_mistyped_address_makes_no_folder() {
    let device = Device::new();
    device.coffer(["--archive", "typo", "snapshots"]).fails(13);
    device.coffer(["init", "--join", "typo"]).fails(13);
    assert!(!device.path("typo").exists());
}

#[test]
fn refuses_a_service_that_it_does_not_know() {
    let device = Device::new();
    device.coffer(["init", "gopher://example.org/"]).fails(2).warns("gopher");
    assert!(!device.home().exists());
}

#[test]
fn refuses_a_place_where_it_may_not_write() {
    let device = Device::new();
    // Not even root makes folders there.
    device.coffer(["init", "/sys/coffer"]).fails(17).warns("hint: check the permissions");
}

#[test]
fn refuses_the_platforms_key_store_where_none_answers() {
    let device = Device::new();
    let init = ["init", "--key-store", "platform", device.archive()];
    device.coffer(init).fails(1).warns("--key-store file");
    assert!(!device.path("archive").exists() && !device.home().exists());
}

#[test]
fn refuses_another_archive_in_the_place_of_its_own() {
    let device = Device::with_archive();
    fs::rename(device.archive(), device.path("moved")).unwrap();
    device.coffer(["--home", "other", "init", device.archive()]).succeeds();
    device.coffer(["snapshots"]).fails(13).warns("another archive lies at");
    device.coffer(["--archive", "moved", "snapshots"]).succeeds();
}
