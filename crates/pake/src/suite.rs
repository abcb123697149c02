//! The one OPAQUE suite, as clients run it.

use opaque_ke::{CipherSuite, TripleDh};
use p256::NistP256;
use sha2::Sha256;

use crate::Point;
use crate::stretching::Stretch;

/// RFC 9807 with P-256, SHA-256, 3DH and Argon2id.
pub(crate) struct Suite;

impl CipherSuite for Suite {
    type OprfCs = NistP256;
    type KeyExchange = TripleDh<NistP256, Sha256>;
    type Ksf = Stretch;
}

const NONCE_LEN: usize = 32;
const MAC_LEN: usize = 32;
const ENVELOPE_LEN: usize = NONCE_LEN + MAC_LEN;

/// Bytes of a `RegistrationRecord`: the client's public key, the masking key, the envelope. RFC 9807, section 5.1.
pub const UPLOAD_LEN: usize = Point::LEN + 32 + ENVELOPE_LEN;

/// Bytes of a `KE1`: blinded element, client nonce, client key share. RFC 9807, section 6.1.
pub const KE1_LEN: usize = Point::LEN + NONCE_LEN + Point::LEN;

/// Bytes of a `KE2`: evaluated element, masking nonce, masked response, server nonce, server key share, MAC.
pub const KE2_LEN: usize = SERVER_SHARE_AT + Point::LEN + MAC_LEN;

/// Bytes of a `KE3`: the client's MAC.
pub const KE3_LEN: usize = MAC_LEN;

/// Where the server's key share stands in a `KE2`.
pub(crate) const SERVER_SHARE_AT: usize = Point::LEN + NONCE_LEN + (Point::LEN + ENVELOPE_LEN) + NONCE_LEN;

/// A message of the suite, whose length is a constant here and a type in opaque-ke.
///
/// # Panics
///
/// If the two differ.
pub(crate) fn message<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the suite's lengths are constants")
}
