//! Looking into snapshots bit by bit: a folder's entries, a stretch of a file.

use std::ops::Range;

use crate::archive::Archive;
use crate::content::{Content, Extent};
use crate::error::Error;
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::snapshot::Snapshot;
use crate::store::ChunkStore;
use crate::tree::{Node, NodeKind};

/// An archive whose index is loaded. It may be used by several threads at once, and keeps no more in memory than the index
/// and the segments that were read last.
pub struct Browser<'a> {
    store: ChunkStore<'a>,
}

impl std::fmt::Debug for Browser<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Browser({})", self.store.destination.url())
    }
}

impl Archive {
    /// Loads the index, to look into snapshots for as long as one likes.
    ///
    /// # Errors
    /// `Destination` when it fails.
    pub fn browse(&self) -> Result<Browser<'_>, Error> {
        Ok(Browser { store: self.chunk_store()? })
    }
}

impl Snapshot {
    /// The folder that holds what lies on the way to the sources, and all of them. It has the times of the backup.
    pub fn top(&self) -> Node {
        Node {
            name: self.head.number.to_string().into_bytes(),
            kind: NodeKind::Directory { content: self.root.clone() },
            mode: 0o755,
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            modified: self.started,
            changed: self.started,
            inode: 0,
            linked_on: None,
            xattrs: Vec::new(),
        }
    }
}

impl Browser<'_> {
    /// A folder's entries in the order of their names; none of what is no folder.
    ///
    /// # Errors
    /// `Damaged` when a part of it cannot be read; `Destination`.
    pub fn entries(&self, folder: &Node) -> Result<Vec<Node>, Error> {
        match &folder.kind {
            NodeKind::Directory { content } => Entries::new(&self.store, content).collect(),
            _ => Ok(Vec::new()),
        }
    }

    /// Up to `len` bytes of a file from `at` on; fewer at its end, and none of what is no file.
    ///
    /// # Errors
    /// `Damaged` when one of them cannot be read; `Destination`.
    pub fn read(&self, file: &Node, at: u64, len: usize) -> Result<Vec<u8>, Error> {
        match &file.kind {
            NodeKind::File { content } => self.read_content(content, at..at.saturating_add(len as u64)),
            _ => Ok(Vec::new()),
        }
    }

    fn read_content(&self, content: &Content, wanted: Range<u64>) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let (mut start, extents) = content.extents_from(wanted.start, |id| self.store.read(id))?;
        for extent in extents {
            let extent = extent?;
            if start >= wanted.end {
                break;
            }
            // The part of this extent that is wanted.
            let from = wanted.start.saturating_sub(start).min(extent.len());
            let to = (wanted.end - start).min(extent.len());
            match extent {
                Extent::Hole { .. } => bytes.resize(bytes.len() + (to - from) as usize, 0),
                Extent::Chunk { id, len } => self.append(&id, len, from as usize..to as usize, &mut bytes)?,
            }
            start += extent.len();
        }
        Ok(bytes)
    }

    fn append(&self, id: &ChunkId, len: u64, part: Range<usize>, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let (segment, range) = self.store.chunk(id, len)?;
        bytes.extend_from_slice(&segment[range][part]);
        Ok(())
    }
}
