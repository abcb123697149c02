//! Where the archive lies: any service of Apache OpenDAL behind one URL.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use opendal::{ErrorKind, Operator, blocking, services};

use crate::error::{Damage, DestinationErrorKind, Error};
use crate::local_folder::LocalFolder;

/// A storage provider, and a place with it.
#[derive(Clone)]
pub struct Destination {
    url: String,
    service: Arc<Service>,
    // The executor lives as long as the operators that run on it.
    _runtime: Arc<tokio::runtime::Runtime>,
    #[cfg(test)]
    pub(crate) faults: crate::faults::Faults,
}

enum Service {
    Memory(blocking::Operator),
    Folder(Box<Folder>),
}

/// OpenDAL makes the folder that an `fs` operator is built for. So it is built when there is something to read.
struct Folder {
    local: LocalFolder,
    handle: tokio::runtime::Handle,
    reader: OnceLock<blocking::Operator>,
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
        let (local, handle) = (LocalFolder::new(path), runtime.handle().clone());
        let folder = Folder { local, handle, reader: OnceLock::new() };
        Ok(Self {
            url,
            service: Arc::new(Service::Folder(Box::new(folder))),
            _runtime: Arc::new(runtime),
            #[cfg(test)]
            faults: crate::faults::Faults::default(),
        })
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
        Ok(Self {
            url,
            service: Arc::new(Service::Memory(operator)),
            _runtime: Arc::new(runtime),
            #[cfg(test)]
            faults: crate::faults::Faults::default(),
        })
    }

    fn folder(&self) -> Option<&LocalFolder> {
        match &*self.service {
            Service::Memory(_) => None,
            Service::Folder(folder) => Some(&folder.local),
        }
    }

    /// The operator to read with; `None` where the folder is not there, so that there is nothing to read.
    fn reader(&self) -> Result<Option<&blocking::Operator>, Error> {
        match &*self.service {
            Service::Memory(operator) => Ok(Some(operator)),
            Service::Folder(folder) => match folder.local.root() {
                Ok(_) => folder.reader().map(Some),
                Err(_) if folder.local.was_found() => Err(gone("read", &self.url)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(from_system("open", &self.url, &error)),
            },
        }
    }

    fn reader_of(&self, path: &str) -> Result<&blocking::Operator, Error> {
        self.reader()?.ok_or_else(|| from_system("read", path, &io::ErrorKind::NotFound.into()))
    }

    /// The address, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the place itself is there; only a folder can be missing.
    pub(crate) fn is_there(&self) -> bool {
        self.folder().is_none_or(|folder| folder.root().is_ok())
    }

    /// Makes the place, for an archive that is to be new.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        std::fs::create_dir_all(&folder.path).map_err(|error| from_system("write", self.url(), &error))
    }

    /// Whether nothing lies there yet. Only a folder is looked at: elsewhere an archive may share a place.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        let Some(folder) = self.folder() else { return Ok(true) };
        let mut entries = std::fs::read_dir(&folder.path).map_err(|error| from_system("list", self.url(), &error))?;
        // What a file system makes of itself is no content.
        Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lost+found")))
    }

    /// The folder's own metadata, where the destination is one.
    pub(crate) fn folder_metadata(&self) -> Option<std::fs::Metadata> {
        self.folder()?.root().ok()?.metadata().ok()
    }

    /// A whole object, of at most `limit` bytes: nothing longer is fetched, for nothing of it is authentic yet.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let len = self.len(path)?;
        if len > limit {
            return Err(Error::damaged(path, Damage::TooLarge));
        }
        self.read_range(path, 0, len)
    }

    /// Bytes `at .. at + len` of an object; fewer than that is an error.
    pub(crate) fn read_range(&self, path: &str, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        if len == 0 {
            return Ok(Vec::new());
        }
        #[cfg(test)]
        self.faults.meet("read", path)?;
        let options = opendal::options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
        let fetched = self.reader_of(path)?.read_options(path, options);
        let bytes = fetched.map_err(|error| failed("read", path, &error))?.to_vec();
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut_short(path)) }
    }

    /// Length of an object in bytes.
    pub(crate) fn len(&self, path: &str) -> Result<u64, Error> {
        #[cfg(test)]
        self.faults.meet("read", path)?;
        let metadata = self.reader_of(path)?.stat(path).map_err(|error| failed("read", path, &error))?;
        Ok(metadata.content_length())
    }

    /// When an object was written, by the clock of where it lies, if that tells.
    pub(crate) fn modified(&self, path: &str) -> Result<Option<SystemTime>, Error> {
        #[cfg(test)]
        if let Some(written) = self.faults.written(path) {
            return Ok(Some(written));
        }
        let metadata = self.reader_of(path)?.stat(path).map_err(|error| failed("read", path, &error))?;
        Ok(metadata.last_modified().map(SystemTime::from))
    }

    /// Whether a listing shows at once what was written, and no longer what was removed.
    pub(crate) fn lists_at_once(&self) -> bool {
        #[cfg(test)]
        if self.faults.are_listings_stale() {
            return false;
        }
        let scheme = self.url.split(':').next().unwrap_or_default();
        matches!(scheme, "memory" | "fs" | "s3" | "gcs" | "azblob" | "sftp" | "webdav")
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, Error> {
        #[cfg(test)]
        self.faults.meet("read", path)?;
        let Some(reader) = self.reader()? else { return Ok(false) };
        match reader.stat(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("read", path, &error)),
        }
    }

    /// Stores an object whole: after an error or a crash it is either there in full or not at all.
    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.change("write", path)?;
        match &*self.service {
            Service::Memory(operator) => {
                operator.write(path, bytes).map(drop).map_err(|error| failed("write", path, &error))
            }
            Service::Folder(folder) => folder.local.write(path, &bytes).map_err(|error| writing(path, &error)),
        }
    }

    /// Makes everything written so far survive a loss of power. What refers to objects is written only after that.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let Some(folder) = self.folder() else { return Ok(()) };
        folder.settle().map_err(|error| writing(self.url(), &error))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.change("delete", path)?;
        match &*self.service {
            Service::Memory(operator) => operator.delete(path).map_err(|error| failed("delete", path, &error)),
            Service::Folder(folder) => folder.local.delete(path).map_err(|error| writing(path, &error)),
        }
    }

    /// The paths of all objects below `folder` (which ends in a slash), in no particular order; none when there is
    /// no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let options = opendal::options::ListOptions { recursive: true, ..Default::default() };
        let Some(reader) = self.reader()? else { return Ok(Vec::new()) };
        #[cfg(test)]
        self.faults.meet("list", folder)?;
        match reader.list_options(folder, options) {
            Ok(entries) => {
                let files = entries.into_iter().filter(|entry| entry.metadata().is_file());
                let paths = files.map(|entry| entry.path().to_owned()).collect();
                #[cfg(test)]
                let paths = self.faults.listed(folder, paths);
                Ok(paths)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(failed("list", folder, &error)),
        }
    }

    /// Removes what interrupted writes left behind longer than `age` ago.
    pub(crate) fn sweep_temporary(&self, age: Duration) {
        if let Some(folder) = self.folder() {
            folder.sweep(age);
        }
    }
}

