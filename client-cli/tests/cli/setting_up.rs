//! `coffer init`, and what a device keeps of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::device::Device;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_limit_that_does_not_hold_for_a_folder_is_not_passed_over_in_silence() {
    let device = Device::with_archive();
    device.coffer(["--limit-rate", "1M", "backup", "chats"]).succeeds().warns("the limit holds for services only");
    // Once, where two folders are written to.
    let run = device.coffer(["--limit-rate", "1M", "copy", "--to", "second"]).succeeds();
    assert_eq!(run.stderr.matches("the limit holds for services only").count(), 1, "{}", run.stderr);
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

#[test]
fn refuses_what_looks_remote_or_was_not_expanded() {
    let device = Device::new();
    for address in ["host:backups", "anna@host:/srv", "~/backups"] {
        device.coffer(["init", address]).fails(2).warns(&format!("write ./{address}"));
        device.coffer(["--archive", address, "snapshots"]).fails(2);
    }
    assert!(!device.home().exists() && !device.path("host:backups").exists() && !device.path("~").exists());
    device.coffer(["init", "./host:backups"]).succeeds();
}

#[test]
fn refuses_an_empty_address() {
    let device = Device::new();
    device.coffer(["init", ""]).fails(2).warns("the archive's address is empty");
}

#[test]
fn refuses_a_folder_that_holds_something_else() {
    let device = Device::new();
    device.coffer(["init", "chats"]).fails(14).warns("not empty").warns("name an empty folder");
    // What was begun is no obstacle.
    device.coffer(["init", device.archive()]).succeeds();
}

#[test]
fn an_archive_without_its_header_is_not_made_anew() {
    let device = Device::with_backup();
    fs::remove_file(device.path("archive/coffer.json")).unwrap();
    let run = device.coffer(["snapshots"]).fails(11).warns("your copy of coffer.json");
    assert!(!run.stderr.contains("coffer init"), "{}", run.stderr);
    device.coffer(["--home", "other", "init", device.archive()]).fails(11);
    assert!(!device.path("archive/coffer.json").exists());
}

/// Joins the archive at `url` on the device itself.
fn join(device: &Device, url: &str, digits: &str) -> crate::device::Run {
    device.coffer_with_input(["--recovery-key-file", "-", "init", "--join", url], digits)
}

#[test]
fn joining_again_puts_a_lost_key_back() {
    let device = Device::with_backup();
    let (digits, head) = (device.digits(), device.coffer(["status", "--json"]).json());
    fs::remove_file(device.key_file()).unwrap();
    device.coffer(["snapshots"]).fails(10).warns("coffer init --join URL");
    join(&device, device.archive(), &"ab".repeat(32)).fails(10);
    join(&device, device.archive(), &digits).succeeds();
    assert_eq!((device.digits(), mode(&device.key_file())), (digits.clone(), 0o600));
    let status = device.coffer(["status", "--json"]).succeeds().json();
    assert_eq!(status["device"]["remembered_receipt"], head["device"]["remembered_receipt"]);
    join(&device, device.archive(), &digits).fails(14);
}

#[test]
fn joining_again_tells_the_device_that_the_archive_moved() {
    let device = Device::with_backup();
    let digits = device.digits();
    fs::rename(device.archive(), device.path("moved")).unwrap();
    join(&device, "moved", &digits).succeeds();
    device.coffer(["snapshots"]).succeeds();
    assert_eq!(device.digits(), digits);
}

#[test]
fn joining_again_keeps_the_memory() {
    let device = Device::with_backup();
    let digits = device.digits();
    crate::device::copy_folder(&device.path("archive"), &device.path("older"));
    device.back_up();
    join(&device, "older", &digits).fails(12);
}

#[test]
fn joining_again_takes_over_neither_another_archive_nor_its_key() {
    let device = Device::with_backup();
    let digits = device.digits();
    let other = Device::with_backup();
    join(&device, other.archive(), &other.digits()).fails(14);
    fs::copy(other.key_file(), device.key_file()).unwrap();
    join(&device, device.archive(), &digits).fails(1).warns("holds a key");
    assert_eq!(device.read("home/key"), other.read("home/key"));
}

#[test]
fn a_garbled_configuration_is_not_in_the_way_of_the_digits() {
    let device = Device::with_backup();
    let digits = device.digits();
    device.write("home/config.json", b"{");
    device.coffer(["snapshots"]).fails(1).warns("--archive URL with --recovery-key-file FILE");
    let commands: [&[&str]; 4] = [&["restore", "--to", "back"], &["snapshots"], &["ls"], &["verify"]];
    for command in commands {
        let options = ["--archive", device.archive(), "--recovery-key-file", "-"];
        let run = device.coffer_with_input(options.iter().chain(command), &digits).succeeds();
        run.warns("going on without it");
    }
}

/// Otherwise the vault would have a new password, and the device would not know of it.
#[test]
fn asks_no_vault_for_anything_while_its_home_cannot_be_written() {
    let device = Device::with_archive();
    // What the configuration is replaced through: a folder there cannot be written even by root.
    fs::create_dir(device.home().join("config.new")).unwrap();
    let vault = format!("https://127.0.0.1:1/#{}", "0a".repeat(32));
    let protect = ["protect", "password", "--vault", &vault, "--token-file", "none"];
    device.coffer(protect).fails(1).warns("cannot write").warns("config.json");
    fs::remove_dir(device.home().join("config.new")).unwrap();
    device.coffer(protect).fails(1).warns("cannot read");
}

#[test]
fn names_both_ways_to_the_key_when_it_joins_without_one() {
    let device = Device::with_archive();
    let run = device.coffer(["--home", "other", "init", "--join", device.archive()]).fails(10);
    run.warns("--recovery-key-file FILE").warns("--vault ADDRESS --token-file FILE");
}
