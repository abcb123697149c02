//! The one way in which a key is sealed under another.

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// All zero, because the key is used once: whoever derives one puts fresh random bytes into its derivation. A random
/// nonce would have to be stored and would add nothing.
const NONCE: [u8; 12] = [0; 12];

/// An AES-256-GCM key for one wrapping of one key; that is why wrapping takes it by value.
#[derive(Debug)]
pub(crate) struct WrappingKey(Secret);

impl WrappingKey {
    /// Bytes of a wrapped key: the 32 of the key, then the tag of 16.
    pub(crate) const WRAPPED_LEN: usize = 48;

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::from_bytes(bytes))
    }

    pub(crate) fn wrap(self, associated_data: &[u8], key: &[u8; 32]) -> [u8; Self::WRAPPED_LEN] {
        let mut wrapped = [0; Self::WRAPPED_LEN];
        let (ciphertext, tag) = wrapped.split_at_mut(key.len());
        ciphertext.copy_from_slice(key);
        let computed = self
            .cipher()
            .encrypt_in_place_detached(&Nonce::from(NONCE), associated_data, ciphertext)
            .expect("32 bytes are below AES-GCM's limits");
        tag.copy_from_slice(&computed);
        wrapped
    }

    /// `None` if the tag does not fit.
    pub(crate) fn unwrap(
        self,
        associated_data: &[u8],
        wrapped: &[u8; Self::WRAPPED_LEN],
    ) -> Option<Zeroizing<[u8; 32]>> {
        let mut key = Zeroizing::new([0; 32]);
        let (ciphertext, tag) = wrapped.split_at(key.len());
        key.copy_from_slice(ciphertext);
        let (nonce, tag) = (Nonce::from(NONCE), Tag::from_slice(tag));
        self.cipher().decrypt_in_place_detached(&nonce, associated_data, key.as_mut_slice(), tag).ok()?;
        Some(key)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.0.expose_bytes().into())
    }

    #[cfg(test)]
    pub(crate) const fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose_bytes()
    }
}
