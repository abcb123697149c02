//! SIGKILL at fifty random moments of a backup and of a restore: nothing is lost, little is repeated.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::device::{Coffer, Run, finish};
use crate::material;
use crate::noise::Noise;
use crate::tree::{Tree, assert_same, files_below, size_of};

const KILLS: usize = 50;
/// Every so many kills an earlier snapshot is restored in full.
const FULL_CHECK: usize = 10;

/// Fifty moments of a run that takes `whole`, each in a fiftieth of its own.
struct Moments {
    left: Vec<f64>,
    whole: Duration,
}

impl Moments {
    fn of(whole: Duration, noise: &mut Noise) -> Self {
        Self { left: noise.spread(KILLS), whole }
    }

    /// Runs and kills. A moment is used up only by a run that it did interrupt; one that was faster, since less was
    /// left to do, has to be followed by one with more to do.
    fn strike(&mut self, device: &Coffer, arguments: &[&OsStr]) -> Run {
        let fraction = self.left.last_mut().unwrap();
        let child = device.start(["--json".as_ref()].iter().chain(arguments));
        thread::sleep(self.whole.mul_f64(*fraction));
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::KILL).unwrap();
        let run = finish(child);
        match run.code {
            None => drop(self.left.pop()),
            // Late moments may lie beyond the end of a run that happens to be quicker than the measured one.
            Some(code) => {
                assert_eq!(code, 0, "{}", run.stderr);
                *fraction *= 0.95;
            }
        }
        run
    }
}

/// About 60 MB of chats, of which each day changes nearly half.
struct Chats {
    folder: PathBuf,
    noise: Noise,
    day: u64,
}

impl Chats {
    fn new(device: &Coffer, noise: Noise) -> Self {
        let mut chats = Self { folder: device.path("chats"), noise, day: 0 };
        fs::create_dir(&chats.folder).unwrap();
        (0..6).for_each(|number| chats.write_media(number));
        (0..40).for_each(|number| chats.write_text(number));
        material::grown_store(&chats.folder.join("msgstore.db"), 8_000_000, &mut chats.noise);
        chats
    }

    fn write_media(&mut self, number: u64) {
        let content = [&[0xff, 0xd8, 0xff, 0xe0][..], &self.noise.bytes(7_500_000)].concat();
        fs::write(self.folder.join(format!("IMG-{number}.jpg")), content).unwrap();
    }

    fn write_text(&mut self, number: u64) {
        let folder = self.folder.join(format!("chat {}", number % 8));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{number}.txt")), self.noise.text(100_000)).unwrap();
    }

    fn next_day(&mut self) {
        self.day += 1;
        (0..3).for_each(|number| self.write_media((self.day * 3 + number) % 6));
        (0..10).for_each(|number| self.write_text((self.day * 10 + number) % 40));
        let mut store = Connection::open(self.folder.join("msgstore.db")).unwrap();
        store.pragma_update(None, "synchronous", "off").unwrap();
        material::insert(&mut store, 500, &mut self.noise);
    }
}

/// An archive that is left in peace, for comparison.
fn timed_backup(reference: &Coffer, source: &Path) -> Duration {
    let begin = Instant::now();
    reference.back_up(source);
    begin.elapsed()
}

