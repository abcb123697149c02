//! Where the archive lies: a folder, or any service of Apache OpenDAL, behind one URL.

mod address;
mod check;
mod cloud;
mod credentials;
mod failure;
mod folder;
mod local_folder;
mod pace;
mod services;
mod transport;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

pub use address::{Address, Service, redacted};
pub use check::CheckReport;
use cloud::Cloud;
pub use credentials::{Credential, Credentials};
use failure::{cut_short, of_system};
use folder::Folder;

use crate::error::{Damage, Error};

/// Requests to a service that are under way at a time while packs are stored. Each holds a pack of 16 MiB.
const UPLOADS: usize = 2;

/// A storage provider, and a place with it.
#[derive(Clone)]
pub struct Destination {
    url: String,
    place: Arc<Place>,
}

enum Place {
    Folder(Folder),
    Cloud(Cloud),
}

/// How a service is spoken to.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who we are.
    pub credentials: Credentials,
    /// Bytes a second, at most, both ways together.
    pub limit_rate: Option<NonZeroU64>,
    /// How often a request is made again that failed and may succeed later. Nine tries take a minute and a half.
    pub retries: usize,
}

impl Default for Access {
    fn default() -> Self {
        Self { credentials: Credentials::default(), limit_rate: None, retries: 9 }
    }
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Destination({})", self.url)
    }
}

impl Destination {
    /// The destination at `url`, for services that ask for no credentials: a path or `fs:///path` for a folder. It need
    /// not exist yet, and is not made.
    ///
    /// # Errors
    /// As [`Address::parse`] and [`Destination::at`].
    pub fn from_url(url: &str) -> Result<Self, Error> {
        Self::at(&Address::parse(url)?, &Access::default())
    }

    /// The destination at an address. It need not exist yet, and is not made; no connection is made.
    ///
    /// # Errors
    /// `NoCredentials` where the service asks for more than it was given; [`Error::BadUrl`] for what OpenDAL refuses.
    pub fn at(address: &Address, access: &Access) -> Result<Self, Error> {
        let url = address.to_string();
        let runtime = runtime(&url)?;
        let place = match address.as_folder() {
            Some(path) => Place::Folder(Folder::new(path.to_owned(), runtime)),
            None => {
                let operator = services::operator(address, &access.credentials)?;
                Place::Cloud(Cloud::new(operator, runtime, Some(address.service()), access))
            }
        };
        Ok(Self { url, place: Arc::new(place) })
    }

    /// A destination in this process's memory, for tests.
    ///
    /// # Errors
    /// [`Error::BadUrl`] when no executor can be started.
    pub fn memory() -> Result<Self, Error> {
        let url = "memory://".to_owned();
        let runtime = runtime(&url)?;
        let operator = opendal::Operator::new(opendal::services::Memory::default());
        let operator = operator.map_err(|error| Error::BadUrl { url: url.clone(), why: error.to_string() })?;
        let cloud = Cloud::new(operator, runtime, None, &Access::default());
        Ok(Self { url, place: Arc::new(Place::Cloud(cloud)) })
    }

    /// The address, without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn folder(&self) -> Option<&Folder> {
        match &*self.place {
            Place::Cloud(_) => None,
            Place::Folder(folder) => Some(folder),
        }
    }

    /// Whether the place itself is there; only a folder can be missing.
    pub(crate) fn is_there(&self) -> bool {
        self.folder().is_none_or(Folder::is_there)
    }

    /// Makes the place, for an archive that is to be new.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        self.folder().map_or(Ok(()), Folder::prepare)
    }

    /// Whether nothing lies there yet. Only a folder is looked at: elsewhere an archive may share a place.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        self.folder().map_or(Ok(true), Folder::is_empty)
    }

    /// The folder's own metadata, where the destination is one.
    pub(crate) fn folder_metadata(&self) -> Option<std::fs::Metadata> {
        self.folder()?.metadata()
    }

    /// How many objects are best written at a time. A disk gains nothing by several.
    pub(crate) fn uploads(&self) -> usize {
        if self.folder().is_some() { 1 } else { UPLOADS }
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
        let bytes = match &*self.place {
            Place::Folder(folder) => folder.read_range(path, at, len),
            Place::Cloud(cloud) => cloud.read_range(path, at, len),
        }?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut_short(path)) }
    }

    fn metadata_of(&self, path: &str) -> Result<Option<opendal::Metadata>, Error> {
        match &*self.place {
            Place::Folder(folder) => folder.metadata_of(path),
            Place::Cloud(cloud) => cloud.metadata_of(path),
        }
    }

    /// Length of an object in bytes.
    pub(crate) fn len(&self, path: &str) -> Result<u64, Error> {
        let missing = || of_system("read", path, &std::io::ErrorKind::NotFound.into());
        Ok(self.metadata_of(path)?.ok_or_else(missing)?.content_length())
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, Error> {
        Ok(self.metadata_of(path)?.is_some())
    }

    /// Stores an object whole: after an error or a crash it is either there in full or not at all.
    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        match &*self.place {
            Place::Folder(folder) => folder.write(path, &bytes),
            Place::Cloud(cloud) => cloud.write(path, bytes),
        }
    }

    /// Makes everything written so far survive a loss of power. What refers to objects is written only after that.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.folder().map_or(Ok(()), Folder::settle)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Error> {
        match &*self.place {
            Place::Folder(folder) => folder.delete(path),
            Place::Cloud(cloud) => cloud.delete(path),
        }
    }

    /// The paths of all objects below `folder` (which ends in a slash), in no particular order; none when there is
    /// no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        match &*self.place {
            Place::Folder(at) => at.list(folder),
            Place::Cloud(cloud) => cloud.list(folder),
        }
    }

    /// Removes what interrupted writes left behind longer than `age` ago.
    pub(crate) fn sweep_temporary(&self, age: Duration) {
        match &*self.place {
            Place::Folder(folder) => folder.sweep(age),
            Place::Cloud(cloud) => cloud.sweep(age),
        }
    }
}

/// One thread besides the callers', who wait inside of it and work there too.
fn runtime(url: &str) -> Result<tokio::runtime::Runtime, Error> {
    let bad = |error: std::io::Error| Error::BadUrl { url: url.to_owned(), why: error.to_string() };
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(bad)
}
