//! One database file for records and ledger.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, Key, ReadOnlyTable, ReadableDatabase as _, TableDefinition, Value};

use crate::database::{self, Lock};
use crate::error::OpenError;
use crate::ledger::EmbeddedLedger;
use crate::records::EmbeddedRecords;
use crate::writer::Writer;

/// Bytes of a value.
pub(crate) const MAX_VALUE_LEN: usize = 64 << 10;

/// The store of a vault of one site.
///
/// Every write is on the disk when it returns. Writes wait for one another's fsync and share it; reads wait for nobody,
/// and take the time of a page's read on the thread that polls them. After a write has failed for the disk's sake, no
/// write or read is answered until the process has been restarted.
pub struct EmbeddedStore {
    /// What is replicated in a fleet.
    pub records: EmbeddedRecords,
    /// The site's own memory.
    pub ledger: EmbeddedLedger,
}

impl EmbeddedStore {
    /// Opens the store in a folder of its own; makes folder (mode 0700) and file (0600) when they are not there. The
    /// store is closed, and may be opened again, once both handles and all their clones are dropped.
    ///
    /// # Errors
    /// When another process has it open, when it is of a later format or damaged, when the disk does not allow it.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let (lock, database) = database::open(folder)?;
        let database = Arc::new(database);
        let writer = Writer::start(Arc::clone(&database))
            .map_err(|source| OpenError::Disk { path: folder.to_owned(), source })?;
        let shared = Arc::new(Shared { database, writer, _lock: lock });
        Ok(Self { records: EmbeddedRecords(Arc::clone(&shared)), ledger: EmbeddedLedger(shared) })
    }
}

/// What both handles hold. It is dropped from top to bottom: the writer ends and closes the file, then the lock goes.
pub(crate) struct Shared {
    database: Arc<Database>,
    pub(crate) writer: Writer,
    _lock: Lock,
}

impl Shared {
    /// Reads the newest committed state of one table. `None`: it cannot be read, or must not be believed.
    pub(crate) fn read<K: Key + 'static, V: Value + 'static, T>(
        &self,
        table: TableDefinition<'_, K, V>,
        read: impl FnOnce(&ReadOnlyTable<K, V>) -> Result<T, redb::StorageError>,
    ) -> Option<T> {
        if !self.writer.is_serving() {
            return None;
        }
        let read = || -> Result<T, redb::Error> { Ok(read(&self.database.begin_read()?.open_table(table)?)?) };
        read().inspect_err(|error| tracing::error!(%error, "the store cannot be read")).ok()
    }
}
