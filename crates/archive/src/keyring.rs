//! An archive's identity and keys: what sealing and opening need.
//!
//! An archive whose key was rotated has several epochs, each with a data key of its own. What is written is sealed in the
//! current one; of older ones, packs are still read until they have been sealed anew.

use std::collections::BTreeMap;
use std::mem;

use coffer_keys::{ArchiveId, ArchiveKeys, ChunkIdKey, ChunkerKey, CommitKey, DataKey, ObjectKey};

use crate::carried::Carried;
use crate::envelope::ObjectType;

/// The keys of every epoch that a backup key leads to.
#[derive(Debug)]
pub(crate) struct Keyring {
    pub(crate) archive: ArchiveId,
    /// The current epoch: what is written is sealed in it, and only its snapshots count.
    pub(crate) epoch: u32,
    /// The epoch of the backup key. A later one than the current while a rotation has not come to its end.
    pub(crate) own: u32,
    /// The same in every epoch, as ids stand in what is sealed.
    pub(crate) chunk_id: ChunkIdKey,
    /// The same in every epoch, so that content is cut as before.
    pub(crate) chunker: ChunkerKey,
    keys: ArchiveKeys,
    others: BTreeMap<u32, ArchiveKeys>,
}

impl Keyring {
    /// That of an archive that knows one epoch.
    pub(crate) fn of_epoch(archive: ArchiveId, epoch: u32, data_key: &DataKey) -> Self {
        let keys = data_key.derive(&archive);
        let chunk_id = ChunkIdKey::from_bytes(*keys.chunk_id.expose_bytes());
        let chunker = ChunkerKey::from_bytes(*keys.chunker.expose_bytes());
        Self { archive, epoch, own: epoch, chunk_id, chunker, keys, others: BTreeMap::new() }
    }

    /// Puts what is carried in the place of the epoch's own keys, and adds those of older epochs.
    pub(crate) fn carry(&mut self, carried: &Carried) {
        self.chunk_id = ChunkIdKey::from_bytes(*carried.chunk_id.expose_bytes());
        self.chunker = ChunkerKey::from_bytes(*carried.chunker.expose_bytes());
        let derive = |(epoch, key): (&u32, &DataKey)| (*epoch, key.derive(&self.archive));
        self.others.extend(carried.older.iter().map(derive));
    }

    /// Copies of the keys that are the same in every epoch.
    pub(crate) fn chunk_keys(&self) -> (ChunkIdKey, ChunkerKey) {
        let chunk_id = ChunkIdKey::from_bytes(*self.chunk_id.expose_bytes());
        (chunk_id, ChunkerKey::from_bytes(*self.chunker.expose_bytes()))
    }

    /// Makes another epoch the current one, if its keys are here.
    pub(crate) fn advance(&mut self, epoch: u32) {
        if let Some(keys) = self.others.remove(&epoch) {
            self.others.insert(self.epoch, mem::replace(&mut self.keys, keys));
            self.epoch = epoch;
        }
    }

    /// Drops the keys of all epochs but the current one.
    pub(crate) fn drop_others(&mut self) {
        self.others.clear();
    }

    /// Whether there are keys of epochs before the current one.
    pub(crate) fn has_older(&self) -> bool {
        self.others.keys().any(|epoch| *epoch < self.epoch)
    }

    /// The epochs that there are keys of, the current one first.
    pub(crate) fn epochs(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.epoch).chain(self.others.keys().copied())
    }

    fn keys_of(&self, epoch: u32) -> Option<&ArchiveKeys> {
        if epoch == self.epoch { Some(&self.keys) } else { self.others.get(&epoch) }
    }

    pub(crate) fn commit(&self, epoch: u32) -> Option<&CommitKey> {
        self.keys_of(epoch).map(|keys| &keys.commit)
    }

    /// The key of a kind of objects in an epoch, unless none is here.
    pub(crate) fn object_key(&self, epoch: u32, object_type: ObjectType) -> Option<&ObjectKey> {
        self.keys_of(epoch).map(|keys| of_type(keys, object_type))
    }

    /// The same in the current epoch.
    pub(crate) const fn current_key(&self, object_type: ObjectType) -> &ObjectKey {
        of_type(&self.keys, object_type)
    }
}

const fn of_type(keys: &ArchiveKeys, object_type: ObjectType) -> &ObjectKey {
    match object_type {
        ObjectType::Pack => &keys.pack,
        ObjectType::Index => &keys.index,
        ObjectType::Snapshot => &keys.snapshot,
        ObjectType::Lock => &keys.lock,
        ObjectType::Forgotten => &keys.forgotten,
        ObjectType::Doomed => &keys.doomed,
        ObjectType::Head => &keys.head,
        ObjectType::Carried => &keys.carried,
    }
}
