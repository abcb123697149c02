//! Rules and presets on the command line.

use std::fs;

use crate::device::Device;

#[test]
fn leaves_out_what_the_rules_say_and_counts_it() {
    let device = Device::with_archive();
    for file in ["chats/a.tmp", "chats/cache/x", "chats/large.bin", "chats/kept.tmp"] {
        device.write(file, &[7; 2000]);
    }
    device.write("rules", b"# what is made again\n\n*.tmp\n!kept.tmp\n");
    let rules = ["--exclude-file", "rules", "--exclude", "/chats/cache", "--exclude", "cache/"];
    let run = device.coffer(["backup", "chats", "--exclude-larger-than", "2.5k"].into_iter().chain(rules)).succeeds();
    assert!(run.stdout.contains("; 2 files and 1 folder left out"), "{}", run.stdout);
    assert_eq!(
        device.coffer(["ls", "-r"]).succeeds().stdout,
        "chats/\nchats/anna/\nchats/anna/messages.txt\nchats/kept.tmp\nchats/large.bin\n"
    );
    run.warns("/chats/cache: this rule left nothing out");
    let json =
        device.coffer(["--json", "backup", "chats", "--exclude", "*.tmp", "--include", "a.tmp"]).succeeds().json();
    assert_eq!((&json["excluded_files"], &json["excluded_folders"]), (&1.into(), &0.into()));
}

#[test]
fn refuses_rules_that_make_no_sense() {
    let device = Device::with_archive();
    device.coffer(["backup", "chats", "--exclude", "a{b"]).fails(2).warns("a{b").warns(".gitignore");
    device.coffer(["backup", "chats", "--exclude-larger-than", "much"]).fails(2).warns("100M");
    device.coffer(["backup", "chats", "--exclude-file", "nowhere"]).fails(1).warns("nowhere");
}

#[test]
fn a_backup_whose_rules_leave_out_everything_is_incomplete() {
    let device = Device::with_archive();
    device.coffer(["backup", "chats", "--exclude", "*"]).fails(3).warns("everything was left out");
}

#[test]
fn a_preset_says_what_it_recognised_and_leaves_out_the_rest() {
    let device = Device::with_archive();
    device.write("Signal/config.json", br#"{"encryptedKey": "0a0b", "safeStorageBackend": "gnome_libsecret"}"#);
    device.write("Signal/sql/db.sqlite", &[0xa5; 4096]);
    device.write("Signal/attachments.noindex/ab/cd", b"12345");
    device.write("Signal/Cache/x", b"x");
    let run = device.coffer(["backup", "--signal", "Signal"]).succeeds();
    let run = run.warns("Signal Desktop (encrypted (SQLCipher)); 1 media files, 5 B").warns("gnome-libsecret");
    assert!(run.stdout.contains("1 folder left out"), "{}", run.stdout);
    let listed = device.coffer(["ls", "-r"]).succeeds().stdout;
    assert!(listed.contains("Signal/config.json") && !listed.contains("Cache"), "{listed}");
    // A person's own rules have the last word.
    device.coffer(["backup", "--signal", "Signal", "--include", "/Cache"]).succeeds();
    assert!(device.coffer(["ls", "-r"]).succeeds().stdout.contains("Signal/Cache/x"));
    let json = device.coffer(["--json", "backup", "chats", "--signal", "Signal"]).succeeds().json();
    assert_eq!(
        (&json["recognised"][0]["what"], &json["recognised"][0]["media"]),
        (&"Signal Desktop".into(), &1.into())
    );
}

#[test]
fn a_preset_refuses_what_it_does_not_recognise() {
    let device = Device::with_archive();
    for preset in ["--whatsapp", "--whatsapp-export", "--signal", "--telegram-export"] {
        device.coffer(["backup", preset, "chats"]).fails(2).warns("chats is not ").warns("`coffer backup PATH`");
    }
    assert!(device.coffer(["snapshots"]).succeeds().stdout.is_empty());
    fs::remove_dir_all(device.path("chats")).unwrap();
    device.coffer(["backup", "--whatsapp", "chats"]).fails(1).warns("chats");
}
