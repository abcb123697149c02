//! Rotating the key: a new backup key, a new data key, and in the end nothing that the old ones open.
//!
//! ```text
//! prepare: header that both keys open ─► (the new key is kept safe) ─► rotate: snapshots and notes sealed anew ─►
//! header of the new epoch ─► prune: packs sealed anew, the old ones removed ─► header without the older keys
//! ```
//!
//! From the first header to the second nothing else is written. A backup looks at the header once more after it has
//! written its snapshot, and a rotation lists the snapshots after it has written its first header: whichever comes first,
//! the other sees it. Each step can be done again: what is there already is found.

use std::collections::HashSet;
use std::time::Duration;

use coffer_keys::BackupKey;

use crate::archive::Archive;
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, seal_object_in};
use crate::error::Error;
use crate::forgotten;
use crate::header::{self, Header};
use crate::header_place::replace_header;
use crate::id::ObjectName;
use crate::lock;
use crate::prune::PruneOptions;
use crate::report::{Progress, PruneReport};
use crate::store;
use crate::sweep::GRACE;

/// How to rotate a key.
#[derive(Debug, Clone, Default)]
pub struct RotateOptions {
    /// The name of this device, for the lock.
    pub host: String,
    /// How long the first header must have been there before the snapshots are sealed anew. By itself: not at all where
    /// listings show at once what was written, a day elsewhere.
    pub grace: Option<Duration>,
}

/// What a rotation did.
#[derive(Debug, Default)]
pub struct RotateReport {
    /// Snapshots that are sealed in the new epoch.
    pub snapshots: u64,
    /// The rotation goes on once the first header is so old.
    pub waits: Option<Duration>,
}

impl Archive {
    /// Has both the key that this archive was opened with and a new one open it. From now on it is only read, until
    /// [`Archive::rotate`] has come to its end.
    ///
    /// # Errors
    /// `WrongKey` when `key` is not its key; `OldHeader` when there are snapshots of a later epoch than its header knows;
    /// `Damaged` and `Rollback` when a snapshot does not open or is missing, or what says which were forgotten; `Busy` while another run works on the archive; `Rotated` when another device
    /// was quicker; `Destination` when it fails.
    pub fn prepare_rotation(&self, key: &BackupKey, new: &BackupKey, host: &str) -> Result<(), Error> {
        let locked = self.lock_alone(host, "rotate")?;
        let prepared = self.stay_in_epoch().and_then(|()| {
            // Nothing in this header leads to their keys: it was followed by another.
            if self.meets_newer && !self.is_rotating {
                return Err(Error::OldHeader);
            }
            // Afterwards less can be done about it.
            self.refuse_any_loss(&[])?;
            let header = Header::parse(&self.header)?.prepared(key, new)?;
            replace_header(&self.destination, &header.encode())
        });
        lock::end(&self.destination, &locked, prepared)
    }

    /// Whether the key that this archive was opened with is the one that a rotation leads to.
    pub const fn is_by_next_key(&self) -> bool {
        self.ring.own > self.ring.epoch
    }

    /// Ends what [`Archive::prepare_rotation`] began, for an archive that was opened with the new key. Then the old key
    /// opens nothing that is written; what it has sealed is sealed anew by [`Archive::prune`].
    ///
    /// # Errors
    /// `Rotating` for an archive that was opened with the old key; `Busy` while another run works on the archive;
    /// `Damaged` and `Rollback` when a snapshot, or what says which were forgotten, does not open or is missing: it would be
    /// lost; `OldHeader` when that of the new epoch was there already; `Disturbed` and `Rotated` when others were at it;
    /// `Destination` when it fails. Whatever the error, the next run goes on.
    pub fn rotate(&mut self, options: &RotateOptions) -> Result<RotateReport, Error> {
        if !self.is_by_next_key() {
            self.refuse_rotation()?;
            return Ok(RotateReport::default());
        }
        let locked = self.lock_alone(&options.host, "rotate")?;
        let rotated = self.advance(&locked, options);
        lock::end(&self.destination, &locked, rotated)
    }

    /// Has what the old key sealed sealed anew, as [`Archive::prune`] does it.
    ///
    /// # Errors
    /// As [`Archive::prune`].
    pub fn finish_rotation(&mut self, options: &PruneOptions, progress: &Progress) -> Result<PruneReport, Error> {
        self.prune_as("rotate", options, progress)
    }

