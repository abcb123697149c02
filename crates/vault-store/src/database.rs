//! The database file: how it comes into being, and what is in it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadableDatabase as _, Table, TableDefinition, WriteTransaction};

use crate::error::OpenError;

/// Key → version and value.
pub(crate) const RECORDS: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("records");
/// Key → number and bytes.
pub(crate) const LEDGER: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("ledger");
pub(crate) const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");

/// The version that the last write to any record got. It only rises, so that no key has a version twice.
pub(crate) const LAST_VERSION: &str = "last-version";
/// The highest number of any ledger row.
pub(crate) const HIGHEST_NUMBER: &str = "highest-number";
const FORMAT: &str = "format";

/// The format that is written.
const CURRENT_FORMAT: u64 = 1;
const FILE: &str = "vault.redb";
/// The file while it is made. A crash leaves it, the next start makes it anew.
const UNFINISHED: &str = "vault.redb.new";
/// Bytes of memory for pages of the file. redb's default is 1 GiB.
const CACHE: usize = 64 << 20;

/// The tables inside one write transaction.
pub(crate) struct Tables<'t> {
    pub(crate) records: Table<'t, &'static [u8], (u64, &'static [u8])>,
    pub(crate) ledger: Table<'t, &'static [u8], (u64, &'static [u8])>,
    pub(crate) counters: Table<'t, &'static str, u64>,
    /// Whether there is anything to commit.
    pub(crate) changed: bool,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            ledger: transaction.open_table(LEDGER)?,
            counters: transaction.open_table(COUNTERS)?,
            changed: false,
        })
    }
}

/// Holds the folder for this process. The operating system lets go of it when the process ends, however it ends.
pub(crate) struct Lock {
    folder: File,
}

impl Drop for Lock {
    /// Closing alone would not do while a process that another thread has just forked has a copy of the descriptor.
    fn drop(&mut self) {
        let _ = self.folder.unlock();
    }
}

/// Makes the folder and the file, or opens them.
pub(crate) fn open(folder: &Path) -> Result<(Lock, Database), OpenError> {
    let lock = lock(folder)?;
    let file = folder.join(FILE);
    if !file.try_exists().map_err(disk(&file))? {
        create(folder)?;
    }
    fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(disk(&file))?;
    // Not `create`, which would take an emptied file for a new store.
    let database = builder().open(&file).map_err(|error| refused(folder, &file, error.into()))?;
    check_format(&file, &database)?;
    Ok((lock, database))
}

fn lock(folder: &Path) -> Result<Lock, OpenError> {
    let new = !folder.try_exists().map_err(disk(folder))?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(disk(folder))?;
    let opened = File::open(folder).map_err(disk(folder))?;
    opened.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::InUse { folder: folder.to_owned() },
        TryLockError::Error(source) => OpenError::Disk { path: folder.to_owned(), source },
    })?;
    if let (true, Some(parent)) = (new, folder.parent()) {
        sync_folder(parent)?;
    }
    Ok(Lock { folder: opened })
}

/// The file gets its name once it is whole: redb does not open one that was cut off while it was made.
fn create(folder: &Path) -> Result<(), OpenError> {
    let unfinished = folder.join(UNFINISHED);
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let begin = |file: File| -> Result<(), redb::Error> {
        let transaction = builder().create_with_backend(FileBackend::new(file)?)?.begin_write()?;
        Tables::open(&transaction)?.counters.insert(FORMAT, CURRENT_FORMAT)?;
        Ok(transaction.commit()?)
    };
    begin(opened.map_err(disk(&unfinished))?).map_err(|error| refused(folder, &unfinished, error))?;
    fs::rename(&unfinished, folder.join(FILE)).map_err(disk(&unfinished))?;
    sync_folder(folder)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

fn check_format(file: &Path, database: &Database) -> Result<(), OpenError> {
    let read = || -> Result<u64, redb::Error> {
        let counters = database.begin_read()?.open_table(COUNTERS)?;
        Ok(counters.get(FORMAT)?.map_or(0, |format| format.value()))
    };
    let damaged = |source| OpenError::Damaged { file: file.to_owned(), source: Box::new(source) };
    match read().map_err(damaged)? {
        0 => Err(damaged(redb::Error::Corrupted("it names no format".to_owned()))),
        CURRENT_FORMAT => Ok(()),
        found => Err(OpenError::FutureFormat { file: file.to_owned(), found, known: CURRENT_FORMAT }),
    }
}

/// A name in a folder survives a power failure only once the folder is synced.
fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    // The parent of a relative name of one part is the empty path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(disk(folder))
}

fn disk(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Disk { path: path.to_owned(), source }
}

fn refused(folder: &Path, file: &Path, error: redb::Error) -> OpenError {
    match error {
        redb::Error::DatabaseAlreadyOpen => OpenError::InUse { folder: folder.to_owned() },
        redb::Error::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
            OpenError::Disk { path: file.to_owned(), source }
        }
        source => OpenError::Damaged { file: file.to_owned(), source: Box::new(source) },
    }
}
