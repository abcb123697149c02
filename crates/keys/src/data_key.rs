//! The key of one epoch of an archive, and the step from it to the keys of each purpose.

use crate::archive_id::ArchiveId;
use crate::archive_keys::ArchiveKeys;
use crate::randomness::RandomnessError;
use crate::secret::Secret;

/// 256 random bits behind everything sealed during one epoch of an archive.
///
/// It leaves the device only inside a [`KeySlot`](crate::KeySlot), or sealed under the data key of a later epoch. A new epoch has a new one, unrelated to the last.
#[derive(Debug)]
pub struct DataKey(Secret);

impl DataKey {
    /// A new epoch's key from the operating system's randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        Secret::generate().map(Self)
    }

    /// The key of these 32 bytes, which must be uniformly random.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// One key for each purpose: HKDF-SHA256 with this key as the input, the archive id as the salt and the purpose's
    /// [label](crate::labels) as the info, 32 bytes each.
    pub fn derive(&self, archive: &ArchiveId) -> ArchiveKeys {
        ArchiveKeys::derive(|label| {
            let mut bytes = zeroize::Zeroizing::new([0; 32]);
            self.0.derive(archive.as_bytes(), &[label.as_bytes()], bytes.as_mut_slice());
            Secret::from_bytes(*bytes)
        })
    }

    /// The key itself, to be sealed under a later epoch's.
    pub const fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::DataKey;
    use crate::ArchiveId;

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", DataKey::from_bytes([0xa5; 32])), "DataKey(..)");
    }

    #[test]
    fn two_generated_keys_differ() {
        let (one, other) = (DataKey::generate().unwrap(), DataKey::generate().unwrap());
        assert_ne!(one.expose_bytes(), other.expose_bytes());
    }

    #[test]
    fn the_keys_of_all_purposes_differ() {
        let keys = DataKey::from_bytes([1; 32]).derive(&ArchiveId::from_bytes([2; 16]));
        let keys = keys.expose_all();
        for (i, (name, key)) in keys.iter().enumerate() {
            for (other_name, other) in &keys[..i] {
                assert_ne!(key, other, "{name} and {other_name}");
            }
        }
    }

    #[test]
    fn two_archives_share_no_key() {
        let data = DataKey::from_bytes([1; 32]);
        let (one, other) = (data.derive(&ArchiveId::from_bytes([2; 16])), data.derive(&ArchiveId::from_bytes([3; 16])));
        for ((name, one), (_, other)) in one.expose_all().iter().zip(other.expose_all()) {
            assert_ne!(*one, other, "{name}");
        }
    }
}
