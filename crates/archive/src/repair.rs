//! Making the index anew. It is a copy of what the packs say of themselves.

use std::collections::HashSet;

use crate::archive::Archive;
use crate::envelope::ObjectType;
use crate::error::Error;
use crate::id::ObjectName;
use crate::index::IndexedPack;
use crate::lock;
use crate::pipeline;
use crate::report::{IndexReport, Problem, Progress};
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
        let withdrawn = lock::withdraw(&self.destination, &locked);
        let report = repaired?;
        withdrawn.map(|()| report)
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
