//! What `GET /v1/registrations` tells the bearer of a valid token.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bytes::VerifyingKey;
use crate::id::{DeletionId, RegistrationId};
use crate::registration::Argon2;
use crate::time::Time;

/// The state of an account's escrow. Asking spends nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegistrationsAnswer {
    /// The one that answers retrievals.
    pub live: Option<LiveStatus>,
    /// One that was activated without a key of the live one.
    pub waiting: Option<WaitingStatus>,
    /// The last one that was lost to wrong guesses.
    pub locked: Option<LockedStatus>,
    /// Until when no new one is activated, after a lock.
    pub cool_down_until: Option<Time>,
}

/// The live registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveStatus {
    /// Its name.
    pub id: RegistrationId,
    /// Who registered it: whoever has its backup key knows it by this.
    pub owner_key: VerifyingKey,
    /// Since when it is live.
    pub since: Time,
    /// The fleet manifest that it was dealt under.
    pub manifest_version: u64,
    /// How the password is stretched.
    pub argon2: Argon2,
    /// The number that the next attempt has to have: attempts are numbered, and a proof closes all up to its own.
    pub next_attempt: u64,
    /// Guesses that are left.
    pub attempts_remaining: u8,
    /// Guesses after a right one.
    pub max_attempts: u8,
    /// Guesses that were not proved since the last right one, oldest first.
    pub failed_attempts: Vec<FailedAttempt>,
    /// When the next guess will be taken, if not at once.
    pub retry_at: Option<Time>,
    /// With no guess left: when it is erased, unless a guess that was made is proved before.
    pub locks_at: Option<Time>,
    /// Sites that have given a receipt.
    pub holders: u8,
    /// A deletion that was asked for with a token alone.
    pub deletion: Option<DeletionStatus>,
}

/// A deletion that is done later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeletionStatus {
    /// Its name.
    pub id: DeletionId,
    /// When it is done, unless the owner objects.
    pub due_at: Time,
}

/// A guess that was not proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedAttempt {
    /// When it was made.
    pub at: Time,
}

/// A registration that takes over later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingStatus {
    /// Its name.
    pub id: RegistrationId,
    /// Since when it waits.
    pub since: Time,
    /// When it takes over, unless the live one's owner objects.
    pub live_at: Time,
}

/// A registration that is gone for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockedStatus {
    /// Its name.
    pub id: RegistrationId,
    /// When it was locked.
    pub at: Time,
}
