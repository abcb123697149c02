//! Hashing to P-256: RFC 9380 with `expand_message_xmd` and SHA-256.

use p256::elliptic_curve::hash2curve::{ExpandMsgXmd, GroupDigest};
use p256::{NistP256, NonZeroScalar};
use sha2::Sha256;

use crate::Point;

/// `hash_to_curve` of the suite `P256_XMD:SHA-256_SSWU_RO_`.
pub(crate) fn hash_to_curve(message: &[u8], domain: &[u8]) -> Point {
    let point = NistP256::hash_from_bytes::<ExpandMsgXmd<Sha256>>(&[message], &[domain]);
    let point = point.expect("the domain is a constant of fitting length");
    Point::from_projective(point).expect("no message is known that hashes to the identity")
}

/// RFC 9497's `HashToScalar`: `hash_to_field` modulo the group's order, over each field after its length as u16.
///
/// # Panics
///
/// If a field is longer than 65535 bytes.
pub(crate) fn hash_to_scalar(fields: &[&[u8]], domain: &[u8]) -> NonZeroScalar {
    let mut message = Vec::new();
    for field in fields {
        let length = u16::try_from(field.len()).expect("a context is shorter than 65536 bytes");
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(field);
    }
    let scalar = NistP256::hash_to_scalar::<ExpandMsgXmd<Sha256>>(&[&message], &[domain]);
    let scalar = NonZeroScalar::new(scalar.expect("the domain is a constant of fitting length"));
    Option::from(scalar).expect("no message is known that hashes to zero")
}

#[cfg(test)]
mod tests {
    use p256::Scalar;

    use super::hash_to_scalar;

    fn scalar(fields: &[&[u8]], domain: &[u8]) -> Scalar {
        *hash_to_scalar(fields, domain)
    }

    #[test]
    fn a_byte_that_moves_from_one_field_to_the_next_changes_the_scalar() {
        assert_ne!(scalar(&[b"bob1", b"7"], b"domain"), scalar(&[b"bob", b"17"], b"domain"));
        assert_ne!(scalar(&[b"bob"], b"domain"), scalar(&[b"bob", b""], b"domain"));
        assert_eq!(scalar(&[b"bob", b"17"], b"domain"), scalar(&[b"bob", b"17"], b"domain"));
    }

    #[test]
    fn another_domain_leads_to_another_scalar() {
        assert_ne!(scalar(&[b"bob"], b"domain"), scalar(&[b"bob"], b"another domain"));
    }
}
