//! What a command did.

use std::fmt;
use std::path::Path;

use coffer_archive::{BackupReport, CopyReport, ReadData, RestoreReport, VerifyReport};
use indicatif::{DecimalBytes, HumanCount};
use serde::Serialize;

use super::archived::{ProblemRecord, SnapshotRecord};
use super::recognised::RecognisedRecord;
use super::space::Forgot;
use super::text::{Clean, CleanPath, Counted, PathField};

/// `coffer init`.
#[derive(Debug, Serialize)]
pub(crate) struct SetUp {
    pub(crate) archive_url: String,
    pub(crate) archive_id: String,
    /// Whether the archive was there already.
    pub(crate) joined: bool,
    pub(crate) key_place: String,
    pub(crate) snapshots: usize,
}

impl fmt::Display for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Clean(&self.archive_url);
        if self.joined {
            let snapshots = Counted(self.snapshots as u64, "snapshot");
            writeln!(f, "this device takes part in the archive at {url}, which holds {snapshots}")?;
        } else {
            writeln!(f, "made an archive at {url}")?;
        }
        writeln!(f, "its key is kept in {}", Clean(&self.key_place))
    }
}

/// `coffer backup`.
#[derive(Debug, Serialize)]
pub(crate) struct BackedUp {
    snapshot: SnapshotRecord,
    files_new: u64,
    files_changed: u64,
    files_unchanged: u64,
    bytes_read: u64,
    bytes_stored: u64,
    excluded_files: u64,
    excluded_folders: u64,
    /// What presets found.
    recognised: Vec<RecognisedRecord>,
    /// Whether the key would survive the loss of this device.
    key_protected: bool,
    /// What the owner should do something about at the vault, in words.
    alarms: Vec<String>,
    problems: Vec<ProblemRecord>,
    notes: Vec<ProblemRecord>,
    /// What the profile does not keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    forgot: Option<Forgot>,
}

impl BackedUp {
    pub(crate) fn of(
        report: &BackupReport,
        key_protected: bool,
        recognised: Vec<RecognisedRecord>,
        alarms: Vec<String>,
        forgot: Option<Forgot>,
    ) -> Self {
        Self {
            snapshot: SnapshotRecord::of(&report.snapshot),
            files_new: report.files_new,
            files_changed: report.files_changed,
            files_unchanged: report.files_unchanged,
            bytes_read: report.bytes_read,
            bytes_stored: report.bytes_stored,
            excluded_files: report.excluded.files,
            excluded_folders: report.excluded.folders,
            recognised,
            key_protected,
            alarms,
            problems: ProblemRecord::all(&report.problems),
            notes: ProblemRecord::all(&report.notes),
            forgot,
        }
    }
}

impl fmt::Display for BackedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "snapshot {}: {}", self.snapshot.number(), self.snapshot.contents())?;
        let [new, changed, unchanged] = [self.files_new, self.files_changed, self.files_unchanged].map(HumanCount);
        let [read, stored] = [self.bytes_read, self.bytes_stored].map(DecimalBytes);
        write!(f, "{new} new, {changed} changed, {unchanged} unchanged; {read} read, {stored} stored")?;
        match (self.excluded_files, self.excluded_folders) {
            (0, 0) => writeln!(f)?,
            (files, 0) => writeln!(f, "; {} left out", Counted(files, "file"))?,
            (0, folders) => writeln!(f, "; {} left out", Counted(folders, "folder"))?,
            (files, folders) => {
                writeln!(f, "; {} and {} left out", Counted(files, "file"), Counted(folders, "folder"))?;
            }
        }
        self.forgot.iter().try_for_each(|forgot| write!(f, "{forgot}"))
    }
}

