//! Forgetting snapshots. It frees no space by itself: `prune` does.

use std::collections::HashSet;

use crate::archive::Archive;
use crate::device::Head;
use crate::envelope::ObjectType;
use crate::error::Error;
use crate::forgotten;
use crate::id::ObjectName;

impl Archive {
    /// Forgets snapshots: says so in a sealed object, then removes theirs. Returns how many were removed; those of an
    /// interrupted run are among them.
    ///
    /// # Errors
    /// `Rotating`; `NoSuchSnapshot` when one is not there; `Newest` for one that no other follows; `Destination` when it fails:
    /// what was said to be forgotten by then stays forgotten, and the next run removes it. Before anything is written,
    /// all are looked at.
    pub fn forget(&mut self, names: &[ObjectName]) -> Result<u64, Error> {
        self.refuse_rotation()?;
        let (tips, mut going) = (self.tips(), Vec::new());
        for name in names {
            let found = self.snapshots.iter().find(|snapshot| snapshot.name == *name);
            let found = found.ok_or_else(|| Error::NoSuchSnapshot(format!("there is no snapshot {name}")))?;
            if tips.contains(&found.head) {
                return Err(Error::Newest { number: found.head.number });
            }
            going.push((found.head, found.previous.clone()));
        }
        // Where there is no room, nothing can be written before this.
        self.sweep_temporary(&self.locks()?);
        self.note_forgotten(going)?;
        let names: HashSet<_> = names.iter().collect();
        let (gone, kept) = std::mem::take(&mut self.snapshots).into_iter().partition(|one| names.contains(&one.name));
        self.snapshots = kept;
        self.leftover.extend::<Vec<_>>(gone);
        self.remove_leftover()
    }

    /// Says that these snapshots are forgotten, each with what it followed.
    pub(crate) fn note_forgotten(&mut self, going: Vec<(Head, Vec<Head>)>) -> Result<(), Error> {
        if going.is_empty() {
            return Ok(());
        }
        self.forgotten.forgotten.extend(going);
        let written = forgotten::write(&self.destination, (&self.ring, self.ring.epoch), &self.forgotten.forgotten)?;
        // All that they say stands in the new one.
        for merged in std::mem::replace(&mut self.forgotten.objects, vec![written]) {
            self.destination.delete(&ObjectType::Forgotten.path(&merged))?;
        }
        Ok(())
    }

    /// Removes the objects of snapshots that were forgotten.
    pub(crate) fn remove_leftover(&mut self) -> Result<u64, Error> {
        let mut removed = 0;
        while let Some(snapshot) = self.leftover.last() {
            self.destination.delete(&ObjectType::Snapshot.path(&snapshot.name))?;
            self.leftover.pop();
            removed += 1;
        }
        Ok(removed)
    }
}
