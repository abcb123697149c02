//! What a vault of one site runs on.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coffer_hsm_adapter::HsmAdapter;
use coffer_proto::{AccountId, LedgerHeight, Nonce, RegistrationId, SiteNumber, Time};
use coffer_vault_core::{
    Clock, EvaluateRequest, Freshness, Hsm, HsmError, HsmPublicKeys, ImportedShare, LedgerSpend, Peers, Point,
    RecordStore, Replaced, SealedShareIn, SiteAnswer, SiteKeep, SiteProof, SiteRefusal, StoreUnavailable, Version,
    Versioned, World, WrappedShare,
};
use coffer_vault_store::{EmbeddedLedger, EmbeddedRecords};

use crate::tokens::AccountTokens;

/// One site: SoftHSM or another token, the embedded store, no peers.
pub(crate) struct OneSite;

impl World for OneSite {
    type Hsm = SharedHsm;
    type Records = CountedRecords;
    type Ledger = EmbeddedLedger;
    type Peers = NoPeers;
    type Tokens = AccountTokens;
    type Clock = SystemClock;
}

/// The HSM: the vault evaluates with it, the server signs manifests with it, asks it whether it is there, and closes it.
#[derive(Clone)]
pub(crate) struct SharedHsm(Arc<HsmAdapter>);

impl SharedHsm {
    pub(crate) fn new(adapter: HsmAdapter) -> Self {
        Self(Arc::new(adapter))
    }

    pub(crate) fn root_public(&self) -> Option<Point> {
        self.0.root_public()
    }

    pub(crate) async fn sign_as_root(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        self.0.sign_as_root(message).await
    }

    pub(crate) fn operations(&self) -> coffer_hsm_adapter::Operations {
        self.0.operations()
    }

    /// Blocks until the sessions are closed.
    pub(crate) fn close(&self) {
        self.0.close();
    }
}

impl Hsm for SharedHsm {
    fn public_keys(&self) -> HsmPublicKeys {
        self.0.public_keys()
    }

    async fn import_share(&self, share: SealedShareIn<'_>) -> Result<ImportedShare, HsmError> {
        self.0.import_share(share).await
    }

    async fn evaluate(&self, spend: LedgerSpend, share: &WrappedShare, element: &Point) -> Result<Point, HsmError> {
        self.0.evaluate(spend, share, element).await
    }

    async fn agree(&self, ephemeral: &Point) -> Result<Point, HsmError> {
        self.0.agree(ephemeral).await
    }

    async fn mac(&self, message: &[u8]) -> Result<[u8; 32], HsmError> {
        self.0.mac(message).await
    }

    async fn certify(&self, message: &[u8]) -> Result<[u8; 64], HsmError> {
        self.0.certify(message).await
    }
}

/// The embedded records, whose unknown outcomes are counted.
#[derive(Clone)]
pub(crate) struct CountedRecords(pub(crate) EmbeddedRecords);

impl RecordStore for CountedRecords {
    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        self.0.get(key, freshness).await
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        counted(self.0.replace(key, expected, value).await)
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        counted(self.0.delete(key, expected).await)
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        self.0.scan(after, limit).await
    }
}

fn counted(outcome: Replaced) -> Replaced {
    if outcome == Replaced::Unknown {
        crate::observe::count_unknown_write();
    }
    outcome
}

/// A fleet of one site has no other.
pub(crate) struct NoPeers;

impl Peers for NoPeers {
    async fn evaluate(&self, _: SiteNumber, _: &EvaluateRequest) -> Result<SiteAnswer, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn newest_mark(
        &self,
        _: SiteNumber,
        _: &AccountId,
        _: &RegistrationId,
    ) -> Result<Option<Nonce>, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn height_of(&self, _: SiteNumber, _: SiteNumber) -> Result<Option<LedgerHeight>, SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn apply_proof(&self, _: SiteNumber, _: &SiteProof) -> Result<(), SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }

    async fn apply_keep(&self, _: SiteNumber, _: &SiteKeep) -> Result<(), SiteRefusal> {
        Err(SiteRefusal::Unreachable)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_unix_seconds(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
