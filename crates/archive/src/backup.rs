//! Backing up: the walk over the sources. What is unchanged since the previous snapshot is not read again.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::chunker::Chunker;
use crate::content::Content;
use crate::databases::{Capture, Databases, Verdict, with_sidecars};
use crate::error::Error;
use crate::folder::{Entries, FolderWriter};
use crate::pipeline::Sink;
use crate::report::{BackupReport, Problem, Progress};
use crate::roots::Selection;
use crate::rules::{Excluded, Fate, Matcher, Rules};
use crate::snapshot::{Snapshot, Totals};
use crate::source::{self, Metadata, Place};
use crate::store::ChunkStore;
use crate::tree::{MAX_NODE, Node, NodeKind, Time, Xattrs};

/// A file may change twice within so long without its times showing it: the tick of the file systems' clock, and some. …
const TICK: Duration = Duration::from_millis(20);
/// … Some keep whole seconds, and FAT every second one of them.
const COARSE_TICK: Duration = Duration::from_millis(2_020);

/// How long after `time` a change shows in the times of a file that has this one.
pub(crate) const fn tick(time: Time) -> Duration {
    if time.nanoseconds == 0 { COARSE_TICK } else { TICK }
}

/// What to back up.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// Files and folders; links among these very paths are followed.
    pub sources: Vec<PathBuf>,
    /// The name of this device, kept in the snapshot.
    pub host: String,
    /// What is left out. The snapshot does not know them: the next backup may have others.
    pub rules: Rules,
    /// Whether files are read whose metadata say that they are as the previous snapshot has them, too: a program that
    /// writes by way of a memory map can change a file within seconds of a backup without a trace in its times.
    pub force: bool,
}

/// What the walk counts.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) totals: Totals,
    pub(crate) files_new: u64,
    pub(crate) files_changed: u64,
    pub(crate) files_unchanged: u64,
    pub(crate) bytes_read: u64,
}

/// What the walk counts and notes.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The folder that is being walked, as the user knows it.
    pub(crate) folder: PathBuf,
    pub(crate) tally: Tally,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notes: Vec<Problem>,
}

impl Findings {
    /// Something that went wrong with the entry of this path; of the path, only the name counts.
    pub(crate) fn problem(&mut self, path: &Path, what: impl ToString) {
        self.problems.push(Problem { path: self.shown(path), what: what.to_string() });
    }

    pub(crate) fn note(&mut self, path: &Path, what: impl ToString) {
        self.notes.push(Problem { path: self.shown(path), what: what.to_string() });
    }

    fn shown(&self, path: &Path) -> PathBuf {
        path.file_name().map_or_else(|| path.to_owned(), |name| self.folder.join(name))
    }

    pub(crate) fn into_report(self, snapshot: Snapshot, excluded: Excluded, bytes_stored: u64) -> BackupReport {
        BackupReport {
            snapshot,
            files_new: self.tally.files_new,
            files_changed: self.tally.files_changed,
            files_unchanged: self.tally.files_unchanged,
            bytes_read: self.tally.bytes_read,
            bytes_stored,
            excluded,
            problems: self.problems,
            notes: self.notes,
        }
    }
}

/// One walk over the sources.
pub(crate) struct Walk<'a, 's> {
    pub(crate) sink: &'a mut Sink<'s>,
    pub(crate) store: &'a ChunkStore<'a>,
    pub(crate) chunker: &'a Chunker,
    pub(crate) progress: &'a Progress,
    /// When the previous snapshot of these sources began.
    pub(crate) previous_started: Option<Time>,
    /// Device and inode of the archive's own folder, which is not backed up into itself.
    pub(crate) own_folder: Option<(u64, u64)>,
    /// Where live databases are copied to.
    pub(crate) scratch: PathBuf,
    pub(crate) rules: &'a mut Matcher,
    pub(crate) findings: Findings,
    /// File systems met, in order: their ordinals stay the same from day to day, their device numbers need not.
    pub(crate) filesystems: Vec<u64>,
    /// What files are read into, one after the other.
    pub(crate) buffer: Vec<u8>,
}

