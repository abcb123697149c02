//! Backing up one file: unchanged, read as it stands still, read again when it moves, or copied by SQLite.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::backup::{Found, Walk};
use crate::chunker::{HEAD_LEN, Kind};
use crate::content::{Content, ContentBuilder, Extent, leaf_lists};
use crate::error::Error;
use crate::source::{self, Region};
use crate::sqlite;
use crate::tree::{Node, NodeKind};

/// A file that changes while it is read is read so often before it is taken as it comes.
const TRIES: u32 = 3;
/// The part of a database that every transaction changes, bytes.
const DATABASE_HEAD: usize = 100;

/// What became of an attempt to read a file.
enum Attempt {
    /// Read as it was at one moment, or with its end growing, as of its length when it was opened.
    Whole(Content),
    /// It changed meanwhile.
    Moved(Content),
}

impl Walk<'_, '_> {
    /// Backs up a regular file: with the content `unchanged` if there is one, else by reading it.
    pub(crate) fn file(
        &mut self,
        path: &Path,
        mut node: Node,
        before: Option<Node>,
        unchanged: Option<Content>,
    ) -> Result<Option<Found>, Error> {
        if let Some(content) = unchanged {
            self.findings.files_unchanged += 1;
            return Ok(Some(self.take(path, node, content, false)));
        }
        let before = before.filter(|before| matches!(before.kind, NodeKind::File { .. }));
        let (content, copied) = match self.read(path, &mut node, before.as_ref())? {
            Ok(read) => read,
            Err(error) => {
                self.passed_over(path, &error);
                return Ok(None);
            }
        };
        match before {
            None => self.findings.files_new += 1,
            Some(_) => self.findings.files_changed += 1,
        }
        self.findings.bytes_read += content.len();
        Ok(Some(self.take(path, node, content, copied)))
    }

    fn take(&mut self, path: &Path, mut node: Node, content: Content, copied: bool) -> Found {
        self.progress.add(1, content.len());
        self.findings.totals.files += 1;
        self.findings.totals.bytes += content.len();
        node.kind = NodeKind::File { content };
        self.limit(path, &mut node);
        Found { node, copied }
    }

    /// A file's content in the previous snapshot, if the archive still holds all of it.
    pub(crate) fn still_held(&self, before: &Node) -> Option<Content> {
        let NodeKind::File { content } = &before.kind else { return None };
        (self.sink.is_whole() || self.holds(content)).then(|| content.clone())
    }

    fn holds(&self, content: &Content) -> bool {
        content.extents(|id| self.store.read(id)).all(|extent| match extent {
            Ok(Extent::Chunk { id, .. }) => self.sink.holds(&id),
            Ok(Extent::Hole { .. }) => true,
            Err(_) => false,
        })
    }

    /// Reads a file: its content, and whether it is a database that was copied. The inner error is the file's.
    fn read(
        &mut self,
        path: &Path,
        node: &mut Node,
        before: Option<&Node>,
    ) -> Result<io::Result<(Content, bool)>, Error> {
        let mut moved = None;
        for _ in 0..TRIES {
            let mut file = match source::open(path) {
                Ok(file) => file,
                Err(error) => return Ok(Err(error)),
            };
            let (metadata, kind) = match look_at(&mut file) {
                Ok(looked) => looked,
                Err(error) => return Ok(Err(error)),
            };
            if kind.is_database
                && (moved.is_some() || sqlite::has_journal(path))
                && let Some(content) = self.copy_database(path, before)?
            {
                return Ok(Ok((content, true)));
            }
            node.modified = source::modified(&metadata);
            node.changed = source::changed(&metadata);
            match self.attempt(path, &mut file, &metadata, kind, before)? {
                Ok(Attempt::Whole(content)) => return Ok(Ok((content, false))),
                Ok(Attempt::Moved(content)) => moved = Some(content),
                Err(error) => return Ok(Err(error)),
            }
        }
        self.findings.problem(path, "it kept changing while it was read: it is stored as it was read last");
        Ok(moved.map(|content| (content, false)).ok_or_else(|| io::Error::other("it could not be read")))
    }

