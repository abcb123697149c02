//! Restoring: one thread walks the tree, several write files, each in the order in which its pieces lie in the archive.
//! What is damaged is named, and the rest goes on.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::FileType;

use crate::content::{Content, Extent};
use crate::deep::{allow_many_open_folders, on_deep_stack};
use crate::error::Error;
use crate::folder::Entries;
use crate::id::ChunkId;
use crate::index::Location;
use crate::report::{Problem, Progress, RestoreReport};
use crate::roots::Selection;
use crate::store::ChunkStore;
use crate::target::{Refusal, Remarks, TargetFolder};
use crate::tree::{Node, NodeKind};

/// Batches of files that wait to be written: …
const QUEUED_BATCHES: usize = 4;
/// … neighbours, for they lie in the same segments, so many …
const BATCH_FILES: usize = 64;
/// … or so many bytes.
const BATCH_BYTES: u64 = 1 << 20;
/// Pieces of a file that are brought into the archive's order at a time: 256 MiB of a database.
const PIECES: usize = 1 << 16;

/// Where to restore, and what.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// The folder to restore into; it is made if it is not there.
    pub target: PathBuf,
    /// What to restore, as absolute original paths or relative to the snapshot's base; everything if empty.
    pub paths: Vec<PathBuf>,
    /// Whether files that are there with other content are replaced.
    pub force: bool,
}

/// Why a file did not come back.
enum Lost {
    Damaged(Error),
    Refused(Refusal),
}

impl From<Refusal> for Lost {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<std::io::Error> for Lost {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(Refusal::System(error))
    }
}

enum Done {
    Written,
    AlreadyThere,
}

type Batch = Vec<(Arc<TargetFolder>, Node)>;

/// A chunk on its way into a file.
struct Piece {
    location: Option<Location>,
    /// Where it goes in the file.
    at: u64,
    id: ChunkId,
    len: u64,
}

/// Pieces that lie behind one another in a segment as well as in the file: they are written in one go.
struct Run {
    segment: Arc<Vec<u8>>,
    range: Range<usize>,
    at: u64,
}

/// One restore.
pub(crate) struct Restorer<'a> {
    store: &'a ChunkStore<'a>,
    force: bool,
    progress: &'a Progress,
    report: Mutex<RestoreReport>,
    /// A failure of the destination, as opposed to damage: it ends the restore.
    fatal: Mutex<Option<Error>>,
}

impl<'a> Restorer<'a> {
    pub(crate) fn new(store: &'a ChunkStore<'a>, force: bool, progress: &'a Progress) -> Self {
        Self { store, force, progress, report: Mutex::default(), fatal: Mutex::default() }
    }

