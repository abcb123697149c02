//! An archive: where it lies, its keys, its snapshots; and what can be done with it.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use coffer_keys::{ArchiveId, BackupKey, RecoveryKey, Typo};

use crate::destination::Destination;
use crate::device::{DeviceMemory, Head, Receipt};
use crate::envelope::ObjectType;
use crate::error::{Damage, DestinationErrorKind, Error};
use crate::forgotten::{self, LoadedForgotten};
use crate::header::{self, Header};
use crate::header_place::{is_header_missing, read_header};
use crate::id::ObjectName;
use crate::keyring::Keyring;
use crate::list;
use crate::report::{Problem, Progress, RestoreReport};
use crate::restore::{RestoreOptions, Restorer};
use crate::snapshot::Snapshot;
use crate::snapshots::read_snapshot;
use crate::store::{self, ChunkStore};
use crate::tree::{Node, NodeKind};
use crate::vault_head;

/// How to open an archive.
#[derive(Debug, Default)]
pub struct OpenOptions {
    /// What this device remembers of the archive.
    pub memory: Option<DeviceMemory>,
    /// A receipt that the user wrote down.
    pub expected: Option<Receipt>,
    /// What the vault keeps, as [`Archive::seal_head`] made it.
    pub vault_head: Option<Vec<u8>>,
    /// Whether an archive that lacks what is remembered is opened all the same, the vault's head unread. A backup then
    /// corrects the memory.
    pub allow_rollback: bool,
}

/// An open archive.
#[derive(Debug)]
pub struct Archive {
    pub(crate) destination: Destination,
    pub(crate) header: Vec<u8>,
    pub(crate) is_rotating: bool,
    pub(crate) ring: Keyring,
    pub(crate) memory: Option<DeviceMemory>,
    /// The snapshots that the vault remembers.
    vault_heads: Vec<Head>,
    /// Whether the next backup replaces what is remembered.
    pub(crate) allow_rollback: bool,
    /// Whether a snapshot newer than all that can be opened is remembered, and may be one of the damaged.
    pub(crate) lacks_newest: bool,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) damaged: Vec<Problem>,
    pub(crate) forgotten: LoadedForgotten,
    /// Snapshots that were forgotten, and whose objects are still there.
    pub(crate) leftover: Vec<Snapshot>,
    /// Snapshots of older epochs, which do not count any more.
    pub(crate) void: Vec<ObjectName>,
    /// Snapshots of the epoch that a rotation leads to, which do not count yet.
    pub(crate) ahead: Vec<Snapshot>,
    /// Whether there are others of later epochs than the current one.
    pub(crate) meets_newer: bool,
}

impl Archive {
    /// Makes a new archive, sealed under `key`.
    ///
    /// # Errors
    /// `ArchiveExists` when there is one at the destination already, `HeaderMissing` when there was one, `NotEmpty` for
    /// a folder that holds something else; `Destination` when it cannot be written.
    pub fn init(destination: Destination, key: &BackupKey) -> Result<ArchiveId, Error> {
        if destination.exists(header::PATH)? {
            return Err(Error::ArchiveExists { url: destination.url().to_owned() });
        }
        if is_header_missing(&destination)? {
            return Err(Error::HeaderMissing { url: destination.url().to_owned() });
        }
        destination.prepare()?;
        if !destination.is_empty()? {
            return Err(Error::NotEmpty { url: destination.url().to_owned() });
        }
        let (header, _) = Header::generate(key)?;
        match destination.write(header::PATH, header.encode()) {
            // Two made one at the same time.
            Err(Error::Destination { kind: DestinationErrorKind::Exists, .. }) => {
                return Err(Error::ArchiveExists { url: destination.url().to_owned() });
            }
            written => written?,
        }
        destination.settle()?;
        Ok(header.archive)
    }

    /// Which archive lies there. Reads the clear header only: nothing is proved by it.
    ///
    /// # Errors
    /// `NoArchive`, `Damaged`, `FormatTooNew`, `Destination`.
    pub fn identify(destination: &Destination) -> Result<ArchiveId, Error> {
        Ok(Header::parse(&read_header(destination)?)?.archive)
    }

