//! Pruning and forgetting, interrupted between every two operations, on a full disk, with others at work at the same
//! time and with listings that are old. After everything, every snapshot is there in full.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coffer_keys::BackupKey;

use crate::archive::{Archive, OpenOptions};
use crate::backup::BackupOptions;
use crate::destination::Destination;
use crate::device::DeviceMemory;
use crate::error::{DestinationErrorKind, Error};
use crate::faults::{Fault, Faults};
use crate::id::ObjectName;
use crate::prune::PruneOptions;
use crate::report::{Progress, PruneReport, Wait};
use crate::restore::RestoreOptions;
use crate::samples::noise;

const DAY: Duration = Duration::from_secs(24 * 3600);
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A source, and what each snapshot of it holds, by the snapshot's name.
struct World {
    folder: tempfile::TempDir,
    known: Mutex<BTreeMap<ObjectName, Files>>,
    /// Snapshots that nobody forgot.
    expected: Mutex<BTreeSet<ObjectName>>,
    day: AtomicU64,
}

fn key() -> BackupKey {
    BackupKey::from_bytes([42; 32])
}

fn open(place: &Destination) -> Result<Archive, Error> {
    Archive::open(place.clone(), &key(), OpenOptions::default())
}

fn options() -> PruneOptions {
    PruneOptions { host: "test".to_owned(), max_unused: 10, grace: None, dry_run: false }
}

fn prune(place: &Destination) -> Result<PruneReport, Error> {
    open(place)?.prune(&options(), &Progress::default())
}

/// The same provider, met by another device on a good line.
fn another(place: &Destination) -> Destination {
    let mut other = place.clone();
    other.faults = place.faults.another();
    other
}

/// A provider that holds the same.
fn copy(place: &Destination) -> Destination {
    let other = Destination::memory().unwrap();
    for path in place.list("/").unwrap() {
        other.write(&path, place.read(&path, 1 << 30).unwrap()).unwrap();
    }
    other
}

fn files(root: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        found.insert(entry.file_name().into(), fs::read(entry.path()).unwrap());
    }
    found
}

/// Locks of runs that died. (Their process is this one, and alive.)
fn unlock(place: &Destination) {
    for path in place.list("locks/").unwrap() {
        place.delete(&path).unwrap();
    }
}

