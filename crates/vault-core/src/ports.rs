//! The whole outside world of the vault on one page. Whoever implements one of these traits owes what is written here;
//! the policy rests on it and on nothing else.
//!
//! Every method may be called from many tasks at once. A future that is dropped half-way leaves the outcome open: what
//! it asked for may or may not have happened.

use std::time::Duration;

use coffer_proto::{SiteNumber, Time};

pub use coffer_pake::Point;

use crate::ledger::LedgerSpend;
use crate::site::{EvaluateRequest, SiteAnswer, SiteProof, SiteRefusal};

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

/// What a site's manifest entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HsmPublicKeys {
    /// `share-import`.
    pub share_import: Point,
    /// `ake`, the same at every site of a fleet.
    pub ake: Point,
    /// `site-identity`.
    pub site_identity: Point,
}

/// What [`Hsm::import_share`] is given.
#[derive(Debug, Clone, Copy)]
pub struct SealedShareIn<'a> {
    /// `c · E`: the client's ephemeral point, bound to the share's context.
    pub transport: Point,
    /// PKCS#8 of `k_i` under AES key wrap with padding (RFC 5649), at most 256 bytes.
    pub sealed: &'a [u8],
    /// `K_i = k_i · G`, from the commitments.
    pub expected: Point,
    /// The point that a receipt multiplies.
    pub receipt_base: Point,
}

/// What [`Hsm::import_share`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedShare {
    /// The share under this HSM's `share-kek`.
    pub wrapped: Vec<u8>,
    /// `k_i · receipt_base`.
    pub receipt: Point,
}

/// A share at rest, and the public point that the sign of an answer is recovered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedShare {
    /// As [`ImportedShare::wrapped`], at most 256 bytes.
    pub wrapped: Vec<u8>,
    /// `K_i`.
    pub public: Point,
}

/// Why the HSM gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HsmError {
    /// The token or its library does not answer just now. Answer 503; a later call reconnects.
    #[error("the HSM cannot be reached")]
    Unavailable,
    /// What was to be unwrapped was not wrapped for this HSM, or was altered, or is not the expected share.
    #[error("the HSM refuses the share")]
    Refused,
    /// The HSM's answers contradict each other. Nothing that it said may be used.
    #[error("the HSM's answers contradict each other")]
    Fault,
}

/// The vault's records: for each key one value and a version. Replicated over the sites of a fleet.
pub trait RecordStore: Send + Sync {
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

/// How new a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good for proposing a write, which its version then guards.
    MayBeStale,
    /// Linearizable: what a refusal or an evaluation rests on.
    Newest,
}

/// Orders the writes to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// A value and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// What was written, at most 64 KiB.
    pub value: Vec<u8>,
    /// To be named by the next write.
    pub version: Version,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// It is durable, under this version (of a deletion: the deletion's own).
    Applied(Version),
    /// It was not made; this is what stands there, read linearizably.
    Conflict(Option<Versioned>),
    /// It may have been made, may yet be made, or never. To find out, send the identical write again.
    Unknown,
}

/// The store did not answer in time. A read changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record store cannot be reached")]
pub struct StoreUnavailable;

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

    /// Up to `limit` rows in order of their keys, from the first that is greater than `after`.
    fn rows(
        &self,
        after: &[u8],
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Vec<u8>, LedgerRow)>, LedgerError>> + Send;

    /// The highest number of any row ever written.
    fn highest_number(&self) -> impl Future<Output = Result<u64, LedgerError>> + Send;
}

/// A row: opaque to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// Greater than that of every row written before at this site.
    pub number: u64,
    /// Content and MAC, at most 64 KiB.
    pub bytes: Vec<u8>,
}

/// Why the ledger was not written, or not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Another task has written the row in the meantime. Nothing was changed.
    #[error("the ledger's row has changed")]
    Conflict,
    /// The disk does not take it or give it.
    #[error("the ledger cannot be reached")]
    Unavailable,
}

/// The other sites of the fleet. With one site there are none, and nothing here is called.
pub trait Peers: Send + Sync {
    /// Has a site evaluate an attempt that the record holds.
    fn evaluate(
        &self,
        site: SiteNumber,
        request: &EvaluateRequest,
    ) -> impl Future<Output = Result<SiteAnswer, SiteRefusal>> + Send;

    /// Delivers a proof. What cannot be delivered waits in the record.
    fn apply_proof(&self, site: SiteNumber, proof: &SiteProof) -> impl Future<Output = Result<(), SiteRefusal>> + Send;
}

/// Who vouches for accounts.
pub trait Tokens: Send + Sync {
    /// The bearer of a token that was valid at `time`. `None` for every other token, without a reason.
    fn verify(&self, token: &str, time: Time) -> Option<Bearer>;
}

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// `sub`.
    pub account: coffer_proto::AccountId,
    /// `cnf`: the Ed25519 key of the device that may use the token.
    pub device_key: coffer_proto::VerifyingKey,
}

/// The time of day of this site.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;

    /// Comes back after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}