    /// Restores what is selected of a folder's content into the folder `target`.
    pub(crate) fn run(self, target: &Path, content: &Content, selection: &Selection) -> Result<RestoreReport, Error> {
        allow_many_open_folders();
        let remarks = Arc::new(Remarks::default());
        let unusable = |source| Error::Target { path: target.to_owned(), source };
        let target = TargetFolder::root(target, Arc::clone(&remarks)).map_err(unusable)?;
        let (send, receive) = sync_channel(QUEUED_BATCHES);
        let receive = Mutex::new(receive);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| self.work(&receive));
            }
            let mut walk = Walk { restorer: &self, batches: send, batch: (Vec::new(), 0), linked: HashMap::new() };
            on_deep_stack(move || {
                walk.folder(&Arc::new(target), content, selection);
                walk.send();
            });
        });
        match self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => {
                let mut report = self.report.into_inner().unwrap_or_else(PoisonError::into_inner);
                report.problems.extend(remarks.take());
                Ok(report)
            }
        }
    }

    fn work(&self, batches: &Mutex<Receiver<Batch>>) {
        loop {
            let received = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = received else { return };
            for (folder, node) in batch {
                self.restore_file(&folder, &node);
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Restores one file and reports what became of it; whether it is there now.
    fn restore_file(&self, folder: &TargetFolder, node: &Node) -> bool {
        let NodeKind::File { content } = &node.kind else { return false };
        if self.has_failed() {
            return false;
        }
        let result = self.write_file(folder, node, content);
        let is_there = result.is_ok();
        self.record(folder, node, result);
        self.progress.add(1, content.len());
        is_there
    }

    fn record(&self, folder: &TargetFolder, node: &Node, result: Result<Done, Lost>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(Done::Written) => {
                report.files += 1;
                report.bytes += node.size();
            }
            Ok(Done::AlreadyThere) => report.files_already_there += 1,
            Err(lost) => {
                drop(report);
                self.lose(folder.path_of(node), lost);
            }
        }
    }

    fn lose(&self, path: PathBuf, lost: Lost) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let what = match lost {
            Lost::Damaged(error) if !error.is_damage() => {
                self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
            Lost::Damaged(error) => {
                report.damaged += 1;
                format!("lost: {error}")
            }
            Lost::Refused(Refusal::Conflict(what)) => {
                report.conflicts += 1;
                format!("left as it is: {what}")
            }
            Lost::Refused(Refusal::System(error)) => format!("cannot be written: {error}"),
        };
        report.problems.push(Problem { path, what });
    }

    fn write_file(&self, folder: &TargetFolder, node: &Node, content: &Content) -> Result<Done, Lost> {
        if let Some(stat) = folder.existing(node)? {
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if is_file && stat.st_size as u64 == content.len() {
                let mut there = folder.open_existing(node)?;
                if self.holds(&mut there, content)? {
                    folder.describe(&folder.path_of(node), there.as_fd(), node);
                    return Ok(Done::AlreadyThere);
                }
            }
            if !self.force {
                return Err(Refusal::Conflict("it exists already with other content").into());
            }
        }
        let unfinished = folder.begin()?;
        self.write_content(&unfinished.file, content)?;
        unfinished.finish(node, self.force)?;
        Ok(Done::Written)
    }

    /// Whether a file holds this content: its chunks have the ids that they should. Nothing is fetched but lists.
    fn holds(&self, file: &mut File, content: &Content) -> Result<bool, Lost> {
        let mut buffer = Vec::new();
        for extent in content.extents(|id| self.store.read(id)) {
            let extent = extent.map_err(Lost::Damaged)?;
            // A hole may be longer than memory.
            let mut left = extent.len();
            while left > 0 {
                let len = left.min(1 << 20);
                buffer.clear();
                if file.take(len).read_to_end(&mut buffer)? as u64 != len {
                    return Ok(false);
                }
                let same = match extent {
                    Extent::Chunk { id, .. } => ChunkId::of(&self.store.ring.chunk_id, &buffer) == id,
                    Extent::Hole { .. } => buffer.iter().all(|byte| *byte == 0),
                };
                if !same {
                    return Ok(false);
                }
                left -= len;
            }
        }
        Ok(true)
    }

    fn write_content(&self, file: &File, content: &Content) -> Result<(), Lost> {
        let (mut pieces, mut at, mut written) = (Vec::new(), 0, 0);
        for extent in content.extents(|id| self.store.read(id)) {
            let extent = extent.map_err(Lost::Damaged)?;
            if let Extent::Chunk { id, len } = extent {
                pieces.push(Piece { location: self.store.index.locations(&id).next(), at, id, len });
                written = at + len;
            }
            at += extent.len();
            if pieces.len() == PIECES {
                self.write_pieces(file, &mut pieces)?;
            }
        }
        self.write_pieces(file, &mut pieces)?;
        // It may end with a hole.
        if written < at {
            file.set_len(at)?;
        }
        Ok(())
    }

    /// Writes pieces in the order of the archive, so that each of its segments is read once.
    fn write_pieces(&self, file: &File, pieces: &mut Vec<Piece>) -> Result<(), Lost> {
        pieces.sort_unstable_by_key(|piece| (piece.location, piece.at));
        let mut run: Option<Run> = None;
        for Piece { at, id, len, .. } in pieces.drain(..) {
            let (segment, range) = self.store.chunk(&id, len).map_err(Lost::Damaged)?;
            match &mut run {
                Some(run) if run.is_followed_by(&segment, &range, at) => run.range.end = range.end,
                _ => {
                    if let Some(run) = run.replace(Run { segment, range, at }) {
                        run.write(file)?;
                    }
                }
            }
        }
        Ok(run.map_or(Ok(()), |run| run.write(file))?)
    }
}

impl Run {
    fn is_followed_by(&self, segment: &Arc<Vec<u8>>, range: &Range<usize>, at: u64) -> bool {
        Arc::ptr_eq(&self.segment, segment) && self.range.end == range.start && self.at + self.range.len() as u64 == at
    }

    fn write(&self, file: &File) -> std::io::Result<()> {
        file.write_all_at(&self.segment[self.range.clone()], self.at)
    }
}

/// The walk over the tree.
struct Walk<'r, 'a> {
    restorer: &'r Restorer<'a>,
    batches: SyncSender<Batch>,
    /// The batch being gathered, and its bytes.
    batch: (Batch, u64),
    /// The first name restored of each file that has several.
    linked: HashMap<(u64, u64), (Arc<TargetFolder>, Node)>,
}

impl Walk<'_, '_> {
    fn folder(&mut self, target: &Arc<TargetFolder>, content: &Content, selection: &Selection) {
        for node in Entries::new(self.restorer.store, content) {
            if self.restorer.has_failed() {
                return;
            }
            let node = match node {
                Ok(node) => node,
                Err(error) => {
                    self.restorer.lose(target.path().join("*"), Lost::Damaged(error));
                    continue;
                }
            };
            let below = match selection {
                Selection::Whole => &Selection::Whole,
                Selection::Some(names) => match names.get(node.name()) {
                    Some(below) => below,
                    None => continue,
                },
            };
            self.node(target, node, below);
        }
    }

    fn node(&mut self, target: &Arc<TargetFolder>, node: Node, selection: &Selection) {
        match &node.kind {
            NodeKind::Directory { content } => match target.enter(&node, self.restorer.force) {
                Ok(folder) => self.folder(&Arc::new(folder), content, selection),
                Err(refusal) => self.restorer.lose(target.path_of(&node), refusal.into()),
            },
            NodeKind::File { .. } => match node.linked_on {
                Some(filesystem) => self.linked_file(target, node, filesystem),
                None => self.file(target, node),
            },
            _ => {
                if let Err(refusal) = target.make_special(&node, self.restorer.force) {
                    self.restorer.lose(target.path_of(&node), refusal.into());
                }
            }
        }
    }

    fn file(&mut self, target: &Arc<TargetFolder>, node: Node) {
        self.batch.1 += node.size();
        self.batch.0.push((Arc::clone(target), node));
        if self.batch.0.len() == BATCH_FILES || self.batch.1 >= BATCH_BYTES {
            self.send();
        }
    }

    fn send(&mut self) {
        // The workers end only after this walk has.
        let _ = self.batches.send(std::mem::take(&mut self.batch).0);
    }

    /// A file with several names is restored here, at once, so that the next name can link to it.
    fn linked_file(&mut self, target: &Arc<TargetFolder>, node: Node, filesystem: u64) {
        let key = (filesystem, node.inode);
        if let Some(first) = self.linked.get(&key) {
            let linked = target.link_or_find(&node, first, self.restorer.force);
            let result = match linked {
                Ok(true) => Ok(Done::Written),
                Ok(false) => Ok(Done::AlreadyThere),
                // No hard links here, or not as many: the content comes first.
                Err(Refusal::System(_)) => {
                    self.restorer.restore_file(target, &node);
                    return;
                }
                Err(conflict) => Err(conflict.into()),
            };
            self.restorer.record(target, &node, result);
            self.restorer.progress.add(1, node.size());
        } else if self.restorer.restore_file(target, &node) {
            self.linked.insert(key, (Arc::clone(target), node));
        }
    }
}
