//! What a site runs on: the only one of its fleet, or one of several.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coffer_hsm_adapter::HsmAdapter;
use coffer_proto::Time;
use coffer_vault_core::{
    Clock, Freshness, Hsm, HsmError, HsmPublicKeys, ImportedShare, LedgerSpend, Point, RecordStore, Replaced,
    SealedShareIn, StoreUnavailable, Version, Versioned, World, WrappedShare,
};
use coffer_vault_store::{EmbeddedLedger, EmbeddedRecords, EtcdRecords};

use crate::peers::HttpPeers;
use crate::tokens::AccountTokens;

/// This process.
pub(crate) struct Server;

impl World for Server {
    type Hsm = SharedHsm;
    type Records = Records;
    type Ledger = EmbeddedLedger;
    type Peers = HttpPeers;
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

/// The records, whose unknown outcomes are counted.
#[derive(Clone)]
pub(crate) enum Records {
    /// Of the only site.
    Embedded(EmbeddedRecords),
    /// Of several.
    Etcd(EtcdRecords),
}

impl RecordStore for Records {
    fn fence(&self, key: &[u8]) -> u64 {
        match self {
            Self::Embedded(records) => records.fence(key),
            Self::Etcd(records) => records.fence(key),
        }
    }

    async fn get(&self, key: &[u8], freshness: Freshness) -> Result<Option<Versioned>, StoreUnavailable> {
        match self {
            Self::Embedded(records) => records.get(key, freshness).await,
            Self::Etcd(records) => records.get(key, freshness).await,
        }
    }

    async fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> Replaced {
        counted(match self {
            Self::Embedded(records) => records.replace(key, expected, value).await,
            Self::Etcd(records) => records.replace(key, expected, value).await,
        })
    }

    async fn delete(&self, key: &[u8], expected: Version) -> Replaced {
        counted(match self {
            Self::Embedded(records) => records.delete(key, expected).await,
            Self::Etcd(records) => records.delete(key, expected).await,
        })
    }

    async fn scan(&self, after: &[u8], limit: usize) -> Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable> {
        match self {
            Self::Embedded(records) => records.scan(after, limit).await,
            Self::Etcd(records) => records.scan(after, limit).await,
        }
    }
}

fn counted(outcome: Replaced) -> Replaced {
    if outcome == Replaced::Unknown {
        crate::observe::count_unknown_write();
    }
    outcome
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
