//! One site's share of an OPRF key, on its way from the dealer into the site's HSM.

use std::fmt;

use aes_kw::KekAes256;
use p256::elliptic_curve::point::AffineCoordinates;
use p256::{ProjectivePoint, SecretKey};
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::hashing::{hash_to_curve, hash_to_scalar};
use crate::identities::check_length;
use crate::{PakeError, Point};

const SEAL_DOMAIN: &[u8] = b"coffer/v1/share-seal";
const RECEIPT_DOMAIN: &[u8] = b"coffer/v1/receipt";

/// PKCS#8 (RFC 5208) of a P-256 key without its public half, up to the 32 bytes of the key itself.
const PKCS8_PREFIX: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, // PrivateKeyInfo, version 0
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
    0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20, // ECPrivateKey (RFC 5915), version 1
];
const PKCS8_LEN: usize = PKCS8_PREFIX.len() + 32;

/// Bytes of a wrapped share at most: its PKCS#8, padded to a multiple of 8, and AES key wrap's 8.
pub const MAX_WRAPPED_LEN: usize = PKCS8_LEN.next_multiple_of(8) + 8;

/// k_i, as the dealer has it: site i's share of the OPRF key. Wiped when dropped. It leaves only sealed.
pub struct Share {
    index: u8,
    key: SecretKey,
}

/// A share, or a [`SiteKey`](crate::SiteKey), that only one HSM can open, and only under the context that it was sealed under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedShare {
    /// E = e·G.
    pub ephemeral: Point,
    /// AES-256 key wrap with padding (RFC 5649) of k_i's PKCS#8, under x(c·e·P_i). [`MAX_WRAPPED_LEN`] bytes at most.
    pub wrapped: Vec<u8>,
}

impl Share {
    pub(crate) const fn new(index: u8, key: SecretKey) -> Self {
        Self { index, key }
    }

    /// i, the number of its site: 1 to n.
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// K_i = k_i·G.
    pub fn public(&self) -> Point {
        self.multiply(&Point::generator())
    }

    /// k_i·P, which the site's receipt must name: see [`receipt_base`].
    pub fn receipt(&self, context: &[u8]) -> Point {
        self.multiply(&receipt_base(context))
    }

    pub(crate) fn multiply(&self, point: &Point) -> Point {
        multiply(&self.key, point)
    }

    /// Seals the share to an HSM's import key P_i, bound to `context`, which the HSM's owner must be able to name byte
    /// for byte. Errors if `context` is longer than 65535 bytes.
    pub fn seal(&self, import_public: &Point, context: &[u8]) -> Result<SealedShare, PakeError> {
        seal(pkcs8(&self.key).as_slice(), import_public, context)
    }
}

/// PKCS#8 of a key.
pub(crate) fn pkcs8(key: &SecretKey) -> Zeroizing<[u8; PKCS8_LEN]> {
    let mut pkcs8 = Zeroizing::new([0; PKCS8_LEN]);
    pkcs8[..PKCS8_PREFIX.len()].copy_from_slice(&PKCS8_PREFIX);
    pkcs8[PKCS8_PREFIX.len()..].copy_from_slice(&Zeroizing::new(key.to_bytes()));
    pkcs8
}

/// The bytes of a key, as an HSM unwraps them.
pub(crate) fn seal(key: &[u8], import_public: &Point, context: &[u8]) -> Result<SealedShare, PakeError> {
    check_length(context)?;
    let secret = SecretKey::random(&mut OsRng);
    let ephemeral = multiply(&secret, &Point::generator());
    let shared = multiply(&secret, &bind(import_public, context, &ephemeral));
    let x = Zeroizing::new(<[u8; 32]>::from(shared.as_affine().x()));
    let wrapped = KekAes256::from(*x).wrap_with_padding_vec(key).expect("a key of some 67 bytes can be wrapped");
    Ok(SealedShare { ephemeral, wrapped })
}

pub(crate) fn multiply(key: &SecretKey, point: &Point) -> Point {
    let product = point.to_projective() * *key.to_nonzero_scalar();
    Point::from_projective(product).expect("the group's order is prime, and neither factor is zero")
}

/// c·point, c = HashToScalar(context ‖ E).
fn bind(point: &Point, context: &[u8], ephemeral: &Point) -> Point {
    let c = hash_to_scalar(&[context, &ephemeral.encode()], SEAL_DOMAIN);
    let product: ProjectivePoint = point.to_projective() * *c;
    Point::from_projective(product).expect("the group's order is prime, and neither factor is zero")
}

/// c·E, which a site hands its HSM: x(s·(c·E)), with the HSM's import key s, is the AES-256 key that unwraps the share.
/// A share that was sealed under another context does not unwrap.
///
/// # Panics
///
/// If `context` is longer than 65535 bytes.
pub fn import_point(context: &[u8], ephemeral: &Point) -> Point {
    bind(ephemeral, context, ephemeral)
}

