//! The one place that holds 32 secret bytes and decides what may be done with them.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::randomness::{RandomnessError, generate_bytes};

/// 32 secret bytes: wiped on drop, compared in constant time, not cloned, not printed.
///
/// Every key type wraps one. A `#[derive(Debug)]` on such a wrapper is safe: it prints the type's name and `..`.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn generate() -> Result<Self, RandomnessError> {
        Ok(Self(*generate_bytes()?))
    }

    pub(crate) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// HKDF-SHA256 (RFC 5869), both steps: this secret is the input keying material.
    pub(crate) fn derive(&self, salt: &[u8], info: &[&[u8]], output: &mut [u8]) {
        expand(&Hkdf::new(Some(salt), &self.0), info, output);
    }

    /// HKDF-SHA256's second step alone: this secret is itself an output of HKDF, uniform, and serves as the
    /// pseudorandom key.
    pub(crate) fn derive_expand(&self, info: &[&[u8]], output: &mut [u8]) {
        let hkdf = Hkdf::from_prk(&self.0).expect("32 bytes are a SHA-256 output, which HKDF accepts as a key");
        expand(&hkdf, info, output);
    }
}

/// `info` is the concatenation of its parts. All but the label that comes first have a fixed length.
fn expand(hkdf: &Hkdf<Sha256>, info: &[&[u8]], output: &mut [u8]) {
    hkdf.expand_multi_info(info, output).expect("every output here is far below HKDF's limit of 8160 bytes");
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
