//! Every stored object flipped, cut, swapped, renamed and removed: it is named, and costs no more than it holds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{Archive, Error, OpenOptions, Progress, VerifyReport};
use support::{Fixture, Outcome, Tiny, destination, key, relative};

/// Runs `check` with each change of an object's bytes in turn, and puts the object back.
fn with_each(path: &Path, changes: impl Iterator<Item = (String, Vec<u8>)>, mut check: impl FnMut(&str)) {
    let whole = fs::read(path).unwrap();
    for (why, changed) in changes {
        fs::write(path, changed).unwrap();
        check(&format!("{}: {why}", path.display()));
    }
    fs::write(path, whole).unwrap();
}

/// One bit flipped at every position. (The version byte becomes an older one; see the test of a later one.)
fn flips(path: &Path) -> impl Iterator<Item = (String, Vec<u8>)> + use<> {
    let whole = fs::read(path).unwrap();
    (0..whole.len()).map(move |at| {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        (format!("byte {at} of {} flipped", changed.len()), changed)
    })
}

fn truncations(path: &Path, step: usize) -> impl Iterator<Item = (String, Vec<u8>)> + use<> {
    let whole = fs::read(path).unwrap();
    (0..whole.len()).step_by(step).map(move |len| (format!("cut to {len}"), whole[..len].to_vec()))
}

fn names(report: &VerifyReport, object: &Path, fixture: &Fixture) -> bool {
    let object = relative(object, &fixture.archive);
    report.problems.iter().any(|problem| problem.path == object)
}

/// Both ways of verifying name the object, and nothing is lost.
fn is_named_and_costs_nothing(tiny: &Tiny, object: &Path, why: &str) -> Outcome {
    let outcome = tiny.outcome(why);
    assert!(names(&outcome.full, object, &tiny.fixture), "{why}: {:?}", outcome.full);
    assert!(names(&outcome.quick, object, &tiny.fixture), "{why}: {:?}", outcome.quick);
    assert!(outcome.lost.is_empty(), "{why}: {:?}", outcome.lost);
    outcome
}

/// Packs that hold files' content, and those that hold the trees.
fn packs(tiny: &Tiny) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let tree_stays_without = |pack: &PathBuf| {
        let aside = pack.with_extension("aside");
        fs::rename(pack, &aside).unwrap();
        let archive = tiny.try_open().unwrap();
        let mut seen = 0;
        let problems = archive.list(&archive.snapshots()[0], None, true, &mut |_, _| seen += 1).unwrap();
        let later = archive.list(&archive.snapshots()[1], None, true, &mut |_, _| seen += 1).unwrap();
        fs::rename(&aside, pack).unwrap();
        problems.is_empty() && later.is_empty()
    };
    tiny.fixture.objects("packs").into_iter().partition(tree_stays_without)
}

fn named_error(opened: Result<Archive, Error>, why: &str) {
    match opened {
        Err(Error::Damaged { object, .. }) | Err(Error::FormatTooNew { object, .. }) => {
            assert_eq!(object, "coffer.json", "{why}");
        }
        Err(other) => panic!("{why}: {other}"),
        Ok(_) => panic!("{why}: opened"),
    }
}

#[test]
fn a_flipped_or_cut_header_is_refused_by_name() {
    let tiny = Tiny::new();
    let header = tiny.fixture.archive.join("coffer.json");
    with_each(&header, flips(&header).chain(truncations(&header, 1)), |why| named_error(tiny.try_open(), why));
    fs::remove_file(&header).unwrap();
    assert!(matches!(tiny.try_open(), Err(Error::HeaderMissing { .. })));
    let again = Archive::init(destination(&tiny.fixture.archive), &key());
    assert!(matches!(again, Err(Error::HeaderMissing { .. })), "a new archive would be mixed into the old one");
}

#[test]
fn a_header_of_another_archive_opens_nothing_of_this_one() {
    let tiny = Tiny::new();
    let other = Fixture::new();
    fs::copy(other.archive.join("coffer.json"), tiny.fixture.archive.join("coffer.json")).unwrap();
    let archive = tiny.try_open().unwrap();
    assert_eq!((archive.snapshots().len(), archive.damaged_snapshots().len()), (0, 2));
    assert!(matches!(archive.snapshot("latest"), Err(Error::Damaged { .. })));
    assert!(!archive.verify(false, &Progress::default()).unwrap().problems.is_empty());
    assert!(matches!(tiny.fixture.try_open(), Err(Error::Damaged { .. } | Error::Rollback { .. })));
}

#[test]
fn a_flipped_or_cut_index_is_named_and_costs_nothing() {
    let tiny = Tiny::new();
    for index in tiny.fixture.objects("index") {
        with_each(&index, flips(&index).chain(truncations(&index, 3)), |why| {
            is_named_and_costs_nothing(&tiny, &index, why);
        });
    }
}

