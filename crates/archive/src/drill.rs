//! A restore into nothing: everything is read, opened and compared, and nothing is written.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::archive::Archive;
use crate::content::{Content, Extent};
use crate::deep::on_deep_stack;
use crate::error::Error;
use crate::folder::Entries;
use crate::report::{Problem, Progress};
use crate::snapshot::{Snapshot, Totals};
use crate::store::ChunkStore;
use crate::tree::{Node, NodeKind};

/// Files that wait to be read.
const QUEUED_FILES: usize = 64;

/// What a drill proved.
#[derive(Debug, Default)]
pub struct DrillReport {
    /// What was read whole, and is what was backed up.
    pub proved: Totals,
    /// What is lost, or contradicts the snapshot's own totals.
    pub problems: Vec<Problem>,
}

impl Archive {
    /// Reads everything that a restore of the snapshot would, in the same order and as many threads, and compares every
    /// chunk with its id and the whole with the snapshot's totals.
    ///
    /// # Errors
    /// `Destination` when it fails. Damage is problems in the report, not an error.
    pub fn drill(&self, snapshot: &Snapshot, progress: &Progress) -> Result<DrillReport, Error> {
        let store = self.chunk_store()?;
        progress.expect(snapshot.totals.files, snapshot.totals.bytes);
        let drill = Drill { store: &store, progress, report: Mutex::default(), fatal: Mutex::default() };
        let mut report = drill.run(&snapshot.root)?;
        report.problems.sort_by(|one, other| one.path.cmp(&other.path));
        if report.problems.is_empty() && report.proved != snapshot.totals {
            let path = format!("snapshot {}", snapshot.head.number).into();
            report.problems.push(Problem { path, what: "its totals are not those of its files".to_owned() });
        }
        Ok(report)
    }
}

type Job = (PathBuf, Content);

struct Drill<'a> {
    store: &'a ChunkStore<'a>,
    progress: &'a Progress,
    report: Mutex<DrillReport>,
    /// A failure of the destination, as opposed to damage: it ends the drill.
    fatal: Mutex<Option<Error>>,
}

impl Drill<'_> {
    fn run(self, root: &Content) -> Result<DrillReport, Error> {
        let (send, receive) = sync_channel(QUEUED_FILES);
        let receive = Mutex::new(receive);
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| self.work(&receive));
            }
            on_deep_stack(|| self.folder(Path::new(""), root, &send));
            drop(send);
        });
        match self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.report.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            let received = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((path, content)) = received else { return };
            if self.has_failed() {
                continue;
            }
            match self.read(&content) {
                Ok(()) => self.prove(|proved| {
                    proved.files += 1;
                    proved.bytes += content.len();
                }),
                Err(error) => self.lose(path, error),
            }
            self.progress.add(1, content.len());
        }
    }

    fn read(&self, content: &Content) -> Result<(), Error> {
        for extent in content.extents(|id| self.store.read(id)) {
            let Extent::Chunk { id, len } = extent? else { continue };
            self.store.chunk(&id, len)?;
        }
        Ok(())
    }

    fn folder(&self, path: &Path, content: &Content, jobs: &SyncSender<Job>) {
        for node in Entries::new(self.store, content) {
            if self.has_failed() {
                return;
            }
            match node {
                Ok(node) => self.node(path.join(node.name()), node, jobs),
                Err(error) => self.lose(path.join("*"), error),
            }
        }
    }

    fn node(&self, path: PathBuf, node: Node, jobs: &SyncSender<Job>) {
        match node.kind {
            NodeKind::Directory { content } => {
                self.prove(|proved| proved.directories += 1);
                self.folder(&path, &content, jobs);
            }
            // The workers end only after this walk has.
            NodeKind::File { content } => drop(jobs.send((path, content))),
            _ => self.prove(|proved| proved.others += 1),
        }
    }

    fn prove(&self, add: impl FnOnce(&mut Totals)) {
        add(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner).proved);
    }

    fn has_failed(&self) -> bool {
        self.fatal.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn lose(&self, path: PathBuf, error: Error) {
        if error.is_damage() {
            let problem = Problem { path, what: format!("lost: {error}") };
            self.report.lock().unwrap_or_else(PoisonError::into_inner).problems.push(problem);
        } else {
            self.fatal.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}
