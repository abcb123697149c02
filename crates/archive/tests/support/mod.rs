//! What the tests of this crate share: an archive in a folder, a source, a target, and a comparison of trees.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::allow_attributes,
    reason = "each test file uses a part of it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use coffer_archive::{
    Archive, BackupOptions, BackupReport, Destination, DeviceMemory, Error, OpenOptions, Progress, RestoreOptions,
    RestoreReport, VerifyReport,
};
use coffer_keys::BackupKey;

/// A source, an archive with a device that remembers, and a target, in a temporary folder.
pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub source: PathBuf,
    pub archive: PathBuf,
    pub target: PathBuf,
}

impl Fixture {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        let (source, archive, target) = (top.join("source"), top.join("archive"), top.join("target"));
        fs::create_dir(&source).unwrap();
        Archive::init(destination(&archive), &key()).unwrap();
        Self { folder, source, archive, target }
    }

    pub fn restored(&self) -> PathBuf {
        self.target.join("source")
    }

    pub fn memory(&self) -> DeviceMemory {
        DeviceMemory::at(self.folder.path().join("memory")).unwrap()
    }

    pub fn try_open(&self) -> Result<Archive, Error> {
        let options = OpenOptions { memory: Some(self.memory()), ..OpenOptions::default() };
        Archive::open(destination(&self.archive), &key(), options)
    }

    pub fn open(&self) -> Archive {
        self.try_open().unwrap()
    }

    pub fn backup_options(&self) -> BackupOptions {
        BackupOptions { sources: vec![self.source.clone()], host: "test".to_owned(), ..BackupOptions::default() }
    }

    pub fn try_backup(&self) -> Result<BackupReport, Error> {
        self.try_open()?.backup(&self.backup_options(), &Progress::default())
    }

    pub fn backup(&self) -> BackupReport {
        self.try_backup().unwrap()
    }

    pub fn try_restore(&self, which: &str, force: bool) -> Result<RestoreReport, Error> {
        let archive = self.try_open()?;
        let options = RestoreOptions { target: self.target.clone(), paths: Vec::new(), force };
        archive.restore(archive.snapshot(which)?, &options, &Progress::default())
    }

    pub fn restore(&self, which: &str) -> RestoreReport {
        self.try_restore(which, false).unwrap()
    }

    pub fn clear_restored(&self) {
        if self.target.exists() {
            fs::remove_dir_all(&self.target).unwrap();
        }
    }

    pub fn verify(&self, read_data: bool) -> VerifyReport {
        self.open().verify(read_data, &Progress::default()).unwrap()
    }

    /// Opens the archive as a device that remembers nothing.
    pub fn open_elsewhere(&self) -> Archive {
        Archive::open(destination(&self.archive), &key(), OpenOptions::default()).unwrap()
    }

    /// The stored objects in one of the archive's folders, sorted.
    pub fn objects(&self, folder: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.archive.join(folder), &mut found);
        found.sort();
        found
    }
}

/// An archive of a few KB, two snapshots and a lock, small enough to break it at every byte. Of the snapshots, the first
/// lies in the oldest two packs, the second in those and two more.
pub struct Tiny {
    pub fixture: Fixture,
    place: Destination,
    /// The files of the newest snapshot.
    pub expected: BTreeMap<PathBuf, Vec<u8>>,
    /// The files of the first.
    pub expected_before: BTreeMap<PathBuf, Vec<u8>>,
}

/// What became of a broken archive.
pub struct Outcome {
    pub full: VerifyReport,
    pub quick: VerifyReport,
    pub restored: RestoreReport,
    /// Files of the newest snapshot that did not come back.
    pub lost: std::collections::BTreeSet<PathBuf>,
}

impl Tiny {
    pub fn new() -> Self {
        let fixture = Fixture::new();
        let photo = |seed| [b"\xff\xd8\xff".to_vec(), noise(150, seed)].concat();
        fs::create_dir(fixture.source.join("sub")).unwrap();
        fs::write(fixture.source.join("alpha.txt"), "alpha ".repeat(40)).unwrap();
        fs::write(fixture.source.join("photo.jpg"), photo(1)).unwrap();
        fs::write(fixture.source.join("sub/beta.bin"), noise(200, 2)).unwrap();
        let_the_clock_tick();
        fixture.backup();
        let expected_before = contents(&fixture.source);
        fs::write(fixture.source.join("alpha.txt"), "alpha, changed ".repeat(20)).unwrap();
        fs::write(fixture.source.join("sub/new.jpg"), photo(3)).unwrap();
        let_the_clock_tick();
        fixture.backup();
        let expected = contents(&fixture.source);
        let place = destination(&fixture.archive);
        Self { fixture, place, expected, expected_before }
    }

    pub fn try_open(&self) -> Result<Archive, Error> {
        Archive::open(self.place.clone(), &key(), OpenOptions::default())
    }

    /// Restores snapshot `which` and returns what came back. Whatever lies at a final place must be right.
    pub fn restore(&self, which: &str, why: &str) -> (RestoreReport, BTreeMap<PathBuf, Vec<u8>>) {
        self.fixture.clear_restored();
        let archive = self.try_open().unwrap();
        let options = RestoreOptions { target: self.fixture.target.clone(), ..RestoreOptions::default() };
        let snapshot = archive.snapshot(which).unwrap_or_else(|error| panic!("{why}: {error}"));
        let restored = archive.restore(snapshot, &options, &Progress::default());
        let report = restored.unwrap_or_else(|error| panic!("{why}: restore {which}: {error}"));
        let expected = if which == "1" { &self.expected_before } else { &self.expected };
        let found = if self.fixture.restored().exists() { contents(&self.fixture.restored()) } else { BTreeMap::new() };
        for (path, content) in &found {
            let right = expected.get(path);
            let right = right.unwrap_or_else(|| panic!("{why}: {} was never backed up", path.display()));
            assert_eq!(content, right, "{why}: wrong content at {}", path.display());
        }
        (report, found)
    }

