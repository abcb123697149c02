//! Signatures by keys that live in HSMs.

use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::Point;

/// Whether `signature` is `public`'s over `message`: ECDSA with P-256 and SHA-256 (ES256 of RFC 7518), r ‖ s of 32 bytes
/// each, as `CKM_ECDSA` gives it. A signature with n − s in the place of s passes as well, so a signature is no id.
pub fn verify_es256(public: &Point, message: &[u8], signature: &[u8; 64]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_affine(*public.as_affine()), Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify(message, &signature).is_ok()
}

/// The same by a key that is yet to be parsed. Whatever is no point has signed nothing.
pub fn verify_es256_by(public: &[u8; Point::LEN], message: &[u8], signature: &[u8; 64]) -> bool {
    Point::parse(public).is_ok_and(|public| verify_es256(&public, message, signature))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use p256::ecdsa::signature::Signer;
    use p256::ecdsa::{Signature, SigningKey};

    use super::{verify_es256, verify_es256_by};
    use crate::Point;
    use crate::fleet::{public, random_key, random_point};

    fn signed(message: &[u8]) -> (Point, [u8; 64]) {
        let key = random_key();
        let signature: Signature = SigningKey::from(&key).sign(message);
        (public(&key), signature.to_bytes().into())
    }

    #[test]
    fn verifies_a_signature() {
        let (key, signature) = signed(b"message");
        assert!(verify_es256(&key, b"message", &signature));
        assert!(verify_es256_by(&key.encode(), b"message", &signature));
    }

    #[test]
    fn a_key_that_is_no_point_has_signed_nothing() {
        let (_, signature) = signed(b"message");
        assert!(!verify_es256_by(&[5; 33], b"message", &signature));
    }

    /// RFC 6979, A.2.5: P-256 with SHA-256, "sample".
    #[test]
    fn verifies_the_signature_of_rfc_6979() {
        let public = "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
        let signature = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                         f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
        let public = Point::parse(&hex::decode(public).unwrap()).unwrap();
        let signature = hex::decode(signature).unwrap().try_into().unwrap();
        assert!(verify_es256(&public, b"sample", &signature));
    }

    #[test]
    fn refuses_the_signature_of_another_message() {
        let (key, signature) = signed(b"message");
        assert!(!verify_es256(&key, b"messages", &signature));
    }

    #[test]
    fn refuses_the_signature_of_another_key() {
        let (_, signature) = signed(b"message");
        assert!(!verify_es256(&random_point(), b"message", &signature));
    }

    #[test]
    fn refuses_a_signature_with_any_byte_changed() {
        let (key, signature) = signed(b"message");
        for byte in 0..64 {
            let mut changed = signature;
            changed[byte] ^= 1;
            assert!(!verify_es256(&key, b"message", &changed), "byte {byte}");
        }
    }

    #[test]
    fn refuses_a_signature_of_zeros_and_one_above_the_order() {
        let (key, mut signature) = signed(b"message");
        assert!(!verify_es256(&key, b"message", &[0; 64]));
        signature[32..].fill(0xff);
        assert!(!verify_es256(&key, b"message", &signature));
    }
}
