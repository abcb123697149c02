//! Pruning: what no snapshot needs is removed. In two phases, so that neither a crash nor a backup at the same time
//! costs anything, with providers that know no conditional writes.
//!
//! ```text
//! lock ─► walk all snapshots ─► copy what is needed out of worn packs ─► doom packs ─► sweep
//! ```
//!
//! A backup announces its lock before it reads which packs are doomed, and looks again before its snapshot is written;
//! the sweep (`sweep.rs`) begins by looking for locks once the packs are doomed. So one of the two sees the other.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::archive::Archive;
use crate::doomed::{self, DoomedObjects};
use crate::envelope::ObjectType;
use crate::error::{Damage, DestinationErrorKind, Error};
use crate::id::{ChunkId, ObjectName};
use crate::index::{IdSet, IndexedPack, Location};
use crate::lock::{self, Lock};
use crate::needed::Needed;
use crate::pack::{SegmentKind, TocSegment};
use crate::pipeline::{self, Class, SEGMENT, Sink};
use crate::report::{Problem, Progress, PruneReport};
use crate::store::{self, ChunkStore, LoadedIndex};

/// A pack shorter than this is small, bytes. Every backup leaves one or two, …
const SMALL_PACK: u64 = 4 << 20;
/// … and so many of them are made into one. (What that leaves are fewer: the next prune finds nothing to do.)
const SEVERAL: usize = 8;

/// How to prune.
#[derive(Debug, Clone)]
pub struct PruneOptions {
    /// The name of this device, for the lock.
    pub host: String,
    /// A pack of which more than so many per cent are needed by nobody is written anew without them.
    pub max_unused: u8,
    /// How long packs stay doomed before they are removed. By itself: not at all where listings show at once what was
    /// written, a day elsewhere.
    pub grace: Option<Duration>,
    /// Whether it is only to be said what would be done.
    pub dry_run: bool,
}

/// What is not needed, by the numbers of packs.
#[derive(Debug, Default)]
struct Plan {
    /// Nobody needs a chunk of them.
    unused: Vec<u32>,
    /// Too little of them is needed, or they are small and several; with the bytes that are not needed.
    worn: Vec<(u32, u64)>,
    /// They are not there, or doomed, and nobody misses them.
    missing: Vec<u32>,
}

impl Plan {
    /// Packs of an epoch that is not the current one are worn: what is needed of them is to be sealed anew.
    fn of(store: &ChunkStore<'_>, needed: &IdSet<ChunkId>, max_unused: u8, epoch: u32) -> Self {
        let index = &store.index;
        let mut used = vec![0_u64; index.packs.len()];
        let mut is_needed = vec![false; index.packs.len()];
        let mut is_missed = vec![false; index.packs.len()];
        for id in needed {
            // A copy of what another pack holds is not counted as used, of two always the same one, in whatever order the
            // index has them. It is given up only once the other one has been read.
            // One that is known to be damaged holds nothing that another has: it would never be taken for one too many.
            let order = |location: Location| (store.is_lost(location), index.packs[location.pack as usize].name);
            let mut holder: Option<Location> = None;
            for location in index.locations(id) {
                let pack = &index.packs[location.pack as usize];
                is_needed[location.pack as usize] = true;
                if pack.is_kept && holder.is_none_or(|holder| order(location) < order(holder)) {
                    holder = Some(location);
                }
            }
            match holder {
                Some(holder) => used[holder.pack as usize] += u64::from(holder.len),
                None => index.locations(id).for_each(|location| is_missed[location.pack as usize] = true),
            }
        }
        let (mut plan, mut small) = (Self::default(), Vec::new());
        for (number, pack) in (0..).zip(&index.packs) {
            if !pack.is_kept {
                plan.missing.extend((!is_missed[number as usize]).then_some(number));
                continue;
            }
            let total: u64 = pack.segments.iter().map(|segment| u64::from(segment.plain_len)).sum();
            let unused = total.saturating_sub(used[number as usize]);
            if !is_needed[number as usize] {
                plan.unused.push(number);
            } else if pack.epoch != epoch || unused * 100 > total * u64::from(max_unused) {
                plan.worn.push((number, unused * pack.len() / total.max(1)));
            } else if pack.len() < SMALL_PACK {
                small.push((number, unused * pack.len() / total.max(1)));
            }
        }
        // What worn packs become may be small, too: one pack of data and one of trees.
        let new = if plan.worn.is_empty() { 0 } else { 2 };
        if small.len() + new >= SEVERAL {
            plan.worn.append(&mut small);
        }
        plan
    }
}

