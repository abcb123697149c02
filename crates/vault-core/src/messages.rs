//! What sites say to one another.

use coffer_pake::Point;
use coffer_proto::{
    AccountId, AttemptId, Base64, KE1_LEN, LedgerHeight, Nonce, RegistrationId, Signature, SiteNonce, Time,
};
use serde::{Deserialize, Serialize};

use crate::error::VaultError;
use crate::outside::Version;
use crate::record::{KeptKeep, KeptProof};
use crate::token::AccountToken;

/// Asks a site to evaluate an attempt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EvaluateRequest {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its number.
    pub number: u64,
    /// The record's version in which it was spent: the site waits for it, and reads the newest state that it then has.
    pub version: Version,
    /// OPAQUE's KE1.
    pub ke1: Base64<KE1_LEN>,
    /// The token that it was spent with.
    pub token: AccountToken,
    /// By the device that the token names.
    pub device_signature: Signature,
}

/// Hands a site a proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteProof {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// The proof.
    pub proof: KeptProof,
}

/// Hands a site an objection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SiteKeep {
    /// Whose.
    pub account: AccountId,
    /// Of which registration.
    pub registration: RegistrationId,
    /// The objection.
    pub keep: KeptKeep,
}

/// A site's answer to an [`EvaluateRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteAnswer {
    /// `k_i · B`.
    pub point: Point,
    /// The site's newest mark.
    pub nonce: SiteNonce,
    /// How far its ledger has got.
    pub height: LedgerHeight,
}

/// Why a site does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SiteRefusal {
    /// Its count is full; a proof by way of other sites can empty it.
    #[error("the site's count is full")]
    Full {
        /// What that proof has to name.
        nonce: Option<Nonce>,
    },
    /// By its clock it is too early. The attempt stays open.
    #[error("by the site's clock it is too early")]
    Wait {
        /// When it is not.
        retry_at: Time,
    },
    /// The id was used with another KE1.
    #[error("the attempt's id was used for something else")]
    OtherBytes,
    /// It holds no share of the registration.
    #[error("the site holds no share of the registration")]
    NotHeld,
    /// It cannot be reached.
    #[error("the site cannot be reached")]
    Unreachable,
    /// Anything else.
    #[error(transparent)]
    Refused(#[from] VaultError),
}
