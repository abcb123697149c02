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
use crate::deep::on_deep_stack;
use crate::envelope::{Keyring, ObjectCipher, ObjectType, PREFIX_LEN};
use crate::error::{Damage, Error};
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::index::{IdSet, IndexedPack, KnownPack, KnownSegment};
use crate::pack::{TRAILER_LEN, TocSegment, Trailer, open_segment};
use crate::report::{Problem, Progress, VerifyReport};
use crate::snapshot::Snapshot;
use crate::store::{self, ChunkStore};
use crate::tree::{Node, NodeKind};

/// What verifying the packs found.
#[derive(Default)]
struct PackFindings {
    problems: Vec<Problem>,
    /// Segments that do not hold what they should: pack and number.
    bad: HashSet<(u32, u32)>,
    bytes_read: u64,
}

/// Checks every pack: its table of contents against the index; with `read_data`, every segment and every chunk.
/// Returns the chunks of which no good copy was found.
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
            let found = verify_pack(store, number as u32, read_data)?;
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
    if found.bad.is_empty() {
        return Ok(IdSet::default());
    }
    Ok(store.index.only_in(&found.bad))
}

fn verify_pack(store: &ChunkStore<'_>, number: u32, read_data: bool) -> Result<PackFindings, Error> {
    let pack = &store.index.packs[number as usize];
    let path = ObjectType::Pack.path(&pack.name);
    let mut found = PackFindings::default();
    let checked = if read_data {
        store.destination.fetch_whole(&path, ObjectType::Pack.max_len()).and_then(|bytes| {
            found.bytes_read = bytes.len() as u64;
            check_bytes(store, number, &bytes, &mut found.bad)
        })
    } else {
        store::read_toc(store.destination, store.ring, &pack.name).and_then(|read| agree(store, number, &read))
    };
    match checked {
        Ok(()) if found.bad.is_empty() => {}
        Ok(()) => {
            let what = format!("{} of its {} segments are damaged", found.bad.len(), pack.segments.len());
            found.problems.push(Problem { path: path.into(), what });
        }
        Err(error) if error.is_damage() => {
            if matches!(error, Error::Destination { .. }) {
                found.bad.extend((0..pack.segments.len()).map(|segment| (number, segment as u32)));
            }
            found.problems.push(Problem { path: path.into(), what: error.to_string() });
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

/// Whether the index says the same of a pack as the pack's own table of contents.
fn agree(store: &ChunkStore<'_>, number: u32, read: &IndexedPack) -> Result<(), Error> {
    let known = &store.index.packs[number as usize];
    let same = |(known, read): (&KnownSegment, &TocSegment)| {
        known.sealed_len == read.sealed_len && known.plain_len == read.plain_len()
    };
    let agrees = known.salt == read.salt
        && known.segments.len() == read.toc.segments.len()
        && known.segments.iter().zip(&read.toc.segments).all(same)
        && read.toc.segments.iter().flat_map(|segment| &segment.chunks).all(|(id, _)| store.index.contains(id));
    if agrees { Ok(()) } else { Err(Error::damaged(ObjectType::Pack.path(&known.name), Damage::Contradiction)) }
}

/// Opens every segment where the index says that it is, as a restore would; then looks whether the pack could also
/// speak for itself, and whether every chunk has its id.
fn check_bytes(
    store: &ChunkStore<'_>,
    number: u32,
    bytes: &opendal::Buffer,
    bad: &mut HashSet<(u32, u32)>,
) -> Result<(), Error> {
    let pack = &store.index.packs[number as usize];
    let own = own_toc(store, pack, bytes);
    let cipher = ObjectCipher::from_salt(store.ring, ObjectType::Pack, &pack.name, &pack.salt);
    for (segment_number, segment) in pack.segments.iter().enumerate() {
        let range = segment.offset as usize..(segment.offset + segment.sealed_len) as usize;
        let sealed = if range.end <= bytes.len() { Ok(bytes.slice(range).to_vec()) } else { Err(Damage::Truncated) };
        let plain = sealed.and_then(|sealed| open_segment(&cipher, segment_number as u32, sealed, segment.plain_len));
        let chunks = own.as_ref().ok().and_then(|own| own.toc.segments.get(segment_number));
        let is_good = plain.is_ok_and(|plain| chunks.is_none_or(|chunks| have_their_ids(store.ring, &plain, chunks)));
        if !is_good {
            bad.insert((number, segment_number as u32));
        }
    }
    agree(store, number, &own?)
}

fn own_toc(store: &ChunkStore<'_>, pack: &KnownPack, bytes: &opendal::Buffer) -> Result<IndexedPack, Error> {
    let damaged = |why| Error::damaged(ObjectType::Pack.path(&pack.name), why);
    let prefix = bytes.slice(..bytes.len().min(PREFIX_LEN)).to_vec();
    let cipher = ObjectCipher::from_prefix(store.ring, ObjectType::Pack, &pack.name, &prefix)?;
    let trailer_at = bytes.len().checked_sub(TRAILER_LEN).filter(|at| *at >= PREFIX_LEN);
    let trailer_at = trailer_at.ok_or_else(|| damaged(Damage::Truncated))?;
    let trailer = Trailer::open(&cipher, &bytes.slice(trailer_at..).to_vec(), bytes.len() as u64).map_err(damaged)?;
    let toc = trailer.open_toc(&cipher, &bytes.slice(trailer.toc_at as usize..trailer_at).to_vec()).map_err(damaged)?;
    Ok(IndexedPack { name: pack.name, salt: cipher.salt(), toc })
}

fn have_their_ids(ring: &Keyring, plain: &[u8], segment: &TocSegment) -> bool {
    let mut rest = plain;
    segment.chunks.iter().all(|(id, len)| match rest.split_at_checked(*len as usize) {
        Some((chunk, behind)) => {
            rest = behind;
            ChunkId::of(&ring.keys.chunk_id, chunk) == *id
        }
        None => false,
    })
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
        on_deep_stack(|| self.folder(&path, &snapshot.root))?;
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
                Err(error) if error.is_damage() => {
                    is_whole = false;
                    self.report.problems.push(Problem { path: path.join("*"), what: format!("lost: {error}") });
                }
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
                Ok(Extent::Chunk { id, len }) => {
                    needed.insert(id);
                    let known = store.index.locations(&id).next();
                    if known.is_none() {
                        wrong = Some(Damage::ChunkMissing.to_string());
                    } else if known.is_some_and(|known| u64::from(known.len) != len) {
                        wrong = Some(Damage::ChunkId.to_string());
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