/// `coffer restore`.
#[derive(Debug, Serialize)]
pub(crate) struct Restored {
    snapshot: u64,
    target: PathField,
    files: u64,
    bytes: u64,
    files_already_there: u64,
    /// Files, or parts of folders, that damage cost.
    damaged: u64,
    /// Paths that were left as they are because something else is there.
    conflicts: u64,
    problems: Vec<ProblemRecord>,
    #[serde(skip)]
    target_for_people: String,
}

impl Restored {
    pub(crate) fn of(report: &RestoreReport, snapshot: u64, target: &Path) -> Self {
        Self {
            snapshot,
            target: PathField::of(target),
            files: report.files,
            bytes: report.bytes,
            files_already_there: report.files_already_there,
            damaged: report.damaged,
            conflicts: report.conflicts,
            problems: ProblemRecord::all(&report.problems),
            target_for_people: CleanPath(target).to_string(),
        }
    }
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, bytes) = (Counted(self.files, "file"), DecimalBytes(self.bytes));
        let (snapshot, target) = (self.snapshot, &self.target_for_people);
        write!(f, "restored {files}, {bytes}, of snapshot {snapshot} to {target}")?;
        match self.files_already_there {
            0 => writeln!(f),
            already => writeln!(f, "; {} were there already", HumanCount(already)),
        }
    }
}

/// `coffer verify`.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    snapshots: u64,
    packs: u64,
    chunks: u64,
    packs_read: u64,
    bytes_read: u64,
    bytes_stored: u64,
    /// Whether all data were read.
    read_data: bool,
    problems: Vec<ProblemRecord>,
    notes: Vec<ProblemRecord>,
}

impl Verified {
    pub(crate) fn of(report: &VerifyReport, read_data: ReadData) -> Self {
        Self {
            snapshots: report.snapshots,
            packs: report.packs,
            chunks: report.chunks,
            packs_read: report.packs_read,
            bytes_read: report.bytes_read,
            bytes_stored: report.bytes_stored,
            read_data: read_data == ReadData::All,
            problems: ProblemRecord::all(&report.problems),
            notes: ProblemRecord::all(&report.notes),
        }
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = [(self.snapshots, "snapshot"), (self.packs, "pack"), (self.chunks, "chunk")];
        let [snapshots, packs, chunks] = counted.map(|(count, name)| Counted(count, name));
        write!(f, "looked at {snapshots}, {packs} and {chunks}")?;
        if self.read_data {
            write!(f, ", reading {}", DecimalBytes(self.bytes_read))?;
        } else if self.packs_read > 0 {
            let (read, all) = (DecimalBytes(self.bytes_read), DecimalBytes(self.bytes_stored));
            write!(f, ", reading {} drawn at random, {read} of {all}", Counted(self.packs_read, "pack"))?;
        }
        match (self.problems.len() as u64, self.read_data) {
            (0, true) => writeln!(f, ": all is whole"),
            (0, false) if self.packs_read > 0 => writeln!(f, ": nothing is missing, and what was read is whole"),
            (0, false) => writeln!(f, ": nothing is missing (--read-data checks every byte)"),
            (count, _) => writeln!(f, ": {}", Counted(count, "problem")),
        }
    }
}

/// `coffer copy`.
#[derive(Debug, Serialize)]
pub(crate) struct Copied {
    to: String,
    objects: u64,
    bytes: u64,
    already_there: u64,
    problems: Vec<ProblemRecord>,
}

impl Copied {
    pub(crate) fn of(report: &CopyReport, to: &str) -> Self {
        Self {
            to: to.to_owned(),
            objects: report.objects,
            bytes: report.bytes,
            already_there: report.already_there,
            problems: ProblemRecord::all(&report.problems),
        }
    }
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (objects, bytes, to) = (Counted(self.objects, "object"), DecimalBytes(self.bytes), Clean(&self.to));
        write!(f, "copied {objects}, {bytes}, to {to}")?;
        match self.already_there {
            0 => writeln!(f),
            there => writeln!(f, "; {} were there already", HumanCount(there)),
        }
    }
}
