//! The way of new chunks: deduplicate → segment → compress (on every core) → seal into packs → store → index.
//!
//! One thread reads and chunks, some compress, one seals, two store, for while one waits for the disk the other has
//! something to write. Bounded channels between them bound the memory: about 8 segments of 1 MiB and 3 packs of 16 MiB.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use zstd::zstd_safe::CParameter;

use crate::aead::TAG_LEN;
use crate::content::ListStore;
use crate::deep::on_deep_stack;
use crate::destination::Destination;
use crate::envelope::{ObjectType, seal_object_in};
use crate::error::{DestinationErrorKind, Error};
use crate::frame;
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, IdSet, IndexedPack};
use crate::keyring::Keyring;
use crate::pack::{FinishedPack, MAX_CHUNKS, MAX_SEGMENT, PackWriter, Segment, SegmentKind};
use crate::packing::Waiting;
use crate::store::ChunkStore;

/// An index object is written for so many packs, …
const PACKS_PER_INDEX: usize = 32;
/// … or chunks, whichever come first.
const CHUNKS_PER_INDEX: usize = 100_000;
/// Segments that wait between two stages.
const QUEUED_SEGMENTS: usize = 2;
/// Packs that are stored at a time.
const STORERS: usize = 2;

/// The zstd level, …
const FAST: i32 = 3;
/// … and that of what a backup begins with: of a first one the pages and trees, of later ones all, …
const FINE: i32 = 6;
/// … so many bytes of it.
const FINE_BYTES: usize = 64 << 20;

/// Plaintext in a segment, bytes; …
pub(crate) const SEGMENT: usize = 1 << 20;
/// … in one of text, of which more goes into less: see ADR 0021.
const TEXT_SEGMENT: usize = 3 << 20;
/// zstd looks back over all of a segment of text (2 to the power of this), …
const TEXT_WINDOW: u32 = 22;
/// … at the fast level for matches of so many bytes: 5 % less time, and next to nothing is lost.
const TEXT_MATCH: u32 = 6;
const _: () = assert!(SEGMENT <= TEXT_SEGMENT && TEXT_SEGMENT <= MAX_SEGMENT && TEXT_SEGMENT <= 1 << TEXT_WINDOW);

/// How chunks are gathered into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Text, anything unknown: compressed where that helps, much of it together.
    Text,
    /// Pages of a database, which are read back one by one: compressed where that helps.
    Pages,
    /// Compressed already: stored as it is.
    Media,
    /// Folders' entries and lists.
    Tree,
}

impl Class {
    const ALL: [Self; 4] = [Self::Text, Self::Pages, Self::Media, Self::Tree];

    /// The most plaintext in a segment, bytes.
    const fn segment_len(self) -> usize {
        if matches!(self, Self::Text) { TEXT_SEGMENT } else { SEGMENT }
    }
}

/// A segment being filled. The first byte is the compression's, so that stored ones need no copy.
struct OpenSegment {
    class: Class,
    bytes: Vec<u8>,
    chunks: Vec<(ChunkId, u32)>,
}

impl OpenSegment {
    fn new(class: Class) -> Self {
        Self { class, bytes: vec![frame::RAW], chunks: Vec::new() }
    }
}

/// Takes chunks; those that the archive does not hold yet go on their way.
pub(crate) struct Sink<'a> {
    store: &'a ChunkStore<'a>,
    fresh: IdSet<ChunkId>,
    open: [OpenSegment; Class::ALL.len()],
    segments: SyncSender<OpenSegment>,
}

impl Sink<'_> {
    /// The id of a chunk, which is stored if it is new. At most [`SEGMENT`] bytes.
    pub(crate) fn put(&mut self, class: Class, chunk: &[u8]) -> Result<ChunkId, Error> {
        let id = ChunkId::of(&self.store.ring.chunk_id, chunk);
        if self.holds(&id) {
            return Ok(id);
        }
        self.fresh.insert(id);
        let OpenSegment { bytes, chunks, .. } = &self.open[class as usize];
        if bytes.len() - 1 + chunk.len() > class.segment_len() || chunks.len() == MAX_CHUNKS {
            self.flush(class)?;
        }
        let open = &mut self.open[class as usize];
        if open.bytes.len() + chunk.len() > open.bytes.capacity() {
            open.bytes.reserve_exact(class.segment_len() + 1 + TAG_LEN - open.bytes.len());
        }
        open.bytes.extend_from_slice(chunk);
        open.chunks.push((id, chunk.len() as u32));
        Ok(id)
    }

    /// Whether the archive holds this chunk, or will once this run has ended.
    pub(crate) fn holds(&self, id: &ChunkId) -> bool {
        self.fresh.contains(id) || self.store.holds(id)
    }

    fn flush(&mut self, class: Class) -> Result<(), Error> {
        let segment = mem::replace(&mut self.open[class as usize], OpenSegment::new(class));
        if segment.chunks.is_empty() {
            return Ok(());
        }
        self.segments.send(segment).map_err(|_| stopped())
    }
}

