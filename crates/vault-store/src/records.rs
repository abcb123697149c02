//! The records.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use coffer_vault_core::{Freshness, RecordStore, Replaced, StoreUnavailable, Version, Versioned};
use redb::{ReadOnlyTable, ReadableTable};

use crate::database::{LAST_VERSION, RECORDS, Tables};
use crate::embedded::{MAX_VALUE_LEN, Shared};

/// The records of [`EmbeddedStore`](crate::EmbeddedStore). Every read is linearizable.
///
/// A value of more than 64 KiB is [`Replaced::Unknown`] and never stored.
#[derive(Clone)]
pub struct EmbeddedRecords(pub(crate) Arc<Shared>);

type Entry = (Vec<u8>, Versioned);
type Records = ReadOnlyTable<&'static [u8], (u64, &'static [u8])>;

impl EmbeddedRecords {
    fn read<T>(&self, read: impl FnOnce(&Records) -> Result<T, redb::StorageError>) -> Result<T, StoreUnavailable> {
        self.0.read(RECORDS, read).ok_or(StoreUnavailable)
    }

    async fn write(&self, key: &[u8], expected: Option<Version>, value: Option<Vec<u8>>) -> Replaced {
        let key = key.to_owned();
        let write = move |tables: &mut Tables<'_>| replace(tables, &key, expected, value.as_deref());
        self.0.writer.submit(write).await.unwrap_or(Replaced::Unknown)
    }
}

impl RecordStore for EmbeddedRecords {
    /// There is no other copy to tell this one from.
    fn fence(&self, _: &[u8]) -> u64 {
        0
    }

    async fn get(&self, key: &[u8], _: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        self.read(|records| current(records, key))
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        if value.len() > MAX_VALUE_LEN {
            return Replaced::Unknown;
        }
        self.write(key, expected, Some(value.to_owned())).await
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        self.write(key, Some(expected), None).await
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<Entry>, StoreUnavailable> {
        self.read(|records| {
            let entries = records.range::<&[u8]>((Excluded(after), Unbounded))?.take(limit);
            entries.map(|entry| entry.map(|(key, value)| (key.value().to_vec(), versioned(value.value())))).collect()
        })
    }
}

fn replace(
    tables: &mut Tables<'_>,
    key: &[u8],
    expected: Option<Version>,
    value: Option<&[u8]>,
) -> Result<Replaced, redb::Error> {
    let current = current(&tables.records, key)?;
    if current.as_ref().map(|current| current.version) != expected {
        return Ok(Replaced::Conflict(current));
    }
    let version = tables.counters.get(LAST_VERSION)?.map_or(0, |last| last.value()) + 1;
    tables.counters.insert(LAST_VERSION, version)?;
    match value {
        Some(value) => drop(tables.records.insert(key, (version, value))?),
        None => drop(tables.records.remove(key)?),
    }
    tables.changed = true;
    Ok(Replaced::Applied(Version(version)))
}

fn current(
    records: &impl ReadableTable<&'static [u8], (u64, &'static [u8])>,
    key: &[u8],
) -> Result<Option<Versioned>, redb::StorageError> {
    Ok(records.get(key)?.map(|value| versioned(value.value())))
}

fn versioned((version, value): (u64, &[u8])) -> Versioned {
    Versioned { value: value.to_vec(), version: Version(version) }
}