impl World {
    fn new() -> (Self, Destination) {
        let place = Destination::memory().unwrap();
        Archive::init(place.clone(), &key()).unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            known: Mutex::default(),
            expected: Mutex::default(),
            day: AtomicU64::new(0),
        };
        fs::create_dir(world.source()).unwrap();
        (world, place)
    }

    /// Some days: of each day's files some stay, some come back later.
    fn with_days(days: u64) -> (Self, Destination) {
        let (world, place) = Self::new();
        for _ in 0..days {
            world.live();
            world.back_up(&place).unwrap();
        }
        (world, place)
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// A day passes: one file changes each day, one every third, one comes back that was there before.
    fn live(&self) {
        let day = self.day.fetch_add(1, Ordering::Relaxed);
        for (name, seed) in [("daily", day), ("rarely", 100 + day / 3), ("changing back", 200 + day % 2), ("never", 7)]
        {
            fs::write(self.source().join(name), noise(2000, seed)).unwrap();
        }
        // Long enough for a list.
        let pages: Vec<u8> =
            (0..30).flat_map(|page| noise(4096, 1000 + page + if page == 3 { day } else { 0 })).collect();
        fs::write(self.source().join("pages"), [b"SQLite format 3\0\x10\0".as_slice(), &pages[18..]].concat()).unwrap();
    }

    fn back_up(&self, place: &Destination) -> Result<(), Error> {
        let options =
            BackupOptions { sources: vec![self.source()], host: "test".to_owned(), ..BackupOptions::default() };
        let report = open(place)?.backup(&options, &Progress::default())?;
        assert_eq!(report.problems, []);
        self.known.lock().unwrap().insert(report.snapshot.name, files(&self.source()));
        self.expected.lock().unwrap().insert(report.snapshot.name);
        Ok(())
    }

    /// Forgets all but the newest `keep`.
    fn forget_all_but(&self, place: &Destination, keep: usize) -> Result<u64, Error> {
        let mut archive = open(place)?;
        let tips = archive.tips();
        let going = archive.snapshots().len().saturating_sub(keep);
        let going = archive.snapshots()[..going].iter().filter(|snapshot| !tips.contains(&snapshot.head));
        let names: Vec<_> = going.map(|snapshot| snapshot.name).collect();
        self.expected.lock().unwrap().retain(|name| !names.contains(name));
        archive.forget(&names)
    }

    /// Whatever listings show, every snapshot that nobody forgot is there in full.
    #[track_caller]
    fn check_exactly(&self, place: &Destination, why: &str) {
        let mut place = place.clone();
        place.faults = Faults::default();
        self.restore_all(&place, why);
        let archive = open(&place).unwrap();
        let there: BTreeSet<_> = archive.snapshots().iter().map(|snapshot| snapshot.name).collect();
        assert!(self.expected.lock().unwrap().is_subset(&there), "{why}");
    }

    /// Every byte of every snapshot is there. Returns how many there are.
    #[track_caller]
    fn check(&self, place: &Destination, why: &str) -> usize {
        let archive = open(place).unwrap_or_else(|error| panic!("{why}: {error}"));
        let verified = archive.verify(true, &Progress::default()).unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(verified.problems, [], "{why}");
        self.restore_all(place, why)
    }

    #[track_caller]
    fn restore_all(&self, place: &Destination, why: &str) -> usize {
        let archive = open(place).unwrap_or_else(|error| panic!("{why}: {error}"));
        for snapshot in archive.snapshots() {
            let target = tempfile::tempdir().unwrap();
            let to = RestoreOptions { target: target.path().to_owned(), ..RestoreOptions::default() };
            let restored = archive.restore(snapshot, &to, &Progress::default()).unwrap();
            assert_eq!(restored.problems, [], "{why}: snapshot {}", snapshot.head.number);
            let found = files(&target.path().join("source"));
            assert!(found == self.known.lock().unwrap()[&snapshot.name], "{why}: snapshot {}", snapshot.head.number);
        }
        archive.snapshots().len()
    }

    /// After whatever happened: all is there, and another run removes all that is not needed.
    #[track_caller]
    fn check_and_clean(&self, place: &Destination, why: &str) {
        let place = another(place);
        // (An index may name a pack that is gone and that nobody needs, where a lock was ignored.)
        let before = self.restore_all(&place, why);
        unlock(&place);
        let report = prune(&place).unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!((report.waits, report.packs_waiting), (None, 0), "{why}");
        assert_eq!(report.problems, [], "{why}");
        assert_eq!(self.check(&place, why), before, "{why}");
        for folder in ["locks/", "doomed/"] {
            assert_eq!(place.list(folder).unwrap(), Vec::<String>::new(), "{why}");
        }
        let again = prune(&place).unwrap();
        assert_eq!((again.packs_unused, again.packs_repacked, again.packs_removed), (0, 0, 0), "{why}: {again:?}");
    }
}

/// Six days, of which the last two are kept: there is something to remove and something to repack.
fn world() -> (World, Destination) {
    let (world, place) = World::with_days(6);
    world.forget_all_but(&place, 2).unwrap();
    (world, place)
}

#[test]
fn removes_what_no_snapshot_needs_and_nothing_else() {
    let (world, place) = world();
    let size =
        |place: &Destination| place.list("packs/").unwrap().iter().map(|path| place.len(path).unwrap()).sum::<u64>();
    let before = size(&place);
    let told = open(&place).unwrap().prune(&PruneOptions { dry_run: true, ..options() }, &Progress::default()).unwrap();
    assert_eq!(size(&place), before, "a dry run removes nothing");
    assert!(told.packs_unused > 0 && told.packs_repacked > 0 && told.bytes_freed > 0, "{told:?}");
    let report = prune(&place).unwrap();
    assert_eq!((report.packs_unused, report.packs_repacked), (told.packs_unused, told.packs_repacked));
    assert_eq!(report.packs_removed, report.packs_unused + report.packs_repacked);
    assert!(report.bytes_freed > report.bytes_stored, "{report:?}");
    assert!(size(&place) < before);
    world.check_and_clean(&place, "after a prune");
    // It goes on as before.
    world.live();
    world.back_up(&place).unwrap();
    assert_eq!(world.check(&place, "after a backup"), 3);
}