    /// Whether the key of the archive that lies there was ever rotated, as its header says.
    ///
    /// # Errors
    /// As [`Archive::identify`].
    pub fn is_rotated(destination: &Destination) -> Result<bool, Error> {
        Ok(Header::parse(&read_header(destination)?)?.epoch() > header::FIRST_EPOCH)
    }

    /// Whether a rotation of the key of the archive that lies there has not come to its end, as its header says.
    ///
    /// # Errors
    /// As [`Archive::identify`]; `WrongKey` when `key` is not its key.
    pub fn is_being_rotated(destination: &Destination, key: &BackupKey) -> Result<bool, Error> {
        let header = Header::parse(&read_header(destination)?)?;
        header.unlock(key).map(|_| header.is_rotating())
    }

    /// After `WrongKey`: the slip of the pen that turns what was typed into the archive's key, if there is one.
    ///
    /// # Errors
    /// As [`Archive::identify`].
    pub fn locate_typo(destination: &Destination, typed: &RecoveryKey) -> Result<Option<Typo>, Error> {
        let header = Header::parse(&read_header(destination)?)?;
        Ok(typed.near_misses().find(|(_, key)| header.unlock(key).is_ok()).map(|(typo, _)| typo))
    }

    /// Opens an archive and loads its list of snapshots.
    ///
    /// # Errors
    /// `WrongKey`; `Rollback` when it lacks the newest snapshot that the device, the vault or the receipt remembers, and
    /// none is damaged that may be it; `VaultHead` when the vault's head is not one of this archive; `Damaged` when the
    /// header is; `NoArchive`, `HeaderMissing`, `FormatTooNew`, `Destination`, `Device`.
    pub fn open(destination: Destination, key: &BackupKey, options: OpenOptions) -> Result<Self, Error> {
        let header = read_header(&destination)?;
        let parsed = Header::parse(&header)?;
        let ring = parsed.unlock(key)?;
        let OpenOptions { memory, expected, vault_head, allow_rollback } = options;
        let vault_heads = match vault_head {
            Some(sealed) if !allow_rollback => vault_head::open(&ring, &sealed)?,
            _ => Vec::new(),
        };
        let mut archive = Self {
            destination,
            header,
            is_rotating: parsed.is_rotating(),
            ring,
            memory,
            vault_heads,
            allow_rollback,
            lacks_newest: false,
            snapshots: Vec::new(),
            damaged: Vec::new(),
            forgotten: LoadedForgotten::default(),
            leftover: Vec::new(),
            void: Vec::new(),
            ahead: Vec::new(),
            meets_newer: false,
        };
        archive.remember_epoch()?;
        archive.load_snapshots()?;
        archive.catch_up(key)?;
        if !allow_rollback {
            archive.refuse_rollback(expected)?;
        }
        archive.remember(false)?;
        Ok(archive)
    }

    /// A header of an epoch before one that this device has seen is an old one: its key may have been given up.
    pub(crate) fn remember_epoch(&self) -> Result<(), Error> {
        let Some(memory) = &self.memory else { return Ok(()) };
        match (memory.epoch()?, self.ring.epoch) {
            (seen, now) if now < seen && !self.allow_rollback => Err(Error::OldHeader),
            // What every archive begins with needs no memory.
            (seen, now) if now > seen && now > header::FIRST_EPOCH => memory.remember_epoch(now),
            _ => Ok(()),
        }
    }

    /// Whether a rotation of the key was begun and has not come to its end. Until then the archive is only read.
    pub const fn is_rotating(&self) -> bool {
        self.is_rotating
    }

    pub(crate) const fn refuse_rotation(&self) -> Result<(), Error> {
        if self.is_rotating { Err(Error::Rotating) } else { Ok(()) }
    }

