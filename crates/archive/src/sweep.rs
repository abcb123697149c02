//! The second phase of pruning: doomed packs are removed, unless somebody turned out to need them.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use crate::doomed::{self, Doomed};
use crate::envelope::ObjectType;
use crate::error::Error;
use crate::id::ObjectName;
use crate::index::{IdSet, IndexedPack, fingerprint};
use crate::pipeline;
use crate::prune::Pruning;
use crate::report::Wait;
use crate::store::{self, ChunkStore};

/// Where listings may be old ones, they are not older than half of this.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3600);

impl Pruning<'_> {
    /// Removes the packs that have been doomed for long enough. The order matters: locks, then snapshots (a run that
    /// withdrew its lock has written its snapshot before), then the index as it is now, which must hold without the doomed
    /// packs all that is needed.
    pub(crate) fn sweep(&mut self) -> Result<(), Error> {
        let Some(lock) = self.lock else { return Ok(()) };
        // Harmless at any time: a pack that is there all the same speaks for itself.
        let doomed = doomed::packs(&self.doomed);
        let missing: BTreeSet<_> = std::mem::take(&mut self.missing).difference(&doomed).copied().collect();
        self.take_out_of_index(&missing)?;
        if self.doomed.is_empty() {
            return Ok(());
        }
        if let Some(other) = self.archive.other_lock(&lock)? {
            self.wait(Wait::Lock(other));
            return Ok(());
        }
        self.stay_undisturbed()?;
        let grace = self.grace();
        let mut ripe = BTreeSet::new();
        for (name, doomed) in &self.doomed {
            if self.age(&lock, name, doomed)? >= grace {
                ripe.insert(*name);
            }
        }
        if ripe.is_empty() {
            self.wait(Wait::Grace(grace));
            return Ok(());
        }
        self.load_snapshots()?;
        self.rescue(&mut ripe)?;
        let (faded, ripe): (BTreeSet<_>, BTreeSet<_>) =
            ripe.into_iter().partition(|name| self.doomed.get(name).is_some_and(|doomed| doomed.is_removed));
        let packs = ripe.iter().filter_map(|name| self.doomed.get(name)).flat_map(|doomed| &doomed.packs);
        let packs: BTreeSet<_> = packs.copied().collect();
        self.take_out_of_index(&packs)?;
        if !grace.is_zero() {
            // An old listing may still have them for a while.
            doomed::write(&self.archive.destination, &self.archive.ring, &packs, true, &mut self.doomed)?;
        }
        self.remove(&packs)?;
        for name in ripe.iter().chain(&faded) {
            self.remove_doom(name)?;
        }
        if self.doomed.values().any(|doomed| !doomed.is_removed) {
            self.wait(Wait::Grace(grace));
        }
        Ok(())
    }

    fn grace(&self) -> Duration {
        let own = if self.archive.destination.lists_at_once() { Duration::ZERO } else { GRACE };
        self.options.grace.unwrap_or(own)
    }

    /// How long before this run's lock the packs were doomed: by the provider's clock, which is one, or if it tells no
    /// times, by those of the devices.
    fn age(&self, lock: &ObjectName, name: &ObjectName, doomed: &Doomed) -> Result<Duration, Error> {
        let destination = &self.archive.destination;
        let locked = destination.modified(&ObjectType::Lock.path(lock))?;
        let written = destination.modified(&ObjectType::Doomed.path(name))?;
        let (before, after) = match (written, locked) {
            (Some(written), Some(locked)) => (written, locked),
            _ => {
                let since = Duration::from_secs(doomed.since.seconds.max(0).unsigned_abs());
                (SystemTime::UNIX_EPOCH + since, SystemTime::now())
            }
        };
        Ok(after.duration_since(before).unwrap_or_default())
    }

    fn wait(&mut self, reason: Wait) {
        let waiting = self.doomed.values().filter(|doomed| !doomed.is_removed);
        self.report.packs_waiting = waiting.map(|doomed| doomed.packs.len() as u64).sum();
        self.report.waits = Some(reason);
    }

    /// Takes packs out of their doom that hold something needed which no other pack holds: of a snapshot that was made
    /// meanwhile, or where two runs doomed each other's copies. Objects of doom that are written anew are ripe when the
    /// old ones were.
    fn rescue(&mut self, ripe: &mut BTreeSet<ObjectName>) -> Result<(), Error> {
        let rescued = self.missed()?;
        if rescued.is_empty() {
            return Ok(());
        }
        for name in self.doomed.keys().copied().collect::<Vec<_>>() {
            let Some(doomed) = self.doomed.get(&name).filter(|doomed| !doomed.is_removed) else { continue };
            if doomed.packs.is_disjoint(&rescued) {
                continue;
            }
            let rest: BTreeSet<_> = doomed.packs.difference(&rescued).copied().collect();
            if !rest.is_empty() {
                let before: BTreeSet<_> = self.doomed.keys().copied().collect();
                doomed::write(&self.archive.destination, &self.archive.ring, &rest, false, &mut self.doomed)?;
                if ripe.contains(&name) {
                    ripe.extend(self.doomed.keys().filter(|name| !before.contains(name)).copied());
                }
            }
            ripe.remove(&name);
            self.remove_doom(&name)?;
        }
        self.report.packs_rescued += rescued.len() as u64;
        Ok(())
    }

    /// Doomed packs that would be missed.
    fn missed(&mut self) -> Result<BTreeSet<ObjectName>, Error> {
        let (destination, ring) = (&self.archive.destination, &self.archive.ring);
        let index = store::load_lean_index(destination, ring, &doomed::packs(&self.doomed))?.index;
        let store = ChunkStore::new(destination, ring, index);
        Self::walk((self.archive, &mut self.needed), &mut self.walked, &store)?;
        let packs = &store.index.packs;
        let mut missed = IdSet::default();
        for id in &self.needed.chunks {
            if !store.index.locations(id).any(|location| packs[location.pack as usize].is_kept) {
                missed.extend(store.index.locations(id).map(|location| packs[location.pack as usize].name));
            }
        }
        self.report.packs = packs.iter().filter(|pack| pack.is_kept).count() as u64;
        let doomed = self.doomed.values().filter(|doomed| !doomed.is_removed).flat_map(|doomed| &doomed.packs);
        Ok(doomed.filter(|pack| missed.contains(pack)).copied().collect())
    }

    /// Index objects that name these packs give way to others that do not. Small ones, as every backup leaves one, are
    /// gathered on the way.
    fn take_out_of_index(&mut self, packs: &BTreeSet<ObjectName>) -> Result<(), Error> {
        if packs.is_empty() {
            return Ok(());
        }
        let (destination, ring) = (&self.archive.destination, &self.archive.ring);
        let (mut replaced, mut met) = (Vec::new(), HashSet::new());
        let objects = store::list_objects(destination, ObjectType::Index)?;
        let others = objects.into_iter().flat_map(|name| match store::read_index(destination, ring, &name) {
            Ok(described)
                if pipeline::is_small(&described) || described.iter().any(|pack| packs.contains(&pack.name)) =>
            {
                replaced.push(name);
                let staying = described.into_iter().filter(|pack| !packs.contains(&pack.name));
                staying.filter(|pack| met.insert(fingerprint(pack))).map(Ok).collect()
            }
            Ok(_) => Vec::new(),
            // One that is damaged, or of another epoch, describes nothing here: it stays for `repair index`.
            Err(error) if error.is_damage() => Vec::new(),
            Err(error) => vec![Err::<IndexedPack, _>(error)],
        });
        self.report.bytes_stored += pipeline::write_index(destination, ring, others)?;
        destination.settle()?;
        replaced.iter().try_for_each(|name| destination.delete(&ObjectType::Index.path(name)))
    }

    fn remove(&mut self, packs: &BTreeSet<ObjectName>) -> Result<(), Error> {
        let destination = &self.archive.destination;
        for name in store::list_objects(destination, ObjectType::Pack)?.into_iter().filter(|name| packs.contains(name))
        {
            let path = ObjectType::Pack.path(&name);
            match destination.len(&path) {
                Ok(len) => {
                    destination.delete(&path)?;
                    self.report.packs_removed += 1;
                    self.report.bytes_freed += len;
                }
                // The listing is an old one.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove_doom(&mut self, name: &ObjectName) -> Result<(), Error> {
        self.archive.destination.delete(&ObjectType::Doomed.path(name))?;
        self.doomed.remove(name);
        Ok(())
    }
}