    fn attempt(
        &mut self,
        path: &Path,
        file: &mut File,
        metadata: &Metadata,
        kind: Kind,
        before: Option<&Node>,
    ) -> Result<io::Result<Attempt>, Error> {
        let head = if kind.is_database { database_head(file) } else { Ok(Vec::new()) };
        let (head, content) = match (head, self.read_content(file, metadata, kind, before)?) {
            (Ok(head), Ok(content)) => (head, content),
            (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
        };
        let after = match file.metadata() {
            Ok(after) => after,
            Err(error) => return Ok(Err(error)),
        };
        let same = source::modified(&after) == source::modified(metadata) && after.size() == metadata.size();
        let whole = content.len() == metadata.size();
        if kind.is_database {
            let untouched = same && !sqlite::has_journal(path) && database_head(file).is_ok_and(|now| now == head);
            return Ok(Ok(if untouched { Attempt::Whole(content) } else { Attempt::Moved(content) }));
        }
        if whole && !same && after.size() > metadata.size() {
            self.findings.note(path, "it grew while it was read: it is stored up to its length at the beginning");
            return Ok(Ok(Attempt::Whole(content)));
        }
        Ok(Ok(if whole && same { Attempt::Whole(content) } else { Attempt::Moved(content) }))
    }

    /// Chunks the first `metadata.size()` bytes of a file.
    fn read_content(
        &mut self,
        file: &mut File,
        metadata: &Metadata,
        kind: Kind,
        before: Option<&Node>,
    ) -> Result<io::Result<Content>, Error> {
        let previous = match before {
            Some(Node { kind: NodeKind::File { content }, .. }) => leaf_lists(content, self.sink),
            _ => Vec::new(),
        };
        let mut builder = ContentBuilder::with_previous(previous);
        let regions = match source::regions(file, metadata.size(), metadata.blocks()) {
            Ok(regions) => regions,
            Err(error) => return Ok(Err(error)),
        };
        let sink = &mut *self.sink;
        for region in regions {
            let range = match region {
                Region::Data { start, end } => (start, end),
                Region::Hole { len } => {
                    builder.push(Extent::Hole { len }, sink)?;
                    continue;
                }
            };
            let cut = (self.chunker, kind.cuts);
            let read = source::read_chunks(file, range, cut, &mut self.buffer, |chunk| {
                let id = sink.put(kind.class, chunk)?;
                builder.push(Extent::Chunk { id, len: chunk.len() as u64 }, sink)
            })?;
            match read {
                Ok(read) if read == range.1 - range.0 => {}
                // It shrank: what there is goes in, and the caller sees that it is too little.
                Ok(_) => break,
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(builder.finish(sink)?))
    }

    /// Copies a live database through SQLite and chunks the copy; `None` when SQLite cannot.
    fn copy_database(&mut self, path: &Path, before: Option<&Node>) -> Result<Option<Content>, Error> {
        let copy = match sqlite::Copy::make(path, &self.scratch, self.findings.totals.files) {
            Ok(copy) => copy,
            Err(error) => {
                self.findings.note(path, format!("SQLite cannot copy it, it is read as a plain file: {error}"));
                return Ok(None);
            }
        };
        let read = match File::open(copy.path()).and_then(|mut file| look_at(&mut file).map(|looked| (file, looked))) {
            Ok((mut file, (metadata, kind))) => self.read_content(&mut file, &metadata, kind, before)?,
            Err(error) => Err(error),
        };
        match read {
            Ok(content) => {
                self.findings.note(path, "it is in use: it was copied consistently through SQLite");
                Ok(Some(content))
            }
            Err(error) => {
                self.findings.problem(path, format!("its consistent copy cannot be read: {error}"));
                Ok(None)
            }
        }
    }
}

/// Metadata and kind of an open file, which must still be a regular one.
fn look_at(file: &mut File) -> io::Result<(Metadata, Kind)> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file any more"));
    }
    let mut head = Vec::with_capacity(HEAD_LEN);
    file.take(HEAD_LEN as u64).read_to_end(&mut head)?;
    Ok((metadata, Kind::of(&head)))
}

fn database_head(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(DATABASE_HEAD);
    file.take(DATABASE_HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}
