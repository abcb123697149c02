//! Verifying: every object opens, every chunk that a snapshot needs is there; with `read_data`, every byte is what
//! was written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::codec::Encoder;
use crate::content::{Content, Extent};
use crate::destination::Destination;
use crate::envelope::{Keyring, ObjectCipher, ObjectType, PREFIX_LEN};
use crate::error::{Damage, Error};
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::index::{IdSet, IndexedPack};
use crate::pack::{TRAILER_LEN, Toc, Trailer, open_segment};
use crate::report::{Problem, Progress, VerifyReport};
use crate::snapshot::Snapshot;
use crate::store::{self, ChunkStore};
use crate::tree::{Node, NodeKind};

/// What verifying the packs found.
#[derive(Default)]
struct PackFindings {
    problems: Vec<Problem>,
    /// Chunks that are not what they should be.
    bad: IdSet<ChunkId>,
    bytes_read: u64,
}

/// Checks every pack: against its own table of contents, and that against the index; with `read_data`, in full.
pub(crate) fn verify_packs(
    store: &ChunkStore<'_>,
    read_data: bool,
    progress: &Progress,
    report: &mut VerifyReport,
) -> Result<IdSet<ChunkId>, Error> {
    let packs = &store.index.packs;
    let total: u64 = packs.iter().flat_map(|pack| &pack.segments).map(|segment| u64::from(segment.sealed_len)).sum();
    progress.expect(packs.len() as u64, if read_data { total } else { 0 });
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(PackFindings::default());
    let work = || -> Result<(), Error> {
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < packs.len()) {
            let found = verify_pack(store, number, read_data)?;
            progress.add(1, found.bytes_read);
            let mut all = findings.lock().unwrap_or_else(PoisonError::into_inner);
            all.problems.extend(found.problems);
            all.bad.extend(found.bad);
            all.bytes_read += found.bytes_read;
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let mut found = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.problems.sort_by(|one, other| one.path.cmp(&other.path));
    report.packs = packs.len() as u64;
    report.bytes_read = found.bytes_read;
    report.problems.append(&mut found.problems);
    Ok(found.bad)
}

fn verify_pack(store: &ChunkStore<'_>, number: usize, read_data: bool) -> Result<PackFindings, Error> {
    let pack = &store.index.packs[number];
    let path = ObjectType::Pack.path(&pack.name);
    let mut found = PackFindings::default();
    let checked = if read_data {
        read_whole(store.destination, store.ring, pack.name, &mut found)
    } else {
        store::read_toc(store.destination, store.ring, &pack.name)
    };
    match checked {
        Ok(read) if agrees(store, number as u32, &read) => {}
        Ok(_) => found.problems.push(Problem { path: path.into(), what: Damage::Contradiction.to_string() }),
        Err(error) if error.is_damage() => {
            if matches!(&error, Error::Destination { .. }) || !read_data {
                // Nothing of it can be relied on. (Read in full, each segment has spoken for itself.)
                found.bad.extend(store.index.chunks_of(number as u32));
            }
            found.problems.push(Problem { path: path.into(), what: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Whether the index says the same of a pack as the pack's own table of contents.
fn agrees(store: &ChunkStore<'_>, number: u32, read: &IndexedPack) -> bool {
    let known = &store.index.packs[number as usize];
    let same = |(known, read): (&crate::index::KnownSegment, &crate::pack::TocSegment)| {
        known.sealed_len == read.sealed_len && known.plain_len == read.plain_len()
    };
    known.salt == read.salt
        && known.segments.len() == read.toc.segments.len()
        && known.segments.iter().zip(&read.toc.segments).all(same)
        && read.toc.segments.iter().flat_map(|segment| &segment.chunks).all(|(id, _)| store.index.contains(id))
}

/// Reads a pack in one go and opens everything in it. Segments that fail mark their chunks as bad.
fn read_whole(
    destination: &Destination,
    ring: &Keyring,
    name: crate::id::ObjectName,
    found: &mut PackFindings,
) -> Result<IndexedPack, Error> {
    let path = ObjectType::Pack.path(&name);
    let damaged = |why| Error::damaged(path.clone(), why);
    let bytes = destination.read(&path)?;
    found.bytes_read = bytes.len() as u64;
    let cipher = ObjectCipher::from_prefix(ring, ObjectType::Pack, &name, &bytes)?;
    let trailer_at = bytes.len().checked_sub(TRAILER_LEN).filter(|at| *at >= PREFIX_LEN);
    let trailer_at = trailer_at.ok_or_else(|| damaged(Damage::Truncated))?;
    let trailer = Trailer::open(&cipher, &bytes[trailer_at..], bytes.len() as u64).map_err(damaged)?;
    let toc_at = trailer.toc_at as usize;
    let toc: Toc = trailer.open_toc(&cipher, &bytes[toc_at..trailer_at]).map_err(damaged)?;
    let mut at = PREFIX_LEN;
    let mut worst = None;
    for (number, segment) in toc.segments.iter().enumerate() {
        let sealed = bytes[at..at + segment.sealed_len as usize].to_vec();
        at += segment.sealed_len as usize;
        match open_segment(&cipher, number as u32, sealed, segment.plain_len()) {
            Ok(plain) => check_chunks(ring, &plain, &segment.chunks, found, &mut worst),
            Err(why) => {
                worst = Some(why);
                found.bad.extend(segment.chunks.iter().map(|(id, _)| *id));
            }
        }
    }
    match worst {
        None => Ok(IndexedPack { name, salt: cipher.salt(), toc }),
        Some(why) => Err(damaged(why)),
    }
}

fn check_chunks(
    ring: &Keyring,
    plain: &[u8],
    chunks: &[(ChunkId, u32)],
    found: &mut PackFindings,
    worst: &mut Option<Damage>,
) {
    let mut at = 0;
    for (id, len) in chunks {
        let chunk = &plain[at..at + *len as usize];
        at += *len as usize;
        if ChunkId::of(&ring.keys.chunk_id, chunk) != *id {
            *worst = Some(Damage::ChunkId);
            found.bad.insert(*id);
        }
    }
}

/// The walk over every snapshot's tree, each folder and each content once.
pub(crate) struct TreeCheck<'a> {
    store: &'a ChunkStore<'a>,
    bad: IdSet<ChunkId>,
    needed: IdSet<ChunkId>,
    /// Contents that were found whole.
    whole: HashSet<Vec<u8>>,
    report: &'a mut VerifyReport,
}

impl<'a> TreeCheck<'a> {
    pub(crate) fn new(store: &'a ChunkStore<'a>, bad: IdSet<ChunkId>, report: &'a mut VerifyReport) -> Self {
        Self { store, bad, needed: IdSet::default(), whole: HashSet::new(), report }
    }

    /// Checks that everything in a snapshot can be restored, and names what cannot.
    pub(crate) fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        let path = PathBuf::from(format!("snapshot {}", snapshot.head.number));
        self.folder(&path, &snapshot.root)?;
        self.report.snapshots += 1;
        self.report.chunks = self.needed.len() as u64;
        Ok(())
    }

    /// Whether all of a folder is there.
    fn folder(&mut self, path: &Path, content: &Content) -> Result<bool, Error> {
        let key = key_of(content);
        if self.whole.contains(&key) {
            return Ok(true);
        }
        let mut is_whole = self.chunks(path, content)?;
        for node in Entries::new(self.store, content) {
            match node {
                Ok(node) => is_whole &= self.node(&path.join(node.name()), &node)?,
                // Its chunk was found bad a moment ago.
                Err(error) if error.is_damage() => is_whole = false,
                Err(error) => return Err(error),
            }
        }
        if is_whole {
            self.whole.insert(key);
        }
        Ok(is_whole)
    }

    fn node(&mut self, path: &Path, node: &Node) -> Result<bool, Error> {
        match &node.kind {
            NodeKind::Directory { content } => self.folder(path, content),
            NodeKind::File { content } => self.chunks(path, content),
            _ => Ok(true),
        }
    }

    /// Whether every chunk of a content is there and, as far as is known, good.
    fn chunks(&mut self, path: &Path, content: &Content) -> Result<bool, Error> {
        let mut wrong = None;
        let (store, bad, needed) = (self.store, &self.bad, &mut self.needed);
        // A bad list is not read: what is cached of it would hide the damage.
        let load = |id: &ChunkId| match bad.contains(id) {
            true => Err(Error::damaged(format!("list {id:?}"), Damage::Tag)),
            false => store.read(id),
        };
        let mut extents = content.extents(load);
        for extent in &mut extents {
            match extent {
                Ok(Extent::Hole { .. }) => {}
                Ok(Extent::Chunk { id, .. }) => {
                    needed.insert(id);
                    if !store.index.contains(&id) {
                        wrong = Some(Damage::ChunkMissing.to_string());
                    } else if bad.contains(&id) {
                        wrong = Some("a pack that holds a part of it is damaged".to_owned());
                    }
                }
                Err(error) if error.is_damage() => wrong = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        needed.extend(extents.take_lists());
        let Some(wrong) = wrong else { return Ok(true) };
        self.report.problems.push(Problem { path: path.to_owned(), what: format!("cannot be restored: {wrong}") });
        Ok(false)
    }
}

fn key_of(content: &Content) -> Vec<u8> {
    let mut encoder = Encoder::new();
    content.encode(&mut encoder);
    encoder.finish()
}
