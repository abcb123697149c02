//! A target full of traps: links that lead out, pipes, names taken. A restore never leaves its target. (Trees that are
//! hostile themselves are in `src/restore_tests.rs`: they cannot be made from outside.)
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use coffer_archive::RestoreReport;
use support::{Fixture, contents, noise, same_tree};

fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// A backup of a small tree, and a folder outside the target that must stay as it is.
struct Trap {
    fixture: Fixture,
    outside: PathBuf,
    untouched: String,
}

impl Trap {
    fn new() -> Self {
        let fixture = Fixture::new();
        fs::create_dir(fixture.source.join("sub")).unwrap();
        fs::write(fixture.source.join("sub/inner"), "inner").unwrap();
        fs::write(fixture.source.join("file"), "the file").unwrap();
        fs::set_permissions(fixture.source.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("sub/inner", fixture.source.join("link")).unwrap();
        make_fifo(&fixture.source.join("pipe"));
        fixture.backup();
        let outside = fixture.folder.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("inner"), "do not touch").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o751)).unwrap();
        fs::create_dir_all(fixture.restored()).unwrap();
        let untouched = state(&outside);
        Self { fixture, outside, untouched }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.fixture.restored().join(name)
    }

    /// Restores, first without force: the trap stays and is named, and the rest comes back. Then with force: all does.
    fn spring(&self, name: &str, lost_without: &[&str]) {
        let report = self.fixture.restore("latest");
        assert_eq!(state(&self.outside), self.untouched, "without force: outside was touched");
        assert!(report.problems.iter().any(|problem| problem.path == self.place(name)), "{:?}", report.problems);
        assert!(report.conflicts > 0, "{report:?}");
        for path in ["file", "sub/inner", "link", "pipe"] {
            let is_there = fs::symlink_metadata(self.place(path)).is_ok_and(|_| !lost_without.contains(&path));
            assert!(is_there || lost_without.contains(&path), "{path} did not come back");
        }
        fs::remove_file(self.place("pipe")).unwrap();
        let report = self.force();
        assert_eq!(report.problems, []);
        same_tree(&self.fixture.source, &self.fixture.restored());
    }

    fn force(&self) -> RestoreReport {
        let report = self.fixture.try_restore("latest", true).unwrap();
        assert_eq!(state(&self.outside), self.untouched, "with force: outside was touched");
        report
    }
}

fn state(folder: &Path) -> String {
    let describe = |path: &Path| {
        let m = fs::symlink_metadata(path).unwrap();
        format!("{} {:o} {} {} {}", path.display(), m.mode(), m.mtime(), m.mtime_nsec(), m.nlink())
    };
    let files = contents(folder);
    let files: Vec<_> = files.iter().map(|(path, content)| (describe(&folder.join(path)), content.clone())).collect();
    format!("{} {files:?}", describe(folder))
}

fn unfinished(name: &str) -> String {
    format!(".coffer-unfinished-{}", &blake3::hash(name.as_bytes()).to_hex()[..16])
}

#[test]
fn a_link_in_the_place_of_a_folder_is_not_followed() {
    let trap = Trap::new();
    symlink(&trap.outside, trap.place("sub")).unwrap();
    trap.spring("sub", &["sub/inner"]);
}

#[test]
fn a_link_in_the_place_of_the_top_folder_is_not_followed() {
    let trap = Trap::new();
    fs::remove_dir(trap.fixture.restored()).unwrap();
    symlink(&trap.outside, trap.fixture.restored()).unwrap();
    let report = trap.fixture.restore("latest");
    assert_eq!(state(&trap.outside), trap.untouched);
    assert_eq!((report.files, report.problems.len()), (0, 1), "{report:?}");
    assert_eq!(trap.force().problems, []);
    same_tree(&trap.fixture.source, &trap.fixture.restored());
}

#[test]
fn a_link_in_the_place_of_a_file_is_not_followed() {
    for to in ["inner", "new"] {
        let trap = Trap::new();
        symlink(trap.outside.join(to), trap.place("file")).unwrap();
        trap.spring("file", &["file"]);
        assert!(!trap.outside.join("new").exists());
    }
}

#[test]
fn a_link_in_the_place_of_the_unfinished_file_is_not_followed() {
    for (to, force) in [("inner", false), ("new", false), ("inner", true), ("new", true)] {
        let trap = Trap::new();
        symlink(trap.outside.join(to), trap.place(&unfinished("file"))).unwrap();
        fs::create_dir(trap.place("sub")).unwrap();
        fs::hard_link(trap.outside.join("inner"), trap.place("sub").join(unfinished("inner"))).unwrap();
        let report = trap.fixture.try_restore("latest", force).unwrap();
        assert_eq!(report.problems, []);
        assert_eq!(fs::read_to_string(trap.outside.join("inner")).unwrap(), "do not touch");
        assert!(!trap.outside.join("new").exists());
        same_tree(&trap.fixture.source, &trap.fixture.restored());
    }
}