    fn refuse_rollback(&mut self, expected: Option<Receipt>) -> Result<(), Error> {
        let known = self.known_heads();
        let lacks_head = self.remembered()?.into_iter().filter(|head| !known.contains(head)).max();
        let lacks_receipt = expected.filter(|receipt| !known.iter().any(|head| receipt.matches(head)));
        let newest = self.heads().last().map(Head::receipt);
        let Some(remembered) = lacks_head.map(|head| head.receipt()).or(lacks_receipt) else { return Ok(()) };
        // What is damaged may be what says that it was forgotten.
        if let Some(damaged) = self.forgotten.damaged.first() {
            return Err(forgotten::why_damaged(&self.destination, &self.ring, damaged));
        }
        // One that is there and damaged may be this very one: it is named as such wherever it matters.
        match (self.damaged.is_empty(), self.snapshots.is_empty()) {
            (true, _) => Err(Error::Rollback { remembered, newest }),
            (false, true) => Err(self.why_damaged()),
            (false, false) => {
                self.lacks_newest = newest.is_none_or(|newest| newest.number < remembered.number);
                Ok(())
            }
        }
    }

    /// What the device and the vault remember.
    pub(crate) fn remembered(&self) -> Result<Vec<Head>, Error> {
        let mut heads = self.memory.as_ref().map_or(Ok(Vec::new()), DeviceMemory::heads)?;
        heads.extend(&self.vault_heads);
        Ok(heads)
    }

