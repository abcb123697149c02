//! What the snapshots need: every chunk that one of them leads to. Whoever removes something must know all of it, so
//! that nothing unreadable is stepped over here.

use std::collections::HashSet;

use crate::codec::Encoder;
use crate::content::{self, ChunkVisit, Content};
use crate::deep::on_deep_stack;
use crate::error::Error;
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::index::IdSet;
use crate::snapshot::Snapshot;
use crate::store::ChunkStore;
use crate::tree::NodeKind;

/// The chunks that snapshots need: 33 bytes each, and up to twice that as the table grows.
#[derive(Default)]
pub(crate) struct Needed {
    pub(crate) chunks: IdSet<ChunkId>,
    /// Lists that have been followed, by the depth of what they stand for.
    lists: HashSet<(u8, ChunkId)>,
    /// Folders that have been walked.
    folders: HashSet<Vec<u8>>,
}

impl Needed {
    /// Adds what these snapshots need.
    ///
    /// # Errors
    /// `Damaged` for the first part of a tree that cannot be read: what lies below may need anything.
    pub(crate) fn add<'s>(
        &mut self,
        store: &ChunkStore<'_>,
        snapshots: impl Iterator<Item = &'s Snapshot> + Send,
    ) -> Result<(), Error> {
        on_deep_stack(|| {
            for snapshot in snapshots {
                Walk { store, needed: self }.folder(&snapshot.root)?;
            }
            Ok(())
        })
    }
}

struct Walk<'a, 's> {
    store: &'a ChunkStore<'s>,
    needed: &'a mut Needed,
}

impl Walk<'_, '_> {
    fn folder(&mut self, folder: &Content) -> Result<(), Error> {
        let mut key = Encoder::new();
        folder.encode(&mut key);
        if !self.needed.folders.insert(key.finish()) {
            return Ok(());
        }
        content::visit(folder, self)?;
        for node in Entries::new(self.store, folder) {
            match node?.kind {
                NodeKind::Directory { content } => self.folder(&content)?,
                NodeKind::File { content } => content::visit(&content, self)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl ChunkVisit for Walk<'_, '_> {
    fn meet(&mut self, id: &ChunkId, depth: u8) -> bool {
        self.needed.chunks.insert(*id);
        depth > 0 && self.needed.lists.insert((depth, *id))
    }

    fn load(&mut self, id: &ChunkId) -> Result<Vec<u8>, Error> {
        self.store.read(id)
    }
}
