//! The way of new chunks: deduplicate → segment → compress (on every core) → seal into packs → store → index.
//!
//! One thread reads and chunks, some compress, one seals, one stores (behind a network some: a request spends its time
//! waiting), one indexes; bounded channels between them bound the memory: about 8 segments of 1 MiB, and 2 packs of 16 MiB
//! besides those being stored.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::content::ListStore;
use crate::deep::on_deep_stack;
use crate::destination::Destination;
use crate::envelope::{Keyring, ObjectType, seal_object};
use crate::error::{DestinationErrorKind, Error};
use crate::frame;
use crate::id::{ChunkId, ObjectName};
use crate::index::{self, IdSet, IndexedPack};
use crate::pack::{FinishedPack, MAX_SEGMENT, PackWriter, Segment, SegmentKind};
use crate::store::ChunkStore;

/// An index object is written for so many packs, …
const PACKS_PER_INDEX: usize = 32;
/// … or chunks, whichever come first.
const CHUNKS_PER_INDEX: usize = 100_000;
/// Segments that wait between two stages.
const QUEUED_SEGMENTS: usize = 2;

/// How chunks are gathered into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Text, databases, anything unknown: compressed where that helps.
    Text,
    /// Compressed already: stored as it is.
    Media,
    /// Folders' entries and lists.
    Tree,
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
    open: [OpenSegment; 3],
    segments: SyncSender<OpenSegment>,
}