#[test]
fn a_flipped_or_cut_snapshot_is_named_and_costs_itself_alone() {
    let tiny = Tiny::new();
    let [first, second] = [0, 1].map(|number| {
        let name = tiny.try_open().unwrap().snapshots()[number].name;
        tiny.fixture.archive.join("snapshots").join(name.to_string())
    });
    with_each(&first, flips(&first).chain(truncations(&first, 1)), |why| {
        let outcome = tiny.outcome(why);
        assert!(names(&outcome.full, &first, &tiny.fixture), "{why}");
        assert!(names(&outcome.quick, &first, &tiny.fixture), "{why}");
        assert!(outcome.lost.is_empty(), "{why}");
    });
    with_each(&second, flips(&second).chain(truncations(&second, 1)), |why| {
        let archive = tiny.try_open().unwrap();
        assert!(matches!(archive.snapshot("latest"), Err(Error::Damaged { .. })), "{why}");
        assert!(names(&archive.verify(false, &Progress::default()).unwrap(), &second, &tiny.fixture), "{why}");
        assert!(matches!(tiny.fixture.try_restore("latest", false), Err(Error::Damaged { .. })), "{why}");
        let (report, found) = tiny.restore("1", why);
        assert!(report.problems.is_empty() && found == tiny.expected_before, "{why}: {report:?}");
    });
}

#[test]
fn a_flipped_or_cut_pack_of_content_costs_the_files_in_it() {
    let tiny = Tiny::new();
    for pack in packs(&tiny).0 {
        let mut with_losses = 0;
        with_each(&pack, flips(&pack), |why| {
            let outcome = tiny.outcome(why);
            assert!(names(&outcome.full, &pack, &tiny.fixture), "{why}: {:?}", outcome.full);
            assert!(outcome.lost.len() < tiny.expected.len(), "{why}: everything is lost");
            with_losses += u32::from(!outcome.lost.is_empty());
        });
        assert!(with_losses > 100, "{with_losses} flips cost a file");
    }
}

#[test]
fn a_flipped_pack_of_trees_is_named_even_without_reading_data() {
    let tiny = Tiny::new();
    for pack in packs(&tiny).1 {
        with_each(&pack, flips(&pack), |why| {
            let outcome = tiny.outcome(why);
            assert!(names(&outcome.full, &pack, &tiny.fixture), "{why}: {:?}", outcome.full);
            assert!(!outcome.quick.problems.is_empty(), "{why}: called sound");
        });
    }
}

#[test]
fn a_pack_cut_at_any_length_is_named_with_exactly_the_files_that_it_costs() {
    let tiny = Tiny::new();
    for pack in tiny.fixture.objects("packs") {
        with_each(&pack, truncations(&pack, 13), |why| {
            let outcome = tiny.outcome(why);
            assert!(names(&outcome.full, &pack, &tiny.fixture), "{why}: {:?}", outcome.full);
            assert!(names(&outcome.quick, &pack, &tiny.fixture), "{why}: {:?}", outcome.quick);
        });
    }
}

#[test]
fn bytes_appended_to_an_object_are_named() {
    let tiny = Tiny::new();
    let objects = ["packs", "index"].map(|folder| tiny.fixture.objects(folder)).concat();
    for object in objects {
        let longer = [fs::read(&object).unwrap(), b"more".to_vec()].concat();
        with_each(&object, [("longer".to_owned(), longer)].into_iter(), |why| {
            is_named_and_costs_nothing(&tiny, &object, why);
        });
    }
}

/// A later version is a reason to stop when the header says so; in one object of an archive of this version, it is
/// a flipped byte like any other.
#[test]
fn a_flipped_version_byte_costs_no_more_than_any_other() {
    let tiny = Tiny::new();
    let later = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[7] ^= 0x40;
        [("a later version".to_owned(), bytes)].into_iter()
    };
    for pack in packs(&tiny).0 {
        with_each(&pack, later(&pack), |why| drop(is_named_and_costs_nothing(&tiny, &pack, why)));
    }
    for index in tiny.fixture.objects("index") {
        with_each(&index, later(&index), |why| drop(is_named_and_costs_nothing(&tiny, &index, why)));
    }
    let first = tiny.try_open().unwrap().snapshots()[0].name.to_string();
    let first = tiny.fixture.archive.join("snapshots").join(first);
    with_each(&first, later(&first), |why| assert!(tiny.outcome(why).lost.is_empty(), "{why}"));
}