impl Archive {
    /// Removes what no snapshot needs.
    ///
    /// # Errors
    /// `Busy` while another run works on the archive; `Rotating` and `Rotated` when its key is being rotated; `Damaged`
    /// and `Unreadable` when a snapshot does not say what it needs; `Rollback` when one is missing that was not forgotten,
    /// unless that is allowed; `Disturbed` when somebody took the lock away; `Destination` when it fails. Whatever the error, nothing
    /// that is needed has been removed, and the next run goes on.
    pub fn prune(&mut self, options: &PruneOptions, progress: &Progress) -> Result<PruneReport, Error> {
        self.prune_as("prune", options, progress)
    }

    /// The same, as the operation that other runs are told of.
    pub(crate) fn prune_as(
        &mut self,
        operation: &str,
        options: &PruneOptions,
        progress: &Progress,
    ) -> Result<PruneReport, Error> {
        self.refuse_rotation()?;
        let lock = match options.dry_run {
            true => None,
            false => Some(self.lock_alone(&options.host, operation)?),
        };
        let mut pruning = Pruning::new(self, lock, options);
        let mut pruned = pruning.run(progress);
        let mut report = pruning.report;
        if let (Some(lock), Err(_)) = (&lock, &pruned)
            && let Ok(false) = self.is_locked(lock)
        {
            // What went wrong may be another's doing.
            pruned = Err(Error::Disturbed);
        }
        if let Some(lock) = lock
            && let Err(error) = lock::withdraw(&self.destination, &lock)
        {
            report.notes.push(Problem { path: ObjectType::Lock.path(&lock).into(), what: error.to_string() });
        }
        pruned.map(|()| report)
    }

    /// Announces a run that bears no other beside it.
    pub(crate) fn lock_alone(&self, host: &str, operation: &str) -> Result<ObjectName, Error> {
        let others = lock::withdraw_dead(&self.destination, lock::all(&self.destination, &self.ring)?, host);
        if let Some(other) = others.into_iter().next() {
            return Err(Error::Busy(Box::new(other)));
        }
        // Where there is no room, not even a lock can be written before this.
        self.sweep_temporary(&[]);
        let lock = lock::announce(&self.destination, &self.ring, host, operation)?;
        match self.other_lock(&lock) {
            Ok(None) => Ok(lock),
            // Two that began at the same moment both give way.
            other => {
                lock::withdraw(&self.destination, &lock)?;
                other.and_then(|other| other.map_or(Ok(lock), |other| Err(Error::Busy(Box::new(other)))))
            }
        }
    }

    /// A lock beside this one.
    pub(crate) fn other_lock(&self, own: &ObjectName) -> Result<Option<Lock>, Error> {
        let all = lock::all(&self.destination, &self.ring)?;
        Ok(all.into_iter().find(|lock| lock.name != *own))
    }

    /// Removes the lock of a run that was interrupted. One that is still at work notices, and begins anew.
    ///
    /// # Errors
    /// `Destination` when it fails.
    pub fn unlock(&self, lock: &ObjectName) -> Result<(), Error> {
        lock::withdraw(&self.destination, lock)
    }
}

/// One run.
pub(crate) struct Pruning<'a> {
    pub(crate) archive: &'a mut Archive,
    /// None when nothing is to be done.
    pub(crate) lock: Option<ObjectName>,
    pub(crate) options: &'a PruneOptions,
    pub(crate) doomed: DoomedObjects,
    pub(crate) needed: Needed,
    /// Snapshots whose needs are known.
    pub(crate) walked: HashSet<ObjectName>,
    /// Packs that an index object names, that are not there and that nobody misses.
    pub(crate) missing: BTreeSet<ObjectName>,
    /// Index objects and packs of epochs that the key does not lead to.
    pub(crate) of_other_epochs: Vec<(ObjectType, ObjectName, Damage)>,
    pub(crate) report: PruneReport,
}

impl<'a> Pruning<'a> {
    fn new(archive: &'a mut Archive, lock: Option<ObjectName>, options: &'a PruneOptions) -> Self {
        Self {
            archive,
            lock,
            options,
            doomed: DoomedObjects::new(),
            needed: Needed::default(),
            walked: HashSet::new(),
            missing: BTreeSet::new(),
            of_other_epochs: Vec::new(),
            report: PruneReport::default(),
        }
    }

