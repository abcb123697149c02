//! A record store that was put back from a snapshot has lost guesses that were spent since. The sites' ledgers have them:
//! before an account is served again, its record takes over what they have counted.

use std::collections::{BTreeMap, BTreeSet};

use coffer_proto::{AccountId, AttemptId, Change, Hash, RegistrationId, SiteNumber, Time};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::budget::{NUMBERS_IN_A_COUNT, follows};
use crate::error::VaultError;
use crate::ledger::{SiteRow, row_key};
use crate::messages::SiteRefusal;
use crate::outside::{Freshness, Replaced};
use crate::ports::{Peers as _, RecordStore as _};
use crate::record::{Attempt, AttemptState, Live, VaultRecord, encode, parse, record_key};
use crate::site::Site;
use crate::world::World;

/// What a site has counted of a registration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCount {
    /// Attempts up to this number are closed by a proof.
    pub closed_to: u64,
    /// What was evaluated since, oldest first.
    pub spent: Vec<Spent>,
    /// What a key of the registration has objected to.
    pub refused: Vec<Change>,
    /// Whether that is all: not if the row is older than it was, or was lost.
    pub is_whole: bool,
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
    /// [`SiteRefusal`]; `Unreachable` too while this site has not asked how far its ledger had got.
    pub async fn count(&self, account: &AccountId, registration: &RegistrationId) -> Result<SiteCount, SiteRefusal> {
        if !self.heights.is_checked() {
            return Err(SiteRefusal::Unreachable);
        }
        let row = self.rows.read(&self.ports, &row_key(account, registration)).await?;
        let held = match row.map(|row| row.content) {
            Some(SiteRow::Held(held)) => held,
            Some(SiteRow::Erased { .. }) => return Ok(SiteCount { is_whole: true, ..SiteCount::default() }),
            None => return Ok(SiteCount { is_whole: self.heights.rollback() == 0, ..SiteCount::default() }),
        };
        let spent = held.evaluations.iter().map(|known| Spent {
            attempt: known.attempt,
            number: known.number,
            ke1_hash: known.ke1_hash,
            at: known.at,
        });
        let is_whole = held.recounted >= self.heights.rollback();
        let refused = held.threats.iter().filter(|known| known.refused).map(|known| known.change);
        Ok(SiteCount { closed_to: held.closed_to, spent: spent.collect(), refused: refused.collect(), is_whole })
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
            let needed = needed(&counts, self.fleet.sites - self.fleet.threshold);
            let added = take_over(live, &counts, needed, self.ports.now());
            let is_refused = |change| counts.iter().filter(|count| count.refused.contains(&change)).count() >= needed;
            // What its owner has refused since is not done for want of the objection.
            if live.deletion.as_ref().is_some_and(|asked| is_refused(Change::Deletion(asked.id))) {
                live.deletion = None;
            }
            if record.waiting.as_ref().is_some_and(|waiting| is_refused(Change::Successor(waiting.registration.id))) {
                record.end_waiting();
            }
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
        let whole = counts.iter().filter(|count| count.is_whole).count();
        // What was put back or lost is whole only once the record is. If too few others are left, all have to answer.
        let needed = usize::from(self.fleet.sites - self.fleet.threshold) + 1;
        let is_enough = whole >= needed || counts.len() == usize::from(self.fleet.sites);
        if is_enough { Ok(counts) } else { Err(VaultError::Unavailable) }
    }
}

/// How many have to say the same: of m whole answers, all but n − t have an attempt, if it was answered to.
fn needed(counts: &[SiteCount], may_be_lost: u8) -> usize {
    let whole = counts.iter().filter(|count| count.is_whole).count();
    whole.saturating_sub(usize::from(may_be_lost)).max(1)
}

/// Adds the attempts that the record does not have. Gives how many.
fn take_over(live: &mut Live, counts: &[SiteCount], needed: usize, now: Time) -> usize {
    let mut said: BTreeMap<(u64, AttemptId, Hash), Vec<Time>> = BTreeMap::new();
    for count in counts {
        // Each site counts once, however often it names an attempt.
        let mut named = BTreeSet::new();
        for Spent { attempt, number, ke1_hash, at } in &count.spent {
            if named.insert(attempt) {
                said.entry((*number, *attempt, *ke1_hash)).or_default().push(*at);
            }
        }
    }
    let (before, mut added) = (live.newest_number, 0);
    for ((number, id, ke1_hash), mut times) in said {
        let is_possible = number <= before.saturating_add(NUMBERS_IN_A_COUNT);
        if times.len() < needed || live.attempt(&id).is_some() || !is_possible {
            continue;
        }
        // Between the times of two sites that do not lie, and not to come.
        times.sort_unstable();
        let at = times[times.len() / 2].min(now);
        live.attempts.push(Attempt { id, number, ke1_hash, at, state: AttemptState::Reported });
        live.newest_number = live.newest_number.max(number);
        added += 1;
    }
    live.attempts.sort_by_key(|attempt| attempt.number);
    // Of proofs that the record has lost the sites know the numbers: no new attempt may come before them.
    let mut closed: Vec<u64> = counts.iter().map(|count| count.closed_to).collect();
    closed.sort_unstable();
    let agreed = closed.len().checked_sub(needed).map_or(0, |at| closed[at]);
    if agreed > live.newest_number && follows(agreed, before, NUMBERS_IN_A_COUNT) {
        live.newest_number = agreed;
    }
    added
}
