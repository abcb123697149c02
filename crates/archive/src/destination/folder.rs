//! A folder of this machine: read through OpenDAL, written without it (ADR 0010).

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use opendal::{ErrorKind, Operator, blocking, services};

use super::failure::{cut_short, gone, of_reading, of_system, of_writing};
use super::local_folder::LocalFolder;
use crate::error::Error;

/// OpenDAL makes the folder that an `fs` operator is built for. So it is built when there is something to read.
pub(super) struct Folder {
    local: LocalFolder,
    runtime: tokio::runtime::Runtime,
    reader: OnceLock<blocking::Operator>,
}

impl Folder {
    pub(super) fn new(path: PathBuf, runtime: tokio::runtime::Runtime) -> Self {
        Self { local: LocalFolder::new(path), runtime, reader: OnceLock::new() }
    }

    fn shown(&self) -> String {
        format!("fs://{}", self.local.path.display())
    }

    /// The operator to read with; `None` where the folder is not there, so that there is nothing to read.
    fn reader(&self) -> Result<Option<&blocking::Operator>, Error> {
        match self.local.root() {
            Ok(_) => self.build().map(Some),
            Err(_) if self.local.was_found() => Err(gone("read", &self.shown())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of_system("open", &self.shown(), &error)),
        }
    }

    fn build(&self) -> Result<&blocking::Operator, Error> {
        if let Some(operator) = self.reader.get() {
            return Ok(operator);
        }
        let fs = services::Fs::default().root(&self.local.path.to_string_lossy());
        let _inside = self.runtime.enter();
        let built = Operator::new(fs).and_then(blocking::Operator::new);
        let operator = built.map_err(|error| of_reading("open", "the archive", &error))?;
        Ok(self.reader.get_or_init(|| operator))
    }

    fn reader_of(&self, path: &str) -> Result<&blocking::Operator, Error> {
        self.reader()?.ok_or_else(|| of_system("read", path, &io::ErrorKind::NotFound.into()))
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
        let options = opendal::options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
        match self.reader_of(path)?.read_options(path, options) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(error) if error.kind() == ErrorKind::RangeNotSatisfied => Err(cut_short(path)),
            Err(error) => Err(of_reading("read", path, &error)),
        }
    }

    pub(super) fn metadata_of(&self, path: &str) -> Result<Option<opendal::Metadata>, Error> {
        let Some(reader) = self.reader()? else { return Ok(None) };
        match reader.stat(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of_reading("read", path, &error)),
        }
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        self.local.write(path, bytes).map_err(|error| of_writing(path, &error))
    }

    pub(super) fn settle(&self) -> Result<(), Error> {
        self.local.settle().map_err(|error| of_writing(&self.shown(), &error))
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), Error> {
        self.local.delete(path).map_err(|error| of_writing(path, &error))
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let options = opendal::options::ListOptions { recursive: true, ..Default::default() };
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        match reader.list_options(folder, options) {
            Ok(entries) => {
                let files = entries.into_iter().filter(|entry| entry.metadata().is_file());
                Ok(files.map(|entry| entry.path().to_owned()).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(of_reading("list", folder, &error)),
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
