//! A data key wrapped under a backup key.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::archive_id::ArchiveId;
use crate::backup_key::BackupKey;
use crate::data_key::DataKey;
use crate::labels;
use crate::randomness::{RandomnessError, generate_bytes};
use crate::wrapping_key::WrappingKey;

/// The data key of one epoch, wrapped under one backup key. All of it is public and stands in the archive's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlot {
    /// Random, new with each wrapping. Names the slot and makes its wrapping key.
    pub id: [u8; 16],
    /// Which epoch's data key is in here.
    pub epoch: u32,
    /// Tells whether a backup key is the right one. It says nothing else about the key.
    pub check: [u8; 32],
    /// The data key under AES-256-GCM: 32 bytes, then the tag of 16.
    pub wrapped: [u8; 48],
}

/// Why a slot did not give its data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The slot belongs to another backup key or another archive, or its id or epoch was changed. Try another slot, or
    /// ask for another key.
    #[error("this key does not open this key slot")]
    WrongKey,
    /// The key is the right one, but the slot was altered after it was written. Fetch the header again, or from a copy.
    #[error("the key slot is damaged: the key is the right one, but the slot's content was changed")]
    Damaged,
}

impl KeySlot {
    /// Wraps `data` under `backup` in a new slot with a random id.
    pub fn wrap(backup: &BackupKey, archive: &ArchiveId, epoch: u32, data: &DataKey) -> Result<Self, RandomnessError> {
        Ok(Self::wrap_with_id(backup, archive, epoch, data, *generate_bytes()?))
    }

    /// [`wrap`](Self::wrap) with a slot id of the caller's choice, for tests and vectors.
    ///
    /// An id must never come twice with the same backup key, archive and epoch: the second data key would be sealed
    /// with the first one's key and nonce, and who has both slots learns the difference of the two.
    pub fn wrap_with_id(backup: &BackupKey, archive: &ArchiveId, epoch: u32, data: &DataKey, id: [u8; 16]) -> Self {
        let SlotKeys { wrapping, check } = SlotKeys::derive(backup, archive, &id, epoch);
        let wrapped = wrapping.wrap(&associated_data(archive, &id, epoch), data.expose_bytes());
        Self { id, epoch, check, wrapped }
    }

    /// The data key, if `backup` is the key that this slot was made with, for this archive.
    ///
    /// The check and the tag are always both examined. If neither holds it is the wrong key; if only one does, the
    /// key is right and the other one was altered.
    pub fn unwrap_data_key(&self, backup: &BackupKey, archive: &ArchiveId) -> Result<DataKey, UnwrapError> {
        let SlotKeys { wrapping, check } = SlotKeys::derive(backup, archive, &self.id, self.epoch);
        let check_holds = bool::from(check.ct_eq(&self.check));
        match (check_holds, wrapping.unwrap(&associated_data(archive, &self.id, self.epoch), &self.wrapped)) {
            (true, Some(data)) => Ok(DataKey::from_bytes(*data)),
            (false, None) => Err(UnwrapError::WrongKey),
            (true, None) | (false, Some(_)) => Err(UnwrapError::Damaged),
        }
    }
}

/// What a backup key and a slot's public parts lead to. The slot's random id makes the wrapping key new each time, even
/// for the same data key under the same backup key.
pub(crate) struct SlotKeys {
    pub(crate) wrapping: WrappingKey,
    pub(crate) check: [u8; 32],
}

impl SlotKeys {
    pub(crate) fn derive(backup: &BackupKey, archive: &ArchiveId, id: &[u8; 16], epoch: u32) -> Self {
        let info: [&[u8]; 3] = [labels::SLOT.as_bytes(), id, &epoch.to_be_bytes()];
        let mut output = Zeroizing::new([[0; 32]; 2]);
        backup.secret().derive(archive.as_bytes(), &info, output.as_flattened_mut());
        Self { wrapping: WrappingKey::from_bytes(output[0]), check: output[1] }
    }
}

fn associated_data(archive: &ArchiveId, id: &[u8; 16], epoch: u32) -> Vec<u8> {
    [labels::SLOT.as_bytes(), archive.as_bytes(), id, &epoch.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::{KeySlot, UnwrapError};
    use crate::{ArchiveId, BackupKey, DataKey};

    const ARCHIVE: ArchiveId = ArchiveId::from_bytes([2; 16]);

    fn backup() -> BackupKey {
        BackupKey::from_bytes([1; 32])
    }

    fn slot() -> KeySlot {
        KeySlot::wrap(&backup(), &ARCHIVE, 3, &DataKey::from_bytes([4; 32])).unwrap()
    }

    fn refusal(slot: &KeySlot) -> UnwrapError {
        slot.unwrap_data_key(&backup(), &ARCHIVE).unwrap_err()
    }

    #[test]
    fn gives_back_the_data_key() {
        let data = slot().unwrap_data_key(&backup(), &ARCHIVE).unwrap();
        assert_eq!(data.expose_bytes(), &[4; 32]);
    }

    #[test]
    fn two_slots_of_the_same_keys_have_nothing_in_common() {
        let (one, other) = (slot(), slot());
        assert_ne!(one.id, other.id);
        assert_ne!(one.check, other.check);
        assert_ne!(one.wrapped, other.wrapped);
    }

    #[test]
    fn refuses_another_backup_key_as_the_wrong_key() {
        let other = BackupKey::from_bytes([9; 32]);
        assert_eq!(slot().unwrap_data_key(&other, &ARCHIVE).unwrap_err(), UnwrapError::WrongKey);
    }

    #[test]
    fn refuses_another_archive_as_the_wrong_key() {
        for byte in 0..16 {
            let mut other = [2; 16];
            other[byte] ^= 1;
            let refused = slot().unwrap_data_key(&backup(), &ArchiveId::from_bytes(other)).unwrap_err();
            assert_eq!(refused, UnwrapError::WrongKey, "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_slot_with_another_id_as_the_wrong_key() {
        for byte in 0..16 {
            let mut slot = slot();
            slot.id[byte] ^= 1;
            assert_eq!(refusal(&slot), UnwrapError::WrongKey, "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_slot_with_another_epoch_as_the_wrong_key() {
        for bit in 0..32 {
            let mut slot = slot();
            slot.epoch ^= 1 << bit;
            assert_eq!(refusal(&slot), UnwrapError::WrongKey, "bit {bit}");
        }
    }

    #[test]
    fn refuses_any_changed_byte_of_the_check_as_damage() {
        for (byte, change) in (0..32).flat_map(|byte| [1, 0x80, 0xff].map(|change| (byte, change))) {
            let mut slot = slot();
            slot.check[byte] ^= change;
            assert_eq!(refusal(&slot), UnwrapError::Damaged, "byte {byte}, {change:#x}");
        }
    }

    #[test]
    fn refuses_any_changed_byte_of_the_wrapped_key_or_its_tag_as_damage() {
        for (byte, change) in (0..48).flat_map(|byte| [1, 0x80, 0xff].map(|change| (byte, change))) {
            let mut slot = slot();
            slot.wrapped[byte] ^= change;
            assert_eq!(refusal(&slot), UnwrapError::Damaged, "byte {byte}, {change:#x}");
        }
    }

    #[test]
    fn refuses_the_wrapped_key_of_another_slot_as_damage() {
        let mut slot = slot();
        slot.wrapped = self::slot().wrapped;
        assert_eq!(refusal(&slot), UnwrapError::Damaged);
    }
}
