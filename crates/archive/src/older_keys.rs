//! The end of a rotation: what of older epochs does not count is removed, and once nothing is left that they sealed, the
//! header stops leading to their keys. Part of pruning, which has sealed anew by then what is needed of their packs.

use crate::archive::Archive;
use crate::destination::Destination;
use crate::doomed;
use crate::envelope::{ObjectType, PREFIX_LEN, epoch_of};
use crate::error::{Damage, Error};
use crate::header::Header;
use crate::header_place::{mend_header, replace_header};
use crate::id::ObjectName;
use crate::index::Location;
use crate::lock;
use crate::prune::Pruning;
use crate::store;

/// Objects that are few, and small: each is looked at. By then the index leads to no pack of an older epoch.
const FEW: [ObjectType; 5] =
    [ObjectType::Index, ObjectType::Snapshot, ObjectType::Forgotten, ObjectType::Doomed, ObjectType::Lock];

impl Archive {
    /// Whether the header still leads to keys of older epochs, whose data `prune` seals anew.
    pub fn has_older_keys(&self) -> bool {
        self.ring.has_older()
    }
}

impl Pruning<'_> {
    /// Removes the snapshots and notes of older epochs, and locks and doom of epochs whose keys were given up.
    pub(crate) fn remove_void(&mut self) -> Result<(), Error> {
        let archive = &*self.archive;
        let destination = &archive.destination;
        mend_header(destination, &archive.header)?;
        let mut void: Vec<_> = archive.void.iter().map(|name| (ObjectType::Snapshot, *name)).collect();
        void.extend(archive.forgotten.void.iter().map(|name| (ObjectType::Forgotten, *name)));
        for name in store::list_objects(destination, ObjectType::Lock)? {
            let read = lock::read(destination, &archive.ring, &name);
            if let Err(Error::Damaged { why: Damage::OlderEpoch, .. }) = read {
                void.push((ObjectType::Lock, name));
            }
        }
        self.remove_all(void)
    }

    /// Once nothing is left of older epochs, the header leads to the current one alone.
    pub(crate) fn give_up_older_keys(&mut self) -> Result<(), Error> {
        let Some(lock) = self.lock else { return Ok(()) };
        let others = std::mem::take(&mut self.of_other_epochs).into_iter();
        let void = others.filter(|(.., why)| *why == Damage::OlderEpoch).map(|(kind, name, _)| (kind, name));
        let void: Vec<_> = void.collect();
        if void.is_empty() && !self.archive.ring.has_older() {
            return Ok(());
        }
        self.stay_undisturbed()?;
        self.remove_all(void)?;
        if !self.archive.ring.has_older() || self.report.waits.is_some() || self.is_older_left()? {
            return Ok(());
        }
        if self.archive.other_lock(&lock)?.is_some() {
            return Ok(());
        }
        self.stay_undisturbed()?;
        self.archive.stay_in_epoch()?;
        let header = Header::parse(&self.archive.header)?.without_older(&self.archive.ring)?.encode();
        replace_header(&self.archive.destination, &header)?;
        self.archive.header = header;
        self.archive.ring.drop_others();
        self.report.older_keys_given_up = true;
        Ok(())
    }

    fn remove_all(&mut self, void: Vec<(ObjectType, ObjectName)>) -> Result<(), Error> {
        for (kind, name) in void {
            self.archive.destination.delete(&kind.path(&name))?;
            self.report.void_removed += 1;
        }
        Ok(())
    }

    /// Whether anything is left that an older key opens, or anything needed is not there under the current one. Index objects
    /// that lead to nothing of older epochs any more are removed.
    fn is_older_left(&self) -> Result<bool, Error> {
        let (destination, ring) = (&self.archive.destination, &self.archive.ring);
        let index = store::load_index(destination, ring, &doomed::packs(&self.doomed))?.index;
        if index.packs.iter().any(|pack| pack.epoch != ring.epoch) {
            return Ok(true);
        }
        let is_held = |location: Location| index.packs[location.pack as usize].is_kept;
        if !self.needed.chunks.iter().all(|id| index.locations(id).any(is_held)) {
            return Ok(true);
        }
        for kind in FEW {
            for name in store::list_objects(destination, kind)? {
                let path = kind.path(&name);
                match epoch(destination, &path) {
                    Ok(epoch) if epoch == Some(ring.epoch) => {}
                    // It says nothing that is not said in the current epoch.
                    Ok(Some(epoch)) if kind == ObjectType::Index && epoch < ring.epoch => destination.delete(&path)?,
                    Err(error) if error.is_not_found() => {}
                    Ok(_) => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(false)
    }
}

/// The epoch that a stored object says it is of.
fn epoch(destination: &Destination, path: &str) -> Result<Option<u32>, Error> {
    let len = destination.len(path)?.min(PREFIX_LEN as u64);
    Ok(epoch_of(&destination.read_range(path, 0, len)?))
}