    fn run(&mut self, progress: &Progress) -> Result<(), Error> {
        self.load_doomed()?;
        self.load_snapshots()?;
        if self.lock.is_some() {
            self.archive.remove_leftover()?;
        }
        match self.doom(true, progress) {
            // What is needed by nobody makes room for what is to be written.
            Err(Error::Destination { kind: DestinationErrorKind::Full, .. }) => {
                self.doom(false, progress)?;
                self.sweep()?;
                self.doom(true, progress)?;
            }
            other => other?,
        }
        if self.lock.is_some() {
            self.remove_void()?;
            self.sweep()?;
            self.give_up_older_keys()?;
        }
        Ok(())
    }

    /// What earlier runs doomed. A damaged object is removed: nobody removes what it names any more.
    fn load_doomed(&mut self) -> Result<(), Error> {
        let (destination, ring) = (&self.archive.destination, &self.archive.ring);
        for name in doomed::list(destination)? {
            match doomed::read(destination, ring, &name) {
                Ok(doomed) => drop(self.doomed.insert(name, doomed)),
                Err(error @ (Error::FormatTooNew { .. } | Error::Damaged { why: Damage::NewerEpoch, .. })) => {
                    return Err(error);
                }
                Err(error) if error.is_damage() => {
                    if self.lock.is_some() {
                        destination.delete(&ObjectType::Doomed.path(&name))?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The snapshots as they are now, every one of which must open, and none that another follows be missing: who knows
    /// what it needs?
    pub(crate) fn load_snapshots(&mut self) -> Result<(), Error> {
        self.archive.load_snapshots()?;
        // Those of an older epoch go once the header is of a newer one.
        self.archive.stay_in_epoch()?;
        self.report.snapshots = self.archive.snapshots.len() as u64;
        self.archive.refuse_incomplete()
    }

    /// Adds what those snapshots need that were not looked at yet.
    pub(crate) fn walk(
        (archive, needed): (&Archive, &mut Needed),
        walked: &mut HashSet<ObjectName>,
        store: &ChunkStore<'_>,
    ) -> Result<(), Error> {
        for snapshot in &archive.snapshots {
            if walked.insert(snapshot.name) {
                let number = snapshot.head.number;
                let unreadable = |error: Error| match error.is_damage() {
                    true => Error::Unreadable { number, why: error.to_string() },
                    false => error,
                };
                needed.add(store, std::iter::once(snapshot)).map_err(unreadable)?;
            }
        }
        Ok(())
    }

    /// Dooms the packs that are not needed, and `with_worn` those of which too little is, once what is needed of them
    /// lies elsewhere.
    fn doom(&mut self, with_worn: bool, progress: &Progress) -> Result<(), Error> {
        let archive = &*self.archive;
        let loaded = store::load_index(&archive.destination, &archive.ring, &doomed::packs(&self.doomed))?;
        let LoadedIndex { index, unindexed, problems, others } = loaded;
        self.report.notes.extend(problems);
        self.of_other_epochs = others;
        let mut store = ChunkStore::new(&archive.destination, &archive.ring, index);
        if let Some(memory) = &archive.memory {
            store.note_damage(&memory.damage());
        }
        Self::walk((archive, &mut self.needed), &mut self.walked, &store)?;
        let plan = Plan::of(&store, &self.needed.chunks, self.options.max_unused, archive.ring.epoch);
        let missing = plan.missing.iter().map(|number| store.index.packs[*number as usize].name);
        self.missing = missing.collect();
        let worn = if with_worn { plan.worn.as_slice() } else { &[] };
        self.report.packs = store.index.packs.iter().filter(|pack| pack.is_kept).count() as u64;
        if self.lock.is_none() {
            self.report.packs_unused = plan.unused.len() as u64;
            self.report.packs_repacked = worn.len() as u64;
            self.report.bytes_freed = worn.iter().map(|(_, unused)| unused).sum();
            let unused = plan.unused.iter().map(|number| store.index.packs[*number as usize].len());
            self.report.bytes_freed += unused.sum::<u64>();
            return Ok(());
        }
        for number in plan.unused.iter().chain(worn.iter().map(|(number, _)| number)) {
            store.index.packs[*number as usize].is_kept = false;
        }
        let name_of = |number: u32| store.index.packs[number as usize].name;
        let mut going: BTreeSet<_> = plan.unused.iter().map(|number| name_of(*number)).collect();
        self.report.packs_unused += going.len() as u64;
        if !worn.is_empty() {
            let worn: Vec<_> = worn.iter().map(|(number, _)| *number).collect();
            let staying = |pack: &IndexedPack| {
                !going.contains(&pack.name) && !worn.iter().any(|number| name_of(*number) == pack.name)
            };
            let unindexed = unindexed.into_iter().filter(staying).collect();
            let (emptied, problems, stored) = repack(&store, &self.needed.chunks, &worn, unindexed, progress)?;
            self.report.packs_repacked += emptied.len() as u64;
            self.report.bytes_stored += stored;
            self.report.problems.extend(problems);
            going.extend(emptied);
            archive.destination.settle()?;
        }
        if let Some(memory) = &archive.memory {
            memory.add_damage(store.damage())?;
        }
        drop(store);
        if going.is_empty() {
            return Ok(());
        }
        self.stay_undisturbed()?;
        doomed::write(&self.archive.destination, &self.archive.ring, &going, false, &mut self.doomed)
    }

    /// Fails when another run doomed packs too, or took the lock of this one for one of a dead run.
    pub(crate) fn stay_undisturbed(&self) -> Result<(), Error> {
        let lock = self.lock.ok_or(Error::Disturbed)?;
        if self.archive.is_undisturbed(&lock, &self.doomed)? { Ok(()) } else { Err(Error::Disturbed) }
    }
}

/// Copies what is needed of these packs into new ones. Returns the packs of which all that is needed is elsewhere now,
/// what kept others from it, and the bytes written.
fn repack(
    store: &ChunkStore<'_>,
    needed: &IdSet<ChunkId>,
    worn: &[u32],
    unindexed: Vec<IndexedPack>,
    progress: &Progress,
) -> Result<(Vec<ObjectName>, Vec<Problem>, u64), Error> {
    let total = worn.iter().map(|number| store.index.packs[*number as usize].len()).sum();
    progress.expect(worn.len() as u64, total);
    let ((emptied, problems), stored) = pipeline::run(store, unindexed, |sink| {
        let (mut emptied, mut problems) = (Vec::new(), Vec::new());
        for number in worn {
            let pack = &store.index.packs[*number as usize];
            match empty(store, needed, *number, sink) {
                Ok(()) => emptied.push(pack.name),
                Err(error) if error.is_damage() => {
                    let path = ObjectType::Pack.path(&pack.name).into();
                    problems.push(Problem { path, what: format!("left as it is: {error}") });
                }
                Err(error) => return Err(error),
            }
            progress.add(1, pack.len());
        }
        Ok((emptied, problems))
    })?;
    Ok((emptied, problems, stored))
}

/// Copies what is needed of a pack, as its own table of contents describes it, unless another copy can be read.
fn empty(store: &ChunkStore<'_>, needed: &IdSet<ChunkId>, number: u32, sink: &mut Sink<'_>) -> Result<(), Error> {
    let pack = &store.index.packs[number as usize];
    let own = store::read_toc(store.destination, store.ring, &pack.name)?;
    let damaged = || Error::damaged(ObjectType::Pack.path(&pack.name), Damage::ChunkId);
    for (segment_number, segment) in (0..).zip(&own.toc.segments) {
        let mut end = 0;
        for (id, len) in &segment.chunks {
            end += *len as usize;
            if !needed.contains(id) || store.has_other_copy(id)? {
                continue;
            }
            let plain = store.segment((number, segment_number))?;
            let chunk = plain.get(end - *len as usize..end).ok_or_else(damaged)?;
            if sink.put(class_of(segment), chunk)? != *id {
                return Err(damaged());
            }
        }
    }
    Ok(())
}

/// How the chunks of a segment were gathered, as far as that shows.
fn class_of(segment: &TocSegment) -> Class {
    match segment.kind {
        SegmentKind::Tree => Class::Tree,
        SegmentKind::Data if segment.sealed_len >= segment.plain_len() => Class::Media,
        SegmentKind::Data if segment.plain_len() as usize > SEGMENT => Class::Text,
        SegmentKind::Data => Class::Pages,
    }
}