#[test]
fn a_swapped_or_renamed_object_is_named() {
    let tiny = Tiny::new();
    for folder in ["index", "packs", "snapshots"] {
        let objects = tiny.fixture.objects(folder);
        for (one, other) in objects.iter().zip(objects.iter().cycle().skip(1)) {
            let replaced = [("replaced by another".to_owned(), fs::read(other).unwrap())].into_iter();
            with_each(one, replaced, |why| {
                if folder == "snapshots" {
                    let archive = tiny.try_open().unwrap();
                    assert_eq!(archive.damaged_snapshots().len(), 1, "{why}");
                    assert!(names(&archive.verify(false, &Progress::default()).unwrap(), one, &tiny.fixture), "{why}");
                    return;
                }
                let outcome = tiny.outcome(why);
                assert!(names(&outcome.full, one, &tiny.fixture), "{why}");
                assert!(names(&outcome.quick, one, &tiny.fixture), "{why}");
            });
            let renamed = one.with_file_name(format!("{}ffff", &one.file_name().unwrap().to_str().unwrap()[..28]));
            fs::rename(one, &renamed).unwrap();
            let archive = tiny.try_open().unwrap();
            let report = archive.verify(false, &Progress::default()).unwrap();
            assert!(names(&report, &renamed, &tiny.fixture), "{}", renamed.display());
            if folder != "snapshots" {
                tiny.outcome("renamed");
            }
            fs::rename(&renamed, one).unwrap();
        }
    }
}

#[test]
fn files_that_are_no_objects_are_left_alone() {
    let tiny = Tiny::new();
    for path in ["packs/README", "index/.DS_Store", "snapshots/desktop.ini", "locks/x", "packs/00/thumbs.db"] {
        let path = tiny.fixture.archive.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not ours").unwrap();
    }
    let outcome = tiny.outcome("foreign files");
    assert!(outcome.full.problems.is_empty() && outcome.lost.is_empty(), "{:?}", outcome.full);
    tiny.fixture.backup();
    assert!(tiny.fixture.archive.join("snapshots/desktop.ini").exists());
}

/// The lock of a backup of this very process, so that it stays.
fn leave_a_lock(tiny: &Tiny) -> PathBuf {
    let big = tiny.fixture.folder.path().join("big");
    fs::write(&big, support::noise(40_000_000, 9)).unwrap();
    let locks = tiny.fixture.archive.join("locks");
    let kept = std::thread::scope(|scope| {
        let poll = scope.spawn(|| {
            loop {
                let found = fs::read_dir(&locks).into_iter().flatten().flatten().next();
                let read = found.and_then(|entry| fs::read(entry.path()).ok().map(|bytes| (entry.path(), bytes)));
                if let Some((path, bytes)) = read {
                    return (path, bytes);
                }
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let options = coffer_archive::BackupOptions {
            sources: vec![big.clone()],
            host: "test".to_owned(),
            ..coffer_archive::BackupOptions::default()
        };
        tiny.try_open().unwrap().backup(&options, &Progress::default()).unwrap();
        poll.join().unwrap()
    });
    fs::write(&kept.0, kept.1).unwrap();
    kept.0
}

#[test]
fn a_flipped_cut_or_swapped_lock_is_named_and_stops_nothing() {
    let tiny = Tiny::new();
    let lock = leave_a_lock(&tiny);
    let archive = tiny.try_open().unwrap();
    assert_eq!(archive.locks().unwrap().len(), 1);
    let quick = || archive.verify(false, &Progress::default()).unwrap();
    assert!(quick().problems.is_empty());
    let whole = fs::read(&lock).unwrap();
    with_each(&lock, flips(&lock).chain(truncations(&lock, 1)), |why| {
        assert!(names(&quick(), &lock, &tiny.fixture), "{why}");
        assert_eq!(archive.locks().unwrap(), [], "{why}");
    });
    for at in [0, 6, 8, 20, 60, 100] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&lock, flipped).unwrap();
        tiny.fixture.backup();
    }
    fs::write(&lock, &whole).unwrap();
    let renamed = lock.with_file_name("0".repeat(32));
    fs::rename(&lock, &renamed).unwrap();
    assert!(names(&quick(), &renamed, &tiny.fixture));
}

#[test]
fn a_lock_of_a_later_version_is_named_and_stops_nothing() {
    let tiny = Tiny::new();
    let lock = leave_a_lock(&tiny);
    let mut later = fs::read(&lock).unwrap();
    later[7] ^= 0x40;
    fs::write(&lock, later).unwrap();
    tiny.fixture.backup();
    assert!(names(&tiny.fixture.verify(false), &lock, &tiny.fixture));
}

#[test]
fn an_archive_opened_by_a_device_that_forgot_still_names_damage() {
    let tiny = Tiny::new();
    for snapshot in tiny.fixture.objects("snapshots") {
        fs::write(snapshot, "").unwrap();
    }
    let archive = Archive::open(destination(&tiny.fixture.archive), &key(), OpenOptions::default()).unwrap();
    assert!(matches!(archive.snapshot("latest"), Err(Error::Damaged { .. })));
    assert_eq!(archive.verify(false, &Progress::default()).unwrap().problems.len(), 2);
}
