//! The algorithms, and the labels that keep their uses apart.

pub(crate) type Kem = hpke::kem::DhP256HkdfSha256;
pub(crate) type Kdf = hpke::kdf::HkdfSha256;
pub(crate) type Aead = hpke::aead::AesGcm256;

/// The first field of HPKE's `info`.
pub(crate) const INFO: &[u8] = b"coffer/v1/vault";

/// The first field of the context under which an answer's key is exported.
pub(crate) const ANSWER: &[u8] = b"coffer/v1/vault/answer";
