//! Making a snapshot: from the announcement of the run to the moment at which the backup exists.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::archive::{Archive, read_header};
use crate::backup::{BackupOptions, Findings, Walk};
use crate::chunker::Chunker;
use crate::content::Content;
use crate::deep::allow_many_open_folders;
use crate::device::{DeviceMemory, Head};
use crate::envelope::{ObjectType, seal_object};
use crate::error::{DestinationErrorKind, Error};
use crate::id::ObjectName;
use crate::lock;
use crate::pipeline;
use crate::report::{BackupReport, Problem, Progress};
use crate::roots::Roots;
use crate::rules::Matcher;
use crate::snapshot::Snapshot;
use crate::sqlite;
use crate::store::{self, ChunkStore, LoadedIndex};
use crate::tree::Time;

/// Files of interrupted writes are removed once they are so old: while nobody else seems to write, …
const QUIET_AGE: Duration = Duration::from_secs(60);
/// … and while somebody may.
const BUSY_AGE: Duration = Duration::from_secs(24 * 3600);

impl Archive {
    /// Makes a snapshot of the sources.
    ///
    /// # Errors
    /// `Source` and `BadSource` for sources that do not exist; `BadRule`; `Destination` when it fails. What was stored by then
    /// is found and used by the next run. Files that cannot be read are problems in the report, not errors.
    pub fn backup(&mut self, options: &BackupOptions, progress: &Progress) -> Result<BackupReport, Error> {
        let roots = Roots::resolve(&options.sources)?;
        let rules = Matcher::new(&options.rules, &roots)?;
        let started = Time::now();
        let running = lock::withdraw_dead(&self.destination, self.locks()?, &options.host);
        self.destination.sweep_temporary(if running.is_empty() { QUIET_AGE } else { BUSY_AGE });
        let lock = lock::announce(&self.destination, &self.ring, &options.host, "backup")?;
        let made = self.make_snapshot((&roots, rules), options, started, progress);
        // A lock that stays does no harm; the next run withdraws it.
        let withdrawn = lock::withdraw(&self.destination, &lock);
        let mut report = made?;
        if let Err(error) = withdrawn {
            report.notes.push(Problem { path: ObjectType::Lock.path(&lock).into(), what: error.to_string() });
        }
        Ok(report)
    }

    fn make_snapshot(
        &mut self,
        (roots, rules): (&Roots, Matcher),
        options: &BackupOptions,
        started: Time,
        progress: &Progress,
    ) -> Result<BackupReport, Error> {
        let LoadedIndex { index, unindexed, problems } = store::load_index(&self.destination, &self.ring)?;
        let same = |snapshot: &&Snapshot| snapshot.base == roots.base && snapshot.sources == roots.sources;
        let of_this_host = |snapshot: &&Snapshot| same(snapshot) && snapshot.host == options.host;
        let newest_first = || self.snapshots.iter().rev();
        let previous = newest_first().find(of_this_host).or_else(|| newest_first().find(same));
        if let Some(previous) = previous {
            progress.expect(previous.totals.files, previous.totals.bytes);
        }
        let store = ChunkStore::new(&self.destination, &self.ring, index);
        if let Some(memory) = &self.memory {
            store.note_damage(&memory.damage());
        }
        allow_many_open_folders();
        let chunker = Chunker::new(self.ring.keys.chunker.derive_gear());
        let scratch = self.scratch();
        sqlite::sweep(&scratch);
        let ((root, mut findings, rules), stored) = pipeline::run(&store, unindexed, |sink| {
            let mut walk = Walk {
                sink,
                store: &store,
                chunker: &chunker,
                progress,
                previous_started: previous.map(|snapshot| snapshot.started),
                own_folder: self.destination.folder_metadata().map(|metadata| (metadata.dev(), metadata.ino())),
                scratch,
                rules,
                findings: Findings {
                    folder: roots.base.parent().unwrap_or(&roots.base).to_owned(),
                    ..Findings::default()
                },
                filesystems: Vec::new(),
                buffer: Vec::new(),
            };
            let root = walk.folder(&roots.base, &roots.selection(), previous.map(|snapshot| &snapshot.root))?;
            Ok((root, walk.findings, walk.rules))
        })?;
        findings.notes.extend(problems);
        findings.notes.extend(rules.unused());
        let (snapshot, len) = self.commit(roots, options, started, (root, &findings))?;
        self.snapshots.push(snapshot.clone());
        self.lacks_newest = false;
        self.remember(self.allow_rollback)?;
        Ok(findings.into_report(snapshot, rules.excluded(), stored + len))
    }

    /// Writes the snapshot object: the moment at which the backup exists. Returns its length too.
    fn commit(
        &self,
        roots: &Roots,
        options: &BackupOptions,
        started: Time,
        (root, findings): (Content, &Findings),
    ) -> Result<(Snapshot, u64), Error> {
        self.destination.settle()?;
        // Another disk may have taken the place of the one that the packs went to.
        if read_header(&self.destination)? != self.header {
            return Err(gone(self.destination.url()));
        }
        let previous = self.tips();
        // The newest may be damaged, and its number be known from a memory alone.
        let remembered = self.remembered()?;
        let newest = previous.iter().chain(&remembered).map(|head| head.number).max();
        let name = ObjectName::generate()?;
        let mut snapshot = Snapshot {
            name,
            head: Head { number: newest.unwrap_or(0) + 1, hash: [0; 32] },
            previous,
            host: options.host.clone(),
            started,
            finished: Time::now(),
            base: roots.base.clone(),
            sources: roots.sources.clone(),
            totals: findings.tally.totals,
            problems: findings.problems.len() as u64,
            root,
        };
        let object = seal_object(&self.ring, ObjectType::Snapshot, &name, &snapshot.encode())?;
        snapshot.head.hash = Sha256::digest(&object).into();
        let len = object.len() as u64;
        self.destination.write(&ObjectType::Snapshot.path(&name), object)?;
        self.destination.settle()?;
        Ok((snapshot, len))
    }

    fn scratch(&self) -> std::path::PathBuf {
        let elsewhere = || std::env::temp_dir().join(format!("coffer-{}-{}", std::process::id(), self.id()));
        self.memory.as_ref().map_or_else(elsewhere, DeviceMemory::scratch)
    }
}

fn gone(url: &str) -> Error {
    Error::Destination {
        kind: DestinationErrorKind::Unavailable,
        action: "write",
        object: url.to_owned(),
        reason: "the archive that was there when the backup began is not there any more".to_owned(),
    }
}
