//! Changes that hide: within a second, with the times set back, by a rename. None goes unnoticed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use coffer_archive::{BackupOptions, Progress};
use support::{Fixture, same_tree};

fn restores_right(fixture: &Fixture) {
    fixture.backup();
    fixture.clear_restored();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

#[test]
fn a_change_of_the_same_size_right_after_the_backup_is_noticed() {
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    for round in 0..30 {
        fs::write(&path, format!("content {round:04}")).unwrap();
        restores_right(&fixture);
    }
}

/// Written again in place before the clock has moved on: times and size may all be the same.
#[test]
fn a_change_within_one_tick_of_the_clock_is_noticed() {
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    for round in 0..30 {
        fs::write(&path, format!("one {round:04}")).unwrap();
        fixture.backup();
        fs::write(&path, format!("two {round:04}")).unwrap();
        restores_right(&fixture);
    }
}

#[test]
fn a_change_with_the_time_set_back_is_noticed() {
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    let then = SystemTime::now() - Duration::from_secs(86_400);
    for content in ["first", "other", "third"] {
        fs::write(&path, content).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        support::let_the_clock_tick();
        restores_right(&fixture);
        assert_eq!(fs::read_to_string(fixture.restored().join("file")).unwrap(), content);
    }
}

/// Stores into a page of a file through a memory map, whenever it is told to.
const MAPPED: &str = "
import mmap, sys
with open(sys.argv[1], 'r+b') as file, mmap.mmap(file.fileno(), 0) as mapped:
    for line in sys.stdin:
        mapped[0:5] = line[:5].encode()
        print('stored', flush=True)
";

/// The kernel notes the time of the first store into a clean page only.
#[test]
fn what_a_memory_map_changed_without_a_trace_is_read_by_force() {
    let fixture = Fixture::new();
    let path = fixture.source.join("store");
    fs::write(&path, [b'-'; 8192]).unwrap();
    let mut writer = Command::new("python3");
    let writer = writer.args(["-c", MAPPED]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    let (mut orders, answers) = (writer.stdin.take().unwrap(), writer.stdout.take().unwrap());
    let mut answers = BufReader::new(answers);
    let mut store = |content: &str| {
        writeln!(orders, "{content}").unwrap();
        answers.read_line(&mut String::new()).unwrap();
    };
    store("first");
    support::let_the_clock_tick();
    fixture.backup();
    store("later");
    let options = BackupOptions { force: true, ..fixture.backup_options() };
    let report = fixture.open().backup(&options, &Progress::default()).unwrap();
    assert_eq!((report.files_unchanged, report.bytes_read), (0, 8192));
    fixture.restore("latest");
    assert!(fs::read(fixture.restored().join("store")).unwrap().starts_with(b"later"));
    drop(orders);
    assert!(writer.wait().unwrap().success());
}

#[test]
fn a_file_replaced_by_a_rename_with_the_same_size_and_time_is_noticed() {
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    let then = SystemTime::now() - Duration::from_secs(86_400);
    for content in ["first", "other", "third"] {
        let new = fixture.folder.path().join("new");
        fs::write(&new, content).unwrap();
        File::options().write(true).open(&new).unwrap().set_modified(then).unwrap();
        fs::rename(&new, &path).unwrap();
        support::let_the_clock_tick();
        restores_right(&fixture);
    }
}

/// As `rsync --inplace --times` does. What is stored is one of the two contents, or is named.
#[test]
fn a_file_written_while_it_is_read_with_its_time_set_back_is_not_taken_for_whole() {
    const LEN: usize = 16 << 20;
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    fs::write(&path, vec![0; LEN]).unwrap();
    let then = SystemTime::now() - Duration::from_secs(86_400);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(then).unwrap();
    let is_over = AtomicBool::new(false);
    let backups: Vec<_> = std::thread::scope(|scope| {
        scope.spawn(|| {
            for content in (1..=255).cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                file.write_all_at(&vec![content; LEN], 0).unwrap();
                file.set_modified(then).unwrap();
                std::thread::sleep(Duration::from_millis(15));
            }
        });
        let backups = (0..12).map(|_| fixture.backup()).collect();
        is_over.store(true, Ordering::Relaxed);
        backups
    });
    for report in backups {
        fixture.clear_restored();
        fixture.restore(&report.snapshot.head.number.to_string());
        let content = fs::read(fixture.restored().join("file")).unwrap();
        let is_one = content.iter().all(|byte| *byte == content[0]);
        assert!(is_one || !report.problems.is_empty(), "snapshot {}", report.snapshot.head.number);
    }
}

#[test]
fn a_change_of_metadata_alone_is_noticed_and_costs_little() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new();
    let path = fixture.source.join("file");
    fs::write(&path, support::noise(2_000_000, 1)).unwrap();
    restores_right(&fixture);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    restores_right(&fixture);
    xattr::set(&path, "user.note", b"new").unwrap();
    let report = fixture.backup();
    assert!(report.bytes_stored < 3_000, "{} bytes", report.bytes_stored);
    restores_right(&fixture);
}

#[test]
fn every_change_of_kind_is_noticed() {
    let fixture = Fixture::new();
    let path = fixture.source.join("it");
    fs::write(&path, "a file").unwrap();
    restores_right(&fixture);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inner"), "a folder").unwrap();
    restores_right(&fixture);
    fs::remove_dir_all(&path).unwrap();
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    restores_right(&fixture);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file again").unwrap();
    restores_right(&fixture);
    fs::remove_file(&path).unwrap();
    restores_right(&fixture);
}
