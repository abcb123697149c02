//! Real exports, and whole archives made around them, come back byte for byte with their metadata.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::device::Coffer;
use crate::material;
use crate::tree::assert_same;

/// Backs up a folder and restores it on a device that has nothing but the 64 digits.
#[track_caller]
fn comes_back(device: &Coffer, source: &Path) {
    let report = device.back_up(source).json();
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
    let paper = device.paper();
    let other = Coffer::new();
    let target = other.path("restored");
    let run = other.run([
        "restore".as_ref(),
        "--archive".as_ref(),
        device.archive.as_os_str(),
        "--recovery-key-file".as_ref(),
        paper.as_os_str(),
        "--to".as_ref(),
        target.as_os_str(),
    ]);
    run.succeeds();
    assert_same(source, &target.join(source.file_name().unwrap()));
}

#[test]
fn every_export_comes_back() {
    let device = Coffer::with_archive();
    let exports = material::exports();
    let mut folders = 0;
    for export in fs::read_dir(&exports).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        comes_back(&device, &export);
        folders += 1;
    }
    assert!(folders >= 2, "{}", exports.display());
    comes_back(&device, &exports);
    device.verify_all();
}

#[test]
fn a_whatsapp_message_store_comes_back() {
    let device = Coffer::with_archive();
    let folder = device.path("Databases");
    fs::create_dir(&folder).unwrap();
    material::message_store(&folder.join("msgstore.db"));
    comes_back(&device, &folder);

    let restored = device.restore("latest");
    let store = Connection::open(restored.path().join("Databases/msgstore.db")).unwrap();
    let ask = |question: &str| store.query_row(question, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
    assert_ne!(ask("SELECT CAST(count(*) AS TEXT) FROM messages"), "0");
}

#[test]
fn a_message_store_that_is_being_written_to_comes_back_whole() {
    let device = Coffer::with_archive();
    let folder = device.path("Databases");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("msgstore.db");
    material::message_store(&path);
    let store = Connection::open(&path).unwrap();
    store.query_row("PRAGMA journal_mode = wal", [], |row| row.get::<_, String>(0)).unwrap();
    store.execute_batch("CREATE TABLE late (text TEXT); INSERT INTO late VALUES ('only in the log')").unwrap();
    assert!(folder.join("msgstore.db-wal").exists());
    device.back_up(&folder);

    let restored = device.restore("latest");
    assert!(!restored.path().join("Databases/msgstore.db-wal").exists());
    let copy = Connection::open(restored.path().join("Databases/msgstore.db")).unwrap();
    let ask = |question: &str| copy.query_row(question, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(ask("SELECT text FROM late"), "only in the log");
    assert_eq!(ask("PRAGMA integrity_check"), "ok");
}

fn chatgen(program: &Path, arguments: &[&OsStr]) -> String {
    let output = Command::new("python3").arg(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_generated_archive_comes_back_on_day_one_and_day_two() {
    let Some(program) = material::chatgen() else {
        eprintln!("skipped: ../shared/bin/chatgen.py is not beside this repository");
        return;
    };
    let device = Coffer::with_archive();
    let generated = device.path("generated");
    let (folder, live) = (generated.as_os_str(), generated.join("live"));
    chatgen(&program, &["make".as_ref(), folder, "--size".as_ref(), "20M".as_ref()]);
    let first = device.back_up(&live).json();
    chatgen(&program, &["to".as_ref(), folder, "day2".as_ref()]);
    let second = device.back_up(&live).json();
    chatgen(&program, &["to".as_ref(), folder, "day1".as_ref()]);
    let third = device.back_up(&live).json();

    for (snapshot, day) in [("1", "day1"), ("2", "day2"), ("3", "day1")] {
        let restored = device.restore(snapshot);
        let live = restored.path().join("live");
        let said = chatgen(&program, &["verify".as_ref(), folder, live.as_os_str(), day.as_ref()]);
        assert!(said.starts_with("OK "), "{said}");
    }
    assert_same(&live, &device.restore("latest").path().join("live"));
    device.verify_all();
    let [first, second, third] = [first, second, third].map(|report| report["bytes_stored"].as_u64().unwrap());
    eprintln!("stored: day 1 {first}, day 2 {second}, back to day 1 {third} bytes");
    assert!(second < first / 10, "the second day added {second} bytes to {first}");
    assert!(third < second / 5, "the way back added {third} bytes");
}

/// Whatever a file system may hold besides plain files.
#[test]
fn odd_files_come_back() {
    let device = Coffer::with_archive();
    let folder = device.path("odd");
    fs::create_dir(&folder).unwrap();
    let at = |name: &str| folder.join(name);

    fs::create_dir(at("empty folder")).unwrap();
    fs::write(at("empty file"), b"").unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"not \xff UTF-8 \xc3")), b"name").unwrap();
    fs::write(at("new\nline \u{202e}turned"), b"name").unwrap();
    fs::write(folder.join(OsString::from_vec(vec![b'l'; 255])), b"a name of 255 bytes").unwrap();
    symlink("/nonexistent/elsewhere", at("dangling link")).unwrap();
    symlink("empty folder", at("link to a folder")).unwrap();
    fs::hard_link(at("empty file"), at("empty folder/another name")).unwrap();
    fs::write(at("tool"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(at("tool"), Permissions::from_mode(0o4711)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    sparse.set_len(300 << 20).unwrap();
    sparse.write_at(b"in the middle", 100 << 20).unwrap();
    xattr::set(at("tool"), "user.comment", b"bin\0ary").unwrap();
    xattr::set(at("empty folder"), "user.mood", b"calm").unwrap();
    let moment = SystemTime::UNIX_EPOCH - Duration::new(86_400 * 365, 0) + Duration::new(0, 123_456_789);
    File::open(at("empty file")).unwrap().set_times(FileTimes::new().set_modified(moment)).unwrap();
    fs::write(at("nobody may read this"), b"but root").unwrap();
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(at("nobody may read this"), Permissions::from_mode(0o000)).unwrap();
        std::os::unix::fs::lchown(at("tool"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(at("dangling link"), Some(1234), Some(4321)).unwrap();
    }

    comes_back(&device, &folder);
    let restored = device.restore("latest");
    let blocks = fs::metadata(restored.path().join("odd/sparse")).unwrap().blocks();
    assert!(blocks * 512 < 2 << 20, "the holes of a sparse file came back as {} bytes of zeros", blocks * 512);
}
