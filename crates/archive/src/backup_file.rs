//! Backing up one file: unchanged, read as it stands still, read again when it moves, or copied by SQLite.

use std::fs::File;
use std::io;
use std::mem;
use std::path::Path;

use crate::backup::{Found, Walk, has_settled, tick};
use crate::chunker::{HEAD_LEN, Kind};
use crate::content::{Content, ContentBuilder, Extent, leaf_lists};
use crate::databases::Capture;
use crate::error::Error;
use crate::source::{self, BUFFER, Metadata, Place, Region};
use crate::sqlite::{self, Fingerprint};
use crate::tree::{Node, NodeKind, Time, Xattrs};

/// A file that changes while it is read is read so often before it is taken as it comes.
const TRIES: u32 = 3;

/// What became of an attempt to read a file.
enum Attempt {
    /// Read as it was at one moment, or with its end growing, as of its length when it was opened.
    Whole(Content, Capture),
    /// It changed meanwhile.
    Moved(Content),
}

impl Walk<'_, '_> {
    /// Backs up a regular file: as the previous snapshot has it if it is unchanged, else by reading it.
    pub(crate) fn file(
        &mut self,
        place: Place<'_>,
        mut node: Node,
        (metadata, before): (&Metadata, Option<Node>),
        is_accompanied: bool,
    ) -> Result<Option<Found>, Error> {
        let path = place.path;
        if let Some((xattrs, content, capture)) = self.unchanged(path, (metadata, before.as_ref()), is_accompanied) {
            self.findings.tally.files_unchanged += 1;
            node.xattrs = xattrs;
            return Ok(Some(self.take(path, node, content, capture)));
        }
        let before = before.filter(|before| matches!(before.kind, NodeKind::File { .. }));
        let (content, capture) = match self.read(place, &mut node, before.as_ref(), is_accompanied)? {
            Ok(read) => read,
            Err(error) => {
                self.passed_over(path, &error);
                return Ok(None);
            }
        };
        match before {
            None => self.findings.tally.files_new += 1,
            Some(_) => self.findings.tally.files_changed += 1,
        }
        self.findings.tally.bytes_read += content.len();
        Ok(Some(self.take(path, node, content, capture)))
    }

    fn take(&mut self, path: &Path, mut node: Node, content: Content, capture: Capture) -> Found {
        self.progress.add(1, content.len());
        self.findings.tally.totals.files += 1;
        self.findings.tally.totals.bytes += content.len();
        node.kind = NodeKind::File { content };
        self.limit(path, &mut node);
        Found { node, capture }
    }

    /// A file's extended attributes and content in the previous snapshot, if the file has not changed since (a change
    /// of the attributes changes its times, too) and the archive holds all of it.
    fn unchanged(
        &self,
        path: &Path,
        (metadata, before): (&Metadata, Option<&Node>),
        is_accompanied: bool,
    ) -> Option<(Xattrs, Content, Capture)> {
        let before = before?;
        let NodeKind::File { content } = &before.kind else { return None };
        let fingerprint = is_accompanied.then(|| Fingerprint::of(path));
        // What a journal beside a database holds does not show in the database's own metadata.
        let is_unchanged = self.is_unchanged(metadata, before) && !(is_accompanied && sqlite::has_journal(path));
        let capture = fingerprint.map_or(Capture::Other, Capture::Complete);
        (is_unchanged && self.holds(content)).then(|| (before.xattrs.clone(), content.clone(), capture))
    }

    fn holds(&self, content: &Content) -> bool {
        content.extents(|id| self.store.read(id)).all(|extent| match extent {
            Ok(Extent::Chunk { id, .. }) => self.sink.holds(&id),
            Ok(Extent::Hole { .. }) => true,
            Err(_) => false,
        })
    }

    /// Reads a file until it stands still. The inner error is the file's.
    fn read(
        &mut self,
        place: Place<'_>,
        node: &mut Node,
        before: Option<&Node>,
        is_accompanied: bool,
    ) -> Result<io::Result<(Content, Capture)>, Error> {
        let path = place.path;
        let mut moved = None;
        for _ in 0..TRIES {
            let mut file = match OpenFile::settled(place, mem::take(&mut self.buffer)) {
                Ok(opened) => opened,
                Err(error) => return Ok(Err(error)),
            };
            node.xattrs = self.xattrs(path, source::file_xattrs(&file.file));
            if file.kind.is_database
                && (moved.is_some() || sqlite::may_be_in_use(path))
                && let Some(content) = self.copy_database(path, before)?
            {
                return Ok(Ok((content, Capture::Copied)));
            }
            node.modified = file.metadata.modified();
            node.changed = file.metadata.changed();
            let attempt = match file.kind.is_database {
                true => self.attempt_database(path, &mut file, before, is_accompanied)?,
                false => self.attempt(path, &mut file, before, is_accompanied)?,
            };
            match attempt {
                Ok(Attempt::Whole(content, capture)) => return Ok(Ok((content, capture))),
                Ok(Attempt::Moved(content)) => moved = Some(content),
                Err(error) => return Ok(Err(error)),
            }
        }
        self.findings.problem(path, "it kept changing while it was read: it is stored as it was read last");
        let content = moved.map(|content| (content, Capture::Other));
        Ok(content.ok_or_else(|| io::Error::other("it could not be read")))
    }

