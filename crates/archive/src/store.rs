//! Reading chunks back: index, ranged read, open, decompress, and a bounded memory of what was opened last.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::iter;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::destination::Destination;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, epoch_of, open_object};
use crate::error::{Damage, Error};
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, Index, IndexedPack, Location};
use crate::keyring::Keyring;
use crate::pack::{TRAILER_LEN, Toc, Trailer, open_segment};
use crate::report::Problem;

/// Segments kept, open or read ahead, …
const CACHED_SEGMENTS: usize = 24;
/// … and bytes in them.
const CACHED_BYTES: usize = 24 << 20;
/// Bytes of neighbouring segments that are read in one go where they are asked for one after the other.
const READ_AT_ONCE: u64 = 4 << 20;

/// The chunks of an archive, readable from several threads.
pub(crate) struct ChunkStore<'a> {
    pub(crate) destination: &'a Destination,
    pub(crate) ring: &'a Keyring,
    pub(crate) index: Index,
    cache: Mutex<Cache>,
    opened: Condvar,
    /// Segments that turned out to be damaged or missing.
    lost: Mutex<HashMap<SegmentNumber, Damage>>,
}

/// Pack and segment.
pub(crate) type SegmentNumber = (u32, u32);

#[derive(Default)]
struct Cache {
    segments: HashMap<SegmentNumber, Slot>,
    /// Least recently used first.
    order: VecDeque<SegmentNumber>,
}

enum Slot {
    /// A thread is fetching or opening it.
    Busy,
    /// Read ahead, and not opened yet.
    Sealed(Vec<u8>),
    Open(Arc<Vec<u8>>),
}

/// The index as loaded, and what was found on the way.
#[derive(Default)]
pub(crate) struct LoadedIndex {
    pub(crate) index: Index,
    /// Packs that no index object names: of an interrupted run, of one still running, or of a damaged index.
    pub(crate) unindexed: Vec<IndexedPack>,
    /// Index objects and packs that do not open.
    pub(crate) problems: Vec<Problem>,
    /// Index objects and packs of epochs that the key does not lead to.
    pub(crate) others: Vec<(ObjectType, ObjectName, Damage)>,
}

/// Loads every index object, and the tables of contents of packs that none of them names. Packs that are listed and not
/// doomed come first, so that their copy of a chunk is the one that is read. Who only reads need not know of doom.
pub(crate) fn load_index(
    destination: &Destination,
    ring: &Keyring,
    doomed: &BTreeSet<ObjectName>,
) -> Result<LoadedIndex, Error> {
    load(destination, ring, doomed, |index, pack| index.insert(pack, false))
}

/// The same, without places in other packs of what a kept one holds: after a repack there are many.
pub(crate) fn load_lean_index(
    destination: &Destination,
    ring: &Keyring,
    doomed: &BTreeSet<ObjectName>,
) -> Result<LoadedIndex, Error> {
    load(destination, ring, doomed, Index::insert_what_is_missing)
}

fn load(
    destination: &Destination,
    ring: &Keyring,
    doomed: &BTreeSet<ObjectName>,
    insert_other: impl Fn(&mut Index, &IndexedPack),
) -> Result<LoadedIndex, Error> {
    let mut loaded = LoadedIndex::default();
    let listed: index::IdSet<ObjectName> = list_objects(destination, ObjectType::Pack)?.into_iter().collect();
    let is_kept = |name: &ObjectName| listed.contains(name) && !doomed.contains(name);
    let mut others = Vec::new();
    let mut take_in = |loaded: &mut LoadedIndex, packs: Vec<IndexedPack>| {
        let (kept, rest): (Vec<_>, Vec<_>) = packs.into_iter().partition(|pack| is_kept(&pack.name));
        loaded.index.expect(&kept);
        kept.iter().for_each(|pack| loaded.index.insert(pack, true));
        others.extend(rest);
    };
    // What is said in the current epoch comes first, so that nothing that is said in older ones takes its place.
    let (mut older, mut described) = (Vec::new(), index::Described::default());
    for name in list_objects(destination, ObjectType::Index)? {
        match read_index(destination, ring, &name) {
            Ok(packs) if packs.iter().any(|pack| pack.epoch != ring.epoch) => {
                packs.iter().for_each(|pack| described.meet(pack));
                older.push(name);
            }
            Ok(packs) => take_in(&mut loaded, packs),
            Err(error) => loaded.pass_over(ObjectType::Index, name, error)?,
        }
    }
    for name in older {
        match read_index(destination, ring, &name) {
            Ok(mut packs) => {
                packs.retain(|pack| !described.is_disputed(&pack.name));
                take_in(&mut loaded, packs);
            }
            Err(error) => loaded.pass_over(ObjectType::Index, name, error)?,
        }
    }
    let described: BTreeSet<_> = others.iter().map(|pack| pack.name).collect();
    let is_described = |name: &ObjectName| loaded.index.knows_pack(name) || described.contains(name);
    let mut unindexed: Vec<_> = listed.iter().copied().filter(|name| !is_described(name)).collect();
    unindexed.sort();
    for name in unindexed {
        match read_toc(destination, ring, &name) {
            Ok(pack) if doomed.contains(&name) => others.push(pack),
            Ok(pack) => {
                loaded.index.insert(&pack, true);
                loaded.unindexed.push(pack);
            }
            Err(error) => loaded.pass_over(ObjectType::Pack, name, error)?,
        }
    }
    others.iter().for_each(|pack| insert_other(&mut loaded.index, pack));
    Ok(loaded)
}

