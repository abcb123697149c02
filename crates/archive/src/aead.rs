//! AES-256-GCM for bulk data, by aws-lc-rs (10 GB/s a core; the RustCrypto implementation reaches 1.4). A test
//! holds the two equal.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Length of an authentication tag in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// One AES-256-GCM key. It never meets the same nonce twice because its owner ([`crate::envelope`]) counts.
pub(crate) struct Aead(LessSafeKey);

impl Aead {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        #[expect(clippy::expect_used, reason = "the only error is a wrong length, and the type rules it out")]
        let key = UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key is 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Encrypts `buffer[from..]` in place and appends the tag.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>, from: usize) {
        let nonce = Nonce::assume_unique_for_key(nonce);
        #[expect(clippy::expect_used, reason = "the only error is a message beyond 64 GiB")]
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(aad), &mut buffer[from..])
            .expect("no message here comes near AES-GCM's limit");
        buffer.extend_from_slice(tag.as_ref());
    }

    /// Verifies and decrypts `buffer` in place and takes the tag off. On failure the buffer holds nothing usable.
    pub(crate) fn open(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>) -> Result<(), WrongTag> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let len = self.0.open_in_place(nonce, Aad::from(aad), buffer).map_err(|_| WrongTag)?.len();
        buffer.truncate(len);
        Ok(())
    }
}

/// An authentication tag did not fit.
#[derive(Debug)]
pub(crate) struct WrongTag;

#[cfg(test)]
mod tests {
    use aes_gcm::aead::{Aead as _, KeyInit, Payload};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_implementations_of_aes_gcm_agree(key: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, message: Vec<u8>) {
            let mut ours = message.clone();
            Aead::new(&key).seal(nonce, &aad, &mut ours, 0);
            let theirs = aes_gcm::Aes256Gcm::new(&key.into())
                .encrypt(&nonce.into(), Payload { msg: &message, aad: &aad });
            prop_assert_eq!(Ok(ours.clone()), theirs);
            prop_assert!(Aead::new(&key).open(nonce, &aad, &mut ours).is_ok());
            prop_assert_eq!(ours, message);
        }
    }
}
