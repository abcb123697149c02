//! What lies in an archive: snapshots, problems, locks.

use std::fmt;
use std::path::{Path, PathBuf};

use coffer_archive::{Lock, Problem, Snapshot};
use indicatif::DecimalBytes;
use serde::Serialize;

use super::text::{Clean, CleanPath, Counted, PathField};
use super::time;

/// A snapshot, as `coffer snapshots` and others show it.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotRecord {
    number: u64,
    name: String,
    receipt: String,
    host: String,
    started: String,
    finished: String,
    base: PathField,
    sources: Vec<PathField>,
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    problems: u64,
    #[serde(skip)]
    for_people: ForPeople,
}

#[derive(Debug)]
struct ForPeople {
    time: String,
    sources: String,
}

impl SnapshotRecord {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        Self {
            number: snapshot.head.number,
            name: snapshot.name.to_string(),
            receipt: snapshot.head.receipt().to_string(),
            host: snapshot.host.clone(),
            started: time::rfc3339(snapshot.started),
            finished: time::rfc3339(snapshot.finished),
            base: PathField::of(&snapshot.base),
            sources: snapshot.sources.iter().map(|source| PathField::of(source)).collect(),
            files: snapshot.totals.files,
            directories: snapshot.totals.directories,
            others: snapshot.totals.others,
            bytes: snapshot.totals.bytes,
            problems: snapshot.problems,
            for_people: ForPeople { time: time::local(snapshot.started), sources: shown_sources(snapshot) },
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn receipt(&self) -> &str {
        &self.receipt
    }

    pub(super) fn contents(&self) -> String {
        format!("{}, {}", Counted(self.files, "file"), DecimalBytes(self.bytes))
    }

    pub(super) fn when_and_where(&self) -> String {
        format!("{} on {}", self.for_people.time, Clean(&self.host))
    }
}

/// What a snapshot was made of, under the names that it had.
pub(crate) fn shown_sources(snapshot: &Snapshot) -> String {
    let shown = |source: &PathBuf| CleanPath(&joined(&snapshot.base, source)).to_string();
    snapshot.sources.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// An empty source is the base itself, and must not end in a slash for that.
fn joined(base: &Path, source: &Path) -> PathBuf {
    if source.as_os_str().is_empty() || source == Path::new(".") { base.to_owned() } else { base.join(source) }
}

/// All of them, oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct Snapshots {
    pub(crate) snapshots: Vec<SnapshotRecord>,
    /// Snapshot objects that do not open.
    pub(crate) damaged: Vec<ProblemRecord>,
}

impl fmt::Display for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for snapshot in &self.snapshots {
            let incomplete = match snapshot.problems {
                0 => String::new(),
                count => format!(" ({})", Counted(count, "problem")),
            };
            writeln!(
                f,
                "{:>4}  {}  {}  {:>12}  {:>10}  {}  {}{incomplete}",
                snapshot.number,
                &snapshot.name[..8],
                snapshot.for_people.time,
                Counted(snapshot.files, "file").to_string(),
                DecimalBytes(snapshot.bytes).to_string(),
                Clean(&snapshot.host),
                snapshot.for_people.sources,
            )?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ProblemRecord {
    #[serde(flatten)]
    path: PathField,
    what: String,
}

impl ProblemRecord {
    pub(crate) fn all(problems: &[Problem]) -> Vec<Self> {
        let record = |problem: &Problem| Self { path: PathField::of(&problem.path), what: problem.what.clone() };
        problems.iter().map(record).collect()
    }
}

/// Another run that works on the archive, or was interrupted while it did.
#[derive(Debug, Serialize)]
pub(crate) struct LockRecord {
    name: String,
    host: String,
    pid: u32,
    since: String,
    operation: String,
    #[serde(skip)]
    since_for_people: String,
}

impl LockRecord {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn of(lock: &Lock) -> Self {
        Self {
            name: lock.name.to_string(),
            host: lock.host.clone(),
            pid: lock.pid,
            since: time::rfc3339(lock.since),
            operation: lock.operation.clone(),
            since_for_people: time::local(lock.since),
        }
    }
}

impl fmt::Display for LockRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operation, host) = (Clean(&self.operation), Clean(&self.host));
        write!(f, "{operation} on {host}, process {}, since {}", self.pid, self.since_for_people)
    }
}
