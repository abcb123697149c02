//! One site of the fleet: its ports, its rows, what it knows of the others. What it does is in `import.rs`, `evaluation.rs`,
//! `delivery.rs`. It verifies for itself whatever it acts on; a coordinator, its own or another site's, can only ask.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coffer_proto::{AccountId, Nonce, Registration, RegistrationId, ShareContext, SiteNumber};

use crate::error::VaultError;
use crate::heights::Heights;
use crate::ledger::{SiteRow, row_key, row_prefix};
use crate::messages::SiteRefusal;
use crate::outside::Freshness;
use crate::ports::{Ledger as _, RecordStore as _};
use crate::receipts::DailyKeys;
use crate::record::{VaultRecord, parse, record_key};
use crate::rows::{Row, Rows};
use crate::world::{Fleet, Ports, World};

pub(crate) type Dissents = Mutex<BTreeMap<SiteNumber, u64>>;

/// One site of the fleet.
#[expect(missing_debug_implementations, reason = "its ports need not be printed")]
pub struct Site<W: World> {
    pub(crate) ports: Ports<W>,
    pub(crate) fleet: Fleet,
    pub(crate) rows: Rows,
    pub(crate) daily_keys: DailyKeys,
    pub(crate) heights: Heights,
    /// The newest manifest that this site has.
    pub(crate) manifest_version: AtomicU64,
    pub(crate) dissents: Dissents,
}

impl<W: World> Site<W> {
    /// A site on its ports.
    ///
    /// # Errors
    /// `Unavailable` when the ledger cannot be read.
    pub async fn open(ports: Ports<W>, fleet: Fleet) -> Result<Self, VaultError> {
        let rows = Rows::open(&ports).await?;
        let manifest_version = AtomicU64::new(fleet.manifest_version);
        let heights = if fleet.sites == 1 { Heights::alone() } else { Heights::default() };
        Ok(Self {
            ports,
            fleet,
            rows,
            daily_keys: DailyKeys::default(),
            heights,
            manifest_version,
            dissents: Dissents::default(),
        })
    }

    /// There is a newer manifest, which changes nothing but its version and what only clients and stores go by.
    pub fn learn_manifest(&self, version: u64) {
        self.manifest_version.fetch_max(version, Ordering::Relaxed);
    }

    /// Whether enough other sites have said how far this one's ledger had got.
    pub fn has_checked_height(&self) -> bool {
        self.heights.is_checked()
    }

    /// How often each site's answer has contradicted what the others agree on.
    pub fn dissents(&self) -> BTreeMap<SiteNumber, u64> {
        self.dissents.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest mark on a registration's evaluations, which is what a proof should name.
    ///
    /// # Errors
    /// [`SiteRefusal`].
    pub async fn newest_mark(
        &self,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        match self.rows.read(&self.ports, &row_key(account, registration)).await?.map(|row| row.content) {
            // Marks from before a rollback are not good any more.
            Some(SiteRow::Held(held)) if held.recounted < self.heights.rollback() => Ok(None),
            Some(SiteRow::Held(held)) => Ok(held.newest_nonce()),
            _ => Err(SiteRefusal::NotHeld),
        }
    }

    /// The newest record. Empty for an account that was never seen.
    pub(crate) async fn record(&self, account: &AccountId) -> Result<VaultRecord, VaultError> {
        self.record_at(account, Freshness::Newest).await
    }

    pub(crate) async fn record_at(&self, account: &AccountId, freshness: Freshness) -> Result<VaultRecord, VaultError> {
        let there = self.ports.records.get(&record_key(account), freshness).await?;
        Ok(there.map(|there| parse(&there.value)).transpose()?.unwrap_or_default())
    }

    /// All rows of an account, with their keys.
    pub(crate) async fn account_rows(&self, account: &AccountId) -> Result<Vec<(Vec<u8>, Row)>, VaultError> {
        const PAGE: usize = 64;
        let prefix = row_prefix(account);
        let (mut rows, mut after) = (Vec::new(), prefix.clone());
        loop {
            let page = self.ports.ledger.rows(&after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (key, row) in page {
                if !key.starts_with(&prefix) {
                    return Ok(rows);
                }
                after.clone_from(&key);
                let row = self.rows.open_row(&self.ports, &key, &row).await?;
                rows.push((key, row));
            }
            if is_last {
                return Ok(rows);
            }
        }
    }

    pub(crate) fn context<'a>(&'a self, account: &'a AccountId, registration: &'a Registration) -> ShareContext<'a> {
        ShareContext { fleet: &self.fleet.id, site: self.fleet.site, account, registration, sites: self.fleet.sites }
    }
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| VaultError::Unavailable)?;
    Ok(bytes)
}
