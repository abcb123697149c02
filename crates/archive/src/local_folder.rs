//! Writing into a folder of this machine: whole objects, on the disk when that is said, and never anywhere else.
//!
//! Reading goes through OpenDAL as everywhere. Its `fs` service writes are not used: they make folders that have
//! vanished anew, keep what a full disk cut off, and do not sync the folders that name new files.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Pieces written at a time, bytes: larger ones cost the kernel five times as much (measured).
const PIECE: usize = 1 << 20;
/// Where files lie that are not complete yet, below the root.
const TEMPORARY: &str = "tmp";

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
                let opened = openat(rustix::fs::CWD, &self.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
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

    /// Writes an object whole: beside its place first, then under its name. After an error nothing of it is left.
    pub(crate) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let root = self.root()?;
        let mut folders: Vec<_> = Path::new(path).ancestors().skip(1).collect();
        folders.reverse();
        for folder in folders.iter().chain([&Path::new(TEMPORARY)]).filter(|folder| **folder != Path::new("")) {
            match mkdirat(root, *folder, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let temporary = format!("{TEMPORARY}/{}", path.rsplit('/').next().unwrap_or(path));
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(openat(root, &temporary, flags, Mode::from_raw_mode(0o666))?);
            bytes.chunks(PIECE).try_for_each(|piece| file.write_all(piece))?;
            file.sync_all()?;
            Ok(renameat(root, &temporary, root, path)?)
        };
        write().inspect_err(|_| {
            // It is of no use to anyone; if it stays, the next backup sweeps it.
            let _ = unlinkat(root, &temporary, AtFlags::empty());
        })?;
        let changed = folders.into_iter().map(Path::to_owned);
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        Ok(())
    }

    pub(crate) fn delete(&self, path: &str) -> io::Result<()> {
        match unlinkat(self.root()?, path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes everything written so far survive a loss of power: its files are synced already, their names are now.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let unsettled = std::mem::take(&mut *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner));
        for folder in unsettled {
            let path = if folder == Path::new("") { Path::new(".") } else { &folder };
            let folder = openat(self.root()?, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            File::from(folder).sync_all()?;
        }
        Ok(())
    }

    /// Removes what interrupted writes left behind longer than `age` ago.
    pub(crate) fn sweep(&self, age: Duration) {
        let Ok(entries) = fs::read_dir(self.path.join(TEMPORARY)) else { return };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age)) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
