//! `coffer snapshots` and `coffer ls`.

use std::os::unix::fs::symlink;

use crate::device::Device;

#[test]
fn lists_snapshots_oldest_first() {
    let device = Device::with_backup();
    device.coffer(["backup", "--host", "laptop", "chats"]).succeeds();
    let listed = device.coffer(["snapshots"]).succeeds().stdout;
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines[0].trim_start().starts_with("1 ") && lines[1].trim_start().starts_with("2 "), "{listed}");
    assert!(lines[1].contains("laptop") && lines[1].contains("/chats"), "{listed}");
}

#[test]
fn an_archive_without_snapshots_is_no_error() {
    let device = Device::with_archive();
    let run = device.coffer(["snapshots"]).succeeds().warns("no snapshot yet");
    assert_eq!(run.stdout, "");
}

#[test]
fn lists_the_top_a_folder_and_everything() {
    let device = Device::with_backup();
    assert_eq!(device.coffer(["ls"]).succeeds().stdout, "chats/\n");
    assert_eq!(device.coffer(["ls", "1", "chats"]).succeeds().stdout, "chats/anna/\nchats/photo.jpg\n");
    let everything = "chats/\nchats/anna/\nchats/anna/messages.txt\nchats/photo.jpg\n";
    assert_eq!(device.coffer(["ls", "latest", "-r"]).succeeds().stdout, everything);
}

#[test]
fn lists_in_full() {
    let device = Device::new();
    symlink("photo.jpg", device.path("chats/newest")).unwrap();
    device.coffer(["init", device.archive()]).succeeds();
    device.back_up();
    let listed = device.coffer(["ls", "-l", "latest", "chats"]).succeeds().stdout;
    assert!(listed.contains("drwx") && listed.contains("-rw-"), "{listed}");
    assert!(listed.contains(" 3000 ") && listed.contains("chats/newest -> photo.jpg"), "{listed}");
}

#[test]
fn says_that_there_is_no_such_snapshot() {
    let device = Device::with_backup();
    device.coffer(["ls", "9"]).fails(19).warns("coffer snapshots");
    device.coffer(["ls", "ffff"]).fails(19);
}

#[test]
fn says_that_the_snapshot_holds_no_such_path() {
    let device = Device::with_backup();
    device.coffer(["ls", "latest", "chats/bert"]).fails(19).warns("chats/bert").warns("coffer ls -r");
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let device = Device::with_backup();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = device.command(["ls", "-r"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn the_root_lists_the_top() {
    let device = Device::with_backup();
    for top in [std::path::Path::new("/"), &device.path("")] {
        assert_eq!(
            device.coffer([std::ffi::OsStr::new("ls"), "1".as_ref(), top.as_ref()]).succeeds().stdout,
            "chats/\n"
        );
    }
}
