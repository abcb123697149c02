//! A folder's entries as a content: written in chunks that end between entries, read back one entry at a time.

use std::collections::VecDeque;

use crate::codec::{CodecError, Encoder};
use crate::content::{Content, ContentBuilder, Extent, Extents};
use crate::error::{Damage, Error};
use crate::id::ChunkId;
use crate::pipeline::{Class, Sink};
use crate::store::ChunkStore;
use crate::tree::{Node, decode_entries};

/// A chunk of entries ends after one whose name hashes to 0 in so many bits (256 entries on average), …
const CUT_BITS: u32 = 8;
/// … but not before this many bytes, …
const MIN_CHUNK: usize = 4 << 10;
/// … and always after this many.
const MAX_CHUNK: usize = 128 << 10;

/// Writes a folder's entries, which must come in the order of their names.
pub(crate) struct FolderWriter<'g> {
    gear: &'g [u64; 256],
    entries: Encoder,
    content: ContentBuilder,
}

impl<'g> FolderWriter<'g> {
    pub(crate) fn new(gear: &'g [u64; 256]) -> Self {
        Self { gear, entries: Encoder::new(), content: ContentBuilder::new() }
    }

    pub(crate) fn push(&mut self, node: &Node, sink: &mut Sink<'_>) -> Result<(), Error> {
        node.encode(&mut self.entries);
        let len = self.entries.len();
        if len >= MAX_CHUNK || (len >= MIN_CHUNK && is_cut(self.gear, &node.name)) {
            self.flush(sink)?;
        }
        Ok(())
    }

    fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), Error> {
        let chunk = std::mem::take(&mut self.entries).finish();
        if chunk.is_empty() {
            return Ok(());
        }
        let id = sink.put(Class::Tree, &chunk)?;
        self.content.push(Extent::Chunk { id, len: chunk.len() as u64 }, sink)
    }

    pub(crate) fn finish(mut self, sink: &mut Sink<'_>) -> Result<Content, Error> {
        self.flush(sink)?;
        self.content.finish(sink)
    }
}

/// Whether a chunk ends after an entry of this name: a gear hash of the name, so that one new entry changes one chunk.
fn is_cut(gear: &[u64; 256], name: &[u8]) -> bool {
    let hash = name.iter().fold(0_u64, |hash, byte| (hash << 1).wrapping_add(gear[usize::from(*byte)]));
    hash >> (64 - CUT_BITS) == 0
}

type Load<'s> = Box<dyn FnMut(&ChunkId) -> Result<Vec<u8>, Error> + 's>;

/// Reads a folder's entries in order. A chunk that cannot be read costs the entries in it: an error takes their place.
pub(crate) struct Entries<'s> {
    store: &'s ChunkStore<'s>,
    extents: Extents<Load<'s>>,
    ready: VecDeque<Node>,
    last: Option<Vec<u8>>,
}

impl<'s> Entries<'s> {
    pub(crate) fn new(store: &'s ChunkStore<'s>, content: &Content) -> Self {
        let load: Load<'s> = Box::new(|id| store.read(id));
        Self { store, extents: content.extents(load), ready: VecDeque::new(), last: None }
    }

    fn fill(&mut self, extent: Extent) -> Result<(), Error> {
        let broken = |why: Damage| Error::damaged("a folder's entries", why);
        let Extent::Chunk { id, len } = extent else { return Err(broken(Damage::Contradiction)) };
        let chunk = self.store.read(&id)?;
        if chunk.len() as u64 != len {
            return Err(broken(Damage::Contradiction));
        }
        let nodes = decode_entries(&chunk).map_err(|error| broken(error.into()))?;
        if let (Some(last), Some(first)) = (&self.last, nodes.first())
            && *last >= first.name
        {
            return Err(broken(CodecError::Invalid("the entries of a folder are not in order").into()));
        }
        self.last = nodes.last().map(|node| node.name.clone()).or(self.last.take());
        self.ready.extend(nodes);
        Ok(())
    }

    /// The entry of this name, if the folder holds it; entries before it are passed over. For callers that ask for
    /// names in rising order; what cannot be read counts as not there.
    pub(crate) fn advance_to(&mut self, name: &[u8]) -> Option<Node> {
        loop {
            while self.ready.front().is_some_and(|node| node.name.as_slice() < name) {
                self.ready.pop_front();
            }
            if let Some(front) = self.ready.front() {
                return if front.name == name { self.ready.pop_front() } else { None };
            }
            if let Ok(extent) = self.extents.next()? {
                // What cannot be read is backed up as if it were new.
                let _ = self.fill(extent);
            }
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Node, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(node) = self.ready.pop_front() {
                return Some(Ok(node));
            }
            let filled = match self.extents.next()? {
                Ok(extent) => self.fill(extent),
                Err(error) => Err(error),
            };
            if let Err(error) = filled {
                return Some(Err(error));
            }
        }
    }
}
