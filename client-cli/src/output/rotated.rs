//! What the rotation of a key came to.

use std::fmt;
use std::time::Duration;

use coffer_archive::PruneReport;
use serde::Serialize;

use super::archived::ProblemRecord;
use super::text::Counted;
use super::time::hours;

/// `coffer key rotate`.
#[derive(Debug, Serialize)]
pub(crate) struct Rotated {
    /// Whether the new key is this device's, and the old one opens nothing that is written.
    rotated: bool,
    /// Whether the old key opens nothing that is there, either.
    finished: bool,
    /// Snapshots sealed anew.
    snapshots: u64,
    packs_repacked: u64,
    packs_waiting: u64,
    /// Hours until the same command, or `coffer prune`, goes on.
    waits_hours: u64,
    /// Whether the new key would survive the loss of this device.
    key_protected: bool,
    problems: Vec<ProblemRecord>,
    /// Whether an earlier run had given the new key, and this one only did what was left.
    #[serde(rename = "earlier")]
    pub(crate) is_earlier: bool,
}

impl Rotated {
    /// The first half waits for listings.
    pub(crate) fn waiting(waits: Duration, key_protected: bool) -> Self {
        Self {
            rotated: false,
            finished: false,
            snapshots: 0,
            packs_repacked: 0,
            packs_waiting: 0,
            waits_hours: hours(waits),
            key_protected,
            problems: Vec::new(),
            is_earlier: false,
        }
    }

    pub(crate) fn of(snapshots: u64, pruned: &PruneReport, finished: bool, key_protected: bool) -> Self {
        let waits_hours = match &pruned.waits {
            Some(coffer_archive::Wait::Grace(grace)) => hours(*grace),
            _ => 0,
        };
        Self {
            rotated: true,
            finished,
            snapshots,
            packs_repacked: pruned.packs_repacked,
            packs_waiting: pruned.packs_waiting,
            waits_hours,
            key_protected,
            problems: ProblemRecord::all(&pruned.problems),
            is_earlier: false,
        }
    }
}

impl fmt::Display for Rotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.rotated {
            let hours = self.waits_hours;
            writeln!(f, "both keys open the archive; until this has ended it is only read, and no backup is made")?;
            return writeln!(f, "listings are late there: run `coffer key rotate` again in {hours} hours");
        }
        let (snapshots, packs) = (Counted(self.snapshots, "snapshot"), Counted(self.packs_repacked, "pack"));
        match self.is_earlier {
            true => writeln!(f, "the archive has the new key since an earlier run; {packs} were sealed anew")?,
            false => writeln!(f, "the archive has a new key; {snapshots} and {packs} were sealed anew")?,
        }
        match (self.finished, self.waits_hours) {
            (true, _) => writeln!(f, "the old key opens nothing there any more")?,
            (false, 0) => writeln!(f, "the old key still opens data from before: `coffer prune` seals them anew")?,
            (false, hours) => {
                let waiting = Counted(self.packs_waiting, "old pack");
                writeln!(f, "{waiting} to be removed: `coffer prune` finishes it in {hours} hours, and a day later")?;
            }
        }
        if self.is_earlier && self.finished {
            writeln!(f, "that rotation is done: for another key, run `coffer key rotate` once more")?;
        }
        writeln!(f, "keep the old digits until every copy is brought up to date, as they alone open it until then:")?;
        writeln!(f, "`coffer copy` gives it the new key, and `coffer prune` there ends the old one")
    }
}
