//! Message stores: live, locked, interrupted, quiet, and changed day after day.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use coffer_archive::{BackupOptions, BackupReport, Progress};
use rusqlite::Connection;
use support::{Fixture, same_tree};

/// Two tables that every transaction changes together, and one of ballast.
fn create(path: &Path, mode: &str) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", mode).unwrap();
    connection.busy_timeout(Duration::from_secs(20)).unwrap();
    let tables = "create table if not exists a (n integer primary key, noise blob);
        create table if not exists b (n integer primary key, noise blob);
        create table if not exists total (n integer);
        insert into total select 0 where not exists (select 1 from total);";
    connection.execute_batch(tables).unwrap();
    connection
}

fn add(connection: &mut Connection, bytes: u32) {
    let transaction = connection.transaction().unwrap();
    for statement in ["insert into a (noise) values (randomblob(?))", "insert into b (noise) values (randomblob(?))"] {
        transaction.execute(statement, [bytes]).unwrap();
    }
    transaction.execute("update total set n = n + 1", []).unwrap();
    transaction.commit().unwrap();
}

/// How many transactions a restored copy holds. It is whole, and holds each of them in full.
fn transactions(path: &Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    let one = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    let check: String = connection.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", path.display());
    let counts = ["select count(*) from a", "select max(n) from a", "select count(*) from b", "select n from total"];
    let counts = counts.map(|query| one(&query.replace("max(n)", "coalesce(max(n), 0)")));
    assert!(counts.iter().all(|count| *count == counts[0]), "torn: {counts:?}");
    counts[0]
}

/// The database of a child process (this very test program), which does `role` with it until it is killed.
struct Writer(Child);