impl ListStore for Sink<'_> {
    fn store_list(&mut self, bytes: &[u8]) -> Result<ChunkId, Error> {
        self.put(Class::Tree, bytes)
    }

    fn load_list(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        self.store.read(id)
    }
}

/// A later stage has failed; its own error takes this one's place.
fn stopped() -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Other,
        action: "write",
        object: "a pack".to_owned(),
        reason: "the writer has stopped".to_owned(),
    }
}

/// Runs `work` with a sink, and returns when everything that it put is stored and indexed, with the
/// number of bytes written. `unindexed` are packs that
/// an interrupted run left: they get their index now.
pub(crate) fn run<T: Send>(
    store: &ChunkStore<'_>,
    unindexed: Vec<IndexedPack>,
    work: impl FnOnce(&mut Sink<'_>) -> Result<T, Error> + Send,
) -> Result<(T, u64), Error> {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let indexer = Mutex::new(Indexer::new(store.destination, store.ring));
    unindexed.into_iter().try_for_each(|pack| lock(&indexer).index(pack))?;
    let fine = Fine { left: AtomicUsize::new(FINE_BYTES), is_first: store.index.packs.is_empty() };
    let worked = thread::scope(|scope| {
        let (to_compress, compress_from) = sync_channel(QUEUED_SEGMENTS);
        let (to_pack, pack_from) = sync_channel(QUEUED_SEGMENTS);
        // A full pack is handed over directly: one being filled and those being stored are enough.
        let (to_store, store_from) = sync_channel(0);
        let compress_from = Arc::new(Mutex::new(compress_from));
        for _ in 0..workers {
            let (from, to, fine) = (Arc::clone(&compress_from), to_pack.clone(), &fine);
            scope.spawn(move || compress(&from, &to, fine));
        }
        drop((to_pack, compress_from));
        let packer = scope.spawn(|| pack(store.ring, pack_from, to_store));
        let store_from = Arc::new(Mutex::new(Some(store_from)));
        let storers = [(); STORERS].map(|()| {
            let (from, indexer) = (Arc::clone(&store_from), &indexer);
            scope.spawn(move || store_packs(store.destination, indexer, &from))
        });
        let open = Class::ALL.map(OpenSegment::new);
        let mut sink = Sink { store, fresh: IdSet::default(), open, segments: to_compress };
        let worked = on_deep_stack(|| work(&mut sink)).and_then(|done| {
            Class::ALL.into_iter().try_for_each(|class| sink.flush(class))?;
            Ok(done)
        });
        // Closes the first channel, and so, one after the other, the rest.
        drop(sink);
        let packed = joined(packer.join());
        storers.into_iter().try_for_each(|storer| joined(storer.join()))?;
        packed?;
        worked
    })?;
    let mut indexer = indexer.into_inner().unwrap_or_else(PoisonError::into_inner);
    indexer.write()?;
    Ok((worked, indexer.stored))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn compress(from: &Mutex<Receiver<OpenSegment>>, to: &SyncSender<Segment>, fine: &Fine) {
    let mut compressor = Compressor::default();
    loop {
        let received = lock(from).recv();
        let Ok(segment) = received else { return };
        let packed = match segment.class {
            Class::Media => None,
            class => compressor.pack(class, &segment.bytes[1..], fine),
        };
        let kind = if segment.class == Class::Tree { SegmentKind::Tree } else { SegmentKind::Data };
        let payload = packed.unwrap_or(segment.bytes);
        if to.send(Segment { kind, payload, chunks: segment.chunks }).is_err() {
            return;
        }
    }
}

/// What is to be compressed well.
struct Fine {
    /// Bytes.
    left: AtomicUsize,
    /// Whether the archive holds nothing yet. Then text, which there may be much of in small files, is not slowed down.
    is_first: bool,
}

impl Fine {
    fn takes(&self, class: Class, len: usize) -> bool {
        let less = |left: usize| left.checked_sub(len);
        !(self.is_first && class == Class::Text)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// zstd, and what it writes to, kept from segment to segment.
#[derive(Default)]
struct Compressor {
    zstd: zstd::bulk::Compressor<'static>,
    packed: Vec<u8>,
}

impl Compressor {
    /// The payload of a compressed segment, if that saves at least one byte in 32.
    fn pack(&mut self, class: Class, plain: &[u8], fine: &Fine) -> Option<Vec<u8>> {
        let level = if fine.takes(class, plain.len()) { FINE } else { FAST };
        // 0 is what the level says.
        let (window, shortest) = match (class, level) {
            (Class::Text, FAST) => (TEXT_WINDOW, TEXT_MATCH),
            (Class::Text, _) => (TEXT_WINDOW, 0),
            _ => (0, 0),
        };
        self.zstd.set_compression_level(level).ok()?;
        self.zstd.set_parameter(CParameter::WindowLog(window)).ok()?;
        self.zstd.set_parameter(CParameter::MinMatch(shortest)).ok()?;
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        self.zstd.compress_to_buffer(plain, &mut self.packed).ok()?;
        if self.packed.len() >= plain.len() - plain.len() / 32 {
            return None;
        }
        let mut payload = Vec::with_capacity(1 + self.packed.len() + TAG_LEN);
        payload.push(frame::ZSTD);
        payload.extend_from_slice(&self.packed);
        Some(payload)
    }
}

/// Makes packs of data and packs of trees.
fn pack(ring: &Keyring, from: Receiver<Segment>, to: SyncSender<FinishedPack>) -> Result<(), Error> {
    let seal = |segments: Vec<Segment>| {
        let mut pack = PackWriter::new(ring)?;
        segments.into_iter().for_each(|segment| pack.append(segment));
        to.send(pack.finish()).map_err(|_| stopped())
    };
    let mut waiting = [Waiting::default(), Waiting::default()];
    for segment in from {
        let complete = waiting[usize::from(segment.kind == SegmentKind::Tree)].push(segment);
        complete.map_or(Ok(()), seal)?;
    }
    waiting.into_iter().flat_map(Waiting::rest).try_for_each(seal)
}

/// Stores packs as they come. The first failure ends it for all that take from the same channel.
fn store_packs(
    destination: &Destination,
    indexer: &Mutex<Indexer<'_>>,
    from: &Mutex<Option<Receiver<FinishedPack>>>,
) -> Result<(), Error> {
    loop {
        let received = lock(from).as_ref().and_then(|from| from.recv().ok());
        let Some(FinishedPack { name, salt, parts, toc }) = received else { return Ok(()) };
        let len: usize = parts.iter().map(Vec::len).sum();
        let stored = destination.write_parts(&ObjectType::Pack.path(&name), parts).and_then(|()| {
            let mut indexer = lock(indexer);
            indexer.stored += len as u64;
            let epoch = indexer.ring.epoch;
            indexer.index(IndexedPack { name, salt, epoch, toc })
        });
        if stored.is_err() {
            lock(from).take();
            return stored;
        }
    }
}

/// Writes an index now and then, of packs that are stored.
struct Indexer<'a> {
    destination: &'a Destination,
    ring: &'a Keyring,
    pending: Vec<IndexedPack>,
    pending_chunks: usize,
    /// Bytes of all objects written.
    stored: u64,
}

impl<'a> Indexer<'a> {
    fn new(destination: &'a Destination, ring: &'a Keyring) -> Self {
        Self { destination, ring, pending: Vec::new(), pending_chunks: 0, stored: 0 }
    }

    fn index(&mut self, pack: IndexedPack) -> Result<(), Error> {
        self.pending_chunks += chunks_of(&pack);
        self.pending.push(pack);
        if is_enough(self.pending.len(), self.pending_chunks) { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        // An index object is of the epoch of its packs.
        self.pending.sort_by_key(|pack| pack.epoch);
        for packs in self.pending.chunk_by(|one, other| one.epoch == other.epoch) {
            let Some(first) = packs.first() else { continue };
            let name = ObjectName::generate()?;
            let object = seal_object_in((self.ring, first.epoch), ObjectType::Index, &name, &index::encode(packs))?;
            self.stored += object.len() as u64;
            self.destination.write(&ObjectType::Index.path(&name), object)?;
        }
        self.pending.clear();
        self.pending_chunks = 0;
        Ok(())
    }
}

const fn is_enough(packs: usize, chunks: usize) -> bool {
    packs >= PACKS_PER_INDEX || chunks >= CHUNKS_PER_INDEX
}

fn chunks_of(pack: &IndexedPack) -> usize {
    pack.toc.segments.iter().map(|segment| segment.chunks.len()).sum()
}

/// Whether what one index object describes had better stand in one with others.
pub(crate) fn is_small(described: &[IndexedPack]) -> bool {
    !is_enough(described.len(), described.iter().map(chunks_of).sum())
}

/// Writes index objects that describe these packs.
pub(crate) fn write_index(
    destination: &Destination,
    ring: &Keyring,
    packs: impl IntoIterator<Item = Result<IndexedPack, Error>>,
) -> Result<u64, Error> {
    let mut indexer = Indexer::new(destination, ring);
    for pack in packs {
        indexer.index(pack?)?;
    }
    indexer.write()?;
    Ok(indexer.stored)
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
