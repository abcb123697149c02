//! `coffer.json`, the archive's clear header: format version, archive id, key slots, commitment; once the key was rotated
//! also the current epoch, and what is carried from epoch to epoch.
//!
//! A rotation replaces it twice: first (`prepared`) by one that the new key opens too, then (`advanced`) by one of the new
//! epoch, which the old key does not open. When nothing of older epochs is left, it is replaced by one that does not carry
//! their data keys any more (`without_older`).

use std::collections::BTreeMap;

use coffer_keys::{ArchiveId, BackupKey, CommitKey, DataKey, KeySlot, UnwrapError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::carried::{self, Carried};
use crate::codec::Encoder;
use crate::envelope::epoch_of;
use crate::error::{Damage, Error};
use crate::keyring::Keyring;

/// Where the header lies, below the archive's root.
pub(crate) const PATH: &str = "coffer.json";
/// The version of an archive whose key was never rotated, …
const FIRST_VERSION: u32 = 1;
/// … and that of one whose key was: the newest that this program reads.
const VERSION: u32 = 2;
/// The epoch of a new archive.
pub(crate) const FIRST_EPOCH: u32 = 1;
/// A longer header is none, bytes.
pub(crate) const MAX_LEN: u64 = 64 << 10;

/// The header as parsed. It proves nothing until [`Header::unlock`] has found its commitment to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) archive: ArchiveId,
    slots: Vec<KeySlot>,
    /// None while the key was never rotated.
    rotated: Option<Rotated>,
    commitment: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rotated {
    /// The current epoch.
    epoch: u32,
    /// For each epoch that a key was rotated to, what is sealed under its data key.
    carried: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    coffer: u32,
    archive: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    slots: Vec<JsonSlot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    carried: Option<Vec<String>>,
    commitment: String,
    checksum: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonSlot {
    id: String,
    epoch: u32,
    check: String,
    wrapped: String,
}

/// The one field that every version of the header has.
#[derive(Deserialize)]
struct JsonVersion {
    coffer: u32,
}

impl JsonSlot {
    pub(crate) fn new(slot: &KeySlot) -> Self {
        Self {
            id: hex::encode(slot.id),
            epoch: slot.epoch,
            check: hex::encode(slot.check),
            wrapped: hex::encode(slot.wrapped),
        }
    }

    pub(crate) fn key_slot(&self) -> Option<KeySlot> {
        let (id, check, wrapped) = (array(&self.id)?, array(&self.check)?, array(&self.wrapped)?);
        Some(KeySlot { id, epoch: self.epoch, check, wrapped })
    }
}

/// What a backup key leads to.
struct Unlocked {
    /// The epoch of its slot.
    own: u32,
    data_key: DataKey,
    /// None in the first epoch, where nothing is carried.
    carried: Option<Carried>,
}

impl Header {
    /// The header of a new archive, and its first data key.
    pub(crate) fn generate(key: &BackupKey) -> Result<(Self, DataKey), Error> {
        let archive = ArchiveId::generate()?;
        let data_key = DataKey::generate()?;
        let slots = vec![KeySlot::wrap(key, &archive, FIRST_EPOCH, &data_key)?];
        Ok((Self::new(archive, slots, &data_key), data_key))
    }

    /// The header with these slots, all around `data_key`, which commits to it.
    pub(crate) fn new(archive: ArchiveId, slots: Vec<KeySlot>, data_key: &DataKey) -> Self {
        let header = Self { archive, slots, rotated: None, commitment: [0; 32] };
        header.committed(&data_key.derive(&archive).commit)
    }

    fn committed(mut self, key: &CommitKey) -> Self {
        self.commitment = key.commit(&self.message());
        self
    }

    const fn version(&self) -> u32 {
        if self.rotated.is_some() { VERSION } else { FIRST_VERSION }
    }

    /// What commitment and checksum cover: everything else.
    fn message(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.raw(b"coffer/v1/header");
        e.varint(self.version().into());
        e.raw(self.archive.as_bytes());
        if let Some(rotated) = &self.rotated {
            e.varint(rotated.epoch.into());
        }
        e.varint(self.slots.len() as u64);
        for slot in &self.slots {
            e.raw(&slot.id);
            e.varint(slot.epoch.into());
            e.raw(&slot.check);
            e.raw(&slot.wrapped);
        }
        if let Some(rotated) = &self.rotated {
            e.varint(rotated.carried.len() as u64);
            rotated.carried.iter().for_each(|sealed| e.bytes(sealed));
        }
        e.finish()
    }

    /// Against accidents only: it lets a user with the right key tell a damaged header from a wrong key.
    fn checksum(&self) -> [u8; 32] {
        Sha256::new().chain_update(self.message()).chain_update(self.commitment).finalize().into()
    }

    /// The file's bytes; a header has exactly one form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let json = Json {
            coffer: self.version(),
            archive: self.archive.to_string(),
            epoch: self.rotated.as_ref().map(|rotated| rotated.epoch),
            slots: self.slots.iter().map(JsonSlot::new).collect(),
            carried: self.rotated.as_ref().map(|rotated| rotated.carried.iter().map(hex::encode).collect()),
            commitment: hex::encode(self.commitment),
            checksum: hex::encode(self.checksum()),
        };
        #[expect(clippy::expect_used, reason = "strings and numbers always have a JSON form")]
        let mut text = serde_json::to_string_pretty(&json).expect("strings and numbers");
        text.push('\n');
        text.into_bytes()
    }

    /// Parses the file.
    ///
    /// # Errors
    /// `FormatTooNew`, or `Damaged`: not JSON, another form than [`Header::encode`] gives, or a wrong checksum.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |why| Error::damaged(PATH, why);
        if bytes.len() as u64 > MAX_LEN {
            return Err(damaged(Damage::NotOfThisKind));
        }
        let version: JsonVersion = serde_json::from_slice(bytes).map_err(|_| damaged(Damage::NotOfThisKind))?;
        if version.coffer > VERSION {
            let (found, supported) = (version.coffer, VERSION);
            return Err(Error::FormatTooNew { object: PATH.to_owned(), found, supported });
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|_| damaged(Damage::NotOfThisKind))?;
        let header = Self::from_json(&json).ok_or_else(|| damaged(Damage::NotOfThisKind))?;
        if hex::encode(header.checksum()) != json.checksum || header.encode() != bytes {
            return Err(damaged(Damage::Checksum));
        }
        Ok(header)
    }

    fn from_json(json: &Json) -> Option<Self> {
        let slots = json.slots.iter().map(JsonSlot::key_slot).collect::<Option<Vec<_>>>()?;
        let rotated = match (json.epoch, &json.carried) {
            (None, None) => None,
            (Some(epoch), Some(carried)) => {
                let carried = carried.iter().map(|sealed| hex::decode(sealed).ok()).collect::<Option<Vec<_>>>()?;
                // One for an epoch.
                let is_sorted = carried.is_sorted_by(|one, other| epoch_of(one) < epoch_of(other));
                Some(Rotated { epoch, carried: is_sorted.then_some(carried)? })
            }
            _ => return None,
        };
        Some(Self { archive: ArchiveId::parse(&json.archive)?, slots, rotated, commitment: array(&json.commitment)? })
    }

    /// Whether a rotation was begun that has not come to its end.
    pub(crate) fn is_rotating(&self) -> bool {
        let Some(rotated) = &self.rotated else { return false };
        self.slots.iter().any(|slot| slot.epoch > rotated.epoch)
    }

    /// The current epoch, as the header says it.
    pub(crate) fn epoch(&self) -> u32 {
        self.rotated.as_ref().map_or(FIRST_EPOCH, |rotated| rotated.epoch)
    }

    /// Finds the slot that `key` opens, and verifies that the current data key commits to this very header.
    ///
    /// # Errors
    /// `WrongKey` when no slot of the current epoch or a later one knows the key; `Damaged` when one does but does not
    /// open, or the commitment does not fit.
    pub(crate) fn unlock(&self, key: &BackupKey) -> Result<Keyring, Error> {
        Ok(self.open(key)?.1)
    }

    fn open(&self, key: &BackupKey) -> Result<(Unlocked, Keyring), Error> {
        let damaged = |why| Error::damaged(PATH, why);
        let (own, data_key) = self.open_slot(key)?;
        let all = self.rotated.as_ref().map_or(&[][..], |rotated| &rotated.carried);
        let carried = match carried::of_epoch(all, own) {
            Some(sealed) => Some(Carried::open(self.archive, own, &data_key, sealed)?),
            None => None,
        };
        let mut ring = Keyring::of_epoch(self.archive, own, &data_key);
        if let Some(carried) = &carried {
            ring.carry(carried);
        }
        if let Some(Rotated { epoch, .. }) = &self.rotated {
            ring.advance(*epoch);
            if ring.epoch != *epoch {
                return Err(damaged(Damage::Contradiction));
            }
        }
        let commit = ring.commit(ring.epoch);
        if !commit.is_some_and(|commit| commit.verify(&self.message(), &self.commitment)) {
            return Err(damaged(Damage::Commitment));
        }
        Ok((Unlocked { own, data_key, carried }, ring))
    }

    fn open_slot(&self, key: &BackupKey) -> Result<(u32, DataKey), Error> {
        let current = self.rotated.as_ref().map_or(0, |rotated| rotated.epoch);
        for slot in self.slots.iter().filter(|slot| slot.epoch >= current) {
            match slot.unwrap_data_key(key, &self.archive) {
                Ok(data_key) => return Ok((slot.epoch, data_key)),
                Err(UnwrapError::WrongKey) => {}
                Err(UnwrapError::Damaged) => return Err(Error::damaged(PATH, Damage::Tag)),
            }
        }
        Err(Error::WrongKey)
    }

    /// The first header of a rotation: as before, but `new` opens it too, and what was sealed by now through the data key
    /// of a new epoch.
    pub(crate) fn prepared(&self, key: &BackupKey, new: &BackupKey) -> Result<Self, Error> {
        let (Unlocked { own, data_key, carried }, ring) = self.open(key)?;
        let newest = self.slots.iter().map(|slot| slot.epoch).max().unwrap_or(own);
        let next = newest.checked_add(1).ok_or_else(|| Error::damaged(PATH, Damage::Contradiction))?;
        let mut older = carried.map_or_else(BTreeMap::new, |carried| carried.older);
        older.insert(own, data_key);
        // An epoch that another rotation began and never ended has sealed nothing that counts.
        older.retain(|epoch, _| *epoch <= ring.epoch);
        let next_key = DataKey::generate()?;
        let (chunk_id, chunker) = ring.chunk_keys();
        let carried = Carried { chunk_id, chunker, older };
        let mut header = self.clone();
        header.slots.push(KeySlot::wrap(new, &self.archive, next, &next_key)?);
        let rotated = header.rotated.get_or_insert_with(|| Rotated { epoch: ring.epoch, carried: Vec::new() });
        rotated.carried.push(carried.seal(self.archive, next, &next_key)?);
        Ok(header.committed(commit_key(&ring, ring.epoch)?))
    }

    /// The second header of a rotation: the epoch of the key that `ring` comes from is the current one, and no other key
    /// opens it.
    pub(crate) fn advanced(&self, ring: &Keyring) -> Result<Self, Error> {
        let mut header = self.clone();
        header.slots.retain(|slot| slot.epoch == ring.own);
        let mut carried = self.rotated.as_ref().map_or_else(Vec::new, |rotated| rotated.carried.clone());
        carried.retain(|sealed| epoch_of(sealed) == Some(ring.own));
        header.rotated = Some(Rotated { epoch: ring.own, carried });
        Ok(header.committed(commit_key(ring, ring.own)?))
    }

    /// The last header of a rotation: it leads to no epoch but the current one.
    pub(crate) fn without_older(&self, ring: &Keyring) -> Result<Self, Error> {
        let (chunk_id, chunker) = ring.chunk_keys();
        let carried = Carried { chunk_id, chunker, older: BTreeMap::new() }.seal_in(ring)?;
        let mut header = self.clone();
        header.rotated = Some(Rotated { epoch: ring.epoch, carried: vec![carried] });
        Ok(header.committed(commit_key(ring, ring.epoch)?))
    }

    /// Whether this header follows `other` in the history of one archive. Of the same epoch, it is the later one that
    /// leads to fewer others; both commitments are verified then.
    pub(crate) fn follows(&self, other: &Self, ring: &Keyring) -> bool {
        if self.archive != other.archive || self.epoch() != other.epoch() {
            return self.archive == other.archive && self.epoch() > other.epoch();
        }
        let is_authentic = |header: &Self| {
            ring.commit(ring.epoch).is_some_and(|key| key.verify(&header.message(), &header.commitment))
        };
        let len = |header: &Self| {
            let all = header.rotated.as_ref().map_or(&[][..], |rotated| &rotated.carried);
            carried::of_epoch(all, ring.epoch).map_or(usize::MAX, <[u8]>::len)
        };
        self.epoch() == ring.epoch && is_authentic(self) && is_authentic(other) && len(self) < len(other)
    }
}

fn commit_key(ring: &Keyring, epoch: u32) -> Result<&CommitKey, Error> {
    ring.commit(epoch).ok_or_else(|| Error::damaged(PATH, Damage::NewerEpoch))
}

fn array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
