//! A folder of this machine, without OpenDAL (ADR 0010, ADR 0021).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::Found;
use super::failure::{gone, of_system, of_writing};
use super::local_folder::LocalFolder;
use crate::error::Error;

pub(super) struct Folder {
    local: LocalFolder,
}

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { local: LocalFolder::new(path) }
    }

    fn shown(&self) -> String {
        format!("fs://{}", self.local.path.display())
    }

    /// What went wrong with reading. A folder that is not there holds nothing; one that was there is gone.
    fn of_reading(&self, action: &'static str, path: &str, error: &io::Error) -> Error {
        match self.local.root() {
            Err(_) if self.local.was_found() => gone("read", &self.shown()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => of_system("open", &self.shown(), &error),
            _ => of_system(action, path, error),
        }
    }

    /// Whether it is said that nothing is there, by a folder that is itself there, or never was.
    fn is_nothing(&self, error: &io::Error) -> bool {
        error.kind() == io::ErrorKind::NotFound && (self.local.root().is_ok() || !self.local.was_found())
    }

    pub(super) fn is_there(&self) -> bool {
        self.local.root().is_ok()
    }

    pub(super) fn prepare(&self) -> Result<(), Error> {
        std::fs::create_dir_all(&self.local.path).map_err(|error| of_system("write", &self.shown(), &error))
    }

    pub(super) fn is_empty(&self) -> Result<bool, Error> {
        let entries = std::fs::read_dir(&self.local.path);
        let mut entries = entries.map_err(|error| of_system("list", &self.shown(), &error))?;
        // What a file system makes of itself is no content.
        Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found")))
    }

    pub(super) fn metadata(&self) -> Option<std::fs::Metadata> {
        self.local.root().ok()?.metadata().ok()
    }

    pub(super) fn read_range(&self, path: &str, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        self.local.read_range(path, at, len).map_err(|error| self.of_reading("read", path, &error))
    }

    pub(super) fn found(&self, path: &str) -> Result<Option<Found>, Error> {
        match self.local.found(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if self.is_nothing(&error) => Ok(None),
            Err(error) => Err(self.of_reading("read", path, &error)),
        }
    }

    pub(super) fn write(&self, path: &str, parts: Vec<Vec<u8>>) -> Result<(), Error> {
        self.local.write(path, parts).map_err(|error| of_writing(path, &error))
    }

    pub(super) fn settle(&self) -> Result<(), Error> {
        self.local.settle().map_err(|error| of_writing(&self.shown(), &error))
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), Error> {
        self.local.delete(path).map_err(|error| of_writing(path, &error))
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        match self.local.list(folder) {
            Ok(paths) => Ok(paths),
            Err(error) if self.is_nothing(&error) => Ok(Vec::new()),
            Err(error) => Err(self.of_reading("list", folder, &error)),
        }
    }

    /// Removes a folder, and the archive's own if it is `all`, as far as they are empty.
    pub(super) fn remove_empty(&self, folder: &str, all: bool) {
        // One that is not empty stays.
        let remove = |path: &std::path::Path| std::fs::remove_dir(path).is_ok();
        remove(&self.local.path.join(folder));
        if all {
            remove(&self.local.path.join("tmp"));
            remove(&self.local.path);
        }
    }

    pub(super) fn sweep(&self, age: Duration) {
        self.local.sweep(age);
    }
}
