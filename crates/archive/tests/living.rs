//! Samples, drills and copies.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use coffer_archive::{Archive, OpenOptions, Progress, ReadData};
use support::{Fixture, destination, key, noise};

fn with_packs() -> Fixture {
    let fixture = Fixture::new();
    for day in 0..3 {
        fs::write(fixture.source.join(format!("{day}.jpg")), [b"\xff\xd8\xff".to_vec(), noise(100_000, day)].concat())
            .unwrap();
        support::let_the_clock_tick();
        fixture.backup();
    }
    fixture
}

#[test]
fn a_sample_forgets_nothing_of_the_damage_that_was_known() {
    let fixture = with_packs();
    let damaged = fixture.objects("packs").remove(0);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    assert_ne!(fixture.verify(true).problems, []);
    let known = || fs::read_to_string(fixture.folder.path().join("memory/damaged")).unwrap();
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(known().contains(name));
    let mut was_passed_over = false;
    for _ in 0..40 {
        let report = fixture.open().verify(ReadData::Share(0.01), &Progress::default()).unwrap();
        assert!((1..report.packs).contains(&report.packs_read), "{report:?}");
        was_passed_over |= !report.problems.iter().any(|problem| problem.what.contains("segments are damaged"));
        assert!(known().contains(name), "{}", known());
    }
    assert!(was_passed_over, "the draw is not random");
    // And what is whole again is known to be.
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    assert_eq!(fixture.verify(true).problems, []);
    assert_eq!(known(), "");
}

#[test]
fn a_sample_is_as_large_as_was_asked_for() {
    let fixture = with_packs();
    for share in [0.01, 0.4, 1.0] {
        let report = fixture.open().verify(ReadData::Share(share), &Progress::default()).unwrap();
        assert!(report.bytes_read as f64 >= report.bytes_stored as f64 * share, "{report:?}");
        assert_eq!(report.packs_read == report.packs, share == 1.0, "{report:?}");
    }
}

#[test]
fn a_drill_proves_the_totals() {
    let fixture = with_packs();
    let archive = fixture.open();
    let snapshot = archive.snapshot("latest").unwrap();
    let report = archive.drill(snapshot, &Progress::default()).unwrap();
    assert_eq!((report.proved, report.problems), (snapshot.totals, vec![]));
    // The largest holds a file.
    let largest = fixture.objects("packs").into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len());
    fs::remove_file(largest.unwrap()).unwrap();
    let report = archive.drill(archive.snapshot("latest").unwrap(), &Progress::default()).unwrap();
    assert_ne!(report.problems, []);
}

/// However far a copy has come while backups go on, what it holds is whole.
#[test]
fn a_copy_made_while_backups_run_is_whole_as_far_as_it_goes() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("first"), noise(50_000, 0)).unwrap();
    fixture.backup();
    let second = destination(&fixture.folder.path().join("second"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for day in 1..12 {
                fs::write(fixture.source.join(format!("{day}")), noise(300_000, day)).unwrap();
                fixture.backup();
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let mut is_last = false;
        while !is_last {
            is_last = is_over.load(Ordering::SeqCst);
            let report = fixture.open_elsewhere().copy_to(&second, "test", &Progress::default()).unwrap();
            assert_eq!(report.problems, []);
            let copy = Archive::open(second.clone(), &key(), OpenOptions::default()).unwrap();
            let report = copy.verify(true, &Progress::default()).unwrap();
            assert_eq!(report.problems, []);
            assert_eq!(copy.locks().unwrap(), []);
        }
    });
    let copy = Archive::open(second, &key(), OpenOptions::default()).unwrap();
    assert_eq!(copy.snapshots(), fixture.open_elsewhere().snapshots());
}
