//! A folder of this machine: objects are written whole, on the disk when that is said, and never anywhere else.
//!
//! OpenDAL's `fs` service is not used: it makes folders that have vanished anew, keeps what a full disk cut off, does
//! not sync the folders that name new files, and follows links; each read goes by way of another thread.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::Found;
use crate::id::ObjectName;

/// Pieces written at a time, bytes: larger ones cost the kernel five times as much (measured).
const PIECE: usize = 1 << 20;
/// Where files lie that are not complete yet, below the root.
const TEMPORARY: &str = "tmp";
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A folder that an archive lies in.
pub(crate) struct LocalFolder {
    pub(crate) path: PathBuf,
    /// The folder as it was found first. Another one under the same path (the mount point of a disk that was pulled
    /// out) is not it.
    root: OnceLock<File>,
    /// Folders below the root whose entries have changed since they were last settled.
    unsettled: Mutex<BTreeSet<PathBuf>>,
}

impl LocalFolder {
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, root: OnceLock::new(), unsettled: Mutex::new(BTreeSet::new()) }
    }

    /// The folder, open, if it is still the one under its path.
    pub(crate) fn root(&self) -> io::Result<&File> {
        let root = match self.root.get() {
            Some(root) => root,
            None => {
                let opened = openat(CWD, &self.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
                self.root.get_or_init(|| File::from(opened))
            }
        };
        let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
        if identity(&fs::metadata(&self.path)?) == identity(&root.metadata()?) {
            Ok(root)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Whether it was there once.
    pub(crate) fn was_found(&self) -> bool {
        self.root.get().is_some()
    }

    /// A folder below the root, open. Links are not followed: they could lead out of the archive.
    fn enter(&self, path: &Path, make: bool) -> io::Result<File> {
        let mut folder = self.root()?.try_clone()?;
        for name in path.components() {
            let Component::Normal(name) = name else { continue };
            if make {
                match mkdirat(&folder, name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            folder = File::from(openat(&folder, name, FOLDER, Mode::empty())?);
        }
        Ok(folder)
    }

    /// Writes an object whole: beside its place first, then under its name. After an error nothing of it is left.
    pub(crate) fn write(&self, path: &str, parts: Vec<Vec<u8>>) -> io::Result<()> {
        let (parent, name) = split(path);
        let (folder, temporary) = (self.enter(parent, true)?, self.enter(Path::new(TEMPORARY), true)?);
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat(&temporary, name, flags, Mode::from_raw_mode(0o666))?);
            // Their memory is free again before the disk has them.
            for part in parts {
                part.chunks(PIECE).try_for_each(|piece| file.write_all(piece))?;
            }
            file.sync_all()?;
            Ok(renameat(&temporary, name, &folder, name)?)
        };
        write().inspect_err(|_| {
            // It is of no use to anyone; if it stays, a later backup sweeps it.
            let _ = unlinkat(&temporary, name, AtFlags::empty());
        })?;
        let changed = Path::new(path).ancestors().skip(1).map(Path::to_owned);
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        Ok(())
    }

    /// Bytes `at .. at + len` of an object; fewer if it ends before.
    pub(crate) fn read_range(&self, path: &str, at: u64, len: u64) -> io::Result<Vec<u8>> {
        let mut file = File::from(openat(self.root()?, path, OFlags::CLOEXEC, Mode::empty())?);
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::with_capacity(len as usize);
        file.take(len).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Length of an object, and when it was written.
    pub(crate) fn found(&self, path: &str) -> io::Result<Found> {
        let stat = statat(self.root()?, path, AtFlags::empty())?;
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.max(0).unsigned_abs());
        Ok(Found { len: stat.st_size.unsigned_abs(), modified: Some(modified) })
    }

    /// The paths of all files below `folder` (which ends in a slash); none when there is no such folder.
    pub(crate) fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let root = self.root()?;
        let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
        while let Some(folder) = folders.pop() {
            let open = match openat(root, folder.as_str(), FOLDER, Mode::empty()) {
                Ok(open) => open,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            for entry in Dir::new(open)? {
                let entry = entry?;
                // What is not UTF-8 is not ours.
                let Some(name) = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | "..")) else {
                    continue;
                };
                let path = format!("{folder}{name}");
                let kind = match entry.file_type() {
                    FileType::Unknown => {
                        FileType::from_raw_mode(statat(root, path.as_str(), AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
                    }
                    known => known,
                };
                match kind {
                    FileType::RegularFile => files.push(path),
                    FileType::Directory => folders.push(path + "/"),
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    pub(crate) fn delete(&self, path: &str) -> io::Result<()> {
        let (parent, name) = split(path);
        match unlinkat(self.enter(parent, false)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes everything written so far survive a loss of power: its files are synced already, their names are now.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let unsettled = std::mem::take(&mut *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner));
        unsettled.iter().try_for_each(|folder| self.enter(folder, false)?.sync_all())
    }

    /// Removes objects that interrupted writes left unfinished longer than `age` ago. Nothing else is touched.
    pub(crate) fn sweep(&self, age: Duration) {
        let Ok(folder) = self.enter(Path::new(TEMPORARY), false) else { return };
        let Ok(entries) = Dir::read_from(&folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_object = name.to_str().is_ok_and(|name| ObjectName::parse(name).is_some());
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.max(0).unsigned_abs());
            if is_object && is_file && modified.elapsed().is_ok_and(|elapsed| elapsed > age) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = unlinkat(&folder, name, AtFlags::empty());
            }
        }
    }
}

/// An object's folder and its name there.
fn split(path: &str) -> (&Path, &str) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (Path::new(folder), name)
}
