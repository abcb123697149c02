//! Points of P-256, parsed once and strictly.

use std::fmt;
use std::hash::{Hash, Hasher};

use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::{AffinePoint, EncodedPoint, ProjectivePoint};
use thiserror::Error;

/// A point of P-256 that is not the identity. Public data: it may be copied, compared and printed.
///
/// Every point from outside becomes one of these before anything uses it. One point has one encoding: SEC1 compressed,
/// 33 bytes, its coordinate below the field's prime.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Point(AffinePoint);

/// Bytes that are not a point in its one encoding. Whoever sent them is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a point of P-256 in its canonical encoding")]
pub struct PointError;

impl Point {
    /// Bytes of a compressed point: SEC1, section 2.3.3.
    pub const LEN: usize = 33;

    /// Bytes of an uncompressed point.
    pub const UNCOMPRESSED_LEN: usize = 65;

    /// Reads exactly 33 bytes: `02` or `03`, then x. Refuses the identity, every other form, an x of the prime or more,
    /// and an x that no point has. Costs a square root.
    pub fn parse(bytes: &[u8]) -> Result<Self, PointError> {
        match bytes {
            [0x02 | 0x03, ..] if bytes.len() == Self::LEN => Self::decode(bytes),
            _ => Err(PointError),
        }
    }

    /// Reads exactly 65 bytes: `04`, x, y. For PKCS#11, whose `CKA_EC_POINT` holds this form.
    pub fn parse_uncompressed(bytes: &[u8]) -> Result<Self, PointError> {
        match bytes {
            [0x04, ..] if bytes.len() == Self::UNCOMPRESSED_LEN => Self::decode(bytes),
            _ => Err(PointError),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, PointError> {
        let encoded = EncodedPoint::from_bytes(bytes).map_err(|_| PointError)?;
        Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&encoded)).map(Self).ok_or(PointError)
    }

    /// The compressed form.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes.copy_from_slice(self.0.to_encoded_point(true).as_bytes());
        bytes
    }

    /// The uncompressed form.
    pub fn encode_uncompressed(&self) -> [u8; Self::UNCOMPRESSED_LEN] {
        let mut bytes = [0; Self::UNCOMPRESSED_LEN];
        bytes.copy_from_slice(self.0.to_encoded_point(false).as_bytes());
        bytes
    }

    /// G, the base point.
    pub fn generator() -> Self {
        Self(AffinePoint::GENERATOR)
    }

    /// `None` for the identity.
    pub(crate) fn from_projective(point: ProjectivePoint) -> Option<Self> {
        (!bool::from(point.is_identity())).then(|| Self(point.to_affine()))
    }

    pub(crate) fn to_projective(self) -> ProjectivePoint {
        self.0.into()
    }

    pub(crate) const fn as_affine(&self) -> &AffinePoint {
        &self.0
    }
}

/// A small multiple, bit by bit: some twenty times cheaper than the multiplication by a secret. How long it takes tells
/// the factor, which everyone knows.
pub(crate) fn small_multiple(point: &ProjectivePoint, factor: i64) -> ProjectivePoint {
    let magnitude = factor.unsigned_abs();
    let bits = (0..u64::BITS - magnitude.leading_zeros()).rev().map(|at| magnitude >> at & 1);
    let product = bits.fold(ProjectivePoint::IDENTITY, |product, bit| {
        let double = product.double();
        if bit == 1 { double + point } else { double }
    });
    if factor < 0 { -product } else { product }
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.encode().hash(state);
    }
}

