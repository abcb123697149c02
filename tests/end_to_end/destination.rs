//! A destination that is read-only, full, or gone: each time a clear error, and nothing lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use coffer_testkit::disk::{Disk, in_own_namespace};

use crate::device::{Coffer, Run, finish};
use crate::noise::Noise;
use crate::tree::{Tree, assert_same, files_below};

const NO_ARCHIVE: i32 = 13;
const UNAVAILABLE: i32 = 15;
const FULL: i32 = 16;
const REFUSED: i32 = 17;

/// A device whose archive, with one snapshot of a small chat, lies on a disk of its own.
fn on_a_disk(mebibytes: u32) -> (Coffer, Disk, PathBuf, Tree) {
    let mut device = Coffer::new();
    let disk = Disk::new(device.path("disk"), mebibytes);
    device.archive = disk.path().join("backups");
    device.init();
    let source = small_chat(&device);
    device.back_up(&source);
    let tree = Tree::of(&source);
    (device, disk, source, tree)
}

fn small_chat(device: &Coffer) -> PathBuf {
    device.write("chats/anna.txt", &Noise::new(1).text(300_000));
    device.write("chats/photo.jpg", &[&[0xff, 0xd8, 0xff][..], &Noise::new(2).bytes(500_000)].concat());
    device.path("chats")
}

/// Adds a video of so many bytes.
fn film(source: &Path, len: usize) {
    fs::write(source.join("video.mp4"), [b"\0\0\0\x20ftypisom", &Noise::new(3).bytes(len)[..]].concat()).unwrap();
}

fn first_is_whole(device: &Coffer, tree: &Tree) {
    tree.is_restored_in(&device.restore("1").path().join("chats"));
}

fn back_up(device: &Coffer, source: &Path) -> Run {
    device.run(["backup".as_ref(), source.as_os_str()])
}

#[test]
fn a_read_only_destination_is_refused_and_still_restores() {
    in_own_namespace("destination::a_read_only_destination_is_refused_and_still_restores", || {
        let (device, disk, source, tree) = on_a_disk(64);
        film(&source, 2_000_000);
        disk.make_read_only();
        back_up(&device, &source).fails(REFUSED, "Read-only file system");
        let other = Coffer::new();
        other.run(["init".as_ref(), disk.path().join("another").as_os_str()]).fails(REFUSED, "Read-only file system");
        device.verify_all();
        first_is_whole(&device, &tree);

        disk.make_writable();
        back_up(&device, &source).succeeds();
        assert_same(&source, &device.restore("latest").path().join("chats"));
        device.verify_all();
    });
}

#[test]
fn a_full_destination_loses_nothing_and_goes_on_once_there_is_room() {
    in_own_namespace("destination::a_full_destination_loses_nothing_and_goes_on_once_there_is_room", || {
        let (device, disk, source, tree) = on_a_disk(8);
        film(&source, 20_000_000);
        for _ in 0..2 {
            back_up(&device, &source).fails(FULL, "No space left on device");
            assert_eq!(device.stored("tmp"), Vec::<PathBuf>::new(), "what could not be written takes no room");
            assert_eq!(device.stored("locks"), Vec::<PathBuf>::new());
            device.run(["verify"]).succeeds();
            first_is_whole(&device, &tree);
        }
        disk.resize(64);
        back_up(&device, &source).succeeds();
        assert_same(&source, &device.restore("latest").path().join("chats"));
        first_is_whole(&device, &tree);
        device.verify_all();
    });
}