impl Sink<'_> {
    /// The id of a chunk, which is stored if it is new. At most [`MAX_SEGMENT`] bytes.
    pub(crate) fn put(&mut self, class: Class, chunk: &[u8]) -> Result<ChunkId, Error> {
        let id = ChunkId::of(&self.store.ring.keys.chunk_id, chunk);
        if self.holds(&id) {
            return Ok(id);
        }
        self.fresh.insert(id);
        let full = self.open[class as usize].bytes.len() - 1 + chunk.len() > MAX_SEGMENT;
        if full {
            self.flush(class)?;
        }
        let open = &mut self.open[class as usize];
        if open.bytes.capacity() < MAX_SEGMENT && open.bytes.len() + chunk.len() > open.bytes.capacity() {
            open.bytes.reserve(MAX_SEGMENT + 1 - open.bytes.len());
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
    thread::scope(|scope| {
        let (to_compress, compress_from) = sync_channel(QUEUED_SEGMENTS);
        let (to_pack, pack_from) = sync_channel(QUEUED_SEGMENTS);
        // A full pack is handed over directly: one being filled and those being stored are enough.
        let (to_store, store_from) = sync_channel(0);
        let (to_index, index_from) = sync_channel(0);
        let compress_from = Arc::new(Mutex::new(compress_from));
        let store_from = Arc::new(Mutex::new(store_from));
        for _ in 0..workers {
            let (from, to) = (Arc::clone(&compress_from), to_pack.clone());
            scope.spawn(move || compress(&from, &to));
        }
        for _ in 0..store.destination.uploads() {
            let (from, to) = (Arc::clone(&store_from), to_index.clone());
            scope.spawn(move || upload(store.destination, &from, &to));
        }
        drop((to_pack, compress_from, to_index, store_from));
        let packer = scope.spawn(|| pack(store.ring, pack_from, to_store));
        let storer = scope.spawn(|| Storer::new(store.destination, store.ring).run(unindexed, index_from));
        let open = [Class::Text, Class::Media, Class::Tree].map(OpenSegment::new);
        let mut sink = Sink { store, fresh: IdSet::default(), open, segments: to_compress };
        let worked = on_deep_stack(|| work(&mut sink)).and_then(|done| {
            [Class::Text, Class::Media, Class::Tree].into_iter().try_for_each(|class| sink.flush(class))?;
            Ok(done)
        });
        // Closes the first channel, and so, one after the other, the rest.
        drop(sink);
        let packed = joined(packer.join());
        let stored = joined(storer.join())?;
        packed?;
        Ok((worked?, stored))
    })
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn compress(from: &Mutex<Receiver<OpenSegment>>, to: &SyncSender<Segment>) {
    let mut compressor = zstd::bulk::Compressor::new(frame::LEVEL).ok();
    loop {
        let received = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(segment) = received else { return };
        let packed = match (segment.class, &mut compressor) {
            (Class::Media, _) | (_, None) => None,
            (_, Some(compressor)) => compressed(compressor, &segment.bytes[1..]),
        };
        let kind = if segment.class == Class::Tree { SegmentKind::Tree } else { SegmentKind::Data };
        let payload = packed.unwrap_or(segment.bytes);
        if to.send(Segment { kind, payload, chunks: segment.chunks }).is_err() {
            return;
        }
    }
}

/// The payload of a compressed segment, if that saves at least one byte in 32.
fn compressed(compressor: &mut zstd::bulk::Compressor<'_>, plain: &[u8]) -> Option<Vec<u8>> {
    let mut payload = Vec::with_capacity(1 + zstd::zstd_safe::compress_bound(plain.len()));
    payload.push(frame::ZSTD);
    let packed = compressor.compress(plain).ok()?;
    payload.extend_from_slice(&packed);
    (packed.len() < plain.len() - plain.len() / 32).then_some(payload)
}

/// Fills one pack with data and one with trees at a time.
fn pack(ring: &Keyring, from: Receiver<Segment>, to: SyncSender<FinishedPack>) -> Result<(), Error> {
    let mut open: [Option<PackWriter>; 2] = [None, None];
    for segment in from {
        let slot = &mut open[usize::from(segment.kind == SegmentKind::Tree)];
        if let Some(full) = slot.take_if(|pack| !pack.fits(&segment)) {
            to.send(full.finish()).map_err(|_| stopped())?;
        }
        match slot {
            Some(pack) => pack.append(segment),
            None => {
                let pack = slot.insert(PackWriter::new(ring)?);
                // Deduplication sees to it: a segment has fewer than 400 000 distinct chunks, however small.
                debug_assert!(pack.fits(&segment), "a segment does not fit an empty pack");
                pack.append(segment);
            }
        }
    }
    for last in open.into_iter().flatten() {
        to.send(last.finish()).map_err(|_| stopped())?;
    }
    Ok(())
}

/// A pack that is stored, with its length.
type Stored = Result<(IndexedPack, u64), Error>;

/// Stores one pack after the other. A failure ends all of it: who takes the results stops.
fn upload(destination: &Destination, from: &Mutex<Receiver<FinishedPack>>, to: &SyncSender<Stored>) {
    loop {
        let received = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(pack) = received else { return };
        let (len, path) = (pack.bytes.len() as u64, ObjectType::Pack.path(&pack.name));
        let written = destination.write(&path, pack.bytes);
        let has_failed = written.is_err();
        let stored = written.map(|()| (IndexedPack { name: pack.name, salt: pack.salt, toc: pack.toc }, len));
        if to.send(stored).is_err() || has_failed {
            return;
        }
    }
}

/// Takes what was stored, and writes an index now and then.
struct Storer<'a> {
    destination: &'a Destination,
    ring: &'a Keyring,
    pending: Vec<IndexedPack>,
    pending_chunks: usize,
    /// Bytes of all objects written.
    stored: u64,
}

impl<'a> Storer<'a> {
    fn new(destination: &'a Destination, ring: &'a Keyring) -> Self {
        Self { destination, ring, pending: Vec::new(), pending_chunks: 0, stored: 0 }
    }

    fn run(mut self, unindexed: Vec<IndexedPack>, from: Receiver<Stored>) -> Result<u64, Error> {
        for pack in unindexed {
            self.index(pack)?;
        }
        for stored in from {
            let (pack, len) = stored?;
            self.stored += len;
            self.index(pack)?;
        }
        self.write_index()?;
        Ok(self.stored)
    }

    fn index(&mut self, pack: IndexedPack) -> Result<(), Error> {
        self.pending_chunks += pack.toc.segments.iter().map(|segment| segment.chunks.len()).sum::<usize>();
        self.pending.push(pack);
        if self.pending.len() >= PACKS_PER_INDEX || self.pending_chunks >= CHUNKS_PER_INDEX {
            self.write_index()?;
        }
        Ok(())
    }

    fn write_index(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let name = ObjectName::generate()?;
        let object = seal_object(self.ring, ObjectType::Index, &name, &index::encode(&self.pending))?;
        self.stored += object.len() as u64;
        self.destination.write(&ObjectType::Index.path(&name), object)?;
        self.pending.clear();
        self.pending_chunks = 0;
        Ok(())
    }
}
