//! The whole outside world of the vault on one page. Whoever implements one of these traits owes what is written here;
//! the policy rests on it and on nothing else.
//!
//! Every method may be called from many tasks at once. A future that is dropped half-way leaves the outcome open: what
//! it asked for may or may not have happened.

use std::time::Duration;

use coffer_proto::{AccountId, LedgerHeight, Nonce, RegistrationId, SiteNumber, Time};

pub use coffer_pake::Point;

use crate::ledger::LedgerSpend;
use crate::messages::{EvaluateRequest, SiteAnswer, SiteKeep, SiteProof, SiteRefusal};
use crate::outside::{
    Bearer, Freshness, HsmError, HsmPublicKeys, ImportedShare, LedgerError, LedgerRow, Replaced, SealedShareIn,
    StoreUnavailable, Version, Versioned, WrappedShare,
};
use crate::reconcile::SiteCount;

/// One site's hardware security module. Each call costs its CPU time (SoftHSM: 20 to 1000 µs) and no disk.
pub trait Hsm: Send + Sync {
    /// The public halves of this site's keys. They do not change while the process runs.
    fn public_keys(&self) -> HsmPublicKeys;

    /// Takes in a dealt share: `x(share-import · transport)` unwraps `sealed`, all inside. Checks that the share's
    /// public point is `expected` up to its sign (which nothing depends on), and re-wraps it under `share-kek`.
    fn import_share(&self, share: SealedShareIn<'_>) -> impl Future<Output = Result<ImportedShare, HsmError>> + Send;

    /// `k_i · element`. The spend that pays for it is used up whatever comes of it.
    fn evaluate(
        &self,
        spend: LedgerSpend,
        share: &WrappedShare,
        element: &Point,
    ) -> impl Future<Output = Result<Point, HsmError>> + Send;

    /// `ake · ephemeral`: the server's half of 3DH.
    fn agree(&self, ephemeral: &Point) -> impl Future<Output = Result<Point, HsmError>> + Send;

    /// HMAC-SHA256 under `ledger-mac`.
    fn mac(&self, message: &[u8]) -> impl Future<Output = Result<[u8; 32], HsmError>> + Send;

    /// ES256 by `site-identity`: r ‖ s over SHA-256 of the message.
    fn certify(&self, message: &[u8]) -> impl Future<Output = Result<[u8; 64], HsmError>> + Send;
}

/// The vault's records: for each key one value and a version. Replicated over the sites of a fleet.
pub trait RecordStore: Send + Sync {
    /// What changes when the store that has this key is put back from a snapshot, or gives the key away. Who reads a record
    /// that was written under another fence counts its guesses anew.
    fn fence(&self, key: &[u8]) -> u64;

    /// The value and its version, or nothing.
    fn get(
        &self,
        key: &[u8],
        freshness: Freshness,
    ) -> impl Future<Output = Result<Option<Versioned>, StoreUnavailable>> + Send;

    /// Replaces atomically and durably, if the version is still `expected` (`None`: there is no value). A version never
    /// comes twice for a key, not even after a deletion.
    fn replace(&self, key: &[u8], expected: Option<Version>, value: &[u8]) -> impl Future<Output = Replaced> + Send;

    /// Deletes, under the same conditions.
    fn delete(&self, key: &[u8], expected: Version) -> impl Future<Output = Replaced> + Send;

    /// Up to `limit` entries in order of their keys, from the first that is greater than `after`.
    fn scan(
        &self,
        after: &[u8],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Vec<u8>, Versioned)>, StoreUnavailable>> + Send;
}

/// One site's own durable memory, which no other site writes: shares and what was evaluated with them.
pub trait Ledger: Send + Sync {
    /// The row as it was last written.
    fn read(&self, key: &[u8]) -> impl Future<Output = Result<Option<LedgerRow>, LedgerError>> + Send;

    /// Writes a row if the one that is there has the number `expected` (`None`: there is none). Durable when it returns:
    /// an evaluation follows. After any error the ledger may have been written or not.
    fn write(
        &self,
        key: &[u8],
        expected: Option<u64>,
        row: &LedgerRow,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Removes a row, if it has the number `expected`. The highest number stays what it is.
    fn forget(&self, key: &[u8], expected: u64) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Up to `limit` rows in order of their keys, from the first that is greater than `after`.
    fn rows(
        &self,
        after: &[u8],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Vec<u8>, LedgerRow)>, LedgerError>> + Send;

    /// The highest number of any row ever written.
    fn highest_number(&self) -> impl Future<Output = Result<u64, LedgerError>> + Send;
}

/// The other sites of the fleet. With one site there are none, and nothing here is called.
pub trait Peers: Send + Sync {
    /// Has a site evaluate an attempt that the record holds.
    fn evaluate(
        &self,
        site: SiteNumber,
        request: &EvaluateRequest,
    ) -> impl Future<Output = Result<SiteAnswer, SiteRefusal>> + Send;

    /// The newest mark on a registration's evaluations at a site.
    fn newest_mark(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> impl Future<Output = Result<Option<Nonce>, SiteRefusal>> + Send;

    /// What a site knows of the height of another one's ledger.
    fn height_of(
        &self,
        site: SiteNumber,
        about: SiteNumber,
    ) -> impl Future<Output = Result<Option<LedgerHeight>, SiteRefusal>> + Send;

    /// Tells a site what was heard of the height of another one's ledger.
    fn tell_height(
        &self,
        site: SiteNumber,
        height: &LedgerHeight,
    ) -> impl Future<Output = Result<(), SiteRefusal>> + Send;

    /// What a site has counted of a registration.
    fn count(
        &self,
        site: SiteNumber,
        account: &AccountId,
        registration: &RegistrationId,
    ) -> impl Future<Output = Result<SiteCount, SiteRefusal>> + Send;

    /// Delivers a proof. What cannot be delivered waits in the record.
    fn apply_proof(&self, site: SiteNumber, proof: &SiteProof) -> impl Future<Output = Result<(), SiteRefusal>> + Send;

    /// Delivers an objection. What cannot be delivered waits in the record.
    fn apply_keep(&self, site: SiteNumber, keep: &SiteKeep) -> impl Future<Output = Result<(), SiteRefusal>> + Send;
}

/// Who vouches for accounts.
pub trait Tokens: Send + Sync {
    /// The bearer of a token that was valid at `time`. `None` for every other token, without a reason.
    fn verify(&self, token: &str, time: Time) -> Option<Bearer>;
}

/// The time of day of this site.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;

    /// Comes back after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}
