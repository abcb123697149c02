//! The key that opens a person's archives.

use crate::labels;
use crate::randomness::RandomnessError;
use crate::recovery_key::RecoveryKey;
use crate::secret::Secret;
use crate::signing_key::SigningKey;

/// 256 random bits that open the key slots of an archive.
///
/// It may be kept on a device, written down as a [`RecoveryKey`], or escrowed with the vault. It never seals anything
/// itself: see [`KeySlot`](crate::KeySlot). Comparison takes constant time.
#[derive(Debug, PartialEq, Eq)]
pub struct BackupKey(Secret);

impl BackupKey {
    /// A new key from the operating system's randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        Secret::generate().map(Self)
    }

    /// A key read back from where it was kept. The bytes must be the 32 of a generated key: they are not stretched, so
    /// a password put in here would be no protection.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    /// The key itself, for a device's key store. A copy made of it is the caller's to wipe.
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }

    /// The same key in the form that is written on paper.
    pub fn recovery_key(&self) -> RecoveryKey {
        RecoveryKey::from_bytes(*self.expose_bytes())
    }

    /// The key that shows the vault who owns an account's escrow: HKDF-SHA256 with this key as the input, no salt and the
    /// info [`labels::OWNER`], 32 bytes, the seed.
    ///
    /// No archive id salts it, as it does all else that a backup key leads to: an account has one owner, however many
    /// archives the key opens, and a device must be able to prove it before it has seen any of them.
    pub fn derive_owner_key(&self) -> SigningKey {
        SigningKey::derive(|seed| self.0.derive(&[], &[labels::OWNER.as_bytes()], seed))
    }

    pub(crate) const fn secret(&self) -> &Secret {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use super::BackupKey;

    #[test]
    fn debug_prints_no_byte_of_it() {
        let key = BackupKey::from_bytes([0xa5; 32]);
        assert_eq!(format!("{key:?}"), "BackupKey(..)");
        assert_eq!(format!("{key:#?}"), "BackupKey(\n    ..,\n)");
    }

    #[test]
    fn equals_a_key_of_the_same_bytes_and_no_other() {
        let key = BackupKey::from_bytes([7; 32]);
        assert_eq!(key, BackupKey::from_bytes([7; 32]));
        for byte in 0..32 {
            let mut other = [7; 32];
            other[byte] ^= 0x80;
            assert_ne!(key, BackupKey::from_bytes(other), "byte {byte}");
        }
    }

    #[test]
    fn the_owner_key_is_the_same_each_time_and_another_for_another_key() {
        let owner = |byte| BackupKey::from_bytes([byte; 32]).derive_owner_key().public();
        assert_eq!(owner(1), owner(1));
        assert_ne!(owner(1), owner(2));
    }

    #[test]
    fn two_generated_keys_differ() {
        assert_ne!(BackupKey::generate().unwrap(), BackupKey::generate().unwrap());
    }
}
