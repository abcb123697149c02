//! The ledger.

use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use coffer_vault_core::{Ledger, LedgerError, LedgerRow};
use redb::ReadableTable as _;

use crate::database::{COUNTERS, HIGHEST_NUMBER, LEDGER, Tables};
use crate::embedded::{MAX_VALUE_LEN, Shared};

/// The ledger of [`EmbeddedStore`](crate::EmbeddedStore).
///
/// A row of more than 64 KiB is [`LedgerError::Unavailable`] and never stored.
#[derive(Clone)]
pub struct EmbeddedLedger(pub(crate) Arc<Shared>);

impl Ledger for EmbeddedLedger {
    async fn read(&self, key: &[u8]) -> Result<Option<LedgerRow>, LedgerError> {
        let read = self.0.read(LEDGER, |rows| Ok(rows.get(key)?.map(|row| ledger_row(row.value()))));
        read.ok_or(LedgerError::Unavailable)
    }

    async fn write(&self, key: &[u8], expected: Option<u64>, row: &LedgerRow) -> Result<(), LedgerError> {
        if row.bytes.len() > MAX_VALUE_LEN {
            return Err(LedgerError::Unavailable);
        }
        let (key, row) = (key.to_owned(), row.clone());
        let write = move |tables: &mut Tables<'_>| write(tables, &key, expected, &row);
        self.0.writer.submit(write).await.unwrap_or(Err(LedgerError::Unavailable))
    }

    async fn forget(&self, key: &[u8], expected: u64) -> Result<(), LedgerError> {
        let key = key.to_owned();
        let forget = move |tables: &mut Tables<'_>| forget(tables, &key, expected);
        self.0.writer.submit(forget).await.unwrap_or(Err(LedgerError::Unavailable))
    }

    async fn rows(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, LedgerRow)>, LedgerError> {
        let read = self.0.read(LEDGER, |rows| {
            let rows = rows.range::<&[u8]>((Excluded(after), Unbounded))?.take(limit);
            rows.map(|entry| entry.map(|(key, row)| (key.value().to_vec(), ledger_row(row.value())))).collect()
        });
        read.ok_or(LedgerError::Unavailable)
    }

    async fn highest_number(&self) -> Result<u64, LedgerError> {
        let read =
            self.0.read(COUNTERS, |counters| Ok(counters.get(HIGHEST_NUMBER)?.map_or(0, |number| number.value())));
        read.ok_or(LedgerError::Unavailable)
    }
}

fn write(
    tables: &mut Tables<'_>,
    key: &[u8],
    expected: Option<u64>,
    row: &LedgerRow,
) -> Result<Result<(), LedgerError>, redb::Error> {
    let current = tables.ledger.get(key)?.map(|row| row.value().0);
    if current != expected {
        return Ok(Err(LedgerError::Conflict));
    }
    let highest = tables.counters.get(HIGHEST_NUMBER)?.map_or(0, |number| number.value());
    tables.counters.insert(HIGHEST_NUMBER, highest.max(row.number))?;
    tables.ledger.insert(key, (row.number, row.bytes.as_slice()))?;
    tables.changed = true;
    Ok(Ok(()))
}

fn forget(tables: &mut Tables<'_>, key: &[u8], expected: u64) -> Result<Result<(), LedgerError>, redb::Error> {
    if tables.ledger.get(key)?.map(|row| row.value().0) != Some(expected) {
        return Ok(Err(LedgerError::Conflict));
    }
    tables.ledger.remove(key)?;
    tables.changed = true;
    Ok(Ok(()))
}

fn ledger_row((number, bytes): (u64, &[u8])) -> LedgerRow {
    LedgerRow { number, bytes: bytes.to_vec() }
}