#[test]
fn a_folder_in_the_place_of_the_unfinished_file_costs_that_file_alone() {
    let trap = Trap::new();
    fs::create_dir(trap.place(&unfinished("file"))).unwrap();
    let report = trap.fixture.restore("latest");
    assert!(report.problems.len() <= 1, "{report:?}");
    assert!(report.problems.iter().all(|problem| problem.path == trap.place("file")));
    assert!(trap.place("sub/inner").exists());
}

#[test]
fn a_pipe_in_the_place_of_a_file_or_folder_does_not_hang() {
    let trap = Trap::new();
    make_fifo(&trap.place("file"));
    trap.spring("file", &["file"]);
    let trap = Trap::new();
    make_fifo(&trap.place("sub"));
    trap.spring("sub", &["sub/inner"]);
}

#[test]
fn another_link_in_the_place_of_a_link_is_not_followed() {
    let trap = Trap::new();
    symlink(&trap.outside, trap.place("link")).unwrap();
    trap.spring("link", &["link"]);
}

#[test]
fn a_folder_in_the_place_of_a_file_or_link_is_kept_even_with_force() {
    for name in ["file", "link", "pipe"] {
        let trap = Trap::new();
        fs::create_dir(trap.place(name)).unwrap();
        fs::write(trap.place(name).join("precious"), "of the user").unwrap();
        for force in [false, true] {
            let report = trap.fixture.try_restore("latest", force).unwrap();
            assert!(report.conflicts > 0 && !report.problems.is_empty(), "{report:?}");
            assert_eq!(fs::read_to_string(trap.place(name).join("precious")).unwrap(), "of the user");
            assert_eq!(contents(&trap.fixture.restored()).len(), if name == "file" { 2 } else { 3 });
        }
    }
}

/// As after an interrupted restore: everything is there, and nothing of it is a conflict.
#[test]
fn a_second_restore_finds_everything_there() {
    let trap = Trap::new();
    assert_eq!(trap.fixture.restore("latest").problems, []);
    let again = trap.fixture.restore("latest");
    assert_eq!((again.problems, again.files_already_there), (vec![], 2));
    same_tree(&trap.fixture.source, &trap.fixture.restored());
}

#[test]
fn a_file_that_is_named_like_an_unfinished_one_comes_back() {
    let fixture = Fixture::new();
    for number in 0..40 {
        let name = format!("z{number}");
        fs::write(fixture.source.join(&name), noise(200_000, number)).unwrap();
        fs::write(fixture.source.join(unfinished(&name)), "left by an interrupted restore").unwrap();
    }
    fixture.backup();
    assert_eq!(fixture.restore("latest").problems, []);
    same_tree(&fixture.source, &fixture.restored());
}

/// Someone with access to the target swaps a folder for a link and back while the restore runs.
#[test]
fn a_link_that_comes_and_goes_during_the_restore_is_not_followed() {
    let trap = Trap::new();
    for number in 0..400 {
        fs::write(trap.fixture.source.join(format!("sub/{number}")), noise(500, number)).unwrap();
    }
    trap.fixture.backup();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (sub, aside) = (trap.place("sub"), trap.place("aside"));
            while !done.load(Ordering::Relaxed) {
                let _ = fs::rename(&sub, &aside);
                let _ = symlink(&trap.outside, &sub);
                let _ = fs::remove_file(&sub);
                let _ = fs::rename(&aside, &sub);
            }
        });
        for round in 0..10 {
            trap.fixture.try_restore("latest", round % 2 == 1).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(state(&trap.outside), trap.untouched);
}

/// Each folder holds a file that has another name elsewhere; the usual limit of open files is 1024.
#[test]
fn hard_links_in_many_folders_do_not_use_up_the_open_files() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.source.join("all")).unwrap();
    for number in 0..400 {
        let folder = fixture.source.join(format!("folder {number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), format!("{number}")).unwrap();
        fs::hard_link(folder.join("file"), fixture.source.join(format!("all/{number}"))).unwrap();
        fs::hard_link(folder.join("file"), folder.join("second")).unwrap();
    }
    for number in 0..400 {
        // "all" comes first in the tree: without these, its folder alone would be held.
        fs::remove_file(fixture.source.join(format!("all/{number}"))).unwrap();
    }
    fixture.backup();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let lowered = rustix::process::Rlimit { current: Some(256), maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, lowered).unwrap();
    let report = fixture.restore("latest");
    assert!(report.problems.is_empty(), "{} lost, first: {:?}", report.problems.len(), report.problems[0]);
    same_tree(&fixture.source, &fixture.restored());
}
