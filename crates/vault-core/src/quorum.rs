//! How a coordinator gets an evaluation out of several sites, of which some may be slow, away, full, or liars.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use coffer_pake::{Agreement, Ke1, Point, combine, dissenting};
use coffer_proto::{SiteNonce, SiteNumber};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::error::VaultError;
use crate::messages::{EvaluateRequest, SiteAnswer, SiteRefusal};
use crate::ports::Peers as _;
use crate::site::Site;
use crate::world::World;

/// What the sites agree on.
pub(crate) struct Evaluated {
    /// `k · B`.
    pub(crate) point: Point,
    /// Only as many answered as are needed.
    pub(crate) unchecked: bool,
    /// The newest mark of every site that could be reached in the meantime, in the order of their numbers.
    pub(crate) nonces: Vec<SiteNonce>,
}

/// What a site has said.
#[expect(clippy::large_enum_variant, reason = "a few for each retrieval, and each for a moment")]
enum Said {
    Answer(SiteNumber, Result<SiteAnswer, SiteRefusal>),
    /// A site that was not asked to evaluate: what a proof should name of it.
    Mark(Option<SiteNonce>),
}

struct Quorum<'a, W: World> {
    site: &'a Site<W>,
    request: &'a EvaluateRequest,
    ke1: &'a Ke1,
    /// Not asked yet, the nearest first.
    others: std::vec::IntoIter<SiteNumber>,
    asked: FuturesUnordered<BoxFuture<'a, Said>>,
    /// Of those that were asked to evaluate, how many have not said anything.
    open: usize,
    answers: Vec<(u8, Point)>,
    marks: BTreeMap<SiteNumber, SiteNonce>,
    refusal: SiteRefusal,
}

/// Has as many sites evaluate as tell a false answer from a right one: the nearest, another one for each that refuses or is
/// slow, and all of them if they disagree.
pub(crate) async fn evaluate<W: World>(
    site: &Site<W>,
    request: &EvaluateRequest,
    ke1: &Ke1,
) -> Result<Evaluated, VaultError> {
    let mut quorum = Quorum {
        site,
        request,
        ke1,
        others: site.fleet.order.clone().into_iter(),
        asked: FuturesUnordered::new(),
        open: 0,
        answers: Vec::new(),
        marks: BTreeMap::new(),
        refusal: SiteRefusal::Unreachable,
    };
    (0..site.fleet.quorum()).for_each(|_| quorum.ask_another());
    quorum.ask_for_marks();
    quorum.run().await
}

impl<'a, W: World> Quorum<'a, W> {
    async fn run(mut self) -> Result<Evaluated, VaultError> {
        let (sites, threshold) = (self.site.fleet.sites, self.site.fleet.threshold);
        while self.open > 0 {
            match self.next().await {
                None => self.ask_another(),
                Some(Said::Mark(mark)) => {
                    if let Some(mark) = mark {
                        self.marks.entry(mark.site).or_insert(mark);
                    }
                }
                Some(Said::Answer(of, answer)) => {
                    self.open -= 1;
                    self.note(of, answer);
                    match combine(&self.answers, sites, threshold) {
                        Agreement::Agreed(point) => return Ok(self.agreed(point, false)),
                        Agreement::Unchecked(point) if self.open == 0 => return Ok(self.agreed(point, true)),
                        Agreement::Disagree => (0..self.others.len()).for_each(|_| self.ask_another()),
                        Agreement::Unchecked(_) | Agreement::TooFew => {}
                    }
                }
            }
        }
        Err(self.refusal.into())
    }

    /// What is said next. Nothing: that takes too long, and there is another one to ask.
    async fn next(&mut self) -> Option<Said> {
        let hedge_after = self.site.fleet.hedge_after.filter(|_| self.others.len() > 0);
        self.site.ports.next_within(&mut self.asked, hedge_after).await
    }

    fn note(&mut self, of: SiteNumber, answer: Result<SiteAnswer, SiteRefusal>) {
        match answer {
            Ok(answer) if answer.nonce.site == of => {
                // A site says how far it has got itself, and of no other.
                if of != self.site.fleet.site && answer.height.site == of {
                    self.site.heights.hear(answer.height);
                }
                self.answers.push((of.0, answer.point));
                self.marks.insert(of, answer.nonce);
                return;
            }
            Ok(_) => tracing::error!(site = %of, "a site answers in another's name"),
            Err(refused) => {
                if let SiteRefusal::Full { nonce: Some(nonce) } = refused {
                    self.marks.insert(of, SiteNonce { site: of, nonce });
                }
                // The refusal of one that counts says more than that another cannot be reached.
                if self.refusal == SiteRefusal::Unreachable {
                    self.refusal = refused;
                }
            }
        }
        self.ask_another();
    }

    fn ask_another(&mut self) {
        let Some(other) = self.others.next() else { return };
        let (site, request, ke1) = (self.site, self.request, self.ke1);
        self.open += 1;
        self.asked.push(Box::pin(async move {
            let answer = if other == site.fleet.site {
                // It was all verified for the spend.
                site.evaluate_verified(request, ke1).await
            } else {
                site.ports.peers.evaluate(other, request).await
            };
            Said::Answer(other, answer)
        }));
    }

    /// From those that are not needed: so a proof forgives there too.
    fn ask_for_marks(&mut self) {
        for other in self.others.clone() {
            let (site, request) = (self.site, self.request);
            self.asked.push(Box::pin(async move {
                let mark = site.ports.peers.newest_mark(other, &request.account, &request.registration).await;
                Said::Mark(mark.ok().flatten().map(|nonce| SiteNonce { site: other, nonce }))
            }));
        }
    }

    fn agreed(self, point: Point, unchecked: bool) -> Evaluated {
        let liars = dissenting(&self.answers, self.site.fleet.sites, self.site.fleet.threshold);
        for site in liars {
            tracing::error!(target: "audit", site, "a site's answer contradicts those of the others");
            let mut dissents = self.site.dissents.lock().unwrap_or_else(PoisonError::into_inner);
            *dissents.entry(SiteNumber(site)).or_default() += 1;
        }
        Evaluated { point, unchecked, nonces: self.marks.into_values().collect() }
    }
}
