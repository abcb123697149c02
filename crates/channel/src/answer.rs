//! Answers: each under a key of its own, exported from the context of the request that it answers.

use std::fmt;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use coffer_proto::{Base64, Base64Vec, SealedAnswer, frame};
use hpke::aead::{AeadCtxR, AeadCtxS};
use rand::RngCore as _;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::ChannelError;
use crate::padding::{pad, unpad};
use crate::suite::{self, Aead, Kdf, Kem};

/// Opens the answer to one request, and no other.
pub struct Opener {
    context: AeadCtxS<Aead, Kdf, Kem>,
    request_hash: [u8; 32],
}

/// Seals the answer to one request.
pub struct Answerer {
    context: AeadCtxR<Aead, Kdf, Kem>,
    request_hash: [u8; 32],
}

/// What the site answers.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedAnswer {
    /// The status, as the site means it.
    pub status: u16,
    /// JSON, or nothing.
    pub body: Vec<u8>,
}

impl Opener {
    pub(crate) const fn new(context: AeadCtxS<Aead, Kdf, Kem>, request_hash: [u8; 32]) -> Self {
        Self { context, request_hash }
    }

    /// Opens the answer that came with `status`, HTTP's own, which the seal covers as well.
    ///
    /// # Errors
    /// [`ChannelError::Seal`].
    pub fn open(&self, status: u16, answer: &SealedAnswer) -> Result<OpenedAnswer, ChannelError> {
        let mut key = Zeroizing::new([0; 32]);
        self.context.export(&key_context(&answer.nonce.0), key.as_mut_slice()).map_err(|_| ChannelError::Seal)?;
        let aad = answer_aad(&self.request_hash, status);
        let payload = Payload { msg: answer.ciphertext.as_bytes(), aad: &aad };
        let plaintext = cipher(&key).decrypt(&Nonce::default(), payload).map_err(|_| ChannelError::Seal)?;
        let plaintext = Zeroizing::new(plaintext);
        let (status, body) = unpad(&plaintext)?.split_first_chunk().ok_or(ChannelError::Seal)?;
        Ok(OpenedAnswer { status: u16::from_be_bytes(*status), body: body.to_vec() })
    }
}

impl Answerer {
    pub(crate) const fn new(context: AeadCtxR<Aead, Kdf, Kem>, request_hash: [u8; 32]) -> Self {
        Self { context, request_hash }
    }

    /// HTTP's own status of every sealed answer: the one that is meant is inside.
    pub const STATUS: u16 = 200;

    /// Seals an answer, to go out with status [`STATUS`](Self::STATUS).
    ///
    /// # Errors
    /// [`ChannelError::TooLong`].
    ///
    /// # Panics
    /// If the operating system has no randomness.
    pub fn seal(&self, answer: &OpenedAnswer) -> Result<SealedAnswer, ChannelError> {
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let mut key = Zeroizing::new([0; 32]);
        self.context.export(&key_context(&nonce), key.as_mut_slice()).map_err(|_| ChannelError::Seal)?;
        let plaintext = pad(&[&answer.status.to_be_bytes(), &answer.body])?;
        let aad = answer_aad(&self.request_hash, Self::STATUS);
        let payload = Payload { msg: &plaintext, aad: &aad };
        // The key is drawn for this answer alone, so the cipher's nonce may be any.
        let ciphertext = cipher(&key).encrypt(&Nonce::default(), payload).map_err(|_| ChannelError::TooLong)?;
        let ciphertext = Base64Vec::new(ciphertext).map_err(|_| ChannelError::TooLong)?;
        Ok(SealedAnswer { nonce: Base64(nonce), ciphertext })
    }
}

fn key_context(nonce: &[u8; 32]) -> Vec<u8> {
    frame([suite::ANSWER, nonce.as_slice()])
}

fn answer_aad(request_hash: &[u8; 32], status: u16) -> Vec<u8> {
    frame([request_hash.as_slice(), &status.to_be_bytes()])
}

fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

impl fmt::Debug for Answerer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answerer(..)")
    }
}

/// The body is nobody's to read.
impl fmt::Debug for OpenedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}
