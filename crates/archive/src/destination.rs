//! Where the archive lies: any service of Apache OpenDAL behind one URL.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use opendal::layers::RetryLayer;
use opendal::{ErrorKind, Operator, blocking, services};

use crate::error::{Damage, DestinationErrorKind, Error};

/// Pieces that a writer is fed, bytes: larger ones cost the kernel five times as much (measured, facts.md).
const PIECE: usize = 1 << 20;
/// Where the `fs` service puts files that are not complete yet, below the root.
const TEMPORARY: &str = "tmp";

/// A storage provider, and a place with it.
#[derive(Clone)]
pub struct Destination {
    url: String,
    service: Arc<Service>,
    // The executor lives as long as the operators that run on it.
    _runtime: Arc<tokio::runtime::Runtime>,
}

enum Service {
    Memory(blocking::Operator),
    Folder(Box<Folder>),
}

/// OpenDAL makes the folders that an `fs` operator is built for. So they are built when they are first needed: to
/// read in an archive that is there, and to write.
struct Folder {
    path: PathBuf,
    handle: tokio::runtime::Handle,
    reader: OnceLock<blocking::Operator>,
    writer: OnceLock<blocking::Operator>,
    /// Folders below the root whose entries have changed since they were last settled.
    unsettled: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Destination({})", self.url)
    }
}

impl Destination {
    /// The destination at `url`: a path or `fs:///path` for a folder. It need not exist yet, and is not made.
    ///
    /// # Errors
    /// [`Error::BadUrl`] for a service that this build does not contain or an address that is none.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::BadUrl { url: url.to_owned(), why: why.to_owned() };
        let folder = match url.split_once("://") {
            Some(("fs", path)) if path.starts_with('/') => path,
            Some(("fs", _)) => return Err(bad("write fs:///path with an absolute path")),
            Some((scheme, _)) => {
                return Err(bad(&format!("this version stores in folders (fs://), not yet with {scheme}")));
            }
            None if url.is_empty() => return Err(bad("it is empty")),
            None => url,
        };
        let path = std::path::absolute(folder).map_err(|error| bad(&error.to_string()))?;
        let url = format!("fs://{}", path.to_str().ok_or_else(|| bad("the path is not UTF-8"))?);
        let runtime = runtime(&url)?;
        let folder = Folder {
            path,
            handle: runtime.handle().clone(),
            reader: OnceLock::new(),
            writer: OnceLock::new(),
            unsettled: Mutex::default(),
        };
        Ok(Self { url, service: Arc::new(Service::Folder(Box::new(folder))), _runtime: Arc::new(runtime) })
    }

    /// A destination in this process's memory, for tests.
    ///
    /// # Errors
    /// [`Error::BadUrl`] when no executor can be started.
    pub fn memory() -> Result<Self, Error> {
        let url = "memory://".to_owned();
        let runtime = runtime(&url)?;
        let operator = build(runtime.handle(), services::Memory::default());
        let operator = operator.map_err(|error| failed("read", &url, &error))?;
        Ok(Self { url, service: Arc::new(Service::Memory(operator)), _runtime: Arc::new(runtime) })
    }

    fn folder(&self) -> Option<&Folder> {
        match &*self.service {
            Service::Memory(_) => None,
            Service::Folder(folder) => Some(folder),
        }
    }

    /// The operator to read with; `None` where the folder is not there, so that there is nothing to read.
    fn reader(&self) -> Result<Option<&blocking::Operator>, Error> {
        match &*self.service {
            Service::Memory(operator) => Ok(Some(operator)),
            Service::Folder(folder) if folder.path.is_dir() => {
                let fs = services::Fs::default().root(&folder.path.to_string_lossy());
                once(&folder.reader, || build(&folder.handle, fs)).map(Some)
            }
            Service::Folder(_) => Ok(None),
        }
    }

    fn reader_of(&self, path: &str) -> Result<&blocking::Operator, Error> {
        self.reader()?.ok_or_else(|| from_system("read", path, &io::ErrorKind::NotFound.into()))
    }

    /// The operator to write with. A folder that vanished (a disk unplugged) must not be made anew by a write.
    fn writer(&self, path: &str) -> Result<&blocking::Operator, Error> {
        match &*self.service {
            Service::Memory(operator) => Ok(operator),
            Service::Folder(folder) if folder.path.is_dir() => {
                let root = folder.path.to_string_lossy();
                let temporary = folder.path.join(TEMPORARY);
                let fs = services::Fs::default().root(&root).atomic_write_dir(&temporary.to_string_lossy());
                once(&folder.writer, || build(&folder.handle, fs))
            }
            Service::Folder(_) => Err(gone(path)),
        }
    }

    /// The address, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the place itself is there; only a folder can be missing.
    pub(crate) fn is_there(&self) -> bool {
        self.folder().is_none_or(|folder| folder.path.is_dir())
    }

    /// Makes the place, for an archive that is to be new.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        std::fs::create_dir_all(&folder.path).map_err(|error| from_system("write", self.url(), &error))
    }

    /// The folder's own metadata, where the destination is one.
    pub(crate) fn folder_metadata(&self) -> Option<std::fs::Metadata> {
        std::fs::metadata(&self.folder()?.path).ok()
    }

    /// A whole object, of at most `limit` bytes: nothing longer is fetched, for nothing of it is authentic yet.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let len = self.len(path)?;
        if len > limit {
            return Err(Error::damaged(path, Damage::TooLarge));
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        self.read_range(path, 0, len)
    }

    /// Bytes `at .. at + len` of an object; fewer than that is an error.
    pub(crate) fn read_range(&self, path: &str, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        let options = opendal::options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
        let bytes = self
            .reader_of(path)?
            .read_options(path, options)
            .map(|buffer| buffer.to_vec())
            .map_err(|error| failed("read", path, &error))?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut_short(path)) }
    }

    /// Length of an object in bytes.
    pub(crate) fn len(&self, path: &str) -> Result<u64, Error> {
        let metadata = self.reader_of(path)?.stat(path).map_err(|error| failed("read", path, &error))?;
        Ok(metadata.content_length())
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, Error> {
        let Some(reader) = self.reader()? else { return Ok(false) };
        match reader.stat(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("read", path, &error)),
        }
    }

    /// Stores an object whole: after an error or a crash it is either there in full or not at all.
    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let operator = self.writer(path)?;
        let write = || -> opendal::Result<()> {
            let mut writer = operator.writer(path)?;
            let mut rest = opendal::Buffer::from(bytes);
            while !rest.is_empty() {
                let piece = rest.slice(..rest.len().min(PIECE));
                rest = rest.slice(piece.len()..);
                writer.write(piece)?;
            }
            writer.close()?;
            Ok(())
        };
        write().map_err(|error| failed("write", path, &error))?;
        if let Some(folder) = self.folder() {
            let parents = Path::new(path).ancestors().skip(1).filter_map(Path::to_str).map(str::to_owned);
            folder.unsettled.lock().unwrap_or_else(PoisonError::into_inner).extend(parents);
        }
        Ok(())
    }

    /// Makes everything written so far survive a loss of power. (OpenDAL syncs files, but not the folders that name
    /// them.) What refers to objects is written only after they have settled.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        let unsettled = std::mem::take(&mut *folder.unsettled.lock().unwrap_or_else(PoisonError::into_inner));
        for path in unsettled {
            let sync = std::fs::File::open(folder.path.join(&path)).and_then(|folder| folder.sync_all());
            sync.map_err(|error| from_system("write", &path, &error))?;
        }
        Ok(())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Error> {
        self.writer(path)?.delete(path).map_err(|error| failed("delete", path, &error))
    }

    /// The paths of all objects below `folder` (which ends in a slash), in no particular order; none when there is
    /// no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let options = opendal::options::ListOptions { recursive: true, ..Default::default() };
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        match reader.list_options(folder, options) {
            Ok(entries) => {
                let files = entries.into_iter().filter(|entry| entry.metadata().is_file());
                Ok(files.map(|entry| entry.path().to_owned()).collect())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("list", folder, &error)),
        }
    }

    /// Removes what interrupted writes left behind more than `age` seconds ago.
    pub(crate) fn sweep_temporary(&self, age: u64) {
        let Some(folder) = self.folder() else { return };
        let Ok(entries) = walk(&folder.path.join(TEMPORARY)) else { return };
        for (path, modified) in entries {
            if modified.elapsed().is_ok_and(|elapsed| elapsed.as_secs() > age) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn runtime(url: &str) -> Result<tokio::runtime::Runtime, Error> {
    let bad = |error: io::Error| Error::BadUrl { url: url.to_owned(), why: error.to_string() };
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().map_err(bad)
}

fn build(handle: &tokio::runtime::Handle, service: impl opendal::Builder) -> opendal::Result<blocking::Operator> {
    let _inside = handle.enter();
    let retry = RetryLayer::new().with_max_times(4).with_jitter();
    blocking::Operator::new(Operator::new(service)?.layer(retry))
}

/// The operator in its cell, built if it is the first time.
fn once(
    cell: &OnceLock<blocking::Operator>,
    build: impl FnOnce() -> opendal::Result<blocking::Operator>,
) -> Result<&blocking::Operator, Error> {
    if let Some(operator) = cell.get() {
        return Ok(operator);
    }
    let operator = build().map_err(|error| failed("open", "the archive", &error))?;
    Ok(cell.get_or_init(|| operator))
}

fn walk(folder: &Path) -> io::Result<Vec<(PathBuf, std::time::SystemTime)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(walk(&entry.path())?);
        } else {
            found.push((entry.path(), entry.metadata()?.modified()?));
        }
    }
    Ok(found)
}

