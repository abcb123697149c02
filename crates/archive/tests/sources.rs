//! Sources that resist: unreadable, moving, strange.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coffer_archive::{Archive, BackupOptions, OpenOptions, Progress};
use support::{Fixture, destination, key, noise, same_tree};

/// Backs up beside a thread that does `disturb` again and again; then restores.
fn backup_beside(fixture: &Fixture, disturb: impl Fn() + Sync) -> coffer_archive::BackupReport {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                disturb();
            }
        });
        let report = fixture.try_backup();
        done.store(true, Ordering::Relaxed);
        report.unwrap()
    })
}

#[test]
fn a_file_whose_read_fails_is_a_problem_and_the_rest_is_backed_up() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("other"), "other").unwrap();
    let sources = vec!["/proc/self/mem".into(), fixture.source.clone()];
    let options = BackupOptions { sources, host: "test".to_owned(), ..BackupOptions::default() };
    let report = fixture.open().backup(&options, &Progress::default()).unwrap();
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].path.ends_with("mem"));
    assert_eq!((report.snapshot.problems, report.snapshot.totals.files), (1, 1));
    assert_eq!(fixture.restore("latest").problems, []);
}

/// Run by the next test as a user who may not read everything.
#[test]
#[ignore = "run by another test, as a process of its own"]
fn child() {
    let Ok(folder) = std::env::var("COFFER_TEST_FOLDER") else { return };
    let folder = Path::new(&folder);
    Archive::init(destination(&folder.join("archive")), &key()).unwrap();
    let mut archive = Archive::open(destination(&folder.join("archive")), &key(), OpenOptions::default()).unwrap();
    let options =
        BackupOptions { sources: vec![folder.join("source")], host: "test".to_owned(), ..BackupOptions::default() };
    let report = archive.backup(&options, &Progress::default()).unwrap();
    let named: Vec<_> = report.problems.iter().map(|problem| problem.path.file_name().unwrap()).collect();
    assert_eq!(named, ["closed folder", "secret"], "{:?}", report.problems);
    assert_eq!(report.snapshot.totals.files, 1);
}