impl LoadedIndex {
    /// Damage to one object is noted and costs no more; that the destination fails ends everything. What is listed and
    /// not there was removed a moment ago: if it is needed all the same, that will show.
    fn pass_over(&mut self, kind: ObjectType, name: ObjectName, error: Error) -> Result<(), Error> {
        match error {
            error if error.is_not_found() => {}
            Error::Damaged { why, .. } if error.is_of_other_epoch() => self.others.push((kind, name, why)),
            error if error.is_damage() => {
                self.problems.push(Problem { path: kind.path(&name).into(), what: error.to_string() });
            }
            error => return Err(error),
        }
        Ok(())
    }
}

/// The names of all objects of a kind. Files that are not named like objects are not ours, and are left alone.
pub(crate) fn list_objects(destination: &Destination, kind: ObjectType) -> Result<Vec<ObjectName>, Error> {
    let paths = destination.list(kind.folder())?;
    let mut names: Vec<_> = paths
        .iter()
        .filter_map(|path| path.rsplit('/').next().and_then(ObjectName::parse).filter(|name| kind.path(name) == **path))
        .collect();
    names.sort();
    Ok(names)
}

pub(crate) fn read_index(
    destination: &Destination,
    ring: &Keyring,
    name: &ObjectName,
) -> Result<Vec<IndexedPack>, Error> {
    let path = ObjectType::Index.path(name);
    let object = destination.read(&path, ObjectType::Index.max_len())?;
    let content = open_object(ring, ObjectType::Index, name, &object)?;
    let epoch = epoch_of(&object).unwrap_or_default();
    index::decode(&content, epoch).map_err(|error| Error::damaged(path, error))
}

/// Reads a pack's table of contents by way of its trailer, for packs that no index names.
pub(crate) fn read_toc(destination: &Destination, ring: &Keyring, name: &ObjectName) -> Result<IndexedPack, Error> {
    let path = ObjectType::Pack.path(name);
    let damaged = |why: Damage| Error::damaged(path.clone(), why);
    let len = destination.len(&path)?;
    if len < (PREFIX_LEN + TRAILER_LEN) as u64 {
        return Err(damaged(Damage::Truncated));
    }
    let prefix = destination.read_range(&path, 0, PREFIX_LEN as u64)?;
    let cipher = ObjectCipher::from_prefix(ring, ObjectType::Pack, name, &prefix)?;
    let sealed = destination.read_range(&path, len - TRAILER_LEN as u64, TRAILER_LEN as u64)?;
    let trailer = Trailer::open(&cipher, &sealed, len).map_err(damaged)?;
    let sealed = destination.read_range(&path, trailer.toc_at, trailer.toc_len.into())?;
    let toc: Toc = trailer.open_toc(&cipher, &sealed).map_err(damaged)?;
    Ok(IndexedPack { name: *name, salt: cipher.salt(), epoch: cipher.epoch(), toc })
}

impl<'a> ChunkStore<'a> {
    pub(crate) fn new(destination: &'a Destination, ring: &'a Keyring, index: Index) -> Self {
        Self { destination, ring, index, cache: Mutex::default(), opened: Condvar::new(), lost: Mutex::default() }
    }

    /// Takes note of segments that were found damaged before: pack and number.
    pub(crate) fn note_damage(&self, damaged: &[(ObjectName, u32)]) {
        for (name, segment) in damaged {
            if let Some(pack) = self.index.packs.iter().position(|pack| pack.name == *name) {
                self.lose((pack as u32, *segment), Damage::Tag);
            }
        }
    }

