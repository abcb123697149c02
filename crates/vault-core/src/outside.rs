//! What goes in and out of the [ports](crate::Hsm).

use coffer_proto::{AccountId, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::ports::Point;

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

/// What [`Hsm::import_share`](crate::Hsm::import_share) is given.
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

/// What [`Hsm::import_share`](crate::Hsm::import_share) gives.
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

/// How new a read has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good for proposing a write, which its version then guards.
    MayBeStale,
    /// What this site's own replica holds, once it holds everything up to this version of a write to the same key: that
    /// write or what came after it, never less. A version that was never given is [`StoreUnavailable`], or as if it had
    /// been. Cheaper than `Newest` where the sites are far apart.
    AtLeast(Version),
    /// Linearizable: what a refusal or an evaluation rests on.
    Newest,
}

/// Orders the writes to one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// `sub`.
    pub account: AccountId,
    /// `cnf`: the Ed25519 key of the device that may use the token.
    pub device_key: VerifyingKey,
}
