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
use std::time::{Duration, SystemTime};

pub use address::{Address, Service, redacted};
pub use check::CheckReport;
use cloud::Cloud;
pub use credentials::{Credential, Credentials};
use failure::{cut_short, of_system};
use folder::Folder;

use crate::error::{Damage, Error};

/// A storage provider, and a place with it.
#[derive(Clone)]
pub struct Destination {
    url: String,
    place: Arc<Place>,
    #[cfg(test)]
    pub(crate) faults: crate::faults::Faults,
}

/// What a provider says of an object.
pub(crate) struct Found {
    /// Bytes.
    len: u64,
    /// When it was written, by the clock of where it lies, if that tells.
    modified: Option<SystemTime>,
}

enum Place {
    Folder(Folder),
    Cloud(Box<Cloud>),
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
    /// Is told before a wait of a second or more what failed, and when the request is made again.
    pub on_wait: Option<fn(&str)>,
}

impl Default for Access {
    fn default() -> Self {
        Self { credentials: Credentials::default(), limit_rate: None, retries: 9, on_wait: None }
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
        let place = match address.as_folder() {
            Some(path) => Place::Folder(Folder::new(path.to_owned())),
            None => {
                let operator = services::operator(address, &access.credentials)?;
                let service = (Some(address.service()), services::top(address));
                Place::Cloud(Box::new(Cloud::new(operator, runtime(&url)?, service, access)))
            }
        };
        Ok(Self::new(url, place))
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
        let cloud = Cloud::new(operator, runtime, (None, String::new()), &Access::default());
        Ok(Self::new(url, Place::Cloud(Box::new(cloud))))
    }

    fn new(url: String, place: Place) -> Self {
        Self {
            url,
            place: Arc::new(place),
            #[cfg(test)]
            faults: crate::faults::Faults::default(),
        }
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
        let bytes = match &*self.place {
            Place::Folder(folder) => folder.read_range(path, at, len),
            Place::Cloud(cloud) => cloud.read_range(path, at, len),
        }?;
        if bytes.len() as u64 == len { Ok(bytes) } else { Err(cut_short(path)) }
    }

    fn found(&self, path: &str) -> Result<Option<Found>, Error> {
        #[cfg(test)]
        self.faults.meet("read", path)?;
        match &*self.place {
            Place::Folder(folder) => folder.found(path),
            Place::Cloud(cloud) => cloud.found(path),
        }
    }

    fn find(&self, path: &str) -> Result<Found, Error> {
        self.found(path)?.ok_or_else(|| of_system("read", path, &std::io::ErrorKind::NotFound.into()))
    }

    /// Length of an object in bytes.
    pub(crate) fn len(&self, path: &str) -> Result<u64, Error> {
        Ok(self.find(path)?.len)
    }

    /// When an object was written, by the clock of where it lies, if that tells.
    pub(crate) fn modified(&self, path: &str) -> Result<Option<SystemTime>, Error> {
        #[cfg(test)]
        if let Some(written) = self.faults.written(path) {
            return Ok(Some(written));
        }
        Ok(self.find(path)?.modified)
    }

    pub(crate) fn exists(&self, path: &str) -> Result<bool, Error> {
        Ok(self.found(path)?.is_some())
    }

    /// Whether a listing shows at once what was written, and no longer what was removed.
    pub(crate) fn lists_at_once(&self) -> bool {
        #[cfg(test)]
        if self.faults.are_listings_stale() {
            return false;
        }
        match &*self.place {
            Place::Folder(_) => true,
            Place::Cloud(cloud) => cloud.lists_at_once(),
        }
    }

    /// Stores an object whole: after an error or a crash it is either there in full or not at all.
    pub(crate) fn write(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        self.write_parts(path, vec![bytes])
    }

    /// Stores an object that consists of these parts.
    pub(crate) fn write_parts(&self, path: &str, parts: Vec<Vec<u8>>) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.change("write", path)?;
        match &*self.place {
            Place::Folder(folder) => folder.write(path, parts),
            Place::Cloud(cloud) => cloud.write(path, parts),
        }
    }

    /// Stores an object in the place of one that may be there. With some services there is none, or half of one, for a
    /// moment, or after a crash.
    pub(crate) fn replace(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.change("write", path)?;
        match &*self.place {
            Place::Folder(folder) => folder.write(path, vec![bytes]),
            Place::Cloud(cloud) => cloud.replace(path, bytes),
        }
    }

    /// Makes everything written so far survive a loss of power. What refers to objects is written only after that.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        self.folder().map_or(Ok(()), Folder::settle)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<(), Error> {
        #[cfg(test)]
        self.faults.change("delete", path)?;
        match &*self.place {
            Place::Folder(folder) => folder.delete(path),
            Place::Cloud(cloud) => cloud.delete(path),
        }
    }

    /// The paths of all objects below `folder` (which ends in a slash), in no particular order; none when there is
    /// no such folder.
    pub(crate) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        #[cfg(test)]
        self.faults.meet("list", folder)?;
        let paths = match &*self.place {
            Place::Folder(at) => at.list(folder),
            Place::Cloud(cloud) => cloud.list(folder),
        }?;
        #[cfg(test)]
        let paths = self.faults.listed(folder, paths);
        Ok(paths)
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
