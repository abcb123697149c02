//! Twelve days of an archive that is lived with: messages come and go in a store that is open on some days, media come,
//! go and get other names, old snapshots are forgotten and pruned, and on some days a run is killed. `benches/ninety.py`
//! has ninety days of it, larger and without kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use crate::device::{Coffer, finish};
use crate::material;
use crate::noise::Noise;
use crate::tree::Tree;

const DAYS: u32 = 12;
/// On two of these days the store is open.
const BACKUP_KILLED: [u32; 4] = [4, 6, 9, 11];
const PRUNE_KILLED: [u32; 2] = [8, 12];
/// So many newest snapshots stay.
const KEPT: usize = 6;
const BACKUP: [&str; 2] = ["backup", "chats"];
const FORGET: [&str; 3] = ["forget", "--keep-last", "6"];
const PRUNE: [&str; 3] = ["prune", "--max-unused", "5"];

/// What the archive held on a day.
#[derive(Clone)]
struct Held {
    media: Tree,
    /// The store's folder; not where the store was open, for then it is copied, and its log is in the copy.
    store: Option<Tree>,
    messages: blake3::Hash,
}

impl Held {
    fn of(chats: &Path, is_open: bool) -> Self {
        let store = chats.join("Databases");
        Self {
            media: Tree::of(&chats.join("Media")),
            store: (!is_open).then(|| Tree::of(&store)),
            messages: messages(&store.join("msgstore.db")),
        }
    }

    #[track_caller]
    fn is_restored_in(&self, chats: &Path) {
        self.media.is_restored_in(&chats.join("Media"));
        let folder = chats.join("Databases");
        match &self.store {
            Some(store) => store.is_restored_in(&folder),
            None => assert!(!folder.join("msgstore.db-wal").exists(), "the log is in the copy"),
        }
        assert_eq!(messages(&folder.join("msgstore.db")), self.messages);
    }
}

/// Every message of a store that is whole.
#[track_caller]
fn messages(store: &Path) -> blake3::Hash {
    let store = Connection::open(store).unwrap();
    let whole: String = store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(whole, "ok");
    let mut hasher = blake3::Hasher::new();
    let mut all = store.prepare("SELECT id || ' ' || key || ' ' || body || char(10) FROM message ORDER BY id").unwrap();
    for line in all.query_map([], |row| row.get::<_, String>(0)).unwrap() {
        hasher.update(line.unwrap().as_bytes());
    }
    hasher.finalize()
}

/// The archive, as a phone changes it.
struct Chats {
    folder: PathBuf,
    noise: Noise,
    day: u32,
}

impl Chats {
    fn new(device: &Coffer, noise: Noise) -> Self {
        let mut chats = Self { folder: device.path("chats"), noise, day: 1 };
        for below in ["Media/Sent", "Databases"] {
            fs::create_dir_all(chats.folder.join(below)).unwrap();
        }
        (0..20).for_each(|number| chats.take_picture(number));
        material::grown_store(&chats.store(), 1_500_000, &mut chats.noise);
        chats
    }

    fn store(&self) -> PathBuf {
        self.folder.join("Databases/msgstore.db")
    }

    fn is_open(&self) -> bool {
        self.day.is_multiple_of(3)
    }

    fn take_picture(&mut self, number: u64) {
        let len = 20_000 + self.noise.below(100_000) as usize;
        let picture = [&[0xff, 0xd8, 0xff, 0xe0][..], &self.noise.bytes(len)].concat();
        fs::write(self.folder.join(format!("Media/IMG-{:03}-{number}.jpg", self.day)), picture).unwrap();
    }

    fn any_picture(&mut self) -> PathBuf {
        let pictures = fs::read_dir(self.folder.join("Media")).unwrap().map(|entry| entry.unwrap().path());
        let mut pictures: Vec<_> = pictures.filter(|path| path.is_file()).collect();
        pictures.sort();
        pictures.swap_remove(self.noise.below(pictures.len() as u64) as usize)
    }

