//! What a file or a folder's list of entries consists of: extents, in Merkle lists when there are many.
//!
//! A list that differs little from the same list of the previous backup is stored as a patch to it. A message store
//! of 250 MB has 62 000 pages; a day's 1 700 scattered changes touch nearly every list, and would cost 2 MB of
//! random ids each day without patches.

use crate::codec::{CodecError, Decoder, Encoder};
use crate::error::{Damage, Error};
use crate::id::ChunkId;

/// More extents than this go into list chunks.
const MAX_INLINE: usize = 16;
/// Extents in a list chunk.
const LIST_LEN: usize = 1024;
/// Lists of lists of … : 16 · 1024⁴ chunks are more than any file has.
const MAX_DEPTH: u8 = 4;

/// A piece of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// A chunk; above depth 0, a list chunk and the length of the content that it stands for.
    Chunk { id: ChunkId, len: u64 },
    /// Zeros that take no space: a hole in a sparse file.
    Hole { len: u64 },
}

impl Extent {
    pub(crate) const fn len(&self) -> u64 {
        match self {
            Self::Chunk { len, .. } | Self::Hole { len } => *len,
        }
    }

    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Chunk { id, len } => {
                encoder.varint(len << 1);
                encoder.raw(id.as_bytes());
            }
            Self::Hole { len } => encoder.varint(len << 1 | 1),
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let tag = decoder.varint()?;
        let len = tag >> 1;
        if len == 0 {
            return Err(CodecError::Invalid("an extent is empty"));
        }
        if tag & 1 == 1 {
            return Ok(Self::Hole { len });
        }
        Ok(Self::Chunk { id: ChunkId::from_bytes(decoder.array()?), len })
    }
}

fn decode_extents(decoder: &mut Decoder<'_>, limit: usize) -> Result<Vec<Extent>, CodecError> {
    let count = decoder.count(1)?;
    if count > limit {
        return Err(CodecError::Invalid("a list is longer than the format allows"));
    }
    let extents = (0..count).map(|_| Extent::decode(decoder)).collect::<Result<Vec<_>, _>>()?;
    total(&extents)?;
    Ok(extents)
}

/// The sum of the extents' lengths, if it is one that a file can have.
fn total(extents: &[Extent]) -> Result<u64, CodecError> {
    let sum = extents.iter().try_fold(0_u64, |sum, extent| sum.checked_add(extent.len()));
    sum.filter(|sum| *sum <= i64::MAX as u64).ok_or(CodecError::Invalid("a content is longer than any file"))
}

/// The content of a file, or the encoded entries of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// 0: the extents are data; otherwise they are lists of extents of one depth less.
    depth: u8,
    extents: Vec<Extent>,
}

impl Content {
    pub(crate) fn encode(&self, encoder: &mut Encoder) {
        encoder.u8(self.depth);
        encode_extents(&self.extents, encoder);
    }

    pub(crate) fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let depth = decoder.u8()?;
        if depth > MAX_DEPTH {
            return Err(CodecError::Invalid("lists are nested deeper than the format allows"));
        }
        Ok(Self { depth, extents: decode_extents(decoder, MAX_INLINE)? })
    }

    /// Length of the content in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.extents.iter().map(Extent::len).sum()
    }

    /// Its extents, in order; `load` fetches list chunks.
    pub(crate) fn extents<L: FnMut(&ChunkId) -> Result<Vec<u8>, Error>>(&self, load: L) -> Extents<L> {
        Extents { load, stack: vec![(self.depth, self.extents.clone().into_iter())], lists: Vec::new() }
    }

    /// Its extents from the one that holds byte `at` on, and where that one begins. Lists that end before it are not read.
    pub(crate) fn extents_from<L: FnMut(&ChunkId) -> Result<Vec<u8>, Error>>(
        &self,
        at: u64,
        load: L,
    ) -> Result<(u64, Extents<L>), Error> {
        let mut extents = self.extents(load);
        let mut start = 0;
        while let Some((depth, level)) = extents.stack.last_mut() {
            match level.as_slice().first() {
                None => drop(extents.stack.pop()),
                Some(extent) if start + extent.len() <= at => {
                    start += extent.len();
                    level.next();
                }
                Some(Extent::Chunk { .. }) if *depth > 0 => extents.descend()?,
                Some(_) => break,
            }
        }
        Ok((start, extents))
    }
}

