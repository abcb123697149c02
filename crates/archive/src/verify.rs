//! Verifying: every object opens, every chunk that a snapshot needs is there; with `read_data`, every byte (of all
//! packs, or of some) is what was written.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::codec::Encoder;
use crate::content::{Content, Extent};
use crate::deep::on_deep_stack;
use crate::destination::Destination;
use crate::envelope::{ObjectCipher, ObjectType};
use crate::error::{Damage, Error};
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::index::{IdSet, IndexedPack, KnownPack, KnownSegment};
use crate::keyring::Keyring;
use crate::pack::{TocSegment, open_segment};
use crate::read_data::{ReadData, data_len};
use crate::report::{Problem, Progress, VerifyReport};
use crate::snapshot::Snapshot;
use crate::store::{self, ChunkStore, SegmentNumber};
use crate::tree::{Node, NodeKind};

/// Segments are read together up to so many bytes.
const GROUP: u64 = 4 << 20;

/// What verifying the packs found.
#[derive(Default)]
struct PackFindings {
    problems: Vec<Problem>,
    /// Segments that do not hold what they should: pack and number.
    bad: HashSet<SegmentNumber>,
    bytes_read: u64,
}

/// Checks every pack: its table of contents against the index; of the packs whose `read_data` are drawn, every segment and
/// every chunk. Returns the segments (pack and number) that do not hold what they should, and the packs that were read.
pub(crate) fn verify_packs(
    store: &ChunkStore<'_>,
    read_data: ReadData,
    progress: &Progress,
    report: &mut VerifyReport,
) -> Result<(HashSet<SegmentNumber>, HashSet<u32>), Error> {
    let packs = &store.index.packs;
    let drawn = read_data.draw(packs)?;
    progress.expect(packs.len() as u64, drawn.iter().map(|number| data_len(&packs[*number as usize])).sum());
    let next = AtomicUsize::new(0);
    let findings = Mutex::new(PackFindings::default());
    let work = || -> Result<(), Error> {
        while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < packs.len()) {
            let found = verify_pack(store, number as u32, drawn.contains(&(number as u32)))?;
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
    report.packs_read = drawn.len() as u64;
    report.bytes_read = found.bytes_read;
    report.bytes_stored = packs.iter().map(data_len).sum();
    report.problems.append(&mut found.problems);
    Ok((found.bad, drawn))
}

fn verify_pack(store: &ChunkStore<'_>, number: u32, read_data: bool) -> Result<PackFindings, Error> {
    let pack = &store.index.packs[number as usize];
    let path = ObjectType::Pack.path(&pack.name);
    let mut found = PackFindings::default();
    let own = match store::read_toc(store.destination, store.ring, &pack.name) {
        Ok(own) if agrees(store, pack, &own) => Ok(own),
        Ok(_) => Err(Error::damaged(&path, Damage::Contradiction)),
        Err(error) if error.is_damage() => Err(error),
        Err(error) => return Err(error),
    };
    if read_data {
        check_segments(store, number, own.as_ref().ok(), &mut found)?;
    } else if matches!(own, Err(Error::Destination { .. })) {
        // It is missing.
        found.bad.extend((0..pack.segments.len()).map(|segment| (number, segment as u32)));
    }
    let what = match own {
        Err(error) => error.to_string(),
        Ok(_) if found.bad.is_empty() => return Ok(found),
        Ok(_) => format!("{} of its {} segments are damaged", found.bad.len(), pack.segments.len()),
    };
    found.problems.push(Problem { path: path.into(), what });
    Ok(found)
}

/// Whether the index says the same of a pack as the pack's own table of contents.
fn agrees(store: &ChunkStore<'_>, known: &KnownPack, own: &IndexedPack) -> bool {
    let same = |(known, own): (&KnownSegment, &TocSegment)| {
        known.sealed_len == own.sealed_len && known.plain_len == own.plain_len()
    };
    known.salt == own.salt
        && known.epoch == own.epoch
        && known.segments.len() == own.toc.segments.len()
        && known.segments.iter().zip(&own.toc.segments).all(same)
        && own.toc.segments.iter().flat_map(|segment| &segment.chunks).all(|(id, _)| store.index.contains(id))
}

/// Opens every segment where the index says that it is, as a restore would, and looks whether every chunk has its id.
fn check_segments(
    store: &ChunkStore<'_>,
    number: u32,
    own: Option<&IndexedPack>,
    found: &mut PackFindings,
) -> Result<(), Error> {
    let pack = &store.index.packs[number as usize];
    let cipher = ObjectCipher::of_epoch(store.ring, pack.epoch, ObjectType::Pack, &pack.name, &pack.salt)?;
    let mut group = Group::default();
    for (segment_number, segment) in (0..).zip(&pack.segments) {
        let opened = match group.sealed(store.destination, pack, segment_number as usize) {
            Ok(sealed) => open_segment(&cipher, segment_number, sealed, segment.plain_len).ok(),
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error),
        };
        found.bytes_read += u64::from(segment.sealed_len);
        let chunks = own.and_then(|own| own.toc.segments.get(segment_number as usize));
        if !opened.is_some_and(|plain| chunks.is_none_or(|chunks| have_their_ids(store.ring, &plain, chunks))) {
            found.bad.insert((number, segment_number));
        }
    }
    Ok(())
}

/// Neighbouring segments, read in one go.
#[derive(Default)]
struct Group {
    sealed: VecDeque<Vec<u8>>,
}

impl Group {
    /// The sealed bytes of the next segment. Segments must be asked for in order.
    fn sealed(&mut self, destination: &Destination, pack: &KnownPack, number: usize) -> Result<Vec<u8>, Error> {
        if let Some(sealed) = self.sealed.pop_front() {
            return Ok(sealed);
        }
        let path = ObjectType::Pack.path(&pack.name);
        let segments = &pack.segments[number..];
        let start = u64::from(segments[0].offset);
        let end = |segment: &KnownSegment| u64::from(segment.offset) + u64::from(segment.sealed_len);
        let in_group = segments.iter().take_while(|segment| end(segment) <= start + GROUP).count().max(1);
        let group = &segments[..in_group];
        let Ok(bytes) = destination.read_range(&path, start, end(&group[in_group - 1]) - start) else {
            // Perhaps not all of them are out of reach.
            return destination.read_range(&path, start, segments[0].sealed_len.into());
        };
        let mut rest = bytes.as_slice();
        for segment in group {
            let (sealed, behind) = rest.split_at(segment.sealed_len as usize);
            self.sealed.push_back(sealed.to_vec());
            rest = behind;
        }
        self.sealed(destination, pack, number)
    }
}

fn have_their_ids(ring: &Keyring, plain: &[u8], segment: &TocSegment) -> bool {
    let mut rest = plain;
    segment.chunks.iter().all(|(id, len)| match rest.split_at_checked(*len as usize) {
        Some((chunk, behind)) => {
            rest = behind;
            ChunkId::of(&ring.chunk_id, chunk) == *id
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