impl Folder {
    fn reader(&self) -> Result<&blocking::Operator, Error> {
        if let Some(operator) = self.reader.get() {
            return Ok(operator);
        }
        let fs = services::Fs::default().root(&self.local.path.to_string_lossy());
        let operator = build(&self.handle, fs).map_err(|error| failed("open", "the archive", &error))?;
        Ok(self.reader.get_or_init(|| operator))
    }
}

fn runtime(url: &str) -> Result<tokio::runtime::Runtime, Error> {
    let bad = |error: io::Error| Error::BadUrl { url: url.to_owned(), why: error.to_string() };
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().map_err(bad)
}

fn build(handle: &tokio::runtime::Handle, service: impl opendal::Builder) -> opendal::Result<blocking::Operator> {
    let _inside = handle.enter();
    blocking::Operator::new(Operator::new(service)?)
}

fn cut_short(path: &str) -> Error {
    Error::damaged(path, Damage::Truncated)
}

/// A write makes what folders it needs: only the place itself can be missing.
fn writing(path: &str, error: &io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound { gone("write", path) } else { from_system("write", path, error) }
}

fn gone(action: &'static str, path: &str) -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Unavailable,
        action,
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
    if action == "read" && error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) {
        // A bad sector costs what lies on it, like any other damage.
        return Error::damaged(path, Damage::Unreadable);
    }
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
