//! A root of a fleet: a P-256 key that signs manifests on an offline machine, and lies encrypted in between.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use argon2::{Algorithm, Argon2, Params, Version};
use coffer_pake::Argon2Parameters;
use coffer_proto::{Base64, PointBytes, RootSignature, frame};
use p256::SecretKey;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// 128 MiB and 4 passes: a passphrase is typed seldom, and a stolen file is guessed at for years.
const STRETCHING: Argon2Parameters = Argon2Parameters { memory_kib: 128 * 1024, passes: 4, lanes: 1 };

/// A root's private key. Wiped when dropped; it leaves only encrypted.
pub struct RootKey(SigningKey);

/// A root's key under a passphrase: Argon2id, then AES-256-GCM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptedRootKey {
    /// Its public half.
    pub public: PointBytes,
    /// KiB.
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Base64<16>,
    nonce: Base64<12>,
    sealed: Base64<48>,
}

/// Why a root's key is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RootKeyError {
    /// Or the file was altered: the two look alike.
    #[error("the passphrase is wrong, or the file is damaged")]
    Passphrase,
    /// Not a file of this program.
    #[error("it asks for more or less work on the passphrase than this program does")]
    Stretching,
    /// The system gives none.
    #[error("the system gives no randomness")]
    Randomness,
}

impl RootKey {
    /// A new key.
    pub fn generate() -> Result<Self, RootKeyError> {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(bytes.as_mut_slice()).map_err(|_| RootKeyError::Randomness)?;
            // One in 2^32 is the group's order or more.
            if let Ok(key) = SecretKey::from_slice(bytes.as_slice()) {
                return Ok(Self(key.into()));
            }
        }
    }

    /// The public half.
    pub fn public(&self) -> PointBytes {
        let point = self.0.verifying_key().to_encoded_point(true);
        Base64(point.as_bytes().try_into().expect("a compressed point has 33 bytes"))
    }

    /// ES256.
    pub fn sign(&self, message: &[u8]) -> RootSignature {
        let signature: Signature = self.0.sign(message);
        RootSignature { key: self.public(), signature: Base64(signature.to_bytes().into()) }
    }

    /// Under a passphrase.
    pub fn encrypt(&self, passphrase: &str) -> Result<EncryptedRootKey, RootKeyError> {
        let (mut salt, mut nonce) = ([0; 16], [0; 12]);
        getrandom::fill(&mut salt).map_err(|_| RootKeyError::Randomness)?;
        getrandom::fill(&mut nonce).map_err(|_| RootKeyError::Randomness)?;
        let Argon2Parameters { memory_kib, passes, lanes } = STRETCHING;
        let (salt, nonce, sealed) = (Base64(salt), Base64(nonce), Base64([0; 48]));
        let mut file = EncryptedRootKey { public: self.public(), memory_kib, passes, lanes, salt, nonce, sealed };
        let bytes = Zeroizing::new(<[u8; 32]>::from(self.0.to_bytes()));
        let payload = Payload { msg: bytes.as_slice(), aad: &file.bound() };
        let sealed = file.cipher(passphrase)?.encrypt(&Nonce::from(nonce.0), payload);
        file.sealed = Base64(sealed.expect("32 bytes can be sealed").try_into().expect("32 bytes and a tag of 16"));
        Ok(file)
    }
}

impl EncryptedRootKey {
    /// With the passphrase.
    pub fn decrypt(&self, passphrase: &str) -> Result<RootKey, RootKeyError> {
        let payload = Payload { msg: &self.sealed.0, aad: &self.bound() };
        let opened = self.cipher(passphrase)?.decrypt(&Nonce::from(self.nonce.0), payload);
        let opened = Zeroizing::new(opened.map_err(|_| RootKeyError::Passphrase)?);
        let key = RootKey(SecretKey::from_slice(&opened).map_err(|_| RootKeyError::Passphrase)?.into());
        if key.public() == self.public { Ok(key) } else { Err(RootKeyError::Passphrase) }
    }

    fn cipher(&self, passphrase: &str) -> Result<Aes256Gcm, RootKeyError> {
        let parameters = Argon2Parameters { memory_kib: self.memory_kib, passes: self.passes, lanes: self.lanes };
        parameters.check().map_err(|_| RootKeyError::Stretching)?;
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let argon2 =
            Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters.map_err(|_| RootKeyError::Stretching)?);
        let mut key = Zeroizing::new([0; 32]);
        let stretched = argon2.hash_password_into(passphrase.as_bytes(), &self.salt.0, key.as_mut_slice());
        stretched.map_err(|_| RootKeyError::Stretching)?;
        Ok(Aes256Gcm::new(Key::<Aes256Gcm>::from_slice(key.as_slice())))
    }

    /// All of the file but what is sealed.
    fn bound(&self) -> Vec<u8> {
        let work = [self.memory_kib, self.passes, self.lanes].map(u32::to_be_bytes);
        frame([b"coffer/v1/root-key".as_slice(), &self.public.0, work.as_flattened(), &self.salt.0])
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use coffer_pake::verify_es256_by;
    use coffer_proto::Base64;

    use super::{RootKey, RootKeyError};

    const PASSPHRASE: &str = "six words that nobody would guess";

    #[test]
    fn signs_again_after_it_was_put_away() {
        let key = RootKey::generate().unwrap();
        let file = serde_json::to_string(&key.encrypt(PASSPHRASE).unwrap()).unwrap();
        let again: super::EncryptedRootKey = serde_json::from_str(&file).unwrap();
        let signed = again.decrypt(PASSPHRASE).unwrap().sign(b"message");
        assert_eq!(signed.key, key.public());
        assert!(verify_es256_by(&signed.key.0, b"message", &signed.signature.0));
    }

    #[test]
    fn refuses_a_wrong_passphrase() {
        let file = RootKey::generate().unwrap().encrypt(PASSPHRASE).unwrap();
        assert_eq!(file.decrypt("six words that nobody would guesS").unwrap_err(), RootKeyError::Passphrase);
    }

    #[test]
    fn refuses_a_file_with_another_public_half_and_other_work() {
        let file = RootKey::generate().unwrap().encrypt(PASSPHRASE).unwrap();
        let mut changed = file.clone();
        changed.public = RootKey::generate().unwrap().public();
        assert_eq!(changed.decrypt(PASSPHRASE).unwrap_err(), RootKeyError::Passphrase);
        let mut changed = file.clone();
        changed.passes = 3;
        assert_eq!(changed.decrypt(PASSPHRASE).unwrap_err(), RootKeyError::Passphrase);
        changed.memory_kib = 8;
        assert_eq!(changed.decrypt(PASSPHRASE).unwrap_err(), RootKeyError::Stretching);
        let mut changed = file;
        changed.sealed = Base64([0; 48]);
        assert_eq!(changed.decrypt(PASSPHRASE).unwrap_err(), RootKeyError::Passphrase);
    }

    #[test]
    fn debug_prints_no_byte_of_it() {
        assert_eq!(format!("{:?}", RootKey::generate().unwrap()), "RootKey(..)");
    }
}
