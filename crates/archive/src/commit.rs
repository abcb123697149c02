//! Making a snapshot: from the announcement of the run to the moment at which the backup exists.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::archive::Archive;
use crate::backup::{BackupOptions, Findings, Walk};
use crate::chunker::Chunker;
use crate::content::Content;
use crate::deep::allow_many_open_folders;
use crate::device::{DeviceMemory, Head};
use crate::doomed::{self, DoomedObjects};
use crate::emptied::emptied;
use crate::envelope::{ObjectType, seal_object};
use crate::error::{DestinationErrorKind, Error};
use crate::header::Header;
use crate::header_place::read_header;
use crate::id::ObjectName;
use crate::lock::{self, Lock};
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
/// How often a backup begins anew because the archive was pruned meanwhile. What it stored is not stored again.
const TRIES: usize = 3;

impl Archive {
    /// Makes a snapshot of the sources.
    ///
    /// # Errors
    /// `Source` and `BadSource` for sources that do not exist; `BadRule`; `Destination` when it fails. What was stored by then
    /// is found and used by the next run. Files that cannot be read are problems in the report, not errors. `Disturbed`
    /// when the archive was pruned meanwhile, and again each time that the backup began anew. `Rotating` and `Rotated` when
    /// the key is being rotated, or was meanwhile: then no snapshot is to be counted on.
    pub fn backup(&mut self, options: &BackupOptions, progress: &Progress) -> Result<BackupReport, Error> {
        self.refuse_rotation()?;
        let roots = Roots::resolve(&options.sources)?;
        let started = Time::now();
        let mut stored = 0;
        for _ in 0..TRIES {
            let mut rules = Matcher::new(&options.rules, &roots)?;
            let running = lock::withdraw_dead(&self.destination, self.locks()?, &options.host);
            self.sweep_temporary(&running);
            let lock = lock::announce(&self.destination, &self.ring, &options.host, "backup")?;
            let made = self.make_snapshot((&roots, &mut rules), (options, &lock, started), &mut stored, progress);
            // The next run on this device withdraws one that stays.
            let withdrawn = lock::withdraw(&self.destination, &lock);
            let Some(mut report) = made? else { continue };
            if let Err(error) = withdrawn {
                report.notes.push(Problem { path: ObjectType::Lock.path(&lock).into(), what: error.to_string() });
            }
            return Ok(report);
        }
        Err(Error::Disturbed)
    }

    /// Removes what interrupted writes left, while these others run.
    pub(crate) fn sweep_temporary(&self, others: &[Lock]) {
        self.destination.sweep_temporary(if others.is_empty() { QUIET_AGE } else { BUSY_AGE });
    }

    /// `None` when something was doomed meanwhile that this snapshot may need. What is doomed is read once the lock is
    /// there: who removes packs looks for locks after having doomed them.
    fn make_snapshot(
        &mut self,
        (roots, rules): (&Roots, &mut Matcher),
        (options, lock, started): (&BackupOptions, &ObjectName, Time),
        stored: &mut u64,
        progress: &Progress,
    ) -> Result<Option<BackupReport>, Error> {
        let doomed = doomed::load(&self.destination, &self.ring)?;
        let LoadedIndex { index, unindexed, problems, .. } =
            store::load_index(&self.destination, &self.ring, &doomed::packs(&doomed))?;
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
        let chunker = Chunker::new(self.ring.chunker.derive_gear());
        let scratch = self.scratch();
        sqlite::sweep(&scratch);
        let ((root, mut findings), written) = pipeline::run(&store, unindexed, |sink| {
            let mut walk = Walk {
                sink,
                store: &store,
                chunker: &chunker,
                progress,
                previous_started: previous.filter(|_| !options.force).map(|snapshot| snapshot.started),
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
            Ok((root, walk.findings))
        })?;
        findings.problems.extend(emptied(&store, roots, newest_first().filter(of_this_host)));
        findings.notes.extend(problems);
        findings.notes.extend(rules.unused());
        *stored += written;
        self.destination.settle()?;
        if !self.is_undisturbed(lock, &doomed)? {
            return Ok(None);
        }
        let (snapshot, len) = self.commit(roots, options, started, (root, &findings))?;
        *stored += len;
        if !self.is_locked(lock)? {
            // Taken away at the last moment, by a prune that could not see this snapshot.
            self.destination.delete(&ObjectType::Snapshot.path(&snapshot.name))?;
            return Ok(None);
        }
        self.snapshots.push(snapshot.clone());
        self.lacks_newest = false;
        self.remember(self.allow_rollback)?;
        Ok(Some(findings.into_report(snapshot, rules.excluded(), *stored)))
    }

    /// Whether nothing was doomed but what a run knows of, and nobody took its lock for one of a dead run.
    pub(crate) fn is_undisturbed(&self, lock: &ObjectName, doomed: &DoomedObjects) -> Result<bool, Error> {
        let is_locked = self.is_locked(lock)?;
        Ok(is_locked && doomed::list(&self.destination)?.iter().all(|name| doomed.contains_key(name)))
    }

    pub(crate) fn is_locked(&self, lock: &ObjectName) -> Result<bool, Error> {
        self.destination.exists(&ObjectType::Lock.path(lock))
    }

    /// Writes the snapshot object: the moment at which the backup exists. Returns its length too.
    fn commit(
        &self,
        roots: &Roots,
        options: &BackupOptions,
        started: Time,
        (root, findings): (Content, &Findings),
    ) -> Result<(Snapshot, u64), Error> {
        self.stay_in_epoch()?;
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
            hash: [0; 32],
            earlier: Vec::new(),
        };
        let object = seal_object(&self.ring, ObjectType::Snapshot, &name, &snapshot.encode())?;
        snapshot.hash = Sha256::digest(&object).into();
        snapshot.head.hash = snapshot.hash;
        let len = object.len() as u64;
        self.destination.write(&ObjectType::Snapshot.path(&name), object)?;
        self.destination.settle()?;
        // Who rotates the key replaces the header first and lists the snapshots then: one of the two sees the other.
        if let Err(error) = self.stay_in_epoch() {
            self.destination.delete(&ObjectType::Snapshot.path(&name))?;
            return Err(error);
        }
        Ok((snapshot, len))
    }

    /// Fails when the header is not the one that the archive was opened with.
    pub(crate) fn stay_in_epoch(&self) -> Result<(), Error> {
        let header = read_header(&self.destination)?;
        if header == self.header {
            return Ok(());
        }
        // Or another disk has taken the place of the one that the packs went to.
        let is_rotated = Header::parse(&header).is_ok_and(|header| header.archive == self.ring.archive);
        Err(if is_rotated { Error::Rotated } else { gone(self.destination.url()) })
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
