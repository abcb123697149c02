//! From x-coordinates back to a point.
//!
//! PKCS#11 multiplies a point B by a secret k and gives x(k·B) alone. So k·B is one of two points, q and −q. With
//! K = k·G known, x(k·(B+G)) = x(k·B + K) tells which: x(q+K) = x(−q+K) would mean q = −q or K = −K, and the group's
//! order is odd.

use coffer_vault_core::Point;
use p256::elliptic_curve::group::Group;
use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use p256::elliptic_curve::subtle::Choice;
use p256::{AffinePoint, EncodedPoint, ProjectivePoint};

/// An x-coordinate, big-endian.
pub(crate) type X = [u8; 32];

/// B+G, or `None` for B = −G, which k takes to −K.
pub(crate) fn successor(element: &Point) -> Option<Point> {
    point(to_projective(element) + ProjectivePoint::GENERATOR)
}

/// −P.
pub(crate) fn negated(element: &Point) -> Point {
    point(-to_projective(element)).expect("the negative of a point that is not the identity is not either")
}

/// x(P).
pub(crate) fn x_of(element: &Point) -> X {
    to_projective(element).to_affine().x().into()
}

/// k·B from `x` = x(k·B), `x_successor` = x(k·(B+G)) and `public` = K. `None` unless exactly one of the two candidates
/// fits: then one of the three is not what it is said to be.
pub(crate) fn recover(x: &X, x_successor: &X, public: &Point) -> Option<Point> {
    let lifted: Option<AffinePoint> = AffinePoint::decompress(&(*x).into(), Choice::from(0)).into();
    let candidate = ProjectivePoint::from(lifted?);
    let public = to_projective(public);
    let fits = |candidate: ProjectivePoint| {
        let sum = candidate + public;
        !bool::from(sum.is_identity()) && X::from(sum.to_affine().x()) == *x_successor
    };
    match (fits(candidate), fits(-candidate)) {
        (true, false) => point(candidate),
        (false, true) => point(-candidate),
        (true, true) | (false, false) => None,
    }
}

fn to_projective(element: &Point) -> ProjectivePoint {
    let encoded = EncodedPoint::from_bytes(element.encode_uncompressed()).expect("it was encoded just now");
    Option::<AffinePoint>::from(AffinePoint::from_encoded_point(&encoded)).expect("it was a point").into()
}

/// `None` for the identity.
fn point(projective: ProjectivePoint) -> Option<Point> {
    Point::parse_uncompressed(projective.to_affine().to_encoded_point(false).as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use coffer_vault_core::Point;
    use p256::{ProjectivePoint, Scalar};

    use super::{X, negated, point, recover, successor, x_of};

    /// a·G.
    fn times_g(a: u64) -> Point {
        point(ProjectivePoint::GENERATOR * Scalar::from(a)).unwrap()
    }

    /// What a token with the key `k` says of b·G: x(k·b·G) and x(k·(b+1)·G).
    fn answers(k: u64, b: u64) -> (X, X) {
        (x_of(&times_g(k * b)), x_of(&times_g(k * (b + 1))))
    }

    #[test]
    fn recovers_products_of_both_parities() {
        let mut parities = [0; 2];
        for (k, b) in (2..40).flat_map(|k| (2..20).map(move |b| (k, b))) {
            let (x, x_successor) = answers(k, b);
            let product = times_g(k * b);
            assert_eq!(recover(&x, &x_successor, &times_g(k)), Some(product), "{k} {b}");
            parities[usize::from(product.encode()[0] & 1)] += 1;
        }
        assert!(parities.iter().all(|&count| count > 100), "{parities:?}");
    }

    #[test]
    fn takes_the_generator_to_the_public_point() {
        let (x, x_successor) = answers(7, 1);
        assert_eq!(recover(&x, &x_successor, &times_g(7)), Some(times_g(7)));
    }

    #[test]
    fn with_the_public_point_of_the_other_sign_it_gives_the_product_of_the_other_sign() {
        let (x, x_successor) = answers(7, 5);
        assert_eq!(recover(&x, &x_successor, &negated(&times_g(7))), Some(negated(&times_g(35))));
    }

    #[test]
    fn the_negative_of_the_generator_has_no_successor() {
        assert_eq!(successor(&negated(&Point::generator())), None);
        assert_eq!(successor(&Point::generator()), Some(times_g(2)));
        assert_eq!(successor(&times_g(8)), Some(times_g(9)));
    }

    #[test]
    fn refuses_a_replaced_x() {
        let (_, x_successor) = answers(7, 5);
        assert_eq!(recover(&x_of(&times_g(36)), &x_successor, &times_g(7)), None);
    }

    #[test]
    fn refuses_a_replaced_x_of_the_successor() {
        let (x, _) = answers(7, 5);
        assert_eq!(recover(&x, &x_of(&times_g(36)), &times_g(7)), None);
    }

    #[test]
    fn refuses_the_answers_of_another_key() {
        let (x, x_successor) = answers(8, 5);
        assert_eq!(recover(&x, &x_successor, &times_g(7)), None);
    }

    #[test]
    fn refuses_an_x_that_no_point_has() {
        let (_, x_successor) = answers(7, 5);
        // x = 0 lies on P-256; all ones is no element of the field; 7 has no y.
        let mut seven = [0; 32];
        seven[31] = 7;
        for x in [[0xff; 32], seven] {
            assert_eq!(recover(&x, &x_successor, &times_g(7)), None, "{x:?}");
        }
    }

    /// k·B = −K, whose sum with K is the identity: p256 gives that the coordinate 0.
    #[test]
    fn refuses_the_coordinate_of_the_identity() {
        assert_eq!(recover(&x_of(&times_g(7)), &[0; 32], &times_g(7)), None);
    }
}