#[test]
fn a_prune_that_dies_before_any_change_loses_nothing() {
    let (world, start) = world();
    for count in 0.. {
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let pruned = prune(&place);
        if !place.faults.has_struck() {
            assert!(count > 8, "{count} changes");
            return assert!(pruned.is_ok());
        }
        world.check_and_clean(&place, &format!("dead at change {count}"));
    }
}

#[test]
fn a_prune_one_operation_of_which_fails_loses_nothing() {
    let (world, start) = world();
    for count in (0..).step_by(stride()) {
        let place = copy(&start);
        place.faults.strike(count, Fault::Once);
        let pruned = prune(&place);
        if !place.faults.has_struck() {
            assert!(count > 40, "{count} operations");
            return assert!(pruned.is_ok());
        }
        world.check_and_clean(&place, &format!("operation {count} failed"));
    }
}

#[test]
fn a_prune_without_room_for_packs_removes_what_is_unused_and_loses_nothing() {
    let (world, start) = world();
    for count in 0..3 {
        let place = copy(&start);
        place.faults.strike(count, Fault::Full);
        match prune(&place) {
            Err(Error::Destination { kind: DestinationErrorKind::Full, .. }) => {
                assert!(place.list("packs/").unwrap().len() < start.list("packs/").unwrap().len());
            }
            other => assert!(other.is_ok() && !place.faults.has_struck(), "{other:?}"),
        }
        world.check_and_clean(&place, &format!("no room for pack {count}"));
    }
}

#[test]
fn a_forget_that_dies_before_any_change_loses_nothing_and_alarms_nobody() {
    let (world, start) = World::with_days(5);
    // A device that was away since the third day.
    let away = tempfile::tempdir().unwrap();
    let third = open(&start).unwrap().snapshots()[2].head;
    let memory = || DeviceMemory::at(away.path().to_owned()).unwrap();
    for count in 0.. {
        memory().remember(&[third], &[third].into(), true).unwrap();
        let place = copy(&start);
        place.faults.strike(count, Fault::Death);
        let forgotten = world.forget_all_but(&place, 1);
        let has_struck = place.faults.has_struck();
        let there = world.check(&another(&place), &format!("dead at change {count}"));
        assert!(if count == 0 { there == 5 } else { there == 1 }, "{count}: {there}");
        let options = OpenOptions { memory: Some(memory()), ..OpenOptions::default() };
        Archive::open(another(&place), &key(), options).unwrap();
        world.check_and_clean(&place, &format!("dead at change {count}"));
        assert_eq!(place.faults.another().listed("", another(&place).list("snapshots/").unwrap()).len(), there);
        if !has_struck {
            return assert!(forgotten.is_ok() && count > 4);
        }
    }
}

/// Every so many operations something happens in `make test`, and at each in `make test-faults`.
fn stride() -> usize {
    if std::env::var_os("COFFER_TEST_THOROUGHLY").is_some() { 1 } else { 7 }
}

/// Runs `first`, and `second` on another device between any two of its operations, one after the other.
fn interleave(first: impl Fn(&World, &Destination), second: impl Fn(&World, &Destination) + Send + Sync + 'static) {
    let second = Arc::new(second);
    let (world, start) = world();
    let world = Arc::new(world);
    world.live();
    // Another share of them each time.
    let from = std::process::id() as usize % stride();
    for count in (from as u64..).step_by(stride()) {
        let place = copy(&start);
        let other = another(&place);
        let (mut left, has_run) = (count, Arc::new(AtomicU64::new(0)));
        let (run, by, in_world) = (Arc::clone(&has_run), Arc::clone(&second), Arc::clone(&world));
        place.faults.between(move |_, _| {
            if left == 0 {
                run.store(1, Ordering::Relaxed);
                by(&in_world, &other);
            }
            left = u64::wrapping_sub(left, 1);
        });
        first(&world, &place);
        world.check_and_clean(&place, &format!("at operation {count}"));
        if has_run.load(Ordering::Relaxed) == 0 {
            return assert!(count > 20, "{count} operations");
        }
    }
}

