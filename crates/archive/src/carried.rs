//! What the header of a rotated archive carries from epoch to epoch, sealed under the data key of a later one: the keys
//! that chunks are named and cut with, and the data keys of epochs whose packs are still there.
//!
//! Older data keys are wrapped here and not in key slots, so that a backup key has a slot of one epoch only: nobody can
//! make a header that has the new key seal anything in an epoch whose key was given up.

use std::collections::BTreeMap;

use coffer_keys::{ArchiveId, ChunkIdKey, ChunkerKey, DataKey};
use zeroize::Zeroizing;

use crate::aead::WrongTag;
use crate::codec::{CodecError, Decoder, Encoder};
use crate::envelope::{ObjectCipher, ObjectType, PREFIX_LEN, Part, epoch_of};
use crate::error::{Damage, Error};
use crate::header;
use crate::id::ObjectName;
use crate::keyring::Keyring;

/// It lies in no folder, and has no name.
const NAME: ObjectName = ObjectName::from_bytes([0; ObjectName::LEN]);

pub(crate) struct Carried {
    pub(crate) chunk_id: ChunkIdKey,
    pub(crate) chunker: ChunkerKey,
    /// Data keys of epochs before.
    pub(crate) older: BTreeMap<u32, DataKey>,
}

impl Carried {
    /// Seals it under the data key of an epoch.
    pub(crate) fn seal(&self, archive: ArchiveId, epoch: u32, data_key: &DataKey) -> Result<Vec<u8>, Error> {
        self.seal_in(&Keyring::of_epoch(archive, epoch, data_key))
    }

    /// Seals it in the current epoch of a keyring.
    pub(crate) fn seal_in(&self, ring: &Keyring) -> Result<Vec<u8>, Error> {
        let cipher = ObjectCipher::generate(ring, ObjectType::Carried, &NAME)?;
        let mut object = Vec::with_capacity(PREFIX_LEN + 128 + self.older.len() * 40);
        object.extend_from_slice(cipher.prefix());
        object.extend_from_slice(&self.encode());
        cipher.seal(Part::Last(0), &mut object, PREFIX_LEN);
        Ok(object)
    }

    /// Opens what was sealed under the data key of an epoch.
    pub(crate) fn open(archive: ArchiveId, epoch: u32, data_key: &DataKey, sealed: &[u8]) -> Result<Self, Error> {
        let damaged = |why| Error::damaged(header::PATH, why);
        let ring = Keyring::of_epoch(archive, epoch, data_key);
        let cipher = ObjectCipher::from_prefix(&ring, ObjectType::Carried, &NAME, sealed)?;
        let mut content = Zeroizing::new(sealed[PREFIX_LEN..].to_vec());
        cipher.open(Part::Last(0), &mut content).map_err(|WrongTag| damaged(Damage::Tag))?;
        let carried = Self::decode(&content).map_err(|error| damaged(error.into()))?;
        let is_older = carried.older.keys().all(|older| *older < epoch);
        if is_older { Ok(carried) } else { Err(damaged(Damage::Contradiction)) }
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut e = Encoder::new();
        e.raw(self.chunk_id.expose_bytes());
        e.raw(self.chunker.expose_bytes());
        e.varint(self.older.len() as u64);
        for (epoch, key) in &self.older {
            e.varint((*epoch).into());
            e.raw(key.expose_bytes());
        }
        Zeroizing::new(e.finish())
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let mut d = Decoder::new(bytes);
        let (chunk_id, chunker) = (ChunkIdKey::from_bytes(d.array()?), ChunkerKey::from_bytes(d.array()?));
        let mut older = BTreeMap::new();
        for _ in 0..d.count(33)? {
            let epoch = d.varint_u32()?;
            if older.last_key_value().is_some_and(|(last, _)| *last >= epoch) {
                return Err(CodecError::Invalid("the epochs do not rise"));
            }
            older.insert(epoch, DataKey::from_bytes(d.array()?));
        }
        d.finish()?;
        Ok(Self { chunk_id, chunker, older })
    }
}

/// Of several, what was sealed in an epoch.
pub(crate) fn of_epoch(all: &[Vec<u8>], epoch: u32) -> Option<&[u8]> {
    all.iter().find(|sealed| epoch_of(sealed) == Some(epoch)).map(Vec::as_slice)
}