    /// The segments that are known to be damaged.
    pub(crate) fn damage(&self) -> Vec<(ObjectName, u32)> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.keys().map(|(pack, segment)| (self.index.packs[*pack as usize].name, *segment)).collect()
    }

    /// A chunk's content, copied.
    pub(crate) fn read(&self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        let (segment, location) = self.locate(id)?;
        let at = location.offset as usize;
        Ok(segment[at..at + location.len as usize].to_vec())
    }

    /// The open segment that a chunk lies in, and where. If one copy of it is damaged, another is tried.
    pub(crate) fn locate(&self, id: &ChunkId) -> Result<(Arc<Vec<u8>>, Location), Error> {
        let mut failure = Error::damaged(format!("chunk {id:?}"), Damage::ChunkMissing);
        for location in self.index.locations(id) {
            match self.segment((location.pack, location.segment)) {
                Ok(segment) if self.is_trusted(&segment, location, id) => return Ok((segment, location)),
                Ok(_) => failure = Error::damaged(format!("chunk {id:?}"), Damage::ChunkId),
                Err(error) if error.is_damage() => failure = error,
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    /// Whether it is this chunk that lies there. Of older epochs anybody may have made packs who has a key that was given up.
    fn is_trusted(&self, segment: &[u8], location: Location, id: &ChunkId) -> bool {
        self.index.packs[location.pack as usize].epoch == self.ring.epoch || self.is_chunk(segment, location, id)
    }

    /// Whether what lies there has this id.
    fn is_chunk(&self, segment: &[u8], location: Location, id: &ChunkId) -> bool {
        segment.get(location.range()).is_some_and(|chunk| ChunkId::of(&self.ring.chunk_id, chunk) == *id)
    }

    /// A chunk of known length: the open segment that it lies in, and where. Its content has its id.
    pub(crate) fn chunk(&self, id: &ChunkId, len: u64) -> Result<(Arc<Vec<u8>>, Range<usize>), Error> {
        let (segment, location) = self.locate(id)?;
        let is_right = u64::from(location.len) == len && self.is_chunk(&segment, location, id);
        if is_right {
            Ok((segment, location.range()))
        } else {
            Err(Error::damaged(format!("chunk {id:?}"), Damage::ChunkId))
        }
    }

    /// Whether the archive has a copy of this chunk that is to be counted on and, as far as is known, whole. One of an older
    /// epoch is not until it has been read: anybody may have made it who has a key that was given up.
    pub(crate) fn holds(&self, id: &ChunkId) -> bool {
        self.index.locations(id).any(|location| {
            let pack = &self.index.packs[location.pack as usize];
            pack.is_kept && pack.epoch == self.ring.epoch && !self.is_lost(location)
        })
    }

    /// Whether the segment that this lies in is known to be damaged.
    pub(crate) fn is_lost(&self, location: Location) -> bool {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.contains_key(&(location.pack, location.segment))
    }

    /// Whether a copy of this chunk that is to be counted on has been read, and is right.
    pub(crate) fn has_other_copy(&self, id: &ChunkId) -> Result<bool, Error> {
        for location in self.index.locations(id).filter(|location| self.index.packs[location.pack as usize].is_kept) {
            match self.segment((location.pack, location.segment)) {
                Ok(segment) if self.is_chunk(&segment, location, id) => return Ok(true),
                Ok(_) => self.lose((location.pack, location.segment), Damage::ChunkId),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An open segment, from memory or fetched; two threads that want the same one fetch it once.
    pub(crate) fn segment(&self, number: SegmentNumber) -> Result<Arc<Vec<u8>>, Error> {
        let mut cache = self.lock();
        let sealed = loop {
            match cache.segments.get_mut(&number) {
                Some(Slot::Open(segment)) => {
                    let segment = Arc::clone(segment);
                    cache.touch(number);
                    return Ok(segment);
                }
                Some(Slot::Sealed(bytes)) => break Some(std::mem::take(bytes)),
                Some(Slot::Busy) => cache = self.opened.wait(cache).unwrap_or_else(PoisonError::into_inner),
                None => break None,
            }
        };
        let ahead = if sealed.is_none() { self.ahead(&cache, number) } else { 0..0 };
        for segment in iter::once(number.1).chain(ahead.clone()) {
            cache.segments.insert((number.0, segment), Slot::Busy);
        }
        drop(cache);
        let mut read_ahead = Vec::new();
        let opened = self.fetch(number, sealed, ahead.clone(), &mut read_ahead);
        let mut cache = self.lock();
        match &opened {
            Err(Error::Damaged { why, .. }) => self.lose(number, *why),
            Err(error) if error.is_damage() => self.lose(number, Damage::Missing),
            _ => {}
        }
        ahead.clone().for_each(|segment| drop(cache.segments.remove(&(number.0, segment))));
        ahead.zip(read_ahead).for_each(|(segment, bytes)| cache.keep((number.0, segment), Slot::Sealed(bytes)));
        match &opened {
            Ok(segment) => cache.keep(number, Slot::Open(Arc::clone(segment))),
            Err(_) => cache.forget(number),
        }
        self.opened.notify_all();
        opened
    }

    /// The segments behind this one that are worth reading with it: none, unless the one before it was read, too.
    fn ahead(&self, cache: &Cache, (pack, number): SegmentNumber) -> Range<u32> {
        let before = match (pack, number) {
            (0, 0) => return 0..0,
            (_, 0) => (pack - 1, (self.index.packs[pack as usize - 1].segments.len() as u32).saturating_sub(1)),
            _ => (pack, number - 1),
        };
        let next = number + 1;
        if !cache.segments.contains_key(&before) {
            return next..next;
        }
        let segments = &self.index.packs[pack as usize].segments;
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = READ_AT_ONCE.saturating_sub(segments[number as usize].sealed_len.into());
        let fits = |segment: &u32| {
            let len = segments[*segment as usize].sealed_len.into();
            let is_wanted = !cache.segments.contains_key(&(pack, *segment)) && !lost.contains_key(&(pack, *segment));
            is_wanted && left.checked_sub(len).map(|rest| left = rest).is_some()
        };
        next..next + (next..segments.len() as u32).take_while(fits).count() as u32
    }

    /// Remembers that a segment is not to be had, so that it is fetched, and counted on, no more.
    pub(crate) fn lose(&self, number: SegmentNumber, why: Damage) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(number, why);
    }

    /// Opens a segment, which is read unless it is here `sealed`; those `ahead` that were read with it stay sealed.
    fn fetch(
        &self,
        number: SegmentNumber,
        sealed: Option<Vec<u8>>,
        ahead: Range<u32>,
        read_ahead: &mut Vec<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>, Error> {
        let pack = &self.index.packs[number.0 as usize];
        let path = ObjectType::Pack.path(&pack.name);
        let sealed = sealed.map_or_else(|| self.read_sealed(&path, number, ahead, read_ahead), Ok)?;
        let cipher = ObjectCipher::of_epoch(self.ring, pack.epoch, ObjectType::Pack, &pack.name, &pack.salt)?;
        let plain = open_segment(&cipher, number.1, sealed, pack.segments[number.1 as usize].plain_len);
        plain.map(Arc::new).map_err(|why| Error::damaged(path, why))
    }

    fn read_sealed(
        &self,
        path: &str,
        number: SegmentNumber,
        ahead: Range<u32>,
        read_ahead: &mut Vec<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied();
        if let Some(why) = lost {
            return Err(Error::damaged(path, why));
        }
        let segments = &self.index.packs[number.0 as usize].segments;
        let (first, behind) = (segments[number.1 as usize], &segments[ahead.start as usize..ahead.end as usize]);
        let len = behind.iter().fold(u64::from(first.sealed_len), |len, segment| len + u64::from(segment.sealed_len));
        let mut bytes = match self.destination.read_range(path, first.offset.into(), len) {
            // What is wrong with those behind is none of this one's business.
            Err(error) if error.is_damage() && !behind.is_empty() => {
                return self.destination.read_range(path, first.offset.into(), first.sealed_len.into());
            }
            read => read?,
        };
        for segment in behind {
            let from = (segment.offset - first.offset) as usize;
            read_ahead.push(bytes[from..from + segment.sealed_len as usize].to_vec());
        }
        bytes.truncate(first.sealed_len as usize);
        Ok(bytes)
    }
}

impl Cache {
    fn touch(&mut self, number: SegmentNumber) {
        // The list is short; a scan from the end finds what was used last at once.
        if let Some(at) = self.order.iter().rposition(|other| *other == number) {
            self.order.remove(at);
        }
        self.order.push_back(number);
    }

    fn keep(&mut self, number: SegmentNumber, slot: Slot) {
        self.segments.insert(number, slot);
        self.touch(number);
        while self.order.len() > CACHED_SEGMENTS || self.len() > CACHED_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.segments.remove(&oldest);
        }
    }

    /// Bytes in it.
    fn len(&self) -> usize {
        let len = |slot: &Slot| match slot {
            Slot::Busy => 0,
            Slot::Sealed(bytes) => bytes.len(),
            Slot::Open(segment) => segment.len(),
        };
        self.segments.values().map(len).sum()
    }

    fn forget(&mut self, number: SegmentNumber) {
        self.segments.remove(&number);
        self.order.retain(|other| *other != number);
    }
}