fn cut_short(path: &str) -> Error {
    Error::damaged(path, Damage::Truncated)
}

fn gone(path: &str) -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Unavailable,
        action: "write",
        object: path.to_owned(),
        reason: "the folder is gone (a disk unplugged?)".to_owned(),
    }
}

fn failed(action: &'static str, path: &str, error: &opendal::Error) -> Error {
    if error.kind() == ErrorKind::RangeNotSatisfied {
        return cut_short(path);
    }
    if let Some(system) = system_error(error) {
        return from_system(action, path, system);
    }
    let kind = match error.kind() {
        ErrorKind::PermissionDenied => DestinationErrorKind::Refused,
        ErrorKind::NotFound => DestinationErrorKind::NotFound,
        ErrorKind::RateLimited => DestinationErrorKind::Unavailable,
        _ if error.is_temporary() => DestinationErrorKind::Unavailable,
        _ => DestinationErrorKind::Other,
    };
    Error::Destination { kind, action, object: path.to_owned(), reason: error.message().to_owned() }
}

fn from_system(action: &'static str, path: &str, error: &io::Error) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DestinationErrorKind::Full,
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => DestinationErrorKind::Refused,
        io::ErrorKind::NotFound => DestinationErrorKind::NotFound,
        io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::StaleNetworkFileHandle => {
            DestinationErrorKind::Unavailable
        }
        _ => DestinationErrorKind::Other,
    };
    Error::Destination { kind, action, object: path.to_owned(), reason: error.to_string() }
}

/// The system's error at the bottom of OpenDAL's.
fn system_error(error: &opendal::Error) -> Option<&io::Error> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(system) = cause.downcast_ref::<io::Error>() {
            return Some(system);
        }
        source = cause.source();
    }
    None
}