    /// Opens, verifies in both ways and restores, and checks that all three tell the same story.
    pub fn outcome(&self, why: &str) -> Outcome {
        let archive = self.try_open().unwrap_or_else(|error| panic!("{why}: open: {error}"));
        let verify = |read_data| {
            let verified = archive.verify(read_data, &Progress::default());
            verified.unwrap_or_else(|error| panic!("{why}: verify({read_data}): {error}"))
        };
        let (full, quick) = (verify(true), verify(false));
        let (restored, found) = self.restore("2", why);
        let lost = self.expected.keys().filter(|path| !found.contains_key(*path)).cloned().collect();
        let outcome = Outcome { full, quick, restored, lost };
        let target = self.fixture.restored();
        let named: Vec<_> = outcome.restored.problems.iter().map(|problem| problem.path.as_path()).collect();
        for path in &outcome.lost {
            assert!(is_named(&target.join(path), &named), "{why}: restore does not name {}: {named:?}", path.display());
        }
        assert_eq!(outcome.lost.is_empty(), outcome.restored.problems.is_empty(), "{why}: {:?}", outcome.restored);
        let second = Path::new("snapshot 2");
        let problems = outcome.full.problems.iter().map(|problem| problem.path.as_path());
        let named: Vec<_> = problems.filter(|path| path.starts_with(second)).collect();
        let source = second.join("source");
        for path in &outcome.lost {
            let path = source.join(path);
            assert!(is_named(&path, &named), "{why}: verify does not name {}: {named:?}", path.display());
        }
        for name in named {
            let below = |path: &&PathBuf| is_named(&source.join(path), &[name]);
            assert!(
                outcome.lost.iter().any(|path| below(&path)),
                "{why}: verify calls {} lost, restore has it",
                name.display()
            );
        }
        outcome
    }
}

/// Whether a path, or a folder that it lies in, is among the named; `folder/*` names what a folder holds.
pub fn is_named(path: &Path, named: &[&Path]) -> bool {
    let folder =
        |name: &Path| if name.ends_with("*") { name.parent().unwrap_or(name).to_owned() } else { name.to_owned() };
    named.iter().any(|name| path.starts_with(folder(name)))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { collect(&path, found) } else { found.push(path) }
    }
}

/// Adds what the folder `from` holds to the folder `to`.
pub fn merge_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, place) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            merge_folder(&path, &place);
        } else {
            fs::copy(&path, &place).unwrap();
        }
    }
}

/// Makes `to` a copy of the folder `from`, whatever was there.
pub fn copy_folder(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

/// The regular files below `root` with their content, by their paths relative to it.
pub fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = Vec::new();
    collect(root, &mut found);
    let files = found.into_iter().filter(|path| fs::symlink_metadata(path).unwrap().is_file());
    files.map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

/// The name of a stored object as a problem's path: relative to the archive.
pub fn relative<'p>(path: &'p Path, root: &Path) -> &'p Path {
    path.strip_prefix(root).unwrap()
}

pub fn key() -> BackupKey {
    BackupKey::from_bytes([42; 32])
}

pub fn destination(path: &Path) -> Destination {
    Destination::from_url(path.to_str().unwrap()).unwrap()
}

/// Bytes that look random and are the same each time.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A file changed within one tick of the file system's clock before a backup is read again by the next.
pub fn let_the_clock_tick() {
    std::thread::sleep(std::time::Duration::from_millis(60));
}

/// Fails unless both trees are the same in names, kinds, content, permissions, owners, times, links and attributes.
pub fn same_tree(one: &Path, other: &Path) {
    let (one, other) = (describe(one), describe(other));
    for (path, entry) in &one {
        match other.get(path) {
            None => panic!("{} is missing", path.display()),
            Some(found) => assert_eq!(entry, found, "{}", path.display()),
        }
    }
    for path in other.keys() {
        assert!(one.contains_key(path), "{} is too many", path.display());
    }
}

type Described = BTreeMap<PathBuf, (String, Option<blake3::Hash>, Vec<(Vec<u8>, Vec<u8>)>)>;

fn describe(root: &Path) -> Described {
    let mut found = Described::new();
    describe_into(root, Path::new(""), &mut found);
    found
}

fn describe_into(root: &Path, relative: &Path, found: &mut Described) {
    let path = root.join(relative);
    let metadata = fs::symlink_metadata(&path).unwrap();
    let kind = metadata.file_type();
    let mut line = format!(
        "{:o} {}:{} {}.{:09} links {}",
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        if kind.is_dir() { 0 } else { metadata.nlink() }
    );
    let mut content = None;
    if kind.is_symlink() {
        line += &format!(" -> {:?}", fs::read_link(&path).unwrap());
    } else if kind.is_file() {
        line += &format!(" {} bytes", metadata.len());
        content = Some(blake3::hash(&fs::read(&path).unwrap()));
    }
    let mut attributes: Vec<_> = xattr::list(&path)
        .unwrap()
        .map(|name| (name.as_bytes().to_vec(), xattr::get(&path, &name).unwrap().unwrap_or_default()))
        .collect();
    attributes.sort();
    found.insert(relative.to_owned(), (line, content, attributes));
    if kind.is_dir() {
        let mut names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for name in names {
            describe_into(root, &relative.join(name), found);
        }
    }
}