/// What is met on a visit to all chunks of a content.
pub(crate) trait ChunkVisit {
    /// A chunk that the content needs. Whether to go on into it, if it is a list that stands for content of `depth`.
    fn meet(&mut self, id: &ChunkId, depth: u8) -> bool;
    /// Fetches a list.
    fn load(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error>;
}

/// Meets every chunk that a content needs: data, lists, and the lists that others are patches to.
pub(crate) fn visit(content: &Content, visitor: &mut impl ChunkVisit) -> Result<(), Error> {
    visit_extents(&content.extents, content.depth, visitor)
}

fn visit_extents(extents: &[Extent], depth: u8, visitor: &mut impl ChunkVisit) -> Result<(), Error> {
    for extent in extents {
        let Extent::Chunk { id, .. } = extent else { continue };
        if visitor.meet(id, depth) && depth > 0 {
            let list = load_list(&mut |id: &ChunkId| visitor.load(id), id)?;
            visitor.meet(&list.base, 0);
            visit_extents(&list.extents, depth - 1, visitor)?;
        }
    }
    Ok(())
}

fn encode_extents(extents: &[Extent], encoder: &mut Encoder) {
    encoder.varint(extents.len() as u64);
    for extent in extents {
        extent.encode(encoder);
    }
}

/// A list chunk.
#[derive(Debug, PartialEq, Eq)]
enum List {
    /// All its extents.
    Full(Vec<Extent>),
    /// Another list, which must be full, with some extents replaced: (position, extent), positions rising.
    Patch { base: ChunkId, replaced: Vec<(usize, Extent)> },
}

impl List {
    fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        match self {
            Self::Full(extents) => {
                encoder.u8(0);
                encode_extents(extents, &mut encoder);
            }
            Self::Patch { base, replaced } => {
                encoder.u8(1);
                encoder.raw(base.as_bytes());
                encoder.varint(replaced.len() as u64);
                for (position, extent) in replaced {
                    encoder.varint(*position as u64);
                    extent.encode(&mut encoder);
                }
            }
        }
        encoder.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut decoder = Decoder::new(bytes);
        let list = match decoder.u8()? {
            0 => Self::Full(decode_extents(&mut decoder, LIST_LEN)?),
            1 => {
                let base = ChunkId::from_bytes(decoder.array()?);
                let count = decoder.count(2)?;
                let mut replaced: Vec<(usize, Extent)> = Vec::with_capacity(count.min(LIST_LEN));
                for _ in 0..count {
                    let position = decoder.varint_u32()? as usize;
                    if position >= LIST_LEN || replaced.last().is_some_and(|(last, _)| *last >= position) {
                        return Err(CodecError::Invalid("a patch's positions do not rise"));
                    }
                    replaced.push((position, Extent::decode(&mut decoder)?));
                }
                Self::Patch { base, replaced }
            }
            _ => return Err(CodecError::Invalid("the kind of a list is unknown")),
        };
        decoder.finish()?;
        Ok(list)
    }
}

/// A list chunk, read back.
struct LoadedList {
    /// What it stands for.
    extents: Vec<Extent>,
    /// The full list that it is, or is a patch to.
    base: ChunkId,
    base_extents: Option<Vec<Extent>>,
}

