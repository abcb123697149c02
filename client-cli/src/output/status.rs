//! `coffer status`.

use std::fmt;

use serde::Serialize;

use super::archived::{LockRecord, ProblemRecord, SnapshotRecord};
use super::text::{Clean, Counted};
use super::vault::VaultRecord;

#[derive(Debug, Serialize)]
pub(crate) struct Status {
    pub(crate) device: Option<DeviceStatus>,
    /// Absent where the device has none, or it cannot be asked.
    pub(crate) vault: Option<VaultRecord>,
    /// Why it cannot be asked.
    pub(crate) vault_problem: Option<String>,
    /// Absent when the archive could not be opened; the error says why.
    pub(crate) archive: Option<ArchiveStatus>,
}

/// What this device knows by itself.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceStatus {
    pub(crate) home: String,
    pub(crate) archive_url: String,
    pub(crate) archive_id: String,
    pub(crate) key_place: String,
    pub(crate) protected_by: Vec<&'static str>,
    /// Whether a rotation of the key was begun here, and the new key is not this device's yet.
    pub(crate) rotation_unfinished: bool,
    /// The newest snapshot that it has seen.
    pub(crate) remembered_receipt: Option<String>,
}

/// What the archive says.
#[derive(Debug, Serialize)]
pub(crate) struct ArchiveStatus {
    pub(crate) url: String,
    pub(crate) id: String,
    pub(crate) snapshots: usize,
    pub(crate) newest: Option<SnapshotRecord>,
    /// Whether its key is being rotated: until that has ended it is only read.
    pub(crate) rotating: bool,
    /// Whether what keys from before a rotation sealed is still there.
    pub(crate) older_keys: bool,
    pub(crate) damaged_snapshots: Vec<ProblemRecord>,
    pub(crate) other_runs: Vec<LockRecord>,
}

const RECEIPT: &str = "\
Write the receipt down. On a new device, `--receipt` with it refuses an archive from before that
snapshot, should somebody put an older copy in its place.";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.device.as_ref().map(|device| device.archive_id.as_str());
        if let Some(device) = &self.device {
            device.fmt(f)?;
        }
        if let Some(vault) = &self.vault {
            vault.fmt(f)?;
        }
        let Some(archive) = &self.archive else { return Ok(()) };
        if own != Some(archive.id.as_str()) {
            line(f, "archive", &archive.url)?;
            line(f, "archive id", &archive.id)?;
            line(f, "key", "not on this device")?;
        }
        archive.fmt(f)
    }
}

impl fmt::Display for DeviceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "archive", &self.archive_url)?;
        line(f, "archive id", &self.archive_id)?;
        line(f, "key", &self.key_place)?;
        match self.protected_by.as_slice() {
            [] => {
                line(f, "protected by", "nothing yet: run `coffer protect recovery-key`, or `coffer protect password`")?
            }
            ways => line(f, "protected by", &ways.join(", "))?,
        }
        line(f, "last seen", self.remembered_receipt.as_deref().unwrap_or("no snapshot yet"))
    }
}

impl fmt::Display for ArchiveStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "snapshots", &self.snapshots.to_string())?;
        if let Some(newest) = &self.newest {
            line(f, "newest", &format!("{}, {}", newest.number(), newest.when_and_where()))?;
            line(f, "receipt", newest.receipt())?;
        }
        match (self.rotating, self.older_keys) {
            (true, _) => {
                line(f, "rotation", "unfinished: no backup is made until `coffer key rotate` has finished it")?
            }
            (false, true) => {
                line(f, "rotation", "what the old key sealed is still there: `coffer prune` seals it anew")?
            }
            (false, false) => {}
        }
        if !self.damaged_snapshots.is_empty() {
            line(f, "damaged", &Counted(self.damaged_snapshots.len() as u64, "snapshot").to_string())?;
        }
        for run in &self.other_runs {
            line(f, "other run", &run.to_string())?;
        }
        if self.newest.is_some() { writeln!(f, "\n{RECEIPT}") } else { Ok(()) }
    }
}

pub(super) fn line(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "{:<13} {}", format!("{name}:"), Clean(value))
}
