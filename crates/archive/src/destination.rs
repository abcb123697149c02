//! Where the archive lies: any service of Apache OpenDAL behind one URL.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use opendal::layers::RetryLayer;
use opendal::{ErrorKind, Operator, blocking, services};

use crate::error::{DestinationErrorKind, Error};

/// Pieces that a writer is fed, bytes: larger ones cost the kernel five times as much (measured, facts.md).
const PIECE: usize = 1 << 20;
/// Where the `fs` service puts files that are not complete yet, below the root.
const TEMPORARY: &str = "tmp";

/// A storage provider, and a place with it.
#[derive(Clone)]
pub struct Destination {
    operator: blocking::Operator,
    url: String,
    folder: Option<std::path::PathBuf>,
    // The executor lives as long as the operator that runs on it.
    _runtime: Arc<tokio::runtime::Runtime>,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Destination({})", self.url)
    }
}

impl Destination {
    /// The destination at `url`: a path or `fs:///path` for a folder. It need not exist yet.
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
        let folder = std::path::absolute(folder).map_err(|error| bad(&error.to_string()))?;
        let root = folder.to_str().ok_or_else(|| bad("the path is not UTF-8"))?;
        let temporary = format!("{}/{TEMPORARY}", root.trim_end_matches('/'));
        Self::with_operator(
            || Operator::new(services::Fs::default().root(root).atomic_write_dir(&temporary)),
            format!("fs://{root}"),
            Some(folder.clone()),
        )
    }

    /// A destination in this process's memory, for tests.
    ///
    /// # Errors
    /// [`Error::BadUrl`] when no executor can be started.
    pub fn memory() -> Result<Self, Error> {
        Self::with_operator(|| Operator::new(services::Memory::default()), "memory://".to_owned(), None)
    }

    fn with_operator(
        build: impl FnOnce() -> opendal::Result<Operator>,
        url: String,
        folder: Option<std::path::PathBuf>,
    ) -> Result<Self, Error> {
        let bad = |why: String| Error::BadUrl { url: url.clone(), why };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .map_err(|error| bad(error.to_string()))?;
        let operator = {
            let _inside = runtime.enter();
            let operator = build().map_err(|error| bad(error.to_string()))?;
            let retry = RetryLayer::new().with_max_times(4).with_jitter();
            blocking::Operator::new(operator.layer(retry)).map_err(|error| bad(error.to_string()))?
        };
        Ok(Self { operator, url, folder, _runtime: Arc::new(runtime) })
    }

    /// The address, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the place itself is there. A folder that vanished (a disk unplugged) must not be made anew by a
    /// write; other services have no such thing as a missing place.
    pub(crate) fn is_there(&self) -> bool {
        self.folder.as_deref().is_none_or(Path::is_dir)
    }

    /// Makes the place, for an archive that is to be new.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        std::fs::create_dir_all(folder).map_err(|error| from_system("write", self.url(), &error))
    }

    /// The folder's own metadata, where the destination is one.
    pub(crate) fn folder_metadata(&self) -> Option<std::fs::Metadata> {
        std::fs::metadata(self.folder.as_deref()?).ok()
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        self.operator.read(path).map(|buffer| buffer.to_vec()).map_err(|error| failed("read", path, &error))
    }

    /// Bytes `at .. at + len` of an object; fewer than that is an error.
    pub(crate) fn read_range(&self, path: &str, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        let options = opendal::options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
        let bytes = self
            .operator
            .read_options(path, options)
            .map(|buffer| buffer.to_vec())
            .map_err(|error| failed("read", path, &error))?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut_short(path)) }
    }

    /// Length of an object in bytes.
    pub(crate) fn len(&self, path: &str) -> Result<u64, Error> {
        let metadata = self.operator.stat(path).map_err(|error| failed("read", path, &error))?;
        Ok(metadata.content_length())
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, Error> {
        match self.operator.stat(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("read", path, &error)),
        }
    }

    /// Stores an object whole: after an error or a crash it is either there in full or not at all.
    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        if !self.is_there() {
            return Err(gone(path));
        }
        let write = || -> opendal::Result<()> {
            let mut writer = self.operator.writer(path)?;
            let mut rest = opendal::Buffer::from(bytes);
            while !rest.is_empty() {
                let piece = rest.slice(..rest.len().min(PIECE));
                rest = rest.slice(piece.len()..);
                writer.write(piece)?;
            }
            writer.close()?;
            Ok(())
        };
        write().map_err(|error| failed("write", path, &error))
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Error> {
        self.operator.delete(path).map_err(|error| failed("delete", path, &error))
    }

    /// The paths of all objects below `folder` (which ends in a slash), in no particular order; none when there is
    /// no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let options = opendal::options::ListOptions { recursive: true, ..Default::default() };
        match self.operator.list_options(folder, options) {
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
        let Some(folder) = &self.folder else { return };
        let Ok(entries) = walk(&folder.join(TEMPORARY)) else { return };
        for (path, modified) in entries {
            if modified.elapsed().is_ok_and(|elapsed| elapsed.as_secs() > age) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn walk(folder: &Path) -> io::Result<Vec<(std::path::PathBuf, std::time::SystemTime)>> {
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
    Error::damaged(path, crate::error::Damage::Truncated)
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
