//! Mending what can be mended. The index is made anew: it is a copy of what the packs say of themselves. Snapshots that
//! are lost are given up: nothing else says what they held, and they stop every prune.

use std::collections::{BTreeSet, HashSet};

use crate::archive::Archive;
use crate::device::Head;
use crate::envelope::ObjectType;
use crate::error::Error;
use crate::id::ObjectName;
use crate::index::IndexedPack;
use crate::lock;
use crate::pipeline;
use crate::report::{IndexReport, Problem, Progress, SnapshotsReport};
use crate::store;

impl Archive {
    /// Writes the index anew from the packs' own tables of contents, and removes the index objects that were there. A pack
    /// whose own table does not open is described as the index did before, if it did.
    ///
    /// # Errors
    /// `Busy` while another run works on the archive; `Destination` when it fails. What is there by then is an index as
    /// good as before.
    pub fn repair_index(&self, host: &str, progress: &Progress) -> Result<IndexReport, Error> {
        self.refuse_rotation()?;
        let locked = self.lock_alone(host, "repair")?;
        let repaired = self.rewrite_index(progress);
        lock::end(&self.destination, &locked, repaired)
    }

    /// Comes to terms with lost snapshots: objects that do not open are removed, and what others followed and is not
    /// there counts as forgotten from then on. With `dry_run` it is only said what would be done. A device that remembers
    /// one of them which nothing followed refuses the archive until it is told to allow the rollback. Also while the key is
    /// rotated, as it is in the way of that; what it notes too late for that does not count, and is missing once more.
    ///
    /// # Errors
    /// `Busy` while another run works on the archive; `Destination` when it fails.
    pub fn repair_snapshots(&mut self, host: &str, dry_run: bool) -> Result<SnapshotsReport, Error> {
        if dry_run {
            return Ok(self.lost_snapshots());
        }
        let locked = self.lock_alone(host, "repair")?;
        let repaired = self.give_up_lost();
        lock::end(&self.destination, &locked, repaired)
    }

    fn give_up_lost(&mut self) -> Result<SnapshotsReport, Error> {
        // What came damaged over the line once may be whole.
        self.load_snapshots()?;
        self.stay_in_epoch()?;
        let report = self.lost_snapshots();
        // What they followed is not known. If nothing else followed a snapshot, one of them did.
        let tips = self.tips();
        let before = |lost: &Head| tips.iter().filter(|tip| tip.number < lost.number).copied().collect();
        let given_up: Vec<_> = report.missing.iter().map(|lost| (*lost, before(lost))).collect();
        self.note_forgotten(given_up)?;
        for damaged in &report.damaged {
            self.destination.delete(&damaged.path.to_string_lossy())?;
        }
        self.load_snapshots()?;
        Ok(report)
    }

    fn lost_snapshots(&self) -> SnapshotsReport {
        let damaged = self.damaged.iter().chain(&self.forgotten.damaged).cloned().collect();
        let missing: BTreeSet<_> = self.missing_snapshots().into_iter().map(|(_, head)| head).collect();
        SnapshotsReport { damaged, missing: missing.into_iter().collect() }
    }

    fn rewrite_index(&self, progress: &Progress) -> Result<IndexReport, Error> {
        let mut report = IndexReport::default();
        // In this order: a pack that comes later comes with an index object that is not among these.
        let before = store::list_objects(&self.destination, ObjectType::Index)?;
        let packs = store::list_objects(&self.destination, ObjectType::Pack)?;
        progress.expect(packs.len() as u64, 0);
        let mut silent = HashSet::new();
        let described = packs.into_iter().filter_map(|name| {
            progress.add(1, 0);
            match store::read_toc(&self.destination, &self.ring, &name) {
                Ok(pack) => Some(Ok(pack)),
                // Of an epoch that does not count, or does not count yet.
                Err(error) if error.is_of_other_epoch() => None,
                Err(error) if error.is_damage() => {
                    let path = ObjectType::Pack.path(&name).into();
                    report.problems.push(Problem { path, what: error.to_string() });
                    silent.insert(name);
                    None
                }
                Err(error) => Some(Err(error)),
            }
        });
        let count = &mut report.packs;
        let described = described.inspect(|_| *count += 1);
        report.bytes_stored = pipeline::write_index(&self.destination, &self.ring, described)?;
        let kept = self.keep_descriptions(&before, &silent, &mut report)?;
        report.packs += kept.len() as u64;
        report.bytes_stored += pipeline::write_index(&self.destination, &self.ring, kept.into_iter().map(Ok))?;
        self.destination.settle()?;
        self.stay_in_epoch()?;
        for name in &before {
            self.destination.delete(&ObjectType::Index.path(name))?;
        }
        report.objects_removed = before.len() as u64;
        Ok(report)
    }

    /// What the index says of packs that do not speak for themselves.
    fn keep_descriptions(
        &self,
        before: &[ObjectName],
        silent: &HashSet<ObjectName>,
        report: &mut IndexReport,
    ) -> Result<Vec<IndexedPack>, Error> {
        let (mut kept, mut met) = (Vec::new(), HashSet::new());
        for name in before {
            match store::read_index(&self.destination, &self.ring, name) {
                Ok(packs) => kept.extend(
                    packs.into_iter().filter(|pack| silent.contains(&pack.name)).filter(|pack| met.insert(pack.name)),
                ),
                Err(error) if error.is_of_other_epoch() => {}
                Err(error) if error.is_damage() => report.objects_damaged += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }
}
