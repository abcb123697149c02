//! Lagrange interpolation in the exponent: from the sites' answers to k·B.

use p256::{ProjectivePoint, Scalar};

use crate::Point;
use crate::dealing::MAX_SITES;
use crate::point::small_multiple;

/// What the answers of several sites to one blinded element come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// k·B, confirmed by more answers than are needed (or by all there are, where every site is needed).
    Agreed(Point),
    /// k·B if no site lied: just as many answers as are needed, and others exist that could be asked.
    Unchecked(Point),
    /// Some answer is wrong, and these answers do not tell which. Ask the others.
    Disagree,
    /// Fewer answers than are needed.
    TooFew,
}

/// Combines answers `(index, k_i·B)` of an n-site fleet that needs t. An index outside `1..=n` is ignored, and so is a
/// second answer of the same site.
///
/// With t + 1 answers or more, the result is what the only consistent set of at least t + 1 of them gives: any t of a
/// consistent set give the same. Of five answers with t = 3, one wrong one is so outvoted; of four it is only noticed.
pub fn combine(answers: &[(u8, Point)], n: u8, t: u8) -> Agreement {
    let answers = one_for_each_site(answers, n);
    let needed = usize::from(t);
    if answers.len() < needed {
        return Agreement::TooFew;
    }
    if answers.len() > needed {
        let found = the_only_consistent(&answers, needed);
        return found.map_or(Agreement::Disagree, |consistent| Agreement::Agreed(consistent.point));
    }
    match at_zero(&answers) {
        Some(point) if n == t => Agreement::Agreed(point),
        Some(point) => Agreement::Unchecked(point),
        None => Agreement::Disagree,
    }
}

/// The sites whose answers contradict what the others agree on: faulty, or hostile. None if there is no agreement.
pub fn dissenting(answers: &[(u8, Point)], n: u8, t: u8) -> Vec<u8> {
    let answers = one_for_each_site(answers, n);
    if answers.len() <= usize::from(t) {
        return Vec::new();
    }
    the_only_consistent(&answers, usize::from(t)).map_or(Vec::new(), |consistent| consistent.dissenting)
}

/// What more answers than are needed agree on.
struct Consistent {
    point: Point,
    dissenting: Vec<u8>,
}

fn one_for_each_site(answers: &[(u8, Point)], n: u8) -> Vec<(u8, Point)> {
    let mut kept: Vec<(u8, Point)> = Vec::with_capacity(answers.len());
    for answer in answers {
        if (1..=n.min(MAX_SITES)).contains(&answer.0) && kept.iter().all(|(index, _)| *index != answer.0) {
            kept.push(*answer);
        }
    }
    kept
}

/// Looks at every choice of `needed` answers, and keeps what it gives if another answer lies on the same polynomial.
fn the_only_consistent(answers: &[(u8, Point)], needed: usize) -> Option<Consistent> {
    let mut found: Option<Consistent> = None;
    for chosen in choices(answers.len(), needed) {
        let (base, others): (Vec<_>, Vec<_>) = (0..answers.len()).partition(|at| chosen & (1 << at) != 0);
        let base: Vec<_> = base.into_iter().map(|at| answers[at]).collect();
        let lies_on_it =
            |(index, point): (u8, Point)| interpolate(&base, index) == small_multiple(&point.to_projective(), SCALE);
        let dissenting: Vec<u8> = others
            .iter()
            .map(|at| answers[*at])
            .filter(|answer| !lies_on_it(*answer))
            .map(|(index, _)| index)
            .collect();
        if dissenting.len() == others.len() {
            continue;
        }
        let point = at_zero(&base)?;
        if dissenting.is_empty() {
            return Some(Consistent { point, dissenting });
        }
        if found.is_some_and(|other| other.point != point) {
            return None;
        }
        found = Some(Consistent { point, dissenting });
    }
    found
}

/// The choices of `size` out of `count`, as bits.
fn choices(count: usize, size: usize) -> impl Iterator<Item = u32> {
    (0..1u32 << count).filter(move |bits| bits.count_ones() as usize == size)
}

/// 8!, which every product of differences between one index and some others divides: i − 1 of them are above zero and
/// n − i below, at most. Times this, Lagrange's coefficients are whole numbers, and small.
const SCALE: i64 = 40320;
const _: () = assert!(MAX_SITES == 9);

/// The value at zero of the polynomial through these points. `None` if that is the identity.
fn at_zero(points: &[(u8, Point)]) -> Option<Point> {
    if let [(_, constant)] = points {
        return Some(*constant);
    }
    let scale = Scalar::from(SCALE.unsigned_abs()).invert().expect("the group's order is a larger prime");
    Point::from_projective(interpolate(points, 0) * scale)
}