#[test]
fn what_may_not_be_read_is_named_and_the_rest_is_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("closed folder")).unwrap();
    fs::write(source.join("closed folder/inner"), "inner").unwrap();
    fs::write(source.join("secret"), "secret").unwrap();
    fs::write(source.join("open"), "open").unwrap();
    for (path, mode) in [("source/closed folder", 0o700), ("source/secret", 0o600), ("source", 0o755), ("", 0o777)] {
        fs::set_permissions(folder.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(source.join("closed folder"), fs::Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(source.join("secret"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // The test program may lie where that user cannot go.
    let program = folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(&program);
    command.args(["--exact", "child", "--ignored", "--nocapture"]).env("COFFER_TEST_FOLDER", folder.path());
    command.current_dir(folder.path());
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_that_grows_is_stored_as_a_prefix() {
    let fixture = Fixture::new();
    let path = fixture.source.join("log");
    fs::write(&path, vec![b'x'; 20_000_000]).unwrap();
    let file = File::options().append(true).open(&path).unwrap();
    let report = backup_beside(&fixture, || (&file).write_all(&[b'x'; 5_000]).unwrap());
    assert_eq!(report.problems, []);
    assert_eq!(fixture.restore("latest").problems, []);
    let restored = fs::read(fixture.restored().join("log")).unwrap();
    assert!(restored.len() >= 20_000_000 && restored.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_file_that_shrinks_is_a_problem_at_most_and_costs_no_other() {
    let fixture = Fixture::new();
    let path = fixture.source.join("log");
    fs::write(fixture.source.join("other"), "other").unwrap();
    fs::write(&path, noise(8_000_000, 1)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let (long, short) = (noise(8_000_000, 1), 1_000);
    let report = backup_beside(&fixture, || {
        file.set_len(short).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &long, 0).unwrap();
    });
    // None if the backup met it between two of its changes.
    assert!(report.problems.len() <= 1, "{:?}", report.problems);
    assert_eq!(fixture.restore("latest").problems, []);
    assert!(fixture.restored().join("log").exists());
    assert_eq!(fs::read_to_string(fixture.restored().join("other")).unwrap(), "other");
    assert_eq!(fixture.verify(true).problems, []);
}

#[test]
fn sparse_files_that_are_punched_and_cut_while_they_are_read_do_not_disappear() {
    let fixture = Fixture::new();
    let path = fixture.source.join("disk.img");
    fs::write(&path, noise(100_000, 1)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    for round in 0..20 {
        backup_beside(&fixture, || {
            file.set_len(4_000).unwrap();
            file.set_len(3_000_000).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[1; 8_192], 1_000_000).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, &[1; 8_192], 2_900_000).unwrap();
        });
        fixture.clear_restored();
        assert_eq!(fixture.restore("latest").problems, []);
        assert!(fixture.restored().join("disk.img").exists(), "round {round}: not in the snapshot");
    }
}

#[test]
fn files_that_vanish_or_become_something_else_do_not_stop_the_backup() {
    let fixture = Fixture::new();
    for number in 0..300 {
        fs::write(fixture.source.join(format!("still {number}")), noise(5_000, number)).unwrap();
    }
    let shifty = fixture.source.join("shifty");
    let fifo = || {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &shifty, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    };
    for _ in 0..15 {
        let report = backup_beside(&fixture, || {
            for number in 0..50 {
                fs::write(fixture.source.join(format!("m{number}")), "here today").unwrap();
            }
            fs::write(&shifty, noise(100_000, 5)).unwrap();
            for number in 0..50 {
                let _ = fs::remove_file(fixture.source.join(format!("m{number}")));
            }
            fs::remove_file(&shifty).unwrap();
            fs::create_dir(&shifty).unwrap();
            fs::write(shifty.join("inner"), "inner").unwrap();
            fs::remove_dir_all(&shifty).unwrap();
            fifo();
            fs::remove_file(&shifty).unwrap();
            symlink("/etc", &shifty).unwrap();
            fs::remove_file(&shifty).unwrap();
        });
        assert!(report.snapshot.totals.files >= 300);
        fixture.clear_restored();
        assert_eq!(fixture.restore("latest").problems, []);
        for number in 0..300 {
            let restored = fs::read(fixture.restored().join(format!("still {number}"))).unwrap();
            assert!(restored == noise(5_000, number));
        }
        // As a link it may have come back; as a folder with what the link leads to it may not.
        let shifty = fixture.restored().join("shifty");
        assert!(shifty.is_symlink() || !shifty.join("passwd").exists(), "a link was followed");
    }
}

/// A folder and a link to another folder take turns: what lies outside the source is not backed up.
#[test]
fn a_folder_that_becomes_a_link_is_not_followed() {
    let fixture = Fixture::new();
    let outside = fixture.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    for number in 0..50 {
        fs::create_dir(fixture.source.join(format!("d{number}"))).unwrap();
    }
    for round in 0..30 {
        backup_beside(&fixture, || {
            for number in 0..50 {
                let folder = fixture.source.join(format!("d{number}"));
                fs::remove_dir(&folder).unwrap();
                symlink(&outside, &folder).unwrap();
                fs::remove_file(&folder).unwrap();
                fs::create_dir(&folder).unwrap();
            }
        });
        fixture.clear_restored();
        fixture.restore("latest");
        let leaked = (0..50).find(|number| {
            fixture.restored().join(format!("d{number}/secret")).is_file()
                && !fixture.restored().join(format!("d{number}")).is_symlink()
        });
        assert_eq!(leaked, None, "round {round}: a file from outside the source is in the snapshot");
    }
}

#[test]
fn a_socket_is_left_out_and_a_pipe_is_not_opened() {
    let fixture = Fixture::new();
    let _socket = std::os::unix::net::UnixListener::bind(fixture.source.join("socket")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let pipe = fixture.source.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let since = Instant::now();
    let report = fixture.backup();
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!((report.problems.len(), report.notes.len(), report.snapshot.totals.others), (0, 1, 1));
    fixture.restore("latest");
    assert!(!fixture.restored().join("socket").exists());
}

#[test]
fn the_archive_in_its_own_source_is_left_out() {
    let fixture = Fixture::new();
    let inside = fixture.source.join("deep/archive");
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::write(fixture.source.join("file"), noise(100_000, 1)).unwrap();
    symlink(fixture.folder.path(), fixture.folder.path().join("way")).unwrap();
    Archive::init(destination(&inside), &key()).unwrap();
    let through = fixture.folder.path().join("way/source/deep/archive");
    for place in [&inside, &through] {
        let mut archive = Archive::open(destination(place), &key(), OpenOptions::default()).unwrap();
        let report = archive.backup(&fixture.backup_options(), &Progress::default()).unwrap();
        assert_eq!((report.problems.len(), report.notes.len(), report.snapshot.totals.files), (0, 1, 1));
    }
}

#[test]
fn strange_names_come_back() {
    let fixture = Fixture::new();
    let names: [&[u8]; 8] = [
        b"\xff\xfe\xfd",
        b"new\nline",
        b"\x1b[31mred",
        b"..x",
        b"...",
        b" ",
        b"-rf",
        "e\u{301}\u{202e}gnp.exe".as_bytes(),
    ];
    let long = [b'n'; 255];
    for name in names.iter().copied().chain([&long[..], "ü".repeat(127).as_bytes()]) {
        fs::write(fixture.source.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(fixture.source.join(OsStr::from_bytes(b"folder \xc3\x28"))).unwrap();
    symlink(OsStr::from_bytes(&[b'l'; 4095]), fixture.source.join("long link")).unwrap();
    support::let_the_clock_tick();
    assert_eq!(fixture.backup().problems, []);
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    assert_eq!(fixture.backup().files_changed, 0);
}

#[test]
fn two_hundred_levels_come_back() {
    let fixture = Fixture::new();
    let mut folder = fixture.source.clone();
    for level in 0..200 {
        folder = folder.join(format!("level {level}"));
    }
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("bottom"), "bottom").unwrap();
    assert_eq!(fixture.backup().problems, []);
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    assert_eq!(fixture.verify(true).problems, []);
}

/// As deep as a path can be, 4 096 bytes; on a stack like a program's first thread has.
#[test]
fn levels_up_to_the_longest_path_come_back() {
    let work = || {
        let fixture = Fixture::new();
        let mut folder = fixture.source.clone();
        while folder.as_os_str().len() < 4_000 {
            folder = folder.join("d");
        }
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("bottom"), "bottom").unwrap();
        assert_eq!(fixture.backup().problems, []);
        let report = fixture.restore("latest");
        assert_eq!(report.problems, []);
        assert_eq!(report.files, 1);
        assert_eq!(fixture.verify(true).problems, []);
        let mut seen = 0;
        let archive = fixture.open();
        let problems = archive.list(archive.snapshot("latest").unwrap(), None, true, &mut |_, _| seen += 1).unwrap();
        assert!(problems.is_empty() && seen > 1_900);
    };
    let thread = std::thread::Builder::new().stack_size(8 << 20);
    thread.spawn(work).unwrap().join().unwrap();
}

#[test]
fn one_more_file_in_a_folder_of_ten_thousand_costs_little() {
    let fixture = Fixture::new();
    for number in 0..10_000 {
        fs::write(fixture.source.join(format!("message {number:05}.txt")), format!("{number}")).unwrap();
    }
    support::let_the_clock_tick();
    fixture.backup();
    fs::write(fixture.source.join("message 05000a.txt"), "one more").unwrap();
    support::let_the_clock_tick();
    let report = fixture.backup();
    assert_eq!((report.files_new, report.files_changed, report.files_unchanged), (1, 0, 10_000));
    assert!(report.bytes_stored < 150_000, "{} bytes", report.bytes_stored);
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}