    /// All snapshots' heads, oldest first.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.snapshots.iter().map(|snapshot| snapshot.head).collect()
    }

    /// The heads of all snapshots that are there, or were forgotten when something had followed them.
    pub(crate) fn known_heads(&self) -> HashSet<Head> {
        let followed = self.followed();
        let forgotten = self.forgotten.forgotten.keys().filter(|head| followed.contains(head));
        self.heads().into_iter().chain(forgotten.copied()).collect()
    }

    fn followed(&self) -> HashSet<Head> {
        forgotten::followed(&self.snapshots, &self.forgotten.forgotten)
    }

    /// The snapshots that none follows, sorted: usually the newest alone. They cannot be forgotten.
    pub fn tips(&self) -> Vec<Head> {
        let followed = self.followed();
        self.heads().into_iter().filter(|head| !followed.contains(head)).collect()
    }

    /// The tips, and what is `known` and cannot be opened; sorted.
    pub(crate) fn tips_and(&self, known: &[Head]) -> Vec<Head> {
        let there = self.known_heads();
        let mut heads = self.tips();
        heads.extend(known.iter().filter(|head| !there.contains(head)));
        heads.sort();
        heads.dedup();
        heads
    }

    /// Remembers the newest snapshots; what was remembered is forgotten only where that is `replaced`.
    pub(crate) fn remember(&self, replaced: bool) -> Result<(), Error> {
        match &self.memory {
            Some(memory) => memory.remember(&self.tips_and(&self.vault_heads), &self.known_heads(), replaced),
            None => Ok(()),
        }
    }

    /// The archive's id.
    pub const fn id(&self) -> ArchiveId {
        self.ring.archive
    }

    /// Where it lies, without credentials.
    pub fn url(&self) -> &str {
        self.destination.url()
    }

    /// All snapshots that can be opened, oldest first.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Snapshot objects that cannot.
    pub fn damaged_snapshots(&self) -> &[Problem] {
        &self.damaged
    }

    /// The snapshot that goes by `which`: `latest`, a number, or the first four or more digits of a name.
    ///
    /// # Errors
    /// `NoSnapshot` for the latest of none; `NoSuchSnapshot` for none, or several. `latest` is `Damaged` when a
    /// snapshot object is: it may be the latest.
    pub fn snapshot(&self, which: &str) -> Result<&Snapshot, Error> {
        if which == "latest" {
            if self.latest_is_in_doubt() {
                return Err(self.why_damaged());
            }
            return self.snapshots.last().ok_or(Error::NoSnapshot);
        }
        let number = which.parse::<u64>().ok();
        let by_name = |snapshot: &&Snapshot| which.len() >= 4 && snapshot.name.to_string().starts_with(which);
        let by_number = |snapshot: &&Snapshot| Some(snapshot.head.number) == number;
        let mut found: Vec<_> = self.snapshots.iter().filter(by_number).collect();
        if found.is_empty() {
            found = self.snapshots.iter().filter(by_name).collect();
        }
        match found[..] {
            [snapshot] => Ok(snapshot),
            [] => Err(Error::NoSuchSnapshot(format!("there is no snapshot {which}"))),
            _ => Err(Error::NoSuchSnapshot(format!("{} snapshots are called {which}: give the name", found.len()))),
        }
    }

    /// What is wrong with the first snapshot that cannot be opened.
    pub(crate) fn why_damaged(&self) -> Error {
        let name = self.damaged.first().and_then(|damaged| ObjectName::at_end_of(&damaged.path));
        let error = name.and_then(|name| read_snapshot(&self.destination, &self.ring, &name).err());
        error.unwrap_or_else(|| Error::damaged(ObjectType::Snapshot.folder(), Damage::Contradiction))
    }

    /// Whether a snapshot that cannot be opened may be the latest: one is remembered that is newer, or fewer are missing
    /// among the numbers below the newest than there are damaged.
    fn latest_is_in_doubt(&self) -> bool {
        let Some(newest) = self.snapshots.last() else { return self.lacks_newest || !self.damaged.is_empty() };
        let known = self.snapshots.iter().map(|snapshot| &snapshot.head).chain(self.forgotten.forgotten.keys());
        let numbers: HashSet<_> =
            known.map(|head| head.number).filter(|number| *number <= newest.head.number).collect();
        let is_told = self.forgotten.damaged.is_empty();
        let missing = if is_told { newest.head.number - numbers.len() as u64 } else { 0 };
        self.lacks_newest || self.damaged.len() as u64 > missing
    }

    /// Restores a snapshot, or the paths of it that the options name.
    ///
    /// # Errors
    /// `NotInSnapshot` before anything is written; `Target` when the target folder cannot be used; `Destination` when
    /// it fails. Damage and refusals to single files are problems in the report, not errors.
    pub fn restore(
        &self,
        snapshot: &Snapshot,
        options: &RestoreOptions,
        progress: &Progress,
    ) -> Result<RestoreReport, Error> {
        let store = self.chunk_store()?;
        let selection = list::select(&store, snapshot, &options.paths)?;
        if options.paths.is_empty() {
            progress.expect(snapshot.totals.files, snapshot.totals.bytes);
        }
        Restorer::new(&store, options.force, progress).run(&options.target, &snapshot.root, &selection)
    }

    /// Visits the entries of a folder in a snapshot (or the one file that `path` is), with their paths relative to
    /// the snapshot's base. Parts that are damaged are returned.
    ///
    /// # Errors
    /// `NotInSnapshot`, `Destination`.
    pub fn list(
        &self,
        snapshot: &Snapshot,
        path: Option<&Path>,
        recursive: bool,
        visit: &mut dyn FnMut(&Path, &Node),
    ) -> Result<Vec<Problem>, Error> {
        let store = self.chunk_store()?;
        let mut problems = Vec::new();
        let found = match path {
            Some(path) => list::find(&store, snapshot, path)?.map(|node| (path, node)),
            None => None,
        };
        let (path, content) = match &found {
            None => (Path::new(""), &snapshot.root),
            Some((path, Node { kind: NodeKind::Directory { content }, .. })) => {
                (path.strip_prefix(&snapshot.base).unwrap_or(path), content)
            }
            Some((path, node)) => {
                visit(path.strip_prefix(&snapshot.base).unwrap_or(path), node);
                return Ok(problems);
            }
        };
        list::walk(&store, (path, content), recursive, visit, &mut problems)?;
        Ok(problems)
    }

    pub(crate) fn chunk_store(&self) -> Result<ChunkStore<'_>, Error> {
        let index = store::load_index(&self.destination, &self.ring, &BTreeSet::new())?.index;
        Ok(ChunkStore::new(&self.destination, &self.ring, index))
    }
}
