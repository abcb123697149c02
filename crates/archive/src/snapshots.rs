//! Which snapshots there are, and which of them count.

use coffer_keys::BackupKey;
use sha2::{Digest as _, Sha256};

use crate::archive::Archive;
use crate::codec::CodecError;
use crate::destination::Destination;
use crate::device::Head;
use crate::envelope::{ObjectType, open_counting};
use crate::error::{Damage, Error};
use crate::forgotten;
use crate::header::{self, Header};
use crate::header_place::read_header;
use crate::id::ObjectName;
use crate::keyring::Keyring;
use crate::report::Problem;
use crate::snapshot::Snapshot;
use crate::store;

impl Archive {
    /// Snapshots first, then what was forgotten: who forgets writes first and removes then.
    pub(crate) fn load_snapshots(&mut self) -> Result<(), Error> {
        self.damaged.clear();
        self.void.clear();
        self.ahead.clear();
        self.meets_newer = false;
        let mut all = Vec::new();
        for name in store::list_objects(&self.destination, ObjectType::Snapshot)? {
            match read_snapshot(&self.destination, &self.ring, &name) {
                Ok((epoch, snapshot)) if epoch == self.ring.epoch => all.push(snapshot),
                Ok((_, snapshot)) => self.ahead.push(snapshot),
                Err(Error::Damaged { why: Damage::OlderEpoch, .. }) => self.void.push(name),
                Err(Error::Damaged { why: Damage::NewerEpoch, .. }) => self.meets_newer = true,
                // It was forgotten a moment ago, or the listing is an old one.
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_damage() => {
                    let path = ObjectType::Snapshot.path(&name).into();
                    self.damaged.push(Problem { path, what: error.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        self.forgotten = forgotten::load(&self.destination, &self.ring)?;
        let (all, twins) = without_twins(all);
        (self.snapshots, self.leftover) = forgotten::sort_out(all, &self.forgotten.forgotten);
        self.leftover.extend(twins);
        self.snapshots.sort_by_key(|snapshot| (snapshot.head.number, snapshot.head.hash));
        Ok(())
    }

    /// Fails when a snapshot does not open, or one is missing that another follows and that was not forgotten: who removes
    /// something, or lets older snapshots count no more, has to know of all.
    pub(crate) fn refuse_incomplete(&self) -> Result<(), Error> {
        if !self.damaged.is_empty() {
            return Err(self.why_damaged());
        }
        let missing = self.missing_snapshots().into_iter().map(|(_, head)| head).max();
        let Some(missing) = missing.filter(|_| !self.allow_rollback) else { return Ok(()) };
        // What is damaged may be what says that it was forgotten.
        if let Some(damaged) = self.forgotten.damaged.first() {
            return Err(forgotten::why_damaged(&self.destination, &self.ring, damaged));
        }
        Err(self.rolled_back(missing))
    }

    fn rolled_back(&self, missing: Head) -> Error {
        let newest = self.snapshots.last().map(|newest| newest.head.receipt());
        Error::Rollback { remembered: missing.receipt(), newest }
    }

    /// The same, and fails when something that says what was forgotten does not open, or one of the snapshots `seen` before
    /// is neither there nor forgotten.
    pub(crate) fn refuse_any_loss(&self, seen: &[Head]) -> Result<(), Error> {
        if let Some(damaged) = self.forgotten.damaged.first() {
            return Err(forgotten::why_damaged(&self.destination, &self.ring, damaged));
        }
        self.refuse_incomplete()?;
        let known = self.known_heads();
        let lost = seen.iter().filter(|head| !known.contains(head)).max();
        lost.filter(|_| !self.allow_rollback).map_or(Ok(()), |lost| Err(self.rolled_back(*lost)))
    }

    /// The header may have been replaced before the snapshots were listed.
    pub(crate) fn catch_up(&mut self, key: &BackupKey) -> Result<(), Error> {
        if !self.meets_newer && self.ahead.is_empty() {
            return Ok(());
        }
        let header = read_header(&self.destination)?;
        if header == self.header {
            return Ok(());
        }
        let parsed = Header::parse(&header)?;
        (self.ring, self.is_rotating) = (parsed.unlock(key)?, parsed.is_rotating());
        self.header = header;
        self.remember_epoch()?;
        self.load_snapshots()
    }
}

/// One that was sealed anew twice is one. Whoever looks takes the same of them; the others can go.
fn without_twins(mut all: Vec<Snapshot>) -> (Vec<Snapshot>, Vec<Snapshot>) {
    all.sort_by_key(|snapshot| (snapshot.head, snapshot.is_resealed(), snapshot.name));
    let mut last = None;
    all.into_iter().partition(|snapshot| last.replace(snapshot.head) != Some(snapshot.head))
}

/// A snapshot, and the epoch that it is sealed in.
pub(crate) fn read_snapshot(
    destination: &Destination,
    ring: &Keyring,
    name: &ObjectName,
) -> Result<(u32, Snapshot), Error> {
    let path = ObjectType::Snapshot.path(name);
    let object = destination.read(&path, ObjectType::Snapshot.max_len())?;
    let (epoch, content) = open_counting(ring, ObjectType::Snapshot, name, &object)?;
    let snapshot = Snapshot::decode(*name, Sha256::digest(&object).into(), &content);
    let snapshot = snapshot.map_err(|error| Error::damaged(path.clone(), error))?;
    // Before the first rotation there was nothing to seal anew: it would stand in for any snapshot.
    if snapshot.earlier.len() > (epoch - header::FIRST_EPOCH) as usize {
        return Err(Error::damaged(path, CodecError::Trailing));
    }
    Ok((epoch, snapshot))
}