/// P, which a site multiplies by its new share to show that its HSM holds it: RFC 9380's `hash_to_curve` of the suite
/// `P256_XMD:SHA-256_SSWU_RO_` over `context`, with the domain `coffer/v1/receipt`. No password hashes to it.
pub fn receipt_base(context: &[u8]) -> Point {
    hash_to_curve(context, RECEIPT_DOMAIN)
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use aes_kw::KekAes256;
    use p256::SecretKey;
    use p256::pkcs8::DecodePrivateKey;

    use super::{MAX_WRAPPED_LEN, RECEIPT_DOMAIN, SealedShare, Share, import_point, multiply, receipt_base};
    use crate::fleet::{public, random_key, random_point};
    use crate::hashing::hash_to_curve;
    use crate::{PakeError, Point};

    const CONTEXT: &[u8] = b"fleet, site, account, registration";

    fn share() -> Share {
        Share::new(2, random_key())
    }

    /// What an HSM does with its import key.
    fn open(import: &SecretKey, point: &Point, wrapped: &[u8]) -> Option<SecretKey> {
        let x = multiply(import, point).encode();
        let pkcs8 = KekAes256::try_from(&x[1..]).unwrap().unwrap_with_padding_vec(wrapped).ok()?;
        SecretKey::from_pkcs8_der(&pkcs8).ok()
    }

    fn sealed() -> (Share, SecretKey, SealedShare) {
        let (share, import) = (share(), random_key());
        let sealed = share.seal(&public(&import), CONTEXT).unwrap();
        (share, import, sealed)
    }

    #[test]
    fn an_hsm_opens_what_was_sealed_to_it() {
        let (share, import, sealed) = sealed();
        assert_eq!(sealed.wrapped.len(), MAX_WRAPPED_LEN);
        let opened = open(&import, &import_point(CONTEXT, &sealed.ephemeral), &sealed.wrapped);
        assert_eq!(opened, Some(share.key));
    }

    #[test]
    fn another_hsm_does_not_open_it() {
        let (_, _, sealed) = sealed();
        let point = import_point(CONTEXT, &sealed.ephemeral);
        assert_eq!(open(&random_key(), &point, &sealed.wrapped), None);
    }

    #[test]
    fn a_share_sealed_under_another_context_does_not_open() {
        let (_, import, sealed) = sealed();
        for context in [&CONTEXT[1..], &[CONTEXT, &[0]].concat(), b""] {
            let point = import_point(context, &sealed.ephemeral);
            assert_eq!(open(&import, &point, &sealed.wrapped), None);
        }
    }

    #[test]
    fn a_share_does_not_open_with_an_ephemeral_point_that_was_multiplied_by_another_factor() {
        // Who hands the HSM E itself, or c·E for another c, gets no share out of it.
        let (_, import, sealed) = sealed();
        assert_eq!(open(&import, &sealed.ephemeral, &sealed.wrapped), None);
        let twice = import_point(CONTEXT, &import_point(CONTEXT, &sealed.ephemeral));
        assert_eq!(open(&import, &twice, &sealed.wrapped), None);
    }

    #[test]
    fn a_share_with_any_byte_changed_does_not_open() {
        let (_, import, sealed) = sealed();
        let point = import_point(CONTEXT, &sealed.ephemeral);
        for byte in 0..sealed.wrapped.len() {
            let mut wrapped = sealed.wrapped.clone();
            wrapped[byte] ^= 1;
            assert_eq!(open(&import, &point, &wrapped), None, "byte {byte}");
        }
    }

    #[test]
    fn sealed_twice_nothing_repeats() {
        let (share, import) = (share(), public(&random_key()));
        let [one, other] = [(), ()].map(|()| share.seal(&import, CONTEXT).unwrap());
        assert_ne!(one.ephemeral, other.ephemeral);
        assert_ne!(one.wrapped, other.wrapped);
    }

    #[test]
    fn refuses_to_seal_under_a_context_above_65535_bytes() {
        let import = random_point();
        assert!(share().seal(&import, &[0; 65535]).is_ok());
        assert_eq!(share().seal(&import, &[0; 65536]), Err(PakeError::TooLong));
    }

    /// Computed in Python: `expand_message_xmd` of 00 07 "context" 00 21 G to 48 bytes, modulo the order.
    #[test]
    fn the_import_point_is_the_known_one() {
        let point = import_point(b"context", &Point::generator());
        assert_eq!(hex::encode(point.encode()), "03152264a7f36001df88e923e50fbfdd44db865a5b99a5ffa7b2584ae1c7f7600d");
    }

    #[test]
    fn a_receipt_is_the_share_times_the_point_of_its_context() {
        let share = share();
        assert_eq!(share.receipt(CONTEXT), multiply(&share.key, &receipt_base(CONTEXT)));
        assert_ne!(share.receipt(CONTEXT), share.receipt(b"another"));
        assert_eq!(receipt_base(CONTEXT), hash_to_curve(CONTEXT, RECEIPT_DOMAIN));
        assert_ne!(receipt_base(CONTEXT), hash_to_curve(CONTEXT, b"another domain"));
    }

    #[test]
    fn debug_prints_the_index_alone() {
        assert_eq!(format!("{:?}", share()), "Share { index: 2, .. }");
    }
}
