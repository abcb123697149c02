//! The records of a fleet, in etcd.
//!
//! A fleet's records lie in one or more **cells**, each an etcd cluster with a member at every site. A record's key
//! decides its slot, and the manifest which cell holds the slot. In a cell, under the prefix:
//!
//! - `records/<key>` is a record; its `mod_revision` is its version. Revisions belong to the whole cell, so that none
//!   comes twice for a key.
//! - `fence` is the cell's number, a colon, and the fence's value. Every write compares it in its own transaction and
//!   every read reads it in its own. A cell that was put back from a snapshot, or has given slots away, has a new fence,
//!   or is not to be started; a site whose manifest has another one neither reads nor writes there.
//!
//! `docs/adr/0015` says why, `docs/operations.md` what an operator does.

mod cell;
mod config;
mod fence;
mod health;
mod member;
mod slots;

use std::sync::Arc;

use coffer_vault_core::{Freshness, RecordStore, Replaced, StoreUnavailable, Version, Versioned};

pub use config::{EtcdCell, EtcdConfig, EtcdConfigError, EtcdTls, EtcdUser};
pub use fence::FenceError;
pub use health::CellHealth;
pub use slots::{SLOTS, slot_of};

use crate::embedded::MAX_VALUE_LEN;
use cell::Cell;

/// Bytes of a key.
const MAX_KEY_LEN: usize = 1 << 10;

/// Records in etcd.
///
/// A read is tried at one member after the other for twice the configured time. A write is sent to one member once, and
/// *every* error leaves it [`Replaced::Unknown`]. A value of more than 64 KiB, or under a key of more than
/// 1 KiB, is `Unknown` and never stored; so is a write whose slot lies in no configured cell.
///
/// Records are linearizable as long as a cell's members keep what they have written. A cell that answers with less than
/// it had when this process last asked is not served any more; what a restore did between two processes, only the fence
/// tells.
#[derive(Clone)]
pub struct EtcdRecords(Arc<[Cell]>);

impl EtcdRecords {
    /// Takes the configuration, inside a Tokio runtime. Members are connected to when they are first asked; whether they
    /// answer is told by [`health`](Self::health).
    ///
    /// # Errors
    /// When two cells claim one slot, when a member's URL or the certificates are none, when a member could be listened
    /// to.
    pub async fn open(config: EtcdConfig) -> Result<Self, EtcdConfigError> {
        config::check(&config)?;
        let mut cells = Vec::with_capacity(config.cells.len());
        for cell in &config.cells {
            cells.push(Cell::new(cell, &config).await?);
        }
        Ok(Self(cells.into()))
    }

    /// Sets a cell's fence to the configured one. `from` is what stands there (`None`: nothing, the cell is new). For
    /// operators: a site's own user need not be allowed to.
    ///
    /// # Errors
    /// When something else stands there, when the fence would not rise, when nobody knows whether it was set.
    pub async fn set_fence(&self, cell: u16, from: Option<u64>) -> Result<(), FenceError> {
        let cell = self.0.iter().find(|other| other.number == cell).ok_or(FenceError::NoSuchCell(cell))?;
        fence::set(cell, from).await
    }

    /// How each cell is.
    pub async fn health(&self) -> Vec<CellHealth> {
        let mut healths = Vec::with_capacity(self.0.len());
        for cell in &*self.0 {
            healths.push(health::of(cell).await);
        }
        healths
    }

    /// Has every cell forget what was overwritten before the last call of this: to be called every few minutes. Several
    /// sites may.
    ///
    /// # Errors
    /// When one of the cells could not be compacted. The others were.
    pub async fn compact(&self) -> Result<(), StoreUnavailable> {
        let mut outcome = Ok(());
        for cell in &*self.0 {
            outcome = health::compact(cell).await.and(outcome);
        }
        outcome
    }

    fn cell(&self, key: &[u8]) -> Option<&Cell> {
        if key.len() > MAX_KEY_LEN {
            return None;
        }
        let slot = slot_of(key);
        let cell = self.0.iter().find(|cell| cell.holds(slot));
        if cell.is_none() {
            tracing::error!(slot, "no cell of this configuration holds the slot");
        }
        cell
    }
}

impl RecordStore for EtcdRecords {
    /// The cell's number and its fence.
    fn fence(&self, key: &[u8]) -> u64 {
        self.cell(key).map_or(0, |cell| (u64::from(cell.number) << 48) | (cell.fence & ((1 << 48) - 1)))
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        let cell = self.cell(key).ok_or(StoreUnavailable)?;
        match freshness {
            Freshness::MayBeStale => cell.stale(key).await,
            Freshness::AtLeast(version) => cell.at_least(key, version).await,
            Freshness::Newest => cell.newest(key).await,
        }
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        match self.cell(key) {
            Some(cell) if value.len() <= MAX_VALUE_LEN => cell.write(key, expected, Some(value)).await,
            _ => Replaced::Unknown,
        }
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        match self.cell(key) {
            Some(cell) => cell.write(key, Some(expected), None).await,
            None => Replaced::Unknown,
        }
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        let (mut after, mut entries) = (after.to_vec(), Vec::new());
        while entries.len() < limit {
            // Up to the key where the first of the cells' pages ends, it is known what all cells have.
            let (mut pages, mut horizon) = (Vec::new(), None::<Vec<u8>>);
            for cell in &*self.0 {
                let mut page = cell.page(&after, limit - entries.len()).await?;
                if let (true, Some((last, _))) = (page.more, page.entries.last()) {
                    horizon = Some(horizon.map_or(last.clone(), |horizon| horizon.min(last.clone())));
                }
                // A cell that gave slots away still has their records until somebody deletes them.
                page.entries.retain(|(key, _)| cell.holds(slot_of(key)));
                pages.append(&mut page.entries);
            }
            pages.retain(|(key, _)| horizon.as_ref().is_none_or(|horizon| key <= horizon));
            pages.sort_by(|(one, _), (other, _)| one.cmp(other));
            entries.append(&mut pages);
            match horizon {
                Some(horizon) => after = horizon,
                None => break,
            }
        }
        entries.truncate(limit);
        Ok(entries)
    }
}