/// [`SCALE`] times the value at `x` of the polynomial through these points: Σ λ_i·A_i, λ_i = Π (x − j)/(i − j).
fn interpolate(points: &[(u8, Point)], x: u8) -> ProjectivePoint {
    let term = |&(i, point): &(u8, Point)| {
        let others = || points.iter().map(|(j, _)| *j).filter(|j| *j != i);
        let product = |from: u8| others().map(|j| i64::from(from) - i64::from(j)).product::<i64>();
        small_multiple(&point.to_projective(), product(x) * (SCALE / product(i)))
    };
    points.iter().map(term).sum()
}

#[cfg(test)]
mod tests {
    use p256::{NonZeroScalar, ProjectivePoint, Scalar};
    use proptest::prelude::*;
    use rand::rngs::OsRng;

    use super::{Agreement, at_zero, choices, combine, dissenting};
    use crate::Point;
    use crate::dealing::{MAX_SITES, deal};
    use crate::fleet::{public, random_point};

    type Answers = Vec<(u8, Point)>;

    /// k·G, and each site's part of it.
    fn dealt(n: u8, t: u8) -> (Point, Answers) {
        let k = NonZeroScalar::random(&mut OsRng);
        let (_, shares) = deal(&mut OsRng, k, n, t).expect("a fleet");
        (public(&k.into()), shares.iter().map(|share| (share.index(), share.public())).collect())
    }

    #[test]
    fn one_site_alone_agrees() {
        let (q, answers) = dealt(1, 1);
        assert_eq!(combine(&answers, 1, 1), Agreement::Agreed(q));
    }

    #[test]
    fn where_every_site_is_needed_all_of_them_agree() {
        let (q, answers) = dealt(3, 3);
        assert_eq!(combine(&answers, 3, 3), Agreement::Agreed(q));
    }

    #[test]
    fn as_many_as_are_needed_stay_unchecked_where_more_exist() {
        let (q, answers) = dealt(5, 3);
        assert_eq!(combine(&answers[1..4], 5, 3), Agreement::Unchecked(q));
    }

    #[test]
    fn names_the_one_of_five_that_contradicts_the_others() {
        let (q, mut answers) = dealt(5, 3);
        answers[3].1 = random_point();
        assert_eq!(combine(&answers, 5, 3), Agreement::Agreed(q));
        assert_eq!(dissenting(&answers, 5, 3), [4]);
        assert_eq!(dissenting(&answers[..4], 5, 3), [0; 0]);
        answers[3].1 = dealt(5, 3).1[3].1;
        assert_eq!(dissenting(&answers, 5, 3), [4]);
    }

    #[test]
    fn one_more_than_needed_agrees() {
        let (q, answers) = dealt(5, 3);
        assert_eq!(combine(&answers[1..], 5, 3), Agreement::Agreed(q));
        assert_eq!(combine(&answers, 5, 3), Agreement::Agreed(q));
    }

    #[test]
    fn any_t_answers_give_the_same_in_fleets_of_every_size() {
        for n in 1..=MAX_SITES {
            for t in 1..=n {
                let (q, answers) = dealt(n, t);
                for chosen in choices(n.into(), t.into()) {
                    let some: Answers = answers.iter().filter(|(i, _)| chosen >> (i - 1) & 1 == 1).copied().collect();
                    assert_eq!(at_zero(&some), Some(q), "{t} of {n}: {chosen:b}");
                }
            }
        }
    }

    #[test]
    fn fewer_than_needed_are_too_few() {
        let (_, answers) = dealt(5, 3);
        assert_eq!(combine(&answers[..2], 5, 3), Agreement::TooFew);
        assert_eq!(combine(&[], 5, 3), Agreement::TooFew);
        assert_eq!(combine(&[], 1, 1), Agreement::TooFew);
    }

    #[test]
    fn one_lying_site_among_five_is_outvoted_whichever_it_is() {
        for liar in 0..5 {
            let (q, mut answers) = dealt(5, 3);
            answers[liar].1 = random_point();
            assert_eq!(combine(&answers, 5, 3), Agreement::Agreed(q), "site {}", liar + 1);
        }
    }

    #[test]
    fn one_lying_site_among_four_is_noticed() {
        for liar in 0..4 {
            let (_, mut answers) = dealt(5, 3);
            answers[liar].1 = random_point();
            assert_eq!(combine(&answers[..4], 5, 3), Agreement::Disagree, "site {}", liar + 1);
        }
    }

