//! Records and ledger in memory. Nothing fails, and what was ever written is remembered.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};

use coffer_vault_core::ports::{
    Freshness, Ledger, LedgerError, LedgerRow, RecordStore, Replaced, StoreUnavailable, Version, Versioned,
};

/// Bytes of a value.
const MAX_VALUE_LEN: usize = 64 << 10;

/// A store that always works. In a fleet every site has a ledger of its own: a store each, and one for the records.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    records: BTreeMap<Vec<u8>, Versioned>,
    last_version: u64,
    history: Vec<RecordWrite>,
    rows: BTreeMap<Vec<u8>, LedgerRow>,
    highest_number: u64,
}

/// A write that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Which record.
    pub key: Vec<u8>,
    /// What the writer believed to replace.
    pub expected: Option<Version>,
    /// Its own version.
    pub version: Version,
    /// What was written; `None`: it was deleted.
    pub value: Option<Vec<u8>>,
}

impl MemoryStore {
    /// Every write to the records that was made, in its order.
    pub fn history(&self) -> Vec<RecordWrite> {
        self.change(|contents| contents.history.clone())
    }

    /// What a record was at each time, the newest last; before the first write there was nothing.
    pub(crate) fn states(&self, key: &[u8]) -> Vec<Option<Versioned>> {
        let history = self.history();
        let writes = history.into_iter().filter(|write| write.key == key);
        std::iter::once(None)
            .chain(writes.map(|write| write.value.map(|value| Versioned { value, version: write.version })))
            .collect()
    }

    pub(crate) fn replace_now(&self, key: &[u8], expected: Option<Version>, value: Option<&[u8]>) -> Replaced {
        if value.is_some_and(|value| value.len() > MAX_VALUE_LEN) {
            return Replaced::Unknown;
        }
        self.change(|contents| contents.replace(key, expected, value))
    }

    pub(crate) fn write_now(&self, key: &[u8], expected: Option<u64>, row: &LedgerRow) -> Result<(), LedgerError> {
        if row.bytes.len() > MAX_VALUE_LEN {
            return Err(LedgerError::Unavailable);
        }
        self.change(|contents| contents.write(key, expected, row))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.0.lock().expect("nothing panics while it holds the lock"))
    }
}

impl Contents {
    fn replace(&mut self, key: &[u8], expected: Option<Version>, value: Option<&[u8]>) -> Replaced {
        let current = self.records.get(key);
        if current.map(|current| current.version) != expected {
            return Replaced::Conflict(current.cloned());
        }
        self.last_version += 1;
        let version = Version(self.last_version);
        match value {
            Some(value) => drop(self.records.insert(key.to_vec(), Versioned { value: value.to_vec(), version })),
            None => drop(self.records.remove(key)),
        }
        let write = RecordWrite { key: key.to_vec(), expected, version, value: value.map(<[u8]>::to_vec) };
        self.history.push(write);
        Replaced::Applied(version)
    }

    fn write(&mut self, key: &[u8], expected: Option<u64>, row: &LedgerRow) -> Result<(), LedgerError> {
        if self.rows.get(key).map(|row| row.number) != expected {
            return Err(LedgerError::Conflict);
        }
        self.highest_number = self.highest_number.max(row.number);
        self.rows.insert(key.to_vec(), row.clone());
        Ok(())
    }
}

impl RecordStore for MemoryStore {
    async fn get(&self, key: &[u8], _: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        Ok(self.change(|contents| contents.records.get(key).cloned()))
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        self.replace_now(key, expected, Some(value))
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        self.replace_now(key, Some(expected), None)
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        Ok(self.change(|contents| page(&contents.records, after, limit)))
    }
}

impl Ledger for MemoryStore {
    async fn read(&self, key: &[u8]) -> Result<Option<LedgerRow>, LedgerError> {
        Ok(self.change(|contents| contents.rows.get(key).cloned()))
    }

    async fn write(&self, key: &[u8], expected: Option<u64>, row: &LedgerRow) -> Result<(), LedgerError> {
        self.write_now(key, expected, row)
    }

    async fn rows(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, LedgerRow)>, LedgerError> {
        Ok(self.change(|contents| page(&contents.rows, after, limit)))
    }

    async fn highest_number(&self) -> Result<u64, LedgerError> {
        Ok(self.change(|contents| contents.highest_number))
    }
}

fn page<T: Clone>(entries: &BTreeMap<Vec<u8>, T>, after: &[u8], limit: usize) -> Vec<(Vec<u8>, T)> {
    let entries = entries.range::<[u8], _>((Excluded(after), Unbounded)).take(limit);
    entries.map(|(key, entry)| (key.clone(), entry.clone())).collect()
}
