//! From the key of one kind of object to the key of one object.

use zeroize::Zeroizing;

use crate::archive_id::ArchiveId;
use crate::labels;
use crate::secret::Secret;

/// The key of one kind of object (packs, indexes, snapshots, locks …). It seals nothing itself.
#[derive(Debug)]
pub struct ObjectKey(Secret);

impl ObjectKey {
    pub(crate) const fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The key of one object: HKDF-SHA256-Expand with this key and the info
    /// `"coffer/v1/object" ‖ salt ‖ object_type ‖ archive id`, 64 bytes: the AES-256-GCM key, then the commitment.
    ///
    /// `salt` is 32 fresh random bytes that stand in the object's header. So each object has a key of its own, and
    /// counters may serve as nonces within it. The type and the archive id are in the key, so that an object moved to
    /// another place or another archive does not open.
    pub fn derive_sealing(&self, salt: &[u8; 32], object_type: u8, archive: &ArchiveId) -> SealingKey {
        let info: [&[u8]; 4] = [labels::OBJECT.as_bytes(), salt, &[object_type], archive.as_bytes()];
        let mut output = Zeroizing::new([[0; 32]; 2]);
        self.0.derive_expand(&info, output.as_flattened_mut());
        SealingKey { key: Secret::from_bytes(output[0]), commitment: output[1] }
    }

    #[cfg(test)]
    pub(crate) const fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }
}

/// The key of one object, and what the object's header says to prove that it was this one.
#[derive(Debug)]
pub struct SealingKey {
    key: Secret,
    commitment: [u8; 32],
}

impl SealingKey {
    /// The AES-256-GCM key. Nonces under it are counters: it must not outlive the writing of its object.
    pub fn expose_key(&self) -> &[u8; 32] {
        self.key.expose_bytes()
    }

    /// Public: written to the object's header, and compared with it before anything in the object is opened.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }
}

#[cfg(test)]
mod tests {
    use crate::{ArchiveId, DataKey, SealingKey};

    const ARCHIVE: ArchiveId = ArchiveId::from_bytes([2; 16]);

    fn sealing(salt: [u8; 32], object_type: u8, archive: &ArchiveId) -> SealingKey {
        DataKey::from_bytes([1; 32]).derive(&ARCHIVE).pack.derive_sealing(&salt, object_type, archive)
    }

    #[test]
    fn debug_prints_the_commitment_and_no_byte_of_the_key() {
        let key = sealing([3; 32], 1, &ARCHIVE);
        let printed = format!("{key:?}");
        assert_eq!(printed, format!("SealingKey {{ key: .., commitment: {:?} }}", key.commitment()));
    }

    #[test]
    fn salt_type_and_archive_each_change_key_and_commitment() {
        let key = sealing([3; 32], 1, &ARCHIVE);
        let others = [
            sealing([4; 32], 1, &ARCHIVE),
            sealing([3; 32], 2, &ARCHIVE),
            sealing([3; 32], 1, &ArchiveId::from_bytes([5; 16])),
        ];
        for other in others {
            assert_ne!(key.expose_key(), other.expose_key());
            assert_ne!(key.commitment(), other.commitment());
        }
    }

    #[test]
    fn the_same_object_has_the_same_key() {
        let (one, again) = (sealing([3; 32], 1, &ARCHIVE), sealing([3; 32], 1, &ARCHIVE));
        assert_eq!(one.expose_key(), again.expose_key());
        assert_eq!(one.commitment(), again.commitment());
    }
}
