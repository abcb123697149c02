//! The ways to the sites, and which one is gone first.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use coffer_proto::{AccountId, SiteNumber};

use crate::exchange::{Failure, PAUSES, RequestError, send_once};
use crate::fleet::{Fleet, FleetError};
use crate::sealed::{ClockFn, SiteTransport};
use crate::session::Session;
use crate::transport::{Request, Transport};

/// What a fleet has shown, and what follows from it: how each of its sites is reached.
pub(crate) struct Ways<T> {
    fleet: Arc<Fleet>,
    /// In the order of the sites. None where the fleet has shown no key of the site: it may be down.
    to: Vec<Option<SiteTransport<T>>>,
}

impl<T: Clone> Ways<T> {
    pub(crate) fn new(transport: &T, fleet: Fleet, account: &AccountId, clock: &ClockFn) -> Self {
        let way = |site| SiteTransport::new(transport.clone(), &fleet, site, account, Arc::clone(clock)).ok();
        let to = fleet.sites.iter().map(|site| way(site.number)).collect();
        Self { fleet: Arc::new(fleet), to }
    }

    fn to(&self, site: SiteNumber) -> Option<&SiteTransport<T>> {
        self.to.get(usize::from(site.0).checked_sub(1)?)?.as_ref()
    }
}

/// What a site has said: its answer, or that it will not, for a reason of its own.
pub(crate) type Said = Result<Vec<u8>, Failure>;

impl<T: Transport + Clone> Session<T> {
    fn ways(&self) -> Arc<Ways<T>> {
        Arc::clone(&self.ways.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The fleet, as it has last shown itself.
    pub fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.ways().fleet)
    }

    /// All sites, in the order in which they are asked: one picked at random, until it fails.
    pub(crate) fn order(&self) -> Vec<SiteNumber> {
        let mut sites: Vec<SiteNumber> = self.fleet().sites.iter().map(|site| site.number).collect();
        let first = self.first.load(Ordering::Relaxed) % sites.len().max(1);
        sites.rotate_left(first);
        sites
    }

    /// Another site than this one is asked first from now on.
    pub(crate) fn avoid(&self, site: SiteNumber) {
        // The position of the next one, as sites are numbered from 1.
        self.first.store(usize::from(site.0), Ordering::Relaxed);
    }

    /// The site that is asked first is not the first any more.
    pub(crate) fn avoid_first(&self) {
        self.order().first().into_iter().for_each(|site| self.avoid(*site));
    }

    /// The first of these sites that can do it does it. What it says is final; a site that cannot be reached, or cannot do
    /// it just now, has the same bytes sent to the next one, and all of them a few times.
    pub(crate) async fn ask(&self, sites: &[SiteNumber], request: &Request<'_>) -> (Option<SiteNumber>, Said) {
        let asked = self.ask_each(sites, request, |site, said| ControlFlow::Break((site, said))).await;
        match asked {
            Ok((site, said)) => (Some(site), said),
            Err(failure) => (None, Err(failure)),
        }
    }

    /// Hears one site after another, each once, until `hear` has heard enough. What `hear` gives in return for an answer is
    /// why it is none that a site gives.
    ///
    /// # Errors
    /// All that can be reached were heard, and it was not enough: what was in the way of the others, or that the vault
    /// cannot do it just now.
    pub(crate) async fn ask_each<A>(
        &self,
        sites: &[SiteNumber],
        request: &Request<'_>,
        mut hear: impl FnMut(SiteNumber, Said) -> ControlFlow<A, Option<Failure>>,
    ) -> Result<A, Failure> {
        let mut left = sites.to_vec();
        let mut pauses = PAUSES.into_iter();
        loop {
            let (mut unheard, mut is_brief, mut worst) = (Vec::new(), false, RequestError::Unavailable.into());
            let mut turn = std::mem::take(&mut left).into_iter();
            for site in turn.by_ref() {
                let failure = match self.ask_at(site, request).await {
                    Err(failure) if failure.is_of_the_way() => failure,
                    said => match hear(site, said) {
                        ControlFlow::Break(heard) => return Ok(heard),
                        ControlFlow::Continue(None) => continue,
                        ControlFlow::Continue(Some(failure)) => failure,
                    },
                };
                if self.order().first() == Some(&site) {
                    self.avoid(site);
                }
                unheard.push(site);
                is_brief |= failure.is_brief();
                // All ways begin at the same address: who does not get there gets to no other site either.
                let is_cut = matches!(failure, Failure::Request(RequestError::Unreachable(_)));
                worst = failure.or_worse(worst);
                if is_cut {
                    break;
                }
            }
            left = turn.chain(unheard).collect();
            match pauses.next() {
                Some(pause) if is_brief => tokio::time::sleep(pause).await,
                _ => return Err(worst),
            }
        }
    }

    /// Sends a request once, to one site. If that has new keys, the fleet is fetched again first.
    async fn ask_at(&self, site: SiteNumber, request: &Request<'_>) -> Said {
        let ways = self.ways();
        let said = match ways.to(site) {
            Some(way) => send_once(way, request).await,
            None if ways.to.iter().all(Option::is_none) => Err(RequestError::StaleKeys.into()),
            None => return Err(RequestError::Unavailable.into()),
        };
        if !matches!(said, Err(Failure::Request(RequestError::StaleKeys))) {
            return said;
        }
        let renewed = self.renew(&ways).await?;
        match renewed.to(site) {
            Some(way) => send_once(way, request).await,
            // By this clock none of the keys that came holds.
            None if renewed.to.iter().all(Option::is_none) => Err(RequestError::StaleKeys.into()),
            None => Err(RequestError::Unavailable.into()),
        }
    }

    /// Fetches the fleet again, unless another request has done so.
    async fn renew(&self, old: &Arc<Ways<T>>) -> Result<Arc<Ways<T>>, Failure> {
        let current = self.ways();
        if !Arc::ptr_eq(&current, old) {
            return Ok(current);
        }
        let (seen, now) = (&old.fleet, (self.clock)());
        let fetched = Fleet::fetch(&self.transport, &seen.fingerprint, &self.token, Some(seen.memory()), now).await;
        let fleet = fetched.map_err(|error| match error {
            FleetError::Request(error) => error,
            _ => RequestError::NotAVault("the manifest that it shows now is not to be believed"),
        })?;
        let renewed = Arc::new(Ways::new(&self.transport, fleet, self.account(), &self.clock));
        *self.ways.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&renewed);
        Ok(renewed)
    }
}