    fn attempt(
        &mut self,
        path: &Path,
        open: &mut OpenFile,
        before: Option<&Node>,
        is_accompanied: bool,
    ) -> Result<io::Result<Attempt>, Error> {
        // What has a journal beside it is a database of some kind, though an encrypted one does not say so.
        let fingerprint = is_accompanied.then(|| open.fingerprint(path));
        let content = match self.read_content(open, before)? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let after = match Metadata::of(&open.file) {
            Ok(after) => after,
            Err(error) => return Ok(Err(error)),
        };
        let (len, len_after) = (open.metadata.size(), after.size());
        // Who sets the time of a change back changes another one.
        let times = |metadata: &Metadata| (metadata.modified(), metadata.changed());
        let same = open.is_settled && times(&after) == times(&open.metadata) && len_after == len;
        let capture = fingerprint.map_or(Capture::Other, Capture::Partial);
        if content.len() == len && len_after > len {
            self.findings.note(path, "it grew while it was read: it is stored up to its length at the beginning");
            return Ok(Ok(Attempt::Whole(content, capture)));
        }
        let whole = same && content.len() == len;
        Ok(Ok(if whole { Attempt::Whole(content, capture) } else { Attempt::Moved(content) }))
    }

    /// A database that nobody seems to have open is read as it lies; that nobody had is seen afterwards.
    fn attempt_database(
        &mut self,
        path: &Path,
        open: &mut OpenFile,
        before: Option<&Node>,
        is_accompanied: bool,
    ) -> Result<io::Result<Attempt>, Error> {
        let (fingerprint, is_complete) = (open.fingerprint(path), sqlite::is_complete(path));
        let content = match self.read_content(open, before)? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        if content.len() != open.metadata.size() || Fingerprint::of(path) != fingerprint {
            return Ok(Ok(Attempt::Moved(content)));
        }
        let capture = match (is_accompanied, is_complete) {
            (false, _) => Capture::Other,
            (true, true) => Capture::Complete(fingerprint),
            (true, false) => Capture::Partial(fingerprint),
        };
        Ok(Ok(Attempt::Whole(content, capture)))
    }

    /// Chunks a file, up to the length that it had when it was opened. For once: what was read of it is used up.
    fn read_content(&mut self, open: &mut OpenFile, before: Option<&Node>) -> Result<io::Result<Content>, Error> {
        let OpenFile { file, metadata, kind, .. } = open;
        self.buffer = mem::take(&mut open.head);
        let previous = match before {
            Some(Node { kind: NodeKind::File { content }, .. }) => leaf_lists(content, self.sink),
            _ => Vec::new(),
        };
        let mut builder = ContentBuilder::with_previous(previous);
        let regions = match source::regions(file, metadata.size(), metadata.allocated()) {
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
            if range.0 > 0 {
                self.buffer.clear();
            }
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
        let copy = match sqlite::Copy::make(path, &self.scratch) {
            Ok(copy) => copy,
            Err(error) => {
                self.findings.note(path, format!("SQLite cannot copy it, it is read as a plain file: {error}"));
                return Ok(None);
            }
        };
        let opened = source::open(copy.path()).and_then(|file| OpenFile::of(file, Vec::new()));
        let read = match opened {
            Ok(mut open) => self.read_content(&mut open, before)?,
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

/// A file to be read.
struct OpenFile {
    file: File,
    metadata: Metadata,
    kind: Kind,
    /// Whether its times are old enough that any change from now on will show in them.
    is_settled: bool,
    /// Its first bytes: of a small file all.
    head: Vec<u8>,
}

impl OpenFile {
    /// What is to be known of a file that was opened just now, which must still be a regular one. Its first bytes go
    /// into `head`.
    fn of(file: File, mut head: Vec<u8>) -> io::Result<Self> {
        let metadata = Metadata::of(&file)?;
        if !metadata.file_type().is_file() {
            return Err(io::Error::other("it is no regular file any more"));
        }
        let is_settled = has_settled(metadata.changed(), Time::now());
        head.clear();
        head.reserve_exact(BUFFER);
        // What seems empty is asked for a byte, too: it may be a file that fails to be read.
        source::read_on(&file, 0, metadata.size().clamp(1, BUFFER as u64) as usize, &mut head)?;
        let kind = Kind::of(&head[..head.len().min(HEAD_LEN)]);
        Ok(Self { file, metadata, kind, is_settled, head })
    }

    /// The fingerprint from before anything of the file was read: what has been is read again.
    fn fingerprint(&mut self, path: &Path) -> Fingerprint {
        self.head.clear();
        Fingerprint::of(path)
    }

    /// Opens a file; if it changed within the last tick of the file system's clock, that tick is waited for.
    fn settled(place: Place<'_>, head: Vec<u8>) -> io::Result<Self> {
        let open = Self::of(place.open()?, head)?;
        let changed = open.metadata.changed();
        if open.is_settled || changed > Time::now() {
            // (A time in the future says nothing, and waiting would not help.)
            return Ok(Self { is_settled: true, ..open });
        }
        std::thread::sleep(tick(changed));
        Self::of(place.open()?, open.head)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_fingerprint_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        std::fs::write(&path, b"before").unwrap();
        let mut open = OpenFile::of(File::open(&path).unwrap(), Vec::new()).unwrap();
        assert_eq!(open.head, b"before");
        std::fs::write(&path, b"behind").unwrap();
        let fingerprint = open.fingerprint(&path);
        let mut read = mem::take(&mut open.head);
        source::read_on(&open.file, read.len() as u64, 6, &mut read).unwrap();
        assert_eq!(read, b"behind");
        assert_eq!(fingerprint, Fingerprint::of(&path));
    }

    #[test]
    fn refuses_what_is_no_regular_file_any_more() {
        assert!(OpenFile::of(File::open("/dev/null").unwrap(), Vec::new()).is_err());
    }
}