fn may_be_busy(pruned: Result<PruneReport, Error>) {
    assert!(matches!(&pruned, Ok(_) | Err(Error::Busy(_) | Error::Disturbed)), "{pruned:?}");
}

#[test]
fn a_backup_between_any_two_operations_of_a_prune_is_whole() {
    interleave(|_, place| may_be_busy(prune(place)), |world, place| world.back_up(place).unwrap());
}

#[test]
fn a_prune_between_any_two_operations_of_a_backup_costs_it_nothing() {
    interleave(|world, place| world.back_up(place).unwrap(), |_, place| may_be_busy(prune(place)));
}

/// As when a prune takes a lock for one of a dead process, or its owner does.
#[test]
fn a_prune_that_ignores_the_lock_of_a_backup_costs_it_nothing() {
    let second = |_: &World, place: &Destination| {
        unlock(place);
        may_be_busy(prune(place));
    };
    interleave(|world, place| world.back_up(place).unwrap(), second);
}

#[test]
fn two_prunes_at_once_lose_nothing() {
    interleave(|_, place| may_be_busy(prune(place)), |_, place| may_be_busy(prune(place)));
    let second = |_: &World, place: &Destination| {
        unlock(place);
        may_be_busy(prune(place));
    };
    interleave(|_, place| may_be_busy(prune(place)), second);
}

#[test]
fn a_forget_and_a_prune_at_once_lose_nothing() {
    let second = |world: &World, place: &Destination| assert!(world.forget_all_but(place, 1).is_ok());
    interleave(|_, place| may_be_busy(prune(place)), second);
}

#[test]
fn a_prune_waits_for_nobody_and_says_for_whom() {
    let (world, place) = world();
    let archive = open(&place).unwrap();
    let lock = crate::lock::announce(&place, &archive.ring, "phone", "backup").unwrap();
    match prune(&place) {
        Err(Error::Busy(busy)) => assert_eq!((busy.name, busy.host.as_str()), (lock, "phone")),
        other => panic!("{other:?}"),
    }
    archive.unlock(&lock).unwrap();
    assert!(prune(&place).is_ok());
    world.check_and_clean(&place, "after an unlock");
}

#[test]
fn refuses_to_prune_beside_a_lock_that_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("locks/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    assert!(matches!(prune(&place), Err(Error::Damaged { object, .. }) if object.starts_with("locks/")));
}

