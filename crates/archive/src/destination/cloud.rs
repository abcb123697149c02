//! A service behind a network: it answers late, not at all, twice, or with an error after it has done what was asked.

mod staging;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use opendal::{Buffer, Entry, ErrorKind, Operator, options};
use tokio::sync::Mutex;

use super::Found;
use super::address::Service as S;
use super::credentials::Credentials;
use super::failure::{described, is_passing, of_service, says_only_failure};
use super::pace::Pace;
use crate::error::{DestinationErrorKind, Error};

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
/// How often a request is made again that failed for a reason that the server keeps to itself.
const RETRIES_IN_THE_DARK: usize = 2;
/// Folders that are listed at a time.
const LISTED_AT_ONCE: usize = 8;
/// Entries of the longest listing that is taken: 16 TB in packs.
const LONGEST_LISTING: usize = 1_000_000;
/// An operator, and what makes it dependable.
pub(super) struct Cloud {
    operator: Operator,
    /// What the operator's paths begin with.
    top: String,
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
    /// Then a folder that cannot be made passes for made, and one with something in it is not removed.
    is_sftp: bool,
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
        (service, top): (Option<S>, String),
        access: &super::Access,
    ) -> Self {
        Self {
            operator,
            top,
            runtime,
            credentials: access.credentials.clone(),
            retries: access.retries,
            on_wait: access.on_wait,
            is_reached: AtomicBool::new(false),
            pace: access.limit_rate.map(Pace::new),
            has_folders: matches!(service, Some(S::WebDav | S::Sftp | S::GoogleDrive | S::Dropbox | S::OneDrive)),
            is_staged: matches!(service, Some(S::WebDav | S::Sftp)),
            is_sftp: matches!(service, Some(S::Sftp)),
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
        move |error| of_service((action, path), &error, &self.operator.info().name(), &self.credentials)
    }

    /// What the operator knows a path of the archive by.
    fn full(&self, path: &str) -> String {
        format!("{}{path}", self.top)
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
        let mut in_the_dark = 0;
        loop {
            match request().await {
                Err(error) if says_only_failure(&error) && in_the_dark == RETRIES_IN_THE_DARK => return Err(error),
                Err(error) if is_passing(&error) => match waits.next() {
                    Some(wait) => {
                        in_the_dark += usize::from(says_only_failure(&error));
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
        let place = &self.full(path);
        let fetched = self.wait(len, async || {
            let options = options::ReadOptions { range: (at..at + len).into(), ..Default::default() };
            let error = match self.operator.read_options(place, options).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            // Was the answer cut short, or the object?
            match self.operator.stat(place).await {
                Ok(metadata) if metadata.content_length() < at + len => Err(too_short()),
                _ => Err(error),
            }
        });
        fetched.map(|bytes| bytes.to_vec()).map_err(self.failed("read", path))
    }

    pub(super) fn found(&self, path: &str) -> Result<Option<Found>, Error> {
        let place = &self.full(path);
        match self.wait(0, || self.operator.stat(place)) {
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
        let place = &self.full(path);
        let stored = self.runtime.block_on(async {
            self.keep_pace(bytes.len() as u64).await;
            if let Some((folder, _)) = place.rsplit_once('/') {
                self.make_folder(&format!("{folder}/")).await?;
            }
            if self.is_staged {
                self.store_by_way_of_another(place, &bytes).await
            } else {
                self.store(place, &bytes).await
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
        let place = &self.full(path);
        let stored = self.runtime.block_on(async {
            self.keep_pace(bytes.len() as u64).await;
            if !self.is_staged {
                let write = async || self.operator.write(place, bytes.clone()).await.map(drop);
                return self.insist(bytes.len() as u64, write).await;
            }
            match self.store_by_way_of_another(place, &bytes).await {
                Ok(_) if matches!(self.compare(place, &bytes).await?, There::Same) => return Ok(()),
                _ => {}
            }
            // Some servers rename nothing onto what is there.
            self.insist(0, || self.operator.delete(place)).await?;
            self.store_by_way_of_another(place, &bytes).await.map(drop)
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
        let place = &self.full(path);
        self.wait(0, || self.operator.delete(place)).map_err(self.failed("delete", path))
    }

    pub(super) fn list(&self, folder: &str) -> Result<Vec<String>, Error> {
        let path = |entry: Entry| entry.path().strip_prefix(&self.top).map(str::to_owned);
        Ok(self.entries(folder)?.into_iter().filter_map(path).collect())
    }

    /// All files in a folder, and in those right below it: no object lies deeper. Their paths are the operator's.
    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Error> {
        let is_deep = self.operator.info().capability().list_with_recursive;
        let mut found = Vec::new();
        let top = self.full(folder);
        let mut folders = vec![top.clone()];
        while !folders.is_empty() {
            let some: Vec<_> = folders.drain(..folders.len().min(LISTED_AT_ONCE)).collect();
            let is_first = some == [top.as_str()];
            let listings = some.iter().map(|one| self.insist_on(|| self.list_one(one, is_deep)));
            let listed = self.runtime.block_on(futures_util::future::try_join_all(listings));
            for entry in listed.map_err(self.failed("list", folder))?.into_iter().flatten() {
                if entry.metadata().is_file() {
                    found.push(entry);
                } else if !is_deep && is_first && entry.metadata().is_dir() && entry.path() != top {
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
}

/// What a request answers, unless it takes too long.
async fn within<T>(patience: Duration, request: impl Future<Output = opendal::Result<T>>) -> opendal::Result<T> {
    tokio::time::timeout(patience, request).await.unwrap_or_else(|_| Err(too_late()))
}

fn too_short() -> opendal::Error {
    opendal::Error::new(ErrorKind::RangeNotSatisfied, "the object ends before")
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
