//! Shamir's sharing of an OPRF key, with Feldman's commitments.

use p256::{NonZeroScalar, ProjectivePoint, Scalar, SecretKey};
use rand::{CryptoRng, RngCore};
use zeroize::Zeroizing;

use crate::point::small_multiple;
use crate::share::Share;
use crate::{PakeError, Point};

/// The most sites that a key is dealt to. Combining may try every choice of t among them.
pub const MAX_SITES: u8 = 9;

/// Deals `k` so that any `t` of the `n` shares give it and fewer give nothing: a random polynomial with f(0) = k, and
/// the share f(i) for site i. Returns the commitments a_j·G to its coefficients, and the shares.
pub(crate) fn deal<R: RngCore + CryptoRng>(
    rng: &mut R,
    k: NonZeroScalar,
    n: u8,
    t: u8,
) -> Result<(Vec<Point>, Vec<Share>), PakeError> {
    if t == 0 || n < t || n > MAX_SITES {
        return Err(PakeError::Threshold { n, t });
    }
    loop {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(t.into()));
        coefficients.push(*k);
        coefficients.extend((1..t).map(|_| *NonZeroScalar::random(rng)));
        // A share of zero has no public point, and would tell its site a root. Once in 2^250 the dice are thrown again.
        let shares: Option<Vec<_>> = (1..=n).map(|index| share(&coefficients, index)).collect();
        if let Some(shares) = shares {
            let commit = |a: &Scalar| Point::from_projective(ProjectivePoint::GENERATOR * a);
            let commitments = coefficients.iter().map(commit).collect::<Option<_>>();
            return Ok((commitments.expect("no coefficient is zero"), shares));
        }
    }
}

fn share(coefficients: &[Scalar], index: u8) -> Option<Share> {
    let x = Scalar::from(u64::from(index));
    let value = Zeroizing::new(coefficients.iter().rev().fold(Scalar::ZERO, |value, a| value * x + a));
    let value = Option::<NonZeroScalar>::from(NonZeroScalar::new(*value))?;
    Some(Share::new(index, SecretKey::from(value)))
}

/// K_i, as the commitments say: Σ index^j · C_j. What a site holds the share that it imported against. `None` if that is
/// the identity, which a dealer never deals: refuse the registration.
pub fn expected_share(commitments: &[Point], index: u8) -> Option<Point> {
    let (last, others) = commitments.split_last()?;
    let step = |value: ProjectivePoint, c: &Point| small_multiple(&value, index.into()) + c.to_projective();
    Point::from_projective(others.iter().rev().fold(last.to_projective(), step))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use p256::NonZeroScalar;
    use rand::rngs::OsRng;

    use super::{MAX_SITES, deal, expected_share};
    use crate::fleet::{public, random_key, random_point};
    use crate::{Agreement, PakeError, Point, Share, combine};

    fn dealt(n: u8, t: u8) -> (NonZeroScalar, Vec<Point>, Vec<Share>) {
        let k = NonZeroScalar::random(&mut OsRng);
        let (commitments, shares) = deal(&mut OsRng, k, n, t).unwrap();
        (k, commitments, shares)
    }

    #[test]
    fn the_commitments_tell_every_share_s_public_point() {
        for (n, t) in [(1, 1), (2, 1), (3, 2), (5, 3), (5, 5), (9, 5)] {
            let (k, commitments, shares) = dealt(n, t);
            assert_eq!(commitments.len(), usize::from(t));
            assert_eq!(commitments[0], public(&k.into()));
            assert_eq!(shares.iter().map(Share::index).collect::<Vec<_>>(), (1..=n).collect::<Vec<_>>());
            for share in &shares {
                assert_eq!(expected_share(&commitments, share.index()), Some(share.public()));
            }
            assert_eq!(expected_share(&commitments, 0), Some(commitments[0]));
        }
    }

    #[test]
    fn a_changed_commitment_tells_other_public_points() {
        let (_, mut commitments, shares) = dealt(5, 3);
        commitments[2] = random_point();
        assert!(shares.iter().all(|share| expected_share(&commitments, share.index()) != Some(share.public())));
    }

    #[test]
    fn refuses_commitments_to_a_share_of_zero() {
        let key = random_key();
        let negative = public(&NonZeroScalar::new(-*key.to_nonzero_scalar()).unwrap().into());
        // f(x) = a − a·x, which is zero at 1.
        assert_eq!(expected_share(&[public(&key), negative], 1), None);
        assert!(expected_share(&[public(&key), negative], 2).is_some());
    }

    #[test]
    fn no_commitments_tell_no_share() {
        assert_eq!(expected_share(&[], 1), None);
    }

    #[test]
    fn with_one_site_the_share_is_the_key() {
        let (k, _, shares) = dealt(1, 1);
        assert_eq!(shares[0].public(), public(&k.into()));
    }

    #[test]
    fn any_t_of_the_shares_give_the_key_and_fewer_give_another() {
        let (k, _, shares) = dealt(5, 3);
        let answers: Vec<_> = shares.iter().map(|share| (share.index(), share.public())).collect();
        for bits in 0u32..32 {
            let some: Vec<_> = (0..5).filter(|at| bits & (1 << at) != 0).map(|at| answers[at]).collect();
            match bits.count_ones() {
                3 => assert_eq!(combine(&some, 5, 3), Agreement::Unchecked(public(&k.into()))),
                1 | 2 => {
                    let fewer = u8::try_from(bits.count_ones()).unwrap();
                    assert_ne!(combine(&some, 5, fewer), Agreement::Unchecked(public(&k.into())));
                }
                _ => {}
            }
        }
    }

    #[test]
    fn two_deals_of_one_key_have_nothing_in_common_but_the_key() {
        let k = NonZeroScalar::random(&mut OsRng);
        let [(one, one_shares), (other, other_shares)] = [(), ()].map(|()| deal(&mut OsRng, k, 3, 2).unwrap());
        assert_eq!(one[0], other[0]);
        assert_ne!(one[1], other[1]);
        assert!(one_shares.iter().zip(&other_shares).all(|(one, other)| one.public() != other.public()));
    }

    #[test]
    fn refuses_thresholds_that_make_no_fleet() {
        let k = NonZeroScalar::random(&mut OsRng);
        for (n, t) in [(0, 0), (1, 0), (0, 1), (2, 3), (MAX_SITES + 1, 3), (255, 255)] {
            assert_eq!(deal(&mut OsRng, k, n, t).err(), Some(PakeError::Threshold { n, t }));
        }
    }
}
