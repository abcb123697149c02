//! Records and ledger in memory. Nothing fails, and what was ever written is remembered.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex};

use coffer_vault_core::{
    Freshness, Ledger, LedgerError, LedgerRow, RecordStore, Replaced, StoreUnavailable, Version, Versioned,
};

/// Bytes of a value.
const MAX_VALUE_LEN: usize = 64 << 10;

/// A store that always works. In a fleet every site has a ledger of its own: a store each, and one for the records.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Contents>>);

#[derive(Debug, Default, Clone)]
struct Contents {
    records: BTreeMap<Vec<u8>, Versioned>,
    last_version: u64,
    history: Vec<RecordWrite>,
    rows: BTreeMap<Vec<u8>, LedgerRow>,
    highest_number: u64,
    fence: u64,
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
    /// Records are as they were in another store, and its operator has set another fence.
    pub fn restore_records(&self, snapshot: &Self, fence: u64) {
        let old = snapshot.copy();
        let old = std::mem::take(&mut *old.0.lock().expect("nothing panics while it holds the lock"));
        let mut contents = self.0.lock().expect("nothing panics while it holds the lock");
        contents.records = old.records;
        contents.fence = fence;
    }

    /// Another store with what this one holds now.
    pub fn copy(&self) -> Self {
        let contents = self.0.lock().expect("nothing panics while it holds the lock").clone();
        Self(Arc::new(Mutex::new(contents)))
    }

    /// Every write to the records that was made, in its order.
    pub fn history(&self) -> Vec<RecordWrite> {
        self.change(|contents| contents.history.clone())
    }

    /// Panics unless every write that was made replaced what its guard names, under a version that no write had before.
    pub fn assert_sound(&self) {
        check_history(&self.history());
    }

    /// What a record was at each time since `from`, the newest last; before the first write there was nothing. Empty if
    /// no write has had a version so high.
    pub(crate) fn states(&self, key: &[u8], from: Version) -> Vec<Option<Versioned>> {
        let history = self.history();
        if history.last().map_or(Version(0), |last| last.version) < from {
            return Vec::new();
        }
        let writes = history.into_iter().filter(|write| write.key == key);
        let (before, since): (Vec<_>, Vec<_>) = writes.partition(|write| write.version <= from);
        let state = |write: RecordWrite| write.value.map(|value| Versioned { value, version: write.version });
        std::iter::once(before.into_iter().next_back().and_then(state)).chain(since.into_iter().map(state)).collect()
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

    pub(crate) fn forget_now(&self, key: &[u8], expected: u64) -> Result<(), LedgerError> {
        self.change(|contents| contents.forget(key, expected))
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

    fn forget(&mut self, key: &[u8], expected: u64) -> Result<(), LedgerError> {
        if self.rows.get(key).map(|row| row.number) != Some(expected) {
            return Err(LedgerError::Conflict);
        }
        self.rows.remove(key);
        Ok(())
    }
}

impl RecordStore for MemoryStore {
    fn fence(&self, _: &[u8]) -> u64 {
        self.0.lock().expect("nothing panics while it holds the lock").fence
    }

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

    async fn forget(&self, key: &[u8], expected: u64) -> Result<(), LedgerError> {
        self.forget_now(key, expected)
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

fn check_history(history: &[RecordWrite]) {
    let (mut last, mut current) = (Version(0), BTreeMap::new());
    for write in history {
        assert!(write.version > last, "{:?} does not come after {last:?}", write.version);
        last = write.version;
        assert_eq!(current.remove(&write.key), write.expected, "a guard that was stale let {write:?} through");
        if write.value.is_some() {
            current.insert(&write.key, write.version);
        }
    }
}

#[cfg(test)]
mod tests {
    use coffer_vault_core::{RecordStore as _, Replaced, Version};

    use super::{MemoryStore, RecordWrite, check_history};
    use crate::conformance::{check_ledger, check_records};

    #[tokio::test]
    async fn keeps_what_every_store_promises() {
        let store = MemoryStore::default();
        check_records(&store).await;
        check_ledger(&store).await;
        store.assert_sound();
    }

    #[tokio::test]
    async fn remembers_every_write_that_was_made() {
        let store = MemoryStore::default();
        assert_eq!(store.replace(b"key", None, b"one").await, Replaced::Applied(Version(1)));
        assert_ne!(store.replace(b"key", None, b"two").await, Replaced::Applied(Version(2)));
        assert_eq!(store.delete(b"key", Version(1)).await, Replaced::Applied(Version(2)));
        assert_eq!(store.history(), [write(None, 1, Some(b"one")), write(Some(1), 2, None)]);
    }

    #[test]
    #[should_panic(expected = "does not come after")]
    fn refuses_a_history_with_a_version_that_comes_twice() {
        check_history(&[write(None, 1, Some(b"one")), write(Some(1), 2, None), write(None, 2, Some(b"two"))]);
    }

    #[test]
    #[should_panic(expected = "a guard that was stale")]
    fn refuses_a_history_with_a_write_under_a_stale_guard() {
        check_history(&[write(None, 1, Some(b"one")), write(Some(1), 2, Some(b"two")), write(Some(1), 3, None)]);
    }

    #[test]
    #[should_panic(expected = "a guard that was stale")]
    fn refuses_a_history_with_an_update_of_what_was_deleted() {
        check_history(&[write(None, 1, Some(b"one")), write(Some(1), 2, None), write(Some(1), 3, Some(b"two"))]);
    }

    fn write(expected: Option<u64>, version: u64, value: Option<&[u8]>) -> RecordWrite {
        RecordWrite {
            key: b"key".to_vec(),
            expected: expected.map(Version),
            version: Version(version),
            value: value.map(<[u8]>::to_vec),
        }
    }
}
