//! What a site is made of: its ports, and what its fleet is.

use std::pin::pin;
use std::time::Duration;

use coffer_proto::{FleetId, SiteNumber, Time};
use futures_util::future::{Either, select};
use futures_util::stream::{Stream, StreamExt as _};

use crate::policy::Policy;
use crate::ports::{Clock, Hsm, Ledger, Peers, RecordStore, Tokens};

/// The implementations of the ports that a vault runs with.
pub trait World: Send + Sync + 'static {
    /// See [`Hsm`].
    type Hsm: Hsm;
    /// See [`RecordStore`].
    type Records: RecordStore;
    /// See [`Ledger`].
    type Ledger: Ledger;
    /// See [`Peers`].
    type Peers: Peers;
    /// See [`Tokens`].
    type Tokens: Tokens;
    /// See [`Clock`].
    type Clock: Clock;
}

/// The outside world of one site.
#[expect(missing_debug_implementations, reason = "what is outside need not be printed")]
pub struct Ports<W: World> {
    /// This site's HSM.
    pub hsm: W::Hsm,
    /// The fleet's records.
    pub records: W::Records,
    /// This site's ledger.
    pub ledger: W::Ledger,
    /// The other sites.
    pub peers: W::Peers,
    /// Who vouches for accounts.
    pub tokens: W::Tokens,
    /// This site's clock.
    pub clock: W::Clock,
}

impl<W: World> Ports<W> {
    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// The next of those that were asked. None if there is none, or if it takes longer than this.
    pub(crate) async fn next_within<T>(
        &self,
        asked: &mut (impl Stream<Item = T> + Unpin),
        within: Option<Duration>,
    ) -> Option<T> {
        let Some(within) = within else { return asked.next().await };
        match select(asked.next(), pin!(self.clock.sleep(within))).await {
            Either::Left((next, _)) => next,
            Either::Right(_) => None,
        }
    }
}

/// What the policy needs to know of the fleet manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// Its name.
    pub id: FleetId,
    /// The newest manifest that this site has.
    pub manifest_version: u64,
    /// n.
    pub sites: u8,
    /// t: how many sites a retrieval needs.
    pub threshold: u8,
    /// This site's number.
    pub site: SiteNumber,
    /// All sites in the order in which this one asks them: itself, then the nearest.
    pub order: Vec<SiteNumber>,
    /// After how long a site that does not answer has another one asked. Never, if there is no need to hurry.
    pub hedge_after: Option<Duration>,
    /// The identity keys of all sites, in order: they certify receipt keys.
    pub site_identities: Vec<coffer_pake::Point>,
    /// The guess budget.
    pub policy: Policy,
}

impl Fleet {
    /// Sites that a retrieval asks at first, and receipts that an activation needs: one more than `threshold`, if there
    /// is one more, so that a false answer shows.
    pub fn quorum(&self) -> u8 {
        self.sites.min(self.threshold.saturating_add(1))
    }
}
