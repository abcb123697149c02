//! What the vault answers when it does not do what it was asked. Nothing secret is in any of it.

use coffer_proto::Time;

use crate::budget::Refusal;
use crate::outside::{HsmError, LedgerError, StoreUnavailable};
use crate::record::DamagedRecord;
use crate::site::SiteRefusal;

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
    /// When to try again, if the time is known.
    pub fn retry_at(&self) -> Option<Time> {
        match self {
            Self::Refused(Refusal::Wait { retry_at } | Refusal::CoolDown { retry_at }) => Some(*retry_at),
            _ => None,
        }
    }
}