impl Walk<'_, '_> {
    /// Backs up what is selected of a folder: its entries as a content. `before` is the same folder in the previous
    /// snapshot.
    pub(crate) fn folder(
        &mut self,
        path: &Path,
        selection: &Selection,
        before: Option<&Content>,
    ) -> Result<Content, Error> {
        let Some((open, at, names)) = self.open(path, selection) else {
            return FolderWriter::new(&self.chunker.gear).finish(self.sink);
        };
        let outer = self.findings.folder.clone();
        self.findings.folder = self.findings.shown(path);
        let store = self.store;
        let mut before = before.map(|content| Entries::new(store, content));
        let mut writer = FolderWriter::new(&self.chunker.gear);
        let mut databases = Databases::among(&at, &names);
        for name in &names {
            let path = at.join(name);
            if self.is_left_out(&at, name, selection) {
                continue;
            }
            if databases.leaves_out(name) {
                self.findings.note(&path, "left out: its database was copied consistently without it");
                continue;
            }
            let below = match selection {
                Selection::Some(names) => names.get(name).unwrap_or(&Selection::Whole),
                Selection::Whole => &Selection::Whole,
            };
            let before = before.as_mut().and_then(|entries| entries.advance_to(name.as_bytes()));
            let (tally, problems) = (self.findings.tally, self.findings.problems.len());
            let place = Place { folder: &open, name, path: &path };
            let Some(found) = self.entry(place, below, (before, databases.is_accompanied(name)))? else {
                continue;
            };
            match databases.verdict(name) {
                Verdict::Keep => {}
                Verdict::KeepWithProblem => {
                    self.findings.problem(&path, "its database changed after it was read: they may not fit together");
                }
                Verdict::LeaveOut => {
                    self.findings.tally = tally;
                    self.findings.problems.truncate(problems);
                    self.findings.note(&path, "left out: it was written to after its database was read");
                    continue;
                }
            }
            writer.push(&found.node, self.sink)?;
            databases.captured(name, found.capture);
        }
        self.findings.folder = outer;
        writer.finish(self.sink)
    }

    /// Whether the rules leave out the entry of a folder. What was named as a source is taken.
    fn is_left_out(&mut self, at: &Path, name: &OsStr, selection: &Selection) -> bool {
        if matches!(selection, Selection::Some(_)) {
            return false;
        }
        match self.rules.judge(at, &self.findings.folder, name) {
            Fate::Take => return false,
            Fate::LeaveOut => {}
            Fate::LeaveOutWith(why) => self.findings.note(&at.join(name), why),
        }
        true
    }

    /// Opens a folder: itself, a path into it, and the names of what is selected of it.
    fn open(&mut self, path: &Path, selection: &Selection) -> Option<(OwnedFd, PathBuf, Vec<OsString>)> {
        let opened = source::open_folder(path).and_then(|open| {
            let at = source::path_of(&open);
            let names = match selection {
                Selection::Some(names) => with_sidecars(&at, names.keys()),
                Selection::Whole => source::names(&open)?,
            };
            Ok((open, at, names))
        });
        opened.map_err(|error| self.passed_over(path, &error)).ok()
    }

    fn entry(
        &mut self,
        place: Place<'_>,
        selection: &Selection,
        (before, is_accompanied): (Option<Node>, bool),
    ) -> Result<Option<Found>, Error> {
        let path = place.path;
        let metadata = match place.metadata() {
            Ok(metadata) => metadata,
            Err(error) => {
                self.passed_over(path, &error);
                return Ok(None);
            }
        };
        let file_type = metadata.file_type();
        if file_type.is_dir() && self.own_folder == Some(metadata.id()) {
            self.findings.note(path, "left out: it is the archive itself");
            return Ok(None);
        }
        let mut node = self.describe(place.name, &metadata);
        if file_type.is_file() {
            return self.file(place, node, (&metadata, before), is_accompanied);
        }
        node.xattrs = self.xattrs(path, source::xattrs(path));
        if file_type.is_socket() {
            self.findings.note(path, "left out: it is a socket");
            return Ok(None);
        }
        if file_type.is_dir() {
            let before = match &before {
                Some(Node { kind: NodeKind::Directory { content }, .. }) => Some(content),
                _ => None,
            };
            node.kind = NodeKind::Directory { content: self.folder(path, selection, before)? };
            self.findings.tally.totals.directories += 1;
        } else {
            match special(path, &metadata) {
                Ok(kind) => node.kind = kind,
                Err(error) => {
                    self.passed_over(path, &error);
                    return Ok(None);
                }
            }
            self.findings.tally.totals.others += 1;
        }
        self.limit(path, &mut node);
        Ok(Some(Found { node, capture: Capture::Other }))
    }