/// Every size at which a small disk can be full: the last object that does not fit is a pack, an index, a snapshot,
/// or the lock.
#[test]
fn a_disk_that_is_full_at_any_point_of_a_backup_is_named_as_full() {
    in_own_namespace("destination::a_disk_that_is_full_at_any_point_of_a_backup_is_named_as_full", || {
        let (device, disk, source, tree) = on_a_disk(4);
        film(&source, 1_000_000);
        let page = 4096;
        let stored = fs::metadata(disk.path()).map(|_| free_of(&disk)).unwrap();
        let mut refused = 0;
        for free in (0..60).map(|step| step * page).chain((1..=8).map(|step| step * 40 * page)) {
            let filler = disk.path().join("filler");
            fs::write(&filler, vec![1; stored.saturating_sub(free)]).unwrap();
            let run = back_up(&device, &source);
            if run.code != Some(0) {
                run.fails(FULL, "No space left on device");
                refused += 1;
            }
            fs::remove_file(filler).unwrap();
            if run.code == Some(0) {
                break;
            }
        }
        assert!(refused > 20, "{refused}");
        back_up(&device, &source).succeeds();
        first_is_whole(&device, &tree);
        assert_same(&source, &device.restore("latest").path().join("chats"));
        device.verify_all();
    });
}

fn free_of(disk: &Disk) -> usize {
    let stat = rustix::fs::statvfs(disk.path()).unwrap();
    (stat.f_bavail * stat.f_frsize) as usize
}

/// Starts a backup and returns once it has stored something new.
fn begin(device: &Coffer, source: &Path) -> std::process::Child {
    let before = device.stored("packs").len();
    let child = device.start(["backup".as_ref(), source.as_os_str()]);
    let patience = Instant::now() + Duration::from_secs(30);
    while device.stored("packs").len() == before {
        assert!(Instant::now() < patience, "the backup does not begin");
        thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_disk_pulled_during_a_backup_ends_it_and_nothing_is_written_in_its_place() {
    in_own_namespace("destination::a_disk_pulled_during_a_backup_ends_it_and_nothing_is_written_in_its_place", || {
        let (device, disk, source, tree) = on_a_disk(256);
        let kept = device.path("kept");
        // The same file system a second time, so that it can be plugged in again.
        fs::create_dir(&kept).unwrap();
        rustix::mount::mount_bind(disk.path(), &kept).unwrap();
        film(&source, 120_000_000);
        let child = begin(&device, &source);
        disk.pull();
        finish(child).fails(UNAVAILABLE, "gone");
        assert_eq!(files_below(&device.path("disk")), Vec::<PathBuf>::new(), "written where the disk was");
        assert_eq!(fs::read_dir(device.path("disk")).unwrap().count(), 0, "made where the disk was");
        back_up(&device, &source).fails(NO_ARCHIVE, "there is no archive");

        rustix::mount::mount_bind(&kept, disk.path()).unwrap();
        first_is_whole(&device, &tree);
        back_up(&device, &source).succeeds();
        assert_same(&source, &device.restore("latest").path().join("chats"));
        device.verify_all();
        rustix::mount::unmount(&kept, rustix::mount::UnmountFlags::DETACH).unwrap();
    });
}

#[test]
fn a_folder_renamed_during_a_backup_ends_it_and_is_not_made_again() {
    let device = Coffer::with_archive();
    let source = small_chat(&device);
    device.back_up(&source);
    let tree = Tree::of(&source);
    film(&source, 120_000_000);
    let elsewhere = device.path("elsewhere");
    for _ in 0..3 {
        let child = begin(&device, &source);
        fs::rename(&device.archive, &elsewhere).unwrap();
        finish(child).fails(UNAVAILABLE, "gone");
        assert!(!device.archive.exists(), "the folder was made again");
        back_up(&device, &source).fails(NO_ARCHIVE, "there is no archive");
        fs::rename(&elsewhere, &device.archive).unwrap();
        // All of it again in the next round.
        fs::write(source.join("video.mp4"), Noise::new(tree.files()).bytes(60_000_000)).unwrap();
        first_is_whole(&device, &tree);
    }
    back_up(&device, &source).succeeds();
    assert_same(&source, &device.restore("latest").path().join("chats"));
    device.verify_all();
}
