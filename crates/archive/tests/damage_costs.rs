//! Damage costs the files it touches and no more, and what is lost can be stored again.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use coffer_archive::{Progress, RestoreReport, VerifyReport};
use support::{Fixture, contents, noise, same_tree};

/// Several hundred files in 12 MB that do not compress: four segments.
fn many_files() -> Fixture {
    let fixture = Fixture::new();
    for number in 0..600_usize {
        let folder = fixture.source.join(format!("chat {}", number % 7));
        fs::create_dir_all(&folder).unwrap();
        let content = noise(5_000 + (number * 7919) % 30_000, number as u64);
        fs::write(folder.join(format!("{number:03}.txt")), content).unwrap();
    }
    support::let_the_clock_tick();
    let report = fixture.backup();
    assert_eq!(report.problems, []);
    fixture
}

fn largest_pack(fixture: &Fixture) -> PathBuf {
    fixture.objects("packs").into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The files of the source that did not come back; those that did are right.
fn lost(fixture: &Fixture) -> BTreeSet<PathBuf> {
    let found = contents(&fixture.restored());
    let expected = contents(&fixture.source);
    for (path, content) in &found {
        assert!(expected.get(path) == Some(content), "{} is wrong", path.display());
    }
    expected.into_keys().filter(|path| !found.contains_key(path)).collect()
}

fn named_by_restore(fixture: &Fixture, report: &RestoreReport) -> BTreeSet<PathBuf> {
    let relative = |path: &Path| path.strip_prefix(fixture.restored()).unwrap().to_owned();
    report.problems.iter().map(|problem| relative(&problem.path)).collect()
}

fn named_by_verify(report: &VerifyReport, number: u64) -> BTreeSet<PathBuf> {
    let top = format!("snapshot {number}/source");
    report.problems.iter().filter_map(|problem| problem.path.strip_prefix(&top).ok().map(Path::to_owned)).collect()
}

#[test]
fn one_flipped_bit_costs_the_files_in_its_segment_alone() {
    let fixture = many_files();
    let pack = largest_pack(&fixture);
    for at in [80, 3_000_000, 7_654_321] {
        fixture.clear_restored();
        flip(&pack, at);
        let report = fixture.restore("latest");
        let lost = lost(&fixture);
        assert!((1..200).contains(&lost.len()), "{} of 600 files lost", lost.len());
        assert_eq!(named_by_restore(&fixture, &report), lost);
        assert_eq!(report.damaged as usize, lost.len());
        assert_eq!(report.files as usize, 600 - lost.len());
        assert_eq!(named_by_verify(&fixture.verify(true), 1), lost);
        flip(&pack, at);
    }
}

#[test]
fn a_pack_that_ends_within_what_is_read_ahead_keeps_its_first_files() {
    let fixture = Fixture::new();
    for number in 0..6 {
        // A photo is one chunk, and two of these do not fit into a segment.
        let photo = [b"\xff\xd8\xff".to_vec(), noise(900_000, number)].concat();
        fs::write(fixture.source.join(format!("{number}.jpg")), photo).unwrap();
    }
    fixture.backup();
    // Three segments are whole, the fourth in part.
    fs::File::options().write(true).open(largest_pack(&fixture)).unwrap().set_len(3_300_000).unwrap();
    let report = fixture.restore("latest");
    assert_eq!((report.files, report.damaged), (3, 3), "{:?}", report.problems);
    assert_eq!(named_by_restore(&fixture, &report), lost(&fixture));
}

#[test]
fn a_flipped_bit_of_a_table_of_contents_costs_nothing() {
    let fixture = many_files();
    let pack = largest_pack(&fixture);
    let len = fs::metadata(&pack).unwrap().len() as usize;
    for at in [20, len - 5, len - 40] {
        flip(&pack, at);
        fixture.clear_restored();
        assert_eq!(fixture.restore("latest").problems, []);
        let report = fixture.verify(true);
        assert_eq!(named_by_verify(&report, 1), BTreeSet::new());
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        flip(&pack, at);
    }
}

#[test]
fn a_missing_or_damaged_index_costs_nothing() {
    let fixture = many_files();
    for index in fixture.objects("index") {
        flip(&index, 100);
    }
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    assert_ne!(fixture.verify(false).problems, []);
    fs::remove_dir_all(fixture.archive.join("index")).unwrap();
    fixture.clear_restored();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    // The next backup writes the index again, and stores nothing else.
    let next = fixture.backup();
    assert_eq!(next.files_unchanged, 600);
    assert!(next.bytes_stored < 200_000, "{} bytes", next.bytes_stored);
    assert_eq!(fixture.objects("index").len(), 1);
    assert_eq!(fixture.verify(true).problems, []);
}

#[test]
fn a_missing_pack_costs_its_files_alone() {
    let fixture = many_files();
    fs::write(fixture.source.join("another day"), noise(100_000, 1_000)).unwrap();
    support::let_the_clock_tick();
    fixture.backup();
    fs::remove_file(largest_pack(&fixture)).unwrap();
    let report = fixture.restore("latest");
    let lost = lost(&fixture);
    assert_eq!(lost.len(), 600);
    assert_eq!(named_by_restore(&fixture, &report), lost);
    for read_data in [false, true] {
        assert_eq!(named_by_verify(&fixture.verify(read_data), 2), lost);
    }
}

/// Which index is read first is chance: several archives make sure that both orders occur.
#[test]
fn the_backup_after_a_missing_pack_stores_its_chunks_again() {
    for round in 0..6 {
        let fixture = Fixture::new();
        for number in 0..20 {
            fs::write(fixture.source.join(format!("{number}")), noise(3_000, number)).unwrap();
        }
        support::let_the_clock_tick();
        fixture.backup();
        fs::remove_file(largest_pack(&fixture)).unwrap();
        let healing = fixture.backup();
        assert!(healing.bytes_stored > 60_000, "{} bytes", healing.bytes_stored);
        for which in ["1", "2"] {
            fixture.clear_restored();
            assert_eq!(fixture.restore(which).problems, [], "round {round}, snapshot {which}");
            same_tree(&fixture.source, &fixture.restored());
        }
        let third = fixture.backup();
        assert!(third.bytes_stored < 3_000, "round {round}: {} bytes again", third.bytes_stored);
    }
}

#[test]
fn the_backup_after_a_missing_pack_and_index_stores_the_chunks_again() {
    let fixture = Fixture::new();
    for number in 0..20 {
        fs::write(fixture.source.join(format!("{number}")), noise(3_000, number)).unwrap();
    }
    support::let_the_clock_tick();
    fixture.backup();
    fs::remove_file(largest_pack(&fixture)).unwrap();
    fs::remove_dir_all(fixture.archive.join("index")).unwrap();
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// An empty `packs/` (a provider's folder deleted by hand): nothing is left, and the next backup stores everything.
#[test]
fn the_backup_after_all_packs_and_indexes_are_gone_stores_everything_again() {
    let fixture = Fixture::new();
    // A database with more pages than fit into a node: its list lies in a chunk of its own.
    let mut database = b"SQLite format 3\0\x10\0".to_vec();
    database.extend(noise(400_000, 5));
    fs::write(fixture.source.join("store.db"), database).unwrap();
    fs::write(fixture.source.join("note"), "hello").unwrap();
    support::let_the_clock_tick();
    fixture.backup();
    fs::remove_dir_all(fixture.archive.join("packs")).unwrap();
    fs::remove_dir_all(fixture.archive.join("index")).unwrap();
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// The backup reads the trees of the previous snapshot and meets the damage: what it cannot read does not count as held.
#[test]
fn a_backup_that_meets_a_damaged_tree_stores_it_again() {
    let fixture = Fixture::new();
    for number in 0..20 {
        fs::write(fixture.source.join(format!("{number}")), noise(3_000, number)).unwrap();
    }
    support::let_the_clock_tick();
    fixture.backup();
    let tree = fixture.objects("packs").into_iter().min_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    flip(&tree, 100);
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// Two devices stored the same chunks at the same time: one of the two packs may be lost.
#[test]
fn a_chunk_in_two_packs_survives_the_loss_of_either() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("a"), noise(30_000, 1)).unwrap();
    let copy = fixture.folder.path().join("copy");
    support::copy_folder(&fixture.archive, &copy);
    fixture.backup();
    let before = fixture.objects("packs");
    let mut other = coffer_archive::Archive::open(support::destination(&copy), &support::key(), Default::default());
    other.as_mut().unwrap().backup(&fixture.backup_options(), &Progress::default()).unwrap();
    for folder in ["packs", "index"] {
        let merged = std::process::Command::new("cp").arg("-a").arg(copy.join(folder)).arg(&fixture.archive).status();
        assert!(merged.unwrap().success());
    }
    assert_eq!(fixture.objects("packs").len(), 4);
    for pack in fixture.objects("packs") {
        for lose in [|pack: &Path| flip(pack, 100), |pack: &Path| fs::remove_file(pack).unwrap()] {
            let whole = fs::read(&pack).unwrap();
            lose(&pack);
            fixture.clear_restored();
            let own = before.contains(&pack);
            let there = pack.exists();
            let report = fixture.restore("latest");
            assert_eq!(report.problems, [], "own: {own}, flipped: {there}");
            fs::write(&pack, whole).unwrap();
        }
    }
}

/// What a full verification found damaged is not counted on by the next backup, which stores it again.
#[test]
fn the_backup_after_a_verification_that_found_damage_stores_the_chunks_again() {
    let fixture = Fixture::new();
    for number in 0..20 {
        fs::write(fixture.source.join(format!("{number}")), noise(3_000, number)).unwrap();
    }
    support::let_the_clock_tick();
    fixture.backup();
    flip(&largest_pack(&fixture), 5_000);
    assert!(!fixture.verify(true).problems.is_empty());
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}