impl fmt::Debug for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Point(")?;
        self.encode().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::{Point, PointError};
    use crate::fleet::random_point;

    const PRIME: &str = "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff";

    /// The prime and five more.
    const ABOVE: &str = "ffffffff00000001000000000000000000000001000000000000000000000004";

    fn compressed(tag: u8, x: &str) -> Vec<u8> {
        [vec![tag], hex::decode(x).unwrap()].concat()
    }

    #[test]
    fn reads_what_it_writes() {
        for _ in 0..50 {
            let point = random_point();
            assert_eq!(Point::parse(&point.encode()), Ok(point));
            assert_eq!(Point::parse_uncompressed(&point.encode_uncompressed()), Ok(point));
            assert_eq!(point.encode()[1..], point.encode_uncompressed()[1..33]);
        }
    }

    #[test]
    fn the_generator_is_that_of_p_256() {
        let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        assert_eq!(Point::generator().encode().to_vec(), compressed(3, x));
    }

    #[test]
    fn refuses_an_x_that_is_the_prime_or_more() {
        // x = 5 has a point, and so has the prime + 5, if it were reduced.
        let five = &format!("{:064x}", 5);
        assert!(Point::parse(&compressed(2, five)).is_ok());
        for x in [PRIME, ABOVE, &"f".repeat(64)] {
            assert_eq!(Point::parse(&compressed(2, x)), Err(PointError), "{x}");
            assert_eq!(Point::parse(&compressed(3, x)), Err(PointError), "{x}");
        }
    }

    #[test]
    fn refuses_coordinates_of_the_prime_or_more_in_the_uncompressed_form() {
        let point = Point::parse(&compressed(2, &format!("{:064x}", 5))).unwrap();
        let mut bytes = point.encode_uncompressed();
        bytes[1..33].copy_from_slice(&hex::decode(ABOVE).unwrap());
        assert_eq!(Point::parse_uncompressed(&bytes), Err(PointError));
    }

    #[test]
    fn refuses_the_identity() {
        assert_eq!(Point::parse(&[0]), Err(PointError));
        assert_eq!(Point::parse(&[0; 33]), Err(PointError));
        assert_eq!(Point::parse_uncompressed(&[0]), Err(PointError));
        assert_eq!(Point::parse_uncompressed(&[0; 65]), Err(PointError));
        let mut zeros = [0; 65];
        zeros[0] = 4;
        assert_eq!(Point::parse_uncompressed(&zeros), Err(PointError));
    }

    #[test]
    fn refuses_a_compressed_point_that_is_not_on_the_curve() {
        let off_curve = (0..50u8).filter(|x| Point::parse(&compressed(2, &format!("{x:064x}"))).is_err()).count();
        assert!((10..40).contains(&off_curve), "about half have no point: {off_curve}");
        assert_eq!(Point::parse(&compressed(2, &format!("{:064x}", 1))), Err(PointError));
    }

    #[test]
    fn refuses_an_uncompressed_point_that_is_not_on_the_curve() {
        let mut bytes = Point::generator().encode_uncompressed();
        bytes[64] ^= 1;
        assert_eq!(Point::parse_uncompressed(&bytes), Err(PointError));
    }

    #[test]
    fn refuses_every_other_first_byte() {
        let point = random_point();
        for tag in (0..=255).filter(|tag| ![2, 3].contains(tag)) {
            let mut bytes = point.encode();
            bytes[0] = tag;
            assert_eq!(Point::parse(&bytes), Err(PointError), "{tag}");
        }
        for tag in (0..=255).filter(|tag| *tag != 4) {
            let mut bytes = point.encode_uncompressed();
            bytes[0] = tag;
            assert_eq!(Point::parse_uncompressed(&bytes), Err(PointError), "{tag}");
        }
    }

    #[test]
    fn refuses_x_alone() {
        assert_eq!(Point::parse(&random_point().encode()[1..]), Err(PointError));
    }

    #[test]
    fn refuses_one_form_in_the_place_of_the_other() {
        let point = random_point();
        assert_eq!(Point::parse(&point.encode_uncompressed()), Err(PointError));
        assert_eq!(Point::parse_uncompressed(&point.encode()), Err(PointError));
    }

    #[test]
    fn refuses_every_other_length() {
        let bytes = [random_point().encode().as_slice(), &[0; 40]].concat();
        for length in (0..bytes.len()).filter(|length| *length != Point::LEN) {
            assert_eq!(Point::parse(&bytes[..length]), Err(PointError), "{length}");
        }
    }

    #[test]
    fn equal_points_hash_alike_and_print_their_bytes() {
        let point = random_point();
        let again = Point::parse_uncompressed(&point.encode_uncompressed()).unwrap();
        assert!(HashSet::from([point]).contains(&again));
        assert!(!HashSet::from([point]).contains(&random_point()));
        assert_eq!(format!("{point:?}"), format!("Point({})", hex::encode(point.encode())));
    }

    proptest! {
        /// Half of these have a point: whatever is taken has this encoding and no other.
        #[test]
        fn what_is_taken_is_written_alike(tag in 2u8..=3, x in any::<[u8; 32]>()) {
            let bytes = compressed(tag, &hex::encode(x));
            if let Ok(point) = Point::parse(&bytes) {
                prop_assert_eq!(point.encode().to_vec(), bytes);
                prop_assert_eq!(Point::parse_uncompressed(&point.encode_uncompressed()), Ok(point));
            }
        }
    }
}