    /// A file that is gone by the time it is looked at is none of the snapshot's; anything else is a problem.
    pub(crate) fn passed_over(&mut self, path: &Path, error: &io::Error) {
        if error.kind() == io::ErrorKind::NotFound {
            self.findings.note(path, "left out: it vanished while the backup ran");
        } else {
            self.findings.problem(path, format!("cannot be read: {error}"));
        }
    }

    /// Everything about a node but what it is, and its extended attributes.
    fn describe(&mut self, name: &OsStr, metadata: &Metadata) -> Node {
        let is_linked = metadata.file_type().is_file() && metadata.is_linked();
        let ((device, inode), (uid, gid)) = (metadata.id(), metadata.owner());
        Node {
            name: name.as_bytes().to_vec(),
            kind: NodeKind::Fifo,
            mode: metadata.permissions(),
            uid,
            gid,
            modified: metadata.modified(),
            changed: metadata.changed(),
            inode,
            linked_on: is_linked.then(|| self.filesystem(device)),
            xattrs: Vec::new(),
        }
    }

    /// The extended attributes as they were read; those that cannot be read are a problem, and none.
    pub(crate) fn xattrs(&mut self, path: &Path, read: io::Result<Xattrs>) -> Xattrs {
        read.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                self.findings.problem(path, format!("its extended attributes cannot be read: {error}"));
            }
            Vec::new()
        })
    }

    fn filesystem(&mut self, device: u64) -> u64 {
        let known = self.filesystems.iter().position(|other| *other == device);
        let ordinal = known.unwrap_or_else(|| {
            self.filesystems.push(device);
            self.filesystems.len() - 1
        });
        ordinal as u64
    }

    /// Leaves extended attributes out that would make the node larger than the format allows.
    pub(crate) fn limit(&mut self, path: &Path, node: &mut Node) {
        let len = node.xattrs.iter().map(|(name, value)| name.len() + value.len() + 20).sum::<usize>();
        if len > MAX_NODE / 2 {
            node.xattrs.clear();
            self.findings.problem(path, "its extended attributes are larger than 256 KiB, and were left out");
        }
    }

    /// Whether a file is as the previous snapshot has it, so far as its metadata tell.
    pub(crate) fn is_unchanged(&self, metadata: &Metadata, before: &Node) -> bool {
        self.previous_started.is_some_and(|started| has_settled(before.changed, started))
            && before.size() == metadata.size()
            && before.inode == metadata.id().1
            && before.modified == metadata.modified()
            && before.changed == metadata.changed()
    }
}

/// Whether every change from `now` on shows in the times of a file that was `changed` then.
pub(crate) fn has_settled(changed: Time, now: Time) -> bool {
    changed.after(tick(changed)) < now
}

/// An entry that goes into the snapshot.
pub(crate) struct Found {
    pub(crate) node: Node,
    pub(crate) capture: Capture,
}

/// What a link, a pipe or a device is.
fn special(path: &Path, metadata: &Metadata) -> io::Result<NodeKind> {
    let file_type = metadata.file_type();
    let device = metadata.device();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if file_type.is_symlink() {
        let target = fs::read_link(path)?.into_os_string();
        Ok(NodeKind::Symlink { target: target.as_bytes().to_vec() })
    } else if file_type.is_fifo() {
        Ok(NodeKind::Fifo)
    } else if file_type.is_char_device() {
        Ok(NodeKind::CharDevice { major, minor })
    } else if file_type.is_block_device() {
        Ok(NodeKind::BlockDevice { major, minor })
    } else {
        Err(io::Error::other("it is of an unknown kind"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Time, has_settled};

    /// As FAT and old ext3 have them: a change in the same second, or the next one, would show nothing.
    #[test]
    fn a_time_in_whole_seconds_hides_a_change_for_two_of_them() {
        let now = |seconds, nanoseconds| Time { seconds, nanoseconds };
        let changed = Time { seconds: 10, nanoseconds: 0 };
        assert!(!has_settled(changed, now(10, 900_000_000)));
        assert!(!has_settled(changed, now(12, 10_000_000)));
        assert!(has_settled(changed, now(12, 30_000_000)));
    }

    #[test]
    fn a_time_in_nanoseconds_hides_a_change_for_a_tick() {
        let changed = Time { seconds: 10, nanoseconds: 990_000_000 };
        assert!(!has_settled(changed, Time { seconds: 11, nanoseconds: 5_000_000 }));
        assert!(has_settled(changed, Time { seconds: 11, nanoseconds: 15_000_000 }));
    }
}