fn load_list<L>(load: &mut L, id: &ChunkId) -> Result<LoadedList, Error>
where
    L: FnMut(&ChunkId) -> Result<Vec<u8>, Error>,
{
    let broken = |why: Damage| Error::damaged(format!("list {id:?}"), why);
    let (base, replaced) = match List::decode(&load(id)?).map_err(|error| broken(error.into()))? {
        List::Full(extents) => return Ok(LoadedList { extents, base: *id, base_extents: None }),
        List::Patch { base, replaced } => (base, replaced),
    };
    let List::Full(base_extents) = List::decode(&load(&base)?).map_err(|error| broken(error.into()))? else {
        return Err(broken(Damage::Contradiction));
    };
    let mut extents = base_extents.clone();
    for (position, extent) in replaced {
        *extents.get_mut(position).ok_or_else(|| broken(Damage::Contradiction))? = extent;
    }
    total(&extents).map_err(|error| broken(error.into()))?;
    Ok(LoadedList { extents, base, base_extents: Some(base_extents) })
}

/// Iterator over a content's extents, in order. A list that cannot be read costs its own extents only: it yields an
/// error, and the iteration goes on behind it.
pub(crate) struct Extents<L> {
    load: L,
    stack: Vec<(u8, std::vec::IntoIter<Extent>)>,
    lists: Vec<ChunkId>,
}

impl<L> Extents<L> {
    /// The list chunks met so far, bases of patches left out.
    pub(crate) fn take_lists(&mut self) -> Vec<ChunkId> {
        std::mem::take(&mut self.lists)
    }
}

impl<L: FnMut(&ChunkId) -> Result<Vec<u8>, Error>> Iterator for Extents<L> {
    type Item = Result<Extent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (depth, extents) = self.stack.last_mut()?;
            let depth = *depth;
            let Some(extent) = extents.next() else {
                self.stack.pop();
                continue;
            };
            let Extent::Chunk { id, len } = extent else { return Some(Ok(extent)) };
            if depth == 0 {
                return Some(Ok(extent));
            }
            if let Err(error) = self.enter(depth, &id, len) {
                return Some(Err(error));
            }
        }
    }
}

impl<L: FnMut(&ChunkId) -> Result<Vec<u8>, Error>> Extents<L> {
    /// Goes on with what a list at `depth` stands for.
    fn enter(&mut self, depth: u8, id: &ChunkId, len: u64) -> Result<(), Error> {
        self.lists.push(*id);
        let list = load_list(&mut self.load, id)?;
        if list.extents.iter().map(Extent::len).sum::<u64>() != len {
            return Err(Error::damaged(format!("list {id:?}"), Damage::Contradiction));
        }
        self.stack.push((depth - 1, list.extents.into_iter()));
        Ok(())
    }

    /// Enters the list that comes next.
    fn descend(&mut self) -> Result<(), Error> {
        let Some((depth, level)) = self.stack.last_mut() else { return Ok(()) };
        let depth = *depth;
        match level.next() {
            Some(Extent::Chunk { id, len }) => self.enter(depth, &id, len),
            _ => Ok(()),
        }
    }
}

/// Where list chunks go, and where those of the previous backup come from.
pub(crate) trait ListStore {
    /// Stores a list chunk.
    fn store_list(&mut self, bytes: &[u8]) -> Result<ChunkId, Error>;
    /// Loads a list chunk of an earlier backup.
    fn load_list(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error>;
}

/// Collects a content's extents into a [`Content`].
pub(crate) struct ContentBuilder {
    levels: Vec<Vec<Extent>>,
    /// The lists of the same file in the previous backup, deepest level, in order: candidates to patch.
    previous: std::vec::IntoIter<ChunkId>,
}

impl ContentBuilder {
    pub(crate) fn new() -> Self {
        Self::with_previous(Vec::new())
    }

    /// A builder that patches `previous`, the list chunks of depth 1 of the previous version (see
    /// [`leaf_lists`]), where that is shorter.
    pub(crate) fn with_previous(previous: Vec<ChunkId>) -> Self {
        Self { levels: vec![Vec::new()], previous: previous.into_iter() }
    }

