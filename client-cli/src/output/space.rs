//! What was forgotten, pruned, repaired and unlocked.

use std::fmt;

use coffer_archive::{IndexReport, PruneReport, SnapshotsReport, Wait};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::archived::{LockRecord, ProblemRecord, SnapshotRecord};
use super::text::Counted;
use super::time::hours;
use crate::keep::Judged;

/// `coffer forget`.
#[derive(Debug, Serialize)]
pub(crate) struct Forgot {
    dry_run: bool,
    kept: Vec<Kept>,
    forgotten: Vec<SnapshotRecord>,
    /// Snapshot objects removed: those, and what an interrupted run left.
    pub(crate) removed: u64,
    /// What was freed at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pruned: Option<Pruned>,
}

#[derive(Debug, Serialize)]
struct Kept {
    snapshot: SnapshotRecord,
    reasons: Vec<&'static str>,
}

impl Forgot {
    pub(crate) fn of(judged: &[Judged<'_>], dry_run: bool) -> Self {
        let (kept, forgotten): (Vec<_>, Vec<_>) = judged.iter().partition(|one| !one.reasons.is_empty());
        let keep = |one: &Judged<'_>| Kept { snapshot: SnapshotRecord::of(one.snapshot), reasons: one.reasons.clone() };
        Self {
            dry_run,
            kept: kept.into_iter().map(keep).collect(),
            forgotten: forgotten.into_iter().map(|one| SnapshotRecord::of(one.snapshot)).collect(),
            removed: 0,
            pruned: None,
        }
    }
}

impl fmt::Display for Forgot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would forget" } else { "forgot" };
        for snapshot in &self.forgotten {
            writeln!(f, "{verb} {:>4}  {}", snapshot.number(), snapshot.when_and_where())?;
        }
        for Kept { snapshot, reasons } in &self.kept {
            writeln!(f, "keep {:>4}  {}: {}", snapshot.number(), snapshot.when_and_where(), reasons.join(", "))?;
        }
        let [forgotten, kept] = [self.forgotten.len(), self.kept.len()].map(|count| count as u64);
        writeln!(f, "{verb} {}; {kept} kept", Counted(forgotten, "snapshot"))?;
        self.pruned.iter().try_for_each(|pruned| write!(f, "{pruned}"))
    }
}

/// `coffer prune`.
#[derive(Debug, Serialize)]
pub(crate) struct Pruned {
    dry_run: bool,
    snapshots: u64,
    packs_kept: u64,
    packs_unused: u64,
    packs_repacked: u64,
    packs_removed: u64,
    packs_rescued: u64,
    packs_waiting: u64,
    /// The run that they wait for; none where they wait for time to pass.
    waits_for: Option<LockRecord>,
    bytes_freed: u64,
    bytes_stored: u64,
    /// Objects removed that were sealed under keys that were given up.
    void_removed: u64,
    /// Whether this run has ended the rotation of a key.
    older_keys_given_up: bool,
    problems: Vec<ProblemRecord>,
    notes: Vec<ProblemRecord>,
    #[serde(skip)]
    waits: Option<String>,
}

impl Pruned {
    pub(crate) fn of(report: &PruneReport, dry_run: bool) -> Self {
        let (waits_for, waits) = match &report.waits {
            None => (None, None),
            Some(Wait::Lock(lock)) => {
                let lock = LockRecord::of(lock);
                let text = format!("for {lock}");
                (Some(lock), Some(text))
            }
            Some(Wait::Grace(grace)) => (None, Some(format!("{} hours", hours(*grace)))),
        };
        Self {
            dry_run,
            snapshots: report.snapshots,
            packs_kept: report.packs,
            packs_unused: report.packs_unused,
            packs_repacked: report.packs_repacked,
            packs_removed: report.packs_removed,
            packs_rescued: report.packs_rescued,
            packs_waiting: report.packs_waiting,
            waits_for,
            bytes_freed: report.bytes_freed,
            bytes_stored: report.bytes_stored,
            void_removed: report.void_removed,
            older_keys_given_up: report.older_keys_given_up,
            problems: ProblemRecord::all(&report.problems),
            notes: ProblemRecord::all(&report.notes),
            waits,
        }
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [unused, removed] = [self.packs_unused, self.packs_removed].map(|count| Counted(count, "pack"));
        let repacked = self.packs_repacked;
        let [freed, stored] = [self.bytes_freed, self.bytes_stored].map(DecimalBytes);
        if self.dry_run {
            return writeln!(f, "would remove {unused} and repack {repacked}: {freed} to free");
        }
        writeln!(f, "removed {removed}, {repacked} of them repacked: {freed} freed, {stored} stored instead")?;
        if let Some(waits) = &self.waits {
            let waiting = Counted(self.packs_waiting, "pack");
            writeln!(f, "{waiting} to be removed by a later prune: waiting {waits}")?;
        }
        if self.void_removed > 0 {
            let void = Counted(self.void_removed, "object");
            writeln!(f, "removed {void} of before a rotation of the key, which did not count any more")?;
        }
        if self.older_keys_given_up {
            writeln!(f, "nothing is left that an older key opens: the rotation of the key is done")?;
        }
        Ok(())
    }
}

/// `coffer repair index`.
#[derive(Debug, Serialize)]
pub(crate) struct IndexRepaired {
    packs: u64,
    objects_removed: u64,
    objects_damaged: u64,
    bytes_stored: u64,
    problems: Vec<ProblemRecord>,
}

impl IndexRepaired {
    pub(crate) fn of(report: &IndexReport) -> Self {
        Self {
            packs: report.packs,
            objects_removed: report.objects_removed,
            objects_damaged: report.objects_damaged,
            bytes_stored: report.bytes_stored,
            problems: ProblemRecord::all(&report.problems),
        }
    }
}

impl fmt::Display for IndexRepaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (packs, removed) = (Counted(self.packs, "pack"), Counted(self.objects_removed, "index object"));
        writeln!(f, "the index describes {packs} anew; {removed} removed, {} of them damaged", self.objects_damaged)
    }
}

/// `coffer repair snapshots`.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotsRepaired {
    dry_run: bool,
    damaged: Vec<ProblemRecord>,
    /// Receipts.
    missing: Vec<String>,
}

impl SnapshotsRepaired {
    pub(crate) fn of(report: &SnapshotsReport, dry_run: bool) -> Self {
        let missing = report.missing.iter().map(|head| head.receipt().to_string()).collect();
        Self { dry_run, damaged: ProblemRecord::all(&report.damaged), missing }
    }
}

impl fmt::Display for SnapshotsRepaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would remove" } else { "removed" };
        writeln!(f, "{verb} {}", Counted(self.damaged.len() as u64, "object that does not open"))?;
        let how = if self.dry_run { "would be given up" } else { "was given up" };
        self.missing.iter().try_for_each(|missing| writeln!(f, "snapshot {missing} is missing, and {how}"))
    }
}

/// `coffer unlock`.
#[derive(Debug, Serialize)]
pub(crate) struct Unlocked {
    pub(crate) removed: Option<String>,
    pub(crate) locks: Vec<LockRecord>,
}

impl fmt::Display for Unlocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(removed) = &self.removed {
            writeln!(f, "removed lock {removed}")?;
        }
        self.locks.iter().try_for_each(|lock| writeln!(f, "{}  {lock}", lock.name()))
    }
}
