//! How a transition gets into the record: compare-and-swap, and what to do when nobody knows whether it was.

use std::time::Duration;

use coffer_proto::{AccountId, Time};

use crate::budget::Refusal;
use crate::error::VaultError;
use crate::outside::{Freshness, Replaced, Version};
use crate::ports::{Clock as _, RecordStore as _};
use crate::record::{VaultRecord, encode, parse, record_key};
use crate::world::{Ports, World};

/// How long one request tries before it says 503. A store without a majority takes more than a second for each try.
const WITHIN: Duration = Duration::from_secs(4);

const PAUSE: Duration = Duration::from_millis(20);

/// A record as it was committed, and what the transition gave.
pub(crate) struct Committed<T> {
    pub(crate) record: VaultRecord,
    /// Since which version it stands so. None: there is no record.
    pub(crate) version: Option<Version>,
    pub(crate) outcome: T,
}

/// Applies a transition to the newest record and commits it.
///
/// The transition may be applied several times to several states; only one is committed. A refusal rests on a
/// linearizable read, but what had come due before it is committed all the same. An unknown outcome is resolved by
/// sending the *identical* write again: its guard lets at most one copy in. When that does not succeed in time the answer
/// is `Unavailable`, the transition may have been made, and nothing may rest on it.
pub(crate) async fn commit<W: World, T>(
    ports: &Ports<W>,
    account: &AccountId,
    mut transition: impl FnMut(&mut VaultRecord, Time) -> Result<T, Refusal>,
) -> Result<Committed<T>, VaultError> {
    let key = record_key(account);
    let mut current = ports.records.get(&key, Freshness::MayBeStale).await?;
    let mut is_newest = false;
    let until = ports.now() + WITHIN;
    loop {
        let before: VaultRecord = current.as_ref().map(|there| parse(&there.value)).transpose()?.unwrap_or_default();
        let fence = ports.records.fence(&key);
        if current.is_some() && before.fence != fence {
            return Err(VaultError::Unreconciled);
        }
        let mut after = before.clone();
        let outcome = transition(&mut after, ports.now());
        after.fence = if after == before { before.fence } else { fence };
        if outcome.is_err() && !is_newest {
            current = ports.records.get(&key, Freshness::Newest).await?;
            is_newest = true;
            continue;
        }
        if after == before {
            // Nothing to write. What was read may be stale, so it is only good if it cannot have been undone since.
            if is_newest {
                let version = current.map(|there| there.version);
                return Ok(Committed { record: after, version, outcome: outcome? });
            }
            current = ports.records.get(&key, Freshness::Newest).await?;
            is_newest = true;
            continue;
        }
        let value = encode(&after);
        loop {
            match ports.records.replace(&key, current.as_ref().map(|there| there.version), &value).await {
                Replaced::Applied(version) => {
                    return Ok(Committed { record: after, version: Some(version), outcome: outcome? });
                }
                Replaced::Conflict(Some(there)) if there.value == value => {
                    return Ok(Committed { record: after, version: Some(there.version), outcome: outcome? });
                }
                Replaced::Conflict(there) => {
                    current = there;
                    is_newest = true;
                    break;
                }
                Replaced::Unknown if ports.now() <= until => ports.clock.sleep(PAUSE).await,
                Replaced::Unknown => return Err(VaultError::Unavailable),
            }
        }
        if ports.now() > until {
            return Err(VaultError::Unavailable);
        }
    }
}