#[test]
fn backups_killed_at_fifty_moments_lose_nothing_and_repeat_little() {
    let mut noise = Noise::seeded();
    let (device, reference) = (Coffer::with_archive(), Coffer::with_archive());
    let mut chats = Chats::new(&device, Noise::new(noise.next()));
    device.back_up(&chats.folder);
    let mut moments = Moments::of(timed_backup(&reference, &chats.folder), &mut noise);
    let mut known = BTreeMap::from([(1, Tree::of(&chats.folder))]);
    let (mut kills, mut finished) = (0, 0);

    chats.next_day();
    moments.whole = timed_backup(&reference, &chats.folder);
    let mut today = Tree::of(&chats.folder);
    while !moments.left.is_empty() {
        let killed = moments.strike(&device, &["backup".as_ref(), chats.folder.as_os_str()]).code.is_none();
        let report = device.run(["--json", "verify"]).succeeds().json();
        assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
        // A run that is killed late may have made its snapshot.
        let snapshots = device.snapshots();
        assert!(known.keys().all(|number| snapshots.contains(number)), "{snapshots:?}");
        for number in snapshots {
            known.entry(number).or_insert_with(|| today.clone());
        }
        if killed {
            kills += 1;
            let earlier = known.keys().nth(noise.below(known.len() as u64) as usize).unwrap();
            if kills % FULL_CHECK == 0 {
                known[earlier].is_restored_in(&device.restore(&earlier.to_string()).path().join("chats"));
            } else {
                let listed = device.run(["--json", "ls", "-r", &earlier.to_string()]).succeeds().json();
                let files = listed["entries"].as_array().unwrap().iter().filter(|entry| entry["type"] == "file");
                assert_eq!(files.count() as u64, known[earlier].files());
            }
        } else {
            finished += 1;
            assert_eq!(device.stored("locks"), Vec::<PathBuf>::new(), "a run that ended leaves no lock");
            chats.next_day();
            moments.whole = timed_backup(&reference, &chats.folder);
            today = Tree::of(&chats.folder);
        }
    }

    device.back_up(&chats.folder);
    assert_eq!(device.stored("locks"), Vec::<PathBuf>::new());
    device.verify_all();
    assert_same(&chats.folder, &device.restore("latest").path().join("chats"));
    for (number, tree) in known.iter().step_by(5) {
        tree.is_restored_in(&device.restore(&number.to_string()).path().join("chats"));
    }
    let leftover: u64 = device.stored("tmp").iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    let (stored, clean) = (size_of(&device.archive) - leftover, size_of(&reference.archive));
    eprintln!("{kills} kills, {finished} runs ended; stored {stored} bytes, without kills {clean}; tmp/ {leftover}");
    assert!(stored * 2 <= clean * 3, "{stored} bytes are stored, {clean} would do");
}

#[test]
fn restores_killed_at_fifty_moments_go_on_where_they_stopped() {
    let mut noise = Noise::seeded();
    let device = Coffer::with_archive();
    let chats = Chats::new(&device, Noise::new(noise.next())).folder;
    many_small_files(&chats, &mut noise);
    device.back_up(&chats);
    let tree = Tree::of(&chats);

    let begin = Instant::now();
    drop(device.restore("latest"));
    let mut moments = Moments::of(begin.elapsed(), &mut noise);
    let target = device.path("target");
    let (mut kills, mut finished, mut kept) = (0, 0, 0);
    while !moments.left.is_empty() || target.exists() {
        let there = finished_files(&target);
        let arguments = ["restore".as_ref(), "--to".as_ref(), target.as_os_str()];
        let run = if moments.left.is_empty() {
            device.run(["--json".as_ref()].iter().chain(&arguments))
        } else {
            moments.strike(&device, &arguments)
        };
        if run.code.is_none() {
            kills += 1;
            continue;
        }
        finished += 1;
        kept += there;
        let report = run.succeeds().json();
        assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{report}");
        assert_eq!(report["files_already_there"], there, "what was restored is not restored again");
        assert_eq!(report["files"], tree.files() - there);
        tree.is_restored_in(&target.join("chats"));
        fs::remove_dir_all(&target).unwrap();
    }
    eprintln!("{kills} kills, {finished} runs ended, which found {kept} files in place");
    assert!(kept > 0, "no run was interrupted");
    drop(device.restore("latest"));
}

/// Files that have got their final names.
fn finished_files(target: &Path) -> u64 {
    if !target.exists() {
        return 0;
    }
    let is_finished = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        !name.starts_with(".coffer-unfinished-") && !file.is_symlink()
    };
    files_below(target).iter().filter(|file| is_finished(file)).count() as u64
}

fn many_small_files(folder: &Path, noise: &mut Noise) {
    for number in 0..500 {
        let below = folder.join(format!("stickers/{}", number % 30));
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(format!("{number}.webp")), noise.bytes(3000)).unwrap();
    }
    fs::hard_link(folder.join("IMG-1.jpg"), folder.join("another name of IMG-1.jpg")).unwrap();
    fs::hard_link(folder.join("stickers/1/1.webp"), folder.join("favourite.webp")).unwrap();
    symlink("stickers/2", folder.join("best")).unwrap();
    fs::set_permissions(folder.join("stickers/3"), fs::Permissions::from_mode(0o555)).unwrap();
}
