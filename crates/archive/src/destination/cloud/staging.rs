//! Services with folders, and those that would show half of an object: these are written beside their place, and renamed.

use std::io;
use std::time::{Duration, SystemTime};

use opendal::{Buffer, ErrorKind};

use super::{Cloud, PATIENCE, within};
use crate::destination::failure::says_only_failure;
use crate::id::ObjectName;

/// Where objects lie that are not complete yet.
const TEMPORARY: &str = "tmp/";

impl Cloud {
    /// False where something else is in its place.
    pub(super) async fn store_by_way_of_another(&self, path: &str, bytes: &Buffer) -> opendal::Result<bool> {
        let folder = self.full(TEMPORARY);
        self.make_folder(&folder).await?;
        let temporary = format!("{folder}{}", path.rsplit('/').next().unwrap_or(path));
        let stored = self.store_by_way_of(&temporary, path, bytes).await;
        if stored.is_err() {
            // It is of no use to anyone, and takes room; if it stays, a later run sweeps it.
            let _ = within(PATIENCE, self.operator.delete(&temporary)).await;
        }
        stored
    }

    async fn store_by_way_of(&self, temporary: &str, path: &str, bytes: &Buffer) -> opendal::Result<bool> {
        let write = async || {
            self.operator.write(temporary, bytes.clone()).await?;
            let len = self.operator.stat(temporary).await?.content_length();
            if len == bytes.len() as u64 { Ok(()) } else { Err(broken_off()) }
        };
        if let Err(error) = self.insist(bytes.len() as u64, write).await {
            let is_begun = says_only_failure(&error)
                && within(PATIENCE, self.operator.stat(temporary))
                    .await
                    .is_ok_and(|begun| begun.content_length() < bytes.len() as u64);
            return Err(if is_begun { no_room() } else { error });
        }
        let rename = async || {
            let renamed = self.operator.rename(temporary, path).await;
            self.see(path, bytes, renamed).await
        };
        self.insist(bytes.len() as u64, rename).await
    }

    /// Makes a folder, one at a time.
    pub(super) async fn make_folder(&self, folder: &str) -> opendal::Result<()> {
        if !self.has_folders {
            return Ok(());
        }
        let mut made = self.folders.lock().await;
        if !made.contains(folder) {
            let make = async || {
                let made = self.operator.create_dir(folder).await;
                if made.is_ok() && !self.is_sftp {
                    return Ok(());
                }
                // Another device may have been quicker.
                let is_there = self.operator.stat(folder).await.is_ok_and(|metadata| metadata.is_dir());
                if is_there { Ok(()) } else { made.and_then(|()| Err(not_made())) }
            };
            self.insist(0, make).await?;
            made.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Removes an empty folder, where the service has such a thing.
    pub(in crate::destination) fn remove_folder(&self, folder: &str) {
        if self.has_folders {
            // One that stays does no harm.
            let _ = self.delete(folder);
        }
    }

    /// The folders that a write would make here to begin with, the deepest first; none where a folder is removed with
    /// all that is in it.
    pub(in crate::destination) fn missing_folders(&self) -> Vec<String> {
        if !self.is_sftp {
            return Vec::new();
        }
        let deepest = self.full(TEMPORARY);
        let above = deepest.match_indices('/').rev().map(|(slash, _)| deepest[..=slash].to_owned());
        let is_missing = |folder: &String| {
            let found = self.runtime.block_on(within(PATIENCE, self.operator.stat(folder)));
            found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        above.take_while(is_missing).collect()
    }

    /// Removes those of these folders that are empty.
    pub(in crate::destination) fn remove_folders(&self, folders: &[String]) {
        for folder in folders {
            // One that stays does no harm.
            let _ = self.runtime.block_on(within(PATIENCE, self.operator.delete(folder)));
        }
    }

    /// Removes objects that interrupted writes left unfinished longer than `age` ago, by the service's clock.
    pub(in crate::destination) fn sweep(&self, age: Duration) {
        if !self.is_staged {
            return;
        }
        for entry in self.entries(TEMPORARY).unwrap_or_default() {
            let is_object = entry.name().split('/').next().and_then(ObjectName::parse).is_some();
            let modified = entry.metadata().last_modified().map(SystemTime::from);
            if is_object && modified.is_some_and(|then| then.elapsed().is_ok_and(|elapsed| elapsed > age)) {
                // It is a leftover that nothing names; if it stays, it stays.
                let _ = self.wait(0, || self.operator.delete(entry.path()));
            }
        }
    }
}

fn broken_off() -> opendal::Error {
    opendal::Error::new(ErrorKind::Unexpected, "the upload broke off").set_temporary()
}

fn not_made() -> opendal::Error {
    opendal::Error::new(ErrorKind::PermissionDenied, "the folder cannot be made: often the disk is read-only or full")
}

fn no_room() -> opendal::Error {
    let error = opendal::Error::new(ErrorKind::Unexpected, "the server takes a part of it and no more");
    error.set_source(io::Error::from(io::ErrorKind::StorageFull))
}
