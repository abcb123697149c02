//! The keys that a person's requests to the vault are signed with.

use ed25519_dalek::Signer as _;
use zeroize::Zeroizing;

use crate::randomness::RandomnessError;
use crate::secret::Secret;

/// An Ed25519 private key (RFC 8032), kept as its 32-byte seed.
///
/// There are three, each with a purpose of its own: a device's (generated, and bound in its account token), the unlock
/// key ([`ExportKey::derive_unlock_key`](crate::ExportKey::derive_unlock_key)) and the owner key
/// ([`BackupKey::derive_owner_key`](crate::BackupKey::derive_owner_key)). What is signed must begin in a way that no
/// message for another purpose does: the signature itself adds nothing that tells them apart.
#[derive(Debug)]
pub struct SigningKey(Secret);

impl SigningKey {
    /// A new device's key from the operating system's randomness.
    pub fn generate() -> Result<Self, RandomnessError> {
        Secret::generate().map(Self)
    }

    /// A key read back from where its seed was kept.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Secret::from_bytes(seed))
    }

    /// The seed, for a device's key store. A copy made of it is the caller's to wipe.
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }

    /// The public key: 32 bytes, a point as RFC 8032, section 5.1.2, encodes it.
    pub fn public(&self) -> [u8; 32] {
        self.expanded().verifying_key().to_bytes()
    }

    /// The signature of `message` (RFC 8032, section 5.1.6): R, then S, 32 bytes each. It is deterministic: the same
    /// message has the same one.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.expanded().sign(message).to_bytes()
    }

    /// Wiped when dropped, like the seed that it comes from.
    fn expanded(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(self.expose_seed())
    }

    /// The key whose seed `derive` writes.
    pub(crate) fn derive(derive: impl FnOnce(&mut [u8])) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        derive(seed.as_mut_slice());
        Self::from_seed(*seed)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use ed25519_dalek::{Signature, VerifyingKey};

    use super::SigningKey;

    fn verifies(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let public = VerifyingKey::from_bytes(public).unwrap();
        public.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    #[test]
    fn its_public_key_verifies_what_it_signed() {
        let key = SigningKey::generate().unwrap();
        assert!(verifies(&key.public(), b"attempt", &key.sign(b"attempt")));
    }

    #[test]
    fn refuses_a_signature_of_another_message() {
        let key = SigningKey::generate().unwrap();
        assert!(!verifies(&key.public(), b"attempt", &key.sign(b"proof")));
    }

    #[test]
    fn refuses_a_signature_of_another_key() {
        let (one, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        assert!(!verifies(&one.public(), b"attempt", &other.sign(b"attempt")));
    }

    #[test]
    fn is_the_same_key_after_it_was_stored() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_seed(*key.expose_seed());
        assert_eq!(again.public(), key.public());
        assert_eq!(again.sign(b"attempt"), key.sign(b"attempt"));
    }

    #[test]
    fn two_generated_keys_differ() {
        assert_ne!(SigningKey::generate().unwrap().public(), SigningKey::generate().unwrap().public());
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", SigningKey::from_seed([0xa5; 32])), "SigningKey(..)");
    }
}
