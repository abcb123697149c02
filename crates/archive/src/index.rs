//! Which chunk lies where: the index objects, and the table made of them in memory.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use crate::codec::{CodecError, Decoder, Encoder};
use crate::envelope::PREFIX_LEN;
use crate::id::{ChunkId, ObjectName};
use crate::pack::Toc;

/// A pack as an index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexedPack {
    pub(crate) name: ObjectName,
    pub(crate) salt: [u8; 32],
    /// The epoch that it is sealed in; the same as that of the index object.
    pub(crate) epoch: u32,
    pub(crate) toc: Toc,
}

/// The content of an index object.
pub(crate) fn encode(packs: &[IndexedPack]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.varint(packs.len() as u64);
    for pack in packs {
        encoder.raw(pack.name.as_bytes());
        encoder.raw(&pack.salt);
        pack.toc.encode(&mut encoder);
    }
    encoder.finish()
}

/// The packs that an index object of this epoch describes.
pub(crate) fn decode(bytes: &[u8], epoch: u32) -> Result<Vec<IndexedPack>, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let count = decoder.count(ObjectName::LEN + 33)?;
    let mut packs = Vec::with_capacity(count);
    for _ in 0..count {
        let name = ObjectName::from_bytes(decoder.array()?);
        let salt = decoder.array()?;
        packs.push(IndexedPack { name, salt, epoch, toc: Toc::decode(&mut decoder)? });
    }
    decoder.finish()?;
    Ok(packs)
}

/// What index objects of older epochs say of packs. Anybody may have written them who has a key that was given up: where
/// two say different things of a pack, neither is believed.
#[derive(Default)]
pub(crate) struct Described {
    by_name: IdMap<ObjectName, [u8; 32]>,
    disputed: IdSet<ObjectName>,
}

impl Described {
    pub(crate) fn meet(&mut self, pack: &IndexedPack) {
        let says = fingerprint(pack);
        if *self.by_name.entry(pack.name).or_insert(says) != says {
            self.disputed.insert(pack.name);
        }
    }

    pub(crate) fn is_disputed(&self, pack: &ObjectName) -> bool {
        self.disputed.contains(pack)
    }
}

/// All that an index object says of a pack.
pub(crate) fn fingerprint(pack: &IndexedPack) -> [u8; 32] {
    let said = encode(std::slice::from_ref(pack));
    *blake3::Hasher::new().update(&pack.epoch.to_le_bytes()).update(&said).finalize().as_bytes()
}

/// Hashes chunk ids and object names by taking their first eight bytes: they are random already. (An array's length
/// is hashed first, and overwritten.)
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;
pub(crate) type IdSet<K> = HashSet<K, BuildHasherDefault<IdHasher>>;

/// Where a chunk lies. In the order of packs, and within them of their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    /// Number of the pack in [`Index::packs`].
    pub(crate) pack: u32,
    /// Number of the segment in the pack.
    pub(crate) segment: u32,
    /// Where it begins in the segment's plaintext, bytes.
    pub(crate) offset: u32,
    /// Its length, bytes.
    pub(crate) len: u32,
}

impl Location {
    /// Where it lies in the segment's plaintext.
    pub(crate) const fn range(&self) -> Range<usize> {
        self.offset as usize..(self.offset + self.len) as usize
    }
}

/// A pack that chunks are read from.
#[derive(Debug)]
pub(crate) struct KnownPack {
    pub(crate) name: ObjectName,
    pub(crate) salt: [u8; 32],
    pub(crate) epoch: u32,
    pub(crate) segments: Vec<KnownSegment>,
    /// Whether it may be counted on: the destination's listing has it too, and it is not doomed. It may be there all the
    /// same (a listing may be stale), and is read where no other helps.
    pub(crate) is_kept: bool,
}

impl KnownPack {
    /// Its length without what describes it, bytes.
    pub(crate) fn len(&self) -> u64 {
        self.segments.last().map_or(0, |last| u64::from(last.offset) + u64::from(last.sealed_len))
    }
}

