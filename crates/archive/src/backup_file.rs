//! Backing up one file: unchanged, read as it stands still, read again when it moves, or copied by SQLite.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::backup::{Found, Walk, has_settled, tick};
use crate::chunker::{HEAD_LEN, Kind};
use crate::content::{Content, ContentBuilder, Extent, leaf_lists};
use crate::databases::Capture;
use crate::error::Error;
use crate::source::{self, Region};
use crate::sqlite::{self, Fingerprint};
use crate::tree::{Node, NodeKind, Time};

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
        path: &Path,
        mut node: Node,
        (metadata, before): (&Metadata, Option<Node>),
        is_accompanied: bool,
    ) -> Result<Option<Found>, Error> {
        if let Some((content, capture)) = self.unchanged(path, (metadata, before.as_ref()), is_accompanied) {
            self.findings.tally.files_unchanged += 1;
            return Ok(Some(self.take(path, node, content, capture)));
        }
        let before = before.filter(|before| matches!(before.kind, NodeKind::File { .. }));
        let (content, capture) = match self.read(path, &mut node, before.as_ref(), is_accompanied)? {
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

    /// A file's content in the previous snapshot, if the file has not changed since and the archive holds all of it.
    fn unchanged(
        &self,
        path: &Path,
        (metadata, before): (&Metadata, Option<&Node>),
        is_accompanied: bool,
    ) -> Option<(Content, Capture)> {
        let before = before?;
        let NodeKind::File { content } = &before.kind else { return None };
        let fingerprint = is_accompanied.then(|| Fingerprint::of(path));
        // What a journal beside a database holds does not show in the database's own metadata.
        let is_unchanged = self.is_unchanged(metadata, before) && !(is_accompanied && sqlite::has_journal(path));
        let capture = fingerprint.map_or(Capture::Other, Capture::Complete);
        (is_unchanged && self.holds(content)).then(|| (content.clone(), capture))
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
        path: &Path,
        node: &mut Node,
        before: Option<&Node>,
        is_accompanied: bool,
    ) -> Result<io::Result<(Content, Capture)>, Error> {
        let mut moved = None;
        for _ in 0..TRIES {
            let mut file = match OpenFile::settled(path) {
                Ok(opened) => opened,
                Err(error) => return Ok(Err(error)),
            };
            if file.kind.is_database
                && (moved.is_some() || sqlite::may_be_in_use(path))
                && let Some(content) = self.copy_database(path, before)?
            {
                return Ok(Ok((content, Capture::Copied)));
            }
            node.modified = source::modified(&file.metadata);
            node.changed = source::changed(&file.metadata);
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
        let fingerprint = is_accompanied.then(|| Fingerprint::of(path));
        let content = match self.read_content(open, before)? {
            Ok(content) => content,
            Err(error) => return Ok(Err(error)),
        };
        let after = match open.file.metadata() {
            Ok(after) => after,
            Err(error) => return Ok(Err(error)),
        };
        let (len, len_after) = (open.metadata.size(), after.size());
        // Who sets the time of a change back changes another one.
        let times = |metadata: &Metadata| (source::modified(metadata), source::changed(metadata));
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
        let (fingerprint, is_complete) = (Fingerprint::of(path), sqlite::is_complete(path));
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

    /// Chunks a file, up to the length that it had when it was opened.
    fn read_content(&mut self, open: &mut OpenFile, before: Option<&Node>) -> Result<io::Result<Content>, Error> {
        let OpenFile { file, metadata, kind, .. } = open;
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
        let copy = match sqlite::Copy::make(path, &self.scratch) {
            Ok(copy) => copy,
            Err(error) => {
                self.findings.note(path, format!("SQLite cannot copy it, it is read as a plain file: {error}"));
                return Ok(None);
            }
        };
        let read = match OpenFile::of(copy.path()) {
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
}

impl OpenFile {
    /// Opens a file, which must still be a regular one.
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = source::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file any more"));
        }
        let is_settled = has_settled(source::changed(&metadata), Time::now());
        let mut head = Vec::with_capacity(HEAD_LEN);
        (&mut file).take(HEAD_LEN as u64).read_to_end(&mut head)?;
        Ok(Self { file, metadata, kind: Kind::of(&head), is_settled })
    }

    /// Opens a file; if it changed within the last tick of the file system's clock, that tick is waited for.
    fn settled(path: &Path) -> io::Result<Self> {
        let open = Self::of(path)?;
        let changed = source::changed(&open.metadata);
        if open.is_settled || changed > Time::now() {
            // (A time in the future says nothing, and waiting would not help.)
            return Ok(Self { is_settled: true, ..open });
        }
        std::thread::sleep(tick(changed));
        Self::of(path)
    }
}
