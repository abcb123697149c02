//! Archives of real folders, backed up and restored through the crate's public face.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use support::{Fixture, noise, same_tree};

fn rich_tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er/est")).unwrap();
    fs::write(root.join("deep/er/est/text.txt"), "hello\n".repeat(1000)).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::create_dir(root.join("empty folder")).unwrap();
    fs::write(root.join("noise.bin"), noise(3_000_000, 1)).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not utf-8 \xff\xfe")), "x").unwrap();
    symlink("deep/er", root.join("link")).unwrap();
    symlink("/nowhere/at all", root.join("dangling")).unwrap();
    fs::write(root.join("first name"), noise(70_000, 2)).unwrap();
    fs::hard_link(root.join("first name"), root.join("deep/second name")).unwrap();
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::set_permissions(root.join("deep/er"), fs::Permissions::from_mode(0o500)).unwrap();
    xattr::set(root.join("noise.bin"), "user.kind", b"noise").unwrap();
    xattr::set(root.join("deep"), "user.kind", b"folder").unwrap();
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(50 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 20 << 20).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o640),
        0,
    )
    .unwrap();
}

#[test]
fn everything_comes_back_as_it_was() {
    let fixture = Fixture::new();
    rich_tree(&fixture.source);
    let report = fixture.backup();
    assert_eq!(report.problems, []);
    let restored = fixture.restore("latest");
    assert_eq!(restored.problems, []);
    same_tree(&fixture.source, &fixture.restored());
    let sparse = fs::metadata(fixture.restored().join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "a sparse file came back with {} blocks", sparse.blocks());
    let link = fs::metadata(fixture.restored().join("deep/second name")).unwrap();
    assert_eq!(link.nlink(), 2);
}

#[test]
fn a_file_whose_pieces_lie_scattered_and_in_another_order_comes_back() {
    let fixture = Fixture::new();
    let path = fixture.source.join("film.mkv");
    let piece = |seed: u64| {
        let mut piece = noise(1 << 20, seed);
        // Its magic makes it media: a chunk is a piece of 1 MiB.
        piece[..4].copy_from_slice(b"\x1a\x45\xdf\xa3");
        piece
    };
    // Each backup stores one piece more, in a pack of its own.
    for day in 1..=4 {
        fs::write(&path, (1..=day).map(piece).collect::<Vec<_>>().concat()).unwrap();
        fixture.backup();
    }
    let mut content = [3, 1, 1, 4, 2, 3].map(piece).concat();
    content.extend(noise(5_000, 9));
    fs::write(&path, &content).unwrap();
    // A hole in the middle, and one at the end.
    let file = fs::File::options().write(true).open(&path).unwrap();
    rustix::fs::fallocate(
        &file,
        rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
        2 << 20,
        1 << 20,
    )
    .unwrap();
    file.set_len(content.len() as u64 + (3 << 20)).unwrap();
    drop(file);
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
    let restored = fs::metadata(fixture.restored().join("film.mkv")).unwrap();
    assert!(restored.blocks() * 512 < 6 << 20, "it came back with {} blocks", restored.blocks());
}

#[test]
fn an_unchanged_tree_costs_next_to_nothing() {
    let fixture = Fixture::new();
    rich_tree(&fixture.source);
    support::let_the_clock_tick();
    let first = fixture.backup();
    let second = fixture.backup();
    assert_eq!(second.files_new + second.files_changed, 0, "{second:?}");
    assert_eq!(second.bytes_read, 0);
    assert!(second.bytes_stored < 1000, "{} bytes", second.bytes_stored);
    assert_eq!(second.snapshot.totals, first.snapshot.totals);
    fixture.restore("latest");
    same_tree(&fixture.source, &fixture.restored());
}

#[test]
fn a_small_change_costs_little() {
    let fixture = Fixture::new();
    fs::write(fixture.source.join("big.txt"), noise(20_000_000, 3)).unwrap();
    fixture.backup();
    let mut content = noise(20_000_000, 3);
    content.splice(5_000_000..5_000_000, *b"a line was inserted\n");
    fs::write(fixture.source.join("big.txt"), content).unwrap();
    let second = fixture.backup();
    assert!(second.bytes_stored < 600_000, "{} bytes", second.bytes_stored);
    fixture.restore("latest");
    same_tree(&fixture.source, &fixture.restored());
    assert_eq!(fixture.verify(true).problems, []);
}

#[test]
fn every_snapshot_stays_as_it_was() {
    let fixture = Fixture::new();
    for day in 0..5_u8 {
        fs::write(fixture.source.join(format!("day {day}")), noise(100_000, day.into())).unwrap();
        fs::write(fixture.source.join("diary"), format!("day {day}")).unwrap();
        fixture.backup();
    }
    for day in 0..5_u8 {
        fixture.clear_restored();
        fixture.restore(&(day + 1).to_string());
        assert_eq!(fs::read_to_string(fixture.restored().join("diary")).unwrap(), format!("day {day}"));
        assert_eq!(fixture.restored().join("day 3").exists(), day >= 3);
    }
}

#[test]
fn single_paths_come_back_alone() {
    let fixture = Fixture::new();
    rich_tree(&fixture.source);
    fixture.backup();
    let archive = fixture.open();
    let snapshot = archive.snapshot("latest").unwrap();
    let options = coffer_archive::RestoreOptions {
        target: fixture.target.clone(),
        paths: vec![fixture.source.join("deep/er/est/text.txt"), "source/empty".into()],
        force: false,
    };
    let report = archive.restore(snapshot, &options, &Default::default()).unwrap();
    assert_eq!((report.files, report.problems.len()), (2, 0));
    assert!(fixture.restored().join("deep/er/est/text.txt").exists());
    assert!(!fixture.restored().join("noise.bin").exists());
}

#[test]
fn refuses_a_path_that_the_snapshot_does_not_hold() {
    let fixture = Fixture::new();
    rich_tree(&fixture.source);
    fixture.backup();
    let archive = fixture.open();
    let snapshot = archive.snapshot("latest").unwrap();
    for path in ["source/nothing", "source/empty/below a file", "source/../../etc", "/etc/passwd"] {
        let options =
            coffer_archive::RestoreOptions { target: fixture.target.clone(), paths: vec![path.into()], force: false };
        let error = archive.restore(snapshot, &options, &Default::default()).unwrap_err();
        assert!(matches!(error, coffer_archive::Error::NotInSnapshot { .. }), "{path}: {error}");
        assert!(!fixture.target.exists());
    }
}
