//! `coffer drill`, `coffer verify --read-data=5%`.

use std::fs;

use crate::device::{Device, files_below, noise};

#[test]
fn a_drill_says_what_it_proved_and_writes_nothing() {
    let device = Device::with_backup();
    let before = files_below(&device.path(""));
    let run = device.coffer(["drill"]).succeeds();
    assert!(run.stdout.contains("restored snapshot 1 into nothing: 2 files, 2 folders, 3.02 kB"), "{}", run.stdout);
    assert!(run.stdout.contains("proved: every byte") && run.stdout.contains("not proved: that you could open"));
    assert_eq!(files_below(&device.path("")), before);
    let digits = device.digits();
    let run = device.coffer_with_input(["--recovery-key-file", "-", "drill", "--json"], &digits).succeeds();
    let json = run.json();
    assert_eq!((&json["files"], &json["bytes"]), (&2.into(), &3016.into()));
    assert!(json["proved"][1].as_str().unwrap().contains("the key that you gave"), "{json}");
}

#[test]
fn a_drill_of_a_damaged_archive_names_what_is_lost() {
    let device = Device::with_backup();
    for pack in files_below(&device.path("archive/packs")) {
        let mut bytes = fs::read(&pack).unwrap();
        bytes[100] ^= 1;
        fs::write(&pack, bytes).unwrap();
    }
    let run = device.coffer(["drill"]).fails(11).warns("lost");
    assert!(!run.stdout.contains("proved: every byte"), "{}", run.stdout);
    device.coffer(["drill", "9"]).fails(19);
}

#[test]
fn a_share_of_the_data_is_read() {
    let device = Device::with_archive();
    // Three packs of noise.
    device.write("chats/noise.jpg", &[b"\xff\xd8\xff", &noise(40 << 20, 1)[..]].concat());
    device.back_up();
    let all = device.coffer(["verify", "--read-data", "--json"]).succeeds().json();
    let some = device.coffer(["verify", "--read-data=5%", "--json"]).succeeds().json();
    let number = |json: &serde_json::Value, name: &str| json[name].as_u64().unwrap();
    assert_eq!((number(&all, "packs_read"), &all["read_data"]), (number(&all, "packs"), &true.into()));
    assert!(number(&some, "packs_read") < number(&all, "packs_read") && some["read_data"] == false, "{some}");
    assert!(number(&some, "bytes_read") >= number(&some, "bytes_stored") / 20 && number(&all, "packs") >= 3, "{some}");
    let said = device.coffer(["verify", "--read-data=50%"]).succeeds().stdout;
    assert!(said.contains("drawn at random") && said.contains("what was read is whole"), "{said}");
    device.coffer(["verify", "--read-data=0%"]).fails(2).warns("5%");
    device.coffer(["verify", "--read-data", "50%"]).succeeds();
}

#[test]
fn a_drill_of_a_backup_with_problems_does_not_prove_that_nothing_is_missing() {
    let device = Device::with_backup();
    assert!(!device.coffer(["drill"]).succeeds().stdout.contains("nothing is missing"));
    fs::remove_dir_all(device.path("chats")).unwrap();
    fs::create_dir(device.path("chats")).unwrap();
    device.coffer(["backup", "chats"]).fails(3);
    let said = device.coffer(["drill"]).succeeds().stdout;
    assert!(said.contains("not proved: that nothing is missing"), "{said}");
}