/// A segment that chunks are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownSegment {
    /// Where it begins in the pack, bytes.
    pub(crate) offset: u32,
    /// Its length there, tag included, bytes.
    pub(crate) sealed_len: u32,
    /// Its plaintext's length, bytes.
    pub(crate) plain_len: u32,
}

/// Every chunk that the archive is known to hold: 48 bytes of memory each.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) packs: Vec<KnownPack>,
    chunks: IdMap<ChunkId, Location>,
    /// Further places of chunks that stand in several packs: two runs at once, or a loss that was made good.
    copies: IdMap<ChunkId, Vec<Location>>,
    names: IdSet<ObjectName>,
}

impl Index {
    /// Makes room for what these packs hold, at once: growing step by step costs as much as taking them in.
    pub(crate) fn expect(&mut self, packs: &[IndexedPack]) {
        let segments = packs.iter().flat_map(|pack| &pack.toc.segments);
        self.chunks.reserve(segments.map(|segment| segment.chunks.len()).sum());
    }

    /// Takes in a pack; one that is known already changes nothing (two runs may both have indexed it). Of several
    /// places of a chunk, the one that was taken in first is read first.
    pub(crate) fn insert(&mut self, pack: &IndexedPack, is_kept: bool) {
        self.take_in(pack, is_kept, true);
    }

    /// Takes in a pack that is not to be counted on, without what one that is holds, too: further places take most memory.
    pub(crate) fn insert_what_is_missing(&mut self, pack: &IndexedPack) {
        self.take_in(pack, false, false);
    }

    fn take_in(&mut self, pack: &IndexedPack, is_kept: bool, with_copies: bool) {
        if !self.names.insert(pack.name) {
            return;
        }
        let number = self.packs.len() as u32;
        let is_counted_on = |place: &Location| self.packs.get(place.pack as usize).is_some_and(|pack| pack.is_kept);
        let mut at = PREFIX_LEN as u32;
        let mut segments = Vec::with_capacity(pack.toc.segments.len());
        for (segment_number, segment) in pack.toc.segments.iter().enumerate() {
            let mut offset = 0;
            for (id, len) in &segment.chunks {
                let location = Location { pack: number, segment: segment_number as u32, offset, len: *len };
                match self.chunks.entry(*id) {
                    Entry::Vacant(entry) => drop(entry.insert(location)),
                    Entry::Occupied(first) if !with_copies && is_counted_on(first.get()) => {}
                    Entry::Occupied(_) => self.copies.entry(*id).or_default().push(location),
                }
                offset += len;
            }
            segments.push(KnownSegment { offset: at, sealed_len: segment.sealed_len, plain_len: offset });
            at += segment.sealed_len;
        }
        self.packs.push(KnownPack { name: pack.name, salt: pack.salt, epoch: pack.epoch, segments, is_kept });
    }

    /// Where a chunk lies: the place to read first, then any others.
    pub(crate) fn locations(&self, id: &ChunkId) -> impl Iterator<Item = Location> {
        let copies = self.copies.get(id).into_iter().flatten();
        self.chunks.get(id).into_iter().chain(copies).copied()
    }

    pub(crate) fn contains(&self, id: &ChunkId) -> bool {
        self.chunks.contains_key(id)
    }

    /// The chunks that lie in one of these segments (pack, number) and nowhere else.
    pub(crate) fn only_in(&self, segments: &HashSet<(u32, u32)>) -> IdSet<ChunkId> {
        if segments.is_empty() {
            return IdSet::default();
        }
        let is_in = |location: Location| segments.contains(&(location.pack, location.segment));
        self.chunks.keys().filter(|id| self.locations(id).all(is_in)).copied().collect()
    }

    pub(crate) fn knows_pack(&self, name: &ObjectName) -> bool {
        self.names.contains(name)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
