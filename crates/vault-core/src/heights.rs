//! What the sites remember of one another's ledgers. A site that was started from an old copy of its disk has lost spends;
//! the others know by its own signature how far it had got.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coffer_proto::{LedgerHeight, SiteNumber, frame};
use futures_util::future::join_all;

use crate::error::VaultError;
use crate::evidence::height_holds;
use crate::outside::{LedgerError, LedgerRow};
use crate::ports::{Ledger as _, Peers as _};
use crate::record::{encode, parse};
use crate::site::Site;
use crate::world::World;

/// This site's own state of that: whether it has asked, and which rows are from before the last rollback.
#[derive(Debug, Default)]
pub(crate) struct Heights {
    /// The newest that was heard of each site: of another one's it was verified, or its own site has said it.
    heard: Mutex<BTreeMap<SiteNumber, LedgerHeight>>,
    /// Whether the others have been asked since the start.
    is_checked: AtomicBool,
    rollback: AtomicU64,
}

impl Heights {
    /// Of a site that has no other to ask.
    pub(crate) fn alone() -> Self {
        Self { is_checked: AtomicBool::new(true), ..Self::default() }
    }

    pub(crate) fn hear(&self, height: LedgerHeight) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heard.entry(height.site).or_insert(height);
        if known.number < height.number {
            *known = height;
        }
    }

    fn heard(&self) -> Vec<LedgerHeight> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect()
    }

    /// These were written down; what was heard in the meantime was not.
    fn forget(&self, written: &[LedgerHeight]) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|site, newest| written.iter().all(|known| known.site != *site || known.number < newest.number));
    }

    pub(crate) fn is_checked(&self) -> bool {
        self.is_checked.load(Ordering::Acquire)
    }

    /// The height that was lost in the last rollback: rows that were not counted anew since may be older than they were.
    pub(crate) fn rollback(&self) -> u64 {
        self.rollback.load(Ordering::Acquire)
    }
}

impl<W: World> Site<W> {
    /// What this site knows of the height of another one's ledger.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn height_of(&self, site: SiteNumber) -> Result<Option<LedgerHeight>, VaultError> {
        Ok(self.ports.ledger.read(&height_key(site)).await?.map(|row| parse(&row.bytes)).transpose()?)
    }

    /// Writes down what was heard since the last time. What is not signed by the site that it names is forgotten. To be
    /// called every second or so: what a site did within the last moment before its rollback nobody knows then, but five
    /// sites do not crash together.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn keep_heights(&self) -> Result<(), VaultError> {
        let heard = self.heights.heard();
        for height in &heard {
            if height.site == self.fleet.site {
                self.pass_on(height).await;
                continue;
            }
            let key = height_key(height.site);
            let there = self.ports.ledger.read(&key).await?;
            let known: Option<LedgerHeight> = there.as_ref().map(|row| parse(&row.bytes)).transpose()?;
            let is_news = known.is_none_or(|known| known.number < height.number);
            if is_news && height_holds(&self.fleet.site_identities, &self.fleet.id, height) {
                self.write_own(&key, there.map(|row| row.number), encode(height)).await?;
                self.pass_on(height).await;
            } else if is_news {
                tracing::error!(target: "audit", site = %height.site, "a ledger's height that its site has not signed");
            }
        }
        self.heights.forget(&heard);
        Ok(())
    }

    /// Another site has heard of a height. One that is not signed would hide those that are.
    pub fn hear_height(&self, height: LedgerHeight) {
        let holds = || height_holds(&self.fleet.site_identities, &self.fleet.id, &height);
        if height.site != self.fleet.site && holds() {
            self.heights.hear(height);
        }
    }

    /// Whichever sites are there when the one that it is of starts again, they know.
    async fn pass_on(&self, height: &LedgerHeight) {
        let others = self.fleet.order.iter().filter(|site| ![self.fleet.site, height.site].contains(site));
        join_all(others.map(|site| self.ports.peers.tell_height(*site, height))).await;
    }

    /// Asks the other sites how far this one's ledger had got; until enough of them have answered, it evaluates nothing.
    /// If it had got further than it is now, it was put back: every row is then counted anew when it is next used.
    ///
    /// # Errors
    /// `Unavailable`, too if too few answer: ask again.
    pub async fn check_height(&self) -> Result<(), VaultError> {
        if self.heights.is_checked() {
            return Ok(());
        }
        let kept = self.ports.ledger.read(&rollback_key()).await?;
        let rollback: u64 = kept.as_ref().map(|row| parse(&row.bytes)).transpose()?.unwrap_or(0);
        self.heights.rollback.store(rollback, Ordering::Release);
        let others = self.fleet.order.iter().filter(|site| **site != self.fleet.site);
        let answers = join_all(others.map(|site| self.ports.peers.height_of(*site, self.fleet.site))).await;
        let answers: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
        if answers.len() + 1 < usize::from(self.fleet.threshold) {
            return Err(VaultError::Unavailable);
        }
        let is_own = |height: &&LedgerHeight| {
            height.site == self.fleet.site && height_holds(&self.fleet.site_identities, &self.fleet.id, height)
        };
        let highest = answers.iter().flatten().filter(is_own).map(|height| height.number).max().unwrap_or(0);
        // As it was found: what was written since it started has taken numbers too.
        let own = self.rows.number_at_start();
        if highest > own {
            tracing::error!(target: "audit", highest, own, "this ledger is older than it was: every row is counted anew");
            self.rows.go_beyond(highest);
            self.write_own(&rollback_key(), kept.map(|row| row.number), encode(&highest)).await?;
            self.heights.rollback.store(highest, Ordering::Release);
        }
        self.heights.is_checked.store(true, Ordering::Release);
        Ok(())
    }

    /// A row that is no account's: of use to whoever reads the disk, and of no harm to anybody who alters it but refusal.
    async fn write_own(&self, key: &[u8], expected: Option<u64>, bytes: Vec<u8>) -> Result<(), VaultError> {
        let row = LedgerRow { number: self.rows.next_number(), bytes };
        match self.ports.ledger.write(key, expected, &row).await {
            // Another task has written it: that one's will do until the next time.
            Ok(()) | Err(LedgerError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// No account has an empty name.
fn height_key(site: SiteNumber) -> Vec<u8> {
    frame([b"".as_slice(), b"height", &[site.0]])
}

fn rollback_key() -> Vec<u8> {
    frame([b"".as_slice(), b"rollback"])
}
