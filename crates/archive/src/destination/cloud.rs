//! A service behind a network: it answers late, not at all, twice, or with an error after it has done what was asked.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use opendal::{Buffer, Entry, ErrorKind, Operator, options};
use tokio::sync::Mutex;

use super::Found;
use super::address::Service as S;
use super::credentials::Credentials;
use super::failure::{described, is_passing, of_service};
use super::pace::Pace;
use crate::error::{DestinationErrorKind, Error};
use crate::id::ObjectName;

/// A request fails that takes longer than this …
const PATIENCE: Duration = Duration::from_secs(60);
/// … and the time that its bytes take at so many a second.
const SLOWEST: u64 = 32 << 10;
/// Before the second try; each later one waits twice as long, …
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// … but no longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A wait that is not worth telling is shorter.
const TOLD: Duration = Duration::from_secs(1);
/// How often the first request of all is made again: some four seconds.
const RETRIES_AT_FIRST: usize = 4;
/// Folders that are listed at a time.
const LISTED_AT_ONCE: usize = 8;
/// Entries of the longest listing that is taken: 16 TB in packs.
const LONGEST_LISTING: usize = 1_000_000;
/// Where objects lie that are not complete yet, with services that would show half of one.
const TEMPORARY: &str = "tmp/";

/// An operator, and what makes it dependable.
pub(super) struct Cloud {
    operator: Operator,
    runtime: tokio::runtime::Runtime,
    credentials: Credentials,
    /// How often a request is made again.
    retries: usize,
    on_wait: Option<fn(&str)>,
    /// Whether the service has ever answered. Until then it is more likely that the address is wrong.
    is_reached: AtomicBool,
    pace: Option<Pace>,
    /// Whether folders have to be made. Some services lose a write when two make its folder at the same time, or make two.
    has_folders: bool,
    /// Whether an upload that breaks off leaves half an object behind. Then objects are written beside their place.
    is_staged: bool,
    lists_at_once: bool,
    /// Folders that are there.
    folders: Mutex<BTreeSet<String>>,
}

/// What lies under a name that something was to be written to.
enum There {
    Nothing,
    Same,
    Other,
}

impl Cloud {
    pub(super) fn new(
        operator: Operator,
        runtime: tokio::runtime::Runtime,
        service: Option<S>,
        access: &super::Access,
    ) -> Self {
        Self {
            operator,
            runtime,
            credentials: access.credentials.clone(),
            retries: access.retries,
            on_wait: access.on_wait,
            is_reached: AtomicBool::new(false),
            pace: access.limit_rate.map(Pace::new),
            has_folders: matches!(service, Some(S::WebDav | S::Sftp | S::GoogleDrive | S::Dropbox | S::OneDrive)),
            is_staged: matches!(service, Some(S::WebDav | S::Sftp)),
            lists_at_once: !matches!(service, Some(S::GoogleDrive | S::Dropbox | S::OneDrive)),
            folders: Mutex::default(),
        }
    }

    /// Whether a listing shows at once what was written, and no longer what was removed.
    pub(super) const fn lists_at_once(&self) -> bool {
        self.lists_at_once
    }

    /// Whether the service can refuse to overwrite.
    pub(super) fn writes_once(&self) -> bool {
        !self.is_staged && self.operator.info().capability().write_with_if_not_exists
    }

    fn failed(&self, action: &'static str, path: &str) -> impl Fn(opendal::Error) -> Error {
        move |error| of_service(action, path, &error, &self.credentials)
    }

    /// Makes a request until it succeeds, fails for good, or has been made often enough.
    async fn insist<T>(&self, bytes: u64, request: impl AsyncFn() -> opendal::Result<T>) -> opendal::Result<T> {
        let patience = PATIENCE + Duration::from_secs(bytes / SLOWEST);
        self.insist_on(|| within(patience, request())).await
    }

    /// The same of something that ends in time by itself.
    async fn insist_on<T>(&self, request: impl AsyncFn() -> opendal::Result<T>) -> opendal::Result<T> {
        let is_reached = self.is_reached.load(Ordering::Relaxed);
        let mut waits = waits(if is_reached { self.retries } else { self.retries.min(RETRIES_AT_FIRST) });
        loop {
            match request().await {
                Err(error) if is_passing(&error) => match waits.next() {
                    Some(wait) => {
                        self.tell(&error, wait);
                        tokio::time::sleep(wait).await;
                    }
                    None => return Err(error),
                },
                answered => {
                    self.is_reached.store(true, Ordering::Relaxed);
                    return answered;
                }
            }
        }
    }

    fn tell(&self, error: &opendal::Error, wait: Duration) {
        if let Some(tell) = self.on_wait
            && wait >= TOLD
        {
            let why = self.credentials.redact(&described(error));
            tell(&format!("{why}: trying again in {:.0} s", wait.as_secs_f64()));
        }
    }

