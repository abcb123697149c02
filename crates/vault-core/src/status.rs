//! What the bearer of a token may know of an account.

use coffer_proto::{DeletionStatus, FailedAttempt, LiveStatus, LockedStatus, RegistrationsAnswer, WaitingStatus};

use crate::error::VaultError;
use crate::record::VaultRecord;
use crate::vault::Vault;
use crate::world::World;

impl<W: World> Vault<W> {
    /// `GET /v1/registrations`. Spends nothing.
    ///
    /// # Errors
    /// `Unauthorized`, `Unavailable`.
    pub async fn registrations(&self, token: &str) -> Result<RegistrationsAnswer, VaultError> {
        let account = self.authenticate(token)?.account;
        let mut record = self.site().record(&account).await?;
        let now = self.site().ports.now();
        record.settle(&self.site().fleet.policy, now);
        Ok(RegistrationsAnswer {
            live: self.live(&record),
            waiting: record.waiting.as_ref().map(|waiting| WaitingStatus {
                id: waiting.registration.id,
                since: waiting.activation.at,
                live_at: waiting.activation.at + self.site().fleet.policy.takeover_after,
            }),
            locked: record.locked().map(|end| LockedStatus { id: end.id, at: end.at }),
            cool_down_until: record.cool_down_until.filter(|until| *until > now),
        })
    }

    fn live(&self, record: &VaultRecord) -> Option<LiveStatus> {
        let policy = &self.site().fleet.policy;
        let now = self.site().ports.now();
        let live = record.live.as_ref()?;
        let unproved = live.attempts.iter().filter(|attempt| attempt.is_unproved());
        let carried = live.carried.into_iter().map(|carried| FailedAttempt { at: carried.last });
        Some(LiveStatus {
            id: live.registration.id,
            owner_key: live.registration.owner_key,
            since: live.since,
            manifest_version: live.registration.manifest_version,
            argon2: live.registration.argon2,
            next_attempt: live.newest_number.saturating_add(1),
            attempts_remaining: live.attempts_remaining(policy),
            max_attempts: policy.max_attempts,
            failed_attempts: carried.chain(unproved.map(|attempt| FailedAttempt { at: attempt.at })).collect(),
            retry_at: live.retry_at(policy).filter(|at| *at > now),
            locks_at: live.locks_at(policy),
            holders: u8::try_from(live.activation.receipts.len()).unwrap_or(u8::MAX),
            deletion: live
                .deletion
                .as_ref()
                .map(|asked| DeletionStatus { id: asked.id, due_at: asked.at + policy.takeover_after }),
        })
    }
}
