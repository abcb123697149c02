//! Two folders compared, metadata included.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File { len: u64, hash: blake3::Hash },
    Folder,
    Link(PathBuf),
    Pipe,
    Device(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
    owner: (u32, u32),
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The first name of a file that has several.
    same_as: Option<PathBuf>,
}

/// A folder as it was at some time: all that a restore has to bring back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Entry>);

impl Tree {
    /// The folder itself is the entry with the empty path.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut tree = Self(BTreeMap::new());
        tree.add(folder, PathBuf::new(), &mut HashMap::new());
        tree
    }

    fn add(&mut self, folder: &Path, path: PathBuf, names: &mut HashMap<(u64, u64), PathBuf>) {
        let place = if path.as_os_str().is_empty() { folder.to_owned() } else { folder.join(&path) };
        let metadata = fs::symlink_metadata(&place).unwrap();
        let mut same_as = None;
        if metadata.is_file() && metadata.nlink() > 1 {
            same_as = Some(names.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.clone()).clone());
        }
        let xattrs = xattr::list(&place).unwrap().map(|name| (xattr::get(&place, &name).unwrap().unwrap(), name));
        let entry = Entry {
            kind: kind(&place, &metadata),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            xattrs: xattrs.map(|(value, name)| (name, value)).collect(),
            same_as,
        };
        if entry.kind == Kind::Folder {
            let mut below: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            below.sort();
            below.into_iter().for_each(|name| self.add(folder, path.join(name), names));
        }
        self.0.insert(path, entry);
    }

    /// Regular files, each name of them.
    pub(crate) fn files(&self) -> u64 {
        self.0.values().filter(|entry| matches!(entry.kind, Kind::File { .. })).count() as u64
    }

    fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (path, entry) in &self.0 {
            match other.0.get(path) {
                None => found.push(format!("missing: {}", path.display())),
                Some(there) if there != entry => {
                    found.push(format!("different: {}\n  {entry:?}\n  {there:?}", path.display()));
                }
                Some(_) => {}
            }
        }
        found.extend(other.0.keys().filter(|path| !self.0.contains_key(*path)).map(|path| format!("new: {path:?}")));
        found
    }

    #[track_caller]
    pub(crate) fn is_restored_in(&self, folder: &Path) {
        let differences = self.differences(&Self::of(folder));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

fn kind(place: &Path, metadata: &Metadata) -> Kind {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        let mut hasher = blake3::Hasher::new();
        std::io::copy(&mut File::open(place).unwrap(), &mut hasher).unwrap();
        Kind::File { len: metadata.len(), hash: hasher.finalize() }
    } else if file_type.is_dir() {
        Kind::Folder
    } else if file_type.is_symlink() {
        Kind::Link(fs::read_link(place).unwrap())
    } else if file_type.is_fifo() {
        Kind::Pipe
    } else {
        Kind::Device(metadata.rdev())
    }
}

/// Compares with the eyes of these tests, and with rsync's where it is installed.
#[track_caller]
pub(crate) fn assert_same(source: &Path, restored: &Path) {
    Tree::of(source).is_restored_in(restored);
    let [source, restored] = [source, restored].map(|folder| {
        let mut folder = folder.as_os_str().to_owned();
        folder.push("/");
        folder
    });
    let mut rsync = Command::new("rsync");
    rsync.args(["-nacXH", "--delete", "--itemize-changes"].map(OsStr::new)).args([&source, &restored]);
    match rsync.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => eprintln!("no rsync here: compared without it"),
        Err(error) => panic!("rsync: {error}"),
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
        }
    }
}

/// All regular files below a folder.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// The bytes in all files below a folder.
pub(crate) fn size_of(folder: &Path) -> u64 {
    files_below(folder).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}