    /// The day after. While what is returned lives, an app has the store open, on days when one does.
    fn next_day(&mut self) -> Option<Connection> {
        self.day += 1;
        (0..2 + self.noise.below(4)).for_each(|number| self.take_picture(number));
        fs::remove_file(self.any_picture()).unwrap();
        let (old, new) = (self.any_picture(), format!("Media/Sent/{}.jpg", self.day));
        fs::rename(old, self.folder.join(new)).unwrap();
        if self.day.is_multiple_of(5) {
            let film = [b"\0\0\0\x20ftypisom", &self.noise.bytes(3_000_000)[..]].concat();
            fs::write(self.folder.join(format!("Media/VID-{}.mp4", self.day)), film).unwrap();
        }
        let mut store = Connection::open(self.store()).unwrap();
        let mode = if self.is_open() { "wal" } else { "delete" };
        store.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |row| row.get::<_, String>(0)).unwrap();
        store.execute_batch("PRAGMA synchronous = off; PRAGMA wal_autocheckpoint = 0").unwrap();
        material::insert(&mut store, 60, &mut self.noise);
        store.execute("UPDATE message SET body = body || ' (edited)' WHERE id % 101 = ?1", [self.day]).unwrap();
        store.execute("DELETE FROM message WHERE id % 307 = ?1", [self.day]).unwrap();
        self.is_open().then_some(store)
    }
}

/// The snapshots, by their numbers.
struct Known(BTreeMap<u64, Held>);

impl Known {
    /// New ones hold what there is `today`; those that are gone were followed by as many as are kept.
    #[track_caller]
    fn update(&mut self, device: &Coffer, today: &Held) {
        let there = device.snapshots();
        for (number, _) in self.0.extract_if(.., |number, _| !there.contains(number)) {
            let newer = there.iter().filter(|other| **other > number).count();
            assert!(newer >= KEPT, "snapshot {number} is gone, with {newer} newer ones");
        }
        for number in there {
            self.0.entry(number).or_insert_with(|| today.clone());
        }
    }
}

/// Runs it to its end, or kills it within the time that the quickest run took.
fn run(device: &Coffer, arguments: &[&str], quickest: &mut Duration, kill: Option<f64>) -> bool {
    let begin = Instant::now();
    let child = device.start(arguments);
    if let Some(fraction) = kill {
        thread::sleep(quickest.mul_f64(fraction));
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    }
    let run = finish(child);
    let is_killed = kill.is_some() && run.code.is_none();
    if !is_killed {
        run.succeeds();
        *quickest = begin.elapsed().min(*quickest);
    }
    is_killed
}

#[test]
fn twelve_days_of_backups_forgetting_and_kills_restore_as_they_were() {
    let mut noise = Noise::seeded();
    let device = Coffer::with_archive();
    let mut chats = Chats::new(&device, Noise::new(noise.next()));
    let (mut known, mut open, mut killed) = (Known(BTreeMap::new()), None, 0);
    let (mut backup, mut prune) = (Duration::MAX, Duration::MAX);
    for day in 1..=DAYS {
        if day > 1 {
            drop(open.take());
            open = chats.next_day();
        }
        let today = Held::of(&chats.folder, open.is_some());
        let fraction = BACKUP_KILLED.contains(&day).then(|| noise.fraction());
        killed += usize::from(run(&device, &BACKUP, &mut backup, fraction));
        known.update(&device, &today);
        if fraction.is_some() && day % 2 == 0 {
            // On some of these days it is begun again; on the others that day has no snapshot.
            run(&device, &BACKUP, &mut backup, None);
            known.update(&device, &today);
        }
        if day % 2 == 0 {
            device.run(FORGET).succeeds();
            known.update(&device, &today);
            let fraction = PRUNE_KILLED.contains(&day).then(|| noise.fraction());
            killed += usize::from(run(&device, &PRUNE, &mut prune, fraction));
        }
        let (number, held) = known.0.iter().nth(noise.below(known.0.len() as u64) as usize).unwrap();
        held.is_restored_in(&device.restore(&number.to_string()).path().join("chats"));
    }
    device.run(FORGET).succeeds();
    let report = device.run(["--json", "prune"]).succeeds().json();
    assert_eq!((&report["packs_waiting"], &report["waits_for"]), (&0.into(), &serde_json::Value::Null), "{report}");
    known.update(&device, &Held::of(&chats.folder, open.is_some()));
    assert_eq!(known.0.len(), KEPT);
    for (number, held) in &known.0 {
        held.is_restored_in(&device.restore(&number.to_string()).path().join("chats"));
    }
    device.verify_all();
    for kind in ["locks", "doomed"] {
        assert_eq!(device.stored(kind), Vec::<PathBuf>::new());
    }
    eprintln!("{killed} of 6 were killed before their end");
}