#[test]
fn refuses_to_prune_while_a_snapshot_does_not_open() {
    let (_world, place) = world();
    place.write(&format!("snapshots/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    let packs = place.list("packs/").unwrap().len();
    assert!(matches!(prune(&place), Err(Error::Damaged { object, .. }) if object.starts_with("snapshots/")));
    assert_eq!(place.list("packs/").unwrap().len(), packs);
}

#[test]
fn refuses_to_prune_while_a_tree_cannot_be_read() {
    let (_world, start) = world();
    let mut refused = 0;
    for pack in start.list("packs/").unwrap() {
        let place = copy(&start);
        let mut bytes = place.read(&pack, 1 << 24).unwrap();
        bytes[100] ^= 1;
        place.write(&pack, bytes).unwrap();
        let packs = place.list("packs/").unwrap().len();
        if let Err(error) = prune(&place) {
            assert!(matches!(error, Error::Unreadable { .. }), "{error}");
            assert_eq!(place.list("packs/").unwrap().len(), packs);
            refused += 1;
        }
    }
    assert!(refused >= 1);
}

#[test]
fn a_damaged_object_of_doom_stops_backups_until_the_next_prune() {
    let (world, place) = world();
    place.write(&format!("doomed/{}", "ab".repeat(16)), b"garbage".to_vec()).unwrap();
    assert!(matches!(world.back_up(&place), Err(Error::Damaged { object, .. }) if object.starts_with("doomed/")));
    unlock(&place);
    prune(&place).unwrap();
    world.back_up(&place).unwrap();
    world.check_and_clean(&place, "after damage");
}

/// A copy that was made because the first one is damaged must not be taken for one too many.
#[test]
fn a_damaged_copy_is_no_reason_to_remove_the_other() {
    let (world, place) = World::with_days(1);
    // The second run does not see what the first has stored, as if both ran at once.
    let behind = copy(&place);
    for path in behind.list("packs/").unwrap().iter().chain(&behind.list("index/").unwrap()) {
        behind.delete(path).unwrap();
    }
    for path in behind.list("snapshots/").unwrap() {
        behind.delete(&path).unwrap();
    }
    world.back_up(&behind).unwrap();
    for path in behind.list("/").unwrap() {
        place.write(&path, behind.read(&path, 1 << 30).unwrap()).unwrap();
    }
    for damaged in place.list("packs/").unwrap() {
        let place = copy(&place);
        let mut bytes = place.read(&damaged, 1 << 24).unwrap();
        bytes[100] ^= 1;
        place.write(&damaged, bytes).unwrap();
        let report = prune(&place).unwrap();
        assert!(report.packs_removed > 0, "{report:?}");
        let archive = open(&place).unwrap();
        for snapshot in archive.snapshots() {
            let target = tempfile::tempdir().unwrap();
            let to = RestoreOptions { target: target.path().to_owned(), ..RestoreOptions::default() };
            let restored = archive.restore(snapshot, &to, &Progress::default()).unwrap();
            assert_eq!(restored.problems, [], "with {damaged} damaged");
        }
    }
}

#[test]
fn where_listings_are_late_packs_are_removed_a_day_later() {
    let (world, place) = world();
    place.faults.list_late(Duration::ZERO, 1);
    let before = place.list("packs/").unwrap().len();
    let first = prune(&place).unwrap();
    assert_eq!((first.waits, first.packs_removed), (Some(Wait::Grace(DAY)), 0));
    assert!(first.packs_waiting > 0 && place.list("packs/").unwrap().len() > before);
    place.faults.pass(DAY / 2);
    assert_eq!(prune(&place).unwrap().packs_removed, 0);
    place.faults.pass(DAY / 2);
    let third = prune(&place).unwrap();
    assert_eq!((third.waits, third.packs_removed), (None, first.packs_waiting));
    // What was removed stays named for another day.
    assert_eq!(place.list("doomed/").unwrap().len(), 1);
    place.faults.pass(DAY);
    prune(&place).unwrap();
    assert_eq!(place.list("doomed/").unwrap().len(), 0);
    world.check(&place, "two days later");
}

/// A small generator: what happens is the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// What a device does, whatever comes of it.
fn act(world: &World, place: &Destination, chance: &mut Chance) {
    match chance.below(4) {
        0 => drop(world.forget_all_but(place, 1 + chance.below(3) as usize)),
        1 => drop(prune(place)),
        _ => drop(world.back_up(place)),
    }
}

/// Devices that back up, forget and prune for weeks, die, are overtaken by another one in the middle, and take days for one
/// run, at a provider whose every listing is up to eleven hours old in any of its parts.
fn weeks_with_late_listings(seed: u64) {
    let (world, start) = World::with_days(1);
    let world = Arc::new(world);
    start.faults.list_late(DAY / 24 * 11, seed);
    let mut chance = Chance(seed);
    for step in 0..30 {
        let place = another(&start);
        let hours = |chance: &mut Chance, most| DAY / 24 * chance.below(most) as u32;
        match chance.below(6) {
            0 => place.faults.strike(chance.below(60), Fault::Death),
            1 => {
                let (in_world, other, mut others) =
                    (Arc::clone(&world), another(&start), Chance(chance.below(1 << 40)));
                let (mut left, late, after) = (chance.below(60), hours(&mut chance, 50), hours(&mut chance, 50));
                place.faults.between(move |_, _| {
                    if left == 0 {
                        other.faults.pass(late);
                        act(&in_world, &other, &mut others);
                        other.faults.pass(after);
                    }
                    left = left.wrapping_sub(1);
                });
            }
            _ => {}
        }
        world.live();
        act(&world, &place, &mut chance);
        start.faults.pass(hours(&mut chance, 40));
        if chance.below(4) == 0 {
            let mut exact = start.clone();
            exact.faults = Faults::default();
            unlock(&exact);
        }
        world.check_exactly(&start, &format!("seed {seed}, step {step}"));
    }
}

#[test]
fn weeks_with_late_listings_lose_nothing() {
    let seeds = if stride() == 1 { 300 } else { 6 };
    let first = std::process::id().into();
    (first..first + seeds).for_each(weeks_with_late_listings);
}