    pub(crate) fn push(&mut self, extent: Extent, store: &mut impl ListStore) -> Result<(), Error> {
        if let (Extent::Hole { len }, Some(Extent::Hole { len: last })) = (&extent, self.levels[0].last_mut()) {
            *last += len;
            return Ok(());
        }
        self.push_at(0, extent, store)
    }

    fn push_at(&mut self, level: usize, extent: Extent, store: &mut impl ListStore) -> Result<(), Error> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        if self.levels[level].len() == LIST_LEN {
            self.flush(level, store)?;
        }
        self.levels[level].push(extent);
        Ok(())
    }

    /// Turns what has gathered at `level` into one extent a level higher.
    fn flush(&mut self, level: usize, store: &mut impl ListStore) -> Result<(), Error> {
        let extents = std::mem::take(&mut self.levels[level]);
        let len = extents.iter().map(Extent::len).sum();
        let previous = if level == 0 { self.previous.next() } else { None };
        let full = List::Full(extents).encode();
        let patch = match previous {
            Some(previous) => shorter_patch(&full, &previous, store)?,
            None => None,
        };
        let id = store.store_list(patch.as_deref().unwrap_or(&full))?;
        self.push_at(level + 1, Extent::Chunk { id, len }, store)
    }

    pub(crate) fn finish(mut self, store: &mut impl ListStore) -> Result<Content, Error> {
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.levels.len();
            if is_top && self.levels[level].len() <= MAX_INLINE {
                return Ok(Content { depth: level as u8, extents: std::mem::take(&mut self.levels[level]) });
            }
            self.flush(level, store)?;
            level += 1;
        }
    }
}

/// The patch that makes the list encoded as `full` out of the list `previous` (or out of its base), if that takes less
/// than half the bytes. A list that cannot be read any more is no reason to fail: the full one is stored.
fn shorter_patch(full: &[u8], previous: &ChunkId, store: &mut impl ListStore) -> Result<Option<Vec<u8>>, Error> {
    let (Ok(List::Full(extents)), Ok(loaded)) =
        (List::decode(full), load_list(&mut |id: &ChunkId| store.load_list(id), previous))
    else {
        return Ok(None);
    };
    let base = loaded.base_extents.unwrap_or(loaded.extents);
    if base.len() != extents.len() || base == extents {
        return Ok(None);
    }
    let changed = extents.iter().zip(&base).enumerate().filter(|(_, (new, old))| new != old);
    let replaced = changed.map(|(position, (new, _))| (position, *new)).collect();
    let patch = List::Patch { base: loaded.base, replaced }.encode();
    Ok((patch.len() * 2 < full.len()).then_some(patch))
}

/// The list chunks of depth 1 of a content, in order: none for a short one.
pub(crate) fn leaf_lists(content: &Content, store: &mut impl ListStore) -> Vec<ChunkId> {
    let mut lists = content.extents.clone();
    for _ in 1..content.depth {
        let mut deeper = Vec::new();
        for extent in lists {
            let Extent::Chunk { id, .. } = extent else { continue };
            match load_list(&mut |id: &ChunkId| store.load_list(id), &id) {
                Ok(list) => deeper.extend(list.extents),
                // Without it there is nothing to patch; the lists are stored in full.
                Err(_) => return Vec::new(),
            }
        }
        lists = deeper;
    }
    let ids = lists.iter().filter_map(|extent| match extent {
        Extent::Chunk { id, .. } => Some(*id),
        Extent::Hole { .. } => None,
    });
    if content.depth == 0 { Vec::new() } else { ids.collect() }
}

/// The list chunk that these bytes are, encoded again.
#[cfg(fuzzing)]
pub(crate) fn recode_list(bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
    List::decode(bytes).map(|list| list.encode())
}

#[cfg(test)]
#[path = "content_tests.rs"]
pub(crate) mod tests;
