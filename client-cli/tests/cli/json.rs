//! `--json`: one object on standard output, errors as objects on standard error.

use crate::device::Device;

#[test]
fn every_result_is_one_object() {
    let device = Device::new();
    let made = device.coffer(["--json", "init", device.archive()]).succeeds();
    assert_eq!((made.json()["joined"].as_bool(), made.stderr.as_str()), (Some(false), ""));

    let backed_up = device.coffer(["backup", "chats", "--json"]).succeeds().json();
    assert_eq!((&backed_up["files_new"], &backed_up["key_protected"]), (&2.into(), &false.into()));

    let snapshots = device.coffer(["snapshots", "--json"]).succeeds().json();
    assert_eq!(snapshots["snapshots"][0]["receipt"], backed_up["snapshot"]["receipt"]);

    let listed = device.coffer(["ls", "-r", "--json"]).succeeds().json();
    assert_eq!(listed["entries"][2]["path"], "chats/anna/messages.txt");
    assert_eq!((&listed["entries"][2]["size"], &listed["problems"]), (&16.into(), &serde_json::json!([])));

    let restored = device.coffer(["restore", "--to", "back", "--json"]).succeeds().json();
    assert_eq!((&restored["files"], &restored["snapshot"]), (&2.into(), &1.into()));

    let verified = device.coffer(["verify", "--json"]).succeeds().json();
    assert_eq!((&verified["snapshots"], &verified["read_data"]), (&1.into(), &false.into()));

    device.back_up();
    let forgot = device.coffer(["forget", "--keep-last", "1", "--json"]).succeeds().json();
    assert_eq!((&forgot["removed"], &forgot["forgotten"][0]["number"]), (&1.into(), &1.into()));
    assert_eq!(forgot["kept"][0]["reasons"], serde_json::json!(["last"]));
    let pruned = device.coffer(["prune", "--json"]).succeeds().json();
    assert_eq!((&pruned["snapshots"], &pruned["packs_waiting"]), (&1.into(), &0.into()));
    let repaired = device.coffer(["repair", "index", "--json"]).succeeds().json();
    assert_eq!((&repaired["packs"], &repaired["problems"]), (&pruned["packs_kept"], &serde_json::json!([])));
    device.back_up();
    let forgot = device.coffer(["forget", "--keep-last", "1", "--prune", "--json"]).succeeds().json();
    assert_eq!((&forgot["removed"], &forgot["pruned"]["snapshots"]), (&1.into(), &1.into()));
    let unlocked = device.coffer(["unlock", "--json"]).succeeds().json();
    assert_eq!(unlocked, serde_json::json!({"removed": null, "locks": []}));

    let status = device.coffer(["status", "--json"]).succeeds().json();
    assert_eq!(status["archive"]["newest"]["number"], 3);

    let key = device.coffer(["key", "show", "--json"]).succeeds().json();
    assert_eq!(key["recovery_key"].as_str().unwrap(), device.digits().trim_end().replace('\n', " "));
}

#[test]
fn an_empty_listing_is_an_object_too() {
    let device = Device::with_archive();
    std::fs::create_dir(device.path("empty")).unwrap();
    device.coffer(["backup", "empty"]).succeeds();
    let listed = device.coffer(["ls", "latest", "empty", "--json"]).succeeds().json();
    assert_eq!(listed, serde_json::json!({"snapshot": 1, "entries": [], "problems": []}));
}

#[test]
fn an_error_is_an_object_with_its_exit_code() {
    let device = Device::with_backup();
    let error = device.coffer(["--json", "ls", "9"]).fails(19).json_error();
    assert_eq!((&error["code"], &error["kind"]), (&19.into(), &"no-such-snapshot".into()));
    assert!(error["message"].is_string() && error["hint"].is_string(), "{error}");
}

#[test]
fn a_name_that_is_not_utf_8_comes_through_as_bytes() {
    use std::os::unix::ffi::OsStrExt as _;
    let device = Device::with_archive();
    let name = std::ffi::OsStr::from_bytes(b"chats/caf\xe9");
    std::fs::write(device.path("").join(name), b"x").unwrap();
    device.back_up();
    let listed = device.coffer(["ls", "latest", "chats", "--json"]).succeeds().json();
    assert_eq!(listed["entries"][1]["path_hex"], "63686174732f636166e9");
}

#[test]
fn what_is_refused_is_an_error_with_its_own_code() {
    let device = Device::with_backup();
    let newest = device.coffer(["--json", "forget", "1"]).fails(1).json_error();
    assert_eq!(newest["kind"], "newest-snapshot");
    let lock = device.coffer(["--json", "unlock", "ab"]).fails(19).json_error();
    assert_eq!(lock["kind"], "no-such-lock");
}
