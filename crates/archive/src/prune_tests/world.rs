//! A source that lives, an archive of it in memory, and what each snapshot is to hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coffer_keys::BackupKey;

use crate::archive::{Archive, OpenOptions};
use crate::backup::BackupOptions;
use crate::destination::Destination;
use crate::device::Head;
use crate::envelope::ObjectType;
use crate::error::Error;
use crate::faults::Faults;
use crate::id::ObjectName;
use crate::prune::PruneOptions;
use crate::report::{Progress, PruneReport};
use crate::restore::RestoreOptions;
use crate::rotate::{RotateOptions, RotateReport};
use crate::samples::noise;
use crate::store;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A source, and what each snapshot of it holds, by the snapshot's head: its name changes when it is sealed anew.
pub(super) struct World {
    folder: tempfile::TempDir,
    known: Mutex<BTreeMap<Head, Files>>,
    /// What backups were to hold that were refused. Where a lock was ignored, such a snapshot may have been sealed anew by
    /// then: it is whole.
    refused: Mutex<Vec<Files>>,
    /// Snapshots that nobody forgot.
    expected: Mutex<BTreeSet<Head>>,
    day: AtomicU64,
}

pub(super) fn key() -> BackupKey {
    BackupKey::from_bytes([42; 32])
}

/// The key that it is rotated to.
pub(super) fn next_key() -> BackupKey {
    BackupKey::from_bytes([43; 32])
}

pub(super) fn open_with(place: &Destination, key: &BackupKey) -> Result<Archive, Error> {
    Archive::open(place.clone(), key, OpenOptions::default())
}

/// With the key that it was made with, or the one that it was rotated to.
pub(super) fn open(place: &Destination) -> Result<Archive, Error> {
    match open_with(place, &key()) {
        Err(Error::WrongKey) => open_with(place, &next_key()),
        other => other,
    }
}

/// Rotates the key up to the header of the new epoch, as `coffer key rotate` does: what an interrupted run has begun is
/// found.
pub(super) fn advance(place: &Destination) -> Result<RotateReport, Error> {
    let options = RotateOptions { host: "test".to_owned(), grace: None };
    let mut archive = match open_with(place, &next_key()) {
        Err(Error::WrongKey) => {
            open_with(place, &key())?.prepare_rotation(&key(), &next_key(), "test")?;
            open_with(place, &next_key())?
        }
        other => other?,
    };
    archive.rotate(&options)
}

/// The whole rotation.
pub(super) fn rotate(place: &Destination) -> Result<PruneReport, Error> {
    let report = advance(place)?;
    assert_eq!(report.waits, None);
    open(place)?.finish_rotation(&options(), &Progress::default())
}

pub(super) fn options() -> PruneOptions {
    PruneOptions { host: "test".to_owned(), max_unused: 10, grace: None, dry_run: false }
}

pub(super) fn prune(place: &Destination) -> Result<PruneReport, Error> {
    open(place)?.prune(&options(), &Progress::default())
}

/// The same provider, met by another device on a good line.
pub(super) fn another(place: &Destination) -> Destination {
    let mut other = place.clone();
    other.faults = place.faults.another();
    other
}

/// A provider that holds the same.
pub(super) fn copy(place: &Destination) -> Destination {
    let other = Destination::memory().unwrap();
    for path in place.list("/").unwrap() {
        other.write(&path, place.read(&path, 1 << 30).unwrap()).unwrap();
    }
    other
}

pub(super) fn files(root: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        found.insert(entry.file_name().into(), fs::read(entry.path()).unwrap());
    }
    found
}

/// Locks of runs that died. (Their process is this one, and alive.)
pub(super) fn unlock(place: &Destination) {
    for path in place.list("locks/").unwrap() {
        place.delete(&path).unwrap();
    }
}

