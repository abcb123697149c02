//! `coffer.json`, the archive's clear header: format version, archive id, key slots, commitment.

use coffer_keys::{ArchiveId, BackupKey, DataKey, KeySlot, UnwrapError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::codec::Encoder;
use crate::envelope::Keyring;
use crate::error::{Damage, Error};

/// Where the header lies, below the archive's root.
pub(crate) const PATH: &str = "coffer.json";
/// The format version that this program writes, and the newest it reads.
const VERSION: u32 = 1;
/// The only epoch of data keys that version 1 knows.
const EPOCH: u32 = 1;
/// A longer header is none, bytes.
pub(crate) const MAX_LEN: u64 = 64 << 10;

/// The header as parsed. It proves nothing until [`Header::unlock`] has found its commitment to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) archive: ArchiveId,
    slots: Vec<KeySlot>,
    commitment: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    coffer: u32,
    archive: String,
    slots: Vec<JsonSlot>,
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

impl Header {
    /// The header of a new archive, and its first data key.
    pub(crate) fn generate(key: &BackupKey) -> Result<(Self, DataKey), Error> {
        let archive = ArchiveId::generate()?;
        let data_key = DataKey::generate()?;
        let slots = vec![KeySlot::wrap(key, &archive, EPOCH, &data_key)?];
        Ok((Self::new(archive, slots, &data_key), data_key))
    }

    /// The header with these slots, all around `data_key`, which commits to it.
    pub(crate) fn new(archive: ArchiveId, slots: Vec<KeySlot>, data_key: &DataKey) -> Self {
        let mut header = Self { archive, slots, commitment: [0; 32] };
        header.commitment = data_key.derive(&archive).commit.commit(&header.message());
        header
    }

    /// What commitment and checksum cover: everything else.
    fn message(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.raw(b"coffer/v1/header");
        e.varint(VERSION.into());
        e.raw(self.archive.as_bytes());
        e.varint(self.slots.len() as u64);
        for slot in &self.slots {
            e.raw(&slot.id);
            e.varint(slot.epoch.into());
            e.raw(&slot.check);
            e.raw(&slot.wrapped);
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
            coffer: VERSION,
            archive: self.archive.to_string(),
            slots: self.slots.iter().map(JsonSlot::new).collect(),
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
        Some(Self { archive: ArchiveId::parse(&json.archive)?, slots, commitment: array(&json.commitment)? })
    }

    /// Finds the slot that `key` opens, and verifies that the data key in it commits to this very header.
    ///
    /// # Errors
    /// `WrongKey` when no slot knows the key; `Damaged` when one does but does not open, or the commitment does not fit.
    pub(crate) fn unlock(&self, key: &BackupKey) -> Result<Keyring, Error> {
        let damaged = |why| Error::damaged(PATH, why);
        for slot in &self.slots {
            match slot.unwrap_data_key(key, &self.archive) {
                Ok(data_key) => {
                    let keys = data_key.derive(&self.archive);
                    if !keys.commit.verify(&self.message(), &self.commitment) {
                        return Err(damaged(Damage::Commitment));
                    }
                    return Ok(Keyring { archive: self.archive, epoch: slot.epoch, keys });
                }
                Err(UnwrapError::WrongKey) => {}
                Err(UnwrapError::Damaged) => return Err(damaged(Damage::Tag)),
            }
        }
        Err(Error::WrongKey)
    }
}

fn array<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    fn header() -> (Header, BackupKey) {
        let key = BackupKey::from_bytes([7; 32]);
        (Header::generate(&key).unwrap().0, key)
    }

    /// What opening an archive does with the header's bytes.
    fn open(bytes: &[u8], key: &BackupKey) -> Result<Keyring, Error> {
        Header::parse(bytes)?.unlock(key)
    }

    #[test]
    fn opens_with_its_key() {
        let (header, key) = header();
        assert_eq!(open(&header.encode(), &key).unwrap().epoch, 1);
    }

    #[test]
    fn refuses_a_wrong_key_by_name() {
        let (header, _) = header();
        assert!(matches!(open(&header.encode(), &BackupKey::from_bytes([8; 32])), Err(Error::WrongKey)));
    }

    #[test]
    fn refuses_any_flipped_byte_as_damage_not_as_a_wrong_key() {
        let (header, key) = header();
        let bytes = header.encode();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut flipped = bytes.clone();
                flipped[at] ^= flip;
                let error = open(&flipped, &key).unwrap_err();
                assert!(matches!(error, Error::Damaged { .. } | Error::FormatTooNew { .. }), "byte {at}: {error}");
            }
        }
    }

    #[test]
    fn refuses_any_truncation() {
        let (header, key) = header();
        let bytes = header.encode();
        for len in 0..bytes.len() {
            assert!(matches!(open(&bytes[..len], &key), Err(Error::Damaged { .. })), "length {len}");
        }
    }

    #[test]
    fn refuses_a_forged_header_whose_checksum_fits() {
        let (mut header, key) = header();
        header.slots.push(header.slots[0].clone());
        let error = open(&header.encode(), &key).unwrap_err();
        assert!(matches!(error, Error::Damaged { why: Damage::Commitment, .. }));
    }

    #[test]
    fn refuses_a_later_format_version() {
        let (header, _) = header();
        let later = String::from_utf8(header.encode()).unwrap().replace("\"coffer\": 1", "\"coffer\": 2");
        assert!(matches!(Header::parse(later.as_bytes()), Err(Error::FormatTooNew { found: 2, supported: 1, .. })));
        let unknown = br#"{"coffer": 9, "shape": "nobody knows yet"}"#;
        assert!(matches!(Header::parse(unknown), Err(Error::FormatTooNew { found: 9, .. })));
    }

    #[test]
    fn refuses_an_unknown_field() {
        let (header, _) = header();
        let text =
            String::from_utf8(header.encode()).unwrap().replace("{\n  \"coffer\"", "{\n  \"a\": 1,\n  \"coffer\"");
        assert!(matches!(Header::parse(text.as_bytes()), Err(Error::Damaged { .. })));
    }
}
