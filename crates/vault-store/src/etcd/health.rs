//! What an operator wants to know of a cell.

use std::sync::atomic::Ordering;

use coffer_vault_core::StoreUnavailable;
use etcd_client::{Error, StatusResponse};

use super::cell::Cell;

/// How a cell is, as its preferred member sees it, or the next that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellHealth {
    /// The cell's number.
    pub cell: u16,
    /// It answers a linearizable read, and has this manifest's fence.
    pub serves: bool,
    /// The preferred member, this site's own, answers.
    pub own_member: bool,
    /// The member that answered knows a leader.
    pub has_leader: bool,
    /// A member's database has reached its quota: the cell takes no writes until there is room and the alarm is off.
    pub no_space: bool,
    /// Members' databases differ.
    pub corrupt: bool,
    /// Bytes of the database file.
    pub file_bytes: u64,
    /// Bytes in use of them. The rest comes back by defragmentation.
    pub used_bytes: u64,
    /// The quota on the file. Known from etcd 3.6 on.
    pub quota_bytes: Option<u64>,
    /// Entries of the log that the member has and has not applied yet.
    pub unapplied: u64,
}

pub(crate) async fn of(cell: &Cell) -> CellHealth {
    let serves = cell.newest(b"health").await.is_ok();
    for (at, member) in cell.members.iter().enumerate() {
        if let Some(status) = member.status(cell.timeout).await {
            return seen_by(cell.number, serves, at == 0, &status);
        }
    }
    CellHealth {
        cell: cell.number,
        serves,
        own_member: false,
        has_leader: false,
        no_space: false,
        corrupt: false,
        file_bytes: 0,
        used_bytes: 0,
        quota_bytes: None,
        unapplied: 0,
    }
}

fn seen_by(cell: u16, serves: bool, own_member: bool, status: &StatusResponse) -> CellHealth {
    let alarm = |name| status.errors().iter().any(|error| error.contains(name));
    let bytes = |count: i64| u64::try_from(count).unwrap_or_default();
    CellHealth {
        cell,
        serves,
        own_member,
        has_leader: status.leader() != 0,
        no_space: alarm("NOSPACE"),
        corrupt: alarm("CORRUPT"),
        file_bytes: bytes(status.db_size()),
        used_bytes: bytes(status.raft_used_db_size()),
        quota_bytes: Some(bytes(status.db_size_quota())).filter(|quota| *quota > 0),
        unapplied: status.raft_index().saturating_sub(status.raft_applied_index()),
    }
}

/// Forgets what was overwritten before the last call. Nobody reads history.
pub(crate) async fn compact(cell: &Cell) -> Result<(), StoreUnavailable> {
    for member in &cell.members {
        let Some(status) = member.status(cell.timeout).await else { continue };
        let revision = status.header().map_or(0, |header| header.revision());
        let before = cell.compact_to.load(Ordering::Acquire);
        if before > 0 && !is_done(member.compact(cell.timeout, before).await) {
            continue;
        }
        cell.compact_to.store(revision, Ordering::Release);
        return Ok(());
    }
    Err(StoreUnavailable)
}

/// Another site may have been there first.
fn is_done(outcome: Result<(), Error>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(Error::GRpcStatus(status)) => status.message().contains("has been compacted"),
        Err(_) => false,
    }
}
