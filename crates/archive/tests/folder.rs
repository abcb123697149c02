//! The folder that an archive lies in belongs to the user first.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;

use coffer_archive::{Archive, DestinationErrorKind, Error, Progress, RestoreOptions};
use support::{Fixture, destination, key, noise};

fn age(path: &std::path::Path) {
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000);
    fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn refuses_to_make_an_archive_in_a_folder_that_holds_something() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis"), "years of work").unwrap();
    let made = Archive::init(destination(folder.path()), &key());
    assert!(matches!(made, Err(Error::NotEmpty { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_backup_sweeps_only_what_backups_left_unfinished() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("file"), noise(1_000, 1)).unwrap();
    let tmp = fixture.archive.join("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let (thesis, leftover) = (tmp.join("thesis.odt"), tmp.join("0123456789abcdef0123456789abcdef"));
    for path in [&thesis, &leftover] {
        fs::write(path, "content").unwrap();
        age(path);
    }
    fixture.backup();
    assert!(thesis.exists() && !leftover.exists());
}

#[test]
fn links_in_the_archive_lead_no_write_and_no_sweep_out_of_it() {
    for folder in ["tmp", "locks", "packs"] {
        let fixture = Fixture::new();
        fs::write(fixture.source.join("file"), noise(1_000, 1)).unwrap();
        let outside = fixture.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let precious = outside.join("0123456789abcdef0123456789abcdef");
        fs::write(&precious, "precious").unwrap();
        age(&precious);
        let place = fixture.archive.join(folder);
        if place.exists() {
            fs::remove_dir_all(&place).unwrap();
        }
        symlink(&outside, &place).unwrap();
        assert!(fixture.try_backup().is_err(), "{folder}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{folder}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
}

/// An archive that is pulled out under an open one is out of reach, not damaged.
#[test]
fn a_folder_that_is_gone_in_the_middle_is_unavailable_and_not_damage() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("file"), noise(1_000, 1)).unwrap();
    fixture.backup();
    let archive = fixture.open();
    fs::rename(&fixture.archive, fixture.folder.path().join("pulled out")).unwrap();
    let options = RestoreOptions { target: fixture.target.clone(), ..RestoreOptions::default() };
    let snapshot = archive.snapshot("latest").unwrap();
    for error in [
        archive.restore(snapshot, &options, &Progress::default()).unwrap_err(),
        archive.verify(true, &Progress::default()).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Destination { kind: DestinationErrorKind::Unavailable, .. }), "{error}");
    }
}

/// Nothing of an object is authentic before its tag fits, so its length must not decide how much memory it takes.
#[test]
fn an_index_longer_than_any_is_named_and_not_read() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("file"), noise(1_000, 1)).unwrap();
    fixture.backup();
    let index = fixture.objects("index").remove(0);
    fs::File::options().write(true).open(&index).unwrap().set_len(33 << 20).unwrap();
    let problems = fixture.verify(false).problems;
    assert!(problems.iter().any(|problem| problem.what.contains("longer than any such object")), "{problems:?}");
    assert_eq!(fixture.restore("latest").problems, []);
}
