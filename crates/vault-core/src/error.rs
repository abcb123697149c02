//! What the vault answers when it does not do what it was asked. Nothing secret is in any of it.

use coffer_proto::{ProblemType, Time};

use crate::budget::Refusal;
use crate::messages::SiteRefusal;
use crate::outside::{HsmError, LedgerError, StoreUnavailable};
use crate::record::DamagedRecord;

/// Why a request was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The token does not hold, for whatever reason.
    #[error("the token does not hold")]
    Unauthorized,
    /// A part of the request cannot be what it says it is.
    #[error("{0}")]
    Malformed(&'static str),
    /// A signature does not hold.
    #[error("a signature does not hold")]
    InvalidSignature,
    /// A sealed share does not open or does not fit.
    #[error("the sealed share does not fit the registration")]
    InvalidShare,
    /// A receipt does not hold, or there are too few.
    #[error("a receipt does not hold, or there are too few")]
    InvalidReceipt,
    /// A proof does not hold.
    #[error("the proof does not hold")]
    InvalidProof,
    /// The coordinator has forgotten the exchange.
    #[error("the exchange is forgotten: retrieve again with the same id")]
    RetrieveAgain,
    /// This site holds no share of the registration.
    #[error("this site holds no share of that registration")]
    NotDelivered,
    /// The registration names a manifest that is not known here.
    #[error("the registration names a fleet manifest that is not known here")]
    UnknownManifest,
    /// The record does not take it.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The record is older than it was: what the sites have counted has to be added first.
    #[error("the record has to be reconciled with the sites' ledgers")]
    Unreconciled,
    /// HSM, ledger, record store or too many sites cannot be reached. Nothing was given away.
    #[error("the vault cannot do it just now")]
    Unavailable,
}

impl From<HsmError> for VaultError {
    fn from(error: HsmError) -> Self {
        match error {
            HsmError::Refused => Self::InvalidShare,
            HsmError::Unavailable | HsmError::Fault => {
                tracing::error!(%error, "HSM");
                Self::Unavailable
            }
        }
    }
}

impl From<LedgerError> for VaultError {
    fn from(error: LedgerError) -> Self {
        tracing::error!(%error, "ledger");
        Self::Unavailable
    }
}

impl From<StoreUnavailable> for VaultError {
    fn from(error: StoreUnavailable) -> Self {
        tracing::error!(%error, "records");
        Self::Unavailable
    }
}

impl From<DamagedRecord> for VaultError {
    fn from(error: DamagedRecord) -> Self {
        tracing::error!(%error, "records");
        Self::Unavailable
    }
}

impl From<SiteRefusal> for VaultError {
    fn from(refusal: SiteRefusal) -> Self {
        match refusal {
            SiteRefusal::Full { .. } => Self::Refused(Refusal::Locked),
            SiteRefusal::Wait { retry_at } => Self::Refused(Refusal::Wait { retry_at }),
            SiteRefusal::OtherBytes => Self::Refused(Refusal::IdReused),
            SiteRefusal::Refused(error) => error,
            SiteRefusal::NotHeld | SiteRefusal::Unreachable => Self::Unavailable,
        }
    }
}

impl VaultError {
    /// What a client is told.
    pub const fn problem_type(&self) -> ProblemType {
        match self {
            Self::Unauthorized => ProblemType::Unauthorized,
            Self::Malformed(_) => ProblemType::Malformed,
            Self::InvalidSignature => ProblemType::InvalidSignature,
            Self::InvalidShare => ProblemType::InvalidShare,
            Self::InvalidReceipt => ProblemType::InvalidReceipt,
            Self::InvalidProof => ProblemType::InvalidProof,
            Self::RetrieveAgain => ProblemType::RetrieveAgain,
            Self::NotDelivered => ProblemType::NotDelivered,
            Self::UnknownManifest => ProblemType::UnknownManifest,
            Self::Refused(refusal) => refusal.problem_type(),
            Self::Unavailable | Self::Unreconciled => ProblemType::Unavailable,
        }
    }

    /// When to try again, if the time is known.
    pub const fn retry_at(&self) -> Option<Time> {
        match self {
            Self::Refused(Refusal::Wait { retry_at } | Refusal::CoolDown { retry_at }) => Some(*retry_at),
            _ => None,
        }
    }

    /// The number that the next archive head has to have, if that is what was wrong.
    pub const fn next_number(&self) -> Option<u64> {
        match self {
            Self::Refused(Refusal::StaleHead { next }) => Some(*next),
            _ => None,
        }
    }
}

impl Refusal {
    const fn problem_type(&self) -> ProblemType {
        match self {
            Self::NotRegistered => ProblemType::NotRegistered,
            Self::Locked => ProblemType::Locked,
            Self::Wait { .. } => ProblemType::Wait,
            Self::CoolDown { .. } => ProblemType::CoolDown,
            Self::RegistrationChanged => ProblemType::RegistrationChanged,
            Self::Erased => ProblemType::Erased,
            Self::IdReused => ProblemType::IdReused,
            Self::AttemptClosed => ProblemType::AttemptClosed,
            Self::StaleHead { .. } => ProblemType::StaleHead,
            Self::InvalidAuthorization => ProblemType::InvalidSignature,
            Self::TooMany => ProblemType::TooManyRequests,
        }
    }
}