impl World {
    pub(super) fn new() -> (Self, Destination) {
        let place = Destination::memory().unwrap();
        Archive::init(place.clone(), &key()).unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            known: Mutex::default(),
            refused: Mutex::default(),
            expected: Mutex::default(),
            day: AtomicU64::new(0),
        };
        fs::create_dir(world.source()).unwrap();
        (world, place)
    }

    /// Some days: of each day's files some stay, some come back later.
    pub(super) fn with_days(days: u64) -> (Self, Destination) {
        let (world, place) = Self::new();
        for _ in 0..days {
            world.live();
            world.back_up(&place).unwrap();
        }
        (world, place)
    }

    pub(super) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// A day passes: one file changes each day, one every third, and one comes back that was there five days ago: after
    /// six days of which two are kept, it lies in what is to be removed.
    pub(super) fn live(&self) {
        let day = self.day.fetch_add(1, Ordering::Relaxed);
        for (name, seed) in [("daily", day), ("rarely", 100 + day / 3), ("coming back", 200 + day % 5), ("never", 7)] {
            fs::write(self.source().join(name), noise(2000, seed)).unwrap();
        }
        // Long enough for a list.
        let pages: Vec<u8> =
            (0..30).flat_map(|page| noise(4096, 1000 + page + if page == 3 { day } else { 0 })).collect();
        fs::write(self.source().join("pages"), [b"SQLite format 3\0\x10\0".as_slice(), &pages[18..]].concat()).unwrap();
    }

    pub(super) fn back_up(&self, place: &Destination) -> Result<(), Error> {
        let options =
            BackupOptions { sources: vec![self.source()], host: "test".to_owned(), ..BackupOptions::default() };
        let report = open(place)?.backup(&options, &Progress::default());
        let report = report.inspect_err(|_| self.refused.lock().unwrap().push(files(&self.source())))?;
        assert_eq!(report.problems, []);
        self.known.lock().unwrap().insert(report.snapshot.head, files(&self.source()));
        self.expected.lock().unwrap().insert(report.snapshot.head);
        Ok(())
    }

    /// Forgets all but the newest `keep`.
    pub(super) fn forget_all_but(&self, place: &Destination, keep: usize) -> Result<u64, Error> {
        let mut archive = open(place)?;
        let tips = archive.tips();
        let going = archive.snapshots().len().saturating_sub(keep);
        let going = archive.snapshots()[..going].iter().filter(|snapshot| !tips.contains(&snapshot.head));
        let names: Vec<_> = going.map(|snapshot| snapshot.name).collect();
        let heads: Vec<_> =
            archive.snapshots()[..].iter().filter(|one| names.contains(&one.name)).map(|one| one.head).collect();
        self.expected.lock().unwrap().retain(|head| !heads.contains(head));
        archive.forget(&names)
    }

    /// From now on, what this provider holds is to stay.
    pub(super) fn expect(&self, place: &Destination) {
        let there = open(&another(place)).unwrap();
        *self.expected.lock().unwrap() = there.snapshots().iter().map(|snapshot| snapshot.head).collect();
    }

    /// Whatever listings show, every snapshot that nobody forgot is there in full.
    #[track_caller]
    pub(super) fn check_exactly(&self, place: &Destination, why: &str) {
        let mut place = place.clone();
        place.faults = Faults::default();
        self.restore_all(&place, why);
        let archive = open(&place).unwrap();
        let there: BTreeSet<_> = archive.snapshots().iter().map(|snapshot| snapshot.head).collect();
        assert!(self.expected.lock().unwrap().is_subset(&there), "{why}");
    }

    /// Every byte of every snapshot is there. Returns how many there are.
    #[track_caller]
    pub(super) fn check(&self, place: &Destination, why: &str) -> usize {
        let archive = open(place).unwrap_or_else(|error| panic!("{why}: {error}"));
        let verified = archive.verify(true, &Progress::default()).unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(verified.problems, [], "{why}");
        self.restore_all(place, why)
    }

    #[track_caller]
    pub(super) fn restore_all(&self, place: &Destination, why: &str) -> usize {
        let archive = open(place).unwrap_or_else(|error| panic!("{why}: {error}"));
        for snapshot in archive.snapshots() {
            let target = tempfile::tempdir().unwrap();
            let to = RestoreOptions { target: target.path().to_owned(), ..RestoreOptions::default() };
            let restored = archive.restore(snapshot, &to, &Progress::default()).unwrap();
            assert_eq!(restored.problems, [], "{why}: snapshot {}", snapshot.head.number);
            let found = files(&target.path().join("source"));
            let (known, refused) = (self.known.lock().unwrap(), self.refused.lock().unwrap());
            let is_right = known.get(&snapshot.head).map_or_else(|| refused.contains(&found), |known| *known == found);
            assert!(is_right, "{why}: snapshot {}", snapshot.head.number);
        }
        archive.snapshots().len()
    }

    /// After whatever happened: all is there, and another run removes all that is not needed.
    #[track_caller]
    pub(super) fn check_and_clean(&self, place: &Destination, why: &str) {
        let place = another(place);
        // (An index may name a pack that is gone and that nobody needs, where a lock was ignored.)
        let before = self.restore_all(&place, why);
        unlock(&place);
        if open(&place).unwrap().is_rotating() {
            advance(&place).unwrap_or_else(|error| panic!("{why}: {error}"));
        }
        let report = prune(&place).unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!((report.waits, report.packs_waiting), (None, 0), "{why}");
        assert_eq!(report.problems, [], "{why}");
        assert_eq!(self.check(&place, why), before, "{why}");
        for folder in ["locks/", "doomed/"] {
            assert_eq!(place.list(folder).unwrap(), Vec::<String>::new(), "{why}");
        }
        // What was rescued may be worn: the next run sees to it.
        if report.packs_rescued > 0 {
            prune(&place).unwrap();
        }
        let again = prune(&place).unwrap();
        assert_eq!((again.packs_unused, again.packs_repacked, again.packs_removed), (0, 0, 0), "{why}: {again:?}");
    }
}

/// Six days, of which the last two are kept: there is something to remove and something to repack.
pub(super) fn world() -> (World, Destination) {
    let (world, place) = World::with_days(6);
    world.forget_all_but(&place, 2).unwrap();
    (world, place)
}

/// Every so many operations something happens in `make test`, and at each in `make test-faults`.
pub(super) fn stride() -> usize {
    if std::env::var_os("COFFER_TEST_THOROUGHLY").is_some() { 1 } else { 7 }
}

const KINDS: [ObjectType; 6] = [
    ObjectType::Pack,
    ObjectType::Index,
    ObjectType::Snapshot,
    ObjectType::Lock,
    ObjectType::Forgotten,
    ObjectType::Doomed,
];

/// Every object there is.
pub(super) fn objects(place: &Destination) -> Vec<(ObjectType, ObjectName, Vec<u8>)> {
    let all = KINDS.into_iter().flat_map(|kind| {
        let names = store::list_objects(place, kind).unwrap().into_iter();
        names.map(move |name| (kind, name, place.read(&kind.path(&name), 1 << 30).unwrap()))
    });
    all.collect()
}

pub(super) fn heads(place: &Destination) -> Vec<Head> {
    open(place).unwrap().snapshots().iter().map(|snapshot| snapshot.head).collect()
}

pub(super) fn replace(place: &Destination, path: &str, bytes: Vec<u8>) {
    place.delete(path).unwrap();
    place.write(path, bytes).unwrap();
}