    fn wait<T>(&self, bytes: u64, request: impl AsyncFn() -> opendal::Result<T>) -> opendal::Result<T> {
        self.runtime.block_on(self.insist(bytes, request))
    }

    async fn keep_pace(&self, bytes: u64) {
        if let Some(pace) = &self.pace {
            pace.wait(bytes).await;
        }
    }

    pub(super) fn read_range(&self, path: &str, at: u64, len: u64) -> Result<Vec<u8>, Error> {
        self.runtime.block_on(self.keep_pace(len));
        let fetched = self.wait(len, async || {
            let options = options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
            let error = match self.operator.read_options(path, options).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            // Was the answer cut short, or the object?
            match self.operator.stat(path).await {
                Ok(metadata) if metadata.content_length() < at + len => Err(too_short()),
                _ => Err(error),
            }
        });
        fetched.map(|bytes| bytes.to_vec()).map_err(self.failed("read", path))
    }

    pub(super) fn found(&self, path: &str) -> Result<Option<Found>, Error> {
        match self.wait(0, || self.operator.stat(path)) {
            Ok(metadata) => {
                let modified = metadata.last_modified().map(SystemTime::from);
                Ok(Some(Found { len: metadata.content_length(), modified }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", path)(error)),
        }
    }

    /// Stores an object whole. One that is there already with these very bytes is written; one with other bytes stays
    /// as it is where the service can see to that.
    pub(super) fn write(&self, path: &str, parts: Vec<Vec<u8>>) -> Result<(), Error> {
        let bytes: Buffer = parts.into_iter().map(|part| Buffer::from(part).to_bytes()).collect();
        let stored = self.runtime.block_on(async {
            self.keep_pace(bytes.len() as u64).await;
            if let Some((folder, _)) = path.rsplit_once('/') {
                self.make_folder(&format!("{folder}/")).await?;
            }
            if self.is_staged {
                self.store_by_way_of_another(path, &bytes).await
            } else {
                self.store(path, &bytes).await
            }
        });
        match stored {
            Ok(true) => Ok(()),
            Ok(false) => Err(taken(path)),
            Err(error) => Err(self.failed("write", path)(error)),
        }
    }

    /// Stores an object in the place of what is there.
    pub(super) fn replace(&self, path: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let bytes = Buffer::from(bytes);
        let stored = self.runtime.block_on(async {
            self.keep_pace(bytes.len() as u64).await;
            if !self.is_staged {
                let write = async || self.operator.write(path, bytes.clone()).await.map(drop);
                return self.insist(bytes.len() as u64, write).await;
            }
            match self.store_by_way_of_another(path, &bytes).await {
                Ok(_) if matches!(self.compare(path, &bytes).await?, There::Same) => return Ok(()),
                _ => {}
            }
            // Some servers rename nothing onto what is there.
            self.insist(0, || self.operator.delete(path)).await?;
            self.store_by_way_of_another(path, &bytes).await.map(drop)
        });
        stored.map_err(self.failed("write", path))
    }

    /// False where something else is in its place.
    async fn store(&self, path: &str, bytes: &Buffer) -> opendal::Result<bool> {
        let options = || options::WriteOptions { if_not_exists: self.writes_once(), ..Default::default() };
        let write = async || {
            let written = self.operator.write_options(path, bytes.clone(), options()).await;
            self.see(path, bytes, written.map(drop)).await
        };
        self.insist(bytes.len() as u64, write).await
    }

    async fn store_by_way_of_another(&self, path: &str, bytes: &Buffer) -> opendal::Result<bool> {
        self.make_folder(TEMPORARY).await?;
        let temporary = format!("{TEMPORARY}{}", path.rsplit('/').next().unwrap_or(path));
        let write = async || {
            self.operator.write(&temporary, bytes.clone()).await?;
            let len = self.operator.stat(&temporary).await?.content_length();
            if len == bytes.len() as u64 { Ok(()) } else { Err(broken_off()) }
        };
        self.insist(bytes.len() as u64, write).await?;
        let rename = async || {
            let renamed = self.operator.rename(&temporary, path).await;
            self.see(path, bytes, renamed).await
        };
        self.insist(bytes.len() as u64, rename).await
    }

    /// What became of a write, whatever was said of it: an earlier request may have done it, or this one. False where
    /// something else is in its place.
    async fn see(&self, path: &str, bytes: &Buffer, written: opendal::Result<()>) -> opendal::Result<bool> {
        let Err(error) = written else { return Ok(true) };
        match self.compare(path, bytes).await {
            Ok(There::Same) => Ok(true),
            Ok(There::Other) if error.kind() == ErrorKind::ConditionNotMatch => Ok(false),
            // It is not known yet.
            Err(doubt) if is_passing(&doubt) => Err(doubt),
            _ => Err(error),
        }
    }

    /// Makes a folder, one at a time.
    async fn make_folder(&self, folder: &str) -> opendal::Result<()> {
        if !self.has_folders {
            return Ok(());
        }
        let mut made = self.folders.lock().await;
        if !made.contains(folder) {
            let make = async || {
                let Err(error) = self.operator.create_dir(folder).await else { return Ok(()) };
                // Another device may have been quicker.
                let is_there = self.operator.stat(folder).await.is_ok_and(|metadata| metadata.is_dir());
                if is_there { Ok(()) } else { Err(error) }
            };
            self.insist(0, make).await?;
            made.insert(folder.to_owned());
        }
        Ok(())
    }

    async fn compare(&self, path: &str, bytes: &Buffer) -> opendal::Result<There> {
        let len = match self.operator.stat(path).await {
            Ok(metadata) => metadata.content_length(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(There::Nothing),
            Err(error) => return Err(error),
        };
        if len != bytes.len() as u64 {
            return Ok(There::Other);
        }
        let found = self.operator.read(path).await?;
        Ok(if found.to_bytes() == bytes.to_bytes() { There::Same } else { There::Other })
    }

    pub(super) fn delete(&self, path: &str) -> Result<(), Error> {
        self.wait(0, || self.operator.delete(path)).map_err(self.failed("delete", path))
    }

    /// Removes an empty folder, where the service has such a thing.
    pub(super) fn remove_folder(&self, folder: &str) {
        if self.has_folders {
            // One that stays does no harm.
            let _ = self.delete(folder);
        }
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        Ok(self.entries(folder)?.into_iter().map(|entry| entry.path().to_owned()).collect())
    }

    /// All files in a folder, and in those right below it: no object lies deeper.
    pub(super) fn entries(&self, folder: &str) -> Result<Vec<Entry>, Error> {
        let is_deep = self.operator.info().capability().list_with_recursive;
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while !folders.is_empty() {
            let some: Vec<_> = folders.drain(..folders.len().min(LISTED_AT_ONCE)).collect();
            let is_first = some == [folder];
            let listings = some.iter().map(|one| self.insist_on(|| self.list_one(one, is_deep)));
            let listed = self.runtime.block_on(futures_util::future::try_join_all(listings));
            for entry in listed.map_err(self.failed("list", folder))?.into_iter().flatten() {
                if entry.metadata().is_file() {
                    found.push(entry);
                } else if !is_deep && is_first && entry.metadata().is_dir() && entry.path() != folder {
                    folders.push(entry.path().to_owned());
                }
            }
        }
        Ok(found)
    }

    /// One listing, however many pages it has: each may take as long as any other request.
    async fn list_one(&self, folder: &str, recursive: bool) -> opendal::Result<Vec<Entry>> {
        let options = options::ListOptions { recursive, ..Default::default() };
        let mut lister = self.operator.lister_options(folder, options).await?;
        let mut listed = Vec::new();
        loop {
            match within(PATIENCE, lister.try_next()).await {
                Ok(Some(_)) if listed.len() == LONGEST_LISTING => return Err(endless()),
                Ok(Some(entry)) => listed.push(entry),
                Ok(None) => return Ok(listed),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes objects that interrupted writes left unfinished longer than `age` ago, by the service's clock.
    pub(super) fn sweep(&self, age: Duration) {
        if !self.is_staged {
            return;
        }
        for entry in self.entries(TEMPORARY).unwrap_or_default() {
            let is_object = entry.name().split('/').next().and_then(ObjectName::parse).is_some();
            let modified = entry.metadata().last_modified().map(SystemTime::from);
            if is_object && modified.is_some_and(|then| then.elapsed().is_ok_and(|elapsed| elapsed > age)) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = self.delete(entry.path());
            }
        }
    }
}

/// What a request answers, unless it takes too long.
async fn within<T>(patience: Duration, request: impl Future<Output = opendal::Result<T>>) -> opendal::Result<T> {
    tokio::time::timeout(patience, request).await.unwrap_or_else(|_| Err(too_late()))
}

fn too_short() -> opendal::Error {
    opendal::Error::new(ErrorKind::RangeNotSatisfied, "the object ends before")
}

fn broken_off() -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "the upload broke off").set_temporary()
}

fn too_late() -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "no answer came in time").set_temporary()
}

fn endless() -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "the listing does not end")
}

fn taken(path: &str) -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Exists,
        action: "write",
        object: path.to_owned(),
        reason: "something else is there under this name".to_owned(),
    }
}

/// How long to wait before each further try: twice as long each time, and up to half as long again, so that many clients
/// do not come back at once.
fn waits(retries: usize) -> impl Iterator<Item = Duration> {
    let jitter = || getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    let doubled = std::iter::successors(Some(FIRST_WAIT), |wait| Some((*wait * 2).min(LONGEST_WAIT)));
    doubled.take(retries).map(move |wait| wait.mul_f64(1.0 + jitter() / 2.0))
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
mod tests;
