//! A record store that was put back from a snapshot has lost guesses that were spent since. The sites' ledgers have them:
//! before an account is served again, its record takes over what they have counted.

use std::collections::BTreeMap;

use coffer_proto::{AccountId, AttemptId, Hash, RegistrationId, SiteNumber, Time};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::budget::{NUMBERS_AT_ONCE, follows};
use crate::error::VaultError;
use crate::ledger::{SiteRow, row_key};
use crate::outside::{Freshness, Replaced};
use crate::ports::{Peers as _, RecordStore as _};
use crate::record::{Attempt, AttemptState, Live, VaultRecord, encode, parse, record_key};
use crate::site::{Site, SiteRefusal};
use crate::world::World;

/// What a site has counted of a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCount {
    /// Attempts up to this number are closed by a proof.
    pub closed_to: u64,
    /// What was evaluated since, oldest first.
    pub spent: Vec<Spent>,
}

/// An attempt, as a site's ledger has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Its name.
    pub attempt: AttemptId,
    /// Its number.
    pub number: u64,
    /// What it asked.
    pub ke1_hash: Hash,
    /// When, by the site's clock.
    pub at: Time,
}

impl<W: World> Site<W> {
    /// What this site has counted. Of a registration that it has no share of, nothing.
    ///
    /// # Errors
    /// [`SiteRefusal`]; `Unreachable` too while the row itself is older than it was.
    pub async fn count(&self, account: &AccountId, registration: &RegistrationId) -> Result<SiteCount, SiteRefusal> {
        let row = self.rows.read(&self.ports, &row_key(account, registration)).await?;
        let Some(SiteRow::Held(held)) = row.map(|row| row.content) else { return Ok(SiteCount::default()) };
        if !self.heights.is_checked() || held.recounted < self.heights.rollback() {
            return Err(SiteRefusal::Unreachable);
        }
        let spent = held.evaluations.iter().map(|known| Spent {
            attempt: known.attempt,
            number: known.number,
            ke1_hash: known.ke1_hash,
            at: known.at,
        });
        Ok(SiteCount { closed_to: held.closed_to, spent: spent.collect() })
    }

    /// Brings a record that was written under another fence up to what the sites have counted. What t sites evaluated,
    /// one of any n − t + 1 has in its ledger; the more sites answer, the more of them have to say it, so that one liar
    /// counts for nothing while all others answer.
    pub(crate) async fn reconcile(&self, account: &AccountId) -> Result<(), VaultError> {
        let key = record_key(account);
        let fence = self.ports.records.fence(&key);
        let Some(there) = self.ports.records.get(&key, Freshness::Newest).await? else { return Ok(()) };
        let mut record: VaultRecord = parse(&there.value)?;
        if record.fence == fence {
            return Ok(());
        }
        if let Some(live) = &mut record.live {
            let counts = self.counts(account, &live.registration.id).await?;
            let added = take_over(live, &counts, self.fleet.sites - self.fleet.threshold);
            tracing::warn!(target: "audit", ?account, added, "the record was older than it was: guesses were counted anew");
        }
        record.fence = fence;
        match self.ports.records.replace(&key, Some(there.version), &encode(&record)).await {
            Replaced::Applied(_) | Replaced::Conflict(_) => Ok(()),
            Replaced::Unknown => Err(VaultError::Unavailable),
        }
    }

    async fn counts(&self, account: &AccountId, id: &RegistrationId) -> Result<Vec<SiteCount>, VaultError> {
        let count = async |site: SiteNumber| match site == self.fleet.site {
            true => self.count(account, id).await,
            false => self.ports.peers.count(site, account, id).await,
        };
        let counts = join_all(self.fleet.order.iter().map(|site| count(*site))).await;
        let counts: Vec<SiteCount> = counts.into_iter().filter_map(Result::ok).collect();
        let needed = usize::from(self.fleet.sites - self.fleet.threshold) + 1;
        if counts.len() < needed { Err(VaultError::Unavailable) } else { Ok(counts) }
    }
}

/// Adds the attempts that the record does not have. Gives how many.
fn take_over(live: &mut Live, counts: &[SiteCount], may_be_lost: u8) -> usize {
    // Of m answers, all but n − t have it, if it was answered to.
    let needed = counts.len().saturating_sub(usize::from(may_be_lost)).max(1);
    let mut said: BTreeMap<(u64, AttemptId), (Spent, usize)> = BTreeMap::new();
    for spent in counts.iter().flat_map(|count| &count.spent) {
        said.entry((spent.number, spent.attempt)).or_insert((*spent, 0)).1 += 1;
    }
    let mut added = 0;
    for (spent, times) in said.into_values() {
        if times < needed || live.attempt(&spent.attempt).is_some() || !is_possible(live, spent.number) {
            continue;
        }
        let Spent { attempt: id, number, ke1_hash, at } = spent;
        live.attempts.push(Attempt { id, number, ke1_hash, at, state: AttemptState::Reported });
        live.newest_number = live.newest_number.max(number);
        added += 1;
    }
    live.attempts.sort_by_key(|attempt| attempt.number);
    // Of proofs that the record has lost the sites know the numbers: no new attempt may come before them.
    let mut closed: Vec<u64> = counts.iter().map(|count| count.closed_to).collect();
    closed.sort_unstable();
    let agreed = closed.len().checked_sub(needed).map_or(0, |at| closed[at]);
    if follows(agreed, live.newest_number) {
        live.newest_number = agreed;
    }
    added
}

fn is_possible(live: &Live, number: u64) -> bool {
    number <= live.newest_number.saturating_add(NUMBERS_AT_ONCE)
}