impl Writer {
    fn start(role: &str, database: &Path, mode: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env("COFFER_TEST_ROLE", role)
            .env("COFFER_TEST_DATABASE", database)
            .env("COFFER_TEST_MODE", mode)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let since = Instant::now();
        while !ready(database).exists() {
            assert!(since.elapsed() < Duration::from_secs(20), "the writer does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        fs::remove_file(ready(database)).unwrap();
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file outside the source tells that the writer is at work.
fn ready(database: &Path) -> PathBuf {
    database.parent().unwrap().with_extension("ready")
}

#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn child() {
    let Ok(role) = std::env::var("COFFER_TEST_ROLE") else { return };
    let database = PathBuf::from(std::env::var("COFFER_TEST_DATABASE").unwrap());
    let mut connection = create(&database, &std::env::var("COFFER_TEST_MODE").unwrap());
    match role.as_str() {
        "write" => loop {
            add(&mut connection, 3_000);
            // Without a pause, a writer with a rollback journal keeps readers out for good.
            std::thread::sleep(Duration::from_millis(3));
            if !ready(&database).exists() && transactions_so_far(&connection) == 20 {
                fs::write(ready(&database), "").unwrap();
            }
        },
        "lock" => connection.execute_batch("begin exclusive; update total set n = n").unwrap(),
        "spill" => {
            (0..50).for_each(|_| add(&mut connection, 4_000));
            // Pages of the open transaction go into the file long before it ends.
            connection
                .execute_batch("pragma cache_size = 5; begin immediate; update a set noise = randomblob(4000)")
                .unwrap();
            connection.execute_batch("insert into a (noise) select randomblob(3000) from a").unwrap();
        }
        "write-in-wal" => (0..50).for_each(|_| add(&mut connection, 4_000)),
        other => panic!("{other}"),
    }
    fs::write(ready(&database), "").unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

fn transactions_so_far(connection: &Connection) -> i64 {
    connection.query_row("select n from total", [], |row| row.get(0)).unwrap()
}

fn restored(fixture: &Fixture) -> PathBuf {
    fixture.clear_restored();
    assert_eq!(fixture.restore("latest").problems, []);
    fixture.restored().join("store.db")
}

fn ten_backups_beside_a_writer(mode: &str) {
    let fixture = Fixture::new();
    let writer = Writer::start("write", &fixture.source.join("store.db"), mode);
    let mut last = 0;
    for _ in 0..10 {
        let report = fixture.backup();
        assert_eq!(report.problems, [], "{mode}");
        let held = transactions(&restored(&fixture));
        assert!(held >= last, "{mode}: {held} transactions after {last}");
        last = held;
    }
    assert!(last > 20, "{mode}: only {last} transactions");
    writer.kill();
}

#[test]
fn a_database_in_wal_mode_that_is_written_to_restores_consistent() {
    ten_backups_beside_a_writer("wal");
}

#[test]
fn a_database_with_a_rollback_journal_that_is_written_to_restores_consistent() {
    ten_backups_beside_a_writer("delete");
}

#[test]
fn a_database_with_a_persistent_or_truncated_journal_that_is_written_to_restores_consistent() {
    ten_backups_beside_a_writer("persist");
    ten_backups_beside_a_writer("truncate");
}

#[test]
fn a_database_locked_exclusively_is_a_problem_or_whole_and_does_not_hang() {
    for mode in ["wal", "delete"] {
        let fixture = Fixture::new();
        drop(create(&fixture.source.join("store.db"), mode));
        fs::write(fixture.source.join("other"), "other").unwrap();
        let writer = Writer::start("lock", &fixture.source.join("store.db"), mode);
        let since = Instant::now();
        let report = fixture.backup();
        assert!(since.elapsed() < Duration::from_secs(12), "{mode}: waited {:?}", since.elapsed());
        writer.kill();
        fixture.restore("latest");
        assert_eq!(fs::read_to_string(fixture.restored().join("other")).unwrap(), "other");
        assert_eq!(transactions(&fixture.restored().join("store.db")), 0, "{mode}: {report:?}");
    }
}

/// The journal of a writer killed in the middle undoes what it left half done, here as there.
#[test]
fn a_hot_journal_of_a_killed_writer_restores_to_what_sqlite_recovers() {
    let fixture = Fixture::new();
    let database = fixture.source.join("store.db");
    Writer::start("spill", &database, "delete").kill();
    assert!(fs::metadata(fixture.source.join("store.db-journal")).unwrap().len() > 0, "no hot journal");
    let report = fixture.backup();
    assert_eq!(transactions(&restored(&fixture)), 50);
    assert_eq!(report.problems, [], "nothing changed while it was read");
}

#[test]
fn a_wal_left_by_a_killed_writer_restores_to_what_sqlite_recovers() {
    let fixture = Fixture::new();
    let database = fixture.source.join("store.db");
    Writer::start("write-in-wal", &database, "wal").kill();
    assert!(fs::metadata(fixture.source.join("store.db-wal")).unwrap().len() > 0, "no WAL");
    assert_eq!(fixture.backup().problems, []);
    assert_eq!(transactions(&restored(&fixture)), 50);
}

/// As in a folder copied from a telephone: database and WAL, and nobody who has them open.
#[test]
fn a_wal_that_nobody_has_open_is_copied_without_touching_the_source() {
    let fixture = Fixture::new();
    let database = fixture.source.join("store.db");
    Writer::start("write-in-wal", &database, "wal").kill();
    fs::remove_file(fixture.source.join("store.db-shm")).unwrap();
    let before = names(&fixture.source);
    assert_eq!(fixture.backup().problems, []);
    assert_eq!(transactions(&restored(&fixture)), 50);
    assert_eq!(names(&fixture.source), before, "a backup only reads its source");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut names: Vec<_> = entries
        .map(|entry| {
            let metadata = entry.metadata().unwrap();
            let name = entry.file_name().into_string().unwrap();
            format!("{name} {} {} {}", metadata.len(), metadata.mtime(), metadata.mtime_nsec())
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_quiet_database_restores_byte_for_byte_and_is_not_touched() {
    for mode in ["delete", "wal", "truncate"] {
        let fixture = Fixture::new();
        let mut connection = create(&fixture.source.join("store.db"), mode);
        (0..30).for_each(|_| add(&mut connection, 2_000));
        drop(connection);
        let folder = |path: &Path| (fs::metadata(path).unwrap().mtime(), fs::metadata(path).unwrap().mtime_nsec());
        let before = (names(&fixture.source), folder(&fixture.source));
        support::let_the_clock_tick();
        assert_eq!(fixture.backup().problems, []);
        assert_eq!((names(&fixture.source), folder(&fixture.source)), before, "{mode}: the source was touched");
        restored(&fixture);
        same_tree(&fixture.source, &fixture.restored());
        assert_eq!(fixture.backup().files_changed, 0, "{mode}");
    }
}

/// Everything new lies in the WAL: the database's own file is as it was.
#[test]
fn what_lies_in_the_wal_alone_is_in_the_next_backup() {
    for named in ["", "store.db"] {
        let fixture = Fixture::new();
        let database = fixture.source.join("store.db");
        let mut connection = create(&database, "wal");
        connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
        (0..5).for_each(|_| add(&mut connection, 1_000));
        // From here on the database's own file stays as it is, and no transaction makes it longer.
        connection.execute_batch("pragma wal_checkpoint(truncate); create temp table x (n)").unwrap();
        let set = |value: i64| connection.execute("update total set n = ?", [value]).unwrap();
        set(100);
        support::let_the_clock_tick();
        // The folder is named, or the very file.
        let options = BackupOptions {
            sources: vec![fixture.source.join(named)],
            host: "test".to_owned(),
            ..BackupOptions::default()
        };
        let backup = || -> BackupReport { fixture.open().backup(&options, &Progress::default()).unwrap() };
        backup();
        support::let_the_clock_tick();
        set(200);
        backup();
        fixture.restore("latest");
        let copy = if named.is_empty() { fixture.restored().join("store.db") } else { fixture.target.join("store.db") };
        assert_eq!(transactions_so_far(&Connection::open(&copy).unwrap()), 200, "named: {named:?}");
    }
}

#[test]
fn a_file_that_only_looks_like_a_database_is_stored_as_it_is() {
    let fixture = Fixture::new();
    for (name, page) in [("a", [0x10, 0]), ("b", [0, 1]), ("c", [0xff, 0xff]), ("d", [2, 0])] {
        let bytes = [b"SQLite format 3\0".to_vec(), page.to_vec(), support::noise(70_001, page[0].into())].concat();
        fs::write(fixture.source.join(name), &bytes).unwrap();
        fs::write(fixture.source.join(format!("{name}-shm")), "of nobody").unwrap();
    }
    fs::write(fixture.source.join("cut short"), b"SQLite format 3\0").unwrap();
    fs::write(fixture.source.join("orphan-wal"), "no database").unwrap();
    let report = fixture.backup();
    fixture.restore("latest");
    same_tree(&fixture.source, &fixture.restored());
    assert_eq!(report.problems, [], "nothing changed while it was read");
}

#[test]
fn a_file_that_only_looks_like_a_database_is_stored_as_it_is_even_beside_a_journal() {
    for suffix in ["-wal", "-journal"] {
        let fixture = Fixture::new();
        for (name, page) in [("a", [0x10, 0]), ("b", [0, 1]), ("c", [2, 0])] {
            let bytes = [b"SQLite format 3\0".to_vec(), page.to_vec(), support::noise(70_001, page[0].into())].concat();
            fs::write(fixture.source.join(name), &bytes).unwrap();
            fs::write(fixture.source.join(format!("{name}{suffix}")), support::noise(9_000, 3)).unwrap();
        }
        let before = names(&fixture.source);
        let report = fixture.backup();
        fixture.restore("latest");
        assert!(support::contents(&fixture.source) == support::contents(&fixture.restored()), "{report:?}");
        assert_eq!(names(&fixture.source), before);
        assert_eq!(report.problems, [], "nothing changed while it was read");
    }
}

/// What lies behind the last page is not SQLite's, but it is the user's.
#[test]
fn a_database_with_something_behind_it_comes_back_whole_beside_a_journal() {
    let fixture = Fixture::new();
    let database = fixture.source.join("store.db");
    let mut connection = create(&database, "persist");
    (0..5).for_each(|_| add(&mut connection, 1_000));
    drop(connection);
    let bytes = [fs::read(&database).unwrap(), support::noise(50_000, 4)].concat();
    fs::write(&database, &bytes).unwrap();
    let report = fixture.backup();
    let copy = fs::read(restored(&fixture)).unwrap();
    assert!(copy.len() >= bytes.len() || !report.problems.is_empty(), "{} of {} bytes", copy.len(), bytes.len());
}

/// Two threads of one program, one device: their copies of live databases do not meet.
#[test]
fn two_backups_at_once_copy_their_databases_apart() {
    for round in 0..5 {
        let fixture = Fixture::new();
        let folders = [0, 1].map(|number| fixture.folder.path().join(format!("source {number}")));
        let connections = [0, 1].map(|number: usize| {
            fs::create_dir(&folders[number]).unwrap();
            let mut connection = create(&folders[number].join("store.db"), "wal");
            connection.pragma_update(None, "synchronous", "off").unwrap();
            (0..100 + 100 * number).for_each(|_| add(&mut connection, 40_000));
            connection
        });
        std::thread::scope(|scope| {
            let runs = [0, 1].map(|number: usize| {
                let options = BackupOptions {
                    sources: vec![folders[number].clone()],
                    host: number.to_string(),
                    ..BackupOptions::default()
                };
                let fixture = &fixture;
                scope.spawn(move || fixture.open().backup(&options, &Progress::default()).unwrap())
            });
            for run in runs {
                assert_eq!(run.join().unwrap().problems, [], "round {round}");
            }
        });
        let archive = fixture.open();
        for snapshot in archive.snapshots() {
            fixture.clear_restored();
            let options = coffer_archive::RestoreOptions { target: fixture.target.clone(), ..Default::default() };
            assert_eq!(archive.restore(snapshot, &options, &Progress::default()).unwrap().problems, []);
            let expected = if snapshot.host == "0" { 100 } else { 200 };
            let copy = fixture.target.join(&snapshot.sources[0]).join("store.db");
            assert_eq!(transactions(&copy), expected, "round {round}, {}", snapshot.host);
        }
        drop(connections);
    }
}

/// A killed backup leaves a copy of a message store in the device's folder: the next one removes it.
#[test]
fn copies_left_by_a_killed_backup_are_removed() {
    let fixture = Fixture::new();
    let scratch = fixture.folder.path().join("memory/scratch");
    fs::create_dir_all(&scratch).unwrap();
    fs::write(scratch.join("4194305-0.db"), "a message store").unwrap();
    fs::write(scratch.join("4194305-0.db-journal"), "of it").unwrap();
    drop(create(&fixture.source.join("store.db"), "wal"));
    fixture.backup();
    assert_eq!(names(&scratch), [""; 0]);
}

/// One page in a hundred changes each day, and the file grows now and then.
#[test]
fn ten_days_of_scattered_changes_cost_little_and_each_day_restores() {
    let fixture = Fixture::new();
    let mut connection = create(&fixture.source.join("store.db"), "delete");
    (0..1_200).for_each(|_| add(&mut connection, 3_500));
    drop(connection);
    let first = fixture.backup().bytes_stored;
    let mut copies = vec![fs::read(fixture.source.join("store.db")).unwrap()];
    for day in 2..=10_i64 {
        let mut connection = create(&fixture.source.join("store.db"), "delete");
        let change = "update a set noise = randomblob(3500) where (n * 7919 + ?) % 60 = 0";
        connection.execute(change, [day]).unwrap();
        if day % 3 == 0 {
            (0..40).for_each(|_| add(&mut connection, 3_500));
        }
        drop(connection);
        support::let_the_clock_tick();
        let report = fixture.backup();
        assert_eq!(report.problems, []);
        assert!(report.bytes_stored * 9 < first, "day {day}: {} of {first} bytes", report.bytes_stored);
        copies.push(fs::read(fixture.source.join("store.db")).unwrap());
    }
    for (day, copy) in copies.iter().enumerate() {
        fixture.clear_restored();
        assert_eq!(fixture.restore(&(day + 1).to_string()).problems, []);
        assert!(fs::read(fixture.restored().join("store.db")).unwrap() == *copy, "day {}", day + 1);
    }
    assert_eq!(fixture.verify(true).problems, []);
}
