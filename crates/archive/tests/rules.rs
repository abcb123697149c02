//! Rules: what is left out, what is taken all the same, and what a restore then holds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use coffer_archive::{BackupOptions, BackupReport, Error, Excluded, Pattern, Progress, Rules};
use support::Fixture;

fn with_files(files: &[&str]) -> Fixture {
    let fixture = Fixture::new();
    for file in files {
        let path = fixture.source.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    support::let_the_clock_tick();
    fixture
}

fn back_up(fixture: &Fixture, rules: Rules) -> BackupReport {
    let options = BackupOptions { rules, ..fixture.backup_options() };
    fixture.open().backup(&options, &Progress::default()).unwrap()
}

fn patterns(patterns: impl IntoIterator<Item = Pattern>) -> Rules {
    Rules { patterns: patterns.into_iter().collect(), ..Rules::default() }
}

/// The paths of the latest snapshot below the source.
fn held(fixture: &Fixture) -> BTreeSet<String> {
    let archive = fixture.open();
    let mut held = BTreeSet::new();
    let mut visit = |path: &Path, _: &_| {
        let below = path.strip_prefix("source").unwrap().to_str().unwrap().to_owned();
        held.extend(Some(below).filter(|below| !below.is_empty()));
    };
    assert_eq!(archive.list(archive.snapshot("latest").unwrap(), None, true, &mut visit).unwrap(), []);
    held
}

fn set<const N: usize>(paths: [&str; N]) -> BTreeSet<String> {
    paths.map(str::to_owned).into()
}

#[test]
fn patterns_mean_what_they_mean_in_a_gitignore() {
    let fixture = with_files(&["a.tmp", "keep", "sub/b.tmp", "sub/cache/x", "top/x", "sub/top/x", "sub/deep/er/y"]);
    let rules = patterns(["*.tmp", "cache/", "/top", "sub/**/y"].map(Pattern::exclude));
    let report = back_up(&fixture, rules);
    assert_eq!(held(&fixture), set(["keep", "sub", "sub/deep", "sub/deep/er", "sub/top", "sub/top/x"]));
    assert_eq!(report.excluded, Excluded { files: 3, folders: 2 });
    assert_eq!(report.notes, []);
}

#[test]
fn a_path_from_the_root_means_that_very_place() {
    let fixture = with_files(&["sub/x", "other/sub/x"]);
    let path = fixture.source.join("sub/x");
    back_up(&fixture, patterns([Pattern::exclude(path.to_str().unwrap())]));
    assert_eq!(held(&fixture), set(["sub", "other", "other/sub", "other/sub/x"]));
}

#[test]
fn what_is_included_is_taken_though_it_is_excluded_or_too_large() {
    let fixture = with_files(&["a.log", "b.log", "large.bin", "large.too"]);
    let rules = Rules {
        exclude_larger_than: Some(8),
        ..patterns([Pattern::exclude("*.log"), Pattern::include("b.log"), Pattern::include("*.too")])
    };
    let report = back_up(&fixture, rules);
    assert_eq!(held(&fixture), set(["b.log", "large.too"]));
    assert_eq!((report.excluded, report.notes), (Excluded { files: 2, folders: 0 }, vec![]));
}

#[test]
fn a_name_that_begins_as_a_comment_or_a_negation_is_a_name() {
    let fixture = with_files(&["#a", "!b", "c"]);
    back_up(&fixture, patterns([Pattern::exclude("#a"), Pattern::exclude("!b")]));
    assert_eq!(held(&fixture), set(["c"]));
}

#[test]
fn an_excluded_folder_is_not_entered() {
    let fixture = with_files(&["cache/sub/x", "cache/y"]);
    let report = back_up(&fixture, patterns([Pattern::exclude("cache"), Pattern::include("y")]));
    assert_eq!(held(&fixture), set([]));
    assert_eq!(report.excluded, Excluded { files: 0, folders: 1 });
    let notes: Vec<_> = report.notes.iter().map(|note| (note.path.to_str().unwrap(), note.what.as_str())).collect();
    assert_eq!(notes, [("y", "this rule took nothing that was left out")]);
}

#[test]
fn a_rule_that_matches_nothing_is_noted() {
    let fixture = with_files(&["a.tmp"]);
    let report = back_up(&fixture, patterns([Pattern::exclude("*.tmp"), Pattern::exclude("*.tpm")]));
    let notes: Vec<_> = report.notes.iter().map(|note| (note.path.to_str().unwrap(), note.what.as_str())).collect();
    assert_eq!(notes, [("*.tpm", "this rule left nothing out")]);
}

#[test]
fn a_pattern_that_is_none_is_refused_before_anything_is_stored() {
    let fixture = with_files(&["a"]);
    let options = BackupOptions { rules: patterns([Pattern::exclude("a{b")]), ..fixture.backup_options() };
    let refused = fixture.open().backup(&options, &Progress::default());
    assert!(matches!(refused, Err(Error::BadRule { rule, .. }) if rule == "a{b"));
    assert_eq!(fixture.open().snapshots().len(), 0);
}

#[test]
fn caches_that_say_so_are_left_out() {
    let fixture = with_files(&["real/x", "false/CACHEDIR.TAG"]);
    fs::write(fixture.source.join("real/CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n# made by x")
        .unwrap();
    let rules = Rules { exclude_caches: true, ..Rules::default() };
    assert_eq!(back_up(&fixture, rules).excluded, Excluded { files: 0, folders: 1 });
    assert_eq!(held(&fixture), set(["false", "false/CACHEDIR.TAG"]));
}

#[test]
fn what_lies_on_another_file_system_is_left_out() {
    let fixture = with_files(&["own/x"]);
    // No mount is needed where one can be backed up from: the link to the memory file system is a source of its own.
    let Some(shm) = Some(Path::new("/dev/shm")).filter(|shm| shm.is_dir()) else { panic!("/dev/shm is not there") };
    let rules = Rules { one_file_system: true, ..Rules::default() };
    let options = BackupOptions {
        sources: vec!["/dev".into()],
        host: "test".to_owned(),
        rules: Rules { patterns: vec![Pattern::exclude("/*"), Pattern::include("/shm")], ..rules },
        ..BackupOptions::default()
    };
    let report = fixture.open().backup(&options, &Progress::default()).unwrap();
    assert_eq!(report.snapshot.totals.directories, 1, "{report:?}");
    let note = report.notes.iter().find(|note| note.path == shm).unwrap();
    assert_eq!(note.what, "left out: it is on another file system");
    // The same source without the rule.
    back_up(&fixture, Rules::default());
    assert_eq!(held(&fixture), set(["own", "own/x"]));
}

#[test]
fn a_journal_goes_with_its_database_whatever_the_rules_say_of_it() {
    let fixture = with_files(&["kept", "kept-wal", "left", "left-wal", "left-shm", "stray-wal"]);
    let rules = patterns([Pattern::exclude("*-wal"), Pattern::exclude("left")]);
    let report = back_up(&fixture, rules);
    assert_eq!(held(&fixture), set(["kept", "kept-wal"]));
    assert_eq!(report.excluded, Excluded { files: 4, folders: 0 });
}

#[test]
fn what_was_named_is_taken_and_links_are_not_folders() {
    let fixture = with_files(&["sub/x"]);
    symlink("sub", fixture.source.join("link")).unwrap();
    back_up(&fixture, patterns([Pattern::exclude("source"), Pattern::exclude("link/")]));
    assert_eq!(held(&fixture), set(["link", "sub", "sub/x"]));
}

#[test]
fn rules_of_one_source_say_nothing_of_another() {
    let fixture = with_files(&["one/x", "two/x"]);
    let [one, two] = ["one", "two"].map(|name| fixture.source.join(name));
    let rules = patterns([Pattern::exclude("x").only_in(&one)]);
    let options = BackupOptions { sources: vec![one, two], rules, ..fixture.backup_options() };
    fixture.open().backup(&options, &Progress::default()).unwrap();
    let archive = fixture.open();
    let mut held = Vec::new();
    archive.list(archive.snapshot("latest").unwrap(), None, true, &mut |path, _| held.push(path.to_owned())).unwrap();
    assert_eq!(held, ["one", "two", "two/x"].map(Path::new));
}

#[test]
fn a_snapshot_with_other_rules_still_tells_what_is_unchanged() {
    let fixture = with_files(&["a", "b.tmp", "sub/c"]);
    back_up(&fixture, Rules::default());
    let report = back_up(&fixture, patterns([Pattern::exclude("*.tmp")]));
    assert_eq!((report.files_unchanged, report.bytes_read), (2, 0));
    let report = back_up(&fixture, Rules::default());
    assert_eq!((report.files_unchanged, report.files_new), (2, 1));
    fixture.restore("latest");
    support::same_tree(&fixture.source, &fixture.restored());
}
