//! What an operation tells while it runs, and at its end.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::device::Head;
use crate::lock::Lock;
use crate::rules::Excluded;
use crate::snapshot::Snapshot;

/// How far an operation has come. It is written by the operation and may be read from another thread at any time.
#[derive(Debug, Default)]
pub struct Progress {
    files: AtomicU64,
    bytes: AtomicU64,
    expected_files: AtomicU64,
    expected_bytes: AtomicU64,
}

impl Progress {
    /// Files dealt with so far.
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Bytes of their content dealt with so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Files and bytes expected in all; 0 while nothing is known. For a backup, what the previous one held.
    pub fn expected(&self) -> (u64, u64) {
        (self.expected_files.load(Ordering::Relaxed), self.expected_bytes.load(Ordering::Relaxed))
    }

    pub(crate) fn expect(&self, files: u64, bytes: u64) {
        self.expected_files.store(files, Ordering::Relaxed);
        self.expected_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn add(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Something that an operation passed over, with the reason, and went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, folder or object concerned.
    pub path: PathBuf,
    /// What happened, in one sentence without a full stop.
    pub what: String,
}

/// What a backup did.
#[derive(Debug)]
pub struct BackupReport {
    /// The snapshot that it made.
    pub snapshot: Snapshot,
    /// Files that the previous snapshot of these sources did not hold.
    pub files_new: u64,
    /// Files that were different there.
    pub files_changed: u64,
    /// Files that were the same, and were not read.
    pub files_unchanged: u64,
    /// Bytes of file content read.
    pub bytes_read: u64,
    /// Bytes written to the destination, all objects included.
    pub bytes_stored: u64,
    /// What rules left out.
    pub excluded: Excluded,
    /// What could not be backed up, or not as it was at one moment.
    pub problems: Vec<Problem>,
    /// What a reader may want to know, but is no fault: a live database was copied consistently, a socket was
    /// left out, a file vanished before it was read, a rule matched nothing.
    pub notes: Vec<Problem>,
}

/// What a restore did.
#[derive(Debug, Default)]
pub struct RestoreReport {
    /// Files written.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Files that were there already with the right content, as after an interrupted restore.
    pub files_already_there: u64,
    /// Files, or folders' parts, that were lost because stored data are damaged or missing.
    pub damaged: u64,
    /// Paths that were left as they are because something else is there; `force` overwrites it.
    pub conflicts: u64,
    /// What could not be restored: the damaged, the conflicts, and what the system refused.
    pub problems: Vec<Problem>,
}

/// What pruning removed, or would remove.
#[derive(Debug, Default)]
pub struct PruneReport {
    /// Snapshots whose needs were looked at.
    pub snapshots: u64,
    /// Packs that stay.
    pub packs: u64,
    /// Packs of which nobody needed anything.
    pub packs_unused: u64,
    /// Packs that were written anew without what nobody needed.
    pub packs_repacked: u64,
    /// Packs removed.
    pub packs_removed: u64,
    /// Doomed packs that turned out to be needed, and stay.
    pub packs_rescued: u64,
    /// Packs that are to be removed by a later run.
    pub packs_waiting: u64,
    /// What they wait for.
    pub waits: Option<Wait>,
    /// Objects removed that are of epochs whose keys were given up.
    pub void_removed: u64,
    /// Whether the archive's header has just stopped leading to the keys of older epochs.
    pub older_keys_given_up: bool,
    /// Bytes of the packs removed.
    pub bytes_freed: u64,
    /// Bytes written instead: new packs and index objects.
    pub bytes_stored: u64,
    /// Packs that had to be left as they are.
    pub problems: Vec<Problem>,
    /// Objects that do not open and are not needed for pruning.
    pub notes: Vec<Problem>,
}

/// What repairing the index did.
#[derive(Debug, Default)]
pub struct IndexReport {
    /// Packs that the index describes now.
    pub packs: u64,
    /// Index objects that were there before, and are no more.
    pub objects_removed: u64,
    /// Those of them that did not open.
    pub objects_damaged: u64,
    /// Bytes of the new index objects.
    pub bytes_stored: u64,
    /// Packs whose own table of contents does not open.
    pub problems: Vec<Problem>,
}

/// Snapshots that are lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SnapshotsReport {
    /// Objects that do not open: snapshots, and what was noted of forgotten ones.
    pub damaged: Vec<Problem>,
    /// Snapshots that others followed, and that neither are there nor were forgotten; sorted.
    pub missing: Vec<Head>,
}

/// Why doomed packs are not removed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// A run that began meanwhile may count on them.
    Lock(Lock),
    /// Where listings may be old ones, so much time has to pass.
    Grace(Duration),
}

/// What a verification looked at, and found.
#[derive(Debug, Default)]
pub struct VerifyReport {
    /// Snapshots whose whole tree was walked.
    pub snapshots: u64,
    /// Packs that were looked at.
    pub packs: u64,
    /// Packs whose data were read too.
    pub packs_read: u64,
    /// Bytes of data in all packs.
    pub bytes_stored: u64,
    /// Chunks that the snapshots need.
    pub chunks: u64,
    /// Bytes read from the destination in packs; 0 without reading data.
    pub bytes_read: u64,
    /// Damaged or missing objects, and the files that they cost.
    pub problems: Vec<Problem>,
    /// Leftovers that cost nothing: packs that no snapshot needs yet, locks of interrupted runs.
    pub notes: Vec<Problem>,
}