    #[test]
    fn two_lying_sites_among_five_are_noticed() {
        let (_, mut answers) = dealt(5, 3);
        answers[0].1 = random_point();
        answers[3].1 = random_point();
        assert_eq!(combine(&answers, 5, 3), Agreement::Disagree);
    }

    #[test]
    fn a_site_that_answers_with_the_negative_is_noticed() {
        let (q, mut answers) = dealt(5, 3);
        answers[2].1 = Point::from_projective(-answers[2].1.to_projective()).expect("not the identity");
        assert_eq!(combine(&answers[..4], 5, 3), Agreement::Disagree);
        assert_eq!(combine(&answers, 5, 3), Agreement::Agreed(q));
    }

    #[test]
    fn two_keys_with_a_majority_each_are_ambiguous() {
        let [(_, one), (_, other)] = [dealt(5, 1), dealt(5, 1)];
        assert_eq!(combine(&[one[0], one[1], other[2], other[3]], 5, 1), Agreement::Disagree);
        assert_eq!(combine(&[one[0], other[2], other[3]], 5, 1), Agreement::Agreed(other[0].1));
    }

    #[test]
    fn answers_that_cancel_out_are_refused() {
        let a = random_point();
        // The line through (1, 2·a) and (2, 4·a) is zero at zero.
        let times = |factor: u64| {
            let product: ProjectivePoint = a.to_projective() * Scalar::from(factor);
            Point::from_projective(product).expect("not the identity")
        };
        assert_eq!(combine(&[(1, times(2)), (2, times(4))], 2, 2), Agreement::Disagree);
        assert_eq!(combine(&[(1, times(2)), (2, times(4))], 3, 2), Agreement::Disagree);
        assert_eq!(combine(&[(1, times(2)), (2, times(4)), (3, times(6))], 3, 2), Agreement::Disagree);
    }

    #[test]
    fn a_second_answer_of_one_site_is_ignored() {
        let (q, answers) = dealt(5, 3);
        let twice = [answers[0], answers[1], (answers[0].0, random_point()), answers[0], answers[2]];
        assert_eq!(combine(&twice, 5, 3), Agreement::Unchecked(q));
        assert_eq!(combine(&[answers[0]; 5], 5, 3), Agreement::TooFew);
    }

    #[test]
    fn an_index_outside_the_fleet_is_ignored() {
        let (q, answers) = dealt(5, 3);
        let strangers = [answers[0], (0, random_point()), answers[1], (6, random_point()), answers[2], (255, q)];
        assert_eq!(combine(&strangers, 5, 3), Agreement::Unchecked(q));
    }

    #[test]
    fn a_fleet_that_needs_no_site_is_refused() {
        let (_, answers) = dealt(5, 3);
        assert_eq!(combine(&answers, 5, 0), Agreement::Disagree);
        assert_eq!(combine(&[], 0, 0), Agreement::Disagree);
    }

    #[test]
    fn the_order_of_the_answers_does_not_matter() {
        let (q, mut answers) = dealt(5, 3);
        answers[4].1 = random_point();
        for _ in 0..5 {
            answers.rotate_left(1);
            assert_eq!(combine(&answers, 5, 3), Agreement::Agreed(q));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever the fleet and whoever is away or lies: nothing but k·B is ever called agreed while those who lie
        /// are fewer than t and each for itself.
        #[test]
        fn liars_without_a_plan_are_outvoted_or_noticed(
            n in 1u8..=5, t in 1u8..=5, away in any::<u8>(), lying in any::<u8>(),
        ) {
            prop_assume!(t <= n);
            let (q, mut answers) = dealt(n, t);
            for (index, point) in &mut answers {
                if lying >> (*index % 8) & 1 == 1 {
                    *point = random_point();
                }
            }
            answers.retain(|(index, _)| away >> (index % 8) & 1 == 0);
            let right = answers.iter().filter(|(index, _)| lying >> (index % 8) & 1 == 0).count();
            let (asked, needed) = (answers.len(), usize::from(t));
            match combine(&answers, n, t) {
                Agreement::TooFew => prop_assert!(asked < needed),
                Agreement::Unchecked(point) => {
                    prop_assert!(asked == needed && n > t);
                    prop_assert_eq!(point == q, right == asked);
                }
                Agreement::Agreed(point) if n == t => {
                    prop_assert!(asked == needed);
                    prop_assert_eq!(point == q, right == asked);
                }
                Agreement::Agreed(point) => {
                    prop_assert!(right > needed);
                    prop_assert_eq!(point, q);
                }
                Agreement::Disagree => prop_assert!(asked > needed && right <= needed),
            }
        }
    }
}