    fn advance(&mut self, locked: &ObjectName, options: &RotateOptions) -> Result<RotateReport, Error> {
        let own = if self.destination.lists_at_once() { Duration::ZERO } else { GRACE };
        let grace = options.grace.unwrap_or(own);
        if self.age_of_header(locked)? < grace {
            return Ok(RotateReport { waits: Some(grace), ..RotateReport::default() });
        }
        let seen = [self.heads(), self.remembered()?].concat();
        self.load_snapshots()?;
        self.stay_in_epoch()?;
        self.refuse_old_header()?;
        if self.remove_torn()? {
            self.load_snapshots()?;
        }
        self.refuse_any_loss(&seen)?;
        self.seal_anew()?;
        self.destination.settle()?;
        if !self.is_locked(locked)? {
            return Err(Error::Disturbed);
        }
        self.stay_in_epoch()?;
        let header = Header::parse(&self.header)?.advanced(&self.ring)?.encode();
        replace_header(&self.destination, &header)?;
        self.header = header;
        self.is_rotating = false;
        self.ring.advance(self.ring.own);
        self.remember_epoch()?;
        self.load_snapshots()?;
        Ok(RotateReport { snapshots: self.snapshots.len() as u64, waits: None })
    }

    /// Before the second header nothing is made in its epoch but snapshots that are sealed anew. (What a prune removes for
    /// good it removes after having written an index object.)
    fn refuse_old_header(&self) -> Result<(), Error> {
        if self.ahead.iter().any(|snapshot| !snapshot.is_resealed()) {
            return Err(Error::OldHeader);
        }
        for name in store::list_objects(&self.destination, ObjectType::Index)? {
            if self.is_ahead(ObjectType::Index, &name)? {
                return Err(Error::OldHeader);
            }
        }
        Ok(())
    }

    /// Whether an object was begun in the epoch that the rotation leads to, as its prefix proves.
    fn is_ahead(&self, kind: ObjectType, name: &ObjectName) -> Result<bool, Error> {
        let prefix = match self.destination.read_range(&kind.path(name), 0, PREFIX_LEN as u64) {
            Err(error) if error.is_not_found() || error.is_damage() => return Ok(false),
            read => read?,
        };
        let cipher = ObjectCipher::from_prefix(&self.ring, kind, name, &prefix);
        Ok(cipher.is_ok_and(|cipher| cipher.epoch() == self.ring.own))
    }

    /// Removes what a run that died has left half sealed anew, where a provider shows such.
    fn remove_torn(&self) -> Result<bool, Error> {
        let mut is_torn = false;
        for (kind, damaged) in [(ObjectType::Snapshot, &self.damaged), (ObjectType::Forgotten, &self.forgotten.damaged)]
        {
            for path in damaged.iter().map(|damaged| &damaged.path) {
                if let Some(name) = ObjectName::at_end_of(path)
                    && self.is_ahead(kind, &name)?
                {
                    self.destination.delete(&kind.path(&name))?;
                    is_torn = true;
                }
            }
        }
        Ok(is_torn)
    }

    /// How long before this run's lock the header was written.
    fn age_of_header(&self, locked: &ObjectName) -> Result<Duration, Error> {
        let written = self.destination.modified(header::PATH)?;
        let now = self.destination.modified(&ObjectType::Lock.path(locked))?;
        Ok(written.zip(now).and_then(|(written, now)| now.duration_since(written).ok()).unwrap_or_default())
    }

    /// Snapshots, and what says which were forgotten, in the epoch that the rotation leads to: what an interrupted run has
    /// sealed stays, if it is still so.
    pub(crate) fn seal_anew(&self) -> Result<(), Error> {
        let there: HashSet<_> = self.snapshots.iter().map(|snapshot| snapshot.head).collect();
        let mut sealed = HashSet::new();
        for snapshot in &self.ahead {
            if !there.contains(&snapshot.head) || !sealed.insert(snapshot.head) {
                self.destination.delete(&ObjectType::Snapshot.path(&snapshot.name))?;
            }
        }
        for snapshot in self.snapshots.iter().filter(|snapshot| !sealed.contains(&snapshot.head)) {
            let name = ObjectName::generate()?;
            let mut resealed = snapshot.clone();
            resealed.earlier.push(snapshot.hash);
            let object = seal_object_in((&self.ring, self.ring.own), ObjectType::Snapshot, &name, &resealed.encode())?;
            self.destination.write(&ObjectType::Snapshot.path(&name), object)?;
        }
        let known = &self.forgotten;
        if known.forgotten != known.ahead {
            if !known.forgotten.is_empty() {
                forgotten::write(&self.destination, (&self.ring, self.ring.own), &known.forgotten)?;
            }
            for name in &known.objects_ahead {
                self.destination.delete(&ObjectType::Forgotten.path(name))?;
            }
        }
        Ok(())
    }
}
